/* l_cjson.c - the module "cjson": lua-cjson's own encode, decode and null, for scripts written for it, and nothing else
 * of it. Its settings are left out: they are shared by the whole state, and decode_max_depth lets a script overflow the
 * C stack. Types: lua/meta/cjson.lua. Why json is another codec: docs/design.md */
#include <lauxlib.h>
#include <lua.h>

#include <lua-cjson.h>

int luaopen_moongate_cjson(lua_State *L);

int luaopen_moongate_cjson(lua_State *L) {
    static const char *const kept[] = {"encode", "decode", "null", NULL};
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, luaopen_cjson);
    lua_call(L, 0, 1);
    for (int i = 0; kept[i] != NULL; i++) {
        lua_getfield(L, -1, kept[i]);
        lua_setfield(L, -3, kept[i]);
    }
    lua_pop(L, 1);
    return 1;
}
