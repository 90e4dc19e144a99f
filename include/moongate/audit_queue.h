/* audit_queue.h - the audit log on the loop: what tasks submit while a batch is being written goes out together as the
 * next one, with one sync for all of them (group commit). The file is opened at the first event. Secrets are redacted
 * before anything is queued. */
#ifndef MOONGATE_AUDIT_QUEUE_H
#define MOONGATE_AUDIT_QUEUE_H

#include "moongate/audit_log.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_audit_queue;
struct moon_audit_ticket; /* one submitted event, until its callback */
struct moon_log;
struct moon_loop;
struct moon_redact;

/* path is copied; loop and redact (may be NULL) are borrowed. ops as in audit_log.h. 0 or MOON_ENOMEM. */
int moon_audit_queue_new(struct moon_audit_queue **out, struct moon_loop *loop, const struct moon_redact *redact,
                         const char *path, const struct moon_audit_ops *ops, struct moon_err *err);
/* Callbacks that are still due are dropped; what is queued but not written is written by a last, blocking batch; closes
 * the file. NULL-safe. The loop must still be there: a batch on the pool is waited for by turning it. */
void moon_audit_queue_free(struct moon_audit_queue *q);

/* Members that each event gets from here on (moon_audit_merge); a JSON object, copied. NULL: none. MOON_ENOMEM. */
int moon_audit_queue_identify(struct moon_audit_queue *q, const char *identity, struct moon_err *err);

const char *moon_audit_queue_identity(const struct moon_audit_queue *q); /* NULL: none */

/* Before its first batch: how long to wait for another process's lock on the log (0: MOON_AUDIT_LOCK_S), and where to
 * say which process that is, after two seconds (borrowed; NULL: nowhere). */
void moon_audit_queue_wait(struct moon_audit_queue *q, int seconds, struct moon_log *log);
/* What waits for that lock gets a moment more and then fails: an interrupt. From a signal handler or any thread.
 * NULL-safe. */
void moon_audit_queue_hurry(struct moon_audit_queue *q);
/* Nothing is written from here on: each event fails with code and "the audit log PATH WHY". */
void moon_audit_queue_refuse(struct moon_audit_queue *q, int code, const char *why);
/* 0, or the code of _refuse. */
int moon_audit_queue_refused(const struct moon_audit_queue *q, struct moon_err *err);

/* seq: the line's number, or 0 with err set. Runs in loop context, never inside _submit. */
typedef void moon_audit_done(void *ud, uint64_t seq, const struct moon_err *err);

/* fields: a JSON object with "action" (audit_log.h); copied. sync: the callback waits for the disk. done may be NULL.
 * *ticket (may be NULL) is valid until done was called. MOON_EINVAL (fields), MOON_ETOOBIG, MOON_ENOMEM: nothing is
 * queued and done is not called. */
int moon_audit_submit(struct moon_audit_queue *q, enum moon_audit_phase phase, uint64_t intent, const char *fields,
                      size_t len, bool sync, moon_audit_done *done, void *ud, struct moon_audit_ticket **ticket,
                      struct moon_err *err);
/* done won't be called; the event is written all the same. */
void moon_audit_forget(struct moon_audit_ticket *ticket);

const char *moon_audit_queue_path(const struct moon_audit_queue *q);
bool moon_audit_queue_idle(const struct moon_audit_queue *q); /* nothing queued, nothing being written */
struct moon_audit_stats {
    unsigned replaced; /* times that the log was gone or empty, and begun anew */
    uint64_t events, batches, syncs;
};
struct moon_audit_stats moon_audit_queue_stats(const struct moon_audit_queue *q);

#endif
