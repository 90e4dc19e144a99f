/* l_store.h - what the files of the module "moongate.store" share. */
#ifndef MOON_BIND_L_STORE_H
#define MOON_BIND_L_STORE_H

#include "moongate/host.h"
#include "moongate/store_queue.h"

#define L_STORE "moongate.store.db"

struct l_store {
    struct moon_store_queue *queue; /* NULL: closed */
    bool own;                       /* not the session's */
};

/* The store at idx; raises when it is closed, or the calling task is in a transaction of it. */
struct l_store *l_store_check(lua_State *L, int idx, const char *what);

/* ---- l_store_call.c ---- */

struct l_store_wait { /* a userdata, closed when the task is cancelled */
    struct moon_store_ticket *ticket;
    struct moon_wake wake;
};
/* Puts a wait with an empty call, marked to be closed, at index `at`, what was there above it. No memory: NULL, and nil
 * and the error are pushed. */
struct l_store_wait *l_store_wait_new(lua_State *L, int at);
void l_store_wake(void *wait);
/* Adds the statement whose SQL is at sql and whose parameters follow it on the stack. Raises for a wrong type. */
void l_store_decode_stack(lua_State *L, struct moon_store_call *c, int sql);
/* Adds the statements of the batch at idx: {{sql, ..., expect = n}, ...}. */
void l_store_decode_batch(lua_State *L, struct moon_store_call *c, int idx);
/* Pushes a statement's rows: {{column = value, ...}, ..., changes = n}. [-0, +1, m] */
void l_store_push_rows(lua_State *L, const struct moon_store_call *c, const struct moon_store_statement *st);
void l_store_call_setup(lua_State *L);

/* ---- l_store_tx.c ---- */
int l_store_transaction(lua_State *L);
void l_store_tx_setup(lua_State *L);

#endif
