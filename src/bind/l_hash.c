/* l_hash.c - Lua module "hash" over moongate/digest.h.  Types: lua/meta/hash.lua
 *
 * The module's functions share one hasher and one buffer: upvalue 1, made when the module is opened. */
#include "l_json.h"
#include "l_secret.h"
#include "moongate/digest.h"

#define L_HASH   "moongate.hash"
#define KEEP_MAX ((size_t)1 << 20) /* a buffer that grew beyond it is given back */

struct l_hash {
    struct moon_hasher *hasher;
    struct moon_buf buf;
};

static struct l_hash *self(lua_State *L) {
    struct l_hash *h = lua_touserdata(L, lua_upvalueindex(1));
    if (h->buf.cap > KEEP_MAX)
        moon_buf_release(&h->buf);
    moon_buf_clear(&h->buf);
    return h;
}

static int no_memory(lua_State *L) {
    return luaL_error(L, "not enough memory");
}

static int push_hex(lua_State *L, const unsigned char sum[MOON_SHA256_SIZE]) {
    char hex[MOON_SHA256_HEX];
    moon_hex(sum, MOON_SHA256_SIZE, hex);
    lua_pushlstring(L, hex, MOON_SHA256_HEX - 1);
    return 1;
}

/* hash.sha256(s) -> hex */
static int l_sha256(lua_State *L) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    unsigned char sum[MOON_SHA256_SIZE];
    if (moon_sha256(self(L)->hasher, s, len, sum) != 0)
        return no_memory(L);
    return push_hex(L, sum);
}

/* hash.payload(v) -> hex | nil, err */
static int l_payload(lua_State *L) {
    struct l_hash *h = self(L);
    struct moon_err err;
    unsigned char sum[MOON_SHA256_SIZE];
    luaL_checkany(L, 1);
    if (moon_lua_json_encode(L, 1, &h->buf, &err) != 0)
        return moon_fail(L, &err);
    if (moon_sha256(h->hasher, h->buf.data, h->buf.len, sum) != 0)
        return no_memory(L);
    return push_hex(L, sum);
}

/* hash.hmac_sha256(key, s) -> hex */
static int l_hmac_sha256(lua_State *L) {
    const struct l_secret *secret = l_secret_test(L, 1);
    size_t key_len = secret ? secret->len : 0, len;
    const char *key = secret ? secret->data : luaL_checklstring(L, 1, &key_len);
    const void *s = luaL_checklstring(L, 2, &len);
    unsigned char sum[MOON_SHA256_SIZE];
    if (moon_hmac_sha256(self(L)->hasher, key, key_len, &s, &len, 1, sum) != 0)
        return no_memory(L);
    return push_hex(L, sum);
}

/* hash.base64(s) -> text */
static int l_base64(lua_State *L) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    struct l_hash *h = self(L);
    if (moon_base64_encode(&h->buf, s, len) != 0)
        return no_memory(L);
    lua_pushlstring(L, h->buf.data ? h->buf.data : "", h->buf.len);
    return 1;
}

/* hash.unbase64(text) -> s | nil, err */
static int l_unbase64(lua_State *L) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    struct l_hash *h = self(L);
    struct moon_err err;
    int rc = moon_base64_decode(&h->buf, s, len);
    if (rc == MOON_ENOMEM)
        return no_memory(L);
    if (rc != 0) {
        moon_err_set(&err, rc, "not base64: padded, standard alphabet, no white space");
        return moon_fail(L, &err);
    }
    lua_pushlstring(L, h->buf.data ? h->buf.data : "", h->buf.len);
    return 1;
}

/* hash.equal(a, b) -> boolean */
static int l_equal(lua_State *L) {
    size_t alen, blen;
    const char *a = luaL_checklstring(L, 1, &alen);
    const char *b = luaL_checklstring(L, 2, &blen);
    lua_pushboolean(L, moon_equal_ct(a, alen, b, blen));
    return 1;
}

static int l_gc(lua_State *L) {
    struct l_hash *h = luaL_checkudata(L, 1, L_HASH);
    moon_hasher_free(h->hasher);
    h->hasher = NULL;
    moon_buf_release(&h->buf);
    return 0;
}

static const luaL_Reg funcs[] = {
    {"sha256", l_sha256},     {"payload", l_payload}, {"base64", l_base64}, {"hmac_sha256", l_hmac_sha256},
    {"unbase64", l_unbase64}, {"equal", l_equal},     {NULL, NULL}};

int luaopen_moongate_hash(lua_State *L);
int luaopen_moongate_hash(lua_State *L) {
    luaL_newlibtable(L, funcs);
    struct l_hash *h = lua_newuserdatauv(L, sizeof *h, 0);
    h->hasher = NULL;
    moon_buf_init(&h->buf);
    if (luaL_newmetatable(L, L_HASH)) {
        lua_pushcfunction(L, l_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    if (moon_hasher_new(&h->hasher) != 0)
        return no_memory(L);
    luaL_setfuncs(L, funcs, 1);
    return 1;
}
