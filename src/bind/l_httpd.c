/* l_httpd.c - Lua module "httpd" over moongate/http_server.h. Types: lua/meta/httpd.lua
 *
 * A server has one task that hands out requests (a child of the task that called serve), and each request has a task of
 * its own, a child of that one. So a server ends with the task that made it. Events of the C server only queue and
 * wake. */
#include "l_httpd.h"

#include "moongate/beneath.h"
#include "moongate/buf.h"
#include "moongate/file.h"
#include "moongate/task.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define PEM_MAX     ((size_t)1 << 20)
#define STOP_GRACE  5.0 /* seconds */
#define SECONDS_MAX 1e9

int luaopen_moongate_httpd(lua_State *L);
int luaopen_moongate_task(lua_State *L);

static struct l_server *server_arg(lua_State *L) {
    return luaL_checkudata(L, 1, L_SERVER);
}

/* ---- from the C server: loop context ---- */

static bool in_queue(const struct l_server *s, const struct moon_http_exchange *x) {
    for (const struct moon_http_exchange *q = s->queue; q; q = q->owner)
        if (q == x)
            return true;
    return false;
}

static void on_event(void *ud, struct moon_http_exchange *x, enum moon_http_event event) {
    struct l_server *s = ud;
    if (event == (s->asks ? MOON_HTTP_HEADERS : MOON_HTTP_REQUEST)) {
        x->owner = NULL;
        if (s->queue)
            s->last->owner = x;
        else
            s->queue = x;
        s->last = x;
        moon_task_wake(s->wake);
    } else if (event != MOON_HTTP_GONE || !in_queue(s, x)) {
        l_exchange_event(x, event);
    }
}

static void on_stopped(void *ud) {
    struct l_server *s = ud;
    s->stopped = true;
    moon_task_wake(s->wake);
}

static struct moon_http_exchange *take(struct l_server *s) {
    struct moon_http_exchange *x = s->queue;
    s->queue = x->owner;
    x->owner = NULL;
    return x;
}

/* ---- the task that hands out requests ---- */

static int hand_out_k(lua_State *L, int status, lua_KContext ctx) {
    struct l_server *s = lua_touserdata(L, 1);
    (void)status;
    (void)ctx;
    while (s->queue) {
        lua_pushcfunction(L, l_exchange_run);
        lua_pushvalue(L, 1);
        struct l_exchange *e = l_exchange_new(L);
        e->x = take(s);
        e->x->owner = e;
        e->asked = s->asks;
        moon_task_spawn(L, 2);
        lua_pop(L, 1);
    }
    if (s->stopped)
        return 0; /* closes the server */
    s->wake = moon_task_park(L);
    return lua_yieldk(L, 0, 0, hand_out_k);
}

static int hand_out(lua_State *L) {
    lua_settop(L, 1);
    lua_toclose(L, 1); /* cancelled with its parent: the server goes too */
    return hand_out_k(L, LUA_OK, 0);
}

/* ---- serve ---- */

struct serve {
    struct moon_http_server_opts o;
    const char *cert, *key; /* PEM text or the path of a file */
};

static lua_Integer integer_field(lua_State *L, int idx, const char *name, lua_Integer min, lua_Integer max) {
    int ok;
    if (lua_getfield(L, idx, name) == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    lua_Integer v = lua_tointegerx(L, -1, &ok);
    if (!ok || v < min || v > max)
        luaL_argerror(L, 1, lua_pushfstring(L, "%s: an integer in %I..%I is wanted", name, min, max));
    lua_pop(L, 1);
    return v;
}

/* The string stays valid while the table at idx holds it. */
static const char *string_field(lua_State *L, int idx, const char *name) {
    int type = lua_getfield(L, idx, name);
    if (type != LUA_TSTRING && type != LUA_TNIL)
        luaL_argerror(L, 1, lua_pushfstring(L, "%s: a string expected, not a %s", name, luaL_typename(L, -1)));
    const char *s = lua_tostring(L, -1);
    lua_pop(L, 1);
    return s;
}

static void serve_decode(lua_State *L, struct serve *v) {
    static const char *const names[] = {
        "host", "port", "tls", "handler", "accept", "max_body", "max_bodies", "max_connections", "idle_timeout", NULL};
    static const char *const tls_names[] = {"cert", "key", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    moon_check_options(L, 1, names);
    v->o.host = string_field(L, 1, "host");
    v->o.port = (uint16_t)integer_field(L, 1, "port", 0, 65535);
    v->o.max_body = (size_t)integer_field(L, 1, "max_body", 1, INT32_MAX);
    v->o.max_bodies = (size_t)integer_field(L, 1, "max_bodies", 1, INT64_MAX);
    v->o.max_connections = (unsigned)integer_field(L, 1, "max_connections", 1, 1000000);
    v->o.idle_s = (unsigned)integer_field(L, 1, "idle_timeout", 1, 86400);
    int tls = lua_getfield(L, 1, "tls");
    if (tls == LUA_TTABLE) {
        moon_check_options(L, -1, tls_names);
        v->cert = string_field(L, lua_gettop(L), "cert");
        v->key = string_field(L, lua_gettop(L), "key");
        luaL_argcheck(L, v->cert && v->key, 1, "tls: cert and key are wanted");
    } else {
        luaL_argcheck(L, tls == LUA_TNIL, 1, "tls: a table {cert=, key=} is wanted");
    }
    lua_pop(L, 1);
    luaL_argcheck(L, lua_getfield(L, 1, "handler") == LUA_TFUNCTION, 1, "handler: a function is wanted");
    int accept = lua_getfield(L, 1, "accept");
    luaL_argcheck(L, accept == LUA_TFUNCTION || accept == LUA_TNIL, 1, "accept: a function is wanted");
    v->o.ask_headers = accept == LUA_TFUNCTION;
    lua_pop(L, 2);
}

/* PEM text as it is, or that of a file. */
static int read_pem(lua_State *L, const char *value, struct moon_buf *out, struct moon_err *err) {
    int rc;
    if (strstr(value, "-----BEGIN "))
        return moon_buf_puts(out, value) == 0 ? 0 : moon_err_set(err, MOON_ENOMEM, "out of memory");
    const struct moon_roots *roots = moon_host_roots(L, false);
    bool outside = false;
    rc = roots ? moon_beneath_open(roots, value, O_RDONLY, &outside, err) : 0;
    moon_host_opened(L, false, value, outside, err);
    if (rc < 0)
        return rc;
    return roots ? moon_file_read_opened(rc, value, PEM_MAX, out, err) : moon_file_read(value, PEM_MAX, NULL, out, err);
}

static int start(lua_State *L, struct l_server *s, struct serve *v, struct moon_err *err) {
    struct moon_buf cert = MOON_BUF_INIT, key = MOON_BUF_INIT;
    int rc = 0;
    v->o.on_event = on_event;
    v->o.ud = s;
    if (v->cert) {
        rc = read_pem(L, v->cert, &cert, err);
        if (rc == 0)
            rc = read_pem(L, v->key, &key, err);
        v->o.tls_cert = cert.data;
        v->o.tls_key = key.data;
    }
    if (rc == 0)
        rc = moon_http_server_start(moon_host_services(moon_host_of(L))->loop, &s->server, &v->o, err);
    if (key.data)
        moon_wipe(key.data, key.cap);
    moon_buf_release(&key);
    moon_buf_release(&cert);
    return rc;
}

/* httpd.serve{...} -> server | nil, err */
static int l_serve(lua_State *L) {
    struct serve v = {0};
    struct moon_err err;
    serve_decode(L, &v);
    lua_settop(L, 1);
    if (!moon_task_current(L))
        return luaL_error(L, "httpd.serve: only inside a task");
    struct l_server *s = lua_newuserdatauv(L, sizeof *s, SERVER_VALUES);
    memset(s, 0, sizeof *s);
    s->asks = v.o.ask_headers;
    luaL_setmetatable(L, L_SERVER);
    lua_getfield(L, 1, "handler");
    lua_setiuservalue(L, 2, SERVER_HANDLER);
    lua_getfield(L, 1, "accept");
    lua_setiuservalue(L, 2, SERVER_ACCEPT);
    if (moon_host_permit_listen(L, v.o.host, v.o.port, &err) != 0 || start(L, s, &v, &err) != 0)
        return moon_fail(L, &err);
    s->port = moon_http_server_port(s->server);
    snprintf(s->url, sizeof s->url, "%s", moon_http_server_url(s->server));
    moon_host_listens(L, s->url);
    lua_pushcfunction(L, hand_out);
    lua_pushvalue(L, 2);
    moon_task_spawn(L, 1);
    lua_setiuservalue(L, 2, SERVER_TASK);
    return 1;
}

/* httpd.unescape(s) -> string | nil */
static int l_unescape(lua_State *L) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    if (!l_push_unescaped(L, s, len, false))
        lua_pushnil(L);
    return 1;
}

/* httpd.parse_query(s) -> table */
static int l_parse_query(lua_State *L) {
    l_push_query(L, luaL_checkstring(L, 1));
    return 1;
}

/* ---- a server ---- */

static int join_k(lua_State *L, int status, lua_KContext ctx) {
    (void)L;
    (void)status;
    (void)ctx;
    return 0;
}

/* server:join() */
static int l_join(lua_State *L) {
    server_arg(L);
    moon_task_check(L, "server:join");
    lua_settop(L, 1);
    if (lua_getiuservalue(L, 1, SERVER_TASK) == LUA_TNIL)
        return 0;
    lua_getfield(L, -1, "join");
    lua_insert(L, -2);
    lua_callk(L, 1, 0, 0, join_k);
    return 0;
}

/* server:stop([grace]) */
static int l_stop(lua_State *L) {
    struct l_server *s = server_arg(L);
    lua_Number grace = luaL_optnumber(L, 2, STOP_GRACE);
    luaL_argcheck(L, grace >= 0 && grace <= SECONDS_MAX, 2, "seconds are wanted");
    moon_task_check(L, "server:stop");
    if (s->server)
        moon_http_server_stop(s->server, (int64_t)(grace * (double)MOON_NS_PER_S), on_stopped, s);
    return l_join(L);
}

/* server:close(), __gc, __close */
static int l_close(lua_State *L) {
    struct l_server *s = server_arg(L);
    if (s->server)
        moon_host_listens_no_more(L, s->url);
    moon_http_server_free(s->server);
    s->server = NULL;
    s->stopped = true;
    while (s->queue)
        moon_http_exchange_release(take(s));
    moon_task_wake(s->wake);
    return 0;
}

/* server.port, .url, .live, and the methods (upvalue 1) */
static int l_index(lua_State *L) {
    struct l_server *s = server_arg(L);
    const char *name = luaL_checkstring(L, 2);
    if (lua_getfield(L, lua_upvalueindex(1), name) != LUA_TNIL)
        return 1;
    if (strcmp(name, "port") == 0)
        lua_pushinteger(L, s->port);
    else if (strcmp(name, "url") == 0)
        lua_pushstring(L, s->url);
    else if (strcmp(name, "live") == 0)
        lua_pushinteger(L, s->server ? (lua_Integer)moon_http_server_live(s->server) : 0);
    else
        lua_pushnil(L);
    return 1;
}

static int l_tostring(lua_State *L) {
    struct l_server *s = server_arg(L);
    lua_pushfstring(L, "httpd server (%s%s)", s->url, s->server ? "" : ", closed");
    return 1;
}

static const luaL_Reg methods[] = {{"stop", l_stop}, {"join", l_join}, {"close", l_close}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {"__tostring", l_tostring}, {NULL, NULL}};
static const luaL_Reg funcs[] = {
    {"serve", l_serve}, {"unescape", l_unescape}, {"parse_query", l_parse_query}, {NULL, NULL}};

int luaopen_moongate_httpd(lua_State *L) {
    l_exchange_setup(L);
    l_request_setup(L);
    luaL_requiref(L, "moongate.task", luaopen_moongate_task, 0); /* server:join is task:join */
    luaL_newmetatable(L, L_SERVER);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -2, "__index");
    luaL_newlib(L, funcs);
    return 1;
}
