/* store_private.h - what the two forms of a store share. */
#ifndef MOON_STORE_PRIVATE_H
#define MOON_STORE_PRIVATE_H

#include "moongate/store.h"

/* A form begins with this. */
struct moon_store {
    const struct store_form *form;
};

struct store_form {
    const char *now, *lock, *skip_locked, *serial, *clustered, *to_json; /* what the words in braces become */
    void (*close)(struct moon_store *s);
    void (*apply)(struct moon_store *s, struct moon_store_call *const calls[], size_t n, int64_t now_ms);
    int (*begin)(struct moon_store *s, struct moon_err *err);
    int (*exec)(struct moon_store *s, struct moon_store_call *call, int64_t now_ms);
    int (*commit)(struct moon_store *s, struct moon_err *err);
    void (*rollback)(struct moon_store *s);
    int (*now_ms)(struct moon_store *s, int64_t now_ms, int64_t *out, struct moon_err *err);
};

int store_sqlite_open(struct moon_store **out, const char *path, const struct moon_store_opts *opts,
                      struct moon_err *err);
int store_postgres_open(struct moon_store **out, const char *url, const struct moon_store_opts *opts,
                        struct moon_err *err);

/* Appends sql with the words in braces replaced. 0 or MOON_ENOMEM. */
int store_expand(const struct store_form *form, const char *sql, struct moon_buf *out);

/* ---- results of a call ---- */

/* Forgets results and error: before it is run (again). */
void store_call_reset(struct moon_store_call *c);
/* A statement's results begin: the names follow one another in the call's text. */
int store_result_begin(struct moon_store_call *c, struct moon_store_statement *st, size_t columns);
int store_result_name(struct moon_store_call *c, const char *name);
int store_result_null(struct moon_store_call *c);
int store_result_integer(struct moon_store_call *c, int64_t value);
int store_result_real(struct moon_store_call *c, double value);
int store_result_text(struct moon_store_call *c, const char *text, size_t len);
/* Its rows were counted: is it what was expected? 0 or MOON_ECONFLICT. */
int store_result_expect(struct moon_store_call *c, const struct moon_store_statement *st, int64_t touched);

/* ---- schema ---- */

#define STORE_APPLICATION_ID 0x6d6f6f6e /* "moon", in an SQLite file's header */
/* The statements that bring the schema from version - 1 to version; ended by NULL. */
struct store_migration {
    int version;
    const char *const *statements;
};
extern const struct store_migration store_migrations[]; /* ascending, ended by {0, NULL} */
int store_schema_version(void);                         /* the last one's */

#endif
