/* postgres_connect.c - a connection: made, made again when it is lost, and the schema behind it. */
#include "postgres_private.h"

#include "moongate/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 10000 /* one attempt */
#define BRIEF_MS   2000  /* one that is most likely in vain, or once it is to stop */
#define SLICE_MS   100   /* between two looks at whether it is to stop */
#define LATER_MS   30000 /* a server that restarts is back by then */
#define SILENT_MS  8000  /* one that did not answer has used up most of that time */
#define AGAIN_MS   2000  /* one that is not back is tried again so often */

static const char schema_lock[] = "SELECT pg_advisory_xact_lock(1836019566)"; /* "moon" */
static const char *const own_tables[] = {
    "CREATE TABLE IF NOT EXISTS moongate_schema (version bigint NOT NULL)",
    /* Whether a COMMIT whose answer was lost has happened: each process counts its own here. */
    "CREATE TABLE IF NOT EXISTS moongate_commits (id text NOT NULL PRIMARY KEY, fence bigint NOT NULL, "
    "n bigint NOT NULL, at bigint NOT NULL)",
    NULL,
};
static const char clean_up[] =
    "DELETE FROM moongate_commits WHERE at < floor(extract(epoch FROM now()) * 1000)::bigint - 30 * 86400000::bigint";

static int64_t now_ns(void) {
    const struct moon_clock clock = moon_clock_system();
    return moon_mono_ns(&clock);
}

static bool stopped(const struct pg_store *s) {
    return s->stop && atomic_load(s->stop);
}

void pg_pause(struct pg_store *s, int ms) {
    for (; ms > 0 && !stopped(s); ms -= SLICE_MS)
        poll(NULL, 0, ms < SLICE_MS ? ms : SLICE_MS);
}

static void quiet(void *ud, const PGresult *res) {
    (void)ud, (void)res;
}

/* ---- one attempt ---- */

static PGconn *start(const struct pg_store *s) {
    /* What comes later wins, so the URL has the last word. */
    static const char *const names[] = {"keepalives_idle",
                                        "keepalives_interval",
                                        "keepalives_count",
                                        "tcp_user_timeout",
                                        "fallback_application_name",
                                        "dbname",
                                        NULL};
    const char *const values[] = {"10", "5", "3", "20000", "moongate", s->url, NULL};
    return s->pq.PQconnectStartParams(names, values, 1);
}

static int connect_once(struct pg_store *s, int limit_ms, struct moon_err *err) {
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    if (s->conn)
        s->pq.PQfinish(s->conn);
    s->conn = start(s);
    s->lost = false;
    if (!s->conn)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    for (int waited = 0; s->pq.PQstatus(s->conn) != CONNECTION_BAD && state != PGRES_POLLING_OK; waited += SLICE_MS) {
        struct pollfd p = {.fd = s->pq.PQsocket(s->conn), .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int ready = poll(&p, 1, SLICE_MS);
        if (ready > 0) {
            waited -= SLICE_MS;
            state = s->pq.PQconnectPoll(s->conn);
        }
        if (state == PGRES_POLLING_FAILED)
            break;
        if (waited >= (stopped(s) ? BRIEF_MS : limit_ms))
            return moon_err_set(err, MOON_ESTORE, "state %s: no answer from the server", s->shown);
    }
    if (s->pq.PQstatus(s->conn) != CONNECTION_OK) {
        const char *message = s->pq.PQerrorMessage(s->conn);
        return moon_err_set(err, MOON_ESTORE, "state %s can't be reached: %.*s", s->shown, (int)strcspn(message, "\n"),
                            message);
    }
    s->pq.PQsetNoticeReceiver(s->conn, quiet, NULL);
    if (s->pq.PQserverVersion(s->conn) < 120000)
        return moon_err_set(err, MOON_ESTORE, "state %s: PostgreSQL 12 or later is needed", s->shown);
    if (s->pq.PQsetnonblocking(s->conn, 1) != 0 || !s->pq.PQenterPipelineMode(s->conn))
        return pg_lost(s, err), MOON_ESTORE;
    return 0;
}

/* Anything that is not a code of ours. */
static int as_code(int rc, struct moon_err *err) {
    return rc > 0 ? err->code : rc;
}

/* ---- schema ---- */

static int run_all(struct pg_store *s, const char *const *statements, struct moon_err *err) {
    struct moon_buf sql = MOON_BUF_INIT;
    int rc = 0;
    for (; rc == 0 && *statements; statements++) {
        moon_buf_clear(&sql);
        if (store_expand(&postgres_form, *statements, &sql) != 0)
            rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
        else
            rc = pg_ask(s, (const char *const[]){sql.data}, 1, NULL, err);
    }
    moon_buf_release(&sql);
    return rc;
}

static int too_new(const struct pg_store *s, int64_t version, struct moon_err *err) {
    return moon_err_set(err, MOON_ESTORE,
                        "state %s was written by a newer moongate (schema %d; this one knows %d): use that one, or "
                        "another database (nothing was changed in it)",
                        s->shown, (int)version, store_schema_version());
}

static int migrate_locked(struct pg_store *s, struct moon_err *err) {
    int64_t version = 0;
    char set[64];
    int rc = run_all(s, own_tables, err);
    if (rc == 0)
        rc = pg_ask(s, (const char *const[]){"SELECT max(version) FROM moongate_schema"}, 1, &version, err);
    if (rc == 0 && version > store_schema_version())
        return too_new(s, version, err);
    for (const struct store_migration *m = store_migrations; rc == 0 && m->version; m++) {
        if (m->version <= version)
            continue;
        rc = run_all(s, m->statements, err);
        snprintf(set, sizeof set, "INSERT INTO moongate_schema (version) VALUES (%d)", m->version);
        if (rc == 0)
            rc = pg_ask(s, (const char *const[]){set}, 1, NULL, err);
    }
    if (rc == MOON_EBUG) {
        struct moon_err why = *err;
        return moon_err_set(err, MOON_ESTORE,
                            "state %s: its tables can't be made (%.250s): give moongate a database of its own",
                            s->shown, why.message);
    }
    return rc;
}

static int migrate(struct pg_store *s, struct moon_err *err) {
    struct moon_err ignored;
    int rc = pg_ask(s, (const char *const[]){pg_begin[0], pg_begin[1], schema_lock}, 3, NULL, err);
    if (rc == 0)
        rc = migrate_locked(s, err);
    if (rc == 0)
        rc = pg_ask(s, (const char *const[]){"COMMIT"}, 1, NULL, err);
    if (rc != 0 && rc != PG_LOST)
        pg_ask(s, (const char *const[]){"ROLLBACK"}, 1, NULL, &ignored);
    return rc;
}

static int check_schema(struct pg_store *s, struct moon_err *err) {
    int64_t there = 0, version = 0;
    int rc =
        pg_ask(s, (const char *const[]){"SELECT count(*) FROM pg_class WHERE oid = to_regclass('moongate_schema')"}, 1,
               &there, err);
    if (rc == 0 && there > 0)
        rc = pg_ask(s, (const char *const[]){"SELECT max(version) FROM moongate_schema"}, 1, &version, err);
    if (rc == 0 && version > store_schema_version())
        return too_new(s, version, err);
    return rc == 0 && version < store_schema_version() ? migrate(s, err) : rc;
}

/* Our row among the commits: waits for a COMMIT of our last connection that is under way, and shuts out one that has
 * not got that far; then what stands there is final. */
static int register_session(struct pg_store *s, struct moon_err *err) {
    static const char sql[] =
        "INSERT INTO moongate_commits (id, fence, n, at) VALUES ($1, $2, 0, floor(extract(epoch FROM now()) * "
        "1000)::bigint) ON CONFLICT (id) DO UPDATE SET fence = excluded.fence RETURNING n";
    char number[24];
    const char *values[] = {s->session, number};
    PGresult *res = NULL;
    snprintf(number, sizeof number, "%" PRId64, ++s->fence);
    int rc = pg_send(s, sql, 2, values, err);
    if (rc == 0 && pg_sync(s) != 0)
        rc = pg_lost(s, err);
    if (rc == 0)
        rc = pg_receive(s, &res, sql, err);
    if (rc == 0)
        s->committed = strtoll(s->pq.PQgetvalue(res, 0, 0), NULL, 10);
    s->pq.PQclear(res);
    return rc != PG_LOST && pg_receive_sync(s) != 0 ? pg_lost(s, err) : rc;
}

static int make_ready(struct pg_store *s, struct moon_err *err) {
    int rc = check_schema(s, err);
    if (rc == 0)
        rc = pg_ask(s, (const char *const[]){clean_up}, 1, NULL, err);
    return rc == 0 ? register_session(s, err) : rc;
}

/* ---- connecting, with patience ---- */

/* Worth another attempt: it starts up, shuts down, or has no place for us right now. */
static bool passing(const struct pg_store *s) {
    const char *message = s->conn ? s->pq.PQerrorMessage(s->conn) : "";
    return strstr(message, "starting up") || strstr(message, "shutting down") || strstr(message, "recovery mode") ||
           strstr(message, "too many") || strstr(message, "remaining connection slots");
}

int pg_connect(struct pg_store *s, int patience_ms, bool was_there, struct moon_err *err) {
    const int64_t end = now_ns() + patience_ms * MOON_NS_PER_MS;
    const int limit_ms = was_there && patience_ms < CONNECT_MS ? patience_ms : CONNECT_MS;
    int pause = 50, rc;
    for (;;) {
        rc = connect_once(s, limit_ms < BRIEF_MS ? BRIEF_MS : limit_ms, err);
        bool again = rc != 0 && (was_there || passing(s));
        if (rc == 0) {
            rc = make_ready(s, err);
            if (rc == 0)
                return 0;
            again = rc > 0;
        }
        if (!again || now_ns() >= end || stopped(s) || rc == MOON_ENOMEM || s->silences > 1)
            return as_code(rc, err);
        /* Not all at once: they have all lost it in the same moment. */
        pg_pause(s, pause / 2 + (int)moon_rng_below(&s->rng, (uint64_t)pause));
        pause = pause < 1000 ? pause * 2 : 2000;
    }
}

bool pg_alive(const struct pg_store *s) {
    return s->conn && !s->lost && s->pq.PQstatus(s->conn) == CONNECTION_OK &&
           s->pq.PQpipelineStatus(s->conn) == PQ_PIPELINE_ON;
}

int pg_ensure(struct pg_store *s, struct moon_err *err) {
    int rc;
    if (pg_alive(s))
        return 0;
    if (s->away_since && now_ns() - s->away_since < AGAIN_MS * MOON_NS_PER_MS) {
        *err = s->away;
        return err->code;
    }
    if (s->silences > 1 && !s->away_since) /* a pooler takes connections for a server that does not answer */
        rc = moon_err_set(err, MOON_ESTORE, "state %s can't be reached: the server does not answer", s->shown);
    else
        rc = pg_connect(s, s->away_since ? 0 : s->silences > 0 ? SILENT_MS : LATER_MS, true, err);
    s->away_since = rc == MOON_ESTORE ? now_ns() : 0;
    if (rc != 0)
        s->away = *err;
    return rc;
}
