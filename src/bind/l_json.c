/* l_json.c - Lua module "json": encode, decode, null, array, is_array. Types: lua/meta/json.lua
 * The codec itself: l_json_encode.c, l_json_decode.c. */
#include "l_json.h"

#include "moongate/host.h"
#include "moongate/json.h"

#define L_BUFFER   "moongate.json.buffer"
#define KEEP_BYTES 65536 /* a larger buffer is given back after use */

int luaopen_moongate_json(lua_State *L);

/* ---- the buffer of encode, kept between calls ---- */

struct l_buffer {
    struct moon_buf buf;
    bool busy;
};

static int l_buffer_gc(lua_State *L) {
    struct l_buffer *b = luaL_checkudata(L, 1, L_BUFFER);
    moon_buf_release(&b->buf);
    return 0;
}

static void buffer_new(lua_State *L) {
    struct l_buffer *b = lua_newuserdatauv(L, sizeof *b, 0);
    moon_buf_init(&b->buf);
    b->busy = false;
    if (luaL_newmetatable(L, L_BUFFER)) {
        lua_pushcfunction(L, l_buffer_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
}

/* The kept buffer is taken when a finalizer encodes while we do, or when an error left it so: then a new one takes its
 * place. Anchored at the top of the stack. [-0, +1, m] */
static struct l_buffer *buffer_take(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    struct l_buffer *b = lua_touserdata(L, -1);
    if (b->busy) {
        lua_pop(L, 1);
        buffer_new(L);
        lua_pushvalue(L, -1);
        lua_replace(L, lua_upvalueindex(1));
        b = lua_touserdata(L, -1);
    }
    b->busy = true;
    moon_buf_clear(&b->buf);
    return b;
}

static void buffer_give(struct l_buffer *b) {
    if (b->buf.cap > KEEP_BYTES)
        moon_buf_release(&b->buf);
    b->busy = false;
}

/* ---- functions ---- */

/* Whether the options at idx say lenient = true. Other names are errors. */
static bool is_lenient(lua_State *L, int idx) {
    static const char *const names[] = {"lenient", NULL};
    if (lua_isnoneornil(L, idx))
        return false;
    luaL_checktype(L, idx, LUA_TTABLE);
    moon_check_options(L, idx, names);
    lua_getfield(L, idx, "lenient");
    bool lenient = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return lenient;
}

/* json.encode(value [, {lenient=}]) -> string | nil, err (err.where: JSON Pointer) */
static int l_encode(lua_State *L) {
    struct moon_lua_json_encoding how = {.wide_integers = false};
    struct moon_err err;
    luaL_checkany(L, 1);
    how.lenient = how.wide_integers = is_lenient(L, 2);
    lua_settop(L, 1);
    struct l_buffer *b = buffer_take(L);
    if (moon_lua_json_encode_as(L, 1, &b->buf, &how, &err) != 0) {
        buffer_give(b);
        moon_fail(L, &err);
        lua_pushstring(L, how.pointer);
        lua_setfield(L, -2, "where");
        return 2;
    }
    lua_pushlstring(L, b->buf.data, b->buf.len);
    buffer_give(b);
    return 1;
}

/* json.record({keys}) -> mark(t) -> t */
static int l_record(lua_State *L) {
    lua_settop(L, 1);
    struct l_buffer *b = buffer_take(L);
    b->busy = false; /* no finalizer that encodes would find it half done: it is filled and read in one go */
    return moon_lua_json_record_new(L, &b->buf);
}

static void decoding_options(lua_State *L, int idx, struct moon_lua_json_decoding *how) {
    static const char *const names[] = {"max_depth", "safe_integers", "lenient", NULL};
    how->max_depth = 0;
    how->safe_integers = how->lenient = false;
    if (lua_isnoneornil(L, idx))
        return;
    luaL_checktype(L, idx, LUA_TTABLE);
    moon_check_options(L, idx, names);
    if (lua_getfield(L, idx, "max_depth") != LUA_TNIL) {
        int ok;
        lua_Integer depth = lua_tointegerx(L, -1, &ok);
        if (!ok || depth < 1 || depth > MOON_JSON_DEPTH)
            luaL_argerror(L, idx, lua_pushfstring(L, "max_depth: an integer in 1..%d is wanted", MOON_JSON_DEPTH));
        how->max_depth = (int)depth;
    }
    lua_getfield(L, idx, "safe_integers");
    how->safe_integers = lua_toboolean(L, -1);
    lua_getfield(L, idx, "lenient");
    how->lenient = lua_toboolean(L, -1);
    lua_pop(L, 3);
}

/* json.decode(text [, {max_depth=, safe_integers=, lenient=}]) -> value | nil, err (err.line, err.column) */
static int l_decode(lua_State *L) {
    struct moon_lua_json_decoding how;
    struct moon_err err;
    size_t len;
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *text = lua_tolstring(L, 1, &len);
    decoding_options(L, 2, &how);
    if (moon_lua_json_decode_as(L, text, len, &how, &err) == 0)
        return 1;
    moon_fail(L, &err);
    if (err.code != MOON_ENOMEM) {
        lua_pushinteger(L, (lua_Integer)how.line);
        lua_setfield(L, -2, "line");
        lua_pushinteger(L, (lua_Integer)how.column);
        lua_setfield(L, -2, "column");
    }
    return 2;
}

/* json.array([t]) -> t, marked as an array */
static int l_array(lua_State *L) {
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_getmetatable(L, 1)) {
        luaL_argcheck(L, lua_topointer(L, -1) == moon_lua_json_array_id(L), 1, "it has a metatable already");
        lua_pop(L, 1);
        return 1;
    }
    moon_lua_json_push_array_mt(L);
    lua_setmetatable(L, 1);
    return 1;
}

/* json.is_array(v) -> whether encode writes v as an array */
static int l_is_array(lua_State *L) {
    lua_Integer n = 0;
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (!lua_istable(L, 1) || moon_lua_json_marked(L, 1, moon_lua_json_array_id(L))) {
        lua_pushboolean(L, lua_istable(L, 1));
        return 1;
    }
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1))
        n++;
    bool array = n > 0;
    for (lua_pushnil(L); array && lua_next(L, 1) != 0; lua_pop(L, 1))
        array = lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= n;
    lua_pushboolean(L, array);
    return 1;
}

static const luaL_Reg funcs[] = {{"decode", l_decode}, {"array", l_array}, {"is_array", l_is_array}, {NULL, NULL}};

int luaopen_moongate_json(lua_State *L) {
    luaL_newlib(L, funcs);
    buffer_new(L);
    lua_pushcclosure(L, l_encode, 1);
    lua_setfield(L, -2, "encode");
    buffer_new(L);
    lua_pushcclosure(L, l_record, 1);
    lua_setfield(L, -2, "record");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
