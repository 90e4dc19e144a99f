/* postgres.c - the PostgreSQL form: calls that came together in one transaction and two round trips, transactions, and
 * what to do when the connection is lost on the way: before COMMIT all is undone, and runs again; after it, see
 * postgres_commit.c. */
#include "postgres_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TRIES      25
#define CONNECT_MS 5000 /* when the store is opened: only for a server that says that it is coming up */

static struct pg_store *of(struct moon_store *s) {
    return (struct pg_store *)(void *)s;
}

/* ---- what has failed ---- */

/* The server ends a transaction of a process that stands still (idle_in_transaction_session_timeout) before those who
 * wait for its locks give up (lock_timeout), and answers these before they take it for dead. A commit must be on the
 * disk. */
const char *const pg_begin[2] = {
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    "SELECT set_config('idle_in_transaction_session_timeout', '10s', true), set_config('lock_timeout', '15s', true), "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE "
    "current_setting('synchronous_commit') END, true)",
};

/* One that stood still in the middle of what it sends is not idle for the server, and has no limit there. */
void pg_evict(struct pg_store *s) {
    static const char sql[] =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = "
        "current_user AND application_name = current_setting('application_name') AND wait_event_type = 'Client' AND "
        "pid <> pg_backend_pid() AND xact_start < now() - interval '10s' AND query_start < now() - interval '10s'";
    struct moon_err ignored;
    s->evict = false;
    pg_ask(s, (const char *const[]){sql}, 1, NULL, &ignored);
}

static void rollback(struct pg_store *s) {
    struct moon_err ignored;
    if (pg_alive(s) && s->pq.PQtransactionStatus(s->conn) != PQTRANS_IDLE)
        pg_ask(s, (const char *const[]){"ROLLBACK"}, 1, NULL, &ignored);
    if (s->evict && pg_alive(s))
        pg_evict(s);
}

/* Those who collide wait for different times. */
static void step_back(struct pg_store *s) {
    int most = s->collisions < 6 ? 1 << s->collisions : 64;
    pg_pause(s, (int)moon_rng_below(&s->rng, (uint64_t)most * 2));
    s->collisions++;
}

/* ---- calls ---- */

static int receive_begin(struct pg_store *s, struct moon_err *err) {
    struct moon_err ignored;
    int rc = pg_receive(s, NULL, pg_begin[0], err);
    if (s->lost)
        return rc;
    int second = pg_receive(s, NULL, pg_begin[1], rc == 0 ? err : &ignored);
    return rc == 0 || second == PG_LOST ? second : rc;
}

/* Sends the calls' statements, with or without a BEGIN before them, and reads the answers. The first failure is in
 * *err. 0, or PG_LOST, MOON_STORE_AGAIN, a code. */
static int run_together(struct pg_store *s, struct moon_store_call *const calls[], size_t n, bool begin,
                        struct moon_err *err) {
    struct moon_err ignored;
    int rc = 0, first = 0;
    for (int i = 0; rc == 0 && begin && i < 2; i++)
        rc = pg_send(s, pg_begin[i], 0, NULL, err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        for (size_t k = 0; rc == 0 && k < calls[i]->n; k++)
            rc = pg_send_statement(s, calls[i], &calls[i]->statements[k], err);
    if (rc == MOON_ENOMEM || rc == MOON_EBUG) { /* half of it is in the pipeline: it must not continue */
        s->pq.PQfinish(s->conn);
        s->conn = NULL;
        return rc;
    }
    if (rc == 0 && (rc = pg_sync(s)) != 0)
        pg_lost(s, err);
    if (rc == 0 && begin)
        first = receive_begin(s, err);
    if (first < 0 && s->lost) /* it says why */
        return first;
    for (size_t i = 0; rc == 0 && i < n && first != PG_LOST; i++)
        for (size_t k = 0; k < calls[i]->n && first != PG_LOST; k++) {
            if (first != 0) {
                if (pg_receive(s, NULL, "", &ignored) == PG_LOST)
                    first = PG_LOST;
                continue;
            }
            first = pg_receive_statement(s, calls[i], &calls[i]->statements[k]);
            if (first != 0)
                *err = calls[i]->err;
        }
    if (rc == 0 && (first == PG_LOST || pg_receive_sync(s) != 0))
        return PG_LOST;
    return rc != 0 ? rc : first;
}

static void tell(struct moon_store_call *const calls[], size_t n, int rc, const struct moon_err *err) {
    for (size_t i = 0; i < n; i++) {
        calls[i]->rc = rc;
        if (rc != 0)
            calls[i]->err = *err;
    }
}

static int attempt(struct pg_store *s, struct moon_store_call *const calls[], size_t n, struct moon_err *err) {
    int rc = pg_ensure(s, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        store_call_reset(calls[i]);
    rc = run_together(s, calls, n, true, err);
    if (rc == 0)
        rc = pg_commit(s, err);
    if (rc != 0)
        rollback(s);
    else
        s->lock_waits = 0;
    return rc == PG_LOST ? MOON_STORE_AGAIN : rc;
}

static int gave_up(const struct pg_store *s, struct moon_err *err) {
    struct moon_err last = *err;
    return moon_err_set(err, MOON_EBUSY,
                        "state %s: a transaction was undone %d times, the last time because of: %.300s", s->shown,
                        TRIES, last.message[0] ? last.message : "another transaction");
}

/* As one transaction, until it goes through. False: one of several has failed, and nothing has happened. */
static bool apply_writes(struct pg_store *s, struct moon_store_call *const calls[], size_t n) {
    struct moon_err err = {0, ""};
    int rc = MOON_STORE_AGAIN;
    for (int i = 0; rc == MOON_STORE_AGAIN && i < TRIES; i++) {
        if (i > 0)
            step_back(s);
        rc = attempt(s, calls, n, &err);
    }
    s->collisions = 0;
    if (rc == MOON_STORE_AGAIN)
        rc = gave_up(s, &err);
    if (rc != 0 && n > 1)
        return false;
    tell(calls, n, rc, &err);
    return true;
}

static void apply_read(struct pg_store *s, struct moon_store_call *c) {
    struct moon_err err = {0, ""};
    int rc = PG_LOST;
    for (int i = 0; (rc == PG_LOST || rc == MOON_STORE_AGAIN) && i < TRIES; i++) {
        rc = pg_ensure(s, &err);
        store_call_reset(c);
        if (rc == 0)
            rc = run_together(s, &c, 1, false, &err);
    }
    if (rc > 0)
        rc = MOON_ESTORE;
    tell(&c, 1, rc, &err);
}

/* One SELECT needs no transaction of ours. */
static bool only_reads(const struct moon_store_call *c) {
    const char *sql = c->n == 1 ? c->text.data + c->statements[0].sql : "";
    while (isspace((unsigned char)*sql))
        sql++;
    return c->n == 0 || strncasecmp(sql, "SELECT", 6) == 0;
}

static void apply(struct moon_store *base, struct moon_store_call *const calls[], size_t n, int64_t now_ms) {
    struct pg_store *s = of(base);
    struct moon_store_call **writes = malloc(n * sizeof(struct moon_store_call *));
    size_t nwrites = 0;
    (void)now_ms;
    for (size_t i = 0; i < n; i++) {
        if (calls[i]->n == 0)
            continue;
        if (only_reads(calls[i]))
            apply_read(s, calls[i]);
        else if (writes)
            writes[nwrites++] = calls[i];
        else
            apply_writes(s, &calls[i], 1);
    }
    if (nwrites > 0 && !apply_writes(s, writes, nwrites))
        for (size_t i = 0; i < nwrites; i++)
            apply_writes(s, &writes[i], 1);
    free(writes);
}

/* ---- transactions ---- */

static int form_begin(struct moon_store *base, struct moon_err *err) {
    struct pg_store *s = of(base);
    int rc = PG_LOST;
    if (s->collisions > 0)
        pg_pause(s, (int)moon_rng_below(&s->rng, s->collisions < 6 ? UINT64_C(2) << s->collisions : 128));
    for (int i = 0; rc == PG_LOST && i < TRIES; i++) {
        rc = pg_ensure(s, err);
        if (rc == 0)
            rc = pg_ask(s, pg_begin, 2, NULL, err);
    }
    return rc > 0 ? err->code : rc;
}

static int form_exec(struct moon_store *base, struct moon_store_call *call, int64_t now_ms) {
    struct pg_store *s = of(base);
    (void)now_ms;
    /* A new connection would not be in the transaction. */
    if (!pg_alive(s) || s->pq.PQtransactionStatus(s->conn) == PQTRANS_IDLE) {
        pg_lost(s, &call->err);
        return MOON_STORE_AGAIN;
    }
    int rc = run_together(s, &call, 1, false, &call->err);
    if (rc > 0) {
        rc = MOON_STORE_AGAIN;
        s->collisions++;
    }
    return rc;
}

static int form_commit(struct moon_store *base, struct moon_err *err) {
    struct pg_store *s = of(base);
    int rc = MOON_STORE_AGAIN;
    if (pg_alive(s) && s->pq.PQtransactionStatus(s->conn) != PQTRANS_IDLE)
        rc = pg_commit(s, err);
    else
        pg_lost(s, err);
    if (rc != 0)
        rollback(s);
    else
        s->lock_waits = 0;
    s->collisions = rc == MOON_STORE_AGAIN ? s->collisions + 1 : 0;
    return rc;
}

static void form_rollback(struct moon_store *s) {
    rollback(of(s));
}

static int form_now(struct moon_store *base, int64_t now_ms, int64_t *out, struct moon_err *err) {
    struct pg_store *s = of(base);
    int rc = PG_LOST;
    (void)now_ms;
    for (int i = 0; rc == PG_LOST && i < TRIES; i++) {
        rc = pg_ensure(s, err);
        if (rc == 0)
            rc = pg_ask(s, (const char *const[]){"SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"},
                        1, out, err);
    }
    return rc > 0 ? err->code : rc;
}

/* ---- the form ---- */

static void form_close(struct moon_store *base) {
    struct pg_store *s = of(base);
    if (s->conn)
        s->pq.PQfinish(s->conn);
    moon_buf_release(&s->text);
    if (s->url)
        moon_wipe(s->url, strlen(s->url));
    free(s->url);
    free(s->shown);
    free(s);
}

int store_postgres_open(struct moon_store **out, const char *url, const struct moon_store_opts *opts,
                        struct moon_err *err) {
    static const char hex[] = "0123456789abcdef";
    struct moon_buf shown = MOON_BUF_INIT;
    struct pg_store *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s || !(s->url = strdup(url)) || moon_store_url_show(url, &shown, NULL) != 0) {
        moon_buf_release(&shown);
        if (s)
            free(s->url);
        free(s);
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    s->base.form = &postgres_form;
    s->shown = shown.data;
    s->stop = opts->stop;
    moon_rng_init_system(&s->rng);
    for (size_t i = 0; i + 1 < sizeof s->session; i++)
        s->session[i] = hex[moon_rng_below(&s->rng, 16)];
    int rc = pg_library_load(&s->pq, err);
    if (rc == 0)
        rc = pg_connect(s, CONNECT_MS, false, err);
    if (rc != 0) {
        form_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}

const struct store_form postgres_form = {
    .now = "floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint",
    .lock = "FOR UPDATE",
    .skip_locked = "FOR UPDATE SKIP LOCKED",
    .serial = "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    .clustered = "",
    .to_json = "to_json",
    .close = form_close,
    .apply = apply,
    .begin = form_begin,
    .exec = form_exec,
    .commit = form_commit,
    .rollback = form_rollback,
    .now_ms = form_now,
};
