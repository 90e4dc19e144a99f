/* test_http_oom.c - one call with every allocation failing in turn, ours and libcurl's: once, and from there on. It
 * ends, it says so, nothing is left over, and the next call works. Linked with malloc, calloc and realloc wrapped
 * (Makefile). */
#include "http_fixture.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static long countdown = -1; /* allocations until one fails; -1: none does */
static int goes_on, failed;

static int fails(void) {
    if (countdown < 0)
        return 0;
    if (countdown > 0) {
        countdown--;
        return 0;
    }
    if (!goes_on)
        countdown = -1;
    failed++;
    errno = ENOMEM;
    return 1;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t n, size_t size) {
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t size) {
    return fails() ? NULL : __real_realloc(p, size);
}

static char *copy(const char *s) {
    size_t n = strlen(s) + 1;
    char *p = malloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

/* The server is a process of its own: its allocations are not those that fail. */
static char url[64];

static void respond(struct raw_conn *c) {
    raw_answer(c, 200, "X-One: 1\r\n", "{\"answer\":42}");
}

static pid_t start_server(void) {
    int fds[2];
    if (pipe(fds) != 0)
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        struct raw_server server;
        struct moon_loop *loop;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (moon_loop_new(&loop, NULL, NULL, NULL) != 0)
            _exit(1);
        raw_start(&server, loop, respond);
        if (write(fds[1], server.url, sizeof url) != (ssize_t)sizeof url)
            _exit(1);
        for (;;)
            moon_loop_turn(loop, true);
    }
    if (read(fds[0], url, sizeof url) != (ssize_t)sizeof url)
        abort();
    close(fds[0]);
    close(fds[1]);
    return pid;
}

static int one_call(struct fix *f, struct moon_auth *auth) {
    struct moon_http_client_opts o = {.base_url = url, .auth = auth, .max_attempts = 1, .no_breaker = true};
    struct moon_http_client *client = NULL;
    struct moon_http_call *call = NULL;
    struct ask a = {.loop = f->loop};
    struct moon_err err;
    int rc = moon_http_client_new(&client, f->http, &o, &err);
    if (rc == 0)
        rc = moon_http_call_new(&call, client, &err);
    if (rc == 0) {
        struct moon_http_request *rq = moon_http_call_request(call);
        rq->method = "POST";
        rq->has_body = true;
        rq->content_type = "Content-Type: application/json";
        rc = moon_buf_puts(&rq->url, "/x?y=1") != 0 || moon_buf_puts(&rq->body, "{\"n\":1}") != 0 ||
                     moon_http_header(call, "X-Id", 4, "1", 1, &err) != 0
                 ? MOON_ENOMEM
                 : 0;
    }
    a.call = call;
    if (rc == 0)
        rc = moon_http_start(call, ask_done, &a, &err);
    for (int turns = 0; rc == 0 && !a.done; turns++) {
        moon_loop_turn(f->loop, true);
        assert_true(turns < 10000);
    }
    if (a.result)
        rc = a.result->code ? a.result->code : a.result->status == 200 ? 0 : MOON_EBUG;
    moon_http_result_free(a.result);
    moon_http_call_free(call);
    moon_http_client_free(client);
    return rc;
}

static void sweep(int on) {
    struct fix f;
    struct moon_auth *auth;
    struct moon_err err;
    struct moon_http_stats s;
    int failures = 0;
    for (long n = 0;; n++) {
        fix_open(&f, 0, respond);
        assert_int_equal(moon_auth_bearer(&auth, url, "token", 5, NULL, &err), 0);
        if (n % 2 == 0) /* with a connection that is there, and without */
            assert_int_equal(one_call(&f, auth), 0);
        failed = 0;
        goes_on = on;
        countdown = n / 2;
        int rc = one_call(&f, auth);
        countdown = -1;
        if (rc != 0)
            failures++;
        moon_http_stats(f.http, &s);
        assert_int_equal(s.live_calls, 0);
        assert_int_equal(s.live_transfers, 0);
        assert_int_equal(one_call(&f, auth), 0);
        moon_auth_unref(auth);
        fix_close(&f);
        if (!failed && n % 2)
            break;
        assert_true(n < 4000);
    }
    assert_true(failures > 10);
}

static void test_once(void **state) {
    (void)state;
    sweep(0);
}

static void test_from_there_on(void **state) {
    (void)state;
    sweep(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once), cmocka_unit_test(test_from_there_on)};
    pid_t server = start_server();
    curl_global_init_mem(CURL_GLOBAL_DEFAULT, __wrap_malloc, free, __wrap_realloc, copy, __wrap_calloc);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    kill(server, SIGKILL);
    return rc;
}
