/* l_store_tx.c - db:transaction(fn): begin, fn in a protected call, commit; from the beginning again when others got in
 * the way.
 *
 * On the stack of the method: 1 db, 2 fn, 3 the transaction (closing it rolls back), from 4 on what fn returned. */
#include "l_store.h"

#include "moongate/task.h"

#include <string.h>

#define L_STORE_TX "moongate.store.tx"
#define TRIES      25

struct l_tx {
    struct moon_store_tx *tx; /* NULL: ended */
    struct moon_wake wake;
    struct moon_err failed; /* code not 0: a statement has failed, so nothing of it may stay */
    bool again;             /* and that was others' doing */
    bool raised;            /* fn has raised what is on top */
    int tries;
};

/* __gc and __close */
static int l_tx_close(lua_State *L) {
    struct l_tx *h = luaL_checkudata(L, 1, L_STORE_TX);
    moon_store_tx_free(h->tx);
    h->tx = NULL;
    return 0;
}

static void wake_tx(void *ud) {
    const struct l_tx *h = ud;
    moon_task_wake(h->wake);
}

static int begin(lua_State *L);

static int fail_with(lua_State *L, struct l_tx *h, const struct moon_err *err) {
    moon_store_tx_free(h->tx);
    h->tx = NULL;
    return moon_fail(L, err);
}

/* It has been committed, or rolled back. */
static int ended_k(lua_State *L, int status, lua_KContext ctx) {
    struct l_tx *h = lua_touserdata(L, 3);
    struct moon_err err;
    (void)status, (void)ctx;
    int rc = moon_store_tx_result(h->tx, &err);
    if (h->again || rc == MOON_STORE_AGAIN) {
        if (++h->tries < TRIES) {
            lua_settop(L, 3);
            return begin(L);
        }
        moon_err_set(&err, MOON_EBUSY, "store: others got in the way of this transaction %d times", TRIES);
        return fail_with(L, h, &err);
    }
    if (h->raised) {
        moon_store_tx_free(h->tx);
        h->tx = NULL;
        return lua_error(L);
    }
    if (h->failed.code)
        return fail_with(L, h, &h->failed);
    if (rc != 0)
        return fail_with(L, h, &err);
    moon_store_tx_free(h->tx);
    h->tx = NULL;
    return lua_gettop(L) - 3;
}

/* fn has returned or raised. */
static int ran_k(lua_State *L, int status, lua_KContext ctx) {
    struct l_tx *h = lua_touserdata(L, 3);
    struct moon_err err;
    (void)ctx;
    h->raised = status != LUA_OK && status != LUA_YIELD;
    if (moon_store_tx_end(h->tx, !h->raised && !h->failed.code, wake_tx, h, &err) != 0)
        return h->raised ? lua_error(L) : fail_with(L, h, &err);
    h->wake = moon_task_park(L);
    return lua_yieldk(L, 0, 0, ended_k);
}

static int began_k(lua_State *L, int status, lua_KContext ctx) {
    struct l_tx *h = lua_touserdata(L, 3);
    struct moon_err err;
    (void)status, (void)ctx;
    if (moon_store_tx_result(h->tx, &err) != 0)
        return fail_with(L, h, &err);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    return ran_k(L, lua_pcallk(L, 1, LUA_MULTRET, 0, 0, ran_k), 0);
}

static int begin(lua_State *L) {
    struct l_tx *h = lua_touserdata(L, 3);
    const struct l_store *db = luaL_checkudata(L, 1, L_STORE);
    luaL_argcheck(L, db->queue, 1, "a closed store");
    h->failed.code = 0;
    h->again = h->raised = false;
    moon_store_tx_begin(h->tx, moon_task_current(L), wake_tx, h);
    h->wake = moon_task_park(L);
    return lua_yieldk(L, 0, 0, began_k);
}

/* db:transaction(fn) -> results of fn(tx) | nil, err */
int l_store_transaction(lua_State *L) {
    struct l_store *db = l_store_check(L, 1, "db:transaction");
    struct moon_err err;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    struct l_tx *h = lua_newuserdatauv(L, sizeof *h, 0);
    memset(h, 0, sizeof *h);
    luaL_setmetatable(L, L_STORE_TX);
    lua_toclose(L, 3);
    if (moon_store_tx_new(&h->tx, db->queue, &err) != 0)
        return moon_fail(L, &err);
    return begin(L);
}

/* ---- in it ---- */

static int exec_k(lua_State *L, int status, lua_KContext at) {
    struct l_tx *h = lua_touserdata(L, 1);
    const struct l_store_wait *w = lua_touserdata(L, (int)at);
    const struct moon_store_call *c = &w->ticket->call;
    (void)status;
    if (c->rc == 0) {
        l_store_push_rows(L, c, &c->statements[0]);
        return 1;
    }
    h->again |= c->rc == MOON_STORE_AGAIN;
    if (!h->failed.code)
        h->failed = c->err;
    return moon_fail(L, &c->err);
}

/* tx:exec(sql, ...) -> rows | nil, err */
static int l_tx_exec(lua_State *L) {
    struct l_tx *h = luaL_checkudata(L, 1, L_STORE_TX);
    struct moon_err err;
    luaL_argcheck(L, h->tx, 1, "the transaction has ended");
    luaL_checkstring(L, 2);
    moon_host_check_caller(L, "tx:exec");
    moon_task_check(L, "tx:exec");
    if (h->failed.code)
        return moon_fail(L, &h->failed);
    struct l_store_wait *w = l_store_wait_new(L, 2);
    if (!w)
        return 2;
    l_store_decode_stack(L, &w->ticket->call, 3);
    if (moon_store_tx_exec(h->tx, w->ticket, l_store_wake, w, &err) != 0)
        return moon_fail(L, &err);
    w->wake = moon_task_park(L);
    return lua_yieldk(L, 0, 2, exec_k);
}

static const luaL_Reg methods[] = {{"exec", l_tx_exec}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", l_tx_close}, {"__close", l_tx_close}, {NULL, NULL}};

void l_store_tx_setup(lua_State *L) {
    if (luaL_newmetatable(L, L_STORE_TX)) {
        luaL_setfuncs(L, meta, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
}
