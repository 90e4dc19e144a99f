/* test_breaker.c - the circuit breaker's states, its window, its snapshots, the set. */
#include "unit.h"

#include "moongate/breaker.h"
#include "moongate/err.h"

#include <stdio.h>

#define S MOON_NS_PER_S

static const struct moon_breaker_opts opts = {3, 0.5, 10, 10 * S, 5 * S, 60 * S, 30 * S};

static void result(struct moon_breaker *b, enum moon_breaker_result r, int64_t now) {
    uint32_t ticket;
    assert_true(moon_breaker_allow(b, now, &ticket, NULL));
    moon_breaker_record(b, ticket, r, now);
}

static void opens_after_failures_in_a_row(void **state) {
    (void)state;
    struct moon_breaker b;
    uint32_t ticket;
    int64_t left;
    moon_breaker_init(&b, &opts);
    result(&b, MOON_BREAKER_FAILED, 0);
    result(&b, MOON_BREAKER_FAILED, 0);
    result(&b, MOON_BREAKER_OK, 0);
    result(&b, MOON_BREAKER_FAILED, 0);
    result(&b, MOON_BREAKER_FAILED, 0);
    assert_int_equal(b.state, MOON_BREAKER_CLOSED);
    result(&b, MOON_BREAKER_FAILED, S);
    assert_int_equal(b.state, MOON_BREAKER_OPEN);
    assert_false(moon_breaker_allow(&b, 2 * S, &ticket, &left));
    assert_int_equal(left, 4 * S);
    assert_int_equal(b.rejected, 1);
    assert_string_equal(moon_breaker_state_name(moon_breaker_state(&b, 2 * S)), "open");
    assert_string_equal(moon_breaker_state_name(moon_breaker_state(&b, 6 * S)), "half_open");
}

static void a_hung_call_counts_as_four(void **state) {
    (void)state;
    struct moon_breaker b;
    moon_breaker_init(&b, NULL);
    for (int i = 1; i <= 3; i++) { /* 10 in a row with the default */
        assert_int_equal(b.state, MOON_BREAKER_CLOSED);
        result(&b, MOON_BREAKER_HUNG, i * 30 * S);
    }
    assert_int_equal(b.state, MOON_BREAKER_OPEN);
    result(&b, MOON_BREAKER_HUNG, 92 * S); /* the probe */
    assert_int_equal(b.state, MOON_BREAKER_OPEN);
    moon_breaker_init(&b, NULL);
    for (int i = 1; i <= 5; i++) {
        result(&b, MOON_BREAKER_HUNG, i * 40 * S);
        result(&b, MOON_BREAKER_OK, i * 40 * S);
        assert_int_equal(b.state, MOON_BREAKER_CLOSED);
    }
}

static void one_cut_counts_once(void **state) {
    (void)state;
    struct moon_breaker b;
    uint32_t tickets[50], ticket;
    moon_breaker_init(&b, &opts);
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < 50; i++)
            assert_true(moon_breaker_allow(&b, round * S + i, &tickets[i], NULL));
        for (int i = 0; i < 50; i++) /* all of them end in the same moment */
            moon_breaker_lost(&b, tickets[i], round * S + i, round * S + 60);
        assert_int_equal(b.state, round < 3 ? MOON_BREAKER_CLOSED : MOON_BREAKER_OPEN);
    }
    assert_true(moon_breaker_allow(&b, 20 * S, &ticket, NULL));
    moon_breaker_lost(&b, ticket, 1 * S, 21 * S); /* a probe has no others beside it */
    assert_int_equal(b.state, MOON_BREAKER_OPEN);
    assert_int_equal(b.trips, 2);
}

static void another_process_tells(void **state) {
    (void)state;
    struct moon_breaker b;
    struct moon_breaker_snapshot open = {MOON_BREAKER_OPEN, 1, 1000 * S + 3 * S};
    struct moon_breaker_snapshot closed = {MOON_BREAKER_CLOSED, 0, 0};
    struct moon_breaker_snapshot nonsense = {77, 1, 1000 * S + 3 * S};
    uint32_t ticket;
    moon_breaker_init(&b, &opts);
    assert_false(moon_breaker_adopt(&b, &nonsense, 20 * S, 1000 * S));
    assert_false(moon_breaker_adopt(&b, &closed, 20 * S, 1000 * S));
    result(&b, MOON_BREAKER_OK, 20 * S);
    assert_false(moon_breaker_adopt(&b, &open, 20 * S, 1000 * S)); /* we have just seen it answer */
    assert_true(moon_breaker_adopt(&b, &open, 40 * S, 1000 * S));
    assert_int_equal(b.state, MOON_BREAKER_OPEN);
    assert_false(moon_breaker_allow(&b, 42 * S, &ticket, NULL));
    assert_false(moon_breaker_adopt(&b, &open, 42 * S, 1000 * S));
    assert_true(moon_breaker_adopt(&b, &closed, 42 * S, 1002 * S)); /* it answers again: one may look */
    assert_true(moon_breaker_allow(&b, 42 * S, &ticket, NULL));
    assert_false(moon_breaker_allow(&b, 42 * S, &(uint32_t){0}, NULL));
    moon_breaker_record(&b, ticket, MOON_BREAKER_OK, 42 * S);
    assert_int_equal(b.state, MOON_BREAKER_CLOSED);
}

static void half_open_lets_one_probe_through(void **state) {
    (void)state;
    struct moon_breaker b;
    uint32_t probe, other;
    int64_t left;
    moon_breaker_init(&b, &opts);
    for (int i = 0; i < 3; i++)
        result(&b, MOON_BREAKER_FAILED, 0);
    assert_true(moon_breaker_allow(&b, 5 * S, &probe, NULL));
    for (int i = 0; i < 100; i++)
        assert_false(moon_breaker_allow(&b, 5 * S, &other, &left));
    moon_breaker_record(&b, probe, MOON_BREAKER_FAILED, 6 * S);
    assert_int_equal(b.state, MOON_BREAKER_OPEN);
    assert_false(moon_breaker_allow(&b, 15 * S, &other, &left)); /* twice the time now */
    assert_int_equal(left, S);
    assert_true(moon_breaker_allow(&b, 16 * S, &probe, NULL));
    moon_breaker_record(&b, probe, MOON_BREAKER_IGNORE, 16 * S); /* cancelled: the next one may probe at once */
    assert_true(moon_breaker_allow(&b, 16 * S, &probe, NULL));
    moon_breaker_record(&b, probe, MOON_BREAKER_OK, 17 * S);
    assert_int_equal(b.state, MOON_BREAKER_CLOSED);
    assert_int_equal(b.trips, 0);
}

static void a_lost_probe_does_not_lock_the_door(void **state) {
    (void)state;
    struct moon_breaker b;
    uint32_t lost, probe;
    moon_breaker_init(&b, &opts);
    for (int i = 0; i < 3; i++)
        result(&b, MOON_BREAKER_FAILED, 0);
    assert_true(moon_breaker_allow(&b, 5 * S, &lost, NULL));
    assert_false(moon_breaker_allow(&b, 34 * S, &probe, NULL));
    assert_true(moon_breaker_allow(&b, 35 * S, &probe, NULL));
    moon_breaker_record(&b, lost, MOON_BREAKER_OK, 35 * S); /* too late to have a say */
    assert_int_equal(b.state, MOON_BREAKER_HALF_OPEN);
    moon_breaker_record(&b, probe, MOON_BREAKER_OK, 35 * S);
    assert_int_equal(b.state, MOON_BREAKER_CLOSED);
}

static void late_results_are_ignored(void **state) {
    (void)state;
    struct moon_breaker b;
    uint32_t old[5], probe;
    moon_breaker_init(&b, &opts);
    for (int i = 0; i < 5; i++)
        assert_true(moon_breaker_allow(&b, 0, &old[i], NULL));
    for (int i = 0; i < 3; i++)
        moon_breaker_record(&b, old[i], MOON_BREAKER_FAILED, 0);
    assert_int_equal(b.state, MOON_BREAKER_OPEN);
    moon_breaker_record(&b, old[3], MOON_BREAKER_OK, 0);
    assert_int_equal(b.state, MOON_BREAKER_OPEN);
    assert_true(moon_breaker_allow(&b, 5 * S, &probe, NULL));
    moon_breaker_record(&b, old[4], MOON_BREAKER_OK, 5 * S);
    assert_int_equal(b.state, MOON_BREAKER_HALF_OPEN);
}

static void opens_on_the_rate_within_the_window(void **state) {
    (void)state;
    struct moon_breaker b;
    moon_breaker_init(&b, &opts);
    for (int i = 0; i < 20; i++) { /* a third fails: never three in a row, never half */
        result(&b, MOON_BREAKER_OK, i * S / 10);
        result(&b, MOON_BREAKER_OK, i * S / 10);
        result(&b, MOON_BREAKER_FAILED, i * S / 10);
    }
    assert_int_equal(b.state, MOON_BREAKER_CLOSED);
    for (int i = 0; i < 5; i++) { /* alternating, after all of that has left the window */
        result(&b, MOON_BREAKER_OK, 30 * S);
        assert_int_equal(b.state, MOON_BREAKER_CLOSED);
        result(&b, MOON_BREAKER_FAILED, 30 * S);
    }
    assert_int_equal(b.state, MOON_BREAKER_OPEN);
}

static void the_open_time_has_an_end(void **state) {
    (void)state;
    struct moon_breaker b;
    int64_t now = 0, left;
    uint32_t ticket;
    moon_breaker_init(&b, &opts);
    for (int i = 0; i < 3; i++)
        result(&b, MOON_BREAKER_FAILED, now);
    for (int i = 0; i < 2000; i++) {
        assert_false(moon_breaker_allow(&b, now, &ticket, &left));
        assert_true(left <= 60 * S);
        now += left;
        result(&b, MOON_BREAKER_FAILED, now);
    }
    assert_int_equal(left, 60 * S);
}

static void results_are_judged(void **state) {
    (void)state;
    assert_int_equal(moon_breaker_judge(MOON_FAIL_NONE, 200), MOON_BREAKER_OK);
    assert_int_equal(moon_breaker_judge(MOON_FAIL_FINAL, 404), MOON_BREAKER_OK);
    assert_int_equal(moon_breaker_judge(MOON_FAIL_FINAL, 500), MOON_BREAKER_FAILED);
    assert_int_equal(moon_breaker_judge(MOON_FAIL_REFUSED, 429), MOON_BREAKER_IGNORE);
    assert_int_equal(moon_breaker_judge(MOON_FAIL_AMBIGUOUS, 503), MOON_BREAKER_FAILED);
    assert_int_equal(moon_breaker_judge(MOON_FAIL_AMBIGUOUS, 0), MOON_BREAKER_FAILED);
    assert_int_equal(moon_breaker_judge(MOON_FAIL_NOT_SENT, 0), MOON_BREAKER_FAILED);
    assert_int_equal(moon_breaker_judge(MOON_FAIL_FINAL, 0), MOON_BREAKER_IGNORE);
}

static void state_survives_a_restart(void **state) {
    (void)state;
    struct moon_breaker a, b;
    struct moon_breaker_snapshot s;
    int64_t left;
    uint32_t ticket;
    moon_breaker_init(&a, &opts);
    for (int i = 0; i < 3; i++)
        result(&a, MOON_BREAKER_FAILED, 100 * S);
    moon_breaker_save(&a, 101 * S, 5000 * S, &s);
    moon_breaker_init(&b, &opts); /* another process: another monotonic clock, a second later */
    moon_breaker_restore(&b, &s, 7 * S, 5001 * S);
    assert_false(moon_breaker_allow(&b, 7 * S, &ticket, &left));
    assert_int_equal(left, 3 * S);
    moon_breaker_init(&b, &opts);
    moon_breaker_restore(&b, &s, 7 * S, 6000 * S);
    assert_true(moon_breaker_allow(&b, 7 * S, &ticket, NULL));
    assert_int_equal(b.state, MOON_BREAKER_HALF_OPEN);
    static const struct moon_breaker_snapshot odd[] = {
        {99, 1, 0}, {-1, -7, INT64_MAX}, {MOON_BREAKER_OPEN, INT32_MAX, INT64_MAX}, {MOON_BREAKER_OPEN, -5, INT64_MIN}};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        moon_breaker_init(&b, &opts);
        moon_breaker_restore(&b, &odd[i], S, 5000 * S);
        if (!moon_breaker_allow(&b, S, &ticket, &left))
            assert_true(left <= opts.open_max_ns);
    }
}

struct memory {
    char key[100];
    struct moon_breaker_snapshot s;
    int saves;
};

static int load(void *ud, const char *key, struct moon_breaker_snapshot *out) {
    struct memory *m = ud;
    if (strcmp(m->key, key) != 0)
        return MOON_ENOENT;
    *out = m->s;
    return 0;
}

static void save(void *ud, const char *key, const struct moon_breaker_snapshot *s) {
    struct memory *m = ud;
    snprintf(m->key, sizeof m->key, "%s", key);
    m->s = *s;
    m->saves++;
}

static void a_set_keeps_hosts_and_families_apart(void **state) {
    (void)state;
    struct memory memory = {.saves = 0};
    const struct moon_breaker_store store = {load, save, &memory};
    struct moon_vclock v;
    moon_vclock_init(&v, 1000 * S);
    struct moon_clock clock = moon_clock_virtual(&v);
    struct moon_breakers *set = NULL;
    assert_int_equal(moon_breakers_new(&set, &opts, &store, &clock), 0);
    struct moon_breaker *b = moon_breakers_get(set, "api.example.com:443", "index", NULL);
    assert_non_null(b);
    assert_ptr_equal(b, moon_breakers_get(set, "api.example.com:443", "index", NULL));
    assert_ptr_not_equal(b, moon_breakers_get(set, "api.example.com:443", "model", NULL));
    assert_ptr_not_equal(b, moon_breakers_get(set, "api.example.com:44", "index", NULL));
    assert_ptr_not_equal(b, moon_breakers_get(set, "api.example.com:443", NULL, NULL));
    assert_null(moon_breakers_find(set, "other:1", "index"));
    for (int i = 0; i < 3; i++)
        result(b, MOON_BREAKER_FAILED, moon_mono_ns(&clock));
    assert_int_equal(memory.saves, 1);
    moon_breakers_free(set);
    assert_int_equal(moon_breakers_new(&set, &opts, &store, &clock), 0);
    b = moon_breakers_get(set, "api.example.com:443", "index", NULL);
    uint32_t ticket;
    assert_false(moon_breaker_allow(b, moon_mono_ns(&clock), &ticket, NULL));
    moon_breakers_free(set);
    moon_breakers_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_after_failures_in_a_row),
        cmocka_unit_test(a_hung_call_counts_as_four),
        cmocka_unit_test(another_process_tells),
        cmocka_unit_test(half_open_lets_one_probe_through),
        cmocka_unit_test(a_lost_probe_does_not_lock_the_door),
        cmocka_unit_test(one_cut_counts_once),
        cmocka_unit_test(late_results_are_ignored),
        cmocka_unit_test(opens_on_the_rate_within_the_window),
        cmocka_unit_test(the_open_time_has_an_end),
        cmocka_unit_test(results_are_judged),
        cmocka_unit_test(state_survives_a_restart),
        cmocka_unit_test(a_set_keeps_hosts_and_families_apart),
    };
    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
