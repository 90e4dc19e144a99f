/* l_store_call.c - between Lua values and calls of a store: parameters in, rows out. */
#include "l_store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define L_STORE_WAIT "moongate.store.wait"
#define PARAMS_MAX   999

/* ---- waits ---- */

/* __gc and __close */
static int l_wait_close(lua_State *L) {
    struct l_store_wait *w = luaL_checkudata(L, 1, L_STORE_WAIT);
    struct moon_store_ticket *t = w->ticket;
    w->ticket = NULL;
    moon_store_ticket_free(t);
    return 0;
}

struct l_store_wait *l_store_wait_new(lua_State *L, int at) {
    struct moon_err err;
    struct l_store_wait *w = lua_newuserdatauv(L, sizeof *w, 0);
    memset(w, 0, sizeof *w);
    luaL_setmetatable(L, L_STORE_WAIT);
    lua_insert(L, at);
    lua_toclose(L, at);
    w->ticket = moon_store_ticket_new();
    if (w->ticket)
        return w;
    moon_err_set(&err, MOON_ENOMEM, "out of memory");
    moon_fail(L, &err);
    return NULL;
}

void l_store_wake(void *wait) {
    const struct l_store_wait *w = wait;
    moon_task_wake(w->wake);
}

/* ---- parameters ---- */

static void check_memory(lua_State *L, int rc) {
    if (rc != 0)
        luaL_error(L, "not enough memory");
}

/* The highest $N of a statement. */
static int count_params(lua_State *L, const char *sql) {
    long most = 0;
    for (const char *p = sql; (p = strchr(p, '$')) != NULL; p++) {
        long n = strtol(p + 1, NULL, 10);
        most = n > most ? n : most;
    }
    if (most > PARAMS_MAX)
        luaL_error(L, "store: at most %d parameters", PARAMS_MAX);
    return (int)most;
}

/* A float that is a whole number goes as one: a bigint column takes it, and so does a column of floats. */
static int add_number(lua_State *L, struct moon_store_call *c, int idx, int param) {
    lua_Integer n;
    lua_Number x = lua_tonumber(L, idx);
    if (!lua_isinteger(L, idx) && !isfinite(x))
        luaL_error(L, "store: parameter $%d is not a finite number", param);
    n = lua_tointeger(L, idx);
    if (lua_isinteger(L, idx) || (lua_numbertointeger(x, &n) && (lua_Number)n == x))
        return moon_store_add_integer(c, n);
    return moon_store_add_real(c, x);
}

/* The value on the top of the stack; pops it. */
static void add_top(lua_State *L, struct moon_store_call *c, int param) {
    size_t len;
    const char *text;
    switch (lua_type(L, -1)) {
    case LUA_TNONE:
    case LUA_TNIL:
        check_memory(L, moon_store_add_null(c));
        break;
    case LUA_TBOOLEAN:
        check_memory(L, moon_store_add_integer(c, lua_toboolean(L, -1)));
        break;
    case LUA_TNUMBER:
        check_memory(L, add_number(L, c, -1, param));
        break;
    case LUA_TSTRING:
        text = lua_tolstring(L, -1, &len);
        if (memchr(text, '\0', len))
            luaL_error(L, "store: parameter $%d contains a NUL", param);
        check_memory(L, moon_store_add_text(c, text, len));
        break;
    default:
        luaL_error(L, "store: parameter $%d is a %s: nil, a boolean, a number or a string is needed", param,
                   luaL_typename(L, -1));
    }
    lua_pop(L, 1);
}

void l_store_decode_stack(lua_State *L, struct moon_store_call *c, int sql) {
    size_t len;
    const char *text = luaL_checklstring(L, sql, &len);
    int given = lua_gettop(L) - sql, wanted = count_params(L, text);
    if (given > wanted)
        luaL_error(L, "store: %d values for %d parameters", given, wanted);
    check_memory(L, moon_store_add(c, text, len, -1));
    for (int i = 1; i <= wanted; i++) {
        if (i <= given)
            lua_pushvalue(L, sql + i);
        else
            lua_pushnil(L);
        add_top(L, c, i);
    }
}

static int64_t decode_expect(lua_State *L, int idx) {
    int64_t n = -1;
    if (lua_getfield(L, idx, "expect") != LUA_TNIL) {
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0)
            luaL_error(L, "store: expect is a number of rows");
        n = lua_tointeger(L, -1);
    }
    lua_pop(L, 1);
    return n;
}

/* A nil among the values makes a hole in the table: SQL says how many there are. */
static void decode_statement(lua_State *L, struct moon_store_call *c, int idx) {
    size_t len;
    if (lua_type(L, idx) != LUA_TTABLE || lua_geti(L, idx, 1) != LUA_TSTRING)
        luaL_error(L, "store: a batch is a list of {sql, ...}");
    const char *text = lua_tolstring(L, -1, &len);
    int wanted = count_params(L, text);
    if (lua_rawlen(L, idx) > (size_t)wanted + 1)
        luaL_error(L, "store: %d values for %d parameters", (int)lua_rawlen(L, idx) - 1, wanted);
    check_memory(L, moon_store_add(c, text, len, decode_expect(L, idx)));
    for (int i = 1; i <= wanted; i++) {
        lua_geti(L, idx, i + 1);
        add_top(L, c, i);
    }
    lua_pop(L, 1);
}

void l_store_decode_batch(lua_State *L, struct moon_store_call *c, int idx) {
    luaL_checktype(L, idx, LUA_TTABLE);
    for (lua_Integer i = 1, n = luaL_len(L, idx); i <= n; i++) {
        lua_geti(L, idx, i);
        decode_statement(L, c, lua_gettop(L));
        lua_pop(L, 1);
    }
}

/* ---- rows ---- */

static void push_value(lua_State *L, const struct moon_store_call *c, const struct moon_store_value *v) {
    switch (v->type) {
    case MOON_STORE_INTEGER:
        lua_pushinteger(L, v->integer);
        break;
    case MOON_STORE_REAL:
        lua_pushnumber(L, v->real);
        break;
    case MOON_STORE_TEXT:
        lua_pushlstring(L, c->text.data + v->text.at, v->text.len);
        break;
    case MOON_STORE_NULL:
        lua_pushnil(L);
        break;
    }
}

void l_store_push_rows(lua_State *L, const struct moon_store_call *c, const struct moon_store_statement *st) {
    int columns = (int)st->columns, names = lua_gettop(L) + 1;
    const char *name = c->text.data + st->names;
    luaL_checkstack(L, columns + 6, "too many columns");
    for (int i = 0; i < columns; i++, name += strlen(name) + 1)
        lua_pushstring(L, name);
    lua_createtable(L, (int)st->rows, 1);
    for (size_t row = 0; row < st->rows; row++) {
        lua_createtable(L, 0, columns);
        for (int i = 0; i < columns; i++) {
            lua_pushvalue(L, names + i);
            push_value(L, c, &c->values[st->first_cell + row * st->columns + (size_t)i]);
            lua_rawset(L, -3);
        }
        lua_rawseti(L, -2, (lua_Integer)row + 1);
    }
    lua_pushinteger(L, st->changes);
    lua_setfield(L, -2, "changes");
    if (columns > 0) {
        lua_replace(L, names);
        lua_settop(L, names);
    }
}

static const luaL_Reg meta[] = {{"__gc", l_wait_close}, {"__close", l_wait_close}, {NULL, NULL}};

void l_store_call_setup(lua_State *L) {
    if (luaL_newmetatable(L, L_STORE_WAIT))
        luaL_setfuncs(L, meta, 0);
    lua_pop(L, 1);
}
