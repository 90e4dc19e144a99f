/* tables.c - the tables, as migrations: a version a step, each in one transaction. Times are ms since 1970, *_json is
 * JSON text. Who owns a table writes its SQL: see the Lua module named beside it.
 *
 * A step is two commits, so its row lies in its key's order and has no other index: each touches one page.
 *
 * Only the subset of SQL that SQLite 3.40 and PostgreSQL 15 share; types are text, bigint, double precision. */
#include "store_private.h"

static const char *const version_1[] = {
    /* journal: runs, their steps, and the values that a replay must see again */
    "CREATE TABLE runs (id text NOT NULL PRIMARY KEY, workflow text, script text, script_hash text, words_json text, "
    "options_json text, gateway text, status text NOT NULL, exit_status bigint, parent text, parent_step text, "
    "host text, life bigint NOT NULL DEFAULT 1, created_at bigint, updated_at bigint, finished_at bigint, result_json "
    "text, error_json text)",
    "CREATE INDEX runs_created ON runs (created_at)",
    "CREATE INDEX runs_status ON runs (status, updated_at)",
    "CREATE TABLE steps (run_id text NOT NULL, seq bigint NOT NULL, path text NOT NULL, name text NOT NULL, "
    "n bigint NOT NULL, kind text NOT NULL, state text NOT NULL, intent_json text, result_json text, error_json text, "
    "place text, started_at bigint, finished_at bigint, PRIMARY KEY (run_id, seq)){clustered}",
    "CREATE TABLE run_values (run_id text NOT NULL, path text NOT NULL, name text NOT NULL, n bigint NOT NULL, "
    "value_json text, PRIMARY KEY (run_id, path, name, n)){clustered}",
    /* lease */
    "CREATE TABLE leases (name text NOT NULL PRIMARY KEY, holder text, run_id text, fence bigint NOT NULL, "
    "info_json text, acquired_at bigint, expires_at bigint)",
    /* outbox, webhooks.state */
    "CREATE TABLE outbox (id text NOT NULL PRIMARY KEY, webhook text, url text, event text, body text, profile text, "
    "headers_json text, secret_ref text, run_id text, step text, state text NOT NULL, attempts bigint NOT NULL, "
    "tries bigint NOT NULL, next_at bigint, lease_holder text, lease_until bigint, last_status bigint, "
    "last_error text, created_at bigint, "
    "finished_at bigint)",
    "CREATE INDEX outbox_due ON outbox (state, next_at)",
    "CREATE INDEX outbox_run ON outbox (run_id, step)",
    "CREATE TABLE webhook_state (webhook text NOT NULL, url text NOT NULL, disabled text, at bigint, "
    "PRIMARY KEY (webhook, url))",
    /* queued_writes */
    "CREATE TABLE queued_writes (id {serial}, gateway text, resource text NOT NULL, kind text, args_json text, method "
    "text, "
    "content_json text, base_json text, options_json text, idempotency_key text, run_id text, depends_on bigint, "
    "state text NOT NULL, error_json text, created_at bigint, updated_at bigint)",
    "CREATE INDEX queued_writes_state ON queued_writes (state, resource)",
    /* breaker, limiter, cached resources, checkpoints */
    "CREATE TABLE cells (kind text NOT NULL, key text NOT NULL, value_json text, updated_at bigint, "
    "expires_at bigint, PRIMARY KEY (kind, key))",
    /* work_queue */
    "CREATE TABLE queues (name text NOT NULL PRIMARY KEY, settings_json text, state text NOT NULL, "
    "tokens double precision, tokens_at bigint, next_seq bigint NOT NULL DEFAULT 1, created_at bigint)",
    "CREATE TABLE queue_items (queue text NOT NULL, seq bigint NOT NULL, request_id text NOT NULL, "
    "payload_json text NOT NULL, state text NOT NULL, attempts bigint NOT NULL, not_before bigint NOT NULL, "
    "holder text, lease_until bigint, facts_json text, result_json text, updated_at bigint, PRIMARY KEY (queue, seq))",
    "CREATE UNIQUE INDEX queue_items_request ON queue_items (queue, request_id)",
    "CREATE INDEX queue_items_state ON queue_items (queue, state, not_before, seq)",
    NULL,
};

const struct store_migration store_migrations[] = {{1, version_1}, {0, NULL}};

int store_schema_version(void) {
    const struct store_migration *m = store_migrations;
    while (m[1].version)
        m++;
    return m->version;
}
