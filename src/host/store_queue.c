/* store_queue.c - the loop's side of a store. One piece of work at a time goes to its thread: a batch of calls, or
 * one step of the transaction that has the store. The thread sees only that; the lists are the loop's. */
#include "store_queue_private.h"

#include "moongate/clock.h"
#include "moongate/worker.h"

#include <stdlib.h>
#include <string.h>

static void list_add(struct store_list *l, struct moon_store_ticket *t) {
    t->next = NULL;
    *l->last = t;
    l->last = &t->next;
}

static struct moon_store_ticket *list_take(struct store_list *l) {
    struct moon_store_ticket *t = l->first;
    l->first = t->next;
    if (!l->first)
        l->last = &l->first;
    return t;
}

/* ---- on the thread ---- */

static int answer_now(struct moon_store_queue *q, struct moon_store_ticket *t) {
    return moon_store_now(q->store, q->now_ms, &t->now_ms, &t->call.err);
}

static int step(struct moon_store_queue *q, struct moon_store_ticket *t) {
    switch (t->op) {
    case MOON_STORE_BEGIN:
        return moon_store_begin(q->store, &t->call.err);
    case MOON_STORE_EXEC:
        return moon_store_exec(q->store, &t->call, q->now_ms);
    case MOON_STORE_COMMIT:
        return moon_store_commit(q->store, &t->call.err);
    case MOON_STORE_ROLLBACK:
        moon_store_rollback(q->store);
        return 0;
    case MOON_STORE_NOW:
        return answer_now(q, t);
    default:
        return 0;
    }
}

/* A store that could not be opened is tried again by the next batch. */
static void run_batch(void *ud) {
    struct moon_store_queue *q = ud;
    const struct moon_store_opts opts = {.stop = &q->stop, .now_ms = q->now_ms};
    struct moon_err err = {0, ""};
    struct moon_store_ticket *t = q->batch.first;
    if (!t) {
        moon_store_close(q->store);
        q->store = NULL;
    } else if (!q->store && moon_store_open(&q->store, q->url, &opts, &err) != 0) {
        for (; t; t = t->next) {
            t->call.err = err;
            t->call.rc = err.code;
        }
    } else if (t->op == MOON_STORE_CALL) {
        moon_store_apply(q->store, q->calls, q->n, q->now_ms);
    } else {
        t->call.rc = step(q, t);
    }
}

/* ---- on the loop ---- */

static void start_batch(void *ud);

static void queue_release(struct moon_store_queue *q) {
    if (q->url)
        moon_wipe(q->url, strlen(q->url));
    free(q->url);
    moon_buf_release(&q->shown);
    moon_worker_free(q->worker);
    free(q);
}

/* The transaction's begin or end is over. */
static void settle_control(struct moon_store_queue *q, struct moon_store_ticket *t) {
    struct moon_store_tx *tx = t->tx;
    tx->open = t->op == MOON_STORE_BEGIN && t->call.rc == 0;
    if (!tx->open && q->owner == tx)
        q->owner = NULL;
    if (!tx->abandoned)
        t->done(t->ud);
    if (tx->open && (tx->abandoned || q->closing))
        store_queue_add(q, &q->owned, t, MOON_STORE_ROLLBACK, t->done, t->ud);
    else if (tx->abandoned)
        free(tx);
}

static void settle(struct moon_store_queue *q, struct moon_store_ticket *t) {
    t->state = MOON_TICKET_IDLE;
    if (t->tx && t == &t->tx->control)
        settle_control(q, t);
    else if (t->orphan)
        moon_store_ticket_free(t);
    else
        t->done(t->ud);
}

static void settle_batch(struct moon_store_queue *q, int code, const char *message) {
    bool closed = !q->batch.first;
    for (struct moon_store_ticket *t = q->batch.first; code != 0 && t; t = t->next)
        t->call.rc = moon_err_set(&t->call.err, code, "%s", message);
    while (q->batch.first)
        settle(q, list_take(&q->batch));
    q->busy = false;
    if (closed) {
        if (q->closed)
            q->closed(q->closed_ud);
        queue_release(q);
    } else if (q->closing) {
        start_batch(q);
    } else if (q->owned.first || (!q->owner && q->waiting.first)) {
        moon_loop_defer(q->loop, &q->start, start_batch, q);
    }
}

static void batch_done(void *ud) {
    settle_batch(ud, 0, "");
}

static void take(struct moon_store_queue *q, struct store_list *from) {
    struct moon_store_ticket *t = list_take(from);
    t->state = MOON_TICKET_RUNNING;
    list_add(&q->batch, t);
    q->calls[q->n++] = &t->call;
}

static void take_batch(struct moon_store_queue *q) {
    q->n = 0;
    if (q->owner) {
        take(q, &q->owned);
    } else if (q->waiting.first) {
        struct moon_store_ticket *first = q->waiting.first;
        take(q, &q->waiting);
        if (first->op == MOON_STORE_BEGIN)
            q->owner = first->tx;
        while (first->op == MOON_STORE_CALL && q->waiting.first && q->waiting.first->op == MOON_STORE_CALL &&
               q->n < STORE_BATCH_MAX)
            take(q, &q->waiting);
    }
}

/* An empty batch closes the store. */
static void start_batch(void *ud) {
    struct moon_store_queue *q = ud;
    struct moon_err err;
    if (q->busy || (q->owner && !q->owned.first) || (!q->owner && !q->waiting.first && !q->closing))
        return;
    take_batch(q);
    q->busy = true;
    q->now_ms = moon_wall_ns(moon_loop_clock(q->loop)) / MOON_NS_PER_MS;
    if (moon_worker_start(q->worker, run_batch, batch_done, q, &err) == 0)
        return;
    if (!q->batch.first) /* no thread: here, then */
        run_batch(q);
    settle_batch(q, err.code, err.message);
}

void store_queue_add(struct moon_store_queue *q, struct store_list *to, struct moon_store_ticket *t,
                     enum moon_store_op op, moon_store_done *done, void *ud) {
    t->op = op;
    t->done = done;
    t->ud = ud;
    t->state = MOON_TICKET_WAITING;
    list_add(to, t);
    if (!q->hooked && !q->closing)
        moon_loop_hook(q->loop, &q->hook, start_batch, q);
    q->hooked = true;
}

/* ---- what others call ---- */

int moon_store_queue_new(struct moon_store_queue **out, struct moon_loop *loop, const char *url, struct moon_err *err) {
    struct moon_store_queue *q = calloc(1, sizeof *q);
    if (!q || !(q->url = strdup(url)) || moon_store_url_show(url, &q->shown, NULL) != 0 ||
        moon_worker_new(&q->worker, loop, err) != 0) {
        if (q)
            queue_release(q);
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    q->loop = loop;
    q->waiting.last = &q->waiting.first;
    q->owned.last = &q->owned.first;
    q->batch.last = &q->batch.first;
    *out = q;
    return 0;
}

bool moon_store_queue_free(struct moon_store_queue *q, void (*done)(void *ud), void *ud) {
    if (!q)
        return false;
    q->closing = true;
    q->closed = done;
    q->closed_ud = ud;
    atomic_store(&q->stop, true);
    if (q->hooked)
        moon_loop_unhook(q->loop, &q->hook);
    moon_loop_undefer(q->loop, &q->start);
    if (q->owner && q->owner->open && q->owner->control.state == MOON_TICKET_IDLE) {
        struct moon_store_tx *tx = q->owner;
        store_queue_add(q, &q->owned, &tx->control, MOON_STORE_ROLLBACK, tx->control.done, tx->control.ud);
    }
    if (!q->store && !q->busy && !q->waiting.first) {
        queue_release(q);
        return false;
    }
    start_batch(q);
    return true;
}

void moon_store_queue_hurry(struct moon_store_queue *q) {
    if (q)
        atomic_store(&q->stop, true);
}

const char *moon_store_queue_url(const struct moon_store_queue *q) {
    return q->shown.data;
}

const void *moon_store_queue_holder(const struct moon_store_queue *q) {
    return q->owner && q->owner->open ? q->owner->holder : NULL;
}

struct moon_store_ticket *moon_store_ticket_new(void) {
    return calloc(1, sizeof(struct moon_store_ticket));
}

void moon_store_ticket_free(struct moon_store_ticket *t) {
    if (t && t->state != MOON_TICKET_IDLE) {
        t->orphan = true;
    } else if (t) {
        moon_store_call_release(&t->call);
        free(t);
    }
}

void moon_store_submit(struct moon_store_queue *q, struct moon_store_ticket *t, moon_store_done *done, void *ud) {
    store_queue_add(q, &q->waiting, t, MOON_STORE_CALL, done, ud);
}

void moon_store_submit_now(struct moon_store_queue *q, struct moon_store_ticket *t, moon_store_done *done, void *ud) {
    store_queue_add(q, &q->waiting, t, MOON_STORE_NOW, done, ud);
}
