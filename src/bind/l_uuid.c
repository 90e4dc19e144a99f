/* l_uuid.c - Lua module "uuid" over moongate/uuid.h.  Types: lua/meta/uuid.lua */
#include "moongate/host.h"
#include "moongate/loop.h"
#include "moongate/uuid.h"

#include <string.h>

/* uuid.v4() -> string */
static int l_v4(lua_State *L) {
    char text[MOON_UUID_SIZE];
    moon_uuid_v4(moon_host_services(moon_host_of(L))->rng, text);
    lua_pushlstring(L, text, MOON_UUID_SIZE - 1);
    return 1;
}

/* uuid.v7() -> string; upvalue 1: the clock that keeps them in order */
static int l_v7(lua_State *L) {
    const struct moon_services *s = moon_host_services(moon_host_of(L));
    struct moon_uuid_clock *clock = lua_touserdata(L, lua_upvalueindex(1));
    char text[MOON_UUID_SIZE];
    moon_uuid_v7(clock, s->rng, moon_wall_ns(moon_loop_clock(s->loop)), text);
    lua_pushlstring(L, text, MOON_UUID_SIZE - 1);
    return 1;
}

/* uuid.v5(namespace, name: a string, or an integer's digits) -> string */
static int l_v5(lua_State *L) {
    size_t space_len, len;
    unsigned char space[16];
    char text[MOON_UUID_SIZE];
    const char *s = luaL_checklstring(L, 1, &space_len), *name = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, moon_uuid_parse(s, space_len, space) == 0, 1, "the text of a UUID expected");
    moon_uuid_v5(space, name, len, text);
    lua_pushlstring(L, text, MOON_UUID_SIZE - 1);
    return 1;
}

/* uuid.is(v) -> boolean */
static int l_is(lua_State *L) {
    size_t len = 0;
    luaL_checkany(L, 1);
    const char *s = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &len) : NULL;
    lua_pushboolean(L, s && moon_uuid_is(s, len));
    return 1;
}

static const luaL_Reg funcs[] = {{"v4", l_v4}, {"v5", l_v5}, {"is", l_is}, {NULL, NULL}};

int luaopen_moongate_uuid(lua_State *L);
int luaopen_moongate_uuid(lua_State *L) {
    luaL_newlib(L, funcs);
    struct moon_uuid_clock *clock = lua_newuserdatauv(L, sizeof *clock, 0);
    memset(clock, 0, sizeof *clock);
    lua_pushcclosure(L, l_v7, 1);
    lua_setfield(L, -2, "v7");
    return 1;
}
