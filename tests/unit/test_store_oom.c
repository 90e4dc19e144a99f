/* test_store_oom.c - a store in which every allocation fails in turn, ours and SQLite's. */
#include "unit.h"

#include "moongate/store.h"

#include <stdbool.h>
#include <stdio.h>

static struct {
    bool on, for_good, failed;
    long countdown, live;
} oom;

static bool strikes(void) {
    if (!oom.on)
        return false;
    if (oom.countdown-- > 0)
        return false;
    if (oom.failed && !oom.for_good)
        return false;
    return oom.failed = true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n) {
    return strikes() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size) {
    return strikes() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n) {
    return strikes() ? NULL : __real_realloc(p, n);
}

static int add_statements(struct moon_store_call *c) {
    static const char put[] = "INSERT INTO cells (kind, key, value_json) VALUES ($1, $2, $3) RETURNING key";
    int rc = moon_store_add(c, put, sizeof put - 1, 1);
    rc = rc ? rc : moon_store_add_text(c, "k", 1);
    rc = rc ? rc : moon_store_add_real(c, 1.5);
    rc = rc ? rc : moon_store_add_null(c);
    return rc;
}

/* What fails for want of memory says so; anything else is told as a fault of the test. */
static int scenario(void) {
    struct moon_store *s = NULL;
    struct moon_store_call a = {0}, b = {0}, *calls[] = {&a, &b};
    struct moon_err err = {0, ""};
    int rc = moon_store_open(&s, "sqlite::memory:", &(struct moon_store_opts){0}, &err);
    if (rc == 0 && (rc = add_statements(&a)) == 0) {
        moon_store_apply(s, calls, 2, 7);
        rc = a.rc;
    }
    if (rc == 0)
        rc = moon_store_begin(s, &err);
    if (rc == 0) {
        static const char count[] = "SELECT count(*) AS n, {now} AS now FROM cells";
        rc = moon_store_add(&b, count, sizeof count - 1, 1);
        rc = rc ? rc : moon_store_exec(s, &b, 9);
        rc = rc ? rc : moon_store_commit(s, &err);
        moon_store_rollback(s);
    }
    if (rc == 0)
        rc = b.values[b.statements[0].first_cell].integer == 1 ? 0 : -1000;
    if (rc != 0 && rc != MOON_ENOMEM)
        fprintf(stderr, "# %s %s %s\n", err.message, a.err.message, b.err.message);
    moon_store_call_release(&a);
    moon_store_call_release(&b);
    moon_store_close(s);
    return rc;
}

static void every_allocation(void **state) {
    (void)state;
    assert_int_equal(scenario(), 0);
    for (int for_good = 0; for_good <= 1; for_good++)
        for (long n = 0;; n++) {
            oom.countdown = n;
            oom.for_good = for_good;
            oom.failed = false;
            oom.on = true;
            int rc = scenario();
            oom.on = false;
            if (rc != 0 && rc != MOON_ENOMEM)
                fail_msg("allocation %ld: code %d", n, rc);
            if (!oom.failed) {
                assert_int_equal(rc, 0);
                break;
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    return cmocka_run_group_tests_name("store, no memory", tests, NULL, NULL);
}
