/* http_trace.c - trace context on requests, and a ring of the attempts that have ended. */
#include "http_internal.h"

#include "moongate/digest.h"
#include "moongate/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct moon_http_trace {
    char trace_id[2 * MOON_TRACE_ID_SIZE + 1];
    uint64_t root;
    bool sampled, record;
    struct moon_http_lines state; /* tracestate */
    struct moon_rng rng;          /* the system's: a seed must not make two runs one trace */
    size_t first, count, max;
    uint64_t lost;
    struct moon_http_span ring[];
};

static uint64_t new_id(struct moon_rng *rng) {
    uint64_t id;
    do
        id = moon_rng_u64(rng);
    while (id == 0);
    return id;
}

int moon_http_trace_start(struct moon_http *h, const struct moon_http_trace_opts *o, struct moon_err *err) {
    size_t max = o->record ? o->queue : 1;
    struct moon_http_trace *t = calloc(1, sizeof *t + max * sizeof t->ring[0]);
    int rc = 0;
    if (!t)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    moon_hex(o->trace_id, sizeof o->trace_id, t->trace_id);
    moon_rng_init_system(&t->rng);
    t->root = o->root;
    t->sampled = o->sampled;
    t->record = o->record;
    t->max = max;
    if (o->tracestate)
        rc = moon_http_lines_add(&t->state, "tracestate", 10, o->tracestate, strlen(o->tracestate), err);
    if (rc != 0) {
        moon_http_lines_release(&t->state);
        free(t);
        return rc;
    }
    moon_http_trace_stop(h);
    h->trace = t;
    return 0;
}

void moon_http_trace_stop(struct moon_http *h) {
    if (!h->trace)
        return;
    moon_http_lines_release(&h->trace->state);
    free(h->trace);
    h->trace = NULL;
}

/* ---- the way of an attempt ---- */

struct curl_slist *moon_http_trace_headers(struct moon_http_call *c, struct curl_slist *rest) {
    struct moon_http_trace *t = c->http->trace;
    uint64_t id = t->root;
    if (t->record)
        id = c->span = new_id(&t->rng);
    snprintf(c->traceparent, sizeof c->traceparent, "traceparent: 00-%s-%016" PRIx64 "-%02x", t->trace_id, id,
             t->sampled ? 1u : 0u);
    if (t->state.together.len) {
        c->trace_node[1] = (struct curl_slist){t->state.together.data, rest};
        rest = &c->trace_node[1];
    }
    c->trace_node[0] = (struct curl_slist){c->traceparent, rest};
    return &c->trace_node[0];
}

static void put_url(struct moon_http_span *s, const struct moon_buf *url) {
    size_t len = url->len ? strcspn(url->data, "?#") : 0;
    if (len >= sizeof s->url)
        len = sizeof s->url - 1;
    if (len)
        memcpy(s->url, url->data, len);
    s->url[len] = '\0';
}

void moon_http_trace_attempt(struct moon_http_call *c, const struct moon_http_attempt *a) {
    struct moon_http_trace *t = c->http->trace;
    uint64_t id = c->span;
    c->span = 0;
    if (!t || !t->record)
        return; /* stopped meanwhile */
    if (t->count == t->max) {
        t->lost++;
        return;
    }
    struct moon_http_span *s = &t->ring[(t->first + t->count++) % t->max];
    s->id = id;
    s->parent = c->rq.span ? c->rq.span : t->root;
    s->method = c->rq.method;
    put_url(s, &c->result->url);
    s->n = a->n;
    s->status = a->status;
    s->code = a->code;
    s->start_wall_ns = moon_wall_ns(moon_loop_clock(c->http->loop)) - a->elapsed_ns;
    s->elapsed_ns = a->elapsed_ns;
    s->wait_ns = a->wait_ns;
}

/* ---- taking ---- */

bool moon_http_trace_take(struct moon_http *h, struct moon_http_span *out) {
    struct moon_http_trace *t = h->trace;
    if (!t || t->count == 0)
        return false;
    *out = t->ring[t->first];
    t->first = (t->first + 1) % t->max;
    t->count--;
    return true;
}

size_t moon_http_trace_waiting(const struct moon_http *h) {
    return h->trace ? h->trace->count : 0;
}

uint64_t moon_http_trace_lost(const struct moon_http *h) {
    return h->trace ? h->trace->lost : 0;
}
