/* l_store.c - Lua module "moongate.store" over moongate/store_queue.h: for trusted code only.  Types:
 * lua/meta/store.lua
 */
#include "l_store.h"

#include "moongate/clock.h"
#include "moongate/loop.h"
#include "moongate/task.h"

#include <stdlib.h>
#include <string.h>

static const struct moon_services *services(lua_State *L) {
    return moon_host_services(moon_host_of(L));
}

struct l_store *l_store_check(lua_State *L, int idx, const char *what) {
    struct l_store *h = luaL_checkudata(L, idx, L_STORE);
    luaL_argcheck(L, h->queue, idx, "a closed store");
    moon_host_check_caller(L, what);
    moon_task_check(L, what);
    if (moon_store_queue_holder(h->queue) == moon_task_current(L))
        luaL_error(L, "%s: inside of db:transaction, use tx:exec", what);
    return h;
}

/* ---- opening ---- */

static int open_k(lua_State *L, int status, lua_KContext at) {
    const struct l_store_wait *w = lua_touserdata(L, (int)at);
    (void)status;
    if (w->ticket->call.rc != 0)
        return moon_fail(L, &w->ticket->call.err);
    lua_pushvalue(L, 1);
    return 1;
}

/* 1: the store. A call without statements opens it. */
static int wait_open(lua_State *L, struct moon_store_queue *queue) {
    int at = lua_gettop(L) + 1;
    struct l_store_wait *w = l_store_wait_new(L, at);
    if (!w)
        return 2;
    moon_store_submit(queue, w->ticket, l_store_wake, w);
    w->wake = moon_task_park(L);
    return lua_yieldk(L, 0, at, open_k);
}

static struct l_store *push_store(lua_State *L) {
    struct l_store *h = lua_newuserdatauv(L, sizeof *h, 0);
    memset(h, 0, sizeof *h);
    luaL_setmetatable(L, L_STORE);
    return h;
}

/* store.open(url) -> db | nil, err */
static int l_open(lua_State *L) {
    const char *url = luaL_checkstring(L, 1);
    struct moon_err err;
    moon_task_check(L, "store.open");
    struct l_store *h = push_store(L);
    h->own = true;
    lua_insert(L, 1);
    if (moon_store_queue_new(&h->queue, services(L)->loop, url, &err) != 0)
        return moon_fail(L, &err);
    return wait_open(L, h->queue);
}

#define SESSION "moongate.store.session" /* registry: what store.session gives, the same to all */

/* store.session() -> db | nil, err */
static int l_session(lua_State *L) {
    struct moon_err err;
    moon_task_check(L, "store.session");
    if (!services(L)->store) {
        moon_err_set(&err, MOON_ESTORE, "this session has no state");
        return moon_fail(L, services(L)->store_err ? services(L)->store_err : &err);
    }
    lua_settop(L, 0);
    if (lua_getfield(L, LUA_REGISTRYINDEX, SESSION) != LUA_TUSERDATA) {
        lua_settop(L, 0);
        push_store(L)->queue = services(L)->store;
        lua_pushvalue(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, SESSION);
    }
    return wait_open(L, services(L)->store);
}

static void closed(void *ud) {
    struct moon_wake *wake = ud;
    moon_task_wake(*wake);
    free(wake);
}

static int closed_k(lua_State *L, int status, lua_KContext ctx) {
    (void)L, (void)status, (void)ctx;
    return 0;
}

/* db:close(), __gc and __close. The session's own is closed with the session. Waits, where it may. */
static int l_close(lua_State *L) {
    struct l_store *h = luaL_checkudata(L, 1, L_STORE);
    struct moon_store_queue *queue = h->own ? h->queue : NULL;
    struct moon_wake *wake;
    if (!h->own) /* the session's, which others use */
        return 0;
    h->queue = NULL;
    wake = queue && lua_isyieldable(L) && moon_task_current(L) ? calloc(1, sizeof *wake) : NULL;
    if (!moon_store_queue_free(queue, wake ? closed : NULL, wake)) {
        free(wake);
        return 0;
    }
    if (!wake)
        return 0;
    *wake = moon_task_park(L);
    return lua_yieldk(L, 0, 0, closed_k);
}

/* ---- calls ---- */

static int exec_k(lua_State *L, int status, lua_KContext at) {
    const struct l_store_wait *w = lua_touserdata(L, (int)at);
    const struct moon_store_call *c = &w->ticket->call;
    (void)status;
    if (c->rc != 0)
        return moon_fail(L, &c->err);
    l_store_push_rows(L, c, &c->statements[0]);
    return 1;
}

static int batch_k(lua_State *L, int status, lua_KContext at) {
    const struct l_store_wait *w = lua_touserdata(L, (int)at);
    const struct moon_store_call *c = &w->ticket->call;
    (void)status;
    if (c->rc != 0)
        return moon_fail(L, &c->err);
    lua_createtable(L, (int)c->n, 0);
    for (size_t i = 0; i < c->n; i++) {
        l_store_push_rows(L, c, &c->statements[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* db:exec(sql, ...) -> rows | nil, err */
static int l_exec(lua_State *L) {
    struct l_store *h = l_store_check(L, 1, "db:exec");
    luaL_checkstring(L, 2);
    struct l_store_wait *w = l_store_wait_new(L, 2);
    if (!w)
        return 2;
    l_store_decode_stack(L, &w->ticket->call, 3);
    moon_store_submit(h->queue, w->ticket, l_store_wake, w);
    w->wake = moon_task_park(L);
    return lua_yieldk(L, 0, 2, exec_k);
}

/* db:batch{{sql, ..., expect = n}, ...} -> {rows, ...} | nil, err */
static int l_batch(lua_State *L) {
    struct l_store *h = l_store_check(L, 1, "db:batch");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct l_store_wait *w = l_store_wait_new(L, 3);
    if (!w)
        return 2;
    l_store_decode_batch(L, &w->ticket->call, 2);
    moon_store_submit(h->queue, w->ticket, l_store_wake, w);
    w->wake = moon_task_park(L);
    return lua_yieldk(L, 0, 3, batch_k);
}

static int now_k(lua_State *L, int status, lua_KContext at) {
    const struct l_store_wait *w = lua_touserdata(L, (int)at);
    (void)status;
    if (w->ticket->call.rc != 0)
        return moon_fail(L, &w->ticket->call.err);
    lua_pushinteger(L, w->ticket->now_ms);
    return 1;
}

/* db:now() -> ms since 1970 | nil, err */
static int l_now(lua_State *L) {
    struct l_store *h = l_store_check(L, 1, "db:now");
    if (moon_store_kind(moon_store_queue_url(h->queue)) == MOON_STORE_SQLITE) {
        lua_pushinteger(L, moon_wall_ns(moon_loop_clock(services(L)->loop)) / MOON_NS_PER_MS);
        return 1;
    }
    int at = lua_gettop(L) + 1;
    struct l_store_wait *w = l_store_wait_new(L, at);
    if (!w)
        return 2;
    moon_store_submit_now(h->queue, w->ticket, l_store_wake, w);
    w->wake = moon_task_park(L);
    return lua_yieldk(L, 0, at, now_k);
}

/* ---- fields ---- */

/* db.kind, db.url, and the methods, which are the upvalue */
static int l_index(lua_State *L) {
    const struct l_store *h = luaL_checkudata(L, 1, L_STORE);
    const char *key = luaL_checkstring(L, 2);
    const char *url = h->queue ? moon_store_queue_url(h->queue) : NULL;
    if (url && strcmp(key, "kind") == 0) {
        lua_pushstring(L, moon_store_kind_name(moon_store_kind(url)));
        return 1;
    }
    if (url && strcmp(key, "url") == 0) {
        lua_pushstring(L, url);
        return 1;
    }
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

static const luaL_Reg methods[] = {
    {"batch", l_batch}, {"close", l_close}, {"exec", l_exec}, {"now", l_now}, {"transaction", l_store_transaction},
    {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
static const luaL_Reg funcs[] = {{"open", l_open}, {"session", l_session}, {NULL, NULL}};

int luaopen_moongate_store(lua_State *L);
int luaopen_moongate_store(lua_State *L) {
    l_store_call_setup(L);
    l_store_tx_setup(L);
    if (luaL_newmetatable(L, L_STORE)) {
        luaL_setfuncs(L, meta, 0);
        luaL_newlib(L, methods);
        lua_pushcclosure(L, l_index, 1);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    luaL_newlib(L, funcs);
    return 1;
}
