/* l_validate_lua.c - Lua values as what a schema checks. A walk keeps a key and a value on the stack. */
#include "l_validate_lua.h"

#include "l_json.h"

#include <math.h>

/* ---- one value ---- */

static void table_view(const struct moon_lua_values *lua, int idx, struct moon_schema_view *out) {
    lua_State *L = lua->L;
    if (!lua_checkstack(L, 3))
        return;
    if (!moon_lua_json_marked(L, idx, lua->array_id)) {
        lua_pushnil(L);
        if (lua_next(L, idx) == 0) {
            out->type = MOON_JSON_OBJECT;
            return;
        }
        bool array = lua_type(L, -2) == LUA_TNUMBER;
        lua_pop(L, 2);
        if (!array) {
            out->type = MOON_JSON_OBJECT;
            return;
        }
    }
    out->type = MOON_JSON_ARRAY;
    out->len = lua_rawlen(L, idx);
}

static void lua_view(void *ud, struct moon_schema_node node, struct moon_schema_view *out) {
    const struct moon_lua_values *lua = ud;
    lua_State *L = lua->L;
    int idx = node.index;
    out->type = MOON_JSON_END;
    out->len = 0;
    switch (lua_type(L, idx)) {
    case LUA_TBOOLEAN:
        out->type = lua_toboolean(L, idx) ? MOON_JSON_TRUE : MOON_JSON_FALSE;
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx)) {
            out->type = MOON_JSON_INT;
            out->integer = lua_tointeger(L, idx);
        } else if (isfinite(lua_tonumber(L, idx))) {
            out->type = MOON_JSON_NUMBER;
            out->number = lua_tonumber(L, idx);
        }
        break;
    case LUA_TSTRING:
        out->type = MOON_JSON_STRING;
        out->text = lua_tolstring(L, idx, &out->len);
        break;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, idx) == NULL)
            out->type = MOON_JSON_NULL;
        break;
    case LUA_TTABLE:
        table_view(lua, idx, out);
        break;
    default:
        break;
    }
}

/* ---- walks: mark is the top below the key ---- */

#define NO_ROOM (-1)

static void lua_walk(void *ud, struct moon_schema_node node, bool object, struct moon_schema_walk *w) {
    lua_State *L = ((struct moon_lua_values *)ud)->L;
    w->parent.index = node.index;
    w->parent.ptr = NULL; /* set: an array walked by index, because lua_next goes another way */
    w->at = SIZE_MAX;
    w->object = object;
    w->mark = lua_checkstack(L, 6) ? lua_gettop(L) : NO_ROOM;
    if (w->mark != NO_ROOM)
        lua_pushnil(L);
}

static int end(lua_State *L, const struct moon_schema_walk *w, int result) {
    lua_settop(L, w->mark);
    return result;
}

/* Whether the keys are 1..n in any order. */
static bool is_sequence(lua_State *L, int idx) {
    lua_Integer n = 0, max = 0;
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1) {
            lua_pop(L, 2);
            return false;
        }
        n++;
        if (lua_tointeger(L, -2) > max)
            max = lua_tointeger(L, -2);
    }
    return n == max;
}

/* The item at w->at by its index; the stack has the mark's height and a slot for the key. */
static int item(lua_State *L, struct moon_schema_walk *w) {
    lua_settop(L, w->mark + 1);
    if (lua_rawgeti(L, w->parent.index, (lua_Integer)w->at + 1) == LUA_TNIL)
        return end(L, w, 0);
    w->child.index = w->mark + 2;
    return 1;
}

static int lua_walk_next(void *ud, struct moon_schema_walk *w) {
    lua_State *L = ((struct moon_lua_values *)ud)->L;
    if (w->mark == NO_ROOM)
        return MOON_ENOMEM;
    w->at++;
    if (w->parent.ptr != NULL)
        return item(L, w);
    lua_settop(L, w->mark + 1);
    if (lua_next(L, w->parent.index) == 0)
        return 0;
    w->child.index = w->mark + 2;
    if (w->object) {
        if (lua_type(L, -2) != LUA_TSTRING)
            return end(L, w, MOON_EINVAL);
        w->key = lua_tolstring(L, -2, &w->key_len);
        return 1;
    }
    if (lua_isinteger(L, -2) && lua_tointeger(L, -2) == (lua_Integer)w->at + 1)
        return 1;
    if (!is_sequence(L, w->parent.index))
        return end(L, w, MOON_EINVAL);
    w->parent.ptr = w;
    return item(L, w);
}

static void lua_leave(void *ud, struct moon_schema_walk *w) {
    if (w->mark != NO_ROOM)
        end(((struct moon_lua_values *)ud)->L, w, 0);
}

static int lua_canonical(void *ud, struct moon_schema_node node, struct moon_buf *out) {
    struct moon_lua_json_encoding how = {.wide_integers = true};
    int rc = moon_lua_json_encode_as(((struct moon_lua_values *)ud)->L, node.index, out, &how, NULL);
    return rc == 0 || rc == MOON_ENOMEM ? rc : MOON_EINVAL;
}

const struct moon_schema_ops moon_lua_schema_ops = {lua_view, lua_walk, lua_walk_next, lua_leave, lua_canonical};
