/* bind_udata.h - the check of a userdata that comes with every request: luaL_checkudata looks for the metatable by its
 * name each time, which takes longer than most of the methods behind it. */
#ifndef MOONGATE_BIND_UDATA_H
#define MOONGATE_BIND_UDATA_H

#include <lauxlib.h>
#include <stdbool.h>

/* After luaL_newmetatable(L, name): key, an address, stands for the name from here on. */
static inline void bind_udata_setup(lua_State *L, const char *name, const void *key) {
    luaL_getmetatable(L, name);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

/* As luaL_checkudata. */
static inline void *bind_udata(lua_State *L, int idx, const char *name, const void *key) {
    void *p = lua_touserdata(L, idx);
    if (p && lua_getmetatable(L, idx)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, key);
        bool same = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
        if (same)
            return p;
    }
    return luaL_checkudata(L, idx, name);
}

#endif
