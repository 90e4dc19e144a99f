/* store_fixture.h - a folder for state files, calls in a line, and what is in a store. */
#ifndef MOONGATE_TESTS_STORE_FIXTURE_H
#define MOONGATE_TESTS_STORE_FIXTURE_H

#include "unit.h"

#include "moongate/store.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[96], url[112];
static struct moon_err err;

static inline void empty_dir(void) {
    char file[400];
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(file, sizeof file, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.')
            unlink(file);
    }
    if (d)
        closedir(d);
}

static inline int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/moongate-store-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/state.db", dir);
    snprintf(url, sizeof url, "sqlite:%s", path);
    return 0;
}

static inline int remove_dir(void **state) {
    (void)state;
    empty_dir();
    return rmdir(dir);
}

static inline int open_store(struct moon_store **s) {
    const struct moon_store_opts opts = {.now_ms = 1000};
    return moon_store_open(s, url, &opts, &err);
}

static inline int add(struct moon_store_call *c, const char *sql, int64_t expect) {
    return moon_store_add(c, sql, strlen(sql), expect);
}

#define PUT "INSERT INTO cells (kind, key, value_json) VALUES ($1, $2, $3)"

/* A call that inserts two rows: (kind, key) and (kind, key + "'"). */
static inline int add_pair(struct moon_store_call *c, const char *kind, const char *key) {
    char second[64];
    snprintf(second, sizeof second, "%s'", key);
    int rc = 0;
    for (int i = 0; rc == 0 && i < 2; i++) {
        const char *k = i ? second : key;
        rc = add(c, PUT, 1);
        rc = rc ? rc : moon_store_add_text(c, kind, strlen(kind));
        rc = rc ? rc : moon_store_add_text(c, k, strlen(k));
        rc = rc ? rc : moon_store_add_text(c, "\"some value\"", 12);
    }
    return rc;
}

/* The integer that one SELECT gives; -1: it failed. */
static inline int64_t ask(struct moon_store *s, const char *sql) {
    struct moon_store_call c = {0}, *calls[] = {&c};
    int64_t n = -1;
    if (add(&c, sql, 1) == 0) {
        moon_store_apply(s, calls, 1, 1000);
        if (c.rc == 0)
            n = c.values[c.statements[0].first_cell].integer;
        else
            err = c.err;
    }
    moon_store_call_release(&c);
    return n;
}

static inline int64_t rows_of(struct moon_store *s, const char *key) {
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM cells WHERE key IN ('%s', '%s''')", key, key);
    return ask(s, sql);
}

#endif
