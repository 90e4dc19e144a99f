/* l_note.c - Lua module "note" over moongate/signed_note.h: signed notes and their keys.  Types: lua/meta/note.lua
 *
 * A private key is a handle; its bytes stay in C, and leave only as a secret handle. */
#include "l_secret.h"
#include "moongate/signed_note.h"

#include <stdio.h>
#include <string.h>

#define L_NOTE_KEY "moongate.note.key"
#define L_NOTE_BUF "moongate.note.buf"

struct l_note_key {
    struct moon_ed25519 *key; /* NULL: empty handle, never seen by a script */
    char name[MOON_NOTE_NAME_MAX + 1];
};

static const char *check_name(lua_State *L, int arg) {
    size_t len;
    const char *name = luaL_checklstring(L, arg, &len);
    luaL_argcheck(L, moon_note_name_valid(name, len), arg,
                  "a key's name has 1 to 200 characters, no white space and no '+'");
    return name;
}

static struct l_note_key *new_key(lua_State *L, const char *name) {
    struct l_note_key *k = lua_newuserdatauv(L, sizeof *k, 0);
    k->key = NULL;
    snprintf(k->name, sizeof k->name, "%s", name); /* its length was checked */
    luaL_setmetatable(L, L_NOTE_KEY);
    return k;
}

/* note.generate(name) -> key | nil, err */
static int l_generate(lua_State *L) {
    struct moon_err err;
    struct l_note_key *k = new_key(L, check_name(L, 1));
    return moon_ed25519_generate(&k->key, &err) != 0 ? moon_fail(L, &err) : 1;
}

/* note.key(name, secret) -> key | nil, err. The secret is a PEM private key. */
static int l_key(lua_State *L) {
    struct moon_err err;
    const char *name = check_name(L, 1);
    const struct l_secret *secret = luaL_checkudata(L, 2, L_SECRET);
    struct l_note_key *k = new_key(L, name);
    return moon_ed25519_read(secret->data, secret->len, &k->key, &err) != 0 ? moon_fail(L, &err) : 1;
}

/* note.pem(key) -> secret handle of the key in PEM | nil, err */
static int l_pem(lua_State *L) {
    const struct l_note_key *k = luaL_checkudata(L, 1, L_NOTE_KEY);
    struct moon_buf pem = MOON_BUF_INIT;
    struct moon_err err;
    char copy[512]; /* pem must not be held over a push that may raise */
    size_t len = 0;
    if (moon_ed25519_pem(k->key, &pem) == 0 && pem.len <= sizeof copy) {
        len = pem.len;
        memcpy(copy, pem.data, len);
    }
    if (pem.data)
        moon_wipe(pem.data, pem.cap);
    moon_buf_release(&pem);
    if (len == 0) {
        moon_err_set(&err, MOON_ENOMEM, "out of memory");
        return moon_fail(L, &err);
    }
    int n = l_secret_push(L, copy, len);
    moon_wipe(copy, sizeof copy);
    return n;
}

/* A buffer that the collector frees: what fills it may fail, and pushing its bytes may raise. */
static struct moon_buf *new_buf(lua_State *L) {
    struct moon_buf *b = lua_newuserdatauv(L, sizeof *b, 0);
    moon_buf_init(b);
    luaL_setmetatable(L, L_NOTE_BUF);
    return b;
}

static int l_buf_gc(lua_State *L) {
    moon_buf_release(luaL_checkudata(L, 1, L_NOTE_BUF));
    return 0;
}

static int push_buf(lua_State *L, const struct moon_buf *buf) {
    lua_pushlstring(L, buf->data, buf->len);
    return 1;
}

/* key:vkey() -> "NAME+ID+KEY" */
static int l_vkey(lua_State *L) {
    const struct l_note_key *k = luaL_checkudata(L, 1, L_NOTE_KEY);
    struct moon_note_verifier v;
    struct moon_buf *out = new_buf(L);
    if (moon_note_verifier_of(k->key, k->name, &v, NULL) != 0 || moon_note_verifier_write(&v, out) != 0)
        return luaL_error(L, "not enough memory");
    return push_buf(L, out);
}

/* note.sign(key, text) -> note | nil, err */
static int l_sign(lua_State *L) {
    const struct l_note_key *k = luaL_checkudata(L, 1, L_NOTE_KEY);
    struct moon_err err;
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    struct moon_buf *out = new_buf(L);
    return moon_note_sign(k->key, k->name, text, len, out, &err) != 0 ? moon_fail(L, &err) : push_buf(L, out);
}

/* Reads the list of vkeys at idx; raises for one that is not a vkey. */
static size_t check_vkeys(lua_State *L, int idx, struct moon_note_verifier *out) {
    luaL_checktype(L, idx, LUA_TTABLE);
    lua_Integer n = luaL_len(L, idx);
    luaL_argcheck(L, n >= 1 && n <= MOON_NOTE_VKEYS_MAX, idx, "a list of 1 to 64 verifier keys");
    for (lua_Integer i = 1; i <= n; i++) {
        struct moon_err err;
        size_t len = 0;
        lua_geti(L, idx, i);
        const char *vkey = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
        luaL_argcheck(L, vkey, idx, "verifier keys are strings");
        if (moon_note_verifier_read(vkey, len, &out[i - 1], &err) != 0)
            luaL_argerror(L, idx, lua_pushfstring(L, "key %d: %s", (int)i, err.message));
        lua_pop(L, 1);
    }
    return (size_t)n;
}

/* note.verify(note, vkeys) -> text, names | nil, err */
static int l_verify(lua_State *L) {
    size_t len, n;
    const char *note = luaL_checklstring(L, 1, &len);
    struct moon_note found;
    struct moon_err err;
    lua_settop(L, 2);
    struct moon_note_verifier *verifiers = lua_newuserdatauv(L, MOON_NOTE_VKEYS_MAX * sizeof *verifiers, 0);
    n = check_vkeys(L, 2, verifiers);
    if (moon_note_open(note, len, verifiers, n, &found, &err) != 0)
        return moon_fail(L, &err);
    lua_pushlstring(L, note, found.text_len);
    lua_newtable(L);
    lua_Integer count = 0;
    for (size_t i = 0; i < n; i++)
        if (found.signed_by[i]) {
            lua_pushstring(L, verifiers[i].name);
            lua_rawseti(L, -2, ++count);
        }
    return 2;
}

/* note.name(vkey) -> name | nil, err */
static int l_name(lua_State *L) {
    size_t len;
    const char *vkey = luaL_checklstring(L, 1, &len);
    struct moon_note_verifier v;
    struct moon_err err;
    if (moon_note_verifier_read(vkey, len, &v, &err) != 0)
        return moon_fail(L, &err);
    lua_pushstring(L, v.name);
    return 1;
}

static int l_key_gc(lua_State *L) {
    struct l_note_key *k = luaL_checkudata(L, 1, L_NOTE_KEY);
    moon_ed25519_free(k->key);
    k->key = NULL;
    return 0;
}

static int l_key_str(lua_State *L) {
    lua_pushliteral(L, "***");
    return 1;
}

static const luaL_Reg methods[] = {{"vkey", l_vkey}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", l_key_gc}, {"__close", l_key_gc}, {"__tostring", l_key_str}, {NULL, NULL}};
static const luaL_Reg funcs[] = {{"generate", l_generate}, {"key", l_key},   {"pem", l_pem}, {"sign", l_sign},
                                 {"verify", l_verify},     {"name", l_name}, {NULL, NULL}};

int luaopen_moongate_note(lua_State *L);
int luaopen_moongate_note(lua_State *L) {
    if (luaL_newmetatable(L, L_NOTE_KEY)) {
        luaL_setfuncs(L, meta, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushliteral(L, L_NOTE_KEY);
        lua_setfield(L, -2, "__metatable");
    }
    if (luaL_newmetatable(L, L_NOTE_BUF)) {
        lua_pushcfunction(L, l_buf_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 2);
    luaL_newlib(L, funcs);
    return 1;
}
