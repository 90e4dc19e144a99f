/* store.h - what must outlive the process: one interface, an SQLite and a PostgreSQL form behind it.
 *
 * Mechanism only (connection, transactions, durability, schema); the SQL stands with those who own the tables. All
 * functions block, so they run on a thread of their own (host/store_queue.c), one at a time a store.
 *
 * SQL is the subset that both know. Parameters are $1, $2 ... In the text, {now} is the store's time in ms since 1970,
 * {lock} FOR UPDATE, {skip_locked} FOR UPDATE SKIP LOCKED (both nothing in SQLite, where a transaction has the whole
 * database), {serial} the type of a key that counts up by itself;
 * {clustered} behind a table's closing bracket: its rows lie in the order of its key. */
#ifndef MOONGATE_STORE_H
#define MOONGATE_STORE_H

#include "moongate/buf.h"
#include "moongate/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- calls: statements with their parameters, and what came of them ---- */

enum moon_store_type { MOON_STORE_NULL, MOON_STORE_INTEGER, MOON_STORE_REAL, MOON_STORE_TEXT };

struct moon_store_value {
    enum moon_store_type type;
    union {
        int64_t integer;
        double real;
        struct {
            size_t at, len; /* in the call's text; a NUL stands behind it */
        } text;
    };
};

struct moon_store_statement {
    size_t sql;           /* in the call's text, with a NUL */
    size_t first, params; /* in the call's values */
    int64_t expect;       /* rows it must touch or return; -1: any number */
    /* what came of it */
    size_t columns, rows;
    size_t names;      /* in the call's text: the columns' names, each with its NUL */
    size_t first_cell; /* in the call's values, row by row */
    int64_t changes;   /* rows inserted, updated, deleted */
};

/* Zeroed memory is an empty call. */
struct moon_store_call {
    struct moon_buf text;
    struct moon_store_value *values;
    size_t nvalues, cap_values;
    struct moon_store_statement *statements;
    size_t n, cap;
    size_t given_text, given_values; /* where the results begin */
    int rc;                          /* 0, a code, or MOON_STORE_AGAIN */
    struct moon_err err;
};

/* Rolled back through no fault of the call: a serialization failure, a deadlock, the connection lost before COMMIT. To
 * be run again from its beginning. Never shown to users. */
#define MOON_STORE_AGAIN 1

/* Each 0 or MOON_ENOMEM. Values belong to the last statement. */
int moon_store_add(struct moon_store_call *c, const char *sql, size_t len, int64_t expect);
int moon_store_add_null(struct moon_store_call *c);
int moon_store_add_integer(struct moon_store_call *c, int64_t value);
int moon_store_add_real(struct moon_store_call *c, double value);
int moon_store_add_text(struct moon_store_call *c, const char *text, size_t len);
void moon_store_call_release(struct moon_store_call *c);

/* ---- a store ---- */

struct moon_store;

struct moon_store_opts {
    const atomic_bool *stop; /* true: give up waiting; or NULL */
    int64_t now_ms;          /* the wall clock, for the schema's own rows */
};

/* "sqlite:PATH", "sqlite::memory:" or "postgres://...": connects, checks what is there, and brings its schema up to
 * date. MOON_ESTORE (a message that says what to do), MOON_EINVAL (no such form), MOON_EDENIED, MOON_ENOMEM. */
int moon_store_open(struct moon_store **out, const char *url, const struct moon_store_opts *opts, struct moon_err *err);
void moon_store_close(struct moon_store *s); /* NULL-safe */

/* Runs n calls, each atomic, and durable when it has succeeded: together, with one sync for all of them; one that fails
 * does not fail the others. Results, rc and err are in the calls; MOON_STORE_AGAIN never is. now_ms: what {now} is in
 * SQLite. */
void moon_store_apply(struct moon_store *s, struct moon_store_call *const calls[], size_t n, int64_t now_ms);

/* A transaction. Between _begin and its end only _exec, and neither _apply nor another _begin. 0, MOON_STORE_AGAIN
 * (ended; not from _begin) or a code. After a failed _exec nothing but _rollback is of use. */
int moon_store_begin(struct moon_store *s, struct moon_err *err);
int moon_store_exec(struct moon_store *s, struct moon_store_call *call, int64_t now_ms); /* also in call->rc */
int moon_store_commit(struct moon_store *s, struct moon_err *err);
void moon_store_rollback(struct moon_store *s); /* no-op when it has ended */

/* The store's time, ms since 1970: now_ms in SQLite, the server's in PostgreSQL. */
int moon_store_now(struct moon_store *s, int64_t now_ms, int64_t *out, struct moon_err *err);

/* ---- URLs ---- */

enum moon_store_kind { MOON_STORE_NONE, MOON_STORE_SQLITE, MOON_STORE_POSTGRES };
enum moon_store_kind moon_store_kind(const char *url);       /* by its scheme */
const char *moon_store_kind_name(enum moon_store_kind kind); /* "sqlite", "postgres" */
bool moon_store_in_memory(const char *url);
/* Appends the URL without its passwords; adds those to `passwords`, each with a NUL. Either may be NULL. 0 or
 * MOON_ENOMEM. */
int moon_store_url_show(const char *url, struct moon_buf *shown, struct moon_buf *passwords);

/* Of the SQLite that runs. */
const char *moon_store_version(void);

#endif
