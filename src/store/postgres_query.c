/* postgres_query.c - statements and their answers, over libpq's pipeline: nothing waits while there is more to send. */
#include "postgres_private.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS_MAX  999
#define NUMBER_SIZE 32
#define SLICE_MS    200
#define STOP_MS     2000
#define ANSWER_MS   20000 /* longer than lock_timeout, after which a server says so */
#define SILENT_MS   8000  /* one that has just not answered */
#define LOCK_WAITS  4     /* lock_timeout each */

/* pg_type.h's, which the protocol fixes. */
enum { T_BOOL = 16, T_INT8 = 20, T_INT2 = 21, T_INT4 = 23, T_FLOAT4 = 700, T_FLOAT8 = 701, T_NUMERIC = 1700 };

/* ---- errors ---- */

int pg_lost(struct pg_store *s, struct moon_err *err) {
    const char *message = s->conn ? s->pq.PQerrorMessage(s->conn) : "";
    if (s->silences > 0)
        message = "the server does not answer";
    else if (!*message)
        message = "the connection is lost";
    moon_err_set(err, MOON_ESTORE, "state %s: %.*s", s->shown, (int)strcspn(message, "\n"), message);
    s->lost = true;
    return PG_LOST;
}

static bool is(const char *state, const char *prefix) {
    return strncmp(state, prefix, strlen(prefix)) == 0;
}

/* By SQLSTATE (PostgreSQL's appendix A). */
static int code_of(const char *state) {
    if (is(state, "40001") || is(state, "40P01"))
        return MOON_STORE_AGAIN;
    if (is(state, "08") || is(state, "57P") || is(state, "25P03"))
        return PG_LOST;
    if (is(state, "55P03") || is(state, "57014"))
        return MOON_EBUSY;
    if (is(state, "23"))
        return MOON_ECONFLICT;
    if (is(state, "53") || is(state, "58") || is(state, "XX") || is(state, "28") || is(state, "25006") ||
        is(state, "42501"))
        return MOON_ESTORE;
    return MOON_EBUG;
}

/* A pooler that shares a connection between two statements of one transaction. */
static bool is_statement_pooling(const char *message) {
    return message && strstr(message, "statement pooling");
}

static const char *advice(const char *state) {
    return is(state, "53100")   ? ": make room on the server's disk"
           : is(state, "53300") ? ": the server takes no more connections"
           : is(state, "25006") ? ": the server is read-only (a replica?), use the primary"
           : is(state, "42501") ? ": give this user the rights to it (or a schema of its own)"
           : is(state, "XX00")  ? ": the database may be damaged, see the server's log"
                                : "";
}

static int fail(struct pg_store *s, const PGresult *res, const char *what, struct moon_err *err) {
    const char *state = s->pq.PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *message = s->pq.PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    int rc = code_of(state ? state : "08");
    if (!message)
        message = s->pq.PQresultErrorMessage(res);
    if (is_statement_pooling(message))
        return moon_err_set(err, MOON_ESTORE,
                            "state %s: this PgBouncer pools statements, and moongate needs transactions: set pool_mode "
                            "= transaction (or session) for this database",
                            s->shown);
    if (state && is(state, "55P03") && ++s->lock_waits < LOCK_WAITS) {
        s->evict = true;
        rc = MOON_STORE_AGAIN;
    }
    if (rc == MOON_EBUG)
        moon_err_set(err, MOON_EBUG, "SQL: %s (%.200s)", message, what);
    else if (rc == MOON_ECONFLICT)
        moon_err_set(err, rc, "the state was changed by another process: %s", message);
    else
        moon_err_set(err, rc < 0 ? rc : MOON_ESTORE, "state %s: %s%s", s->shown, message, advice(state ? state : ""));
    return rc;
}

/* ---- sending ---- */

bool pg_wait(struct pg_store *s, short events) {
    struct pollfd p = {.fd = s->pq.PQsocket(s->conn), .events = events};
    int late = 0, waited = 0;
    while (late < STOP_MS) { /* once it is to stop, what is under way gets a moment more */
        int n = poll(&p, 1, SLICE_MS);
        if (n != 0)
            return n > 0 || errno == EINTR;
        late += s->stop && atomic_load(s->stop) ? SLICE_MS : 0;
        waited += SLICE_MS;
        if (waited >= (s->silences > 0 ? SILENT_MS : ANSWER_MS)) {
            s->silences++;
            return false;
        }
    }
    return false;
}

int pg_send(struct pg_store *s, const char *sql, int n, const char *const values[], struct moon_err *err) {
    if (!s->conn || s->lost || !s->pq.PQsendQueryParams(s->conn, sql, n, NULL, values, NULL, NULL, 0))
        return pg_lost(s, err);
    return 0;
}

/* A parameter as text: numbers are written into the room behind the statement. */
static const char *as_text(const struct moon_store_call *c, const struct moon_store_value *v, char *room) {
    switch (v->type) {
    case MOON_STORE_INTEGER:
        snprintf(room, NUMBER_SIZE, "%" PRId64, v->integer);
        return room;
    case MOON_STORE_REAL:
        snprintf(room, NUMBER_SIZE, "%.17g", v->real);
        return room;
    case MOON_STORE_TEXT:
        return c->text.data + v->text.at;
    default:
        return NULL;
    }
}

int pg_send_statement(struct pg_store *s, const struct moon_store_call *c, const struct moon_store_statement *st,
                      struct moon_err *err) {
    const char *values[PARAMS_MAX];
    if (st->params > PARAMS_MAX)
        return moon_err_set(err, MOON_EBUG, "SQL: more than %d parameters", PARAMS_MAX);
    moon_buf_clear(&s->text);
    if (store_expand(&postgres_form, c->text.data + st->sql, &s->text) != 0 ||
        moon_buf_reserve(&s->text, NUMBER_SIZE * st->params + 1) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    for (size_t i = 0; i < st->params; i++)
        values[i] = as_text(c, &c->values[st->first + i], s->text.data + s->text.len + 1 + i * NUMBER_SIZE);
    return pg_send(s, s->text.data, (int)st->params, values, err);
}

int pg_sync(struct pg_store *s) {
    int more = -1;
    if (s->conn && !s->lost && s->pq.PQpipelineSync(s->conn))
        while ((more = s->pq.PQflush(s->conn)) == 1)
            if (!pg_wait(s, POLLIN | POLLOUT) || !s->pq.PQconsumeInput(s->conn))
                break;
    s->lost |= more != 0;
    return s->lost ? PG_LOST : 0;
}

/* ---- receiving ---- */

static PGresult *next_result(struct pg_store *s) {
    while (s->pq.PQisBusy(s->conn))
        if (!pg_wait(s, POLLIN) || !s->pq.PQconsumeInput(s->conn))
            return NULL;
    return s->pq.PQgetResult(s->conn);
}

int pg_receive(struct pg_store *s, PGresult **result, const char *what, struct moon_err *err) {
    PGresult *res = s->conn ? next_result(s) : NULL;
    ExecStatusType status = s->pq.PQresultStatus(res);
    int rc;
    if (result)
        *result = NULL;
    if (!res)
        return pg_lost(s, err);
    s->silences = 0;
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        rc = 0;
    } else if (status == PGRES_PIPELINE_ABORTED) {
        rc = MOON_STORE_AGAIN; /* one before it has failed, and has told why */
    } else {
        rc = fail(s, res, what, err);
        s->lost |= rc == PG_LOST || s->pq.PQstatus(s->conn) == CONNECTION_BAD;
        if (s->lost && !is_statement_pooling(s->pq.PQresultErrorMessage(res)))
            rc = PG_LOST;
    }
    if (rc == 0 && result)
        *result = res;
    else
        s->pq.PQclear(res);
    if (!s->lost)
        s->pq.PQclear(next_result(s)); /* NULL: the end of this statement's answers */
    return rc;
}

int pg_receive_sync(struct pg_store *s) {
    PGresult *res = s->conn ? next_result(s) : NULL;
    s->lost |= s->pq.PQresultStatus(res) != PGRES_PIPELINE_SYNC;
    s->pq.PQclear(res);
    return s->lost ? PG_LOST : 0;
}

static int add_value(struct moon_store_call *c, Oid type, const char *text, int len) {
    switch (type) {
    case T_BOOL:
        return store_result_integer(c, *text == 't');
    case T_NUMERIC:
        if (memchr(text, '.', (size_t)len))
            return store_result_real(c, strtod(text, NULL));
        return store_result_integer(c, strtoll(text, NULL, 10));
    case T_INT8:
    case T_INT2:
    case T_INT4:
        return store_result_integer(c, strtoll(text, NULL, 10));
    case T_FLOAT4:
    case T_FLOAT8:
        return store_result_real(c, strtod(text, NULL));
    default:
        return store_result_text(c, text, (size_t)len);
    }
}

static int add_result(const struct pg_store *s, struct moon_store_call *c, struct moon_store_statement *st,
                      const PGresult *res) {
    int columns = s->pq.PQnfields(res), rows = s->pq.PQntuples(res), rc = 0;
    store_result_begin(c, st, (size_t)columns);
    for (int i = 0; rc == 0 && i < columns; i++)
        rc = store_result_name(c, s->pq.PQfname(res, i));
    st->first_cell = c->nvalues;
    for (int row = 0; rc == 0 && row < rows; row++)
        for (int i = 0; rc == 0 && i < columns; i++)
            rc = s->pq.PQgetisnull(res, row, i) ? store_result_null(c)
                                                : add_value(c, s->pq.PQftype(res, i), s->pq.PQgetvalue(res, row, i),
                                                            s->pq.PQgetlength(res, row, i));
    st->rows = (size_t)rows;
    return rc == 0 ? 0 : moon_err_set(&c->err, rc, "out of memory");
}

int pg_receive_statement(struct pg_store *s, struct moon_store_call *c, struct moon_store_statement *st) {
    PGresult *res;
    int rc = pg_receive(s, &res, c->text.data + st->sql, &c->err);
    if (rc != 0)
        return rc;
    bool reads = is(s->pq.PQcmdStatus(res), "SELECT");
    int64_t touched = strtoll(s->pq.PQcmdTuples(res), NULL, 10);
    rc = add_result(s, c, st, res);
    st->changes = reads ? 0 : touched;
    s->pq.PQclear(res);
    return rc == 0 ? store_result_expect(c, st, touched) : rc;
}

int pg_ask(struct pg_store *s, const char *const sql[], int n, int64_t *number, struct moon_err *err) {
    struct moon_err later;
    PGresult *res = NULL;
    int rc = 0;
    for (int i = 0; rc == 0 && i < n; i++)
        rc = pg_send(s, sql[i], 0, NULL, err);
    if (rc == 0 && (rc = pg_sync(s)) != 0)
        pg_lost(s, err);
    if (rc != 0)
        return rc;
    for (int i = 0; i < n && !s->lost; i++) {
        s->pq.PQclear(res);
        int one = pg_receive(s, &res, sql[i], rc == 0 ? err : &later);
        rc = rc == 0 || one == PG_LOST ? one : rc;
    }
    if (rc == 0 && number)
        *number = s->pq.PQntuples(res) > 0 && !s->pq.PQgetisnull(res, 0, 0)
                      ? strtoll(s->pq.PQgetvalue(res, 0, 0), NULL, 10)
                      : -1;
    s->pq.PQclear(res);
    if (s->lost)
        return rc;
    return pg_receive_sync(s) != 0 ? pg_lost(s, err) : rc;
}
