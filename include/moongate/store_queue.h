/* store_queue.h - a store on the loop: calls that wait while a batch is at the disk go out together as the next one
 * (group commit); a transaction has the store to itself from its begin to its end. Layer: host.
 *
 * Nothing is opened before the first of them. Callbacks run in loop context, never inside the function that submits. */
#ifndef MOONGATE_STORE_QUEUE_H
#define MOONGATE_STORE_QUEUE_H

#include "moongate/err.h"
#include "moongate/loop.h"
#include "moongate/store.h"

struct moon_store_queue;
struct moon_store_tx;

/* url is copied (store.h); loop is borrowed. 0 or MOON_ENOMEM. */
int moon_store_queue_new(struct moon_store_queue **out, struct moon_loop *loop, const char *url, struct moon_err *err);
/* An open transaction is rolled back, what waits still runs, then the store is closed, on its thread: moon_loop_free
 * waits for it. Whoever has called this submits nothing more. NULL-safe. done (may be NULL) is called at the end,
 * unless the answer is false: it has ended already. */
bool moon_store_queue_free(struct moon_store_queue *q, void (*done)(void *ud), void *ud);

/* Whatever waits for the store (an answer, a lock, a server that is away) gets a moment more and then fails: an
 * interrupt. From a signal handler or any thread. NULL-safe. */
void moon_store_queue_hurry(struct moon_store_queue *q);

const char *moon_store_queue_url(const struct moon_store_queue *q); /* without a password */
/* Whose transaction it is that has the store now (moon_store_tx_begin), or NULL. */
const void *moon_store_queue_holder(const struct moon_store_queue *q);

typedef void moon_store_done(void *ud);

enum moon_store_op {
    MOON_STORE_CALL,
    MOON_STORE_BEGIN,
    MOON_STORE_EXEC,
    MOON_STORE_COMMIT,
    MOON_STORE_ROLLBACK,
    MOON_STORE_NOW
};

/* One thing asked of the store. call is filled in before it is submitted; rc, err and results are in it afterwards. */
struct moon_store_ticket {
    struct moon_store_call call;
    int64_t now_ms; /* MOON_STORE_NOW's answer */
    /* private */
    enum moon_store_op op;
    enum { MOON_TICKET_IDLE, MOON_TICKET_WAITING, MOON_TICKET_RUNNING } state;
    bool orphan;
    struct moon_store_tx *tx;
    moon_store_done *done;
    void *ud;
    struct moon_store_ticket *next;
};
struct moon_store_ticket *moon_store_ticket_new(void); /* NULL: no memory */
/* One that waits or runs is let go: it takes effect all the same, and done is not called. NULL-safe. */
void moon_store_ticket_free(struct moon_store_ticket *t);

/* Runs t->call, atomic and durable; a call without statements opens the store and no more. */
void moon_store_submit(struct moon_store_queue *q, struct moon_store_ticket *t, moon_store_done *done, void *ud);
void moon_store_submit_now(struct moon_store_queue *q, struct moon_store_ticket *t, moon_store_done *done, void *ud);

/* ---- transactions ---- */

int moon_store_tx_new(struct moon_store_tx **out, struct moon_store_queue *q, struct moon_err *err);
/* Rolls back what is open; one that waits gives its place up. NULL-safe. */
void moon_store_tx_free(struct moon_store_tx *tx);
/* Waits for the store and begins. May follow an end: to run again. holder: for moon_store_queue_holder. */
void moon_store_tx_begin(struct moon_store_tx *tx, const void *holder, moon_store_done *done, void *ud);
/* Only while it is open. MOON_ECLOSED: it is not, and nothing is submitted. */
int moon_store_tx_exec(struct moon_store_tx *tx, struct moon_store_ticket *t, moon_store_done *done, void *ud,
                       struct moon_err *err);
int moon_store_tx_end(struct moon_store_tx *tx, bool commit, moon_store_done *done, void *ud, struct moon_err *err);
/* How the last begin or end went: 0, MOON_STORE_AGAIN (after an end) or a code. */
int moon_store_tx_result(const struct moon_store_tx *tx, struct moon_err *err);

#endif
