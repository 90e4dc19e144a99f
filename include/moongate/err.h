/* err.h - the one error form of the C layers: a code and a bounded message, no ownership.
 *
 * Functions that can fail return 0 or a negative enum moon_code and take `struct moon_err *err` last. err may be NULL.
 * The code's name (moon_code_name) is what a script sees as err.code and what the CLI maps to an exit status. */
#ifndef MOONGATE_ERR_H
#define MOONGATE_ERR_H

#include <stddef.h>

enum moon_code {
    MOON_OK = 0,
    MOON_ENOMEM = -1,      /* "out_of_memory" */
    MOON_EINVAL = -2,      /* "invalid": a value that is not allowed */
    MOON_EPARSE = -3,      /* "parse": text that does not follow its grammar */
    MOON_ERANGE = -4,      /* "range": a number or size out of its range */
    MOON_EIO = -5,         /* "io": disk or file system */
    MOON_ENOENT = -6,      /* "not_found": no such file or thing */
    MOON_EEXIST = -7,      /* "exists" */
    MOON_EDENIED = -8,     /* "denied": local permissions */
    MOON_EAUTH = -9,       /* "unauthorized": no or wrong credentials */
    MOON_ECONNECT = -10,   /* "connect": no connection, nothing was sent */
    MOON_ENETWORK = -11,   /* "network": the connection failed after it was made */
    MOON_ETLS = -12,       /* "tls": handshake or verification */
    MOON_ETIMEOUT = -13,   /* "timeout": a deadline passed */
    MOON_ECANCELLED = -14, /* "cancelled" */
    MOON_EHTTP = -15,      /* "http": an answer with an error status */
    MOON_ECONFLICT = -16,  /* "conflict": somebody else wrote */
    MOON_EBREAKER = -17,   /* "breaker_open": not sent, the circuit is open */
    MOON_EBUDGET = -18,    /* "retry_budget": not retried, too many retries already */
    MOON_EUNKNOWN = -19,   /* "unknown_outcome": sent, and no way to tell whether it took effect */
    MOON_ETOOBIG = -20,    /* "too_large": beyond a size limit */
    MOON_ECORRUPT = -21,   /* "corrupt": stored data is damaged */
    MOON_ECLOSED = -22,    /* "closed": used after close */
    MOON_EINTERRUPT = -23, /* "interrupted": Ctrl-C or SIGTERM */
    MOON_EPROTOCOL = -24,  /* "protocol": the peer broke the protocol */
    MOON_EVERIFY = -25,    /* "verify": a signature, hash or check that does not match */
    MOON_ESCRIPT = -26,    /* "script": a Lua error */
    MOON_EBUG = -27,       /* "bug" */
    MOON_ESTORE = -28,     /* "store": the state can't be used: damaged, no room, no server */
    MOON_EBUSY = -29,      /* "busy": somebody else has it, and did not let go in time */
    MOON_CODE_LAST = -29
};

struct moon_err {
    int code;          /* 0 or an enum moon_code */
    char message[496]; /* NUL-terminated UTF-8, cut at a character's boundary */
};

/* Sets code and a printf-style message; returns code, so that `return moon_err_set(err, ...)` reads well. */
int moon_err_set(struct moon_err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As moon_err_set, with ": " and strerror(errnum) appended; ENOSPC, EACCES, ENOENT and EEXIST pick their own code over
 * `code`. */
int moon_err_errno(struct moon_err *err, int code, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The stable lower-case name of a code; "bug" for one that does not exist. Never NULL. */
const char *moon_code_name(int code);

#endif
