/* store_queue_private.h - what the queue of a store and its transactions share. */
#ifndef MOON_HOST_STORE_QUEUE_PRIVATE_H
#define MOON_HOST_STORE_QUEUE_PRIVATE_H

#include "moongate/store_queue.h"

struct moon_worker;

#define STORE_BATCH_MAX 256

struct store_list {
    struct moon_store_ticket *first, **last;
};

struct moon_store_tx {
    struct moon_store_queue *queue;   /* NULL: the queue is gone */
    struct moon_store_ticket control; /* begin, then its end */
    const void *holder;
    bool open, abandoned;
};

struct moon_store_queue {
    struct moon_loop *loop;
    char *url;
    struct moon_buf shown;       /* the URL without a password */
    struct store_list waiting;   /* calls and begins */
    struct moon_store_tx *owner; /* has the store from its begin on */
    struct store_list owned;     /* what it asks for */
    struct moon_hook hook;       /* before each poll: what this turn has asked for goes out together */
    bool hooked;
    struct moon_defer start; /* what came while a batch was at the disk: with what the next turn brings */
    bool closing;
    void (*closed)(void *ud);
    void *closed_ud;
    atomic_bool stop;

    /* The batch: the thread's from start to done. */
    bool busy;
    struct moon_worker *worker;
    struct moon_store *store; /* opened by the first batch */
    struct store_list batch;
    struct moon_store_call *calls[STORE_BATCH_MAX];
    size_t n;
    int64_t now_ms;
};

/* Puts t at the end of a list of q; the rest of this turn's come with it. */
void store_queue_add(struct moon_store_queue *q, struct store_list *to, struct moon_store_ticket *t,
                     enum moon_store_op op, moon_store_done *done, void *ud);

#endif
