/* l_webhook.c - Lua module "webhook" over moongate/webhook_signature.h.  Types: lua/meta/webhook.lua
 *
 * Secrets are strings or handles; their bytes are borrowed, from values that stay on the stack until the call ends. */
#include "l_secret.h"
#include "moongate/loop.h"
#include "moongate/webhook_signature.h"

#include <string.h>
#include <strings.h>

#define L_WEBHOOK "moongate.webhook"

struct l_webhook { /* upvalue 1 of every function */
    struct moon_hasher *hasher;
    struct moon_buf buf;
};

static struct l_webhook *self(lua_State *L) {
    struct l_webhook *w = lua_touserdata(L, lua_upvalueindex(1));
    moon_buf_clear(&w->buf);
    return w;
}

static int64_t now_s(lua_State *L) {
    const struct moon_services *s = moon_host_services(moon_host_of(L));
    return moon_wall_ns(moon_loop_clock(s->loop)) / MOON_NS_PER_S;
}

/* The string at the top, which stays there: it may be referred to by nothing else. Raises. [-0, +0, e] */
static struct moon_bytes take_string(lua_State *L, const char *name) {
    struct moon_bytes b;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_argerror(L, 1, lua_pushfstring(L, "%s: string expected, got %s", name, luaL_typename(L, -1)));
    b.data = lua_tolstring(L, -1, &b.len);
    return b;
}

/* A secret at the top, string or handle, which stays there. [-0, +0, e] */
static struct moon_bytes take_secret(lua_State *L) {
    const struct l_secret *s = l_secret_test(L, -1);
    if (!s)
        return take_string(L, "secret");
    return (struct moon_bytes){s->data, s->len};
}

/* The option "secret" of the table at 1: one secret or a list of them, left on the stack. Returns how many. [-0, +n, e]
 */
static size_t take_secrets(lua_State *L, struct moon_bytes secrets[MOON_WEBHOOK_MAX_KEYS]) {
    luaL_checkstack(L, MOON_WEBHOOK_MAX_KEYS + 8, NULL);
    lua_getfield(L, 1, "secret");
    int at = lua_gettop(L);
    if (!lua_istable(L, -1)) {
        secrets[0] = take_secret(L);
        return 1;
    }
    size_t n = (size_t)lua_rawlen(L, -1);
    if (n == 0 || n > MOON_WEBHOOK_MAX_KEYS)
        luaL_argerror(L, 1, lua_pushfstring(L, "secret: a list of 1 to %d expected", MOON_WEBHOOK_MAX_KEYS));
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, at, (lua_Integer)i + 1);
        secrets[i] = take_secret(L);
    }
    return n;
}

/* [-0, +1, e] */
static struct moon_bytes string_option(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    return take_string(L, name);
}

static int64_t seconds_option(lua_State *L, const char *name, int64_t absent) {
    lua_Integer v = (lua_Integer)absent;
    int is_int = 1;
    if (lua_getfield(L, 1, name) == LUA_TNUMBER) {
        v = lua_tointegerx(L, -1, &is_int);
        if (!is_int) { /* time.now() has a fraction */
            lua_Number f = lua_tonumber(L, -1);
            is_int = f >= 0 && f < 1e15;
            v = is_int ? (lua_Integer)f : 0;
        }
    } else if (!lua_isnil(L, -1)) {
        is_int = 0;
    }
    if (!is_int || v < 0 || v > INT64_C(1000000000000000))
        luaL_argerror(L, 1, lua_pushfstring(L, "%s: seconds expected, a number from 0", name));
    lua_pop(L, 1);
    return v;
}

/* webhook.sign{secret=, id=, timestamp=, body=} -> headers | nil, err */
static int l_sign(lua_State *L) {
    static const char *const options[] = {"secret", "id", "timestamp", "body", NULL};
    struct moon_bytes secrets[MOON_WEBHOOK_MAX_KEYS];
    struct moon_err err;
    luaL_checktype(L, 1, LUA_TTABLE);
    moon_check_options(L, 1, options);
    size_t n = take_secrets(L, secrets);
    struct moon_bytes id = string_option(L, "id"), body = string_option(L, "body");
    int64_t timestamp = seconds_option(L, "timestamp", now_s(L));
    struct l_webhook *w = self(L);
    if (moon_webhook_sign(w->hasher, secrets, n, id, timestamp, body, &w->buf, &err) != 0)
        return moon_fail(L, &err);
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, id.data, id.len);
    lua_setfield(L, -2, "webhook-id");
    lua_pushfstring(L, "%I", (LUAI_UACINT)timestamp);
    lua_setfield(L, -2, "webhook-timestamp");
    lua_pushlstring(L, w->buf.data, w->buf.len);
    lua_setfield(L, -2, "webhook-signature");
    return 1;
}

/* Leaves the header's value on the stack, found by its lower-case name or in any case; empty when absent. The value
 * stays on the stack, so that its bytes stay too. [-0, +1, e] */
static struct moon_bytes header(lua_State *L, int headers, const char *name) {
    struct moon_bytes b = {"", 0};
    bool found = lua_getfield(L, headers, name) == LUA_TSTRING;
    if (!found && lua_istable(L, headers)) {
        lua_pop(L, 1);
        lua_pushnil(L);
        while (!found && lua_next(L, headers)) {
            found = lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING &&
                    strcasecmp(lua_tostring(L, -2), name) == 0;
            if (found)
                lua_remove(L, -2);
            else
                lua_pop(L, 1);
        }
        if (!found)
            lua_pushnil(L);
    }
    if (found)
        b.data = lua_tolstring(L, -1, &b.len);
    return b;
}

/* "webhook-" or "svix-": Svix sends Standard Webhooks' headers under names of its own. */
static const char *prefix_of(lua_State *L, int headers) {
    bool standard = header(L, headers, "webhook-id").len > 0 || header(L, headers, "webhook-signature").len > 0;
    bool svix = !standard && header(L, headers, "svix-id").len > 0;
    lua_settop(L, headers);
    return svix ? "svix-" : "webhook-";
}

static struct moon_bytes field(lua_State *L, int headers, const char *prefix, const char *name) {
    const char *full = lua_pushfstring(L, "%s%s", prefix, name);
    return header(L, headers, full);
}

/* webhook.verify{secret=, headers=, body=, tolerance=300, now=} -> true | nil, err */
static int l_verify(lua_State *L) {
    static const char *const options[] = {"secret", "headers", "body", "tolerance", "now", NULL};
    struct moon_bytes secrets[MOON_WEBHOOK_MAX_KEYS];
    struct moon_err err;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    moon_check_options(L, 1, options);
    int64_t tolerance = seconds_option(L, "tolerance", MOON_WEBHOOK_TOLERANCE_S);
    int64_t now = seconds_option(L, "now", now_s(L));
    lua_getfield(L, 1, "headers");
    if (!lua_istable(L, 2) && !luaL_getmetafield(L, 2, "__index"))
        return luaL_argerror(L, 1, "headers: table expected");
    lua_settop(L, 2);
    const char *prefix = prefix_of(L, 2);
    struct moon_bytes id = field(L, 2, prefix, "id");
    struct moon_bytes timestamp = field(L, 2, prefix, "timestamp");
    struct moon_bytes signature = field(L, 2, prefix, "signature");
    struct moon_bytes body = string_option(L, "body");
    size_t n = take_secrets(L, secrets);
    struct l_webhook *w = self(L);
    if (moon_webhook_verify(w->hasher, secrets, n, id, timestamp, signature, body, tolerance, now, &err) != 0)
        return moon_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_gc(lua_State *L) {
    struct l_webhook *w = luaL_checkudata(L, 1, L_WEBHOOK);
    moon_hasher_free(w->hasher);
    w->hasher = NULL;
    moon_buf_release(&w->buf);
    return 0;
}

static const luaL_Reg funcs[] = {{"sign", l_sign}, {"verify", l_verify}, {NULL, NULL}};

int luaopen_moongate_webhook(lua_State *L);
int luaopen_moongate_webhook(lua_State *L) {
    luaL_newlibtable(L, funcs);
    struct l_webhook *w = lua_newuserdatauv(L, sizeof *w, 0);
    w->hasher = NULL;
    moon_buf_init(&w->buf);
    if (luaL_newmetatable(L, L_WEBHOOK)) {
        lua_pushcfunction(L, l_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    if (moon_hasher_new(&w->hasher) != 0)
        return luaL_error(L, "not enough memory");
    luaL_setfuncs(L, funcs, 1);
    return 1;
}
