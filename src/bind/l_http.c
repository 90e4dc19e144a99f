/* l_http.c - Lua module "http" over moongate/http.h. Types: lua/meta/http.lua */
#include "l_http.h"

#include <string.h>

int luaopen_moongate_http(lua_State *L);
int luaopen_moongate_auth(lua_State *L);

struct moon_http *l_http_service(lua_State *L) {
    struct moon_http *http = moon_host_services(moon_host_of(L))->http;
    if (!http)
        luaL_error(L, "this session has no HTTP client");
    return http;
}

/* http.request{method =, url =, ...} -> response | nil, err */
static int l_request(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    l_http_client_default(L);
    return l_http_request(L, 2, NULL, 0, 1);
}

/* http.get(url [, opts]), and so on: upvalue 1 is the method */
static int l_verb(lua_State *L) {
    luaL_checktype(L, 1, LUA_TSTRING);
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    l_http_client_default(L);
    return l_http_request(L, 3, lua_tostring(L, lua_upvalueindex(1)), 1, 2);
}

/* http.breaker(url [, family]) -> {state =, retry_in =} */
static int l_breaker(lua_State *L) {
    size_t len;
    const char *url = luaL_checklstring(L, 1, &len), *family = luaL_optstring(L, 2, "");
    char origin[MOON_HTTP_ORIGIN_SIZE];
    struct moon_err err;
    int64_t retry_in;
    if (moon_http_origin(url, len, origin, &err) != 0)
        return luaL_argerror(L, 1, err.message);
    const char *state = moon_http_breaker_state(l_http_service(L), origin, family, &retry_in);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, state);
    lua_setfield(L, -2, "state");
    if (retry_in > 0) {
        lua_pushnumber(L, (double)retry_in / 1e9);
        lua_setfield(L, -2, "retry_in");
    }
    return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

/* http.stats() -> counts since the start, and what is live now */
static int l_stats(lua_State *L) {
    struct moon_http_stats s;
    moon_http_stats(l_http_service(L), &s);
    lua_createtable(L, 0, 6);
    set_count(L, "calls", s.calls);
    set_count(L, "attempts", s.attempts);
    set_count(L, "connections", s.connections);
    set_count(L, "live_calls", s.live_calls);
    set_count(L, "live_transfers", s.live_transfers);
    set_count(L, "groups", s.groups);
    return 1;
}

int l_http_client_new(lua_State *L); /* http.client{...} -> client | nil, err: l_http_client.c */

static const luaL_Reg funcs[] = {
    {"client", l_http_client_new}, {"request", l_request}, {"breaker", l_breaker}, {"stats", l_stats},
    {"reason", l_http_reason},     {NULL, NULL},
};

static void add_verb(lua_State *L, const char *name, const char *method) {
    lua_pushstring(L, method);
    lua_pushcclosure(L, l_verb, 1);
    lua_setfield(L, -2, name);
}

int luaopen_moongate_http(lua_State *L) {
    luaL_requiref(L, "moongate.auth", luaopen_moongate_auth, 0); /* client{auth = } takes its handles */
    l_http_request_setup(L);
    l_http_response_setup(L);
    l_http_client_setup(L);
    luaL_newlib(L, funcs);
    add_verb(L, "get", "GET");
    add_verb(L, "put", "PUT");
    add_verb(L, "post", "POST");
    add_verb(L, "patch", "PATCH");
    add_verb(L, "delete", "DELETE");
    return 1;
}
