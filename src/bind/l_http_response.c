/* l_http_response.c - an answer: fields are made when they are asked for; json() reads from the receive buffer. */
#include "l_http.h"

#include "l_json.h"

#include <ctype.h>
#include <string.h>

const char l_http_call_key = 0;

static struct l_http_call *response_arg(lua_State *L) {
    struct l_http_call *c = bind_udata(L, 1, L_HTTP_CALL, &l_http_call_key);
    luaL_argcheck(L, c->result, 1, "the response is closed");
    return c;
}

/* ---- headers: a table with names in lower case, whose __index lowers what it is asked for ---- */

static void push_lower(lua_State *L, const char *s, size_t len) {
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, len);
    for (size_t i = 0; i < len; i++)
        to[i] = (char)tolower((unsigned char)s[i]);
    luaL_pushresultsize(&b, len);
}

static int headers_index(lua_State *L) {
    size_t len;
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    const char *name = lua_tolstring(L, 2, &len);
    push_lower(L, name, len);
    lua_rawget(L, 1);
    return 1;
}

/* Lines of one name are joined, as RFC 9110 5.3 allows. */
static void push_headers(lua_State *L, const struct moon_http_result *r) {
    const char *name, *value;
    size_t pos = 0, nlen, vlen;
    lua_newtable(L);
    while (moon_http_result_next(r, &pos, &name, &nlen, &value, &vlen)) {
        push_lower(L, name, nlen);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TSTRING) {
            lua_pushliteral(L, ", ");
            lua_pushlstring(L, value, vlen);
            lua_concat(L, 3);
        } else {
            lua_pop(L, 1);
            lua_pushlstring(L, value, vlen);
        }
        lua_rawset(L, -3);
    }
    luaL_setmetatable(L, "moongate.http.headers");
}

/* ---- attempts ---- */

void l_http_attempts_push(lua_State *L, const struct moon_http_result *r) {
    lua_createtable(L, r->n_kept, 0);
    for (int i = 0; i < r->n_kept; i++) {
        const struct moon_http_attempt *a = &r->attempts[i];
        lua_createtable(L, 0, 5);
        lua_pushinteger(L, a->n);
        lua_setfield(L, -2, "n");
        if (a->code)
            lua_pushstring(L, moon_code_name(a->code));
        else
            lua_pushinteger(L, a->status);
        lua_setfield(L, -2, a->code ? "error" : "status");
        lua_pushstring(L, moon_fail_class_name(a->cls));
        lua_setfield(L, -2, "class");
        lua_pushnumber(L, (double)a->wait_ns / 1e6);
        lua_setfield(L, -2, "wait_ms");
        lua_pushnumber(L, (double)a->elapsed_ns / 1e6);
        lua_setfield(L, -2, "elapsed_ms");
        lua_rawseti(L, -2, i + 1);
    }
}

/* ---- fields ---- */

enum field {
    F_STATUS = 1,
    F_HEADERS,
    F_BODY,
    F_ATTEMPTS,
    F_ELAPSED,
    F_CORRELATION,
    F_AMBIGUOUS,
    F_OUTCOME,
    F_TRIES,
    F_COUNT
};
static const char *const field_names[F_COUNT] = {
    NULL, "status", "headers", "body", "attempts", "elapsed", "correlation_id", "after_ambiguous", "outcome", "tries",
};

/* Pushes what is made once and kept. */
static void push_kept(lua_State *L, const struct moon_http_result *r, enum field f) {
    if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 2, 0);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, 1);
    }
    if (lua_rawgeti(L, -1, (int)f) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    if (f == F_HEADERS)
        push_headers(L, r);
    else
        l_http_attempts_push(L, r);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (int)f);
}

static void push_field(lua_State *L, const struct moon_http_result *r, enum field f) {
    size_t len;
    const char *s;
    switch (f) {
    case F_STATUS:
        lua_pushinteger(L, r->status);
        break;
    case F_BODY:
        lua_pushlstring(L, r->body.len ? r->body.data : "", r->body.len);
        break;
    case F_ELAPSED:
        lua_pushnumber(L, (double)r->elapsed_ns / 1e9);
        break;
    case F_CORRELATION:
        s = moon_http_correlation_id(r, &len);
        if (s)
            lua_pushlstring(L, s, len);
        else
            lua_pushnil(L);
        break;
    case F_AMBIGUOUS:
        lua_pushboolean(L, r->after_ambiguous);
        break;
    case F_OUTCOME:
        lua_pushstring(L, r->outcome);
        break;
    case F_TRIES:
        lua_pushinteger(L, r->n_attempts);
        break;
    default:
        push_kept(L, r, f);
    }
}

/* Upvalue 1: name -> field number or method. */
static int l_index(lua_State *L) {
    struct l_http_call *c = bind_udata(L, 1, L_HTTP_CALL, &l_http_call_key);
    lua_settop(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNUMBER)
        return 1;
    if (!c->result)
        return 0;
    push_field(L, c->result, (enum field)lua_tointeger(L, 2));
    return 1;
}

/* response:json() -> value | nil, err */
static int l_json(lua_State *L) {
    const struct moon_http_result *r = response_arg(L)->result;
    struct moon_err err, told;
    if (moon_lua_json_decode_lenient(L, r->body.len ? r->body.data : "", r->body.len, &err) == 0)
        return 1;
    moon_err_set(&told, err.code, "the answer is not JSON: %s", r->body.len ? err.message : "it is empty");
    return moon_fail(L, &told);
}

/* __gc. A response that is closed by its task's end is one that nobody has got. */
static int l_gc(lua_State *L) {
    struct l_http_call *c = bind_udata(L, 1, L_HTTP_CALL, &l_http_call_key);
    moon_http_call_free(c->call);
    c->call = NULL;
    moon_http_result_free(c->result);
    c->result = NULL;
    return 0;
}

/* The slot is closed also when the call returns as it should: then there is nothing left to end. */
static int l_close(lua_State *L) {
    struct l_http_call *c = bind_udata(L, 1, L_HTTP_CALL, &l_http_call_key);
    moon_http_call_free(c->call);
    c->call = NULL;
    return 0;
}

/* response:close(): its memory serves the next one at once, and the collector need not hear of it */
static int l_done(lua_State *L) {
    const struct l_http_call *c = bind_udata(L, 1, L_HTTP_CALL, &l_http_call_key);
    if (c->result) {
        size_t *owed = moon_http_owed(l_http_service(L)), held = l_http_held(c->result);
        *owed -= held < *owed ? held : *owed;
    }
    return l_gc(L);
}

static int l_tostring(lua_State *L) {
    struct l_http_call *c = bind_udata(L, 1, L_HTTP_CALL, &l_http_call_key);
    if (c->result)
        lua_pushfstring(L, "http response (%d)", c->result->status);
    else
        lua_pushliteral(L, "http response (closed)");
    return 1;
}

static const luaL_Reg methods[] = {{"json", l_json}, {"close", l_done}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", l_gc}, {"__close", l_close}, {"__tostring", l_tostring}, {NULL, NULL}};

void l_http_response_setup(lua_State *L) {
    if (!luaL_newmetatable(L, L_HTTP_CALL)) {
        lua_pop(L, 1);
        return;
    }
    bind_udata_setup(L, L_HTTP_CALL, &l_http_call_key);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    for (int i = 1; i < F_COUNT; i++) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, field_names[i]);
    }
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "moongate.http.response");
    lua_setfield(L, -2, "__metatable");
    luaL_newmetatable(L, "moongate.http.headers");
    lua_pushcfunction(L, headers_index);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
}
