/* l_httpd_exchange.c - a request as a task: the call of the handler, and the answer made of what it returned.
 *
 * run() may raise at any point (a script's error, an invalid response); l_exchange_run calls it protected and turns
 * that into a 500. The exchange is a to-be-closed variable of the task, so one that is cancelled closes its connection.
 */
#include "l_httpd.h"

#include "moongate/log.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#define L_EXCHANGE  "moongate.httpd.exchange"
#define FIELDS_MAX  200
#define FAILED_BODY "{\"code\":\"internal.server.error\",\"message\":\"the handler failed\",\"status\":500}"

enum { SERVER = 1, EXCHANGE, REQUEST }; /* run's stack */

/* ---- the exchange ---- */

struct l_exchange *l_exchange_new(lua_State *L) {
    struct l_exchange *e = lua_newuserdatauv(L, sizeof *e, 0);
    memset(e, 0, sizeof *e);
    luaL_setmetatable(L, L_EXCHANGE);
    return e;
}

static int l_release(lua_State *L) {
    struct l_exchange *e = luaL_checkudata(L, 1, L_EXCHANGE);
    if (e->x) {
        e->x->owner = NULL;
        moon_http_exchange_release(e->x);
        e->x = NULL;
    }
    return 0;
}

void l_exchange_event(struct moon_http_exchange *x, enum moon_http_event event) {
    struct l_exchange *e = x->owner;
    if (!e)
        return;
    e->gone = event == MOON_HTTP_GONE;
    moon_task_wake(e->wake);
}

/* ---- the answer ---- */

struct answer {
    struct moon_http_reply reply;
    struct moon_http_field fields[FIELDS_MAX];
    bool has_type, close;
};

static int bad(lua_State *L, const char *what) {
    return luaL_error(L, "response: %s", what);
}

/* The value is at the top and stays on the stack, which keeps it alive. */
static void add_field(lua_State *L, struct answer *a, const char *name, size_t name_len) {
    if (a->reply.field_count == FIELDS_MAX)
        bad(L, "too many headers");
    if (!lua_isstring(L, -1))
        bad(L, lua_pushfstring(L, "header %s: a string or an array of strings is wanted", name));
    luaL_checkstack(L, 8, "response: too many headers");
    struct moon_http_field *f = &a->fields[a->reply.field_count++];
    f->name = name;
    f->name_len = name_len;
    f->value = lua_tolstring(L, -1, &f->value_len);
    a->has_type |= strcasecmp(name, "content-type") == 0;
}

static void decode_headers(lua_State *L, struct answer *a, int headers) {
    lua_pushnil(L);
    while (lua_next(L, headers)) {
        size_t len;
        if (lua_type(L, -2) != LUA_TSTRING)
            bad(L, "header names are strings");
        const char *name = lua_tolstring(L, -2, &len);
        if (lua_istable(L, -1)) {
            int list = lua_gettop(L);
            for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++)
                add_field(L, a, name, len);
            lua_pop(L, 1);
        } else {
            add_field(L, a, name, len);
        }
        lua_pushlstring(L, name, len); /* the key for lua_next, above all that has to stay */
    }
}

static void check_names(lua_State *L, int response) {
    static const char *const names[] = {"status", "headers", "body", "json", "close", "truncate", "drip", NULL};
    lua_pushnil(L);
    while (lua_next(L, response)) {
        int i = 0;
        lua_pop(L, 1);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1);
        while (names[i] && strcmp(names[i], name) != 0)
            i++;
        if (!names[i])
            bad(L, lua_pushfstring(L, "unknown field '%s'", name));
    }
}

static lua_Integer integer(lua_State *L, int table, const char *name, lua_Integer min, lua_Integer max,
                           lua_Integer def) {
    int ok = 1, type = lua_getfield(L, table, name);
    lua_Integer v = type == LUA_TNIL ? def : lua_tointegerx(L, -1, &ok);
    if (!ok || (type != LUA_TNIL && (v < min || v > max)))
        bad(L, lua_pushfstring(L, "%s: an integer in %I..%I is wanted", name, min, max));
    lua_pop(L, 1);
    return v;
}

static void decode_faults(lua_State *L, struct answer *a, int response) {
    lua_getfield(L, response, "close");
    a->close = lua_toboolean(L, -1);
    lua_Integer truncate = integer(L, response, "truncate", 0, INT_MAX, -1);
    if (truncate >= 0)
        a->reply.truncate = (size_t)truncate;
    int type = lua_getfield(L, response, "drip");
    if (type == LUA_TNIL)
        return;
    if (type != LUA_TTABLE)
        bad(L, "drip: a table {bytes=, interval=} is wanted");
    a->reply.drip_bytes = (size_t)integer(L, lua_gettop(L), "bytes", 1, INT_MAX, 1);
    lua_getfield(L, -1, "interval");
    lua_Number interval = lua_tonumber(L, -1);
    if (!(interval > 0 && interval <= 1e6))
        bad(L, "drip: interval: seconds above 0 are wanted");
    a->reply.drip_ns = (int64_t)(interval * (double)MOON_NS_PER_S);
}

/* Pushes the body's string. */
static void decode_body(lua_State *L, struct answer *a, int response) {
    int json = lua_getfield(L, response, "json"), body = lua_getfield(L, response, "body");
    const char *type = "text/plain; charset=utf-8";
    if (json != LUA_TNIL && body != LUA_TNIL)
        bad(L, "json and body exclude each other");
    if (json != LUA_TNIL) {
        type = "application/json";
        l_push_json_function(L, "encode");
        lua_pushvalue(L, -3);
        lua_call(L, 1, 2);
        if (lua_isnil(L, -2))
            lua_error(L);
        lua_pop(L, 1);
    } else if (body != LUA_TNIL && body != LUA_TSTRING) {
        bad(L, "body: a string is wanted");
    }
    a->reply.body = lua_tolstring(L, -1, &a->reply.body_len);
    if (a->reply.body && !a->has_type && a->reply.field_count < FIELDS_MAX)
        a->fields[a->reply.field_count++] = (struct moon_http_field){"Content-Type", type, 12, strlen(type)};
}

/* Sends what the handler returned, at the top: nil, a string, or a table. */
static void answer(lua_State *L, struct l_exchange *e) {
    struct answer a = {.reply = MOON_HTTP_REPLY_INIT};
    struct moon_err err;
    int response = lua_gettop(L);
    a.reply.fields = a.fields;
    switch (lua_type(L, response)) {
    case LUA_TNIL:
        a.reply.status = 204;
        break;
    case LUA_TSTRING:
        a.reply.body = lua_tolstring(L, response, &a.reply.body_len);
        a.fields[a.reply.field_count++] = (struct moon_http_field){"Content-Type", "text/plain; charset=utf-8", 12, 25};
        break;
    case LUA_TTABLE:
        check_names(L, response);
        a.reply.status = (int)integer(L, response, "status", 200, 599, 200);
        decode_faults(L, &a, response);
        int headers = lua_getfield(L, response, "headers");
        if (headers == LUA_TTABLE)
            decode_headers(L, &a, lua_gettop(L));
        else if (headers != LUA_TNIL)
            bad(L, "headers: a table is wanted");
        decode_body(L, &a, response);
        break;
    default:
        bad(L, lua_pushfstring(L, "the handler returned a %s", luaL_typename(L, response)));
    }
    if (a.close) /* releasing it does */
        return;
    if (moon_http_exchange_reply(e->x, &a.reply, &err) != 0 && err.code != MOON_ECLOSED) { /* closed: the client left */
        moon_error_push(L, &err);
        lua_error(L);
    }
}

/* ---- a request's task ---- */

static int after_handler(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    answer(L, lua_touserdata(L, EXCHANGE));
    return 0;
}

static int call_handler(lua_State *L) {
    lua_settop(L, REQUEST);
    lua_getiuservalue(L, SERVER, SERVER_HANDLER);
    lua_pushvalue(L, REQUEST);
    lua_callk(L, 1, 1, 0, after_handler);
    return after_handler(L, LUA_OK, 0);
}

static int after_body(lua_State *L, int status, lua_KContext ctx) {
    struct l_exchange *e = lua_touserdata(L, EXCHANGE);
    (void)status;
    (void)ctx;
    if (e->gone || !e->x->body)
        return 0;
    lua_settop(L, REQUEST);
    lua_pushlstring(L, e->x->body, e->x->body_len);
    lua_setfield(L, REQUEST, "body");
    moon_http_exchange_body_taken(e->x);
    return call_handler(L);
}

/* What accept returned: nil reads the body, "close" ends the connection, a response is sent at once. */
static int after_accept(lua_State *L, int status, lua_KContext ctx) {
    struct l_exchange *e = lua_touserdata(L, EXCHANGE);
    (void)status;
    (void)ctx;
    if (lua_isnil(L, -1)) {
        if (moon_http_exchange_continue(e->x) != 0) /* the client left */
            return 0;
        e->wake = moon_task_park(L);
        return lua_yieldk(L, 0, 0, after_body);
    }
    if (lua_type(L, -1) == LUA_TSTRING) {
        if (strcmp(lua_tostring(L, -1), "close") != 0)
            return luaL_error(L, "accept: nil, \"close\" or a response is wanted");
        return 0;
    }
    answer(L, e);
    return 0;
}

/* (server, exchange) */
static int run(lua_State *L) {
    struct l_exchange *e = lua_touserdata(L, EXCHANGE);
    l_push_request(L, e->x);
    moon_http_exchange_body_taken(e->x);
    if (!e->asked)
        return call_handler(L);
    lua_getiuservalue(L, SERVER, SERVER_ACCEPT);
    lua_pushvalue(L, REQUEST);
    lua_callk(L, 1, 1, 0, after_accept);
    return after_accept(L, LUA_OK, 0);
}

static void fail(lua_State *L, struct l_exchange *e) {
    struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
    static const struct moon_http_field type = {"Content-Type", "application/json", 12, 16};
    r.status = 500;
    r.fields = &type;
    r.field_count = 1;
    r.body = FAILED_BODY;
    r.body_len = sizeof FAILED_BODY - 1;
    moon_http_exchange_reply(e->x, &r, NULL);
    const char *message = luaL_tolstring(L, -1, NULL);
    moon_log_write(moon_host_services(moon_host_of(L))->log, MOON_LOG_ERROR, "httpd: %s %s: %s", e->x->method,
                   e->x->target, message);
}

static int run_k(lua_State *L, int status, lua_KContext ctx) {
    (void)ctx;
    if (status != LUA_OK && status != LUA_YIELD)
        fail(L, lua_touserdata(L, EXCHANGE));
    return 0;
}

int l_exchange_run(lua_State *L) {
    lua_settop(L, EXCHANGE);
    lua_toclose(L, EXCHANGE);
    lua_pushcfunction(L, run);
    lua_pushvalue(L, SERVER);
    lua_pushvalue(L, EXCHANGE);
    return run_k(L, lua_pcallk(L, 2, 0, 0, 0, run_k), 0);
}

void l_exchange_setup(lua_State *L) {
    static const luaL_Reg exchange[] = {{"__gc", l_release}, {"__close", l_release}, {NULL, NULL}};
    luaL_newmetatable(L, L_EXCHANGE);
    luaL_setfuncs(L, exchange, 0);
    lua_pop(L, 1);
}
