/* audit_log_private.h - an open audit log, shared by audit_log.c (appending) and audit_catch_up.c (what is in the file
 * already). */
#ifndef MOONGATE_CORE_AUDIT_LOG_PRIVATE_H
#define MOONGATE_CORE_AUDIT_LOG_PRIVATE_H

#include "audit_line.h"

#include "moongate/process.h"

struct moon_audit_log {
    char *path;
    int fd;
    dev_t dev;
    ino_t ino;
    off_t good_end; /* where the last good line ends */
    struct audit_chain chain;
    struct moon_hasher *hasher;
    struct moon_audit_ops ops;
    bool refused;         /* a sync failed, or a partial line could not be cut off: nothing is known any more */
    bool folder_unsynced; /* the file's name is not safely in its folder yet */
    off_t torn_end;       /* > good_end: there is a torn line up to here */
    char torn_file[64];   /* base name of the side file that is not recorded yet; "" */
    size_t torn_bytes;
    char torn_hash[MOON_SHA256_HEX];
    const char *identity; /* of who appends, for the events that are the log's own; NULL: not known */
    /* See audit_head.c. */
    int head_fd; /* -1: not open */
    char boot[MOON_PROCESS_ID_SIZE];
    struct audit_chain head;     /* what the head says of a file that is new to us; seq 0: nothing, or it was checked */
    struct audit_chain synced;   /* the last line that is known to be on the disk */
    struct audit_chain replaced; /* seq > 0: the log before this one, which is not here any more; to be recorded */
    unsigned times_replaced;
    bool head_differs; /* the line of that number has another hash */
    bool rotated;      /* the last line is "audit_rotated": see audit_rotate.c */
};

/* Opens the file that has the name now, without looking into it. */
int audit_lock_current(struct moon_audit_log *log, struct moon_err *err);
int audit_sync_folder(struct moon_audit_log *log, struct moon_err *err);

/* All of these under the file's lock. */

/* Catches up, records what has to be recorded first, and appends the records. first may be NULL when n is 0. */
int audit_append_locked(struct moon_audit_log *log, struct moon_audit_record *records, size_t n, int64_t wall_ns,
                        struct moon_err *first, struct moon_err *err);
/* Writes lines that move the chain on to *chain. */
int audit_put_text(struct moon_audit_log *log, const struct moon_buf *text, const struct audit_chain *chain,
                   struct moon_err *err);
/* Appends the line of an event of the log's own to out. */
int audit_put_event(struct moon_audit_log *log, const struct moon_buf *fields, int64_t wall_ns,
                    struct audit_chain *chain, struct moon_buf *out, struct moon_err *err);
/* Does what is left of a rotation whose "audit_rotated" is the last line. */
int audit_finish_rotation(struct moon_audit_log *log, int64_t wall_ns, struct moon_err *err);

/* Checks what others have added since, or at first all, and moves good_end and chain on. Torn bytes stay between
 * good_end and torn_end. MOON_ECORRUPT, MOON_EIO, MOON_ENOMEM. */
int audit_catch_up(struct moon_audit_log *log, struct moon_err *err);
/* Moves the torn bytes to a side file; audit_put_torn_event is due from then on. */
int audit_set_torn_aside(struct moon_audit_log *log, struct moon_err *err);
/* Appends the line that records it. */
int audit_put_torn_event(struct moon_audit_log *log, int64_t wall_ns, struct audit_chain *chain, struct moon_buf *out,
                         struct moon_err *err);

/* What the head beside a log says. False: it does not exist. No lock needed: read before the log, it is never ahead of
 * it.
 */
bool audit_head_read(const char *path, struct audit_chain *chain);
void audit_head_write(struct moon_audit_log *log);
/* After audit_catch_up: whether the file is the one that the head is of. MOON_ECORRUPT; a log that starts again is
 * recorded by audit_put_replaced_event. */
int audit_head_check(struct moon_audit_log *log, struct moon_err *err);
int audit_put_replaced_event(struct moon_audit_log *log, int64_t wall_ns, struct audit_chain *chain,
                             struct moon_buf *out, struct moon_err *err);

#endif
