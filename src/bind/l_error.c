/* l_error.c - Lua module "error": error objects made by Lua code.  Types: lua/meta/error.lua */
#include "moongate/host.h"

static const char *const fields[] = {"code",    "message",  "status",      "method",    "path",  "correlation_id",
                                     "details", "attempts", "outcome",     "hint",      "where", "gateway_code",
                                     "value",   "class",    "retry_after", "traceback", NULL};

/* error.new{code=, message=, ...} -> error object */
static int l_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    moon_check_options(L, 1, fields);
    lua_getfield(L, 1, "code");
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "code: a string is required");
    lua_getfield(L, 1, "message");
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "message: a string is required");
    lua_newtable(L);
    for (int i = 0; fields[i]; i++) {
        lua_getfield(L, 1, fields[i]);
        lua_setfield(L, -2, fields[i]);
    }
    luaL_setmetatable(L, MOON_ERROR_MT);
    return 1;
}

/* error.is(v) -> boolean */
static int l_is(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, moon_error_is(L, 1));
    return 1;
}

static const luaL_Reg funcs[] = {{"new", l_new}, {"is", l_is}, {NULL, NULL}};

int luaopen_moongate_error(lua_State *L);
int luaopen_moongate_error(lua_State *L) {
    luaL_newlib(L, funcs);
    return 1;
}
