/* schema_lua.h - checks JSON text against a schema as the program does: decoded to Lua values, through
 * moon_lua_schema_ops. */
#ifndef MOONGATE_TEST_SCHEMA_LUA_H
#define MOONGATE_TEST_SCHEMA_LUA_H

#include "../../src/bind/l_json.h"
#include "../../src/bind/l_validate_lua.h"

#include "moongate/schema.h"

#include <lauxlib.h>
#include <string.h>

/* As moon_schema_check; *decoded: whether the text is JSON that Lua values can hold, else the code says why not. */
static inline int schema_check_text(const struct moon_schema *schema, const char *text, size_t len, bool *decoded,
                                    struct moon_schema_report *report, struct moon_err *err) {
    lua_State *L = luaL_newstate();
    int rc = L == NULL ? MOON_ENOMEM : moon_lua_json_decode(L, text, len, 0, err);
    *decoded = rc == 0;
    if (rc == 0) {
        struct moon_lua_values values = {L, moon_lua_json_array_id(L)};
        struct moon_schema_node node = {.index = lua_gettop(L)};
        rc = moon_schema_check(schema, &moon_lua_schema_ops, &values, node, report, err);
        if (lua_gettop(L) != node.index) /* a check leaves the stack as it was */
            rc = MOON_EBUG;
    }
    if (L != NULL)
        lua_close(L);
    return rc;
}

#endif
