/* l_json_record.c - records: objects whose keys are known beforehand. Their order and their text are made once, so that
 * writing one neither walks its table nor sorts. */
#include "l_json.h"

#include "moongate/json.h"

#include <lauxlib.h>

#include <string.h>

#define KEYS_MAX 64

static const char record_key; /* its address is the key in the metatable of a record */

static void read_names(lua_State *L, struct moon_json_entry *entries, int *n) {
    for (*n = 0; lua_rawgeti(L, 1, *n + 1) == LUA_TSTRING; (*n)++) {
        luaL_argcheck(L, *n < KEYS_MAX, 1, "too many keys");
        entries[*n].key = lua_tolstring(L, -1, &entries[*n].len);
        entries[*n].slot = *n + 1;
        lua_pop(L, 1); /* the table holds it */
    }
    luaL_argcheck(L, lua_isnil(L, -1) && *n > 0, 1, "a list of keys");
    lua_pop(L, 1);
}

/* Pushes ,"key": */
static void push_text(lua_State *L, struct moon_buf *b, const struct moon_json_entry *key) {
    moon_buf_clear(b);
    if (moon_buf_putc(b, ',') != 0 || moon_json_put_string(b, key->key, key->len) != 0 || moon_buf_putc(b, ':') != 0)
        luaL_error(L, "json.record: a key is not valid UTF-8, or out of memory");
    lua_pushlstring(L, b->data, b->len);
}

/* Upvalue 1: the metatable. */
static int l_mark(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    if (lua_getmetatable(L, 1))
        luaL_argcheck(L, lua_rawequal(L, -1, 2), 1, "it has a metatable already");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* The list of a record, in canonical order: key, text, key, text, ... */
int moon_lua_json_record_new(lua_State *L, struct moon_buf *b) {
    struct moon_json_entry entries[KEYS_MAX + 1];
    int n;
    luaL_checktype(L, 1, LUA_TTABLE);
    read_names(L, entries, &n);
    moon_json_sort(entries, (size_t)n);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "record");
    lua_setfield(L, -2, "__metatable");
    lua_createtable(L, 2 * n, 0);
    for (int i = 0; i < n; i++) {
        luaL_argcheck(L, i == 0 || strcmp(entries[i - 1].key, entries[i].key) != 0, 1, "a key comes twice");
        lua_pushlstring(L, entries[i].key, entries[i].len);
        lua_rawseti(L, -2, 2 * i + 1);
        push_text(L, b, &entries[i]);
        lua_rawseti(L, -2, 2 * i + 2);
    }
    lua_rawsetp(L, -2, &record_key);
    lua_pushcclosure(L, l_mark, 1);
    return 1;
}

bool moon_lua_json_push_record(lua_State *L, int metatable) {
    if (lua_rawgetp(L, metatable, &record_key) == LUA_TTABLE)
        return true;
    lua_pop(L, 1);
    return false;
}
