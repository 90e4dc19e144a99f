/* audit_log.h - a file of JSON lines, each bound to the one before by a hash. Blocking; audit_queue.h puts it on the
 * loop.
 *
 * The form, for whoever wants to check a log without this program:
 *   A line is one JSON object in canonical form (RFC 8785) and "\n". Members that the log adds:
 *     seq    the line's number in the file, from 1
 *     time   when the event was submitted, RFC 3339, UTC, milliseconds
 *     phase  "event", "intent" (something is about to be done), "outcome" (what became of it)
 *     intent only in an outcome: the seq of its intent
 *     prev   the hash of the line before; 64 zeros in the first
 *     hash   SHA-256, lower-case hex, of the line's bytes without the "\n" and without the member "hash" and the comma
 *            after or before it: that is the canonical form of the object without it
 *
 * All other members are the event's own; "action", a string, is always there. The names above are refused in an event.
 *
 * Several processes may append to one file: a batch is written under flock(2), after the lines that others have added
 * were read and checked. It is synced after the lock is given back, so a process that stands still while it waits for
 * the disk keeps nobody from writing; a later sync of another process covers its lines, too. One that is stopped
 * within the write itself has to go on or end: a line that it still writes after another one would break the chain.
 *
 * A crash can leave a torn last line: one without "\n", or one that is no JSON. It was never acknowledged. The next
 * writer moves its bytes to <path>.torn-<line>-<8 digits of its SHA-256>, cuts the log and records the event
 * "torn_line_set_aside" with that file's name, its length and SHA-256. Any other damage stops all appending with
 * MOON_ECORRUPT, which names the line. When a log is opened, one of up to MOON_AUDIT_FULL_CHECK bytes is checked from
 * its first line, a longer one over its last MOON_AUDIT_TAIL_CHECK bytes; moon_audit_verify always checks all.
 *
 * <path>.head has the number and hash of the last line (audit_head.c). With it the next writer, and moon_audit_verify,
 * find out that lines are missing at the end, or that the log was replaced: both stop all appending. A log that is gone
 * or empty is begun anew, and its first line, the event "log_replaced", has number and hash of the old one's last.
 *
 * What is acknowledged is on the disk (fdatasync, and the folder's entry after creation). When a write fails (full
 * disk, I/O error), the partial line is cut off again and nothing of the batch counts. After a failed sync nobody can
 * tell what is on the disk: the log refuses to append until it is opened again. The file is created 0600, its folder
 * 0700. */
#ifndef MOONGATE_AUDIT_LOG_H
#define MOONGATE_AUDIT_LOG_H

#include "moongate/buf.h"
#include "moongate/digest.h"
#include "moongate/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MOON_AUDIT_LINE_MAX   (1024 * 1024)       /* an event beyond it is refused: MOON_ETOOBIG */
#define MOON_AUDIT_FULL_CHECK (128 * 1024 * 1024) /* some tenths of a second */
#define MOON_AUDIT_TAIL_CHECK (2 * MOON_AUDIT_LINE_MAX + 65536)
#define MOON_AUDIT_LOCK_S     10 /* how long to wait for another process's batch: then MOON_ETIMEOUT */

enum moon_audit_phase { MOON_AUDIT_EVENT, MOON_AUDIT_INTENT, MOON_AUDIT_OUTCOME };

/* The calls that can fail for reasons of the disk, to be replaced in tests (NULL: the system's), and limits. */
struct moon_audit_ops {
    ssize_t (*write)(int fd, const void *data, size_t len);
    int (*fdatasync)(int fd);
    int (*ftruncate)(int fd, off_t len);
    off_t full_check;        /* in place of MOON_AUDIT_FULL_CHECK; 0: that */
    int wait_s;              /* in place of MOON_AUDIT_LOCK_S; 0: that */
    const atomic_bool *stop; /* set: wait a moment more and no longer; or NULL */
    atomic_long *holder; /* set while it waits: the process that has the lock, negative when that is stopped; or NULL */
};

struct moon_audit_log;
struct moon_redact;

/* ops NULL: the system's. MOON_EIO, MOON_EDENIED, MOON_ECORRUPT, MOON_ETIMEOUT, MOON_ENOMEM. */
int moon_audit_open(struct moon_audit_log **out, const char *path, const struct moon_audit_ops *ops,
                    struct moon_err *err);
/* How often the log was found gone or empty, and begun anew. */
unsigned moon_audit_replaced(const struct moon_audit_log *log);
void moon_audit_close(struct moon_audit_log *log); /* NULL-safe */

/* Who appends from here on (see moon_audit_merge), for events of the log's own; borrowed; NULL: not known. */
void moon_audit_identify(struct moon_audit_log *log, const char *identity);

struct moon_audit_record {
    enum moon_audit_phase phase;
    uint64_t intent; /* OUTCOME: its intent's seq */
    int64_t wall_ns;
    const char *fields; /* a JSON object: the event's own members; "action", a string, among them */
    size_t fields_len;
    uint64_t seq; /* set by _append: the line's number; 0: this record was not written */
    int status;   /* set by _append: 0, or why this record alone was not written (MOON_EINVAL: its fields; MOON_ETOOBIG)
                   */
};
/* Appends a batch with one write, and one sync when `sync`. A record whose fields are no such object gets its own
 * status and the others go on. A failure of the whole returns its code, and then no record has a seq. Records' errors
 * are told in err when the whole succeeds, the first of them. */
int moon_audit_append(struct moon_audit_log *log, struct moon_audit_record *records, size_t n, bool sync,
                      struct moon_err *err);

/* Checks the fields of one record as _append would, so that a caller's mistake is found where it is made. */
int moon_audit_check_fields(const char *fields, size_t len, struct moon_err *err);

/* Appends fields to out, checked, in canonical form, and with every secret of redact (may be NULL: by name only) as
 * "***". MOON_EINVAL, MOON_ETOOBIG, MOON_ENOMEM. */
int moon_audit_redact(const struct moon_redact *redact, const char *fields, size_t len, struct moon_buf *out,
                      struct moon_err *err);

/* Appends the event with the members of identity, an object in canonical form and of plain values. An event that has
 * one of them is refused, but for "run": then its own counts. MOON_EINVAL, MOON_ENOMEM. */
int moon_audit_merge(const char *fields, size_t len, const char *identity, size_t identity_len, struct moon_buf *out,
                     struct moon_err *err);

/* Closes the log as the segment <stem>-<first seq>-<last seq>.jsonl beside it, where <stem> is its path without
 * ".jsonl", and goes on in a new file of the log's name: the same chain, numbering and tree (audit_tree.h). The segment
 * ends with the event "audit_rotated" {next, root, size}, the new file begins with "audit_continued" {previous, size,
 * frontier}. Processes that append to the log find the new file by themselves. After a crash the next append does what
 * is left. MOON_EBUSY: intents have no outcome yet, and they are not to be kept; MOON_ENOENT: the log is empty; else as
 * moon_audit_append. */
int moon_audit_rotate(struct moon_audit_log *log, int64_t wall_ns, bool keep_open_intents, struct moon_err *err);

/* Keeps a signed checkpoint (a note whose second line is a number of lines) as <path>.checkpoint, under the log's lock:
 * of several processes that sign, the largest one stays. MOON_EVERIFY: another one of that size is there, or a file
 * that is not a checkpoint; MOON_EINVAL: the note is not one; else as moon_audit_open. */
int moon_audit_keep_checkpoint(const char *path, const char *note, size_t len, struct moon_err *err);

struct moon_audit_report {
    uint64_t lines;    /* good ones, from the first */
    uint64_t bad_line; /* number of the first bad line; 0: none */
    char reason[200];  /* why it is bad, or how the end is torn; "" */
    bool torn;         /* the only fault is the last line, which a crash cut short */
    uint64_t torn_bytes;
    uint64_t set_aside;     /* torn_line_set_aside events */
    uint64_t *open_intents; /* seqs of intents without an outcome, in order */
    size_t nopen;
    uint64_t *settled; /* seqs of intents before the first line that have their outcome here, as they come */
    size_t nsettled;
    char last_hash[MOON_SHA256_HEX]; /* of the last good line */
    uint64_t head;                   /* number of the line that was written last, by the head beside it; 0: no head */
    uint64_t previous;               /* > 0: it begins behind this line of another log */
    char previous_hash[MOON_SHA256_HEX];
    uint64_t first_seq, last_seq; /* numbers of the first and the last good line; 0: there is none */
    char first_prev[MOON_SHA256_HEX];
    bool continued; /* it goes on from a segment: see moon_audit_rotate */
    bool rotated;   /* it is a segment: its last line says that it was closed */
};
/* 0: all lines are good (open intents are no fault). MOON_EVERIFY: bad_line says where. MOON_EIO, MOON_ENOENT,
 * MOON_ENOMEM. Released by the caller in every case. A log that is being written to is checked up to its end at the
 * start. */
int moon_audit_verify(const char *path, struct moon_audit_report *report, struct moon_err *err);
void moon_audit_report_release(struct moon_audit_report *report);

/* What `audit show` asks for. NULL, 0: any. */
struct moon_audit_filter {
    const char *action;
    const char *outcome;        /* matches the member "outcome" or "status" */
    const char *correlation_id; /* matches "correlation_id" or "correlationId" */
    const char *run;
    const char *plan;
    const char *phase;
    const char *since,
        *until;  /* a time or the beginning of one ("2026-11-20", "2026-11-20T07:31"), UTC; both inclusive */
    size_t last; /* only the last so many */
};
/* Appends the matching lines, "\n" included, to out; lines that are no JSON are counted in *skipped. max_bytes:
 * MOON_ETOOBIG beyond. */
int moon_audit_read(const char *path, const struct moon_audit_filter *filter, size_t max_bytes, struct moon_buf *out,
                    uint64_t *skipped, struct moon_err *err);

#endif
