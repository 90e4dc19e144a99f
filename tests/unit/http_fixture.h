/* http_fixture.h - a loop, an HTTP client and a raw server for one test; and calls that are made in one line. */
#ifndef TESTS_HTTP_FIXTURE_H
#define TESTS_HTTP_FIXTURE_H

#include "raw_server.h"

#include "moongate/auth.h"
#include "moongate/http.h"
#include "moongate/redact.h"
#include "moongate/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct fix {
    struct moon_vclock vclock;
    struct moon_clock clock;
    struct moon_loop *loop;
    struct moon_rng rng;
    struct moon_redact *redact;
    struct moon_http *http;
    struct moon_http_client *client;
    struct raw_server server;
};

struct ask {
    struct moon_http_call *call;
    struct moon_http_result *result; /* after done */
    struct moon_loop *loop;
    int done;
};

static inline void fix_client(struct fix *f, const struct moon_http_client_opts *o) {
    struct moon_http_client_opts with = *o;
    struct moon_err err;
    if (!with.base_url)
        with.base_url = f->server.url;
    moon_http_client_free(f->client);
    assert_int_equal(moon_http_client_new(&f->client, f->http, &with, &err), 0);
}

static inline void fix_open(struct fix *f, int virtual_clock, void (*handler)(struct raw_conn *)) {
    struct moon_err err;
    memset(f, 0, sizeof *f);
    moon_vclock_init(&f->vclock, INT64_C(1800000000) * MOON_NS_PER_S);
    f->clock = virtual_clock ? moon_clock_virtual(&f->vclock) : moon_clock_system();
    assert_int_equal(moon_loop_new(&f->loop, &f->clock, virtual_clock ? &f->vclock : NULL, &err), 0);
    moon_rng_init_seed(&f->rng, 7);
    assert_int_equal(moon_redact_new(&f->redact), 0);
    struct moon_http_opts o = {.loop = f->loop, .rng = &f->rng};
    assert_int_equal(moon_http_new(&f->http, &o, &err), 0);
    raw_start(&f->server, f->loop, handler);
    fix_client(f, &(struct moon_http_client_opts){0});
}

static inline void fix_close(struct fix *f) {
    moon_http_client_free(f->client);
    moon_http_free(f->http);
    raw_stop(&f->server);
    moon_loop_free(f->loop);
    moon_redact_free(f->redact);
}

static inline void ask_done(void *ud) {
    struct ask *a = ud;
    a->result = moon_http_take(a->call);
    assert_non_null(a->result);
    a->done++;
    moon_loop_wake(a->loop); /* a turn goes on to wait for I/O after its deferred calls */
}

/* Prepares a call; the caller may add to it before ask_go. body NULL: none. */
static inline struct moon_http_request *ask_new(struct fix *f, struct ask *a, const char *method, const char *path,
                                                const char *body) {
    struct moon_err err;
    memset(a, 0, sizeof *a);
    a->loop = f->loop;
    assert_int_equal(moon_http_call_new(&a->call, f->client, &err), 0);
    struct moon_http_request *rq = moon_http_call_request(a->call);
    rq->method = moon_http_method(method, strlen(method));
    moon_buf_puts(&rq->url, path);
    if (body) {
        rq->has_body = true;
        rq->content_type = "Content-Type: application/json";
        moon_buf_puts(&rq->body, body);
    }
    return rq;
}

static inline void ask_header(struct ask *a, const char *name, const char *value) {
    struct moon_err err;
    assert_int_equal(moon_http_header(a->call, name, strlen(name), value, strlen(value), &err), 0);
}

static inline void ask_go(struct ask *a) {
    struct moon_err err = {0};
    int rc = moon_http_start(a->call, ask_done, a, &err);
    if (rc)
        fail_msg("%s", err.message);
    assert_int_equal(a->done, 0); /* never inline */
}

static inline struct moon_http_result *ask_wait(struct fix *f, struct ask *a) {
    while (!a->done) {
        bool more = moon_loop_turn(f->loop, true);
        assert_true(more || a->done);
    }
    return a->result;
}

static inline void ask_end(struct ask *a) {
    moon_http_result_free(a->result);
    moon_http_call_free(a->call);
    memset(a, 0, sizeof *a);
}

static inline struct moon_http_result *ask(struct fix *f, struct ask *a, const char *method, const char *path,
                                           const char *body) {
    ask_new(f, a, method, path, body);
    ask_go(a);
    return ask_wait(f, a);
}

#endif
