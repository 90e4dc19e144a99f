/* store.c - which form a URL asks for, and the calls passed on to it. */
#include "store_private.h"

#include <string.h>

static bool begins(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

enum moon_store_kind moon_store_kind(const char *url) {
    if (begins(url, "sqlite:"))
        return MOON_STORE_SQLITE;
    return begins(url, "postgres://") || begins(url, "postgresql://") ? MOON_STORE_POSTGRES : MOON_STORE_NONE;
}

const char *moon_store_kind_name(enum moon_store_kind kind) {
    return kind == MOON_STORE_SQLITE ? "sqlite" : kind == MOON_STORE_POSTGRES ? "postgres" : "none";
}

bool moon_store_in_memory(const char *url) {
    return strcmp(url, "sqlite::memory:") == 0;
}

int moon_store_open(struct moon_store **out, const char *url, const struct moon_store_opts *opts,
                    struct moon_err *err) {
    switch (moon_store_kind(url)) {
    case MOON_STORE_SQLITE:
        return store_sqlite_open(out, url + strlen("sqlite:"), opts, err);
    case MOON_STORE_POSTGRES:
#ifdef MOON_HAVE_LIBPQ
        return store_postgres_open(out, url, opts, err);
#else
        return moon_err_set(err, MOON_ESTORE,
                            "state: this moongate was built without PostgreSQL's libpq: use sqlite:FILE");
#endif
    default:
        return moon_err_set(err, MOON_EINVAL, "state: sqlite:FILE or postgres://... is needed");
    }
}

void moon_store_close(struct moon_store *s) {
    if (s)
        s->form->close(s);
}

void moon_store_apply(struct moon_store *s, struct moon_store_call *const calls[], size_t n, int64_t now_ms) {
    for (size_t i = 0; i < n; i++)
        store_call_reset(calls[i]);
    s->form->apply(s, calls, n, now_ms);
}

int moon_store_begin(struct moon_store *s, struct moon_err *err) {
    return s->form->begin(s, err);
}

int moon_store_exec(struct moon_store *s, struct moon_store_call *call, int64_t now_ms) {
    store_call_reset(call);
    return call->rc = s->form->exec(s, call, now_ms);
}

int moon_store_commit(struct moon_store *s, struct moon_err *err) {
    return s->form->commit(s, err);
}

void moon_store_rollback(struct moon_store *s) {
    s->form->rollback(s);
}

int moon_store_now(struct moon_store *s, int64_t now_ms, int64_t *out, struct moon_err *err) {
    return s->form->now_ms(s, now_ms, out, err);
}

/* ---- the words in braces ---- */

int store_expand(const struct store_form *form, const char *sql, struct moon_buf *out) {
    const struct {
        const char *word, *is;
    } words[] = {{"{now}", form->now},       {"{lock}", form->lock},           {"{skip_locked}", form->skip_locked},
                 {"{serial}", form->serial}, {"{clustered}", form->clustered}, {"{to_json}", form->to_json}};
    const size_t n = sizeof words / sizeof *words;
    int rc = 0;
    while (rc == 0 && *sql) {
        size_t plain = strcspn(sql, "{"), k = 0;
        rc = moon_buf_append(out, sql, plain);
        sql += plain;
        while (k < n && !begins(sql, words[k].word))
            k++;
        if (rc == 0 && k < n) {
            rc = moon_buf_puts(out, words[k].is);
            sql += strlen(words[k].word);
        } else if (rc == 0 && *sql) {
            rc = moon_buf_putc(out, *sql++);
        }
    }
    return rc;
}
