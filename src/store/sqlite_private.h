/* sqlite_private.h - the SQLite form, shared by its files. */
#ifndef MOON_STORE_SQLITE_PRIVATE_H
#define MOON_STORE_SQLITE_PRIVATE_H

#include "store_private.h"

#include <sqlite3.h>

#define SQLITE_CACHE 64 /* prepared statements kept */

struct sqlite_prepared {
    char *sql; /* as the caller wrote it */
    sqlite3_stmt *stmt;
    uint64_t used;
};

struct sqlite_store {
    struct moon_store base;
    sqlite3 *db;
    char *path;
    const atomic_bool *stop;
    int64_t now_ms;         /* what moon_now() answers */
    struct moon_err broken; /* code not 0: damaged; nothing is read or written any more */
    struct sqlite_prepared cache[SQLITE_CACHE];
    uint64_t uses;
    int64_t commits, frames,
        room; /* sqlite_room.c: of this process; in the log; bytes that the log has without growing */
};

/* ---- sqlite_call.c ---- */

/* Sets err from the database's last error; what: the SQL, or what was tried. Returns its code. */
int sqlite_fail(struct sqlite_store *s, struct moon_err *err, const char *what);
/* Runs statements without parameters, and forgets their results. */
int sqlite_run(struct sqlite_store *s, const char *sql, struct moon_err *err);
/* Damage to the file, with what to do about it. MOON_ESTORE. */
int sqlite_damaged(struct sqlite_store *s, struct moon_err *err, const char *how);
/* Its statements, one after the other; also in c->rc. */
int sqlite_run_call(struct sqlite_store *s, struct moon_store_call *c);
/* One SELECT, which needs no transaction of ours, and no sync. */
bool sqlite_only_reads(struct sqlite_store *s, struct moon_store_call *c);
/* A statement of a transaction: BEGIN, COMMIT ... */
int sqlite_control(struct sqlite_store *s, const char *sql, struct moon_err *err);

/* ---- sqlite_room.c ---- */

void sqlite_room_init(struct sqlite_store *s); /* also does the checkpoints */
void sqlite_room_make(struct sqlite_store *s); /* only inside of a transaction that writes */

/* The network filesystem that statfs(2) names so, or NULL for one that locks properly. */
const char *sqlite_network_fs(unsigned long type);

extern const struct store_form sqlite_form;

#endif
