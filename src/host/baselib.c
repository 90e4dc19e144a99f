/* baselib.c - Lua's own libraries as they are here, for trusted code and scripts alike: no io, os, package or debug;
 * source text only, no bytecode; tasks can't be resumed or closed from the outside; the string metatable is locked. */
#include "host_private.h"

#include <lualib.h>
#include <string.h>

/* ---- base ---- */

/* load(chunk [, name [, mode [, env]]]): mode is always "t". Upvalue 1: Lua's own. */
static int base_load(lua_State *L) {
    lua_CFunction load = lua_tocfunction(L, lua_upvalueindex(1));
    if (lua_gettop(L) < 3)
        lua_settop(L, 3);
    lua_pushliteral(L, "t");
    lua_replace(L, 3);
    return load(L);
}

/* Replaces field name of the library at the top by fn, which gets the original as upvalue. */
static void wrap(lua_State *L, const char *name, lua_CFunction fn) {
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, name);
}

static void drop(lua_State *L, const char *const names[]) {
    for (int i = 0; names[i]; i++) {
        lua_pushnil(L);
        lua_setfield(L, -2, names[i]);
    }
}

void host_open_libs(lua_State *L) {
    static const luaL_Reg libs[] = {{LUA_GNAME, luaopen_base},
                                    {LUA_COLIBNAME, luaopen_coroutine},
                                    {LUA_TABLIBNAME, luaopen_table},
                                    {LUA_STRLIBNAME, luaopen_string},
                                    {LUA_MATHLIBNAME, luaopen_math},
                                    {LUA_UTF8LIBNAME, luaopen_utf8},
                                    {NULL, NULL}};
    for (const luaL_Reg *lib = libs; lib->func; lib++) {
        luaL_requiref(L, lib->name, lib->func, 1);
        lua_pop(L, 1);
    }
    lua_pushglobaltable(L);
    drop(L, (const char *const[]){"dofile", "loadfile", NULL});
    wrap(L, "load", base_load);
    lua_pushcfunction(L, host_require);
    lua_setfield(L, -2, "require");

    lua_getfield(L, -1, LUA_COLIBNAME);
    host_open_coroutines(L);
    lua_pop(L, 1);

    lua_getfield(L, -1, LUA_STRLIBNAME);
    drop(L, (const char *const[]){"dump", NULL});
    lua_pop(L, 2);

    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}
