/* l_span.c - private Lua module "span" over moongate/http_trace.h: the session's trace context, the span that a task is
 * in, and what is known of attempts that have ended.  Types: lua/meta/span.lua
 *
 * A span id is an integer in Lua, 64 bits taken as they are; 0 means no span. */
#include "l_secret.h"

#include "moongate/clock.h"
#include "moongate/http_trace.h"
#include "moongate/loop.h"
#include "moongate/redact.h"
#include "moongate/rng.h"
#include "moongate/task.h"
#include "moongate/text.h"

#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX   65536
#define HEADER_MAX  8192 /* bytes of one header's value */
#define HEADERS_MAX 32

static const struct moon_services *services(lua_State *L) {
    return moon_host_services(moon_host_of(L));
}

static struct moon_http *http_of(lua_State *L) {
    struct moon_http *http = services(L)->http;
    if (!http)
        luaL_error(L, "this session has no HTTP client");
    return http;
}

/* ---- the session's trace ---- */

static void read_trace_id(lua_State *L, unsigned char id[MOON_TRACE_ID_SIZE]) {
    size_t len;
    const char *hex = luaL_checklstring(L, -1, &len);
    if (len != 2 * MOON_TRACE_ID_SIZE)
        luaL_error(L, "span.start: trace_id is 32 hex digits");
    for (size_t i = 0; i < len; i += 2) {
        int high = moon_hex_digit(hex[i]), low = moon_hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            luaL_error(L, "span.start: trace_id is 32 hex digits");
        id[i / 2] = (unsigned char)(high << 4 | low);
    }
}

/* span.start{trace_id, root, sampled, record, tracestate, queue} -> true | nil, err */
static int l_start(lua_State *L) {
    static const char *const names[] = {"trace_id", "root", "sampled", "record", "tracestate", "queue", NULL};
    struct moon_http_trace_opts o = {0};
    struct moon_err err;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    moon_check_options(L, 1, names);
    lua_getfield(L, 1, "trace_id");
    read_trace_id(L, o.trace_id);
    lua_getfield(L, 1, "root");
    o.root = (uint64_t)luaL_checkinteger(L, -1);
    lua_getfield(L, 1, "sampled");
    o.sampled = lua_toboolean(L, -1);
    lua_getfield(L, 1, "record");
    o.record = lua_toboolean(L, -1);
    lua_getfield(L, 1, "queue");
    lua_Integer queue = luaL_optinteger(L, -1, 2048);
    luaL_argcheck(L, queue >= 1 && queue <= QUEUE_MAX, 1, "queue: 1 to 65536");
    o.queue = (size_t)queue;
    lua_getfield(L, 1, "tracestate");
    o.tracestate = luaL_optstring(L, -1, NULL); /* anchored by the stack */
    if (moon_http_trace_start(http_of(L), &o, &err) != 0)
        return moon_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* span.stop() */
static int l_stop(lua_State *L) {
    moon_http_trace_stop(http_of(L));
    return 0;
}

/* ---- ids ---- */

/* span.id() -> a random span id; upvalue 1 is its generator */
static int l_id(lua_State *L) {
    struct moon_rng *rng = lua_touserdata(L, lua_upvalueindex(1));
    uint64_t id;
    do
        id = moon_rng_u64(rng);
    while (id == 0);
    lua_pushinteger(L, (lua_Integer)id);
    return 1;
}

/* span.trace_id() -> a random trace id, 32 hex digits */
static int l_trace_id(lua_State *L) {
    static const char digits[] = "0123456789abcdef";
    struct moon_rng *rng = lua_touserdata(L, lua_upvalueindex(1));
    unsigned char raw[MOON_TRACE_ID_SIZE];
    char hex[2 * MOON_TRACE_ID_SIZE];
    moon_rng_bytes(rng, raw, sizeof raw);
    raw[0] |= 1; /* not all zero */
    for (size_t i = 0; i < sizeof raw; i++) {
        hex[2 * i] = digits[raw[i] >> 4];
        hex[2 * i + 1] = digits[raw[i] & 15];
    }
    lua_pushlstring(L, hex, sizeof hex);
    return 1;
}

/* span.enter(id) -> the span the task was in before */
static int l_enter(lua_State *L) {
    struct moon_task *me = moon_task_current(L);
    lua_Integer id = luaL_checkinteger(L, 1);
    lua_pushinteger(L, me ? (lua_Integer)me->span : 0);
    if (me)
        me->span = (uint64_t)id;
    return 1;
}

/* span.current() -> the span the task is in; 0: none */
static int l_current(lua_State *L) {
    const struct moon_task *me = moon_task_current(L);
    lua_pushinteger(L, me ? (lua_Integer)me->span : 0);
    return 1;
}

/* span.now() -> nanoseconds since 1970 */
static int l_now(lua_State *L) {
    lua_pushinteger(L, moon_wall_ns(moon_loop_clock(services(L)->loop)));
    return 1;
}

/* ---- attempts ---- */

static void set_integer(lua_State *L, const char *name, lua_Integer n) {
    lua_pushinteger(L, n);
    lua_setfield(L, -2, name);
}

/* A record that is taken and can't be pushed for want of memory is lost, as the run then is. */
static void push_attempt(lua_State *L, const struct moon_http_span *s) {
    lua_createtable(L, 0, 9);
    set_integer(L, "id", (lua_Integer)s->id);
    set_integer(L, "parent", (lua_Integer)s->parent);
    set_integer(L, "n", s->n);
    set_integer(L, "start", s->start_wall_ns);
    set_integer(L, "elapsed", s->elapsed_ns);
    set_integer(L, "wait", s->wait_ns);
    lua_pushstring(L, s->method);
    lua_setfield(L, -2, "method");
    lua_pushstring(L, s->url);
    lua_setfield(L, -2, "url");
    if (s->status)
        set_integer(L, "status", s->status);
    if (s->code) {
        lua_pushstring(L, moon_code_name(s->code));
        lua_setfield(L, -2, "error");
    }
}

/* span.attempts([max]) -> the oldest attempts that have ended, each told once; how many were lost since the start */
static int l_attempts(lua_State *L) {
    struct moon_http *http = http_of(L);
    lua_Integer max = luaL_optinteger(L, 1, QUEUE_MAX);
    struct moon_http_span s;
    lua_newtable(L);
    for (lua_Integer i = 1; i <= max && moon_http_trace_take(http, &s); i++) {
        push_attempt(L, &s);
        lua_rawseti(L, -2, i);
    }
    lua_pushinteger(L, (lua_Integer)moon_http_trace_lost(http));
    return 2;
}

/* span.waiting() -> attempts that have ended and were not told */
static int l_waiting(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)moon_http_trace_waiting(http_of(L)));
    return 1;
}

/* ---- what goes out ---- */

/* span.clean(text) -> text without the secrets that are known */
static int l_clean(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct moon_buf out = MOON_BUF_INIT;
    luaL_Buffer b;
    size_t n = 0;
    char *to = luaL_buffinitsize(L, &b, 4 * len + 64); /* a secret may be shorter than what stands for it */
    if (moon_redact_values(services(L)->redact, &out, text, len) == 0 && out.len <= 4 * len + 64) {
        n = out.len;
        if (n)
            memcpy(to, out.data, n);
    }
    moon_buf_release(&out);
    luaL_pushresultsize(&b, n);
    return 1;
}

/* The value at from, percent-decoded. Its length; or 0 for one that is too long. */
static size_t decode(char *to, const char *from, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int high = -1, low = -1;
        if (n == HEADER_MAX)
            return 0;
        if (from[i] == '%' && i + 2 < len) {
            high = moon_hex_digit(from[i + 1]);
            low = moon_hex_digit(from[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            to[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            to[n++] = from[i];
        }
    }
    return n;
}

static void trim(const char **s, size_t *len) {
    while (*len && (**s == ' ' || **s == '\t')) {
        ++*s;
        --*len;
    }
    while (*len && ((*s)[*len - 1] == ' ' || (*s)[*len - 1] == '\t'))
        --*len;
}

/* span.headers(variable) -> {name = secret handle} of "name=value,name=value", values percent-encoded. What has no name
 * or no value is passed over. */
static int l_headers(lua_State *L) {
    const char *s = getenv(luaL_checkstring(L, 1));
    char value[HEADER_MAX];
    lua_newtable(L);
    for (int i = 0; s && *s && i < HEADERS_MAX; i++) {
        size_t len = strcspn(s, ","), nlen;
        const char *eq = memchr(s, '=', len), *name = s, *v;
        if (eq) {
            nlen = (size_t)(eq - s);
            v = eq + 1;
            size_t vlen = len - nlen - 1;
            trim(&name, &nlen);
            trim(&v, &vlen);
            vlen = decode(value, v, vlen);
            if (nlen && vlen) {
                lua_pushlstring(L, name, nlen);
                if (l_secret_push(L, value, vlen) != 1)
                    return luaL_error(L, "not enough memory");
                lua_rawset(L, -3);
            }
            moon_wipe(value, sizeof value);
        }
        s += len;
        s += *s == ',';
    }
    return 1;
}

static const luaL_Reg funcs[] = {
    {"start", l_start},       {"stop", l_stop},       {"enter", l_enter},     {"current", l_current}, {"now", l_now},
    {"attempts", l_attempts}, {"waiting", l_waiting}, {"headers", l_headers}, {"clean", l_clean},     {NULL, NULL}};
static const luaL_Reg random_funcs[] = {{"id", l_id}, {"trace_id", l_trace_id}, {NULL, NULL}};

int luaopen_moongate_span(lua_State *L);
int luaopen_moongate_secret(lua_State *L);
int luaopen_moongate_span(lua_State *L) {
    luaL_requiref(L, "moongate.secret", luaopen_moongate_secret, 0); /* headers() makes its handles */
    lua_pop(L, 1);
    luaL_newlib(L, funcs);
    struct moon_rng *rng = lua_newuserdatauv(L, sizeof *rng, 0);
    moon_rng_init_system(rng); /* not the session's: a seed must not make two runs one trace */
    luaL_setfuncs(L, random_funcs, 1);
    return 1;
}
