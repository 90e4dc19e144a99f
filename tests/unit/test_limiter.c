/* test_limiter.c - the token bucket and the pacing from rate-limit headers. */
#include "unit.h"

#include "moongate/limiter.h"
#include "moongate/rate_limit.h"

#include <stdio.h>

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
    moon_pacer_update(&p, 0, -1, -1, -1);
    assert_false(p.known);
    moon_pacer_update(&p, 0, 290, 300, 50 * S); /* plenty left */
    assert_int_equal(moon_pacer_take(&p, 0), 0);
}

static void little_left_is_spread(void **state) {
    (void)state;
    struct moon_pacer p;
    moon_pacer_init(&p);
    moon_pacer_update(&p, 0, 10, 300, 20 * S); /* 10 of 300 left for 20 s */
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
        moon_pacer_update(&p, now, 30 - count, 30, (window_end - now + S - 1) / S * S);
    }
}

static void late_answers_raise_nothing(void **state) {
    (void)state;
    struct moon_pacer p;
    moon_pacer_init(&p);
    moon_pacer_update(&p, 0, 2, 300, 30 * S);
    moon_pacer_update(&p, 1 * MS, 150, 300, 30 * S); /* an older answer, overtaken */
    assert_int_equal(p.left, 2);
    moon_pacer_update(&p, 2 * MS, 295, 300, 60 * S); /* a new window */
    assert_int_equal(p.left, 295);
}

static void remaining_alone_is_enough(void **state) {
    (void)state;
    struct moon_pacer p;
    moon_pacer_init(&p);
    moon_pacer_update(&p, 0, 0, -1, 5 * S);
    assert_int_equal(moon_pacer_wait_ns(&p, S), 4 * S);
    moon_pacer_init(&p);
    moon_pacer_update(&p, 0, 5, -1, -1); /* no reset told: a second, not a minute */
    assert_int_equal(moon_pacer_take(&p, 0), 0);
    assert_int_equal(moon_pacer_take(&p, 0), S / 5);
    moon_pacer_init(&p);
    moon_pacer_update(&p, 0, 0, -1, -1);
    assert_int_equal(moon_pacer_wait_ns(&p, 0), S);
    assert_int_equal(moon_pacer_take(&p, S), 0);
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
    moon_pacer_update(&p, 0, 0, 300, 40 * S);
    moon_pacer_save(&p, 10 * MOON_NS_PER_S, 1000 * MOON_NS_PER_S, &s);
    assert_int_equal(s.reset_wall_ns, 1030 * MOON_NS_PER_S);
    assert_true(moon_pacer_restore(&q, &s, 500, 1010 * MOON_NS_PER_S));
    assert_int_equal(moon_pacer_take(&q, 500), 0); /* one may look; the others wait for the window's end */
    assert_true(moon_pacer_wait_ns(&q, 500) > 19 * MOON_NS_PER_S);
    assert_false(moon_pacer_restore(&q, &s, 500, 1010 * MOON_NS_PER_S));
    moon_pacer_save(&q, 500, 1010 * MOON_NS_PER_S, &s); /* what was heard is not told on */
    assert_int_equal(s.reset_wall_ns, 0);
    moon_pacer_update(&q, 600, 299, 300, 50 * S); /* a token of its own, and a window of its own */
    assert_int_equal(moon_pacer_wait_ns(&q, 600), 0);
    s.reset_wall_ns = INT64_MAX;
    moon_pacer_init(&q);
    assert_false(moon_pacer_restore(&q, &s, 500, 1010 * MOON_NS_PER_S));
}

/* ---- what headers say ---- */

#define WALL (INT64_C(1790000000) * S) /* the time at the server */

/* "Name: value" lines, as they come. */
static struct moon_rate_limit read_headers(const char *text) {
    struct moon_rate_headers h;
    struct moon_rate_limit l;
    moon_rate_headers_init(&h);
    while (*text) {
        size_t len = strcspn(text, "\n"), nlen = strcspn(text, ":");
        moon_rate_headers_add(&h, text, nlen, text + nlen + 2, len - nlen - 2, WALL);
        text += len + (text[len] != '\0');
    }
    moon_rate_headers_end(&h, &l);
    return l;
}

static void every_form_of_header_is_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t left, allowed, reset_ms; /* -1: not said */
    } rows[] = {
        {"Content-Type: text/plain\nX-Request-Id: 7", -1, -1, -1},
        {"inin-ratelimit-count: 290\ninin-ratelimit-allowed: 300\ninin-ratelimit-reset: 17", 10, 300, 17000},
        {"inin-ratelimit-count: 301\ninin-ratelimit-allowed: 300\ninin-ratelimit-reset: 4", 0, 300, 4000},
        {"X-RateLimit-Limit: 60\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 5", 0, 60, 5000},
        {"x-ratelimit-limit: 5000\nx-ratelimit-remaining: 7\nx-ratelimit-reset: 1790000042", 7, 5000, 42000},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1790000003500", 0, -1, 3500},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1790000009.25", 0, -1, 9000},
        {"X-RateLimit-Limit: 90\nX-RateLimit-Remaining: 59", 59, 90, -1},
        {"X-Rate-Limit-Limit: 15\nX-Rate-Limit-Remaining: 3\nX-Rate-Limit-Reset: 1790000900", 3, 15, 900000},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset-After: 1.25", 0, -1, 1250},
        {"x-ratelimit-remaining-requests: 2\nx-ratelimit-reset-requests: 1m3s", 2, -1, 63000},
        {"x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 20ms", 0, -1, 20},
        {"RateLimit-Limit: 100, 100;w=60\nRateLimit-Remaining: 0\nRateLimit-Reset: 50", 0, 100, 50000},
        {"x-ratelimit-remaining: 0\nx-ratelimit-reset: 2026-09-21T14:14:02Z", 0, -1, 42000},
        {"anthropic-ratelimit-requests-limit: 50\nanthropic-ratelimit-requests-remaining: 0\n"
         "anthropic-ratelimit-requests-reset: 2026-09-21T14:13:31Z\nanthropic-ratelimit-tokens-remaining: 3",
         0, 50, 11000},
        {"RateLimit: limit=10, remaining=1, reset=7", 1, 10, 7000},
        {"RateLimit: \"default\";r=0;t=5\nRateLimit-Policy: \"default\";q=100;w=60", 0, -1, 5000},
        {"RateLimit: \"day\";r=900;t=3000, \"burst\";r=0;t=2", 0, -1, 2000},
        {"RateLimit: \"a\";r=0;t=2, \"b\";r=0;t=8", 0, -1, 8000},
        {"RateLimit: default;r=4;t=11", 4, -1, 11000},
        {"RateLimit: \"default\";r=0", 0, -1, -1},
        {"X-RateLimit-Remaining: 40\nRateLimit-Remaining: 2\nRateLimit-Reset: 3", 2, -1, 3000},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: Mon, 21 Sep 2026 14:13:30 GMT", 0, -1, 10000},
        /* nonsense */
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 86400", 0, -1, -1},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: -5", 0, -1, -1},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: soon", 0, -1, -1},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1789999990", 0, -1, -1},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1790090000", 0, -1, -1},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 99999999999999999999999999", 0, -1, -1},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: ", 0, -1, -1},
        {"X-RateLimit-Remaining: -1\nX-RateLimit-Reset: 5", -1, -1, 5000},
        {"X-RateLimit-Remaining: unlimited", -1, -1, -1},
        {"RateLimit: ;;,,==;r=;t=x", -1, -1, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct moon_rate_limit l = read_headers(rows[i].text);
        int64_t reset = rows[i].reset_ms < 0 ? -1 : rows[i].reset_ms * MS;
        if (l.left != rows[i].left || l.allowed != rows[i].allowed || l.reset_ns != reset)
            fail_msg("%s: left %lld of %lld, reset %lld ns", rows[i].text, (long long)l.left, (long long)l.allowed,
                     (long long)l.reset_ns);
    }
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
        cmocka_unit_test(every_form_of_header_is_read),
    };
    return cmocka_run_group_tests_name("limiter", tests, NULL, NULL);
}
