/* sqlite.c - the SQLite form: group commit and transactions.
 *
 * A commit is one append to the log and one fdatasync (WAL, synchronous = FULL). Calls that came together share it,
 * each in a savepoint of its own. */
#include "sqlite_private.h"

#include <stdlib.h>
#include <string.h>

static struct sqlite_store *of(struct moon_store *s) {
    return (struct sqlite_store *)(void *)s;
}

/* ---- transactions ---- */

static void rollback(struct sqlite_store *s) {
    struct moon_err ignored;
    if (!sqlite3_get_autocommit(s->db))
        sqlite_control(s, "ROLLBACK", &ignored);
}

static int begin(struct sqlite_store *s, struct moon_err *err) {
    if (s->broken.code) {
        *err = s->broken;
        return err->code;
    }
    rollback(s); /* one that could not be rolled back for want of memory */
    int rc = sqlite_control(s, "BEGIN IMMEDIATE", err);
    if (rc == 0)
        sqlite_room_make(s);
    return rc;
}

static int commit(struct sqlite_store *s, struct moon_err *err) {
    int rc = sqlite_control(s, "COMMIT", err);
    if (rc != 0)
        rollback(s);
    return rc;
}

/* ---- calls ---- */

static void apply_one(struct sqlite_store *s, struct moon_store_call *c) {
    c->rc = begin(s, &c->err);
    if (c->rc != 0)
        return;
    if (sqlite_run_call(s, c) == 0)
        c->rc = commit(s, &c->err);
    else
        rollback(s);
}

/* False: nothing of it has happened. */
static bool apply_together(struct sqlite_store *s, struct moon_store_call *const calls[], size_t n) {
    struct moon_err err;
    int rc = begin(s, &err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = sqlite_control(s, "SAVEPOINT one", &err);
        if (rc == 0 && sqlite_run_call(s, calls[i]) != 0)
            rc = sqlite3_get_autocommit(s->db) ? calls[i]->rc : sqlite_control(s, "ROLLBACK TO one", &err);
        if (rc == 0)
            rc = sqlite_control(s, "RELEASE one", &err);
    }
    if (rc == 0)
        rc = commit(s, &err);
    else
        rollback(s);
    return rc == 0;
}

static void apply(struct moon_store *base, struct moon_store_call *const calls[], size_t n, int64_t now_ms) {
    struct sqlite_store *s = of(base);
    struct moon_store_call **writes = n > 1 ? malloc(n * sizeof(struct moon_store_call *)) : NULL;
    size_t nwrites = 0;
    s->now_ms = now_ms;
    for (size_t i = 0; i < n; i++) {
        if (s->broken.code) {
            calls[i]->err = s->broken;
            calls[i]->rc = s->broken.code;
        } else if (calls[i]->n == 0 || sqlite_only_reads(s, calls[i])) {
            sqlite_run_call(s, calls[i]);
        } else if (writes) {
            writes[nwrites++] = calls[i];
        } else {
            apply_one(s, calls[i]);
        }
    }
    /* One that takes all the others down with it (no room, a failing disk) is found by running each alone. */
    if (nwrites > 0 && (nwrites == 1 || !apply_together(s, writes, nwrites)))
        for (size_t i = 0; i < nwrites; i++) {
            store_call_reset(writes[i]);
            apply_one(s, writes[i]);
        }
    free(writes);
}

/* ---- the form ---- */

static int form_begin(struct moon_store *s, struct moon_err *err) {
    return begin(of(s), err);
}

static int form_exec(struct moon_store *base, struct moon_store_call *call, int64_t now_ms) {
    of(base)->now_ms = now_ms;
    return sqlite_run_call(of(base), call);
}

static int form_commit(struct moon_store *s, struct moon_err *err) {
    return commit(of(s), err);
}

static void form_rollback(struct moon_store *s) {
    rollback(of(s));
}

static int form_now(struct moon_store *s, int64_t now_ms, int64_t *out, struct moon_err *err) {
    (void)s, (void)err;
    *out = now_ms;
    return 0;
}

static void form_close(struct moon_store *base) {
    struct sqlite_store *s = of(base);
    for (size_t i = 0; i < SQLITE_CACHE; i++) {
        sqlite3_finalize(s->cache[i].stmt);
        free(s->cache[i].sql);
    }
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}

const struct store_form sqlite_form = {
    .now = "moon_now()",
    .lock = "",
    .skip_locked = "",
    .serial = "INTEGER PRIMARY KEY AUTOINCREMENT",
    .clustered = " WITHOUT ROWID",
    .to_json = "json_quote",
    .close = form_close,
    .apply = apply,
    .begin = form_begin,
    .exec = form_exec,
    .commit = form_commit,
    .rollback = form_rollback,
    .now_ms = form_now,
};
