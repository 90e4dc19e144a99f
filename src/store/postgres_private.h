/* postgres_private.h - the PostgreSQL form, shared by its files. */
#ifndef MOON_STORE_POSTGRES_PRIVATE_H
#define MOON_STORE_POSTGRES_PRIVATE_H

#include "store_private.h"

#include "moongate/rng.h"

#include <libpq-fe.h>

/* libpq is loaded at its first use: a program that keeps its state in a file neither waits for it nor needs it. */
/* clang-format off */
#define PG_FUNCTIONS(X) \
    X(PQclear) X(PQcmdStatus) X(PQcmdTuples) X(PQconnectPoll) X(PQconnectStartParams) X(PQconsumeInput) \
    X(PQenterPipelineMode) X(PQerrorMessage) X(PQfinish) X(PQflush) X(PQfname) X(PQftype) X(PQgetResult) \
    X(PQgetisnull) X(PQgetlength) X(PQgetvalue) X(PQisBusy) X(PQnfields) X(PQntuples) X(PQpipelineStatus) \
    X(PQpipelineSync) X(PQresultErrorField) X(PQresultErrorMessage) X(PQresultStatus) X(PQsendQueryParams) \
    X(PQserverVersion) X(PQsetNoticeReceiver) X(PQsetnonblocking) X(PQsocket) X(PQstatus) X(PQtransactionStatus)
/* clang-format on */
#define PG_FUNCTION(name) __typeof__(name) *name;
struct pg_library {
    PG_FUNCTIONS(PG_FUNCTION)
};

/* What a statement that did not succeed came to, beside the codes of err.h and MOON_STORE_AGAIN. */
#define PG_LOST 2 /* the connection is gone */

struct pg_store {
    struct moon_store base;
    struct pg_library pq;
    PGconn *conn; /* NULL or bad: to be connected again */
    char *url, *shown;
    const atomic_bool *stop;
    struct moon_rng rng;
    bool lost;            /* conn is not usable any more */
    int silences;         /* in a row: it was there, and did not answer in time */
    int lock_waits;       /* in a row: transactions that waited for a lock in vain */
    bool evict;           /* ... and that have not looked yet whose lock it is */
    char session[33];     /* our row in moongate_commits; in it, ... */
    int64_t fence;        /* ... the number of our connection: one with an older number commits no more */
    int64_t commits;      /* ... and of the last COMMIT that was tried, if that happened: */
    int64_t committed;    /* what stood there when we connected */
    int64_t away_since;   /* ns: when it was last tried in vain, after all patience; 0: it is there */
    struct moon_err away; /* and why */
    int collisions;       /* transactions rolled back in a row by what others did */
    struct moon_buf text; /* scratch: a statement's text, and its numbers as text */
};

/* postgres_library.c: 0 or MOON_ESTORE. */
int pg_library_load(struct pg_library *pq, struct moon_err *err);

/* ---- postgres_connect.c ---- */

/* Connects, as often and for as long as patience_ms says; brings the schema up to date. was_there: every failure is
 * worth another try within it, not only a server that is coming up. 0 or a code. */
int pg_connect(struct pg_store *s, int patience_ms, bool was_there, struct moon_err *err);
bool pg_alive(const struct pg_store *s);
/* Connects again if the connection is gone. Once a server has been waited for in vain, it is only looked for. */
int pg_ensure(struct pg_store *s, struct moon_err *err);
/* Waits, unless it is to stop. */
void pg_pause(struct pg_store *s, int ms);

/* postgres_commit.c: 0, a code or MOON_STORE_AGAIN; never PG_LOST. */
int pg_commit(struct pg_store *s, struct moon_err *err);

/* ---- postgres_query.c: statements go out together, then their answers are read in their order ---- */

/* Each 0, MOON_ENOMEM (err set) or PG_LOST. */
int pg_send(struct pg_store *s, const char *sql, int n, const char *const values[], struct moon_err *err);
int pg_send_statement(struct pg_store *s, const struct moon_store_call *c, const struct moon_store_statement *st,
                      struct moon_err *err);
int pg_sync(struct pg_store *s);
/* The next answer: 0, a code, MOON_STORE_AGAIN or PG_LOST, err set. *result (may be NULL) is the caller's. what: the
 * SQL, for a message. */
int pg_receive(struct pg_store *s, PGresult **result, const char *what, struct moon_err *err);
int pg_receive_statement(struct pg_store *s, struct moon_store_call *c, struct moon_store_statement *st);
int pg_receive_sync(struct pg_store *s);
/* One statement or more without parameters, each for itself; *number: the first column of the last one's first row, -1
 * for none. */
int pg_ask(struct pg_store *s, const char *const sql[], int n, int64_t *number, struct moon_err *err);
int pg_lost(struct pg_store *s, struct moon_err *err);
/* Waits for the socket; false when it is to stop, can't continue, or the server does not answer. */
bool pg_wait(struct pg_store *s, short events);
/* "BEGIN", and the limits of this transaction (not of the session, which a pooler shares among clients). */
extern const char *const pg_begin[2];
/* Ends transactions of other processes of moongate that stand still on their client's side. */
void pg_evict(struct pg_store *s);

extern const struct store_form postgres_form;

#endif
