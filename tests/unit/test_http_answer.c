/* test_http_answer.c - answers that are cut, packed, switched or odd: what is an answer, and what is said of the rest.
 */
#include "http_fixture.h"

#include <zlib.h>

static char packed[256];
static size_t packed_len;

static void pack(const char *text) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (unsigned)strlen(text);
    z.next_out = (unsigned char *)packed;
    z.avail_out = sizeof packed;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    packed_len = sizeof packed - z.avail_out;
    deflateEnd(&z);
}

static void send_packed(struct raw_conn *c, size_t len) {
    char head[128];
    int n =
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", len);
    raw_send(c, head, (size_t)n);
    raw_send(c, packed, len);
}

static void send_text(struct raw_conn *c, const char *text) {
    raw_send(c, text, strlen(text));
}

static bool path_is(struct raw_conn *c, const char *path) {
    const char *at = strchr(c->in.data, ' ') + 1;
    return strncmp(at, path, strlen(path)) == 0 && at[strlen(path)] == ' ';
}

static void send_long_line(struct raw_conn *c, size_t len) {
    struct moon_buf b = MOON_BUF_INIT;
    moon_buf_puts(&b, "HTTP/1.1 200 OK\r\nX-Long: ");
    while (b.len < len)
        moon_buf_putc(&b, 'x');
    moon_buf_puts(&b, "\r\nContent-Length: 2\r\n\r\nok");
    uv_stream_set_blocking((uv_stream_t *)&c->tcp, 1);
    raw_send(c, b.data, b.len);
    moon_buf_release(&b);
}

/* An answer that fills libcurl's buffer, and another that nobody asked for behind it. */
static void send_two(struct raw_conn *c) {
    char text[1200];
    int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\nX-Fill: ");
    while (n + 4 < 1024 - 900)
        text[n++] = 'f';
    n += snprintf(text + n, 5, "\r\n\r\n");
    memset(text + n, 'a', 900);
    n += 900;
    n += snprintf(text + n, sizeof text - (size_t)n, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    raw_send(c, text, (size_t)n);
}

static void odd(struct raw_conn *c) {
    if (path_is(c, "/cut")) {
        send_text(c, "HTTP/1.1 200 OK\r\nContent-Type: te");
        raw_close(c);
    } else if (path_is(c, "/silent")) {
        raw_close(c);
    } else if (path_is(c, "/half")) {
        send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        raw_close(c);
    } else if (path_is(c, "/101")) {
        send_text(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
    } else if (path_is(c, "/hints")) {
        send_text(c, "HTTP/1.1 103 Early Hints\r\nETag: early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    } else if (path_is(c, "/trailers")) {
        send_text(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: ETag\r\n\r\n"
                     "2\r\nok\r\n0\r\nETag: \"late\"\r\nInin-Correlation-Id: late\r\n\r\n");
    } else if (path_is(c, "/gzip")) {
        send_packed(c, packed_len);
    } else if (path_is(c, "/cut-gzip")) {
        send_packed(c, packed_len / 2);
    } else if (path_is(c, "/not-gzip")) {
        send_text(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain");
    } else if (path_is(c, "/empty-gzip")) {
        send_text(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n");
    } else if (path_is(c, "/long")) {
        send_long_line(c, 300 << 10);
    } else if (path_is(c, "/large")) {
        send_long_line(c, 60 << 10);
    } else if (path_is(c, "/two")) {
        send_two(c);
    } else if (path_is(c, "/lengths")) {
        send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 2\r\n\r\nok, no");
    } else if (path_is(c, "/same-lengths")) {
        send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 02\r\n\r\nok");
    } else if (path_is(c, "/length-list")) {
        send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 2, 6\r\n\r\nok, no");
    } else if (path_is(c, "/few-1xx") || path_is(c, "/storm")) {
        for (int i = 0; i < (path_is(c, "/storm") ? 130 : 60); i++)
            send_text(c, "HTTP/1.1 102 Processing\r\n\r\n");
        send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    } else if (path_is(c, "/bad-chunk")) {
        send_text(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nok\r\n0\r\n\r\n");
    } else if (path_is(c, "/no-colon")) {
        send_text(c, "HTTP/1.1 200 OK\r\nContent-Length 2\r\n\r\nok");
    } else if (path_is(c, "/slow")) {
        send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
    } else if (path_is(c, "/421")) {
        raw_answer(c, c->server->connections == 1 ? 421 : 200, "", "taken");
    } else if (path_is(c, "/408")) {
        raw_answer(c, c->server->requests == 1 ? 408 : 200, "", "late");
    } else {
        raw_answer(c, 404, "", "none");
    }
}

static void open_odd(struct fix *f, int attempts) {
    fix_open(f, 0, odd);
    fix_client(f, &(struct moon_http_client_opts){
                      .max_attempts = attempts, .deadline_ns = 5 * MOON_NS_PER_S, .backoff_base_ns = 1});
}

static void assert_says(const struct moon_http_result *r, const char *text) {
    if (!strstr(r->message.data, text))
        fail_msg("'%s' is not in: %s", text, r->message.data);
}

static void test_what_is_cut_is_no_answer(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_odd(&f, 1);
    struct moon_http_result *r = ask(&f, &a, "POST", "/cut", "{}");
    assert_int_equal(r->code, MOON_EUNKNOWN);
    assert_int_equal(r->status, 0);
    assert_string_equal(r->outcome, "unknown");
    assert_says(r, "in the middle of the answer's headers");
    ask_end(&a);
    r = ask(&f, &a, "GET", "/silent", NULL);
    assert_int_equal(r->code, MOON_ENETWORK);
    assert_says(r, "before an answer came");
    ask_end(&a);
    r = ask(&f, &a, "GET", "/half", NULL);
    assert_int_equal(r->code, MOON_ENETWORK);
    assert_says(r, "in the middle of the answer");
    ask_end(&a);
    fix_close(&f);
}

static void test_a_switch_of_protocols_ends_at_once(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_odd(&f, 3);
    struct moon_http_result *r = ask(&f, &a, "GET", "/101", NULL);
    assert_int_equal(r->code, MOON_EPROTOCOL);
    assert_int_equal(f.server.requests, 1);
    assert_true(r->elapsed_ns < 2 * MOON_NS_PER_S);
    assert_says(r, "101");
    ask_end(&a);
    fix_close(&f);
}

static void test_what_is_no_valid_answer_is_named(void **state) {
    static const struct {
        const char *path, *says;
        int code;
    } rows[] = {
        {"/lengths", "Content-Length is not one number", MOON_EPROTOCOL},
        {"/length-list", "Content-Length is not one number", MOON_EPROTOCOL},
        {"/storm", "more than 100 interim answers", MOON_EPROTOCOL},
        {"/bad-chunk", "chunked encoding is damaged", MOON_EUNKNOWN},
        {"/no-colon", "headers are not valid HTTP", MOON_EPROTOCOL},
    };
    struct fix f;
    struct ask a;
    (void)state;
    open_odd(&f, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct moon_http_result *r = ask(&f, &a, "POST", rows[i].path, "{}");
        assert_says(r, rows[i].says);
        assert_int_equal(r->code, rows[i].code);
        assert_string_equal(r->outcome, "unknown");
        ask_end(&a);
    }
    static const char *const good[] = {"/same-lengths", "/few-1xx"};
    for (size_t i = 0; i < 2; i++) {
        struct moon_http_result *r = ask(&f, &a, "POST", good[i], "{}");
        assert_int_equal(r->status, 200);
        assert_int_equal(r->body.len, 2);
        ask_end(&a);
    }
    fix_close(&f);
}

static void test_a_deadline_says_how_far_it_came(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 0, odd);
    fix_client(&f, &(struct moon_http_client_opts){.deadline_ns = 300 * MOON_NS_PER_MS});
    struct moon_http_result *r = ask(&f, &a, "GET", "/slow", NULL);
    assert_int_equal(r->code, MOON_ETIMEOUT);
    assert_says(r, "in the middle of the answer");
    ask_end(&a);
    fix_close(&f);
}

static void test_an_answer_before_the_request_is_none(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_odd(&f, 1);
    for (int i = 0; i < 3; i++) {
        struct moon_http_result *r = ask(&f, &a, i == 1 ? "GET" : "POST", "/two", i == 1 ? NULL : "{}");
        assert_int_equal(r->status, 200);
        assert_int_equal(r->body.len, 900);
        ask_end(&a);
    }
    assert_int_equal(f.server.requests, 3);
    assert_int_equal(f.server.connections, 3);
    fix_close(&f);
}

static void test_only_the_last_head_counts(void **state) {
    struct fix f;
    struct ask a;
    size_t len;
    (void)state;
    open_odd(&f, 1);
    struct moon_http_result *r = ask(&f, &a, "GET", "/hints", NULL);
    assert_int_equal(r->status, 200);
    assert_null(moon_http_result_header(r, "etag", 4, &len));
    ask_end(&a);
    r = ask(&f, &a, "GET", "/trailers", NULL);
    assert_int_equal(r->status, 200);
    assert_string_equal(r->body.data, "ok");
    assert_null(moon_http_result_header(r, "etag", 4, &len));
    assert_null(moon_http_correlation_id(r, &len));
    ask_end(&a);
    fix_close(&f);
}

static void test_gzip(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_odd(&f, 1);
    pack("packed, packed, packed and packed again");
    const char *const methods[] = {"GET", "POST", "PUT"};
    for (size_t i = 0; i < 3; i++) {
        struct moon_http_result *r = ask(&f, &a, methods[i], "/gzip", i ? "{}" : NULL);
        assert_int_equal(r->status, 200);
        assert_string_equal(r->body.data, "packed, packed, packed and packed again");
        ask_end(&a);
    }
    struct moon_http_result *r = ask(&f, &a, "GET", "/cut-gzip", NULL);
    assert_int_equal(r->code, MOON_EPROTOCOL);
    assert_says(r, "cut short");
    ask_end(&a);
    r = ask(&f, &a, "GET", "/not-gzip", NULL);
    assert_int_equal(r->code, MOON_EPROTOCOL);
    assert_says(r, "damaged");
    ask_end(&a);
    assert_int_equal(ask(&f, &a, "GET", "/empty-gzip", NULL)->status, 200);
    ask_end(&a);
    fix_close(&f);
}

static void test_long_header_lines(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_odd(&f, 3);
    struct moon_http_result *r = ask(&f, &a, "GET", "/large", NULL);
    assert_int_equal(r->status, 200);
    assert_true(r->head.len > 60 << 10);
    ask_end(&a);
    r = ask(&f, &a, "GET", "/long", NULL);
    assert_int_equal(r->code, MOON_ETOOBIG);
    assert_says(r, "headers are larger than 64 KiB");
    assert_int_equal(f.server.requests, 2);
    ask_end(&a);
    fix_close(&f);
}

static void test_statuses_of_a_connection(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_odd(&f, 3);
    struct moon_http_result *r = ask(&f, &a, "POST", "/421", "{}");
    assert_int_equal(r->status, 200);
    assert_int_equal(f.server.connections, 2);
    ask_end(&a);
    fix_close(&f);
    open_odd(&f, 3);
    r = ask(&f, &a, "POST", "/408", "{}"); /* it may have been processed, whatever the server says */
    assert_int_equal(r->status, 408);
    assert_string_equal(r->outcome, "unknown");
    assert_int_equal(f.server.requests, 1);
    ask_end(&a);
    fix_close(&f);
    open_odd(&f, 3);
    assert_int_equal(ask(&f, &a, "PUT", "/408", "{}")->status, 200);
    assert_int_equal(f.server.requests, 2);
    ask_end(&a);
    fix_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_cut_is_no_answer),
        cmocka_unit_test(test_a_switch_of_protocols_ends_at_once),
        cmocka_unit_test(test_what_is_no_valid_answer_is_named),
        cmocka_unit_test(test_a_deadline_says_how_far_it_came),
        cmocka_unit_test(test_an_answer_before_the_request_is_none),
        cmocka_unit_test(test_only_the_last_head_counts),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_long_header_lines),
        cmocka_unit_test(test_statuses_of_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
