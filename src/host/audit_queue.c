/* audit_queue.c - group commit. Entries wait in a list; one batch at a time goes to the pool and is written with one
 * write and, if anyone in it needs that, one sync. The pool thread sees only the batch; the list is the loop's. */
#include "moongate/audit_queue.h"

#include "moongate/buf.h"
#include "moongate/clock.h"
#include "moongate/log.h"
#include "moongate/loop.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_MAX   4096
#define BATCH_BYTES (4 * 1024 * 1024)
#define LATE_NS     (2 * MOON_NS_PER_S)

struct moon_audit_ticket {
    struct moon_audit_ticket *next;
    struct moon_audit_record record; /* fields point into text */
    struct moon_buf text;
    moon_audit_done *done;
    void *ud;
    bool sync;
};

struct moon_audit_queue {
    struct moon_loop *loop;
    const struct moon_redact *redact;
    char *path;
    char *identity; /* NULL: none */
    struct moon_err refused;
    struct moon_audit_ops ops;
    atomic_bool stop; /* what waits for another process gets a moment more */
    atomic_long holder;
    struct moon_log *log_to;
    struct moon_timer late; /* of the batch */

    struct moon_audit_ticket *first, **last; /* waiting */
    struct moon_timer start;                 /* of the next batch: when this turn's answers have all been dealt with */
    struct moon_defer now;                   /* ... where there is no memory for that */

    /* The batch: the pool's from start to done. */
    bool busy;
    struct moon_work work;
    struct moon_audit_log *log; /* opened by the first batch */
    struct moon_audit_ticket *batch;
    char *batch_identity; /* a copy: the loop may set another at any time */
    struct moon_audit_record *records;
    size_t nrecords;
    bool sync;
    int rc;
    struct moon_err err;

    unsigned replaced;

    struct moon_audit_stats stats;
};

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

int moon_audit_queue_new(struct moon_audit_queue **out, struct moon_loop *loop, const struct moon_redact *redact,
                         const char *path, const struct moon_audit_ops *ops, struct moon_err *err) {
    struct moon_audit_queue *q = calloc(1, sizeof *q);
    if (!q || !(q->path = strdup(path))) {
        free(q);
        return no_memory(err);
    }
    q->loop = loop;
    q->redact = redact;
    q->last = &q->first;
    if (ops)
        q->ops = *ops;
    q->ops.stop = &q->stop;
    q->ops.holder = &q->holder;
    *out = q;
    return 0;
}

static void free_ticket(struct moon_audit_ticket *t) {
    moon_buf_release(&t->text);
    free(t);
}

/* ---- a batch ---- */

/* Moves what waits to the batch. */
static int take_batch(struct moon_audit_queue *q) {
    size_t n = 0, bytes = 0;
    struct moon_audit_ticket *t;
    for (t = q->first; t && n < BATCH_MAX && bytes < BATCH_BYTES; t = t->next, n++)
        bytes += t->text.len;
    q->records = malloc(n * sizeof *q->records);
    if (!q->records)
        return MOON_ENOMEM;
    q->nrecords = n;
    q->sync = false;
    q->batch = q->first;
    for (size_t i = 0; i < n; i++) {
        t = q->first;
        q->records[i] = t->record;
        q->sync |= t->sync;
        q->first = t->next;
        if (i + 1 == n)
            t->next = NULL;
    }
    if (!q->first)
        q->last = &q->first;
    return 0;
}

/* On a pool thread. A log that could not be opened is tried again by the next batch; one that failed stays refused. */
static void write_batch(void *ud) {
    struct moon_audit_queue *q = ud;
    if (q->refused.code) {
        q->err = q->refused;
        q->rc = q->refused.code;
        return;
    }
    q->rc = q->log ? 0 : moon_audit_open(&q->log, q->path, &q->ops, &q->err);
    if (q->log)
        moon_audit_identify(q->log, q->batch_identity);
    if (q->rc == 0)
        q->rc = moon_audit_append(q->log, q->records, q->nrecords, q->sync, &q->err);
    q->replaced = q->log ? moon_audit_replaced(q->log) : 0;
}

static void tell_failure(const struct moon_audit_queue *q, const struct moon_audit_ticket *t,
                         const struct moon_audit_record *r) {
    struct moon_err failed = q->err; /* a copy: the callback may start the next batch */
    if (q->rc == 0 && r->status != 0 && failed.code != r->status)
        moon_err_set(&failed, r->status, "the audit event could not be written");
    t->done(t->ud, 0, &failed);
}

/* Tells everyone how the batch ended. A callback may submit, forget others, or run anything but _free. */
static void settle_batch(struct moon_audit_queue *q) {
    struct moon_audit_record *records = q->records;
    size_t i = 0;
    q->stats.batches++;
    q->stats.replaced = q->replaced;
    q->stats.syncs += q->rc == 0 && q->sync;
    while (q->batch) {
        struct moon_audit_ticket *t = q->batch;
        const struct moon_audit_record *r = &records[i++];
        q->batch = t->next;
        q->stats.events += r->seq > 0;
        if (t->done && r->seq > 0)
            t->done(t->ud, r->seq, NULL);
        else if (t->done)
            tell_failure(q, t, r);
        free_ticket(t);
    }
    free(records);
    q->records = NULL;
}

static void start_batch(void *ud);

/* Later, so that all who submit in this turn go together. */
static void start_soon(struct moon_audit_queue *q) {
    if (q->start.index == 0 && moon_timer_start(q->loop, &q->start, 0, start_batch, q) != 0)
        moon_loop_defer(q->loop, &q->now, start_batch, q);
}

/* Settles the batch and continues with what has come since: also when it was never written (code not 0). */
static void end_batch(struct moon_audit_queue *q, int code) {
    if (code != 0) {
        q->rc = code;
        for (size_t i = 0; i < q->nrecords; i++)
            q->records[i].seq = 0;
    }
    settle_batch(q);
    q->busy = false;
    if (q->first)
        start_soon(q);
}

/* Nobody waits for a minute without knowing for whom. */
static void on_late(void *ud) {
    struct moon_audit_queue *q = ud;
    long pid = atomic_exchange(&q->holder, 0);
    if (pid < 0)
        moon_log_write(q->log_to, MOON_LOG_WARN,
                       "waiting for the lock of the audit log %s: process %ld has it and is stopped (kill -CONT %ld "
                       "resumes it)",
                       q->path, -pid, -pid);
    else if (pid > 0)
        moon_log_write(q->log_to, MOON_LOG_WARN, "waiting for the lock of the audit log %s: process %ld has it",
                       q->path, pid);
}

static void batch_done(void *ud, bool cancelled) {
    struct moon_audit_queue *q = ud;
    moon_timer_stop(q->loop, &q->late);
    atomic_store(&q->holder, 0);
    end_batch(q, cancelled ? moon_err_set(&q->err, MOON_ECANCELLED, "the audit log was not written: cancelled") : 0);
}

static void fail_waiting(struct moon_audit_queue *q) {
    struct moon_audit_ticket *t = q->first;
    struct moon_err err;
    no_memory(&err);
    q->first = NULL;
    q->last = &q->first;
    while (t) {
        struct moon_audit_ticket *next = t->next;
        if (t->done)
            t->done(t->ud, 0, &err);
        free_ticket(t);
        t = next;
    }
}

static void start_batch(void *ud) {
    struct moon_audit_queue *q = ud;
    if (q->busy || !q->first)
        return;
    if (take_batch(q) != 0) {
        fail_waiting(q);
        return;
    }
    q->busy = true;
    free(q->batch_identity);
    q->batch_identity = q->identity ? strdup(q->identity) : NULL;
    q->err = (struct moon_err){0, ""};
    if (q->log_to && moon_timer_start(q->loop, &q->late, LATE_NS, on_late, q) != 0)
        q->late.index = 0; /* no memory: no word, then */
    if (moon_work_start(q->loop, &q->work, write_batch, batch_done, q, &q->err) != 0)
        end_batch(q, q->err.code);
}

/* ---- what others call ---- */

int moon_audit_queue_identify(struct moon_audit_queue *q, const char *identity, struct moon_err *err) {
    char *copy = identity ? strdup(identity) : NULL;
    if (identity && !copy)
        return no_memory(err);
    free(q->identity);
    q->identity = copy;
    return 0;
}

void moon_audit_queue_wait(struct moon_audit_queue *q, int seconds, struct moon_log *log) {
    q->ops.wait_s = seconds;
    q->log_to = log;
}

void moon_audit_queue_hurry(struct moon_audit_queue *q) {
    if (q)
        atomic_store(&q->stop, true);
}

void moon_audit_queue_refuse(struct moon_audit_queue *q, int code, const char *why) {
    moon_err_set(&q->refused, code, "the audit log %.300s %s", q->path, why);
}

/* After the redaction: the identity is what it is, the client's id too. */
static int identify(const struct moon_audit_queue *q, struct moon_buf *text, struct moon_err *err) {
    struct moon_buf with = MOON_BUF_INIT;
    int rc = moon_buf_reserve(&with, text->len + strlen(q->identity)) != 0
                 ? no_memory(err)
                 : moon_audit_merge(text->data, text->len, q->identity, strlen(q->identity), &with, err);
    struct moon_buf old = rc == 0 ? *text : with;
    if (rc == 0)
        *text = with;
    moon_buf_release(&old);
    return rc;
}

int moon_audit_submit(struct moon_audit_queue *q, enum moon_audit_phase phase, uint64_t intent, const char *fields,
                      size_t len, bool sync, moon_audit_done *done, void *ud, struct moon_audit_ticket **ticket,
                      struct moon_err *err) {
    struct moon_audit_ticket *t = calloc(1, sizeof *t);
    if (!t)
        return no_memory(err);
    int rc = moon_audit_redact(q->redact, fields, len, &t->text, err);
    if (rc == 0 && q->identity)
        rc = identify(q, &t->text, err);
    if (rc != 0) {
        free_ticket(t);
        return rc;
    }
    t->record = (struct moon_audit_record){.phase = phase,
                                           .intent = intent,
                                           .wall_ns = moon_wall_ns(moon_loop_clock(q->loop)),
                                           .fields = t->text.data,
                                           .fields_len = t->text.len};
    t->sync = sync;
    t->done = done;
    t->ud = ud;
    *q->last = t;
    q->last = &t->next;
    if (!q->busy)
        start_soon(q);
    if (ticket)
        *ticket = t;
    return 0;
}

void moon_audit_forget(struct moon_audit_ticket *ticket) {
    ticket->done = NULL;
}

static void forget_all(struct moon_audit_ticket *t) {
    for (; t; t = t->next)
        t->done = NULL;
}

void moon_audit_queue_free(struct moon_audit_queue *q) {
    if (!q)
        return;
    forget_all(q->batch);
    forget_all(q->first);
    while (q->busy)
        moon_loop_turn(q->loop, true);
    moon_timer_stop(q->loop, &q->start);
    moon_timer_stop(q->loop, &q->late);
    moon_loop_undefer(q->loop, &q->now);
    while (q->first && take_batch(q) == 0) {
        write_batch(q);
        settle_batch(q);
    }
    fail_waiting(q);
    moon_audit_close(q->log);
    free(q->batch_identity);
    free(q->identity);
    free(q->path);
    free(q);
}

const char *moon_audit_queue_path(const struct moon_audit_queue *q) {
    return q->path;
}

bool moon_audit_queue_idle(const struct moon_audit_queue *q) {
    return !q->busy && !q->first;
}

struct moon_audit_stats moon_audit_queue_stats(const struct moon_audit_queue *q) {
    return q->stats;
}

const char *moon_audit_queue_identity(const struct moon_audit_queue *q) {
    return q->identity;
}

int moon_audit_queue_refused(const struct moon_audit_queue *q, struct moon_err *err) {
    if (q->refused.code != 0 && err)
        *err = q->refused;
    return q->refused.code;
}
