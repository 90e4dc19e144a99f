/* http_call.c - a call's life: out of the pool, filled, ended in whatever state it is, and back.
 *
 *   start → [place among the client's calls] → step: [limiter] → [token] → [breaker] → attempt on the wire → judge
 *                                               ↑____________ back-off, until the deadline _____________|→ end
 *
 * http_start.c begins it, http_attempt.c is the rest of this picture. A wait in [] is skipped when there is nothing to
 * wait for. */
#include "http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEEP_BUF    16384
#define SPARE_CALLS 1024

int64_t moon_http_call_now(const struct moon_http_call *c) {
    return moon_loop_now_ns(c->http->loop);
}

/* ---- life ---- */

int moon_http_call_new(struct moon_http_call **out, struct moon_http_client *client, struct moon_err *err) {
    struct moon_http *h = client->http;
    struct moon_http_call *c = h->spare_calls;
    struct moon_http_result *r = moon_http_result_new(h);
    if (!r)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (c) {
        h->spare_calls = c->next;
        h->n_spare_calls--;
    } else if (!(c = calloc(1, sizeof *c))) {
        moon_http_result_free(r);
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    client->refs++;
    c->client = client;
    c->http = h;
    c->result = r;
    c->next = NULL;
    c->rq.method = "GET";
    *out = c;
    return 0;
}

void moon_http_call_destroy(struct moon_http_call *c) {
    moon_buf_release(&c->rq.url);
    moon_buf_release(&c->rq.body);
    moon_http_lines_release(&c->lines);
    free(c->fault_text);
    free(c);
}

/* Back to the pool: only the buffers' memory survives. */
static void recycle(struct moon_http_call *c) {
    struct moon_http *h = c->http;
    struct moon_buf url = c->rq.url, body = c->rq.body, together = c->lines.together, alone = c->lines.alone;
    if (c->rq.secret) {
        moon_wipe(body.data, body.cap);
        moon_wipe(together.data, together.cap);
    }
    if (body.cap > KEEP_BUF)
        moon_buf_release(&body);
    memset(c, 0, offsetof(struct moon_http_call, fault_text));
    url.len = body.len = together.len = alone.len = 0;
    c->rq.url = url;
    c->rq.body = body;
    c->lines.together = together;
    c->lines.alone = alone;
    if (h->n_spare_calls >= SPARE_CALLS) {
        moon_http_call_destroy(c);
        return;
    }
    c->next = h->spare_calls;
    h->spare_calls = c;
    h->n_spare_calls++;
}

struct moon_http_request *moon_http_call_request(struct moon_http_call *c) {
    return &c->rq;
}

struct moon_http_result *moon_http_take(struct moon_http_call *c) {
    if (c->state != HTTP_IDLE || !c->taken)
        return NULL;
    struct moon_http_result *r = c->result;
    c->result = NULL;
    return r;
}

static bool named(const char *name, size_t len, const char *want, size_t want_len) {
    return len == want_len && strncasecmp(name, want, len) == 0;
}

int moon_http_header(struct moon_http_call *c, const char *name, size_t nlen, const char *value, size_t vlen,
                     struct moon_err *err) {
    int rc = moon_http_lines_add(&c->lines, name, nlen, value, vlen, err);
    if (rc != 0)
        return rc;
    c->keyed |= named(name, nlen, "idempotency-key", 15) && vlen > 0;
    c->rq.conditional |= named(name, nlen, "if-match", 8) || named(name, nlen, "if-none-match", 13);
    c->has_content_type |= named(name, nlen, "content-type", 12);
    c->has_authorization |= named(name, nlen, "authorization", 13);
    c->has_encoding |= named(name, nlen, "accept-encoding", 15);
    c->has_override |= moon_http_names_method(name, nlen);
    if (named(name, nlen, "x-correlation-id", 16) && vlen < sizeof c->result->correlation) {
        memcpy(c->result->correlation, value, vlen);
        c->result->correlation[vlen] = '\0';
    }
    c->has_traceparent |= named(name, nlen, "traceparent", 11);
    return 0;
}

/* ---- the end ---- */

static void leave_queue(struct moon_http_call *c) {
    *c->queue_prev = c->queue_next;
    if (c->queue_next)
        c->queue_next->queue_prev = c->queue_prev;
    else
        c->client->queue_end = c->queue_prev;
    c->queue_prev = NULL;
}

void moon_http_call_on_place(void *ud) {
    moon_http_call_step(ud);
}

/* The place goes to the call that waits longest. It goes on in a turn of its own. */
static void give_place(struct moon_http_call *c) {
    struct moon_http_client *client = c->client;
    struct moon_http_call *next = client->queue;
    c->has_place = false;
    if (!next) {
        client->busy--;
        return;
    }
    leave_queue(next);
    next->has_place = true;
    next->state = HTTP_WAITING;
    moon_loop_defer(next->http->loop, &next->defer, moon_http_call_on_place, next);
}

static void stop_waiting(struct moon_http_call *c) {
    struct moon_loop *loop = c->http->loop;
    moon_timer_stop(loop, &c->deadline);
    moon_timer_stop(loop, &c->wait);
    moon_loop_undefer(loop, &c->defer);
    if (c->waits_for_token)
        moon_auth_leave(c->auth, &c->token_wait);
    c->waits_for_token = c->asks = false;
    if (c->state == HTTP_QUEUED)
        leave_queue(c);
    else if (c->state == HTTP_HELD)
        moon_http_call_unhold(c);
    else if (c->state == HTTP_CROWDED)
        moon_http_call_uncrowd(c);
}

/* Lets go of all that a call holds outside itself. */
static void let_go(struct moon_http_call *c) {
    stop_waiting(c);
    if (c->has_ticket)
        moon_breaker_record(c->breaker, c->ticket, MOON_BREAKER_IGNORE, moon_http_call_now(c));
    c->has_ticket = false;
    moon_http_call_drop(c);
    moon_auth_line_unref(c->line);
    c->line = NULL;
    if (c->has_place)
        give_place(c);
    if (c->prev) {
        *c->prev = c->next;
        if (c->next)
            c->next->prev = c->prev;
        c->prev = NULL;
        c->next = NULL;
        c->http->stats.live_calls--;
    }
    c->state = HTTP_IDLE;
}

void moon_http_call_free(struct moon_http_call *c) {
    if (!c)
        return;
    if (c->paced && (c->state == HTTP_WAITING || c->state == HTTP_HELD || c->state == HTTP_CROWDED))
        moon_limiter_give_back(&c->client->limiter);
    let_go(c);
    moon_http_result_free(c->result);
    moon_http_client_unref(c->client);
    recycle(c);
}

/* c may be gone after it. */
void moon_http_call_finish(void *ud) {
    struct moon_http_call *c = ud;
    c->result->elapsed_ns = moon_http_call_now(c) - c->started_ns;
    let_go(c);
    c->taken = true;
    c->done(c->ud);
}

/* From moon_http_call_step(), which may run inside moon_http_start or another call's end: never inline. */
void moon_http_call_finish_later(struct moon_http_call *c) {
    stop_waiting(c);
    c->state = HTTP_ENDED;
    moon_loop_defer(c->http->loop, &c->defer, moon_http_call_finish, c);
}
