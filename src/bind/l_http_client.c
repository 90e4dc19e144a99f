/* l_http_client.c - http.client: its options and methods. */
#include "l_http.h"

#include "l_auth.h"
#include "l_secret.h"

#include <string.h>

int l_http_client_new(lua_State *L);

#define CONST_HEADERS 32

const char l_http_client_key = 0;

struct l_http_client *l_http_client_arg(lua_State *L, int idx) {
    struct l_http_client *c = bind_udata(L, idx, L_HTTP_CLIENT, &l_http_client_key);
    luaL_argcheck(L, c->c, idx, "the client is closed");
    return c;
}

/* ---- options; each function handles the value at -1 and pops nothing ---- */

static lua_Number number_in(lua_State *L, const char *name, lua_Number low, lua_Number high) {
    int ok;
    lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumberx(L, -1, &ok) : -1;
    if (!(n >= low && n <= high))
        luaL_error(L, "bad option '%s' (a number from %f to %f)", name, low, high);
    return n;
}

int64_t l_http_seconds(lua_State *L, const char *name) {
    lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    if (!(n > 0 && n <= 315360000.0))
        luaL_error(L, "bad option '%s' (seconds, more than 0)", name);
    int64_t ns = (int64_t)(n * 1e9);
    return ns > 0 ? ns : 1;
}

static bool has(lua_State *L, int t, const char *name) {
    if (lua_getfield(L, t, name) != LUA_TNIL)
        return true;
    lua_pop(L, 1);
    return false;
}

static void read_retry(lua_State *L, struct moon_http_client_opts *o) {
    static const char *const names[] = {"max", "base_ms", "cap_ms", NULL};
    if (lua_isboolean(L, -1)) {
        o->max_attempts = lua_toboolean(L, -1) ? 0 : 1;
        return;
    }
    if (!lua_istable(L, -1))
        luaL_error(L, "bad option 'retry' (true, false or a table)");
    int t = lua_gettop(L);
    moon_check_options(L, t, names);
    if (has(L, t, "max"))
        o->max_attempts = (int)number_in(L, "retry.max", 1, MOON_HTTP_ATTEMPTS_MAX);
    if (has(L, t, "base_ms"))
        o->backoff_base_ns = (int64_t)(number_in(L, "retry.base_ms", 1, 3600e3) * 1e6);
    if (has(L, t, "cap_ms"))
        o->backoff_cap_ns = (int64_t)(number_in(L, "retry.cap_ms", 1, 3600e3) * 1e6);
    lua_settop(L, t);
}

static void read_rate(lua_State *L, struct moon_http_client_opts *o) {
    static const char *const names[] = {"per_second", "burst", NULL};
    if (!lua_istable(L, -1))
        luaL_error(L, "bad option 'rate' (a table)");
    int t = lua_gettop(L);
    moon_check_options(L, t, names);
    if (has(L, t, "per_second"))
        o->rate_per_second = number_in(L, "rate.per_second", 1e-6, 1e9);
    if (has(L, t, "burst"))
        o->rate_burst = number_in(L, "rate.burst", 1, 1e9);
    lua_settop(L, t);
}

/* The strings stay in the table, which stays on the stack. */
static void read_headers(lua_State *L, struct moon_http_client_opts *o, const char *headers[2 * CONST_HEADERS + 1]) {
    int n = 0;
    if (!lua_istable(L, -1))
        luaL_error(L, "bad option 'headers' (a table)");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        const struct l_secret *secret = l_secret_test(L, -1);
        if (lua_type(L, -2) != LUA_TSTRING || (!secret && lua_type(L, -1) != LUA_TSTRING))
            luaL_error(L, "bad option 'headers' (names are strings, values strings or secrets)");
        if (n == 2 * CONST_HEADERS)
            luaL_error(L, "bad option 'headers' (more than %d)", CONST_HEADERS);
        size_t nlen, vlen;
        headers[n++] = lua_tolstring(L, -2, &nlen);
        headers[n++] = secret ? secret->data : lua_tolstring(L, -1, &vlen);
        if (secret)
            vlen = secret->len;
        if (strlen(headers[n - 2]) != nlen || strlen(headers[n - 1]) != vlen)
            luaL_error(L, "bad option 'headers' (a NUL in '%s')", headers[n - 2]);
    }
    headers[n] = NULL;
    o->headers = headers;
}

static void read_opts(lua_State *L, struct moon_http_client_opts *o, const char *headers[2 * CONST_HEADERS + 1],
                      bool *session) {
    static const char *const names[] = {"base_url", "auth",    "headers",     "deadline", "connect_timeout", "retry",
                                        "rate",     "breaker", "concurrency", "max_body", "trace",           NULL};
    moon_check_options(L, 1, names);
    if (has(L, 1, "base_url") && !(o->base_url = lua_tostring(L, -1)))
        luaL_error(L, "bad option 'base_url' (a string)");
    if (has(L, 1, "auth")) {
        struct l_auth *a = l_auth_test(L, -1);
        if (!a)
            luaL_error(L, "bad option 'auth' (a handle of module auth)");
        o->auth = a->a;
        *session = a->session;
    }
    if (has(L, 1, "deadline"))
        o->deadline_ns = l_http_seconds(L, "deadline");
    if (has(L, 1, "connect_timeout"))
        o->connect_timeout_ns = l_http_seconds(L, "connect_timeout");
    if (has(L, 1, "retry"))
        read_retry(L, o);
    if (has(L, 1, "rate"))
        read_rate(L, o);
    if (has(L, 1, "breaker"))
        o->no_breaker = !lua_toboolean(L, -1);
    if (has(L, 1, "concurrency"))
        o->concurrency = (int)number_in(L, "concurrency", 1, 1e6);
    if (has(L, 1, "trace"))
        o->untraced = !lua_toboolean(L, -1);
    if (has(L, 1, "max_body"))
        o->max_body = (size_t)number_in(L, "max_body", 1, (lua_Number)MOON_HTTP_BODY_MAX);
    if (has(L, 1, "headers"))
        read_headers(L, o, headers);
}

/* The permission to talk to url's host. */
static int permit(lua_State *L, const char *url, struct moon_err *err) {
    char origin[MOON_HTTP_ORIGIN_SIZE];
    int rc = moon_http_origin(url, strlen(url), origin, err);
    return rc == 0 ? moon_host_permit(L, "net", origin, err) : rc;
}

/* http.client{base_url =, auth =, ...} -> client | nil, err */
int l_http_client_new(lua_State *L) {
    struct moon_http_client_opts o = {0};
    const char *headers[2 * CONST_HEADERS + 1];
    struct moon_err err;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_checkstack(L, 20, NULL);
    bool session = false;
    read_opts(L, &o, headers, &session);
    struct l_http_client *c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    c->session = session;
    luaL_setmetatable(L, L_HTTP_CLIENT);
    if ((o.base_url && permit(L, o.base_url, &err) != 0) ||
        moon_http_client_new(&c->c, l_http_service(L), &o, &err) != 0)
        return moon_fail(L, &err);
    return 1;
}

void l_http_client_default(lua_State *L) {
    static const char key = 0;
    struct moon_http_client_opts o = {0};
    struct moon_err err;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TUSERDATA)
        return;
    lua_pop(L, 1);
    struct l_http_client *c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    luaL_setmetatable(L, L_HTTP_CLIENT);
    if (moon_http_client_new(&c->c, l_http_service(L), &o, &err) != 0)
        luaL_error(L, "%s", err.message);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

/* ---- methods ---- */

/* client:request{method =, path =, ...} -> response | nil, err */
static int l_request(lua_State *L) {
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    return l_http_request(L, 1, NULL, 0, 2);
}

/* client:get(path [, opts]), and so on: upvalue 1 is the method */
static int l_verb(lua_State *L) {
    luaL_checktype(L, 2, LUA_TSTRING);
    if (!lua_isnoneornil(L, 3))
        luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    return l_http_request(L, 1, lua_tostring(L, lua_upvalueindex(1)), 2, 3);
}

static void push_answers(lua_State *L, const uint64_t by_class[6]) {
    static const char *const classes[6] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    lua_newtable(L);
    for (int i = 0; i < 6; i++) {
        if (by_class[i] == 0)
            continue;
        lua_pushinteger(L, (lua_Integer)by_class[i]);
        lua_setfield(L, -2, classes[i]);
    }
}

static void set_seconds(lua_State *L, const char *name, int64_t ns) {
    lua_pushnumber(L, (double)ns / 1e9);
    lua_setfield(L, -2, name);
}

/* waiting = {reason =, seconds =} and limit = {left =, allowed =, reset_in =} of the table at the top: absent when
 * there is nothing to say. */
static void push_standing(lua_State *L, const struct moon_http_client *c) {
    struct moon_http_standing s;
    moon_http_client_standing(c, &s);
    if (s.wait != MOON_HTTP_WAIT_NONE) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, s.wait == MOON_HTTP_WAIT_RATE ? "rate_limit" : "breaker");
        lua_setfield(L, -2, "reason");
        set_seconds(L, "seconds", s.wait_ns);
        lua_setfield(L, -2, "waiting");
    }
    if (s.left >= 0) {
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, (lua_Integer)s.left);
        lua_setfield(L, -2, "left");
        if (s.allowed > 0) {
            lua_pushinteger(L, (lua_Integer)s.allowed);
            lua_setfield(L, -2, "allowed");
        }
        set_seconds(L, "reset_in", s.reset_ns);
        lua_setfield(L, -2, "limit");
    }
}

/* client:stats() -> {attempts = {GET = {["2xx"] = n, none = n, ...}, ...}, seconds = {GET = s, ...}, retries = n} */
static int l_stats(lua_State *L) {
    const struct moon_http_tally *t = moon_http_client_tally(l_http_client_arg(L, 1)->c);
    lua_createtable(L, 0, 3);
    lua_newtable(L);
    lua_newtable(L);
    for (int m = 0; m < MOON_HTTP_METHODS; m++) {
        push_answers(L, t->answers[m]);
        lua_pushnil(L);
        if (!lua_next(L, -2)) { /* none of this method */
            lua_pop(L, 1);
            continue;
        }
        lua_pop(L, 2);
        lua_setfield(L, -3, moon_http_methods[m]);
        lua_pushnumber(L, (double)t->elapsed_ns[m] / 1e9);
        lua_setfield(L, -2, moon_http_methods[m]);
    }
    lua_setfield(L, -3, "seconds");
    lua_setfield(L, -2, "attempts");
    lua_pushinteger(L, (lua_Integer)t->retries);
    lua_setfield(L, -2, "retries");
    push_standing(L, l_http_client_arg(L, 1)->c);
    return 1;
}

/* client:close(), __gc, __close. Running calls continue: they hold what they need. */
static int l_close(lua_State *L) {
    struct l_http_client *c = bind_udata(L, 1, L_HTTP_CLIENT, &l_http_client_key);
    moon_http_client_free(c->c);
    c->c = NULL;
    return 0;
}

static int l_index(lua_State *L) {
    struct l_http_client *c = bind_udata(L, 1, L_HTTP_CLIENT, &l_http_client_key);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (c->c && lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "base_url") == 0) {
        lua_pushstring(L, moon_http_client_base_url(c->c)); /* NULL: nil */
        return 1;
    }
    return 0;
}

static int l_tostring(lua_State *L) {
    struct l_http_client *c = bind_udata(L, 1, L_HTTP_CLIENT, &l_http_client_key);
    const char *base = c->c ? moon_http_client_base_url(c->c) : "closed";
    lua_pushfstring(L, "http client (%s)", base ? base : "any URL");
    return 1;
}

static const luaL_Reg methods[] = {{"request", l_request}, {"stats", l_stats}, {"close", l_close}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {"__tostring", l_tostring}, {NULL, NULL}};

void l_http_client_setup(lua_State *L) {
    static const char *const verbs[][2] = {
        {"get", "GET"}, {"put", "PUT"}, {"post", "POST"}, {"patch", "PATCH"}, {"delete", "DELETE"},
    };
    if (!luaL_newmetatable(L, L_HTTP_CLIENT)) {
        lua_pop(L, 1);
        return;
    }
    bind_udata_setup(L, L_HTTP_CLIENT, &l_http_client_key);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        lua_pushstring(L, verbs[i][1]);
        lua_pushcclosure(L, l_verb, 1);
        lua_setfield(L, -2, verbs[i][0]);
    }
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, L_HTTP_CLIENT);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
