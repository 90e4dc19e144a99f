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

/* One queue for prompts, webhook messages and writes: moongate.queue. facts_json: what is known of an item beside its
 * payload; key: the step that a message belongs to, the resource that a write is for. */
static const char *const version_2[] = {
    "ALTER TABLE queues ADD COLUMN kind text NOT NULL DEFAULT 'prompt'",
    "ALTER TABLE queue_items ADD COLUMN key text",
    "ALTER TABLE queue_items ADD COLUMN depends_on bigint",
    "ALTER TABLE queue_items ADD COLUMN created_at bigint",
    "CREATE INDEX queue_items_key ON queue_items (queue, key) WHERE key IS NOT NULL",
    "UPDATE queue_items SET queue = queue || '-prompts' WHERE queue IN ('messages', 'writes')",
    "UPDATE queues SET name = name || '-prompts' WHERE name IN ('messages', 'writes')",
    "INSERT INTO queues (name, kind, settings_json, state, next_seq, created_at) "
    "SELECT 'messages', 'message', '{}', 'open', count(*) + 1, {now} FROM outbox",
    "INSERT INTO queues (name, kind, settings_json, state, next_seq, created_at) "
    "SELECT 'writes', 'write', '{}', 'open', coalesce(max(id), 0) + 1, {now} FROM queued_writes",
    "INSERT INTO queue_items (queue, seq, request_id, key, payload_json, state, attempts, not_before, holder, "
    "lease_until, created_at, updated_at, facts_json, result_json) "
    "SELECT 'messages', row_number() OVER (ORDER BY created_at, id), id, run_id || ' ' || step, body, "
    "CASE WHEN state = 'delivered' THEN 'done' WHEN state <> 'pending' THEN state "
    "WHEN lease_holder IS NOT NULL THEN 'running' WHEN tries > 0 THEN 'waiting' ELSE 'queued' END, "
    "tries, coalesce(next_at, 0), lease_holder, lease_until, created_at, coalesce(finished_at, created_at), "
    "'{\"webhook\":' || coalesce(CAST({to_json}(webhook) AS text), 'null') || ',\"url\":' || "
    "coalesce(CAST({to_json}(url) AS text), 'null') || ',\"event\":' || coalesce(CAST({to_json}(event) AS text), "
    "'null') || ',\"profile\":' || coalesce(CAST({to_json}(profile) AS text), 'null') || ',\"headers_json\":' || "
    "coalesce(CAST({to_json}(headers_json) AS text), 'null') || ',\"secret_ref\":' || "
    "coalesce(CAST({to_json}(secret_ref) AS text), 'null') || ',\"run_id\":' || "
    "coalesce(CAST({to_json}(run_id) AS text), 'null') || ',\"step\":' || coalesce(CAST({to_json}(step) AS text), "
    "'null') || '}', "
    "'{\"attempts\":' || CAST(attempts AS text) || ',\"last_status\":' || coalesce(CAST(last_status AS text), 'null') "
    "|| "
    "',\"last_error\":' || coalesce(CAST({to_json}(last_error) AS text), 'null') || '}' FROM outbox",
    "INSERT INTO queue_items (queue, seq, request_id, key, depends_on, payload_json, state, attempts, not_before, "
    "created_at, updated_at, result_json) "
    "SELECT 'writes', id, CAST(id AS text), resource, depends_on, "
    "'{\"gateway\":' || coalesce(CAST({to_json}(gateway) AS text), 'null') || ',\"kind\":' || "
    "coalesce(CAST({to_json}(kind) AS text), 'null') || ',\"args\":' || coalesce(args_json, 'null') || "
    "',\"method\":' || coalesce(CAST({to_json}(method) AS text), 'null') || ',\"content\":' || "
    "coalesce(content_json, 'null') || ',\"base\":' || coalesce(base_json, 'null') || ',\"options\":' || "
    "coalesce(options_json, 'null') || ',\"idempotency_key\":' || "
    "coalesce(CAST({to_json}(idempotency_key) AS text), 'null') || ',\"run_id\":' || "
    "coalesce(CAST({to_json}(run_id) AS text), 'null') || '}', "
    "CASE WHEN state = 'sent' THEN 'done' WHEN state = 'superseded' THEN 'dropped' ELSE state END, 0, 0, "
    "created_at, updated_at, "
    "CASE WHEN state = 'superseded' THEN '{\"superseded\":true}' "
    "WHEN error_json IS NOT NULL THEN '{\"error\":' || error_json || '}' END FROM queued_writes",
    "DROP TABLE outbox",
    "DROP TABLE queued_writes",
    NULL,
};

const struct store_migration store_migrations[] = {{1, version_1}, {2, version_2}, {0, NULL}};

int store_schema_version(void) {
    const struct store_migration *m = store_migrations;
    while (m[1].version)
        m++;
    return m->version;
}
