/* l_host_shared.c - host.shared, host.adopt: what the HTTP client knows of hosts, for other processes and from them.
 * Part of module "moongate.host".  Types: lua/meta/host.lua */
#include "l_host.h"

#include "moongate/breaker.h"
#include "moongate/clock.h"
#include "moongate/host.h"
#include "moongate/http.h"

#include <lauxlib.h>

#include <string.h>

#define WALL_MAX_MS (INT64_MAX / MOON_NS_PER_MS)

static const char *const kinds[] = {"breaker", "pacer", "limiter", NULL}; /* as enum moon_http_shared_kind */

static void set_integer(lua_State *L, const char *name, int64_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

static void push_one(void *ud, const struct moon_http_shared *s) {
    lua_State *L = ud; /* 1: the list */
    lua_createtable(L, 0, 5);
    lua_pushstring(L, kinds[s->kind]);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, s->key);
    lua_setfield(L, -2, "key");
    set_integer(L, "until_ms", s->until_wall_ns / MOON_NS_PER_MS);
    if (s->kind == MOON_HTTP_SHARED_PACER) {
        set_integer(L, "left", s->left);
        set_integer(L, "allowed", s->allowed);
    } else if (s->kind == MOON_HTTP_SHARED_BREAKER) {
        lua_pushstring(L, moon_breaker_state_name((enum moon_breaker_state)s->state));
        lua_setfield(L, -2, "state");
        set_integer(L, "trips", s->trips);
    }
    lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
}

/* host.shared() -> list of {kind, key, until_ms, ...} */
int l_host_shared(lua_State *L) {
    struct moon_http *http = moon_host_services(moon_host_of(L))->http;
    lua_settop(L, 0);
    lua_newtable(L);
    if (http)
        moon_http_shared_each(http, push_one, L);
    return 1;
}

/* host.shared_changes() -> how often a breaker's state has changed since the start */
int l_host_shared_changes(lua_State *L) {
    struct moon_http *http = moon_host_services(moon_host_of(L))->http;
    lua_pushinteger(L, http ? (lua_Integer)moon_http_shared_changes(http) : 0);
    return 1;
}

static int64_t integer_at(lua_State *L, const char *name, int64_t most) {
    lua_getfield(L, 1, name);
    int64_t n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return n < 0 ? 0 : n < most ? n : most;
}

/* What stands in a store was written by somebody: anything may be in it. -1: nothing that is known. */
static int state_of(const char *name) {
    for (int state = MOON_BREAKER_CLOSED; name && state <= MOON_BREAKER_HALF_OPEN; state++)
        if (strcmp(name, moon_breaker_state_name((enum moon_breaker_state)state)) == 0)
            return state;
    return -1;
}

static int kind_of(const char *name) {
    for (int kind = 0; name && kinds[kind]; kind++)
        if (strcmp(name, kinds[kind]) == 0)
            return kind;
    return -1;
}

/* host.adopt{kind, key, until_ms, ...} -> whether that changed anything */
int l_host_adopt(lua_State *L) {
    struct moon_http *http = moon_host_services(moon_host_of(L))->http;
    struct moon_http_shared s = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "kind"); /* 2 */
    lua_getfield(L, 1, "key");  /* 3: keeps the text */
    lua_getfield(L, 1, "state");
    int kind = kind_of(lua_tostring(L, 2)), state = state_of(lua_tostring(L, 4));
    bool known = kind >= 0 && (kind != MOON_HTTP_SHARED_BREAKER || state >= 0);
    s.key = lua_tostring(L, 3);
    s.kind = known ? (enum moon_http_shared_kind)kind : MOON_HTTP_SHARED_BREAKER;
    s.state = state >= 0 ? state : 0;
    s.until_wall_ns = integer_at(L, "until_ms", WALL_MAX_MS) * MOON_NS_PER_MS;
    s.trips = (int)integer_at(L, "trips", 1000);
    s.left = integer_at(L, "left", INT64_MAX);
    s.allowed = integer_at(L, "allowed", INT64_MAX);
    lua_pushboolean(L, http && s.key && known && moon_http_shared_adopt(http, &s));
    return 1;
}
