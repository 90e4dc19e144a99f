/* http_call.c - a call's way from start to result, and the only loop that sends anything again.
 *
 *   start → [place among the client's calls] → step: [limiter] → [token] → [breaker] → attempt on the wire → judge
 *                                               ↑__________________ back-off ___________________________|→ end
 *
 * A wait in [] is skipped when there is nothing to wait for. Whatever comes in from outside (a timer, a token,
 * libcurl's end of a transfer) enters through a function named on_. */
#include "http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEEP_BUF    16384
#define SPARE_CALLS 1024

static void step(struct moon_http_call *c);
static void on_due(void *ud);

static int64_t now_ns(const struct moon_http_call *c) {
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
    memset(c, 0, offsetof(struct moon_http_call, node));
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

static void on_place(void *ud) {
    step(ud);
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
    moon_loop_defer(next->http->loop, &next->defer, on_place, next);
}

static void stop_waiting(struct moon_http_call *c) {
    struct moon_loop *loop = c->http->loop;
    moon_timer_stop(loop, &c->deadline);
    moon_timer_stop(loop, &c->wait);
    moon_loop_undefer(loop, &c->defer);
    if (c->waits_for_token)
        moon_auth_leave(c->auth, &c->token_wait);
    c->waits_for_token = false;
    if (c->state == HTTP_QUEUED)
        leave_queue(c);
}

/* Lets go of all that a call holds outside itself. */
static void let_go(struct moon_http_call *c) {
    stop_waiting(c);
    if (c->has_ticket)
        moon_breaker_record(c->breaker, c->ticket, MOON_BREAKER_IGNORE, now_ns(c));
    c->has_ticket = false;
    moon_curl_put(c->transfer);
    c->transfer = NULL;
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
    if (c->paced && c->state == HTTP_WAITING)
        moon_limiter_give_back(&c->client->limiter);
    let_go(c);
    moon_http_result_free(c->result);
    moon_http_client_unref(c->client);
    recycle(c);
}

/* c may be gone after it. */
static void finish(void *ud) {
    struct moon_http_call *c = ud;
    c->result->elapsed_ns = now_ns(c) - c->started_ns;
    let_go(c);
    c->taken = true;
    c->done(c->ud);
}

/* From step(), which may run inside moon_http_start or another call's end: never inline. */
static void finish_later(struct moon_http_call *c) {
    stop_waiting(c);
    c->state = HTTP_ENDED;
    moon_loop_defer(c->http->loop, &c->defer, finish, c);
}

static struct moon_retry_call as_retry_call(const struct moon_http_call *c, int64_t now) {
    return (struct moon_retry_call){
        .method = c->rq.method,
        .keyed = c->keyed,
        .idempotent = c->rq.idempotent,
        .maybe_applied = c->maybe_applied,
        .attempt = c->failures > 0 ? c->failures : 1,
        .remaining_ns = c->due_ns - now,
    };
}

/* Ends a call that failed while it waited: this attempt did not go out. */
static void fail_unsent(struct moon_http_call *c, int code, const char *message, const char *hint) {
    struct moon_http_result *r = c->result;
    struct moon_retry_call rc = as_retry_call(c, now_ns(c));
    r->code = code;
    r->status = 0;
    r->outcome = moon_retry_decide(&c->client->policy, &rc, MOON_FAIL_NOT_SENT, -1, c->http->rng).outcome;
    moon_buf_clear(&r->message);
    moon_buf_clear(&r->hint);
    moon_buf_puts(&r->message, message);
    moon_buf_puts(&r->hint, hint);
    finish_later(c);
}

/* ---- an attempt ---- */

static void debug_attempt(const struct moon_http_call *c, const struct moon_http_attempt *a) {
    struct moon_log *log = c->http->log;
    if (!log || log->level < MOON_LOG_DEBUG)
        return;
    moon_log_write(log, MOON_LOG_DEBUG, "http: %s %s: attempt %d: %s %d after %.1f ms", c->rq.method,
                   c->result->url.data, a->n, a->code ? moon_code_name(a->code) : "status", a->status,
                   (double)a->elapsed_ns / 1e6);
}

static void count(struct moon_http_call *c, const struct moon_http_attempt *a) {
    struct moon_http_tally *t = &c->client->tally;
    int m = 0, class = a->code || a->status < 100 || a->status > 599 ? 0 : a->status / 100;
    while (m < MOON_HTTP_METHODS - 1 && strcmp(moon_http_methods[m], c->rq.method) != 0)
        m++;
    t->answers[m][class]++;
    t->elapsed_ns[m] += a->elapsed_ns;
    t->retries += a->n > 1;
}

static void record(struct moon_http_call *c, const struct moon_http_verdict *v, int64_t now) {
    struct moon_http_result *r = c->result;
    struct moon_http_attempt *a = moon_http_result_attempt(r), spare;
    if (!a) /* the record is lost, the call goes on */
        a = &spare;
    *a = (struct moon_http_attempt){.n = r->n_attempts, .status = v->status, .code = v->code, .cls = v->cls};
    a->wait_ns = c->attempt_ns - c->ready_ns;
    a->elapsed_ns = now - c->attempt_ns;
    if (c->has_ticket)
        moon_breaker_record(c->breaker, c->ticket, moon_breaker_judge(v->cls, v->status), now);
    c->has_ticket = false;
    c->maybe_applied |= v->cls == MOON_FAIL_AMBIGUOUS;
    count(c, a);
    if (c->span)
        moon_http_trace_attempt(c, a);
    debug_attempt(c, a);
}

/* A 401 had no effect, so the call is replayed once whatever it is, if the token can be replaced. */
static bool replays_unauthorized(struct moon_http_call *c, int status) {
    if (!c->line)
        return false;
    if (status != 401) {
        moon_auth_accepted(c->auth, c->line);
        return false;
    }
    return moon_auth_rejected(c->auth, c->line) && !c->replayed;
}

static void again(struct moon_http_call *c, int64_t wait_ns, int64_t now) {
    moon_curl_put(c->transfer);
    c->transfer = NULL;
    moon_auth_line_unref(c->line);
    c->line = NULL;
    c->state = HTTP_WAITING;
    c->paced = false;
    c->ready_ns = now;
    moon_timer_start(c->http->loop, &c->wait, wait_ns, on_place, c);
}

static struct moon_retry_decision decide(struct moon_http_call *c, const struct moon_http_verdict *v,
                                         const struct moon_retry_call *rc, int64_t now) {
    struct moon_retry_decision d = moon_retry_decide(&c->client->policy, rc, v->cls, v->retry_after_ns, c->http->rng);
    if (d.verdict != MOON_RETRY_AGAIN)
        return d;
    if (v->hopeless || (c->rq.final_5xx && v->status >= 500))
        d.verdict = MOON_RETRY_FINAL;
    else if (c->breaker && moon_breaker_state(c->breaker, now) == MOON_BREAKER_OPEN)
        d.verdict = MOON_RETRY_BREAKER_OPEN;
    else if (!moon_retry_budget_take(&c->host->budget))
        d.verdict = MOON_RETRY_NO_BUDGET;
    return d;
}

/* After a failed attempt: once more, or the end. */
static void retry_or_fail(struct moon_http_call *c, const struct moon_http_verdict *v, CURLcode result, int64_t now) {
    struct moon_http_result *r = c->result;
    c->failures++;
    struct moon_retry_call rc = as_retry_call(c, now);
    struct moon_retry_decision d = decide(c, v, &rc, now);
    if (d.verdict == MOON_RETRY_AGAIN) {
        again(c, d.wait_ns, now);
        return;
    }
    /* A lost connection is how it ended; that nobody knows what it did is what matters. */
    r->code = v->code == MOON_ENETWORK && strcmp(d.outcome, "unknown") == 0 ? MOON_EUNKNOWN : v->code;
    r->status = v->status;
    r->outcome = d.outcome;
    r->retry_after_ns = v->retry_after_ns;
    moon_http_explain(c, v, &rc, &d, result);
    finish(c);
}

static void attempt_ended(struct moon_http_call *c, CURLcode result, int code) {
    int64_t now = now_ns(c);
    struct moon_http_verdict v;
    bool earlier = c->maybe_applied;
    moon_http_judge(&v, c, result, moon_wall_ns(moon_loop_clock(c->http->loop)));
    if (code)
        v.code = code;
    record(c, &v, now);
    if (v.status) {
        moon_http_read_limits(c, now);
        if (replays_unauthorized(c, v.status)) {
            c->replayed = true;
            again(c, 0, now);
            return;
        }
    }
    c->result->after_ambiguous = earlier;
    if (v.cls != MOON_FAIL_NONE) {
        retry_or_fail(c, &v, result, now);
        return;
    }
    c->result->status = v.status;
    moon_retry_budget_success(&c->host->budget);
    finish(c);
}

static void on_transfer_done(struct moon_curl_transfer *t, CURLcode result) {
    attempt_ended(t->ud, result, 0);
}

/* Fails only for a timer that is not running: the first of a call. */
static int watch_time(struct moon_http_call *c, int64_t now, int64_t connect_due_ns) {
    int64_t at = connect_due_ns < c->due_ns ? connect_due_ns : c->due_ns;
    return moon_timer_start(c->http->loop, &c->deadline, at > now ? at - now : 0, on_due, c);
}

static int attempt(struct moon_http_call *c, int64_t now, struct moon_err *err) {
    struct moon_http_result *r = c->result;
    struct moon_curl_transfer *t = c->transfer = moon_curl_get(c->http->curl);
    if (!t)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    moon_buf_clear(&r->head);
    moon_buf_clear(&r->body);
    t->head = &r->head;
    t->body = &r->body;
    t->head_max = MOON_HTTP_HEAD_MAX;
    t->body_max = c->rq.max_body;
    t->done = on_transfer_done;
    t->ud = c;
    c->node[0].data = c->line ? c->line->text : NULL;
    struct curl_slist *headers = c->line ? &c->node[0] : c->node[0].next;
    if (c->http->trace && !c->client->untraced && !c->has_traceparent)
        headers = moon_http_trace_headers(c, headers);
    struct moon_curl_request rq = {
        .method = c->rq.method,
        .url = &r->url,
        .body = c->rq.has_body ? &c->rq.body : NULL,
        .headers = headers,
        .https = c->host->https,
        .direct = c->host->loopback,
    };
    int rc = moon_curl_start(t, &rq, err);
    if (rc != 0)
        return rc;
    c->state = HTTP_ON_WIRE;
    c->attempt_ns = now;
    c->http->stats.attempts++;
    if (r->n_attempts == 0)
        moon_retry_budget_call(&c->host->budget);
    else
        watch_time(c, now, now + c->client->connect_timeout_ns);
    return 0;
}

/* ---- before an attempt ---- */

static void on_token(void *ud, const struct moon_err *err) {
    struct moon_http_call *c = ud;
    c->waits_for_token = false;
    if (err)
        fail_unsent(c, err->code, err->message, "");
    else
        step(c);
}

static void fail_open(struct moon_http_call *c, int64_t retry_in_ns) {
    char message[MOON_HTTP_ORIGIN_SIZE + 80];
    snprintf(message, sizeof message, "the circuit breaker of %s is open for another %.1f s", c->host->origin,
             (double)retry_in_ns / 1e9);
    fail_unsent(c, MOON_EBREAKER, message, "it failed too often just now: try again later");
}

/* Takes a place in the limiter and the pacer. True: it is this attempt's turn now. */
static bool pace(struct moon_http_call *c, int64_t now) {
    struct moon_limiter *l = &c->client->limiter;
    struct moon_pacer *p = &c->host->pacer;
    if (l->interval_ns == 0 && !p->known)
        return c->paced = true;
    int64_t wait = moon_limiter_wait_ns(l, now), paced = moon_pacer_wait_ns(p, now);
    if (paced > wait)
        wait = paced;
    if (wait >= c->due_ns - now) {
        fail_unsent(c, MOON_ETIMEOUT, "the rate limit leaves no place before the deadline",
                    "allow more time or a higher rate");
        return false;
    }
    moon_limiter_take(l, now);
    moon_pacer_take(p, now);
    c->paced = true;
    if (wait <= 0)
        return true;
    c->state = HTTP_WAITING;
    moon_timer_start(c->http->loop, &c->wait, wait, on_place, c);
    return false;
}

/* Goes as far as it can towards the next attempt, and comes back here after each wait. */
static void step(struct moon_http_call *c) {
    int64_t now = now_ns(c), retry_in = 0;
    struct moon_err err;
    c->state = HTTP_WAITING;
    if (c->breaker && moon_breaker_state(c->breaker, now) == MOON_BREAKER_OPEN) {
        fail_open(c, c->breaker->open_until_ns - now);
        return;
    }
    if (!c->paced && !pace(c, now))
        return;
    if (c->auth && !(c->line = moon_auth_acquire(c->auth))) {
        c->waits_for_token = true;
        moon_auth_wait(c->auth, &c->token_wait, on_token, c);
        return;
    }
    if (c->breaker) {
        c->has_ticket = moon_breaker_allow(c->breaker, now, &c->ticket, &retry_in);
        if (!c->has_ticket) {
            fail_open(c, retry_in);
            return;
        }
    }
    if (attempt(c, now, &err) != 0)
        fail_unsent(c, err.code, err.message, "");
}

static const char *what_for(const struct moon_http_call *c) {
    if (c->state == HTTP_QUEUED)
        return "the deadline passed before the call got a place among its client's calls";
    return c->waits_for_token ? "the deadline passed while waiting for a token"
                              : "the deadline passed while waiting for the next attempt";
}

/* The deadline, or the time to connect. */
static void on_due(void *ud) {
    struct moon_http_call *c = ud;
    int64_t now = now_ns(c), connect_due = c->attempt_ns + c->client->connect_timeout_ns;
    bool connecting = c->state == HTTP_ON_WIRE && c->transfer->starts == 0;
    if (now >= c->due_ns && c->state == HTTP_ON_WIRE)
        attempt_ended(c, CURLE_OPERATION_TIMEDOUT, MOON_ETIMEOUT);
    else if (now >= c->due_ns)
        fail_unsent(c, MOON_ETIMEOUT, what_for(c), "");
    else if (connecting && now >= connect_due)
        attempt_ended(c, CURLE_OPERATION_TIMEDOUT, 0);
    else
        watch_time(c, now, connecting ? connect_due : INT64_MAX);
}

/* ---- the start ---- */

/* result->url and host. */
static int set_target(struct moon_http_call *c, struct moon_err *err) {
    struct moon_http_client *client = c->client;
    struct moon_buf *to = &c->result->url, *url = &c->rq.url;
    char origin[MOON_HTTP_ORIGIN_SIZE];
    const char *text = url->len ? url->data : "";
    int rc = moon_http_check_url(text, url->len, err);
    if (rc != 0)
        return rc;
    if (client->base_url && (url->len == 0 || *text == '/')) {
        c->host = client->host;
        if (moon_buf_puts(to, client->base_url) != 0 || moon_buf_append(to, text, url->len) != 0)
            return moon_err_set(err, MOON_ENOMEM, "out of memory");
        return 0;
    }
    if (*text == '/')
        return moon_err_set(err, MOON_EINVAL, "a path needs a client with a base URL: '%.120s'", text);
    if ((rc = moon_http_origin(text, url->len, origin, err)) != 0)
        return rc;
    struct moon_buf swap = *to;
    *to = *url;
    *url = swap;
    c->host =
        client->host && strcmp(client->host->origin, origin) == 0 ? client->host : moon_http_host_get(c->http, origin);
    return c->host ? 0 : moon_err_set(err, MOON_ENOMEM, "out of memory");
}

static int set_auth(struct moon_http_call *c, struct moon_err *err) {
    struct moon_auth *a = c->client->auth;
    if (!a || !c->host || strcmp(moon_auth_origin(a), c->host->origin) != 0)
        return 0;
    if (c->has_authorization || c->client->has_authorization)
        return moon_err_set(err, MOON_EINVAL, "header Authorization: the client's credential already sets it for %s",
                            c->host->origin);
    c->auth = a;
    return 0;
}

/* The lines, then what the body needs, then the client's constant headers. */
static void chain_headers(struct moon_http_call *c) {
    static char no_type[] = "Content-Type:", no_expect[] = "Expect:", gzip[] = "Accept-Encoding: gzip";
    struct curl_slist *tail = c->client->tail, *node = c->node + 1;
    if (c->rq.has_body && !c->has_content_type && !c->client->has_content_type) {
        *node = (struct curl_slist){c->rq.content_type ? (char *)(uintptr_t)c->rq.content_type : no_type, tail};
        tail = node++;
    } else if (!c->rq.has_body && !c->has_encoding && !c->client->has_encoding) { /* curl_easy.c has set it, too */
        *node = (struct curl_slist){gzip, tail};
        tail = node++;
    }
    if (c->rq.body.len > 1 << 19) { /* libcurl asks for a 100 above 1 MiB, and waits a second for it */
        *node = (struct curl_slist){no_expect, tail};
        tail = node++;
    }
    c->node[0].next = moon_http_lines_chain(&c->lines, node, tail);
}

/* Nearly all calls of a client are to its own host and one family. */
static struct moon_breaker *breaker_of(struct moon_http_call *c) {
    struct moon_http_client *client = c->client;
    const char *family = c->rq.family ? c->rq.family : "";
    if (client->breaker && c->host == client->host && strcmp(client->family, family) == 0)
        return client->breaker;
    struct moon_breaker *b = moon_breakers_get(c->http->breakers, c->host->origin, family, NULL);
    if (b && c->host == client->host && strlen(family) < sizeof client->family) {
        client->breaker = b;
        memcpy(client->family, family, strlen(family) + 1);
    }
    return b;
}

static int prepare(struct moon_http_call *c, struct moon_err *err) {
    struct moon_http_client *client = c->client;
    int rc = set_target(c, err);
    if (rc != 0 || (rc = set_auth(c, err)) != 0)
        return rc;
    if (c->rq.body.len > MOON_HTTP_BODY_MAX)
        return moon_err_set(err, MOON_ETOOBIG, "a body of %zu bytes: at most 64 MiB are sent", c->rq.body.len);
    if (!client->no_breaker && !(c->breaker = breaker_of(c)))
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (!c->rq.max_body || c->rq.max_body > client->max_body)
        c->rq.max_body = client->max_body;
    c->result->method = c->rq.method;
    c->result->conditional = c->rq.conditional;
    chain_headers(c);
    return 0;
}

static void join(struct moon_http_call *c) {
    struct moon_http *h = c->http;
    c->next = h->live;
    c->prev = &h->live;
    if (h->live)
        h->live->prev = &c->next;
    h->live = c;
    h->stats.calls++;
    h->stats.live_calls++;
}

static void ask_place(struct moon_http_call *c) {
    struct moon_http_client *client = c->client;
    if (client->concurrency > 0 && client->busy >= client->concurrency) {
        c->state = HTTP_QUEUED;
        c->queue_next = NULL;
        c->queue_prev = client->queue_end;
        *client->queue_end = c;
        client->queue_end = &c->queue_next;
        return;
    }
    client->busy++;
    c->has_place = true;
    step(c);
}

int moon_http_start(struct moon_http_call *c, void (*done)(void *ud), void *ud, struct moon_err *err) {
    int rc = prepare(c, err);
    if (rc != 0)
        return rc;
    c->done = done;
    c->ud = ud;
    c->started_ns = c->ready_ns = c->attempt_ns = now_ns(c);
    c->due_ns = c->started_ns + (c->rq.deadline_ns > 0 ? c->rq.deadline_ns : c->client->deadline_ns);
    if (watch_time(c, c->started_ns, c->started_ns + c->client->connect_timeout_ns) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    join(c);
    ask_place(c);
    return 0;
}
