/* l_validate_lua.h - Lua values on the stack as what a schema checks, without converting them. Private to bind. */
#ifndef MOONGATE_BIND_L_VALIDATE_LUA_H
#define MOONGATE_BIND_L_VALIDATE_LUA_H

#include "moongate/schema.h"

#include <lua.h>

struct moon_lua_values {
    lua_State *L;
    const void *array_id; /* moon_lua_json_array_id */
};

/* ud is a struct moon_lua_values; a node is an absolute stack index. Runs no Lua code; only `canonical` can raise, on
 * Lua memory errors. The stack is as before after a check that returned. */
extern const struct moon_schema_ops moon_lua_schema_ops;

#endif
