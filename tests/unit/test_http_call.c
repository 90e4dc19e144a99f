/* test_http_call.c - calls against a server that behaves: what is sent, what comes back, what is refused. */
#include "http_fixture.h"

static void echo(struct raw_conn *c) {
    raw_answer(c, 200, "inin-correlation-id: abc-1\r\nX-Two:  spaced \r\n", "%.*s|%.*s", (int)strcspn(c->in.data, "\r"),
               c->in.data, (int)c->body_len, raw_body(c));
}

static void test_get(void **state) {
    struct fix f;
    struct ask a;
    size_t len;
    (void)state;
    fix_open(&f, 0, echo);
    struct moon_http_result *r = ask(&f, &a, "GET", "/a/b?c=1", NULL);
    assert_int_equal(r->code, 0);
    assert_int_equal(r->status, 200);
    assert_string_equal(r->body.data, "GET /a/b?c=1 HTTP/1.1|");
    assert_string_equal(r->outcome, "final");
    assert_int_equal(r->n_attempts, 1);
    assert_int_equal(r->attempts[0].status, 200);
    assert_memory_equal(moon_http_correlation_id(r, &len), "abc-1", 5);
    assert_memory_equal(moon_http_result_header(r, "x-TWO", 5, &len), "spaced", 6);
    assert_int_equal(len, 6);
    assert_null(moon_http_result_header(r, "absent", 6, &len));
    ask_end(&a);
    fix_close(&f);
}

static void test_methods_and_bodies(void **state) {
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS"};
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 0, echo);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < 7; i++) {
            const char *body = i < 4 && round == 0 ? "{\"a\":1}" : i < 3 ? "" : NULL;
            char want[80];
            struct moon_http_result *r = ask(&f, &a, methods[i], "/x", body);
            snprintf(want, sizeof want, "%s /x HTTP/1.1|%s", methods[i], body ? body : "");
            assert_int_equal(r->status, 200);
            assert_string_equal(r->body.len ? r->body.data : "", strcmp(methods[i], "HEAD") ? want : "");
            ask_end(&a);
        }
    assert_int_equal(f.server.connections, 1);
    fix_close(&f);
}

static void show_headers(struct raw_conn *c) {
    raw_answer(c, 200, "", "%.*s", (int)c->head_len, c->in.data);
}

static void test_headers(void **state) {
    static const char *const constant[] = {"X-Const", "yes", NULL};
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 0, show_headers);
    fix_client(&f, &(struct moon_http_client_opts){.headers = constant});
    for (int i = 0; i < 3; i++) {
        ask_new(&f, &a, "POST", "/", "{}");
        ask_header(&a, "X-One", "1");
        ask_header(&a, "X-Empty", "");
        ask_go(&a);
        const char *h = ask_wait(&f, &a)->body.data;
        assert_non_null(strstr(h, "\r\nX-Const: yes\r\n"));
        assert_non_null(strstr(h, "\r\nX-One: 1\r\n"));
        assert_non_null(strstr(h, "\r\nX-Empty:\r\n"));
        assert_non_null(strstr(h, "\r\nContent-Type: application/json\r\n"));
        assert_non_null(strstr(h, "\r\nUser-Agent: moongate/"));
        assert_non_null(strstr(h, "\r\nContent-Length: 2\r\n"));
        assert_null(strstr(h, "Expect"));
        assert_null(strstr(h, "Authorization"));
        ask_end(&a);
    }
    ask_new(&f, &a, "POST", "/", "text");
    moon_http_call_request(a.call)->content_type = NULL;
    ask_go(&a);
    assert_null(strstr(ask_wait(&f, &a)->body.data, "Content-Type"));
    ask_end(&a);
    fix_close(&f);
}

static void refuse_header(struct fix *f, const char *name, size_t nlen, const char *value, size_t vlen) {
    struct ask a;
    struct moon_err err = {0};
    ask_new(f, &a, "GET", "/", NULL);
    assert_int_equal(moon_http_header(a.call, name, nlen, value, vlen, &err), MOON_EINVAL);
    assert_true(err.message[0] != '\0');
    moon_http_call_free(a.call);
}

static void test_bad_headers(void **state) {
    struct fix f;
    (void)state;
    fix_open(&f, 0, echo);
    refuse_header(&f, "X", 1, "a\r\nEvil: 1", 10);
    refuse_header(&f, "X", 1, "a\nb", 3);
    refuse_header(&f, "X", 1, "a\0b", 3);
    refuse_header(&f, "X\r\nY", 4, "a", 1);
    refuse_header(&f, "X Y", 3, "a", 1);
    refuse_header(&f, "", 0, "a", 1);
    refuse_header(&f, "X\0", 2, "a", 1);
    refuse_header(&f, "Content-Length", 14, "1", 1);
    refuse_header(&f, "transfer-encoding", 17, "chunked", 7);
    assert_int_equal(f.server.connections, 0);
    fix_close(&f);
}

static void refuse_url(struct fix *f, const char *url, int code) {
    struct ask a;
    struct moon_err err = {0};
    ask_new(f, &a, "GET", url, NULL);
    assert_int_equal(moon_http_start(a.call, ask_done, &a, &err), code);
    moon_http_call_free(a.call);
}

static void test_bad_urls(void **state) {
    struct fix f;
    (void)state;
    fix_open(&f, 0, echo);
    refuse_url(&f, "ftp://host/", MOON_EINVAL);
    refuse_url(&f, "file:///etc/passwd", MOON_EINVAL);
    refuse_url(&f, "http://user:pw@host/", MOON_EINVAL);
    refuse_url(&f, "http:///x", MOON_EINVAL);
    refuse_url(&f, "/a b", MOON_EINVAL);
    refuse_url(&f, "/a\r\nX: y", MOON_EINVAL);
    refuse_url(&f, "/a#b", MOON_EINVAL);
    refuse_url(&f, "relative", MOON_EINVAL);
    fix_close(&f);
}

static void redirect(struct raw_conn *c) {
    raw_answer(c, 302, "Location: http://127.0.0.1:1/elsewhere\r\n", "moved");
}

static void test_redirect_is_an_answer(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 0, redirect);
    struct moon_http_result *r = ask(&f, &a, "GET", "/", NULL);
    assert_int_equal(r->code, 0);
    assert_int_equal(r->status, 302);
    assert_int_equal(f.server.requests, 1);
    ask_end(&a);
    fix_close(&f);
}

static void big(struct raw_conn *c) {
    char body[3001];
    memset(body, 'x', 3000);
    body[3000] = '\0';
    raw_answer(c, 200, "", "%s", body);
}

static void test_body_cap(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 0, big);
    ask_new(&f, &a, "GET", "/", NULL)->max_body = 2999;
    ask_go(&a);
    struct moon_http_result *r = ask_wait(&f, &a);
    assert_int_equal(r->code, MOON_ETOOBIG);
    assert_int_equal(r->n_attempts, 1);
    ask_end(&a);
    ask_new(&f, &a, "GET", "/", NULL)->max_body = 3000;
    ask_go(&a);
    assert_int_equal(ask_wait(&f, &a)->status, 200);
    ask_end(&a);
    fix_close(&f);
}

static void endless_headers(struct raw_conn *c) {
    char line[1100];
    memset(line, 'h', sizeof line);
    memcpy(line, "X-H: ", 5);
    memcpy(line + 1096, "\r\n", 3);
    raw_send(c, "HTTP/1.1 200 OK\r\n", 17);
    for (int i = 0; i < 80; i++)
        raw_send(c, line, 1098);
    raw_send(c, "Content-Length: 0\r\n\r\n", 21);
}

static void test_head_cap(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 0, endless_headers);
    assert_int_equal(ask(&f, &a, "GET", "/", NULL)->code, MOON_ETOOBIG);
    ask_end(&a);
    fix_close(&f);
}

/* 100,000 zero bytes in 132. */
static void zipped(struct raw_conn *c) {
    static const unsigned char gz[] = {
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x31, 0x01, 0x00, 0x00, 0x00,
        0xc2, 0xa0, 0xf5, 0x4f, 0x6d, 0x0d, 0x0f, 0xa0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x80, 0x57, 0x03, 0x7d, 0x95, 0x11, 0xd4, 0xa0, 0x86, 0x01, 0x00};
    char head[120];
    int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                     sizeof gz);
    assert_string_equal(raw_header(c, "Accept-Encoding"), "gzip");
    raw_send(c, head, (size_t)n);
    raw_send(c, (const char *)gz, sizeof gz);
}

static void test_decoded_size_is_capped(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 0, zipped);
    struct moon_http_result *r = ask(&f, &a, "GET", "/", NULL);
    assert_int_equal(r->status, 200);
    assert_int_equal(r->body.len, 100000);
    ask_end(&a);
    ask_new(&f, &a, "GET", "/", NULL)->max_body = 99999;
    ask_go(&a);
    assert_int_equal(ask_wait(&f, &a)->code, MOON_ETOOBIG);
    ask_end(&a);
    fix_close(&f);
}

static void test_many_at_once(void **state) {
    enum { N = 400 }; /* a connection has two ends here, and 1,024 open files are a usual limit */
    static struct ask a[N];
    struct moon_http_stats s;
    struct fix f;
    (void)state;
    fix_open(&f, 0, echo);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            ask_new(&f, &a[i], "POST", "/", "{}");
            ask_go(&a[i]);
        }
        for (int i = 0; i < N; i++) {
            assert_int_equal(ask_wait(&f, &a[i])->status, 200);
            ask_end(&a[i]);
        }
    }
    moon_http_stats(f.http, &s);
    assert_int_equal(s.calls, 3 * N);
    assert_int_equal(s.attempts, 3 * N);
    assert_int_equal(s.live_calls, 0);
    assert_int_equal(s.live_transfers, 0);
    assert_int_equal(s.connections, N); /* every later request went over a connection that was there */
    fix_close(&f);
}

static void test_concurrency(void **state) {
    enum { N = 40 };
    static struct ask a[N];
    struct fix f;
    (void)state;
    fix_open(&f, 0, echo);
    fix_client(&f, &(struct moon_http_client_opts){.concurrency = 3});
    for (int i = 0; i < N; i++) {
        ask_new(&f, &a[i], "GET", "/", NULL);
        ask_go(&a[i]);
    }
    moon_http_call_free(a[20].call); /* leaves the queue */
    moon_http_call_free(a[0].call);  /* leaves its place */
    for (int i = 1; i < N; i++)
        if (i != 20) {
            assert_int_equal(ask_wait(&f, &a[i])->status, 200);
            ask_end(&a[i]);
        }
    assert_true(f.server.connections <= 4);
    fix_close(&f);
}

static void test_origin(void **state) {
    char out[MOON_HTTP_ORIGIN_SIZE];
    struct moon_err err;
    (void)state;
    static const char *const cases[][2] = {
        {"HTTPS://API.Example.com:443/x", "https://api.example.com"},
        {"http://h:80", "http://h"},
        {"http://h:8080/?q", "http://h:8080"},
        {"https://h:80/", "https://h:80"},
        {"http://[::1]:99/", "http://[::1]:99"},
        {"http://h:/", "http://h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(moon_http_origin(cases[i][0], strlen(cases[i][0]), out, &err), 0);
        assert_string_equal(out, cases[i][1]);
    }
}

static void test_escape(void **state) {
    struct moon_buf b = MOON_BUF_INIT;
    (void)state;
    assert_int_equal(moon_http_escape(&b, "a/b c\0\xc3\xa9~", 9), 0);
    assert_string_equal(b.data, "a%2Fb%20c%00%C3%A9~");
    moon_buf_release(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_methods_and_bodies),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_redirect_is_an_answer),
        cmocka_unit_test(test_body_cap),
        cmocka_unit_test(test_head_cap),
        cmocka_unit_test(test_decoded_size_is_capped),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_concurrency),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
