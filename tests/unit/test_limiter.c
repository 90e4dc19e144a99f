/* test_limiter.c - the token bucket and the pacing from rate-limit headers. */
#include "unit.h"

#include "moongate/limiter.h"

#define S  MOON_NS_PER_S
#define MS MOON_NS_PER_MS

static void a_burst_then_the_steady_rate(void **state) {
    (void)state;
    struct moon_limiter l;
    moon_limiter_init(&l, 10, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(moon_limiter_take(&l, 0), 0);
    for (int i = 1; i <= 100; i++)
        assert_int_equal(moon_limiter_take(&l, 0), i * 100 * MS); /* each has its own place */
    assert_int_equal(moon_limiter_wait_ns(&l, 10 * S), 100 * MS);
    assert_int_equal(moon_limiter_take(&l, 1000 * S), 0); /* rested: the whole burst again, and no more */
    for (int i = 0; i < 4; i++)
        assert_int_equal(moon_limiter_take(&l, 1000 * S), 0);
    assert_int_equal(moon_limiter_take(&l, 1000 * S), 100 * MS);
}

static void never_more_than_rate_and_burst(void **state) {
    (void)state;
    struct moon_limiter l;
    int64_t sent[1000];
    moon_limiter_init(&l, 50, 10);
    for (int i = 0; i < 1000; i++) {
        int64_t now = i * 3 * MS;
        sent[i] = now + moon_limiter_take(&l, now);
    }
    for (int i = 0; i < 1000; i++)
        for (int j = i; j < 1000; j++)
            assert_true(j - i + 1 <= 10 + 1 + (sent[j] - sent[i]) / (20 * MS));
}

static void a_place_given_back_is_taken_again(void **state) {
    (void)state;
    struct moon_limiter l;
    moon_limiter_init(&l, 1, 1);
    assert_int_equal(moon_limiter_take(&l, 0), 0);
    assert_int_equal(moon_limiter_take(&l, 0), S);
    moon_limiter_give_back(&l);
    assert_int_equal(moon_limiter_take(&l, 0), S);
}

static void no_rate_is_no_limit(void **state) {
    (void)state;
    struct moon_limiter l;
    static const double none[] = {0, -1, 0.0 / 1.0};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        moon_limiter_init(&l, none[i], 3);
        for (int n = 0; n < 1000; n++)
            assert_int_equal(moon_limiter_take(&l, 0), 0);
    }
    moon_limiter_init(&l, 1e-300, 1e300); /* nonsense is cut, not overflowed */
    moon_limiter_take(&l, 0);
    assert_true(moon_limiter_wait_ns(&l, 0) >= 0);
}

static void nothing_known_no_pacing(void **state) {
    (void)state;
    struct moon_pacer p;
    moon_pacer_init(&p);
    for (int i = 0; i < 100; i++)
        assert_int_equal(moon_pacer_take(&p, i), 0);
    moon_pacer_update(&p, 0, -1, -1, -1, -1);
    assert_false(p.known);
    moon_pacer_update(&p, 0, 10, 300, -1, 50); /* plenty left */
    assert_int_equal(moon_pacer_take(&p, 0), 0);
}

static void little_left_is_spread(void **state) {
    (void)state;
    struct moon_pacer p;
    moon_pacer_init(&p);
    moon_pacer_update(&p, 0, 290, 300, -1, 20); /* 10 of 300 left for 20 s */
    int64_t last = -1;
    for (int i = 0; i < 10; i++) {
        int64_t w = moon_pacer_take(&p, 0);
        assert_true(w > last);
        assert_true(w >= i * 2 * S - MS && w <= i * 2 * S + MS);
        last = w;
    }
    assert_int_equal(moon_pacer_take(&p, 0), 20 * S); /* none left: when it resets */
    assert_int_equal(moon_pacer_take(&p, 20 * S), 0);
    assert_false(p.known);
}

/* A server that allows 30 a window, and 200 eager calls: no answer would ever be 429. */
static void no_429_comes(void **state) {
    (void)state;
    struct moon_pacer p;
    moon_pacer_init(&p);
    int64_t now = 0, window_end = 10 * S;
    int count = 0;
    for (int i = 0; i < 200; i++) {
        now += moon_pacer_take(&p, now);
        while (now >= window_end) {
            window_end += 10 * S;
            count = 0;
        }
        count++;
        assert_true(count <= 30);
        moon_pacer_update(&p, now, count, 30, -1, (window_end - now + S - 1) / S);
    }
}

static void late_answers_raise_nothing(void **state) {
    (void)state;
    struct moon_pacer p;
    moon_pacer_init(&p);
    moon_pacer_update(&p, 0, 298, 300, -1, 30);
    moon_pacer_update(&p, 1 * MS, 150, 300, -1, 30); /* an older answer, overtaken */
    assert_int_equal(p.left, 2);
    moon_pacer_update(&p, 2 * MS, 5, 300, -1, 60); /* a new window */
    assert_int_equal(p.left, 295);
}

static void remaining_alone_is_enough(void **state) {
    (void)state;
    struct moon_pacer p;
    moon_pacer_init(&p);
    moon_pacer_update(&p, 0, -1, -1, 0, 5);
    assert_int_equal(moon_pacer_wait_ns(&p, S), 4 * S);
    moon_pacer_init(&p);
    moon_pacer_update(&p, 0, -1, -1, 6, -1); /* no reset told: a minute */
    assert_int_equal(moon_pacer_take(&p, 0), 0);
    assert_int_equal(moon_pacer_take(&p, 0), 10 * S);
    moon_pacer_update(&p, S, INT64_MAX, 1, -1, INT64_MAX); /* nonsense is cut */
    assert_true(moon_pacer_take(&p, S) <= 86400 * S);
}

static void the_next_process_has_no_new_burst(void **state) {
    (void)state;
    struct moon_limiter a, b;
    moon_limiter_init(&a, 2, 4);
    assert_int_equal(moon_limiter_used_until(&a, 0), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(moon_limiter_take(&a, 0), 0);
    assert_int_equal(moon_limiter_used_until(&a, 0), 2 * MOON_NS_PER_S);
    moon_limiter_init(&b, 2, 4);
    moon_limiter_restore(&b, moon_limiter_used_until(&a, 0), 0);
    assert_int_equal(moon_limiter_wait_ns(&b, 0), moon_limiter_wait_ns(&a, 0));
    moon_limiter_init(&b, 2, 4);
    moon_limiter_restore(&b, INT64_MAX, 0); /* at most a burst is gone */
    assert_int_equal(moon_limiter_wait_ns(&b, 0), MOON_NS_PER_S / 2);
    moon_limiter_init(&b, 0, 0);
    moon_limiter_restore(&b, 2 * MOON_NS_PER_S, 0);
    assert_int_equal(moon_limiter_wait_ns(&b, 0), 0);
}

static void another_process_tells(void **state) {
    (void)state;
    struct moon_pacer p, q;
    struct moon_pacer_snapshot s;
    moon_pacer_init(&p);
    moon_pacer_init(&q);
    moon_pacer_save(&p, 0, 1000 * MOON_NS_PER_S, &s);
    assert_false(moon_pacer_restore(&q, &s, 0, 1000 * MOON_NS_PER_S));
    moon_pacer_update(&p, 0, 300, 300, -1, 40);
    moon_pacer_save(&p, 10 * MOON_NS_PER_S, 1000 * MOON_NS_PER_S, &s);
    assert_int_equal(s.reset_wall_ns, 1030 * MOON_NS_PER_S);
    assert_true(moon_pacer_restore(&q, &s, 500, 1010 * MOON_NS_PER_S));
    assert_int_equal(moon_pacer_take(&q, 500), 0); /* one may look; the others wait for the window's end */
    assert_true(moon_pacer_wait_ns(&q, 500) > 19 * MOON_NS_PER_S);
    assert_false(moon_pacer_restore(&q, &s, 500, 1010 * MOON_NS_PER_S));
    moon_pacer_save(&q, 500, 1010 * MOON_NS_PER_S, &s); /* what was heard is not told on */
    assert_int_equal(s.reset_wall_ns, 0);
    moon_pacer_update(&q, 600, 1, 300, -1, 50); /* a token of its own, and a window of its own */
    assert_int_equal(moon_pacer_wait_ns(&q, 600), 0);
    s.reset_wall_ns = INT64_MAX;
    moon_pacer_init(&q);
    assert_false(moon_pacer_restore(&q, &s, 500, 1010 * MOON_NS_PER_S));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_process_has_no_new_burst),
        cmocka_unit_test(another_process_tells),
        cmocka_unit_test(a_burst_then_the_steady_rate),
        cmocka_unit_test(never_more_than_rate_and_burst),
        cmocka_unit_test(a_place_given_back_is_taken_again),
        cmocka_unit_test(no_rate_is_no_limit),
        cmocka_unit_test(nothing_known_no_pacing),
        cmocka_unit_test(little_left_is_spread),
        cmocka_unit_test(no_429_comes),
        cmocka_unit_test(late_answers_raise_nothing),
        cmocka_unit_test(remaining_alone_is_enough),
    };
    return cmocka_run_group_tests_name("limiter", tests, NULL, NULL);
}
