/* l_http_request.c - a call: its options, its wait, its end. The body is encoded straight into the buffer that is sent.
 */
#include "l_http.h"

#include "l_json.h"
#include "l_secret.h"

#include "moongate/task.h"

#include <stdio.h>
#include <string.h>

#define OWED_MAX ((size_t)256 << 10)

enum option {
    OPT_METHOD = 1,
    OPT_PATH,
    OPT_URL,
    OPT_PARAMS,
    OPT_QUERY,
    OPT_HEADERS,
    OPT_JSON,
    OPT_BODY,
    OPT_IDEMPOTENCY_KEY,
    OPT_IDEMPOTENT,
    OPT_DEADLINE,
    OPT_FAMILY,
    OPT_MAX_BODY,
    OPT_OK_STATUS,
    OPT_NO_WAIT,
    OPT_CONNECT_ONLY,
    OPT_COUNT
};
static const char *const option_names[OPT_COUNT] = {
    NULL,           "method",          "path",       "url",      "params", "query",    "headers",   "json",
    "body",         "idempotency_key", "idempotent", "deadline", "family", "max_body", "ok_status", "no_wait",
    "connect_only",
};
static const char options_key = 0;               /* registry: name -> number */
static const char before_key = 0, after_key = 0; /* registry: see l_http_hooks_set */

static int bad(lua_State *L, enum option o, const char *want) {
    return luaL_error(L, "http request: bad option '%s' (%s expected, got %s)", option_names[o], want,
                      luaL_typename(L, -1));
}

/* ---- options: each value is at -1 ---- */

static int put_header(lua_State *L, struct moon_http_call *call, struct moon_err *err) {
    size_t nlen, vlen;
    const char *value;
    char number[32];
    if (lua_type(L, -2) != LUA_TSTRING)
        luaL_error(L, "http request: header names are strings");
    const char *name = lua_tolstring(L, -2, &nlen);
    const struct l_secret *secret = l_secret_test(L, -1);
    if (secret) {
        value = secret->data;
        vlen = secret->len;
    } else if (lua_isinteger(L, -1)) {
        vlen = (size_t)snprintf(number, sizeof number, LUA_INTEGER_FMT, lua_tointeger(L, -1));
        value = number;
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        value = lua_tolstring(L, -1, &vlen);
    } else {
        return luaL_error(L, "http request: header '%s' is a string, an integer or a secret", name);
    }
    return moon_http_header(call, name, nlen, value, vlen, err);
}

static int read_headers(lua_State *L, struct moon_http_call *call, struct moon_err *err) {
    int rc = 0;
    if (!lua_istable(L, -1))
        bad(L, OPT_HEADERS, "table");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        if ((rc = put_header(L, call, err)) != 0) {
            lua_pop(L, 2);
            return rc;
        }
    return 0;
}

static int read_text_body(lua_State *L, struct moon_http_request *rq, struct moon_err *err) {
    size_t len;
    if (lua_type(L, -1) != LUA_TSTRING)
        bad(L, OPT_BODY, "string");
    const char *body = lua_tolstring(L, -1, &len);
    rq->has_body = true;
    return moon_buf_append(&rq->body, body, len) == 0 ? 0 : moon_err_set(err, MOON_ENOMEM, "out of memory");
}

static void read_method(lua_State *L, struct moon_http_request *rq) {
    size_t len;
    const char *m = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    if (!m || !(rq->method = moon_http_method(m, len)))
        bad(L, OPT_METHOD, "GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS");
}

static int read_key(lua_State *L, struct moon_http_call *call, struct moon_err *err) {
    size_t len;
    if (lua_type(L, -1) != LUA_TSTRING)
        bad(L, OPT_IDEMPOTENCY_KEY, "string");
    const char *key = lua_tolstring(L, -1, &len);
    return moon_http_header(call, "Idempotency-Key", 15, key, len, err);
}

/* Reads one option. Those of the URL are only noted: they belong together. */
static int read_option(lua_State *L, struct moon_http_call *call, enum option o, struct moon_err *err) {
    struct moon_http_request *rq = moon_http_call_request(call);
    switch (o) {
    case OPT_METHOD:
        read_method(L, rq);
        return 0;
    case OPT_HEADERS:
        return read_headers(L, call, err);
    case OPT_JSON:
        rq->has_body = true;
        rq->content_type = "Content-Type: application/json";
        return moon_lua_json_encode(L, lua_gettop(L), &rq->body, err);
    case OPT_BODY:
        return read_text_body(L, rq, err);
    case OPT_IDEMPOTENCY_KEY:
        return read_key(L, call, err);
    case OPT_IDEMPOTENT:
        rq->idempotent = lua_toboolean(L, -1);
        return 0;
    case OPT_NO_WAIT:
        rq->no_wait = lua_toboolean(L, -1);
        return 0;
    case OPT_CONNECT_ONLY:
        rq->connect_only = lua_toboolean(L, -1);
        return 0;
    case OPT_DEADLINE:
        rq->deadline_ns = l_http_seconds(L, "deadline");
        return 0;
    case OPT_FAMILY:
        if (lua_type(L, -1) != LUA_TSTRING)
            bad(L, o, "string");
        rq->family = lua_tostring(L, -1); /* anchored by the table until the call has started */
        return 0;
    case OPT_MAX_BODY:
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1)
            bad(L, o, "bytes");
        rq->max_body = (size_t)lua_tointeger(L, -1);
        return 0;
    case OPT_PATH:
    case OPT_URL:
        if (lua_type(L, -1) != LUA_TSTRING)
            bad(L, o, "string");
        return 0;
    case OPT_PARAMS:
    case OPT_QUERY:
    case OPT_OK_STATUS:
        if (!lua_istable(L, -1))
            bad(L, o, "table");
        return 0;
    default:
        return 0;
    }
}

/* Stack index of an option's value, which is pushed; 0 when it was not given. */
static int fetch(lua_State *L, int opts, unsigned seen, enum option o) {
    if (!(seen & 1u << o))
        return 0;
    lua_pushstring(L, option_names[o]);
    lua_rawget(L, opts);
    return lua_gettop(L);
}

/* The permission to talk to the host of the URL, or of the client's base URL when it is a path. */
static int permit(lua_State *L, const struct moon_http_client *client, const struct moon_buf *url,
                  struct moon_err *err) {
    char origin[MOON_HTTP_ORIGIN_SIZE];
    const char *base = moon_http_client_base_url(client);
    bool is_path = url->len == 0 || url->data[0] == '/';
    int rc = is_path && !base
                 ? 0
                 : moon_host_check_refused(L, is_path ? base : url->data, is_path ? strlen(base) : url->len, err);
    if (rc != 0 || !moon_host_asks(L))
        return rc;
    if ((is_path && !base) ||
        moon_http_origin(is_path ? base : url->data, is_path ? strlen(base) : url->len, origin, NULL) != 0)
        return 0; /* starting the call says so */
    return moon_host_permit(L, "net", origin, err);
}

static int read_url(lua_State *L, struct moon_http_call *call, const struct moon_http_client *client, int opts,
                    unsigned seen, int target, struct moon_err *err) {
    struct moon_http_request *rq = moon_http_call_request(call);
    const unsigned where = 1u << OPT_PATH | 1u << OPT_URL;
    if (!seen && target) { /* the common case: a path and nothing else to it */
        size_t len;
        const char *p = lua_tolstring(L, target, &len);
        return moon_buf_append(&rq->url, p, len) == 0 ? permit(L, client, &rq->url, err)
                                                      : moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    if ((seen & where) == where || (target && seen & where))
        luaL_error(L, "http request: the path or URL is given twice");
    int path = target ? target : fetch(L, opts, seen, OPT_PATH);
    if (!path)
        path = fetch(L, opts, seen, OPT_URL);
    int params = fetch(L, opts, seen, OPT_PARAMS), query = fetch(L, opts, seen, OPT_QUERY);
    int rc = l_http_put_url(L, &rq->url, path, params, query, err);
    return rc == 0 ? permit(L, client, &rq->url, err) : rc;
}

static int read_options(lua_State *L, struct moon_http_call *call, const struct moon_http_client *client, int opts,
                        int target, struct moon_err *err) {
    unsigned seen = 0;
    int rc = 0, top = lua_gettop(L);
    if (!lua_isnil(L, opts)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &options_key);
        for (lua_pushnil(L); rc == 0 && lua_next(L, opts); lua_pop(L, 1)) {
            lua_pushvalue(L, -2);
            lua_rawget(L, top + 1);
            lua_Integer o = lua_tointeger(L, -1);
            lua_pop(L, 1);
            if (o == 0)
                return luaL_error(L, "http request: unknown option '%s'", luaL_tolstring(L, -2, NULL));
            seen |= 1u << o;
            rc = read_option(L, call, (enum option)o, err);
        }
        lua_settop(L, top);
    }
    if (rc != 0)
        return rc;
    if ((seen & (1u << OPT_JSON | 1u << OPT_BODY)) == (1u << OPT_JSON | 1u << OPT_BODY))
        luaL_error(L, "http request: json and body exclude each other");
    rc = read_url(L, call, client, opts, seen & (1u << OPT_PATH | 1u << OPT_URL | 1u << OPT_PARAMS | 1u << OPT_QUERY),
                  target, err);
    lua_settop(L, top);
    return rc;
}

/* ---- the call ---- */

static void on_done(void *ud) { /* loop context: no lua_State in reach */
    struct l_http_call *c = ud;
    moon_task_wake(c->wake);
}

static bool is_ok(lua_State *L, int opts, int status) {
    bool ok = status < 400;
    if (ok || lua_isnil(L, opts))
        return ok;
    lua_pushliteral(L, "ok_status");
    if (lua_rawget(L, opts) == LUA_TTABLE)
        for (lua_Integer i = 1; !ok && lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
            ok = lua_tointeger(L, -1) == status;
            lua_pop(L, 1);
        }
    return ok; /* the caller returns: what is left on the stack does not matter */
}

/* An answer's memory is not Lua's, so it is reported to the collector. */
static void account(lua_State *L, const struct moon_http_result *r) {
    size_t *owed = moon_http_owed(l_http_service(L));
    *owed += l_http_held(r);
    if (*owed < OWED_MAX)
        return;
    int kb = (int)(*owed >> 10);
    *owed = 0;
    lua_gc(L, LUA_GCSTEP, kb);
}

static int request_k(lua_State *L, int status, lua_KContext base);
static int wait_on(lua_State *L, struct l_http_call *c, int base);

/* before() has returned: true, or nil and why not. The stack, from base: call, client, options, the two results. */
static int asked_k(lua_State *L, int status, lua_KContext base) {
    struct l_http_call *c = lua_touserdata(L, (int)base);
    (void)status;
    if (!lua_toboolean(L, (int)base + 3)) {
        bool unsure;
        lua_pushinteger(L, moon_http_attempts(c->call, &unsure));
        lua_setfield(L, (int)base + 4, "attempts");
        lua_pushstring(L, unsure ? "unknown" : "not_sent");
        lua_setfield(L, (int)base + 4, "outcome");
        moon_http_call_free(c->call);
        c->call = NULL;
        lua_pushnil(L);
        lua_pushvalue(L, (int)base + 4);
        return 2;
    }
    lua_settop(L, (int)base + 2);
    return moon_http_go(c->call) ? wait_on(L, c, (int)base) : request_k(L, LUA_YIELD, base);
}

/* Its next attempt is about to go out. */
static int ask(lua_State *L, struct l_http_call *c, int base) {
    const struct moon_http_request *rq = moon_http_call_request(c->call);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &before_key);
    lua_pushstring(L, rq->method);
    lua_pushboolean(L, moon_http_call_replayable(c->call));
    lua_callk(L, 2, 2, base, asked_k);
    return asked_k(L, LUA_OK, base);
}

static void note_end(lua_State *L, const struct l_http_call *c) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &after_key);
    lua_pushstring(L, c->result->outcome);
    lua_pushinteger(L, c->result->code ? 0 : c->result->status);
    lua_call(L, 2, 0);
}

/* The stack, from base: call, client, options. */
static int request_k(lua_State *L, int status, lua_KContext base) {
    struct l_http_call *c = lua_touserdata(L, (int)base);
    (void)status;
    lua_settop(L, (int)base + 2);
    if (moon_http_asks(c->call))
        return ask(L, c, (int)base);
    c->result = moon_http_take(c->call);
    moon_http_call_free(c->call);
    c->call = NULL;
    account(L, c->result);
    if (c->noted)
        note_end(L, c);
    if (c->result->code == 0 && is_ok(L, (int)base + 2, c->result->status)) {
        lua_pushvalue(L, (int)base);
        return 1;
    }
    lua_pushnil(L);
    l_http_error_push(L, c->result);
    moon_http_result_free(c->result);
    c->result = NULL;
    return 2;
}

static int fail_before(lua_State *L, struct l_http_call *c, const struct moon_err *err) {
    moon_http_call_free(c->call);
    c->call = NULL;
    lua_pushnil(L);
    moon_error_push(L, err);
    lua_pushliteral(L, "not_sent");
    lua_setfield(L, -2, "outcome");
    lua_pushinteger(L, 0);
    lua_setfield(L, -2, "attempts");
    return 2;
}

/* In a guarded task: raised, so that a script which does not look at the result does not continue as if it had one. */
static int refuse(lua_State *L, struct l_http_call *c, enum moon_task_guard guard) {
    const struct moon_http_request *rq = moon_http_call_request(c->call);
    struct moon_err err;
    const char *url = rq->url.data ? rq->url.data : "";
    if (guard == MOON_GUARD_OFFLINE)
        moon_err_set(&err, MOON_EDENIED, "%s is not sent: nothing goes out here", rq->method);
    else
        moon_err_set(&err, MOON_EUNKNOWN, "%s carries no idempotency key", rq->method);
    moon_host_note_refused(moon_host_of(L));
    lua_pushstring(L, rq->method);
    lua_pushlstring(L, url, strcspn(url, "?#"));
    fail_before(L, c, &err);
    lua_pushvalue(L, -4);
    lua_setfield(L, -2, "method");
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "path");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "guarded");
    return lua_error(L);
}

static int wait_on(lua_State *L, struct l_http_call *c, int base) {
    c->wake = moon_task_park(L);
    return lua_yieldk(L, 0, base, request_k);
}

/* Who is asked before it goes out, and what it may not be. */
static void set_rules(lua_State *L, struct l_http_call *c, bool session, bool trusted) {
    struct moon_http_request *rq = moon_http_call_request(c->call);
    rq->reads_only = session && !trusted;
    rq->one_method = session;
    rq->test = !moon_host_asks(L);
    c->noted = false;
    if (moon_retry_safe(rq->method))
        return;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &before_key) == LUA_TFUNCTION) {
        c->noted = !moon_http_call_replayable(c->call);
        rq->ask = c->noted ? MOON_HTTP_ASK_EACH : MOON_HTTP_ASK_LATE;
    }
    lua_pop(L, 1);
}

static int request(lua_State *L, int client, const char *method, int target, int opts, bool trusted) {
    struct l_http_client *lc = l_http_client_arg(L, client);
    struct moon_err err;
    moon_task_check(L, "http request");
    struct l_http_call *c = lua_newuserdatauv(L, sizeof *c, 1);
    int base = lua_gettop(L);
    c->call = NULL;
    c->result = NULL;
    c->wake = (struct moon_wake){0};
    luaL_setmetatable(L, L_HTTP_CALL);
    lua_pushvalue(L, client);
    lua_pushvalue(L, opts);
    if (moon_http_call_new(&c->call, lc->c, &err) != 0)
        return moon_fail(L, &err);
    moon_http_call_request(c->call)->span = moon_task_current(L)->span;
    if (method)
        moon_http_call_request(c->call)->method = moon_http_method(method, strlen(method));
    if (read_options(L, c->call, lc->c, base + 2, target, &err) != 0)
        return fail_before(L, c, &err);
    enum moon_task_guard guard = moon_task_current(L)->guard;
    if (guard == MOON_GUARD_OFFLINE || (guard && !moon_http_call_replayable(c->call)))
        return refuse(L, c, guard);
    set_rules(L, c, lc->session, trusted);
    lua_toclose(L, base); /* a task that is closed takes its call with it */
    if (moon_http_start(c->call, on_done, c, &err) != 0)
        return fail_before(L, c, &err);
    return wait_on(L, c, base);
}

int l_http_request(lua_State *L, int client, const char *method, int target, int opts) {
    return request(L, client, method, target, opts, false);
}

int l_http_request_trusted(lua_State *L) {
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    return request(L, 1, NULL, 0, 2, true);
}

int l_http_hooks_set(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &after_key);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &before_key);
    return 0;
}

void l_http_request_setup(lua_State *L) {
    lua_createtable(L, 0, OPT_COUNT);
    for (int i = 1; i < OPT_COUNT; i++) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, option_names[i]);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &options_key);
}
