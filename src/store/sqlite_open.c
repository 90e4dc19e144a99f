/* sqlite_open.c - opens a state file: where it may lie, whether it is sound and ours, and its schema.
 *
 * A file that is damaged, of another program or of a newer version is refused and never written to. */
#include "sqlite_private.h"

#include "moongate/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#define BUSY_MS     20000               /* to wait for another process's transaction */
#define STOP_MS     2000                /* the same, when the process wants to end */
#define QUICK_CHECK ((int64_t)64 << 20) /* bytes that are looked through at every opening; more: after a crash only */

/* ---- where it lies ---- */

const char *sqlite_network_fs(unsigned long type) {
    static const struct {
        unsigned long type;
        const char *name;
    } table[] = {{0x6969, "NFS"},      {0x517b, "SMB"},      {0xfe534d42, "SMB"},    {0xff534d42, "CIFS"},
                 {0x5346414f, "AFS"},  {0x6b414653, "AFS"},  {0x00c36400, "Ceph"},   {0x73757245, "Coda"},
                 {0x564c, "NCP"},      {0x01021997, "9P"},   {0x0bd00bd0, "Lustre"}, {0x7461636f, "OCFS2"},
                 {0x01161970, "GFS2"}, {0x47504653, "GPFS"}, {0x19830326, "BeeGFS"}, {0x013111a8, "IBRIX"},
                 {0xaad7aaea, "PanFS"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].type == type)
            return table[i].name;
    return NULL;
}

/* Locks and shared memory do not reach other machines: two of them would damage the file. */
static int check_fs(const char *folder, const char *path, struct moon_err *err) {
#ifdef __linux__
    struct statfs fs;
    const char *name = statfs(folder, &fs) == 0 ? sqlite_network_fs((unsigned long)fs.f_type & 0xffffffffUL) : NULL;
    if (name)
        return moon_err_set(err, MOON_ESTORE,
                            "state %s is on a network filesystem (%s), where SQLite can't lock it: put it on a disk of "
                            "this machine (--state), or share it through PostgreSQL (--state postgres://...)",
                            path, name);
#else
    (void)folder, (void)path, (void)err;
#endif
    return 0;
}

static int64_t size_of(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static int64_t wal_size(const char *path) {
    char wal[PATH_MAX];
    int n = snprintf(wal, sizeof wal, "%s-wal", path);
    return n > 0 && (size_t)n < sizeof wal ? size_of(wal) : -1;
}

/* Makes the folder; *fresh: there is no file yet. */
static int prepare_place(struct sqlite_store *s, bool *fresh, struct moon_err *err) {
    struct moon_buf folder = MOON_BUF_INIT;
    struct moon_err why;
    const char *slash = strrchr(s->path, '/');
    int rc = slash == s->path ? moon_buf_puts(&folder, "/")
             : slash          ? moon_buf_append(&folder, s->path, (size_t)(slash - s->path))
                              : moon_buf_puts(&folder, ".");
    if (rc == 0 && (rc = moon_file_mkdirs(folder.data, 0700, &why)) != 0)
        moon_err_set(err, MOON_ESTORE, "no folder for the state: %s", why.message);
    else if (rc == 0)
        rc = check_fs(folder.data, s->path, err);
    moon_buf_release(&folder);
    if (rc != 0)
        return rc == MOON_ENOMEM ? moon_err_set(err, rc, "out of memory") : MOON_ESTORE;
    int64_t size = size_of(s->path);
    *fresh = size < 0;
    /* SQLite takes a log without its database for rubbish, and deletes it. (Looked at once more: another process may
     * just have made both.) */
    if (size <= 0 && wal_size(s->path) > 0 && size_of(s->path) <= 0)
        return sqlite_damaged(s, err, "the file is missing or empty, but its log (-wal) still exists");
    return 0;
}

/* ---- the connection ---- */

static int on_busy(void *ud, int count) {
    const struct sqlite_store *s = ud;
    static const int delays[] = {1, 1, 1, 2, 2, 3, 4, 5}; /* short: the lock is free for moments only */
    const int last = (int)(sizeof delays / sizeof *delays) - 1;
    int slept = 0;
    for (int i = 0; i < count && i <= last; i++)
        slept += delays[i];
    slept += count > last ? (count - last) * delays[last] : 0;
    if (slept >= (s->stop && atomic_load(s->stop) ? STOP_MS : BUSY_MS))
        return 0;
    sqlite3_sleep(delays[count < last ? count : last]);
    return 1;
}

static void now_function(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    const struct sqlite_store *s = sqlite3_user_data(ctx);
    (void)argc, (void)argv;
    sqlite3_result_int64(ctx, s->now_ms);
}

static int connect(struct sqlite_store *s, bool fresh, struct moon_err *err) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(s->path, &s->db, flags, NULL);
    if (!s->db)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    sqlite3_extended_result_codes(s->db, 1);
    if (rc != SQLITE_OK)
        return sqlite_fail(s, err, "open");
    /* While it is still empty. Its log takes the mode over from it. */
    if (fresh && chmod(s->path, 0600) != 0)
        return moon_err_errno(err, MOON_ESTORE, errno, "state %s: can't set its mode", s->path);
    sqlite3_busy_handler(s->db, on_busy, s);
    if (sqlite3_create_function(s->db, "moon_now", 0, SQLITE_UTF8, s, now_function, NULL, NULL) != SQLITE_OK)
        return sqlite_fail(s, err, "open");
    return 0;
}

/* ---- what is in it ---- */

/* The first column of the first row: a number, or with `text` a word that begins it. */
static int ask(struct sqlite_store *s, const char *sql, int64_t *number, char *text, size_t size,
               struct moon_err *err) {
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && number)
        *number = sqlite3_column_int64(stmt, 0);
    if (rc == SQLITE_ROW && text)
        snprintf(text, size, "%s", (const char *)sqlite3_column_text(stmt, 0));
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        sqlite_fail(s, err, sql);
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : err->code;
}

/* *version 0: a new, empty file. */
static int identify(struct sqlite_store *s, int64_t *version, struct moon_err *err) {
    int64_t id = 0, tables = 0;
    int rc = ask(s, "PRAGMA application_id", &id, NULL, 0, err);
    if (rc == 0)
        rc = ask(s, "PRAGMA user_version", version, NULL, 0, err);
    if (rc == 0)
        rc = ask(s, "SELECT count(*) FROM sqlite_master", &tables, NULL, 0, err);
    if (rc != 0)
        return rc;
    if (id != STORE_APPLICATION_ID && (id != 0 || *version != 0 || tables != 0))
        return moon_err_set(
            err, MOON_ESTORE,
            "%s is a database of another program: give --state another file (nothing was changed in it)", s->path);
    if (*version > store_schema_version())
        return moon_err_set(err, MOON_ESTORE,
                            "state %s was written by a newer moongate (schema %d; this one knows %d): use that one, or "
                            "another --state (nothing was changed in it)",
                            s->path, (int)*version, store_schema_version());
    return 0;
}

static int check_sound(struct sqlite_store *s, struct moon_err *err) {
    char verdict[200] = "";
    int rc = ask(s, "PRAGMA quick_check(1)", NULL, verdict, sizeof verdict, err);
    const char *second = strchr(verdict, '\n'); /* behind "*** in database main ***" */
    if (rc == 0 && strcmp(verdict, "ok") != 0)
        rc = sqlite_damaged(s, err, second ? second + 1 : verdict);
    return rc;
}

/* The change to a log needs the file for itself, and does not wait for it by itself. */
static int use_wal(struct sqlite_store *s, struct moon_err *err) {
    char mode[16] = "";
    int rc = ask(s, "PRAGMA journal_mode", NULL, mode, sizeof mode, err);
    for (int tries = 0; rc == 0 && strcmp(mode, "wal") != 0 && strcmp(mode, "memory") != 0; tries++) {
        rc = ask(s, "PRAGMA journal_mode = WAL", NULL, mode, sizeof mode, err);
        if (rc == MOON_EBUSY && tries < 200 && on_busy(s, 7))
            rc = 0;
        else if (rc == 0 && strcmp(mode, "wal") != 0)
            return moon_err_set(err, MOON_ESTORE, "state %s: this filesystem can't hold SQLite's log (journal mode %s)",
                                s->path, mode);
    }
    return rc;
}

static int migrate_to(struct sqlite_store *s, const struct store_migration *m, struct moon_err *err) {
    struct moon_buf sql = MOON_BUF_INIT;
    int rc = 0;
    for (const char *const *text = m->statements; rc == 0 && *text; text++) {
        moon_buf_clear(&sql);
        rc = store_expand(&sqlite_form, *text, &sql);
        rc = rc != 0 ? moon_err_set(err, rc, "out of memory") : sqlite_run(s, sql.data, err);
    }
    moon_buf_clear(&sql);
    if (rc == 0 && moon_buf_printf(&sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", STORE_APPLICATION_ID,
                                   m->version) != 0)
        rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (rc == 0)
        rc = sqlite_run(s, sql.data, err);
    moon_buf_release(&sql);
    return rc;
}

/* Others may be at it too: looked at again once the file is ours. */
static int migrate(struct sqlite_store *s, struct moon_err *err) {
    int64_t version = 0;
    int rc = sqlite_run(s, "BEGIN IMMEDIATE", err);
    if (rc != 0)
        return rc;
    rc = identify(s, &version, err);
    for (const struct store_migration *m = store_migrations; rc == 0 && m->version; m++)
        if (m->version > version)
            rc = migrate_to(s, m, err);
    if (rc == 0)
        rc = sqlite_run(s, "COMMIT", err);
    if (rc != 0)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* All of it as of one moment: another process may be making the tables. */
static int identify_now(struct sqlite_store *s, int64_t *version, struct moon_err *err) {
    int rc = sqlite_run(s, "BEGIN", err);
    if (rc == 0)
        rc = identify(s, version, err);
    return rc == 0 ? sqlite_run(s, "ROLLBACK", err) : rc;
}

static int make_ready(struct sqlite_store *s, bool fresh, struct moon_err *err) {
    int64_t version = 0;
    bool small = size_of(s->path) <= QUICK_CHECK;
    int rc = identify_now(s, &version, err);
    if (rc == 0 && !fresh && version > 0 && (small || wal_size(s->path) > 0))
        rc = check_sound(s, err);
    if (rc == 0)
        rc = use_wal(s, err);
    if (rc == 0)
        rc = sqlite_run(s, "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY", err);
    if (rc == 0 && version < store_schema_version())
        rc = migrate(s, err);
    sqlite_room_init(s);
    return rc;
}

int store_sqlite_open(struct moon_store **out, const char *path, const struct moon_store_opts *opts,
                      struct moon_err *err) {
    bool memory = strcmp(path, ":memory:") == 0, fresh = false;
    struct sqlite_store *s = calloc(1, sizeof *s);
    int rc;
    *out = NULL;
    if (!s || !(s->path = strdup(path))) {
        free(s);
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    s->base.form = &sqlite_form;
    s->stop = opts->stop;
    s->now_ms = opts->now_ms;
    rc = memory ? 0 : prepare_place(s, &fresh, err);
    if (rc == 0)
        rc = connect(s, fresh, err);
    if (rc == 0)
        rc = make_ready(s, fresh, err);
    if (rc != 0) {
        moon_store_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}

const char *moon_store_version(void) {
    return sqlite3_libversion();
}
