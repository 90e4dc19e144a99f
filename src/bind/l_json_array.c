/* l_json_array.c - the mark that makes a table a JSON array: one metatable a state, kept in the registry. */
#include "l_json.h"

static const char array_key; /* its address is the key */

void moon_lua_json_push_array_mt(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "array");
    lua_setfield(L, -2, "__name");
    lua_pushliteral(L, "array"); /* scripts see this, and can't change the metatable that all arrays share */
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
}

const void *moon_lua_json_array_id(lua_State *L) {
    if (!lua_checkstack(L, 1))
        return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    const void *id = lua_topointer(L, -1);
    lua_pop(L, 1);
    return id;
}

bool moon_lua_json_marked(lua_State *L, int idx, const void *array_id) {
    if (array_id == NULL || !lua_checkstack(L, 1) || !lua_getmetatable(L, idx))
        return false;
    bool marked = lua_topointer(L, -1) == array_id;
    lua_pop(L, 1);
    return marked;
}
