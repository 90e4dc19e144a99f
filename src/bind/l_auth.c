/* l_auth.c - Lua module "auth" over moongate/auth.h and moongate/credentials.h. Types: lua/meta/auth.lua
 *
 * Handles are opaque: a script can pass them to http.client, and that is all. */
#include "l_auth.h"

#include "l_secret.h"

#include "moongate/credentials.h"
#include "moongate/http.h"
#include "moongate/loop.h"

#include <string.h>

#define L_AUTH_WAIT "moongate.auth.wait"

int luaopen_moongate_auth(lua_State *L);

static const char gateways_key = 0; /* registry: identity -> handle, so that a session mints one token */

static const struct moon_services *services(lua_State *L) {
    return moon_host_services(moon_host_of(L));
}

static struct l_auth *push_handle(lua_State *L) {
    struct l_auth *h = lua_newuserdatauv(L, sizeof *h, 0);
    h->a = NULL;
    h->session = false;
    luaL_setmetatable(L, L_AUTH);
    return h;
}

static int l_gc(lua_State *L) {
    struct l_auth *h = luaL_checkudata(L, 1, L_AUTH);
    moon_auth_unref(h->a);
    h->a = NULL;
    return 0;
}

static int l_tostring(lua_State *L) {
    struct l_auth *h = luaL_checkudata(L, 1, L_AUTH);
    lua_pushfstring(L, "credential for %s (***)", h->a ? moon_auth_origin(h->a) : "nothing");
    return 1;
}

/* The bytes of a secret handle or a string; raises for anything else. Valid while the value is. */
static const char *check_secret(lua_State *L, int idx, const char *what, size_t *len) {
    const struct l_secret *s = l_secret_test(L, idx);
    if (s && s->data) {
        *len = s->len;
        return s->data;
    }
    if (lua_type(L, idx) != LUA_TSTRING)
        luaL_error(L, "%s: a secret handle or a string expected, got %s", what, luaL_typename(L, idx));
    return lua_tolstring(L, idx, len);
}

static const char *check_string(lua_State *L, int t, const char *name, bool required) {
    if (lua_getfield(L, t, name) == LUA_TNIL && !required)
        return NULL;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "bad option '%s' (a string expected, got %s)", name, luaL_typename(L, -1));
    return lua_tostring(L, -1);
}

/* ---- handles ---- */

/* auth.bearer(token, origin) -> handle | nil, err */
static int l_bearer(lua_State *L) {
    size_t len;
    struct moon_err err;
    const char *token = check_secret(L, 1, "auth.bearer: token", &len), *origin = luaL_checkstring(L, 2);
    struct l_auth *h = push_handle(L);
    if (moon_auth_bearer(&h->a, origin, token, len, services(L)->redact, &err) != 0)
        return moon_fail(L, &err);
    return 1;
}

static int new_client(lua_State *L, const struct moon_auth_client *client) {
    struct moon_err err;
    struct moon_http *http = services(L)->http;
    if (!http)
        return luaL_error(L, "this session has no HTTP client");
    struct l_auth *h = push_handle(L);
    if (moon_auth_client_credentials(&h->a, http, client, services(L)->redact, &err) != 0)
        return moon_fail(L, &err);
    return 1;
}

/* auth.client_credentials{client_id =, client_secret =, login_url =, origin =, scopes =} -> handle | nil, err */
static int l_client_credentials(lua_State *L) {
    static const char *const names[] = {"client_id", "client_secret", "login_url", "origin", "scopes", NULL};
    struct moon_auth_client client;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    moon_check_options(L, 1, names);
    client.client_id = check_string(L, 1, "client_id", true);
    client.login_url = check_string(L, 1, "login_url", true);
    client.origin = check_string(L, 1, "origin", true);
    client.scopes = check_string(L, 1, "scopes", false);
    char login[MOON_HTTP_ORIGIN_SIZE];
    struct moon_err err;
    if (moon_http_origin(client.login_url, strlen(client.login_url), login, &err) != 0 ||
        moon_host_permit(L, "net", login, &err) != 0)
        return moon_fail(L, &err);
    lua_getfield(L, 1, "client_secret");
    client.client_secret = check_secret(L, -1, "auth.client_credentials: client_secret", &client.client_secret_len);
    return new_client(L, &client);
}

/* ---- the session's gateway ---- */

static int new_gateway(lua_State *L, const struct moon_credentials *c) {
    struct moon_err err;
    const struct moon_cred_value *f = c->field;
    struct moon_auth_client client = {
        .origin = c->endpoints.api,
        .login_url = c->endpoints.login,
        .client_id = f[MOON_CRED_CLIENT_ID].data,
        .client_secret = f[MOON_CRED_CLIENT_SECRET].data,
        .client_secret_len = f[MOON_CRED_CLIENT_SECRET].len,
    };
    if (moon_credentials_auth(c) == MOON_AUTH_CLIENT)
        return new_client(L, &client);
    struct l_auth *h = push_handle(L);
    if (moon_auth_bearer(&h->a, client.origin, f[MOON_CRED_ACCESS_TOKEN].data, f[MOON_CRED_ACCESS_TOKEN].len,
                         services(L)->redact, &err) != 0)
        return moon_fail(L, &err);
    return 1;
}

/* auth.gateway() -> handle | nil, err. The same handle each time, until the session is given another gateway. */
static int l_gateway(lua_State *L) {
    const struct moon_credentials *c = services(L)->credentials;
    struct moon_err err;
    if (!c)
        return luaL_error(L, "this session has no gateway");
    if (moon_credentials_require(c, &err) != 0)
        return moon_fail(L, &err);
    bool minted = moon_credentials_auth(c) == MOON_AUTH_CLIENT;
    lua_settop(L, 0);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &gateways_key) != LUA_TTABLE) {
        lua_newtable(L);
        lua_replace(L, 1);
        lua_pushvalue(L, 1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &gateways_key);
    }
    lua_pushfstring(L, "%s %s %s", c->endpoints.api, c->endpoints.login,
                    minted ? c->field[MOON_CRED_CLIENT_ID].data : "");
    lua_pushvalue(L, 2);
    if (lua_rawget(L, 1) == LUA_TUSERDATA)
        return 1;
    lua_settop(L, 2);
    if (new_gateway(L, c) != 1)
        return 2;
    l_auth_test(L, -1)->session = true;
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

static void set_string(lua_State *L, const char *name, const char *value) {
    if (!value || !*value)
        return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

/* auth.info() -> {region, region_value (as given), api_url, login_url, client_id (masked), source = {field = where
 * from}} */
static int l_info(lua_State *L) {
    const struct moon_credentials *c = services(L)->credentials;
    char masked[MOON_CRED_MASK_SIZE];
    lua_newtable(L);
    if (!c)
        return 1;
    set_string(L, "region", c->endpoints.region ? c->endpoints.region->name : NULL);
    set_string(L, "region_value", c->field[MOON_CRED_REGION].data);
    set_string(L, "api_url", c->endpoints.api);
    set_string(L, "login_url", c->endpoints.login);
    if (c->field[MOON_CRED_CLIENT_ID].data) {
        moon_credentials_mask(c, MOON_CRED_CLIENT_ID, masked);
        set_string(L, "client_id", masked);
    }
    lua_newtable(L);
    for (int f = 0; f < MOON_CRED_COUNT; f++)
        if (c->field[f].source != MOON_CRED_NONE)
            set_string(L, moon_cred_field_name((enum moon_cred_field)f),
                       c->field[f].origin[0] ? c->field[f].origin : moon_cred_source_name(c->field[f].source));
    lua_setfield(L, -2, "source");
    return 1;
}

/* ---- waiting for a token ---- */

struct l_wait {
    struct moon_auth *a; /* a reference; NULL: closed */
    struct moon_auth_wait node;
    struct moon_wake wake;
    struct moon_err err;
};

/* __gc and __close */
static int l_leave(lua_State *L) {
    struct l_wait *w = luaL_checkudata(L, 1, L_AUTH_WAIT);
    if (w->a)
        moon_auth_leave(w->a, &w->node);
    moon_auth_unref(w->a);
    w->a = NULL;
    return 0;
}

static int push_state(lua_State *L, const struct moon_auth *a) {
    struct moon_auth_info info;
    moon_auth_info(a, &info);
    lua_createtable(L, 0, 2);
    set_string(L, "source", info.source);
    set_string(L, "scope", info.scope);
    if (info.expires_at_ns) {
        lua_pushnumber(L, (double)info.expires_at_ns / 1e9);
        lua_setfield(L, -2, "expires_at");
    }
    return 1;
}

static void on_token(void *ud, const struct moon_err *err) { /* loop context */
    struct l_wait *w = ud;
    if (err)
        w->err = *err;
    moon_task_wake(w->wake);
}

static int token_k(lua_State *L, int status, lua_KContext idx) {
    struct l_wait *w = lua_touserdata(L, (int)idx);
    (void)status;
    if (!w->err.code)
        return push_state(L, w->a);
    int n = moon_fail(L, &w->err);
    if (*moon_auth_hint(w->a)) {
        lua_pushstring(L, moon_auth_hint(w->a));
        lua_setfield(L, -2, "hint");
    }
    return n;
}

/* auth.token(handle [, seconds]) -> {source =, expires_at =} | nil, err. Mints if need be, and tries for so long. */
static int l_token(lua_State *L) {
    struct l_auth *h = luaL_checkudata(L, 1, L_AUTH);
    lua_Number seconds = luaL_optnumber(L, 2, 0);
    luaL_argcheck(L, seconds >= 0 && seconds <= 3600, 2, "seconds, at most an hour");
    moon_task_check(L, "auth.token");
    lua_settop(L, 1);
    int64_t now = moon_loop_now_ns(moon_host_services(moon_host_of(L))->loop);
    struct moon_auth_line *line = moon_auth_acquire(h->a, seconds > 0 ? now + (int64_t)(seconds * 1e9) : 0);
    if (line) {
        moon_auth_line_unref(line);
        return push_state(L, h->a);
    }
    struct l_wait *w = lua_newuserdatauv(L, sizeof *w, 0);
    memset(w, 0, sizeof *w);
    luaL_setmetatable(L, L_AUTH_WAIT);
    lua_toclose(L, 2);
    w->a = moon_auth_ref(h->a);
    moon_auth_wait(w->a, &w->node, on_token, w);
    w->wake = moon_task_park(L);
    return lua_yieldk(L, 0, 2, token_k);
}

static const luaL_Reg meta[] = {{"__gc", l_gc}, {"__tostring", l_tostring}, {NULL, NULL}};
static const luaL_Reg wait_meta[] = {{"__gc", l_leave}, {"__close", l_leave}, {NULL, NULL}};
static const luaL_Reg funcs[] = {
    {"gateway", l_gateway}, {"bearer", l_bearer}, {"client_credentials", l_client_credentials},
    {"token", l_token},     {"info", l_info},     {NULL, NULL},
};

int luaopen_moongate_auth(lua_State *L) {
    if (luaL_newmetatable(L, L_AUTH)) {
        luaL_setfuncs(L, meta, 0);
        lua_pushliteral(L, L_AUTH);
        lua_setfield(L, -2, "__metatable");
    }
    if (luaL_newmetatable(L, L_AUTH_WAIT))
        luaL_setfuncs(L, wait_meta, 0);
    luaL_newlib(L, funcs);
    return 1;
}
