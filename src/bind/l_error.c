/* l_error.c - Lua module "error": error objects made by Lua code.  Types: lua/meta/error.lua */
#include "moongate/host.h"

/* Raises unless the field of the table at 1 is a string. */
static void check_text(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_argerror(L, 1, lua_pushfstring(L, "%s: a string is required", name));
    lua_pop(L, 1);
}

/* error.new{code=, message=, ...} -> error object with all the fields */
static int l_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    check_text(L, "code");
    check_text(L, "message");
    lua_settop(L, 1);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 2);
    }
    luaL_setmetatable(L, MOON_ERROR_MT);
    return 1;
}

/* error.raise{code=, message=, ...}: what new makes, raised */
static int l_raise(lua_State *L) {
    l_new(L);
    return lua_error(L);
}

/* error.is(v) -> boolean */
static int l_is(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, moon_error_is(L, 1));
    return 1;
}

static const luaL_Reg funcs[] = {{"new", l_new}, {"raise", l_raise}, {"is", l_is}, {NULL, NULL}};

int luaopen_moongate_error(lua_State *L);
int luaopen_moongate_error(lua_State *L) {
    luaL_newlib(L, funcs);
    return 1;
}
