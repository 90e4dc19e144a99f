/* postgres.c - the PostgreSQL form. */
#include "store_private.h"

int store_postgres_open(struct moon_store **out, const char *url, const struct moon_store_opts *opts,
                        struct moon_err *err) {
    (void)url, (void)opts;
    *out = NULL;
    return moon_err_set(err, MOON_ESTORE, "state: this moongate was built without PostgreSQL (libpq): use sqlite:FILE");
}
