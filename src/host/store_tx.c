/* store_tx.c - a transaction of a store, as the queue's owner: its begin waits among the calls, what follows goes to a
 * list of its own. It may be let go of at any moment. */
#include "store_queue_private.h"

#include <stdlib.h>

static void list_remove(struct store_list *l, const struct moon_store_ticket *t) {
    struct moon_store_ticket **p = &l->first;
    while (*p != t)
        p = &(*p)->next;
    *p = t->next;
    if (!*p)
        l->last = p;
}

int moon_store_tx_new(struct moon_store_tx **out, struct moon_store_queue *q, struct moon_err *err) {
    struct moon_store_tx *tx = calloc(1, sizeof *tx);
    *out = tx;
    if (!tx)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    tx->queue = q;
    tx->control.tx = tx;
    return 0;
}

void moon_store_tx_free(struct moon_store_tx *tx) {
    if (!tx)
        return;
    struct moon_store_ticket *t = &tx->control;
    if (t->state == MOON_TICKET_WAITING && t->op == MOON_STORE_BEGIN) {
        list_remove(&tx->queue->waiting, t);
        free(tx);
    } else if (t->state != MOON_TICKET_IDLE) {
        tx->abandoned = true;
    } else if (tx->open) {
        tx->abandoned = true;
        store_queue_add(tx->queue, &tx->queue->owned, t, MOON_STORE_ROLLBACK, NULL, NULL);
    } else {
        free(tx);
    }
}

void moon_store_tx_begin(struct moon_store_tx *tx, const void *holder, moon_store_done *done, void *ud) {
    tx->holder = holder;
    tx->control.call.rc = 0;
    store_queue_add(tx->queue, &tx->queue->waiting, &tx->control, MOON_STORE_BEGIN, done, ud);
}

static int check_open(const struct moon_store_tx *tx, struct moon_err *err) {
    if (tx->open && tx->control.state == MOON_TICKET_IDLE)
        return 0;
    return moon_err_set(err, MOON_ECLOSED, "store: the transaction has ended");
}

int moon_store_tx_exec(struct moon_store_tx *tx, struct moon_store_ticket *t, moon_store_done *done, void *ud,
                       struct moon_err *err) {
    int rc = check_open(tx, err);
    if (rc == 0)
        store_queue_add(tx->queue, &tx->queue->owned, t, MOON_STORE_EXEC, done, ud);
    return rc;
}

int moon_store_tx_end(struct moon_store_tx *tx, bool commit, moon_store_done *done, void *ud, struct moon_err *err) {
    int rc = check_open(tx, err);
    if (rc == 0)
        store_queue_add(tx->queue, &tx->queue->owned, &tx->control, commit ? MOON_STORE_COMMIT : MOON_STORE_ROLLBACK,
                        done, ud);
    return rc;
}

int moon_store_tx_result(const struct moon_store_tx *tx, struct moon_err *err) {
    *err = tx->control.call.err;
    return tx->control.call.rc;
}
