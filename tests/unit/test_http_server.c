/* test_http_server.c - the HTTP server, with raw sockets as its clients. Server and clients share one thread: the loop
 * turns while they wait. */
#include "unit.h"

#include "moongate/clock.h"
#include "moongate/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT 8

struct fixture {
    struct moon_loop *loop;
    struct moon_http_server *server;
    struct moon_http_exchange *asked, *kept[KEPT]; /* what the owner holds */
    int kept_count, gone, stopped;
    char out[1 << 16]; /* what the client has read */
    size_t out_len;
};

static void on_event(void *ud, struct moon_http_exchange *x, enum moon_http_event event) {
    struct fixture *f = ud;
    if (event == MOON_HTTP_GONE) {
        f->gone++;
    } else if (event == MOON_HTTP_HEADERS) {
        f->asked = x;
    } else {
        assert_true(f->kept_count < KEPT);
        f->kept[f->kept_count++] = x;
    }
}

static void on_stopped(void *ud) {
    ((struct fixture *)ud)->stopped++;
}

static void start(struct fixture *f, struct moon_http_server_opts o) {
    struct moon_err err = {0};
    memset(f, 0, sizeof *f);
    assert_int_equal(moon_loop_new(&f->loop, NULL, NULL, &err), 0);
    o.on_event = on_event;
    o.ud = f;
    if (moon_http_server_start(f->loop, &f->server, &o, &err) != 0)
        fail_msg("%s", err.message);
}

static void finish(struct fixture *f) {
    moon_http_server_free(f->server);
    moon_loop_free(f->loop);
}

static void turn(struct fixture *f, int n) {
    for (int i = 0; i < n; i++)
        moon_loop_turn(f->loop, false);
}

/* Turns the loop until what holds. */
#define WAIT(f, what)                                                                                                  \
    for (int i_ = 0; !(what); i_++) {                                                                                  \
        assert_true(i_ < 20000);                                                                                       \
        if (i_ > 100)                                                                                                  \
            usleep(500);                                                                                               \
        turn(f, 1);                                                                                                    \
    }

static int dial(struct fixture *f) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(moon_http_server_port(f->server))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void say(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static int ask(struct fixture *f, const char *text) {
    int fd = dial(f);
    assert_true(fd >= 0);
    say(fd, text);
    return fd;
}

/* Reads until the text has come, or, with NULL, until the connection ends. */
static const char *hear(struct fixture *f, int fd, const char *until) {
    f->out_len = 0;
    for (int i = 0; i < 20000; i++) {
        ssize_t n = recv(fd, f->out + f->out_len, sizeof f->out - 1 - f->out_len, MSG_DONTWAIT);
        if (n > 0)
            f->out_len += (size_t)n;
        f->out[f->out_len] = '\0';
        if (until && strstr(f->out, until))
            return f->out;
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            if (until)
                fail_msg("the connection ended before \"%s\": %s", until, f->out);
            return f->out;
        }
        if (i > 100)
            usleep(500);
        turn(f, 1);
    }
    fail_msg("waited in vain for %s; got: %s", until ? until : "the end", f->out);
    return NULL;
}

static void answer(struct fixture *f, int i, const char *body) {
    struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
    r.body = body;
    r.body_len = strlen(body);
    assert_int_equal(moon_http_exchange_reply(f->kept[i], &r, NULL), 0);
    moon_http_exchange_release(f->kept[i]);
    f->kept[i] = NULL;
}

static void a_request_arrives_as_it_was_sent(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){0});
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", moon_http_server_port(f.server));
    assert_string_equal(moon_http_server_url(f.server), url);
    int fd =
        ask(&f, "PUT /a%2Fb/c?x=1%202&y HTTP/1.1\r\nHost: h\r\nX-Two: a\r\nx-two: b\r\nContent-Length: 5\r\n\r\nhel");
    turn(&f, 20);
    assert_int_equal(f.kept_count, 0);
    say(fd, "lo");
    WAIT(&f, f.kept_count == 1);
    const struct moon_http_exchange *x = f.kept[0];
    assert_string_equal(x->method, "PUT");
    assert_string_equal(x->target, "/a%2Fb/c?x=1%202&y");
    assert_int_equal(x->body_len, 5);
    assert_string_equal(x->body, "hello");
    assert_string_equal(x->remote, "127.0.0.1");
    assert_int_equal(x->field_count, 4);
    assert_string_equal(x->fields[1].name, "X-Two");
    assert_string_equal(x->fields[2].value, "b");
    assert_int_equal(moon_http_server_live(f.server), 1);

    struct moon_http_field fields[] = {{"X-A", "1", 3, 1}, {"Content-Length", "99", 14, 2}};
    struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
    r.status = 201;
    r.fields = fields;
    r.field_count = 2;
    r.body = "done";
    r.body_len = 4;
    assert_int_equal(moon_http_exchange_reply(f.kept[0], &r, NULL), 0);
    assert_int_equal(moon_http_exchange_reply(f.kept[0], &r, NULL), MOON_ECLOSED);
    moon_http_exchange_release(f.kept[0]);
    const char *out = hear(&f, fd, "\r\n\r\ndone");
    assert_memory_equal(out, "HTTP/1.1 201 ", 13);
    assert_non_null(strstr(out, "X-A: 1\r\n"));
    assert_non_null(strstr(out, "Content-Length: 4\r\n"));
    assert_null(strstr(out, "99"));
    close(fd);
    finish(&f);
}

static void the_absolute_form_is_understood(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){0});
    int fd = ask(&f, "GET http://example.com:80/p?u=http://x/ HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 1);
    assert_string_equal(f.kept[0]->target, "/p?u=http://x/");
    answer(&f, 0, "x");
    hear(&f, fd, "\r\n\r\nx");
    say(fd, "GET /q?u=http://x/ HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 2);
    assert_string_equal(f.kept[1]->target, "/q?u=http://x/");
    answer(&f, 1, "x");
    close(fd);
    finish(&f);
}

static void a_connection_is_kept(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){0});
    int fd = ask(&f, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 1);
    answer(&f, 0, "one");
    WAIT(&f, f.kept_count == 2);
    answer(&f, 1, "two");
    assert_non_null(strstr(hear(&f, fd, "two"), "one"));
    say(fd, "HEAD /3 HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 3);
    answer(&f, 2, "three");
    hear(&f, fd, "Content-Length: 5\r\n\r\n");
    turn(&f, 20);
    say(fd, "GET /4 HTTP/1.0\r\n\r\n");
    WAIT(&f, f.kept_count == 4);
    answer(&f, 3, "four");
    const char *out = hear(&f, fd, NULL);
    assert_null(strstr(out, "three"));
    assert_non_null(strstr(out, "four"));
    close(fd);
    finish(&f);
}

static void what_could_split_an_answer_is_refused(void **state) {
    (void)state;
    struct fixture f;
    struct moon_err err;
    start(&f, (struct moon_http_server_opts){0});
    int fd = ask(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 1);
    const struct moon_http_field bad[] = {{"X-A", "1\r\nX-B: 2", 3, 9}, {"X-A", "1\n2", 3, 3}, {"X-A", "1\0002", 3, 3},
                                          {"X A", "1", 3, 1},           {"X:A", "1", 3, 1},    {"", "1", 0, 1},
                                          {"X\r\nA", "1", 4, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
        r.fields = &bad[i];
        r.field_count = 1;
        assert_int_equal(moon_http_exchange_reply(f.kept[0], &r, &err), MOON_EINVAL);
    }
    struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
    r.status = 100;
    assert_int_equal(moon_http_exchange_reply(f.kept[0], &r, &err), MOON_EINVAL);
    r.status = 600;
    assert_int_equal(moon_http_exchange_reply(f.kept[0], &r, &err), MOON_EINVAL);
    answer(&f, 0, "fine");
    hear(&f, fd, "fine");
    close(fd);
    finish(&f);
}

static void a_body_has_a_limit(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){.max_body = 8});
    int fd = ask(&f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n123456789");
    assert_memory_equal(hear(&f, fd, "}"), "HTTP/1.1 413 ", 13);
    close(fd);
    fd = ask(&f,
             "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n12345\r\n0\r\n\r\n");
    assert_memory_equal(hear(&f, fd, "}"), "HTTP/1.1 413 ", 13);
    close(fd);
    fd = ask(
        &f, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n1234567890123456\r\n5\r\n12345\r\n");
    assert_string_equal(hear(&f, fd, NULL), ""); /* and no end in sight: closed */
    close(fd);
    fd = ask(&f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n12345678");
    WAIT(&f, f.kept_count == 1);
    answer(&f, 0, "fits");
    hear(&f, fd, "fits");
    close(fd);
    finish(&f);
}

static void the_owner_may_decide_on_the_headers(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){.ask_headers = true});
    int fd = ask(&f, "POST /go HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo"); /* go on */
    WAIT(&f, f.asked);
    assert_string_equal(f.asked->target, "/go");
    assert_null(f.asked->body);
    moon_http_exchange_continue(f.asked);
    say(fd, "dy");
    WAIT(&f, f.kept_count == 1);
    assert_ptr_equal(f.kept[0], f.asked);
    assert_string_equal(f.kept[0]->body, "body");
    answer(&f, 0, "went on");
    hear(&f, fd, "went on");
    f.asked = NULL;
    say(fd, "GET /no-body HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.asked);
    moon_http_exchange_continue(f.asked);
    WAIT(&f, f.kept_count == 2);
    answer(&f, 1, "here");
    hear(&f, fd, "here");
    close(fd);

    f.asked = NULL;
    fd = ask(&f, "POST /close HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"); /* close */
    WAIT(&f, f.asked);
    moon_http_exchange_release(f.asked);
    assert_string_equal(hear(&f, fd, NULL), "");
    close(fd);

    f.asked = NULL;
    fd = ask(&f, "POST /early HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"); /* answer */
    WAIT(&f, f.asked);
    struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
    r.status = 401;
    assert_int_equal(moon_http_exchange_reply(f.asked, &r, NULL), 0);
    moon_http_exchange_release(f.asked);
    assert_memory_equal(hear(&f, fd, NULL), "HTTP/1.1 401 ", 13);
    close(fd);
    WAIT(&f, moon_http_server_live(f.server) == 0);
    finish(&f);
}

static void a_client_may_leave(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){.ask_headers = true});
    int fd = ask(&f, "POST /li"); /* in its request line, */
    turn(&f, 10);
    close(fd);
    fd = ask(&f, "POST /line HTTP/1.1\r\nHost"); /* in its headers, */
    turn(&f, 10);
    close(fd);
    fd = ask(&f, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo"); /* in its body, */
    WAIT(&f, f.asked);
    moon_http_exchange_continue(f.asked);
    turn(&f, 5);
    close(fd);
    WAIT(&f, f.gone == 1);
    moon_http_exchange_release(f.asked);

    f.asked = NULL;
    fd = ask(&f, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo"); /* the owner in the body, */
    WAIT(&f, f.asked);
    moon_http_exchange_continue(f.asked);
    turn(&f, 5);
    moon_http_exchange_release(f.asked);
    say(fd, "dy");
    assert_string_equal(hear(&f, fd, NULL), "");
    close(fd);

    f.asked = NULL;
    fd = ask(&f, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"); /* while the owner thinks */
    WAIT(&f, f.asked);
    moon_http_exchange_continue(f.asked);
    WAIT(&f, f.kept_count == 1);
    close(fd);
    turn(&f, 5);
    answer(&f, 0, "nobody hears it");
    WAIT(&f, moon_http_server_live(f.server) == 0);
    finish(&f);
}

static void faults_are_served_as_asked(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){0});
    int fd = ask(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 1);
    moon_http_exchange_release(f.kept[0]); /* no answer at all */
    assert_string_equal(hear(&f, fd, NULL), "");
    close(fd);

    fd = ask(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 2);
    struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
    r.body = "0123456789";
    r.body_len = 10;
    r.truncate = 4;
    assert_int_equal(moon_http_exchange_reply(f.kept[1], &r, NULL), 0);
    moon_http_exchange_release(f.kept[1]);
    const char *out = hear(&f, fd, NULL);
    assert_non_null(strstr(out, "Content-Length: 10\r\n"));
    assert_string_equal(strstr(out, "\r\n\r\n"), "\r\n\r\n0123");
    close(fd);

    fd = ask(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 3);
    r.truncate = MOON_HTTP_WHOLE;
    r.drip_bytes = 4;
    r.drip_ns = 30 * MOON_NS_PER_MS;
    int64_t began = moon_loop_now_ns(f.loop);
    assert_int_equal(moon_http_exchange_reply(f.kept[2], &r, NULL), 0);
    moon_http_exchange_release(f.kept[2]);
    hear(&f, fd, "\r\n\r\n0123456789");
    int64_t took = moon_loop_now_ns(f.loop) - began;
    assert_true(took >= 55 * MOON_NS_PER_MS && took < 5000 * MOON_NS_PER_MS);
    say(fd, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n"); /* the connection is none the worse */
    WAIT(&f, f.kept_count == 4);
    r.drip_ns = 3600 * MOON_NS_PER_S;
    assert_int_equal(moon_http_exchange_reply(f.kept[3], &r, NULL), 0);
    moon_http_exchange_release(f.kept[3]);
    hear(&f, fd, "\r\n\r\n0123");
    finish(&f); /* ends a drip under way */
    close(fd);
}

static void a_silent_connection_is_closed(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){.idle_s = 1});
    int idle = dial(&f), slow = ask(&f, "GET / HTT"), waits = ask(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 1);
    hear(&f, idle, NULL);
    hear(&f, slow, NULL);
    answer(&f, 0, "here"); /* an owner that thinks is not idle */
    hear(&f, waits, "here");
    close(idle);
    close(slow);
    close(waits);
    finish(&f);
}

/* Hours of dripping, and no idle connection that moves the clock. */
static void time_may_be_virtual(void **state) {
    (void)state;
    struct fixture f;
    struct moon_vclock v;
    memset(&f, 0, sizeof f);
    moon_vclock_init(&v, 0);
    struct moon_clock clock = moon_clock_virtual(&v);
    struct moon_http_server_opts o = {.on_event = on_event, .ud = &f};
    assert_int_equal(moon_loop_new(&f.loop, &clock, &v, NULL), 0);
    assert_int_equal(moon_http_server_start(f.loop, &f.server, &o, NULL), 0);
    int fd = ask(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 1);
    assert_int_equal(v.mono, 0);
    struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
    r.body = "0123456789";
    r.body_len = 10;
    r.drip_bytes = 4;
    r.drip_ns = 3600 * MOON_NS_PER_S;
    assert_int_equal(moon_http_exchange_reply(f.kept[0], &r, NULL), 0);
    moon_http_exchange_release(f.kept[0]);
    for (int i = 0; moon_http_server_live(f.server) > 0 && i < 1000; i++)
        moon_loop_turn(f.loop, true);
    assert_int_equal(v.mono, 2 * r.drip_ns);
    hear(&f, fd, "0123456789");
    close(fd);
    finish(&f);
}

static void a_stop_lets_answers_out(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){0});
    int a = ask(&f, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"), b = ask(&f, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 2);
    bool a_first = strcmp(f.kept[0]->target, "/a") == 0;
    answer(&f, 0, "first");
    hear(&f, a_first ? a : b, "first");
    moon_http_server_stop(f.server, 10 * MOON_NS_PER_S, on_stopped, &f);
    moon_http_server_stop(f.server, 20 * MOON_NS_PER_S, on_stopped, &f);
    assert_int_equal(dial(&f), -1);
    turn(&f, 20);
    assert_int_equal(f.stopped, 0);
    answer(&f, 1, "last");
    const char *out = hear(&f, a_first ? b : a, NULL);
    assert_non_null(strstr(out, "\r\n\r\nlast"));
    assert_non_null(strstr(out, "Connection: close\r\n"));
    WAIT(&f, f.stopped == 1);
    assert_string_equal(hear(&f, a_first ? a : b, NULL), "");
    moon_http_server_stop(f.server, 0, on_stopped, &f);
    turn(&f, 5);
    assert_int_equal(f.stopped, 1);
    close(a);
    close(b);
    finish(&f);
}

static void a_stop_does_not_wait_for_ever(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){0});
    int fd = ask(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 1);
    moon_http_server_stop(f.server, 10 * MOON_NS_PER_S, on_stopped, &f);
    moon_http_server_stop(f.server, 20 * MOON_NS_PER_MS, on_stopped, &f);
    WAIT(&f, f.stopped == 1);
    assert_int_equal(f.gone, 1);
    assert_string_equal(hear(&f, fd, NULL), "");
    struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
    assert_int_equal(moon_http_exchange_reply(f.kept[0], &r, NULL), MOON_ECLOSED);
    moon_http_exchange_release(f.kept[0]);
    close(fd);
    finish(&f);
}

static void a_request_outlives_its_server(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){0});
    int a = ask(&f, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"), b = ask(&f, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f, f.kept_count == 2);
    struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
    assert_int_equal(moon_http_exchange_reply(f.kept[1], &r, NULL), 0); /* answered, not yet sent */
    moon_http_server_free(f.server);
    f.server = NULL;
    assert_int_equal(f.gone, 0);
    assert_string_equal(f.kept[0]->target, "/x");
    assert_int_equal(moon_http_exchange_continue(f.kept[0]), MOON_ECLOSED);
    assert_int_equal(moon_http_exchange_reply(f.kept[0], &r, NULL), MOON_ECLOSED);
    moon_http_exchange_release(f.kept[0]);
    moon_http_exchange_release(f.kept[1]);
    close(a);
    close(b);
    finish(&f);
}

static void addresses_and_certificates_are_checked(void **state) {
    (void)state;
    struct fixture f;
    struct moon_err err;
    struct moon_http_server *s = NULL;
    start(&f, (struct moon_http_server_opts){.host = "::1"});
    char url[64];
    snprintf(url, sizeof url, "http://[::1]:%u", moon_http_server_port(f.server));
    assert_string_equal(moon_http_server_url(f.server), url);

    struct moon_http_server_opts o = {.host = "example.com", .on_event = on_event};
    assert_int_equal(moon_http_server_start(f.loop, &s, &o, &err), MOON_EINVAL);
    o = (struct moon_http_server_opts){.host = "::1", .port = moon_http_server_port(f.server), .on_event = on_event};
    assert_int_equal(moon_http_server_start(f.loop, &s, &o, &err), MOON_ECONNECT);
    assert_non_null(strstr(err.message, "in use"));
    o = (struct moon_http_server_opts){.tls_cert = "x", .on_event = on_event};
    assert_int_equal(moon_http_server_start(f.loop, &s, &o, &err), MOON_EINVAL);
    o.tls_key = "y";
    assert_int_equal(moon_http_server_start(f.loop, &s, &o, &err), MOON_EINVAL);
    assert_null(s);
    finish(&f);
}

static void garbage_is_answered_and_survived(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){0});
    const char *const garbage[] = {"\r\n\r\n\r\n\r\n",
                                   "GET\r\n\r\n",
                                   "\x16\x03\x01\x02\r\n\r\n",
                                   "GET / HTTP/9.9\r\n\r\n",
                                   "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
                                   "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                                   "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"};
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        int fd = ask(&f, garbage[i]);
        turn(&f, 30);
        close(fd);
        turn(&f, 30);
    }
    char big[70000];
    memset(big, 'a', sizeof big);
    memcpy(big, "GET / HTTP/1.1\r\nX: ", 19);
    int fd = dial(&f);
    assert_true(send(fd, big, sizeof big, MSG_NOSIGNAL) > 0);
    hear(&f, fd, NULL);
    close(fd);
    for (int i = 0; i < f.kept_count; i++)
        moon_http_exchange_release(f.kept[i]);
    WAIT(&f, moon_http_server_live(f.server) == 0);
    finish(&f);
}

static void what_can_be_read_in_two_ways_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *head;
        size_t len; /* 0: strlen */
        int status;
    } heads[] = {
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 50\r\n\r\nab", 0, 400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\nab", 0, 400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2, 2\r\n\r\nab", 0, 400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\nab", 0, 400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length : 2\r\n\r\nab", 0, 400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length\t: 2\r\n\r\nab", 0, 400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0,
         400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 0, 501},
        {"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n", 0, 400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n", 0, 400},
        {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", 0, 400},
        {"GET /a HTTP/1.1\r\n\r\n", 0, 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 0, 400},
        {"GET /a HTTP/1.1\r\nHost: h i\r\n\r\n", 0, 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\r\n c\r\n\r\n", 0, 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\tc\r\nX-B: d\r\n\r\n", 0, 400},
        {"GET /a HTTP/1.1\r\n X-A: b\r\nHost: h\r\n\r\n", 0, 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\rX-B: c\r\n\r\n", 0, 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\nX-A: b\0c\r\n\r\n", 39, 400},
        {"GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n", 30, 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\n: b\r\nX-A: b\r\n\r\n", 0, 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\nX(A): b\r\n\r\n", 0, 400},
        {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400},
        {"GET  /a HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400},
        {"G(T /a HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400},
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct fixture f;
        start(&f, (struct moon_http_server_opts){0});
        int fd = dial(&f);
        size_t len = heads[i].len ? heads[i].len : strlen(heads[i].head);
        assert_int_equal(send(fd, heads[i].head, len, MSG_NOSIGNAL), (ssize_t)len);
        say(fd, "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
        const char *out = hear(&f, fd, NULL);
        if (strncmp(out, "HTTP/1.1 ", 9) != 0 || atoi(out + 9) != heads[i].status || f.kept_count != 0)
            fail_msg("%zu: %s\n%s\n%d requests", i, heads[i].head, out, f.kept_count);
        close(fd);
        finish(&f);
    }
}

/* What is unusual, and can be read in one way only. */
static void what_is_odd_is_taken(void **state) {
    (void)state;
    static const char *const heads[] = {
        "GET /a HTTP/1.0\r\n\r\n",
        "GET /a HTTP/1.1\nHost: h\nX-A: b\n\n",
        "GET /a HTTP/1.1\r\nHost:\r\nX-A:\r\nX-B: \xff\tc  \r\n\r\n",
        "BREW /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: h\r\ntransfer-ENCODING: Chunked\r\n\r\n1;x=y\r\na\r\n0\r\nX-T: 1\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct fixture f;
        start(&f, (struct moon_http_server_opts){0});
        int fd = ask(&f, heads[i]);
        WAIT(&f, f.kept_count == 1);
        assert_string_equal(f.kept[0]->target, "/a");
        answer(&f, 0, "yes");
        hear(&f, fd, "yes");
        close(fd);
        finish(&f);
    }
}

#define GONE 40

/* Many at once, as an edge-triggered epoll loses the end of some. */
static void who_is_gone_is_noticed(void **state) {
    (void)state;
    static const char part[] = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
    struct fixture f;
    char body[30000];
    int fds[GONE];
    memset(body, 'a', sizeof body);
    start(&f, (struct moon_http_server_opts){0});
    for (int i = 0; i < GONE; i++)
        fds[i] = dial(&f);
    for (int i = 0; i < GONE; i++) {
        size_t head = (size_t)(i % 3 == 2 ? 10 : sizeof part - 1);
        assert_int_equal(send(fds[i], part, head, MSG_NOSIGNAL), (ssize_t)head);
        if (i % 3 == 0)
            send(fds[i], body, sizeof body, MSG_NOSIGNAL);
        if (i % 2)
            close(fds[i]); /* data and end in one event */
    }
    WAIT(&f, moon_http_server_live(f.server) > 0);
    for (int i = 0; i < GONE; i += 2)
        close(fds[i]);
    int64_t before = moon_loop_now_ns(f.loop);
    WAIT(&f, moon_http_server_live(f.server) == 0);
    assert_true(moon_loop_now_ns(f.loop) - before < 5 * MOON_NS_PER_S);
    assert_int_equal(f.kept_count, 0);
    finish(&f);
}

static void all_bodies_have_one_limit(void **state) {
    (void)state;
    struct fixture f;
    char body[600];
    memset(body, 'a', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    start(&f, (struct moon_http_server_opts){.max_body = 1000, .max_bodies = 1500});
    int a = ask(&f, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n");
    say(a, body);
    turn(&f, 30);
    int b = ask(&f, "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n257\r\n");
    say(b, body);
    say(b, "\r\n");
    turn(&f, 30);
    int c = ask(&f, "POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n"); /* 1198 are here */
    const char *out = hear(&f, c, NULL);
    assert_non_null(strstr(out, "HTTP/1.1 503 "));
    assert_non_null(strstr(out, "Retry-After: 1\r\n"));
    close(c);
    body[350] = '\0';
    say(b, "15e\r\n"); /* beyond the limit of all, in the middle of a body */
    say(b, body);
    say(b, "\r\n0\r\n\r\n");
    assert_non_null(strstr(hear(&f, b, NULL), "HTTP/1.1 503 "));
    close(b);
    body[301] = '\0';
    say(a, body); /* and a, the first, has its turn */
    WAIT(&f, f.kept_count == 1);
    assert_int_equal(f.kept[0]->body_len, 900);
    moon_http_exchange_body_taken(f.kept[0]);
    assert_int_equal(f.kept[0]->body_len, 0);
    int d = ask(&f, "POST /d HTTP/1.1\r\nHost: h\r\nContent-Length: 700\r\n\r\n"); /* it counts until released */
    assert_non_null(strstr(hear(&f, d, NULL), "HTTP/1.1 503 "));
    close(d);
    answer(&f, 0, "done");
    hear(&f, a, "done");
    d = ask(&f, "POST /d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    WAIT(&f, f.kept_count == 2);
    answer(&f, 1, "done");
    hear(&f, d, "done");
    close(a);
    close(d);
    finish(&f);
}

/* An answer that comes before the body is read, though the client goes on sending and never looks meanwhile. */
static void an_early_answer_is_read(void **state) {
    (void)state;
    struct fixture f;
    static char body[200000];
    memset(body, 'a', sizeof body);
    start(&f, (struct moon_http_server_opts){.max_body = 1000});
    int fd = ask(&f, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\n");
    turn(&f, 30);
    for (int n = 0; n < 2; n++)
        for (size_t at = 0; at < sizeof body;) {
            ssize_t sent = send(fd, body + at, sizeof body - at, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent < 0 && errno != EAGAIN)
                fail_msg("the client was cut off: %s", strerror(errno));
            at += sent > 0 ? (size_t)sent : 0;
            turn(&f, 1);
        }
    assert_non_null(strstr(hear(&f, fd, NULL), "HTTP/1.1 413 "));
    close(fd);
    finish(&f);
}

static void what_is_slow_has_an_end(void **state) {
    (void)state;
    struct fixture f;
    start(&f, (struct moon_http_server_opts){.idle_s = 1});
    int head = ask(&f, "GET /a HTTP/1.1\r\nHost: h\r\nX-A: "), body = ask(&f, "POST /b HTTP/1.1\r\nHost: h\r\n"
                                                                              "Content-Length: 5000\r\n\r\n");
    int64_t begun = moon_loop_now_ns(f.loop);
    bool over[2] = {false, false};
    int fds[2] = {head, body};
    while (!over[0] || !over[1]) { /* a byte now and then is not silence */
        assert_true(moon_loop_now_ns(f.loop) - begun < 20 * MOON_NS_PER_S);
        for (int i = 0; i < 2; i++) {
            send(fds[i], "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
            char out[200] = "";
            ssize_t n = over[i] ? -1 : recv(fds[i], out, sizeof out - 1, MSG_DONTWAIT);
            if (n > 0)
                assert_non_null(strstr(out, "HTTP/1.1 408 "));
            over[i] |= n == 0 || (n < 0 && errno == ECONNRESET);
        }
        for (int i = 0; i < 20; i++) {
            usleep(5000);
            turn(&f, 1);
        }
    }
    assert_true(moon_loop_now_ns(f.loop) - begun > MOON_NS_PER_S);
    WAIT(&f, moon_http_server_live(f.server) == 0);
    close(head);
    close(body);
    finish(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(what_is_odd_is_taken),
        cmocka_unit_test(who_is_gone_is_noticed),
        cmocka_unit_test(all_bodies_have_one_limit),
        cmocka_unit_test(an_early_answer_is_read),
        cmocka_unit_test(what_is_slow_has_an_end),
        cmocka_unit_test(a_request_arrives_as_it_was_sent),
        cmocka_unit_test(the_absolute_form_is_understood),
        cmocka_unit_test(a_connection_is_kept),
        cmocka_unit_test(what_could_split_an_answer_is_refused),
        cmocka_unit_test(a_body_has_a_limit),
        cmocka_unit_test(the_owner_may_decide_on_the_headers),
        cmocka_unit_test(a_client_may_leave),
        cmocka_unit_test(faults_are_served_as_asked),
        cmocka_unit_test(a_silent_connection_is_closed),
        cmocka_unit_test(time_may_be_virtual),
        cmocka_unit_test(a_stop_lets_answers_out),
        cmocka_unit_test(a_stop_does_not_wait_for_ever),
        cmocka_unit_test(a_request_outlives_its_server),
        cmocka_unit_test(addresses_and_certificates_are_checked),
        cmocka_unit_test(garbage_is_answered_and_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
