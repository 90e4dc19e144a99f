/* l_time.c - Lua module "time" over moongate/clock.h: the loop's clocks, which are virtual in tests.  Types:
 * lua/meta/time.lua */
#include "moongate/clock.h"
#include "moongate/host.h"
#include "moongate/http_date.h"
#include "moongate/loop.h"

#include <math.h>

static const struct moon_clock *clock_of(lua_State *L) {
    return moon_loop_clock(moon_host_services(moon_host_of(L))->loop);
}

/* Seconds since 1970 at idx as nanoseconds; now when absent. Years 1970 to 9999, up to 2262 where int64 ends. */
static int64_t wall_arg(lua_State *L, int idx) {
    lua_Number s;
    if (lua_isnoneornil(L, idx))
        return moon_wall_ns(clock_of(L));
    s = luaL_checknumber(L, idx);
    luaL_argcheck(L, s >= 0 && s < 9.2e9, idx, "seconds since 1970");
    /* in two steps, so that the milliseconds of 1700000000.123 survive the double */
    return (int64_t)floor(s) * MOON_NS_PER_S + (int64_t)llround((s - floor(s)) * 1e6) * 1000;
}

/* time.now() -> seconds since 1970 */
static int l_now(lua_State *L) {
    lua_pushnumber(L, (lua_Number)moon_wall_ns(clock_of(L)) / (lua_Number)MOON_NS_PER_S);
    return 1;
}

/* time.monotonic() -> seconds from an arbitrary start */
static int l_monotonic(lua_State *L) {
    lua_pushnumber(L, (lua_Number)moon_mono_ns(clock_of(L)) / (lua_Number)MOON_NS_PER_S);
    return 1;
}

/* time.iso([seconds]) -> "2026-11-20T07:31:37.042Z" */
static int l_iso(lua_State *L) {
    char text[MOON_TIME_SIZE];
    moon_time_format(wall_arg(L, 1), text);
    lua_pushstring(L, text);
    return 1;
}

/* time.parse(text) -> seconds since 1970 | nil, err */
static int l_parse(lua_State *L) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    int64_t ns;
    struct moon_err err;
    if (moon_time_parse(s, len, &ns) != 0) {
        moon_err_set(&err, MOON_EPARSE, "not an RFC 3339 date and time");
        return moon_fail(L, &err);
    }
    lua_pushnumber(L, (lua_Number)ns / (lua_Number)MOON_NS_PER_S);
    return 1;
}

/* time.http_date([seconds]) -> "Sun, 06 Nov 1994 08:49:37 GMT" */
static int l_http_date(lua_State *L) {
    char text[MOON_HTTP_DATE_SIZE];
    moon_http_date_format(wall_arg(L, 1), text);
    lua_pushstring(L, text);
    return 1;
}

static const luaL_Reg funcs[] = {{"now", l_now},     {"monotonic", l_monotonic}, {"iso", l_iso},
                                 {"parse", l_parse}, {"http_date", l_http_date}, {NULL, NULL}};

int luaopen_moongate_time(lua_State *L);
int luaopen_moongate_time(lua_State *L) {
    luaL_newlib(L, funcs);
    return 1;
}
