/* test_http_retry.c - calls against a server that fails: how often is it asked, when, and what is known afterwards. */
#include "http_fixture.h"

#include "moongate/breaker.h"
#include "moongate/http_date.h"

static int64_t vnow(struct fix *f) {
    return f->vclock.mono;
}

/* ---- a connection that dies ---- */

static char bodies[4096][40]; /* every body that arrived, in order */
static int n_bodies;

/* The first request of a connection is answered, the second is read and the connection closed. */
static void die_on_second(struct raw_conn *c) {
    if (n_bodies < 4096 && c->body_len)
        snprintf(bodies[n_bodies++], sizeof bodies[0], "%.*s", (int)c->body_len, raw_body(c));
    if (c->requests % 2)
        raw_answer(c, 200, "", "ok");
    else
        raw_close(c);
}

static void test_unkeyed_post_is_sent_once(void **state) {
    struct fix f;
    struct ask a;
    char body[40];
    int unknown = 0;
    (void)state;
    fix_open(&f, 1, die_on_second);
    fix_client(&f, &(struct moon_http_client_opts){.no_breaker = true});
    n_bodies = 0;
    for (int i = 0; i < 2000; i++) {
        snprintf(body, sizeof body, "{\"charge\":%d}", i);
        struct moon_http_result *r = ask(&f, &a, "POST", "/charges", body);
        if (i % 2) {
            assert_int_equal(r->code, MOON_EUNKNOWN);
            assert_string_equal(r->outcome, "unknown");
            assert_int_equal(r->n_attempts, 1);
            assert_int_equal(r->attempts[0].cls, MOON_FAIL_AMBIGUOUS);
            assert_true(r->hint.len > 0);
            unknown++;
        } else {
            assert_int_equal(r->status, 200);
        }
        ask_end(&a);
    }
    assert_int_equal(unknown, 1000);
    assert_int_equal(n_bodies, 2000); /* no body came twice ... */
    for (int i = 0; i < 2000; i++) {  /* ... and none was lost */
        snprintf(body, sizeof body, "{\"charge\":%d}", i);
        assert_string_equal(bodies[i], body);
    }
    fix_close(&f);
}

static void test_patch_and_large_post_are_sent_once(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 1, die_on_second);
    fix_client(&f, &(struct moon_http_client_opts){.no_breaker = true});
    for (int i = 0; i < 20; i++) {
        struct moon_http_request *rq = ask_new(&f, &a, i & 2 ? "PATCH" : "POST", "/", "x");
        for (int k = 0; k < 3000; k++)
            moon_buf_puts(&rq->body, "sixty-four bytes, so that it goes out in more than one write ...");
        ask_go(&a);
        struct moon_http_result *r = ask_wait(&f, &a);
        assert_string_equal(r->outcome, i % 2 ? "unknown" : "final");
        ask_end(&a);
        assert_int_equal(f.server.requests, i + 1);
    }
    fix_close(&f);
}

static void test_keyed_post_is_replayed(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 1, die_on_second);
    n_bodies = 0;
    for (int i = 0; i < 10; i++) {
        ask_new(&f, &a, "POST", "/", "{\"keyed\":1}");
        ask_header(&a, "Idempotency-Key", "k-1");
        ask_go(&a);
        assert_int_equal(ask_wait(&f, &a)->status, 200);
        ask_end(&a);
    }
    for (int i = 0; i < n_bodies; i++)
        assert_string_equal(bodies[i], "{\"keyed\":1}"); /* the replay has its body, too */
    assert_true(n_bodies > 10);
    fix_close(&f);
}

/* ---- a PUT whose answer is lost ---- */

static int effects;

static void apply_and_lose(struct raw_conn *c) {
    if (effects++ == 0)
        raw_close(c);
    else
        raw_answer(c, 412, "", "{\"message\":\"stale\"}");
}

static void test_lost_put(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    effects = 0;
    fix_open(&f, 1, apply_and_lose);
    ask_new(&f, &a, "PUT", "/index", "{}");
    ask_header(&a, "If-Match", "\"1\"");
    ask_go(&a);
    struct moon_http_result *r = ask_wait(&f, &a);
    assert_int_equal(r->status, 412);
    assert_true(r->after_ambiguous);
    assert_true(r->conditional);
    assert_int_equal(r->n_attempts, 2);
    assert_int_equal(r->attempts[0].cls, MOON_FAIL_AMBIGUOUS);
    ask_end(&a);
    fix_close(&f);
}

/* ---- statuses ---- */

static int statuses[8], n_statuses, answers;
static const char *extra = "";
static int64_t answered_at[8];
static struct fix *timed;

static void in_order(struct raw_conn *c) {
    int i = answers < n_statuses ? answers : n_statuses - 1;
    if (timed && answers < 8)
        answered_at[answers] = vnow(timed);
    answers++;
    raw_answer(c, statuses[i], statuses[i] >= 400 ? extra : "", "{}");
}

static void open_in_order(struct fix *f, int n, const int *list, const char *headers) {
    memcpy(statuses, list, (size_t)n * sizeof *list);
    n_statuses = n;
    answers = 0;
    extra = headers;
    timed = f;
    fix_open(f, 1, in_order);
}

static void test_retry_after(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_in_order(&f, 2, (int[]){429, 200}, "Retry-After: 2\r\n");
    assert_int_equal(ask(&f, &a, "POST", "/", "{}")->status, 200); /* a 429 had no effect: replayed without a key */
    assert_int_equal(answers, 2);
    assert_true(answered_at[1] - answered_at[0] >= 2 * MOON_NS_PER_S);
    assert_true(a.result->attempts[1].wait_ns >= 2 * MOON_NS_PER_S);
    ask_end(&a);
    fix_close(&f);
}

static void test_retry_after_beyond_deadline(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_in_order(&f, 1, (int[]){429}, "Retry-After: 120\r\n");
    int64_t began = vnow(&f);
    struct moon_http_result *r = ask(&f, &a, "GET", "/", NULL);
    assert_int_equal(r->status, 429);
    assert_int_equal(answers, 1);
    assert_true(vnow(&f) - began < MOON_NS_PER_S);
    assert_string_equal(r->message.data, "Rate limited: the next request is allowed in 120 s, past the 30 s deadline");
    assert_string_equal(r->hint.data, "Raise --deadline, or retry in 120 s.");
    assert_string_equal(r->outcome, "refused"); /* it was sent */
    assert_int_equal(r->retry_after_ns, 120 * MOON_NS_PER_S);
    ask_end(&a);
    fix_close(&f);
}

static void test_which_statuses_are_retried(void **state) {
    static const struct {
        const char *method;
        int status;
        bool again;
        const char *outcome;
    } cases[] = {
        {"GET", 503, true, "final"},      {"GET", 429, true, "refused"},    {"PUT", 502, true, "unknown"},
        {"POST", 503, false, "unknown"},  {"GET", 404, false, "final"},     {"GET", 500, false, "final"},
        {"PUT", 422, false, "final"},     {"DELETE", 504, true, "unknown"}, {"POST", 429, true, "refused"},
        {"PATCH", 502, false, "unknown"}, {"POST", 500, false, "unknown"},  {"POST", 408, false, "unknown"},
    };
    struct fix f;
    struct ask a;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_in_order(&f, 1, &cases[i].status, "");
        struct moon_http_result *r = ask(&f, &a, cases[i].method, "/", *cases[i].method == 'P' ? "{}" : NULL);
        assert_int_equal(r->code, 0);
        assert_int_equal(r->status, cases[i].status);
        if (cases[i].again) /* until the deadline of 30 s, the last one shortly before it */
            assert_in_range(answers, 5, 40);
        else
            assert_int_equal(answers, 1);
        assert_int_equal(r->n_attempts, answers);
        assert_int_equal(r->attempts[r->n_kept - 1].n, answers);
        assert_true(r->elapsed_ns <= 30 * MOON_NS_PER_S);
        assert_string_equal(r->outcome, cases[i].outcome);
        ask_end(&a);
        fix_close(&f);
    }
}

static void test_retry_can_be_switched_off(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_in_order(&f, 1, (int[]){503}, "");
    fix_client(&f, &(struct moon_http_client_opts){.max_attempts = 1});
    ask(&f, &a, "GET", "/", NULL);
    assert_int_equal(answers, 1);
    ask_end(&a);
    fix_close(&f);
}

/* ---- a dead gateway ---- */

/* One after the other: the first tries for its whole deadline, the others fail at once. */
static void test_dead_gateway(void **state) {
    struct fix f;
    struct ask a;
    struct moon_http_stats s;
    (void)state;
    fix_open(&f, 1, die_on_second);
    raw_stop(&f.server); /* nobody listens there now */
    int64_t began = vnow(&f);
    for (int i = 0; i < 10000; i++) {
        struct moon_http_result *r = ask(&f, &a, "GET", "/", NULL);
        assert_true(r->code == MOON_ECONNECT || r->code == MOON_EBREAKER);
        assert_string_equal(r->outcome, "not_sent");
        ask_end(&a);
    }
    assert_true(vnow(&f) - began <= 60 * MOON_NS_PER_S);
    moon_http_stats(f.http, &s);
    assert_true(s.attempts <= 11000);
    fix_close(&f);
}

enum { MANY = 10000 };
static struct ask many[MANY];

/* All at once, at a few places or at none of their own, with and without a breaker. */
static void check_dead(const struct moon_http_client_opts *o) {
    struct fix f;
    struct moon_http_stats s;
    fix_open(&f, 1, die_on_second);
    raw_stop(&f.server);
    fix_client(&f, o);
    int64_t began = vnow(&f);
    for (int i = 0; i < MANY; i++) {
        ask_new(&f, &many[i], "GET", "/", NULL);
        ask_go(&many[i]);
    }
    for (int i = 0; i < MANY; i++) {
        struct moon_http_result *r = ask_wait(&f, &many[i]);
        assert_true(r->code != 0);
        assert_string_equal(r->outcome, "not_sent");
    }
    assert_true(vnow(&f) - began <= 60 * MOON_NS_PER_S);
    moon_http_stats(f.http, &s);
    assert_true(s.attempts <= 11000);
    for (int i = 0; i < MANY; i++)
        ask_end(&many[i]);
    fix_close(&f);
}

static void test_dead_gateway_all_at_once(void **state) {
    (void)state;
    check_dead(&(struct moon_http_client_opts){.concurrency = 4});
    check_dead(&(struct moon_http_client_opts){.deadline_ns = 5 * MOON_NS_PER_S});
    check_dead(&(struct moon_http_client_opts){.no_breaker = true});
}

/* While it is open, calls wait for it within their deadlines; once the host has been down for a whole one, they fail at
 * once, but for the probe. */
static void test_breaker(void **state) {
    struct fix f;
    struct ask a;
    int64_t retry_in;
    int refused = 0;
    (void)state;
    open_in_order(&f, 1, (int[]){503}, "");
    for (int i = 0; i < 50; i++) {
        struct moon_http_result *r = ask(&f, &a, "POST", "/", "{}");
        if (r->code == MOON_EBREAKER) {
            assert_int_equal(r->n_attempts, 0);
            assert_string_equal(r->outcome, "not_sent");
            assert_non_null(strstr(r->message.data, "is unavailable: the circuit breaker is open"));
            refused++;
        } else {
            assert_string_equal(r->outcome, "unknown"); /* each was sent once */
            assert_int_equal(r->n_attempts, 1);
        }
        ask_end(&a);
    }
    assert_true(refused > 30);
    assert_true(answers < 20);
    assert_string_equal(moon_http_breaker_state(f.http, f.server.url, "", &retry_in), "open");
    assert_string_equal(moon_http_breaker_state(f.http, f.server.url, "other", &retry_in), "closed");
    moon_vclock_advance(&f.vclock, 20 * MOON_NS_PER_S);
    statuses[0] = 200;
    assert_int_equal(ask(&f, &a, "POST", "/", "{}")->status, 200); /* the probe */
    assert_string_equal(moon_http_breaker_state(f.http, f.server.url, "", &retry_in), "closed");
    ask_end(&a);
    fix_close(&f);
}

static int64_t up_at;

/* Unavailable until up_at; how many requests arrive while it is. */
static void comes_back(struct raw_conn *c) {
    answers++;
    if (vnow(timed) < up_at)
        raw_answer(c, 503, "", "{}");
    else
        raw_answer(c, 200, "", "{}");
}

static void test_batch_outlives_an_outage(void **state) {
    static const int outages[] = {300, 1000, 2000, 5000, 12000};
    enum { N = 60 };
    (void)state;
    for (size_t k = 0; k < sizeof outages / sizeof *outages; k++) {
        struct fix f;
        answers = 0;
        timed = &f;
        fix_open(&f, 1, comes_back);
        fix_client(&f, &(struct moon_http_client_opts){.concurrency = 4});
        up_at = vnow(&f) + outages[k] * MOON_NS_PER_MS;
        int64_t began = vnow(&f);
        for (int i = 0; i < N; i++) {
            ask_new(&f, &many[i], "PUT", "/", "{}");
            ask_go(&many[i]);
        }
        for (int i = 0; i < N; i++) {
            assert_int_equal(ask_wait(&f, &many[i])->status, 200);
            ask_end(&many[i]);
        }
        assert_true(vnow(&f) - began <= 2 * outages[k] * MOON_NS_PER_MS + 3 * MOON_NS_PER_S);
        assert_true(answers <= N + 30); /* it was not hammered: probes, one at a time */
        fix_close(&f);
    }
}

/* An un-keyed POST waits for the breaker too: it has not been sent. */
static void test_post_waits_for_breaker(void **state) {
    struct fix f;
    struct ask a, b;
    int64_t retry_in;
    (void)state;
    open_in_order(&f, 1, (int[]){503}, "");
    for (int i = 0; i < 10; i++) {
        ask(&f, &a, "POST", "/", "{}");
        ask_end(&a);
    }
    assert_string_equal(moon_http_breaker_state(f.http, f.server.url, "", &retry_in), "open");
    statuses[0] = 200;
    answers = 0;
    ask_new(&f, &a, "POST", "/", "{}");
    ask_new(&f, &b, "POST", "/", "{}")->no_wait = true; /* its caller has another way */
    ask_go(&a);
    ask_go(&b);
    assert_int_equal(ask_wait(&f, &b)->code, MOON_EBREAKER);
    assert_int_equal(ask_wait(&f, &a)->status, 200);
    assert_int_equal(a.result->n_attempts, 1);
    assert_int_equal(answers, 1);
    ask_end(&a);
    ask_end(&b);
    ask_new(&f, &a, "GET", "/", NULL); /* ended under way */
    ask_go(&a);
    ask_end(&a);
    fix_close(&f);
}

/* Retry-After as a date, from a server whose clock is three hours fast. */
static void test_retry_after_by_the_servers_clock(void **state) {
    struct fix f;
    struct ask a;
    char date[MOON_HTTP_DATE_SIZE], until[MOON_HTTP_DATE_SIZE], headers[160];
    (void)state;
    int64_t server = (INT64_C(1800000000) + 3 * 3600) * MOON_NS_PER_S;
    moon_http_date_format(server, date);
    moon_http_date_format(server + 7 * MOON_NS_PER_S, until);
    snprintf(headers, sizeof headers, "Date: %s\r\nRetry-After: %s\r\nX-RateLimit-Remaining: 0\r\n", date, until);
    open_in_order(&f, 2, (int[]){429, 200}, headers);
    assert_int_equal(ask(&f, &a, "GET", "/", NULL)->status, 200);
    assert_true(answered_at[1] - answered_at[0] >= 7 * MOON_NS_PER_S);
    assert_true(answered_at[1] - answered_at[0] < 9 * MOON_NS_PER_S);
    ask_end(&a);
    fix_close(&f);
}

/* How long after an answer of this status, with these headers, the next attempt of a POST without a key came, in ms. */
static int64_t comes_after_status(int status, const char *headers) {
    struct fix f;
    struct ask a;
    open_in_order(&f, 2, (int[]){status, 200}, headers);
    assert_int_equal(ask(&f, &a, "POST", "/", "{}")->status, 200);
    int64_t ms = (answered_at[1] - answered_at[0]) / MOON_NS_PER_MS;
    ask_end(&a);
    fix_close(&f);
    return ms;
}

static int64_t comes_after(const char *headers) {
    return comes_after_status(429, headers);
}

static void test_limits_of_a_refusal(void **state) {
    (void)state;
    assert_in_range(comes_after("Retry-After: 2\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 58\r\n"), 2000, 2300);
    assert_in_range(comes_after("X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 3\r\n"), 3000, 3400);
    assert_in_range(comes_after("X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1800000004\r\n"), 3900, 4500);
    assert_in_range(comes_after("RateLimit: \"default\";r=0;t=5\r\n"), 5000, 5600);
    assert_in_range(comes_after("X-RateLimit-Remaining: 0\r\n"), 0, 600); /* no reset said: the back-off */
    assert_in_range(comes_after("X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 86400\r\n"), 0, 600);
    assert_in_range(comes_after("X-RateLimit-Remaining: 12\r\nX-RateLimit-Reset: 50\r\n"), 0, 600);
    assert_in_range(comes_after("retry-after-ms: 2750\r\n"), 2750, 3100);
    assert_in_range(comes_after("x-ms-retry-after-ms: 1500\r\nRetry-After: 3\r\n"), 3000, 3400);
}

/* 403 in GitHub's way, and 425 (Too Early). */
static void test_other_refusals_for_now(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    assert_in_range(comes_after_status(403, "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1800000004\r\n"), 3900,
                    4500);
    assert_in_range(comes_after_status(403, "Retry-After: 2\r\nX-RateLimit-Remaining: 41\r\n"), 2000, 2300);
    assert_in_range(comes_after_status(425, ""), 0, 600);
    open_in_order(&f, 1, (int[]){403}, "X-RateLimit-Remaining: 4\r\n");
    assert_string_equal(ask(&f, &a, "POST", "/", "{}")->outcome, "final"); /* a scope is missing */
    assert_int_equal(answers, 1);
    ask_end(&a);
    fix_close(&f);
}

/* A 429 is its family's: others are asked all the same, and so is a call that has to fail named the time. */
static void test_refusal_holds_its_family(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_in_order(&f, 2, (int[]){429, 200}, "Retry-After: 90\r\n");
    ask_new(&f, &a, "POST", "/", "{}")->family = "one";
    ask_go(&a);
    assert_int_equal(ask_wait(&f, &a)->status, 429);
    ask_end(&a);
    ask_new(&f, &a, "POST", "/", "{}")->family = "two";
    ask_go(&a);
    assert_int_equal(ask_wait(&f, &a)->status, 200);
    ask_end(&a);
    ask_new(&f, &a, "POST", "/", "{}")->family = "one";
    ask_go(&a);
    struct moon_http_result *r = ask_wait(&f, &a);
    assert_int_equal(r->code, MOON_ETIMEOUT);
    assert_int_equal(r->n_attempts, 0);
    assert_string_equal(r->outcome, "not_sent");
    assert_string_equal(r->message.data, "Rate limited: the next request is allowed in 90 s, past the 30 s deadline");
    ask_end(&a);
    ask_new(&f, &a, "POST", "/", "{}")->family = "one";
    moon_http_call_request(a.call)->deadline_ns = 100 * MOON_NS_PER_S;
    ask_go(&a);
    assert_int_equal(ask_wait(&f, &a)->status, 200);
    ask_end(&a);
    fix_close(&f);
}

/* ---- deadlines: two seconds, whatever the server does ---- */

static void silent(struct raw_conn *c) {
    (void)c;
}

static void half_an_answer(struct raw_conn *c) {
    raw_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 43);
}

static void half_a_head(struct raw_conn *c) {
    raw_send(c, "HTTP/1.1 200 OK\r\nConte", 22);
}

static void drip_on(void *ud) {
    struct raw_conn *c = ud;
    raw_send(c, ".", 1);
    moon_timer_start(c->server->loop, &c->timer, 100 * MOON_NS_PER_MS, drip_on, c);
}

static void drip(struct raw_conn *c) {
    raw_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 43);
    drip_on(c);
}

static void dies(struct raw_conn *c) {
    raw_close(c);
}

static void unavailable(struct raw_conn *c) {
    raw_answer(c, 503, "", "{}");
}

static void endless_informational(struct raw_conn *c) {
    raw_send(c, "HTTP/1.1 103 Early Hints\r\n\r\n", 28);
    moon_timer_start(c->server->loop, &c->timer, 10 * MOON_NS_PER_MS, (void (*)(void *))endless_informational, c);
}

static void check_deadline(void (*handler)(struct raw_conn *), int virtual_clock, int64_t deadline_ns) {
    struct fix f;
    struct ask a;
    fix_open(&f, virtual_clock, handler);
    int64_t began = moon_loop_now_ns(f.loop);
    ask_new(&f, &a, "PUT", "/", "{}")->deadline_ns = deadline_ns;
    ask_go(&a);
    struct moon_http_result *r = ask_wait(&f, &a);
    int64_t took = moon_loop_now_ns(f.loop) - began;
    assert_true(took <= deadline_ns + 100 * MOON_NS_PER_MS);
    assert_true(r->code != 0 || r->status >= 400);
    assert_string_equal(r->outcome, "unknown");
    ask_end(&a);
    fix_close(&f);
}

static void test_deadline(void **state) {
    static void (*const handlers[])(struct raw_conn *) = {silent, half_an_answer, half_a_head,          drip,
                                                          dies,   unavailable,    endless_informational};
    (void)state;
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        check_deadline(handlers[i], 1, 2 * MOON_NS_PER_S);
        check_deadline(handlers[i], 0, 300 * MOON_NS_PER_MS);
    }
}

/* A listener whose backlog is full drops what comes: connecting hangs. */
static void test_connect_hangs(void **state) {
    struct fix f;
    struct ask a;
    char url[64];
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fds[4], listener = socket(AF_INET, SOCK_STREAM, 0);
    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    for (int i = 0; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fds[i], (struct sockaddr *)&addr, sizeof addr);
    }
    fix_open(&f, 1, silent);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(addr.sin_port));
    fix_client(&f, &(struct moon_http_client_opts){.base_url = url, .deadline_ns = 2 * MOON_NS_PER_S});
    int64_t began = vnow(&f);
    struct moon_http_result *r = ask(&f, &a, "POST", "/", "{}");
    assert_int_equal(r->code, MOON_ETIMEOUT);
    assert_string_equal(r->outcome, "not_sent");
    assert_true(vnow(&f) - began <= 2100 * MOON_NS_PER_MS);
    ask_end(&a);
    fix_client(&f, &(struct moon_http_client_opts){
                       .base_url = url, .deadline_ns = 20 * MOON_NS_PER_S, .connect_timeout_ns = MOON_NS_PER_S});
    r = ask(&f, &a, "POST", "/", "{}");
    assert_true(r->code == MOON_ECONNECT || r->code == MOON_ETIMEOUT); /* the last attempt is cut off by the deadline */
    assert_true(r->n_attempts > 4);
    assert_string_equal(r->outcome, "not_sent");
    ask_end(&a);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    close(listener);
    fix_close(&f);
}

/* ---- rates ---- */

static void ok(struct raw_conn *c) {
    raw_answer(c, 200, "", "{}");
}

static void test_rate(void **state) {
    enum { N = 21 };
    static struct ask a[N];
    struct fix f;
    (void)state;
    fix_open(&f, 1, ok);
    fix_client(&f, &(struct moon_http_client_opts){.rate_per_second = 10, .rate_burst = 1});
    int64_t began = vnow(&f);
    for (int i = 0; i < N; i++) {
        ask_new(&f, &a[i], "GET", "/", NULL);
        ask_go(&a[i]);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(ask_wait(&f, &a[i])->status, 200);
        ask_end(&a[i]);
    }
    assert_true(vnow(&f) - began >= 2 * MOON_NS_PER_S);
    assert_true(vnow(&f) - began < 2200 * MOON_NS_PER_MS);
    fix_close(&f);
}

static void test_rate_beyond_deadline(void **state) {
    struct fix f;
    struct ask a, b;
    (void)state;
    fix_open(&f, 1, ok);
    fix_client(&f, &(struct moon_http_client_opts){.rate_per_second = 0.1, .deadline_ns = MOON_NS_PER_S});
    assert_int_equal(ask(&f, &a, "GET", "/", NULL)->status, 200);
    struct moon_http_result *r = ask(&f, &b, "GET", "/", NULL);
    assert_int_equal(r->code, MOON_ETIMEOUT);
    assert_string_equal(r->outcome, "not_sent");
    assert_int_equal(r->n_attempts, 0);
    ask_end(&a);
    ask_end(&b);
    fix_close(&f);
}

static int left;

static void count_down(struct raw_conn *c) {
    char h[160];
    snprintf(h, sizeof h, "inin-ratelimit-count: %d\r\ninin-ratelimit-allowed: 300\r\ninin-ratelimit-reset: 10\r\n",
             300 - left);
    left -= left > 0;
    raw_answer(c, 200, h, "{}");
}

static void test_pacing(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 1, count_down);
    left = 11; /* of 300: nearly used up, for ten more seconds */
    int64_t began = vnow(&f);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(&f, &a, "GET", "/", NULL)->status, 200);
        ask_end(&a);
    }
    assert_true(vnow(&f) - began > 5 * MOON_NS_PER_S);
    fix_close(&f);
}

/* ---- ending a call in every state ---- */

static void test_cancel(void **state) {
    struct fix f;
    struct ask a, b, idle;
    struct moon_http_stats s;
    (void)state;
    fix_open(&f, 1, silent);
    fix_client(&f, &(struct moon_http_client_opts){.concurrency = 1});
    ask_new(&f, &idle, "GET", "/", NULL); /* never started */
    moon_http_call_free(idle.call);
    for (int turns = 0; turns < 6; turns++) { /* on the wire at several stages; b waits for its place, then gets it */
        ask_new(&f, &a, "POST", "/", "{}");
        ask_go(&a);
        ask_new(&f, &b, "POST", "/", "{}");
        ask_go(&b);
        for (int i = 0; i < turns; i++)
            moon_loop_turn(f.loop, false);
        moon_http_call_free(a.call);
        for (int i = 0; i < turns; i++)
            moon_loop_turn(f.loop, false);
        moon_http_call_free(b.call);
        assert_int_equal(a.done + b.done, 0);
    }
    moon_http_stats(f.http, &s);
    assert_int_equal(s.live_calls, 0);
    assert_int_equal(s.live_transfers, 0);
    fix_close(&f);
    open_in_order(&f, 1, (int[]){429}, "Retry-After: 5\r\n"); /* while it waits for the next attempt */
    ask_new(&f, &a, "GET", "/", NULL);
    ask_go(&a);
    while (!answers)
        moon_loop_turn(f.loop, false);
    for (int i = 0; i < 10; i++)
        moon_loop_turn(f.loop, false);
    moon_http_call_free(a.call);
    ask_new(&f, &a, "GET", "/", NULL);
    ask_go(&a);
    fix_close(&f); /* the rest is ended by it */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unkeyed_post_is_sent_once),
        cmocka_unit_test(test_patch_and_large_post_are_sent_once),
        cmocka_unit_test(test_keyed_post_is_replayed),
        cmocka_unit_test(test_lost_put),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_retry_after_beyond_deadline),
        cmocka_unit_test(test_which_statuses_are_retried),
        cmocka_unit_test(test_retry_can_be_switched_off),
        cmocka_unit_test(test_dead_gateway),
        cmocka_unit_test(test_dead_gateway_all_at_once),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_batch_outlives_an_outage),
        cmocka_unit_test(test_post_waits_for_breaker),
        cmocka_unit_test(test_retry_after_by_the_servers_clock),
        cmocka_unit_test(test_limits_of_a_refusal),
        cmocka_unit_test(test_other_refusals_for_now),
        cmocka_unit_test(test_refusal_holds_its_family),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_connect_hangs),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_rate_beyond_deadline),
        cmocka_unit_test(test_pacing),
        cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
