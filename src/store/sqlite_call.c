/* sqlite_call.c - the SQLite form: statements kept prepared, their parameters and rows, and what went wrong in words.
 */
#include "sqlite_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ---- */

int sqlite_damaged(struct sqlite_store *s, struct moon_err *err, const char *how) {
    moon_err_set(
        &s->broken, MOON_ESTORE,
        "state %s is damaged (%s). Nothing more is written to it. Restore it from a copy, or move it away with "
        "its -wal and -shm and start afresh: finished work is lost from sight, so look at the audit log",
        s->path, how);
    *err = s->broken;
    return err->code;
}

static int no_room(const struct sqlite_store *s, struct moon_err *err) {
    return moon_err_set(err, MOON_ESTORE, "no room for the state %s: make room on its disk, then run it again",
                        s->path);
}

int sqlite_fail(struct sqlite_store *s, struct moon_err *err, const char *what) {
    int code = sqlite3_errcode(s->db) & 0xff, system;
    const char *message = sqlite3_errmsg(s->db);
    switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return sqlite_damaged(s, err, message);
    case SQLITE_FULL:
        return no_room(s, err);
    case SQLITE_IOERR:
        system = sqlite3_system_errno(s->db);
        if (system == ENOSPC || system == EDQUOT) /* of the log's index, say */
            return no_room(s, err);
        if (system == 0) /* SQLite does not always know it */
            return moon_err_set(err, MOON_ESTORE, "state %s can't be read or written: its disk failed", s->path);
        moon_err_errno(err, MOON_ESTORE, system, "state %s can't be read or written", s->path);
        return err->code = MOON_ESTORE;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return moon_err_set(err, MOON_ESTORE, "state %s can't be used: %s. Check the owner and mode of file and folder",
                            s->path, message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return moon_err_set(err, MOON_EBUSY, "state %s is locked by another process (timed out waiting)", s->path);
    case SQLITE_CONSTRAINT:
        return moon_err_set(err, MOON_ECONFLICT, "the state was changed by another process: %s", message);
    case SQLITE_NOMEM:
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    default:
        return moon_err_set(err, MOON_EBUG, "SQL: %s (%.200s)", message, what);
    }
}

int sqlite_run(struct sqlite_store *s, const char *sql, struct moon_err *err) {
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sqlite_fail(s, err, sql);
}

/* ---- a statement ---- */

static struct sqlite_prepared *cached(struct sqlite_store *s, const char *sql) {
    struct sqlite_prepared *oldest = s->cache;
    for (size_t i = 0; i < SQLITE_CACHE; i++) {
        struct sqlite_prepared *p = &s->cache[i];
        if (p->stmt && strcmp(p->sql, sql) == 0)
            return p;
        if (p->used < oldest->used)
            oldest = p;
    }
    sqlite3_finalize(oldest->stmt);
    free(oldest->sql);
    memset(oldest, 0, sizeof *oldest);
    return oldest;
}

static int prepare(struct sqlite_store *s, const char *sql, sqlite3_stmt **out, struct moon_err *err) {
    struct sqlite_prepared *p = cached(s, sql);
    struct moon_buf text = MOON_BUF_INIT;
    const char *tail = NULL;
    int rc = 0;
    if (!p->stmt) {
        if (!(p->sql = strdup(sql)) || store_expand(&sqlite_form, sql, &text) != 0)
            rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
        else if (sqlite3_prepare_v3(s->db, text.data ? text.data : "", -1, SQLITE_PREPARE_PERSISTENT, &p->stmt,
                                    &tail) != SQLITE_OK)
            rc = sqlite_fail(s, err, sql);
        else if (!p->stmt || tail[strspn(tail, " \t\n;")] != '\0')
            rc = moon_err_set(err, MOON_EBUG, "SQL: one statement is needed (%.200s)", sql);
        moon_buf_release(&text);
        if (rc != 0) {
            free(p->sql);
            sqlite3_finalize(p->stmt);
            memset(p, 0, sizeof *p);
            return rc;
        }
    }
    p->used = ++s->uses;
    *out = p->stmt;
    return 0;
}

/* $N by its number. Texts are copied: the call's may move while results are added to it. */
static int bind(const struct moon_store_call *c, const struct moon_store_statement *st, sqlite3_stmt *stmt,
                struct moon_err *err) {
    for (int i = 1, n = sqlite3_bind_parameter_count(stmt); i <= n; i++) {
        const char *name = sqlite3_bind_parameter_name(stmt, i);
        long k = name && *name == '$' ? strtol(name + 1, NULL, 10) : 0;
        if (k < 1 || (size_t)k > st->params)
            return moon_err_set(err, MOON_EBUG, "SQL: no value for parameter %s (%.200s)", name ? name : "?",
                                c->text.data + st->sql);
        const struct moon_store_value *v = &c->values[st->first + (size_t)k - 1];
        int rc = v->type == MOON_STORE_INTEGER ? sqlite3_bind_int64(stmt, i, v->integer)
                 : v->type == MOON_STORE_REAL  ? sqlite3_bind_double(stmt, i, v->real)
                 : v->type == MOON_STORE_TEXT  ? sqlite3_bind_text64(stmt, i, c->text.data + v->text.at, v->text.len,
                                                                     SQLITE_TRANSIENT, SQLITE_UTF8)
                                               : sqlite3_bind_null(stmt, i);
        if (rc != SQLITE_OK)
            return moon_err_set(err, rc == SQLITE_TOOBIG ? MOON_ETOOBIG : MOON_ENOMEM, "SQL: parameter %s: %s", name,
                                sqlite3_errstr(rc));
    }
    return 0;
}

static int add_row(struct moon_store_call *c, sqlite3_stmt *stmt, int columns) {
    int rc = 0;
    for (int i = 0; rc == 0 && i < columns; i++)
        switch (sqlite3_column_type(stmt, i)) {
        case SQLITE_NULL:
            rc = store_result_null(c);
            break;
        case SQLITE_INTEGER:
            rc = store_result_integer(c, sqlite3_column_int64(stmt, i));
            break;
        case SQLITE_FLOAT:
            rc = store_result_real(c, sqlite3_column_double(stmt, i));
            break;
        default: {
            const char *text = (const char *)sqlite3_column_text(stmt, i);
            rc = text ? store_result_text(c, text, (size_t)sqlite3_column_bytes(stmt, i)) : MOON_ENOMEM;
        }
        }
    return rc;
}

static int fetch(struct sqlite_store *s, struct moon_store_call *c, struct moon_store_statement *st,
                 sqlite3_stmt *stmt) {
    int columns = sqlite3_column_count(stmt), rc = 0, step = SQLITE_ROW;
    int64_t before = sqlite3_total_changes64(s->db);
    store_result_begin(c, st, (size_t)columns);
    for (int i = 0; rc == 0 && i < columns; i++)
        rc = store_result_name(c, sqlite3_column_name(stmt, i));
    st->first_cell = c->nvalues;
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = add_row(c, stmt, columns);
        st->rows++;
    }
    if (rc != 0)
        return moon_err_set(&c->err, rc, "out of memory");
    if (step != SQLITE_DONE)
        return sqlite_fail(s, &c->err, c->text.data + st->sql);
    bool reads = sqlite3_stmt_readonly(stmt);
    st->changes = reads ? 0 : sqlite3_total_changes64(s->db) - before;
    return store_result_expect(c, st, reads ? (int64_t)st->rows : st->changes);
}

static int run_statement(struct sqlite_store *s, struct moon_store_call *c, struct moon_store_statement *st) {
    sqlite3_stmt *stmt;
    int rc = prepare(s, c->text.data + st->sql, &stmt, &c->err);
    if (rc != 0)
        return rc;
    rc = bind(c, st, stmt, &c->err);
    if (rc == 0)
        rc = fetch(s, c, st, stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc;
}

int sqlite_run_call(struct sqlite_store *s, struct moon_store_call *c) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->n; i++)
        rc = run_statement(s, c, &c->statements[i]);
    return c->rc = rc;
}

/* One SELECT needs no transaction of ours, and no sync. */
bool sqlite_only_reads(struct sqlite_store *s, struct moon_store_call *c) {
    sqlite3_stmt *stmt;
    struct moon_err ignored;
    return c->n == 1 && prepare(s, c->text.data + c->statements[0].sql, &stmt, &ignored) == 0 &&
           sqlite3_stmt_readonly(stmt);
}

int sqlite_control(struct sqlite_store *s, const char *sql, struct moon_err *err) {
    sqlite3_stmt *stmt;
    int rc = prepare(s, sql, &stmt, err);
    if (rc != 0)
        return rc;
    if (sqlite3_step(stmt) != SQLITE_DONE)
        rc = sqlite_fail(s, err, sql);
    sqlite3_reset(stmt);
    return rc;
}
