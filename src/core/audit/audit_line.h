/* audit_line.h - one line of the audit log, and a file's lines one after the other. Shared by audit_*.c. */
#ifndef MOONGATE_CORE_AUDIT_LINE_H
#define MOONGATE_CORE_AUDIT_LINE_H

#include "moongate/audit_log.h"
#include "moongate/json_value.h"

#include <stdatomic.h>

/* Where a chain of lines stands. */
struct audit_chain {
    uint64_t seq;               /* of the last line; 0: none yet */
    char hash[MOON_SHA256_HEX]; /* of the last line; 64 zeros before the first */
    bool open;                  /* the start is not known: the next line is taken as it comes */
};
void audit_chain_init(struct audit_chain *c);

/* An event's own members, checked and in canonical form: *text stays, or is what scratch holds. MOON_EINVAL,
 * MOON_ETOOBIG, MOON_ENOMEM. */
int audit_fields(const char **text, size_t *len, struct moon_buf *scratch, struct moon_err *err);

/* Appends the line of a record, with "\n", and moves the chain on. MOON_EINVAL (fields), MOON_ETOOBIG, MOON_ENOMEM: out
 * and chain are as before. */
int audit_line_make(struct moon_hasher *h, const struct moon_audit_record *r, struct audit_chain *chain,
                    struct moon_buf *out, struct moon_err *err);

struct audit_facts {
    enum moon_audit_phase phase;
    uint64_t intent;
    char prev[MOON_SHA256_HEX];
    bool set_aside;    /* a torn_line_set_aside event */
    uint64_t previous; /* of a log_replaced event: the number of the last line of the log before; 0: another event */
    char previous_hash[MOON_SHA256_HEX];
};
/* Checks a line (without "\n") against the chain and moves it on; facts may be NULL. MOON_EPARSE: it is not a JSON
 * object; MOON_EVERIFY: any other fault. err->message is the reason alone: "its hash does not match its content". */
int audit_line_check(struct moon_hasher *h, const char *line, size_t len, struct audit_chain *chain,
                     struct audit_facts *facts, struct moon_err *err);

/* Whether a line is an event of this action; the log's own actions are not reserved, their hashes are checked. */
bool audit_line_is(const char *line, size_t len, const char *action);
/* The intents without an outcome between the start of the file and end: how many, and the first. */
int audit_open_intents(int fd, off_t end, struct moon_hasher *h, uint64_t *first, uint64_t *count,
                       struct moon_err *err);

/* Can this last line of a file, which audit_line_check refused or which has no "\n", be what a crash left? False:
 * something else damaged it. */
bool audit_line_torn(struct moon_hasher *h, const char *line, size_t len, bool terminated,
                     const struct audit_chain *chain);

/* ---- the lines of a file from one place to another ---- */

#define AUDIT_SCAN_MAX (2 * MOON_AUDIT_LINE_MAX) /* a longer line is not ours */

struct audit_scan {
    int fd;
    off_t read_at, end; /* what of the file is not in buf yet */
    struct moon_buf buf;
    size_t used;      /* bytes of buf that were handed out */
    off_t line_start; /* of the line handed out last, and the end of it with its "\n" */
    off_t line_end;
    bool terminated; /* it ended with "\n" */
    bool overlong;   /* it is a piece of a line longer than AUDIT_SCAN_MAX */
};
void audit_scan_init(struct audit_scan *s, int fd, off_t start, off_t end);
void audit_scan_release(struct audit_scan *s);
/* 1 with the next line (valid until the next call), 0 at the end, MOON_EIO or MOON_ENOMEM. */
int audit_scan_next(struct audit_scan *s, const char **line, size_t *len, struct moon_err *err);

/* Waits for flock(2) on fd, LOCK_EX or LOCK_SH, within the limits of ops. MOON_ETIMEOUT names the process that has it.
 */
int audit_lock(int fd, int how, const char *path, const struct moon_audit_ops *ops, struct moon_err *err);
void audit_unlock(int fd);

/* Opens an existing log for reading. *end: its size while nobody was writing. fd or a negative code. */
int audit_open_read(const char *path, off_t *end, struct moon_err *err);

#endif
