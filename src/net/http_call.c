/* http_call.c - a call's life: out of the pool, filled, started, attempted until it is over or its deadline passes,
 * ended in whatever state it is, and back. It has the only loop that sends anything again. step() has the order of what
 * a call waits for, and comes back there after each wait. What comes in from outside (a timer, a token, libcurl's end
 * of a transfer) enters through a function named on_.
 *
 * One file, though long: each wait can be ended by each of the others, so its parts all call each other. */
#include "http_internal.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEEP_BUF       16384
#define SPARE_CALLS    1024
#define SPREAD_NS      (200 * MOON_NS_PER_MS) /* over which those who waited for a breaker come back */
#define TOKEN_WAIT_NS  (10 * MOON_NS_PER_S)   /* for one, where the user has said how often a call is tried */
#define BUDGET_WAIT_NS (250 * MOON_NS_PER_MS) /* least time between two looks at an empty retry budget */

#define UNPROCESSED_MAX 200 /* refusals of a server to take a call's request, before it counts as failed */

static void step(struct moon_http_call *c);
static void on_due(void *ud);

static int64_t now_of(const struct moon_http_call *c) {
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

static void unhold(struct moon_http_call *c) {
    *c->queue_prev = c->queue_next;
    if (c->queue_next)
        c->queue_next->queue_prev = c->queue_prev;
    c->queue_prev = NULL;
}

static void uncrowd(struct moon_http_call *c) {
    *c->queue_prev = c->queue_next;
    if (c->queue_next)
        c->queue_next->queue_prev = c->queue_prev;
    else
        c->http->crowd_end = c->queue_prev;
    c->queue_prev = NULL;
}

static void on_place(void *ud) {
    step(ud);
}

static void drop_transfer(struct moon_http_call *c) {
    struct moon_http *h = c->http;
    moon_curl_put(c->transfer);
    c->transfer = NULL;
    if (!c->wired)
        return;
    c->wired = false;
    h->on_wire--;
    struct moon_http_call *next = h->crowd;
    if (!next || h->on_wire >= h->wire_max)
        return;
    uncrowd(next);
    next->state = HTTP_WAITING;
    moon_loop_defer(h->loop, &next->defer, on_place, next);
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
    c->waits_for_token = c->asks = false;
    if (c->state == HTTP_QUEUED)
        leave_queue(c);
    else if (c->state == HTTP_HELD)
        unhold(c);
    else if (c->state == HTTP_CROWDED)
        uncrowd(c);
}

/* Lets go of all that a call holds outside itself. */
static void let_go(struct moon_http_call *c) {
    stop_waiting(c);
    if (c->has_ticket)
        moon_breaker_record(c->breaker, c->ticket, MOON_BREAKER_IGNORE, now_of(c));
    c->has_ticket = false;
    drop_transfer(c);
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
static void finish(void *ud) {
    struct moon_http_call *c = ud;
    c->result->elapsed_ns = now_of(c) - c->started_ns;
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

/* ---- what came of it ---- */

static struct moon_retry_call as_retry_call(const struct moon_http_call *c, int64_t now) {
    return (struct moon_retry_call){
        .method = c->rq.method,
        .keyed = c->keyed,
        .idempotent = c->rq.idempotent,
        .maybe_applied = c->maybe_applied,
        .attempt = c->failures > 0 ? c->failures : 1,
        .remaining_ns = c->due_ns - now,
        .deadline_ns = c->due_ns - c->started_ns,
        .status = c->last.status,
    };
}

/* A lost connection is how it ended; that nobody knows what it did is what matters. */
static int code_of_end(const struct moon_http_verdict *v, const struct moon_retry_decision *d) {
    return v->code == MOON_ENETWORK && strcmp(d->outcome, "unknown") == 0 ? MOON_EUNKNOWN : v->code;
}

bool moon_http_call_replayable(const struct moon_http_call *c) {
    struct moon_retry_call rc = as_retry_call(c, 0);
    return moon_retry_replayable(&rc);
}

/* Ends a call that waited for another attempt with what came of the last one. */
static void give_up(struct moon_http_call *c, enum moon_retry_verdict why, int64_t wait_ns) {
    struct moon_http_result *r = c->result;
    struct moon_retry_call rc = as_retry_call(c, now_of(c));
    struct moon_retry_decision d = moon_retry_decide(&c->client->policy, &rc, c->last.cls, -1, c->http->rng);
    d.verdict = why;
    d.wait_ns = wait_ns;
    r->code = code_of_end(&c->last, &d);
    r->status = c->last.status;
    r->outcome = d.outcome;
    r->retry_after_ns = wait_ns > 0 ? wait_ns : c->last.retry_after_ns;
    moon_http_explain(c, &c->last, &rc, &d, c->last_result);
    finish_later(c);
}

/* Ends a call that failed on its way to an attempt. An earlier one may have been sent all the same. */
static void fail_unsent(struct moon_http_call *c, int code, const char *message, const char *hint) {
    struct moon_http_result *r = c->result;
    struct moon_retry_call rc = as_retry_call(c, now_of(c));
    enum moon_fail_class cls = c->failures > 0 ? c->last.cls : MOON_FAIL_NOT_SENT;
    r->code = code;
    r->status = 0;
    r->outcome = moon_retry_decide(&c->client->policy, &rc, cls, -1, c->http->rng).outcome;
    moon_buf_clear(&r->message);
    moon_buf_clear(&r->hint);
    moon_buf_puts(&r->message, message);
    moon_buf_puts(&r->hint, hint);
    finish_later(c);
}

/* ---- an attempt ---- */

static void debug_attempt(const struct moon_http_call *c, const struct moon_http_attempt *a,
                          const struct moon_rate_limit *limit) {
    struct moon_log *log = c->http->log;
    if (!log || log->level < MOON_LOG_DEBUG)
        return;
    char left[64] = "";
    if (limit->left >= 0)
        snprintf(left, sizeof left, "; the rate limit leaves %lld requests", (long long)limit->left);
    moon_log_write(log, MOON_LOG_DEBUG, "http: %s %s: attempt %d: %s %d after %.1f ms%s", c->rq.method,
                   c->result->url.data, a->n, a->code ? moon_code_name(a->code) : "status", a->status,
                   (double)a->elapsed_ns / 1e6, left);
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

static enum moon_breaker_result breaker_result(const struct moon_http_call *c, const struct moon_http_verdict *v,
                                               int64_t elapsed_ns) {
    bool hung = v->cls == MOON_FAIL_AMBIGUOUS && v->code == MOON_ETIMEOUT && elapsed_ns >= MOON_BREAKER_HUNG_NS &&
                c->transfer->head_state == MOON_CURL_HEAD_NONE;
    return hung ? MOON_BREAKER_HUNG : moon_breaker_judge(v->cls, v->status);
}

static void record(struct moon_http_call *c, const struct moon_http_verdict *v, int64_t now) {
    struct moon_http_result *r = c->result;
    struct moon_http_attempt *a = moon_http_result_attempt(r), spare;
    if (!a) /* the record is lost, the call goes on */
        a = &spare;
    *a = (struct moon_http_attempt){.n = r->n_attempts, .status = v->status, .code = v->code, .cls = v->cls};
    a->wait_ns = c->attempt_ns - c->ready_ns;
    a->elapsed_ns = now - c->attempt_ns;
    if (c->has_ticket && v->unprocessed)
        moon_breaker_record(c->breaker, c->ticket, MOON_BREAKER_IGNORE, now);
    else if (c->has_ticket && v->lost)
        moon_breaker_lost(c->breaker, c->ticket, c->attempt_ns, now);
    else if (c->has_ticket)
        moon_breaker_record(c->breaker, c->ticket, breaker_result(c, v, a->elapsed_ns), now);
    c->has_ticket = false;
    c->maybe_applied |= v->cls == MOON_FAIL_AMBIGUOUS;
    count(c, a);
    if (c->span)
        moon_http_trace_attempt(c, a);
    debug_attempt(c, a, &v->limit);
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
    drop_transfer(c);
    moon_auth_line_unref(c->line);
    c->line = NULL;
    c->state = HTTP_WAITING;
    c->paced = c->cleared = false;
    c->ready_ns = now;
    moon_timer_start(c->http->loop, &c->wait, wait_ns, on_place, c);
}

static void log_again(const struct moon_http_call *c, const struct moon_http_verdict *v, int64_t wait_ns) {
    struct moon_log *log = c->http->log;
    if (!log || log->level < MOON_LOG_INFO)
        return;
    char status[16];
    snprintf(status, sizeof status, "%d", v->status);
    moon_log_write(log, MOON_LOG_INFO, "http: %s %s: %s; attempt %d in %.1f s", c->rq.method, c->result->url.data,
                   v->status ? status : moon_code_name(v->code), c->result->n_attempts + 1, (double)wait_ns / 1e9);
}

/* After a failed attempt: once more, or the end. */
static void retry_or_fail(struct moon_http_call *c, const struct moon_http_verdict *v, CURLcode result, int64_t now) {
    struct moon_http_result *r = c->result;
    c->failures++;
    c->last = *v;
    c->last_result = result;
    struct moon_retry_call rc = as_retry_call(c, now);
    struct moon_retry_decision d = moon_retry_decide(&c->client->policy, &rc, v->cls, v->retry_after_ns, c->http->rng);
    if (d.verdict == MOON_RETRY_AGAIN && (v->hopeless || (c->rq.no_wait && v->status)))
        d.verdict = MOON_RETRY_FINAL;
    if (d.verdict == MOON_RETRY_AGAIN) {
        log_again(c, v, d.wait_ns);
        c->pays = true;
        again(c, d.wait_ns, now);
        return;
    }
    r->code = code_of_end(v, &d);
    r->status = v->status;
    r->outcome = d.outcome;
    r->retry_after_ns = v->retry_after_ns;
    r->hopeless = v->hopeless;
    moon_http_explain(c, v, &rc, &d, result);
    finish(c);
}

/* A refusal for the rate is the family's: another model, say, may have a limit of its own. What other answers say of
 * the limit goes for the host. */
static void note_limits(struct moon_http_call *c, const struct moon_http_verdict *v, int64_t now) {
    const struct moon_rate_limit *l = &v->limit;
    if (c->breaker && v->retry_after_ns > 0 && (v->cls == MOON_FAIL_REFUSED || v->cls == MOON_FAIL_AMBIGUOUS))
        c->breaker->pause_until_ns = now + v->retry_after_ns;
    if (v->cls != MOON_FAIL_REFUSED && l->left >= 0 && !c->client->no_pacer)
        moon_pacer_update(&c->host->pacer, now, l->left, l->allowed, l->reset_ns);
}

/* The server refused to take it, and is well: so once more soon, whatever the request and the policy are. The first
 * times at once, as a connection that goes away is replaced by another. */
static bool again_unprocessed(struct moon_http_call *c, int64_t now) {
    int n = c->unprocessed++;
    int64_t top = MOON_NS_PER_MS << (n < 10 ? n : 10);
    if (n >= UNPROCESSED_MAX)
        return false;
    again(c, n < 2 ? 0 : (int64_t)moon_rng_below(c->http->rng, (uint64_t)top), now);
    return true;
}

static void attempt_ended(struct moon_http_call *c, CURLcode result, int code) {
    int64_t now = now_of(c);
    struct moon_http_verdict v;
    bool earlier = c->maybe_applied;
    moon_http_judge(&v, c, result, code, moon_wall_ns(moon_loop_clock(c->http->loop)));
    if (!code && c->transfer->switching && c->unprocessed < UNPROCESSED_MAX) { /* it was not an attempt */
        c->fresh |= c->transfer->stale;
        c->http->stats.attempts--;
        if (c->has_ticket)
            moon_breaker_record(c->breaker, c->ticket, MOON_BREAKER_IGNORE, now);
        c->has_ticket = false;
        int64_t ready_ns = c->ready_ns;
        again_unprocessed(c, now);
        c->ready_ns = ready_ns;
        return;
    }
    record(c, &v, now);
    if (v.unprocessed && !code && again_unprocessed(c, now))
        return;
    if (v.status) {
        note_limits(c, &v, now);
        if (replays_unauthorized(c, v.status)) {
            c->replayed = true;
            again(c, 0, now);
            return;
        }
        if (v.status == 421 && !c->misdirected) { /* this connection is not for this host: once over another */
            c->misdirected = c->fresh = true;
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
static int watch(struct moon_http_call *c, int64_t now, int64_t connect_due_ns) {
    int64_t at = connect_due_ns < c->due_ns ? connect_due_ns : c->due_ns;
    return moon_timer_start(c->http->loop, &c->deadline, at > now ? at - now : 0, on_due, c);
}

static int attempt(struct moon_http_call *c, int64_t now, struct moon_err *err) {
    struct moon_http_result *r = c->result;
    int64_t left = c->due_ns - now;
    struct moon_curl_transfer *t = c->transfer = moon_curl_get(c->http->curl, err);
    if (!t)
        return err->code;
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
        .identified = c->host->identified,
        .proxy = c->host->proxy,
        .name = &c->host->name,
        .peer = &c->host->peer,
        .careful = !moon_http_call_replayable(c),
        .fresh = c->fresh,
        .connect_only = c->rq.connect_only,
        .connect_ns = left < c->client->connect_timeout_ns ? left : c->client->connect_timeout_ns,
    };
    int rc = moon_curl_start(t, &rq, err);
    if (rc != 0)
        return rc;
    c->state = HTTP_ON_WIRE;
    c->attempt_ns = now;
    c->wired = true;
    c->http->on_wire++;
    c->http->stats.attempts++;
    if (r->n_attempts == 0)
        moon_retry_budget_call(&c->host->budget);
    else
        watch(c, now, now + c->client->connect_timeout_ns);
    return 0;
}

/* ---- waiting ---- */

/* Whether a failure to get a token may pass: the login host is away. */
static bool is_passing(int code) {
    return code == MOON_ECONNECT || code == MOON_ENETWORK || code == MOON_ETIMEOUT || code == MOON_EBREAKER;
}

static void on_token(void *ud, const struct moon_err *err) {
    struct moon_http_call *c = ud;
    int64_t now = now_of(c);
    c->waits_for_token = false;
    if (!err) {
        step(c);
        return;
    }
    struct moon_retry_call rc = as_retry_call(c, now);
    rc.attempt = ++c->token_failures;
    struct moon_retry_decision d = moon_retry_decide(&c->client->policy, &rc, MOON_FAIL_NOT_SENT, -1, c->http->rng);
    bool passing = is_passing(err->code);
    bool counted = c->client->policy.max_attempts > 0; /* the login host was tried again and again already */
    if (passing && d.verdict == MOON_RETRY_AGAIN && !c->rq.no_wait && !counted &&
        rc.remaining_ns > c->client->policy.base_ns)
        again(c, d.wait_ns, now);
    else if (passing && c->failures > 0)
        give_up(c, MOON_RETRY_DEADLINE, 0);
    else
        fail_unsent(c, passing ? moon_auth_last_failure(c->auth)->code : err->code,
                    passing ? moon_auth_last_failure(c->auth)->message : err->message, moon_auth_hint(c->auth));
}

/* A wait that others have for the same reason is told once. */
static void tell_wait(struct moon_http_call *c, enum moon_http_wait why, int64_t wait_ns, int64_t now) {
    struct moon_http_host *h = c->host;
    struct moon_log *log = c->http->log;
    long long seconds = (long long)((wait_ns + MOON_NS_PER_S - 1) / MOON_NS_PER_S);
    bool known = h->wait_why == why && now + wait_ns < h->wait_until_ns + MOON_NS_PER_S;
    if (!known || h->wait_until_ns < now + wait_ns)
        h->wait_until_ns = now + wait_ns;
    h->wait_why = why;
    if (known || !log || wait_ns < 3 * MOON_NS_PER_S / 2)
        return;
    if (why == MOON_HTTP_WAIT_RATE)
        moon_log_write(log, MOON_LOG_WARN, "%s: waiting %lld s for the rate limit", h->origin, seconds);
    else
        moon_log_write(log, MOON_LOG_WARN, "%s: gateway unavailable, waiting %lld s", h->origin, seconds);
}

/* ---- the breaker is open ---- */

static void fail_open(struct moon_http_call *c, int64_t retry_in_ns, int64_t now) {
    char message[MOON_HTTP_ORIGIN_SIZE + 120];
    double down = (double)moon_breaker_down_ns(c->breaker, now) / 1e9,
           deadline = (double)(c->due_ns - c->started_ns) / 1e9;
    if (c->failures > 0) {
        give_up(c, MOON_RETRY_BREAKER_OPEN, 0);
        return;
    }
    int n = snprintf(message, sizeof message, "%s is unavailable: the circuit breaker is open for another %.1f s",
                     c->host->origin, (double)retry_in_ns / 1e9);
    if (down >= deadline)
        snprintf(message + n, sizeof message - (size_t)n, ", after %.0f s of failures", down);
    else if (retry_in_ns >= c->due_ns - now)
        snprintf(message + n, sizeof message - (size_t)n, ", past the %.3g s deadline", deadline);
    fail_unsent(c, MOON_EBREAKER, message, "Retry when the service is available again.");
}

/* Joins those who wait until the breaker lets a call through; or ends. Once the host has been down for a whole deadline
 * nobody waits any more: only the probe goes. */
static void wait_for_breaker(struct moon_http_call *c, int64_t now) {
    struct moon_http *h = c->http;
    int64_t in = moon_breaker_retry_in_ns(c->breaker, now), left = c->due_ns - now;
    bool open = moon_breaker_state(c->breaker, now) == MOON_BREAKER_OPEN;
    bool patient = c->client->policy.max_attempts != 1 && !c->rq.no_wait;
    if (!patient || (open && in >= left) || moon_breaker_down_ns(c->breaker, now) >= c->due_ns - c->started_ns) {
        fail_open(c, in, now);
        return;
    }
    moon_auth_line_unref(c->line);
    c->line = NULL;
    c->cleared = false; /* what its owner knew may no longer be so */
    c->state = HTTP_HELD;
    c->queue_next = h->held;
    c->queue_prev = &h->held;
    if (h->held)
        h->held->queue_prev = &c->queue_next;
    h->held = c;
    if (open)
        tell_wait(c, MOON_HTTP_WAIT_BREAKER, in, now);
    moon_timer_start(h->loop, &c->wait, in < left ? in : left, on_place, c);
}

/* A breaker's state has changed: those who wait go on, spread a little, or have a new time to wait for. */
void moon_http_on_breaker(void *ud) {
    struct moon_http *h = ud;
    int64_t now = moon_loop_now_ns(h->loop);
    for (struct moon_http_call *c = h->held; c; c = c->queue_next) {
        int64_t in = moon_breaker_retry_in_ns(c->breaker, now);
        if (moon_breaker_state(c->breaker, now) == MOON_BREAKER_OPEN)
            tell_wait(c, MOON_HTTP_WAIT_BREAKER, in, now);
        else if (in == 0)
            in = (int64_t)moon_rng_below(h->rng, SPREAD_NS);
        moon_timer_start(h->loop, &c->wait, in, on_place, c);
    }
}

/* ---- before an attempt ---- */

static void fail_limited(struct moon_http_call *c, int64_t wait_ns, int64_t now) {
    struct moon_retry_call rc = as_retry_call(c, now);
    struct moon_retry_decision d = {MOON_RETRY_AFTER_LATE, wait_ns, "not_sent"};
    char message[160], hint[80];
    if (c->failures > 0) {
        give_up(c, MOON_RETRY_AFTER_LATE, wait_ns);
        return;
    }
    rc.status = 0;
    moon_retry_explain(&d, &rc, message, sizeof message);
    snprintf(hint, sizeof hint, "Raise --deadline, or retry in %lld s.",
             (long long)((wait_ns + MOON_NS_PER_S - 1) / MOON_NS_PER_S));
    c->result->retry_after_ns = wait_ns;
    fail_unsent(c, MOON_ETIMEOUT, message, hint);
}

/* Takes a place in the limiter and the pacer, behind the pause that the server asked for. True: it is this attempt's
 * turn now. */
static bool pace(struct moon_http_call *c, int64_t now) {
    struct moon_limiter *l = &c->client->limiter;
    struct moon_pacer *p = c->client->no_pacer ? NULL : &c->host->pacer;
    int64_t wait = moon_limiter_wait_ns(l, now), left = c->due_ns - now;
    int64_t paced = p ? moon_pacer_wait_ns(p, now) : 0, pause = c->breaker ? c->breaker->pause_until_ns - now : 0;
    if (p && p->left > 0 && paced >= left) /* it may go: it was only to be spread */
        paced = left / 2;
    int64_t asked = paced > pause ? paced : pause;
    if (asked > wait)
        wait = asked;
    if (wait <= 0 && left <= 0) { /* the wait before it came to its end with the deadline, or later */
        on_due(c);
        return false;
    }
    if (wait >= left) {
        fail_limited(c, wait, now);
        return false;
    }
    moon_limiter_take(l, now);
    if (p)
        moon_pacer_take(p, now);
    c->paced = true;
    if (wait <= 0)
        return true;
    if (asked > 0 && (!p || p->left <= 0 || pause > paced))
        tell_wait(c, MOON_HTTP_WAIT_RATE, asked, now);
    c->state = HTTP_WAITING;
    moon_timer_start(c->http->loop, &c->wait, wait, on_place, c);
    return false;
}

/* The owner is asked last, when all waits are over: what it finds out must still be so when the request goes out. */
static bool wants_to_ask(const struct moon_http_call *c, int64_t now) {
    if (c->cleared || c->rq.ask == MOON_HTTP_ASK_NEVER)
        return false;
    return c->rq.ask == MOON_HTTP_ASK_EACH || c->result->n_attempts > 0 || now - c->started_ns > MOON_NS_PER_S;
}

static void on_ask(void *ud) {
    struct moon_http_call *c = ud;
    c->done(c->ud);
}

bool moon_http_asks(const struct moon_http_call *c) {
    return c->asks;
}

bool moon_http_go(struct moon_http_call *c) {
    if (!c->asks)
        return !c->taken;
    c->asks = false;
    c->cleared = true;
    step(c);
    return true;
}

int moon_http_attempts(const struct moon_http_call *c, bool *unsure) {
    *unsure = c->maybe_applied;
    return c->result->n_attempts;
}

static void unpace(struct moon_http_call *c) {
    if (c->paced)
        moon_limiter_give_back(&c->client->limiter);
    c->paced = false;
}

/* A retry pays for itself; a probe of the breaker goes for all. */
static bool may_pay(struct moon_http_call *c, int64_t now) {
    bool probe = c->breaker && c->breaker->state == MOON_BREAKER_HALF_OPEN;
    if (!c->pays || probe || moon_retry_budget_take(&c->host->budget, now)) {
        c->pays = false;
        return true;
    }
    if (c->has_ticket)
        moon_breaker_record(c->breaker, c->ticket, MOON_BREAKER_IGNORE, now);
    c->has_ticket = false;
    unpace(c);
    int64_t wait = BUDGET_WAIT_NS + (int64_t)moon_rng_below(c->http->rng, 2 * BUDGET_WAIT_NS);
    if (wait >= c->due_ns - now)
        give_up(c, MOON_RETRY_NO_BUDGET, 0);
    else
        again(c, wait, now);
    return false;
}

/* ---- connections ---- */

/* Whether the limit of open files leaves no connection for the call just now: then it waits for its turn. */
static bool is_crowded(struct moon_http_call *c) {
    struct moon_http *h = c->http;
    if (h->wire_max == 0)
        h->wire_max = moon_curl_room(h->curl);
    if (h->on_wire < h->wire_max)
        return false;
    if (!h->crowd_told && h->log)
        moon_log_write(
            h->log, MOON_LOG_WARN,
            "the limit of open files (ulimit -n) leaves room for %zu connection%s: fewer calls run in parallel",
            h->wire_max, h->wire_max == 1 ? "" : "s");
    h->crowd_told = true;
    moon_auth_line_unref(c->line);
    c->line = NULL;
    c->cleared = false; /* what its owner knew may no longer be so */
    c->state = HTTP_CROWDED;
    if (!h->crowd)
        h->crowd_end = &h->crowd;
    c->queue_next = NULL;
    c->queue_prev = h->crowd_end;
    *h->crowd_end = c;
    h->crowd_end = &c->queue_next;
    return true;
}

/* A call whose tries are counted does not wait for its token until the deadline. */
static int64_t token_due(const struct moon_http_call *c, int64_t now) {
    int64_t soon = now + TOKEN_WAIT_NS;
    return c->client->policy.max_attempts > 0 && soon < c->due_ns ? soon : c->due_ns;
}

/* Goes as far as it can towards the next attempt, and comes back here after each wait. */
static void step(struct moon_http_call *c) {
    int64_t now = now_of(c);
    struct moon_err err;
    if (c->state == HTTP_HELD)
        unhold(c);
    c->state = HTTP_WAITING;
    if (c->breaker && moon_breaker_state(c->breaker, now) == MOON_BREAKER_OPEN) {
        wait_for_breaker(c, now);
        return;
    }
    if (!c->paced && !pace(c, now))
        return;
    if (c->auth && !c->line && !(c->line = moon_auth_acquire(c->auth, token_due(c, now)))) {
        c->waits_for_token = true;
        moon_auth_wait(c->auth, &c->token_wait, on_token, c);
        return;
    }
    if (wants_to_ask(c, now)) {
        c->asks = true;
        moon_loop_defer(c->http->loop, &c->defer, on_ask, c);
        return;
    }
    if (is_crowded(c))
        return;
    if (c->breaker && !(c->has_ticket = moon_breaker_allow(c->breaker, now, &c->ticket, NULL))) {
        wait_for_breaker(c, now);
        return;
    }
    if (!may_pay(c, now))
        return;
    if (attempt(c, now, &err) != 0)
        fail_unsent(c, err.code, err.message, "");
}

static const char *what_for(const struct moon_http_call *c) {
    if (c->state == HTTP_QUEUED)
        return "the deadline passed before the call got a place among its client's calls";
    if (c->state == HTTP_HELD)
        return "the deadline passed while the circuit breaker was open: the service is unavailable";
    if (c->state == HTTP_CROWDED)
        return "the deadline passed while waiting for a connection: the limit of open files allows no more";
    return c->waits_for_token ? "the deadline passed while waiting for a token"
                              : "the deadline passed while waiting for the next attempt";
}

/* The deadline, or the time to connect. */
static void on_due(void *ud) {
    struct moon_http_call *c = ud;
    int64_t now = now_of(c), connect_due = c->attempt_ns + c->client->connect_timeout_ns;
    bool connecting = c->state == HTTP_ON_WIRE && c->transfer->starts == 0;
    if (now >= c->due_ns && c->state == HTTP_ON_WIRE)
        attempt_ended(c, CURLE_OPERATION_TIMEDOUT, MOON_ETIMEOUT);
    else if (now >= c->due_ns && c->failures > 0)
        give_up(c, MOON_RETRY_DEADLINE, 0);
    else if (now >= c->due_ns && c->token_failures > 0)
        fail_unsent(c, moon_auth_last_failure(c->auth)->code, moon_auth_last_failure(c->auth)->message,
                    moon_auth_hint(c->auth));
    else if (now >= c->due_ns)
        fail_unsent(c, MOON_ETIMEOUT, what_for(c), "");
    else if (connecting && now >= connect_due)
        attempt_ended(c, CURLE_OPERATION_TIMEDOUT, 0);
    else
        watch(c, now, connecting ? connect_due : INT64_MAX);
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
    bool checked = !(c->rq.test && c->host->loopback);
    if (checked && c->rq.reads_only && !moon_retry_safe(c->rq.method))
        return moon_err_set(err, MOON_EDENIED,
                            "%s with the session's credential: a script writes through the gateway "
                            "(run.gateway:write, post_path and the like), which audits it and heeds --dry-run",
                            c->rq.method);
    if (checked && c->rq.one_method &&
        (c->has_override || c->client->has_override || moon_http_url_names_method(c->result->url.data)))
        return moon_err_set(err, MOON_EDENIED,
                            "%s with the session's credential names another method in a header or its query: "
                            "use that method, so that the audit log and --dry-run know what is sent",
                            c->rq.method);
    c->auth = a;
    return 0;
}

/* The lines, then what the body needs, then the client's constant headers. */
static void chain_headers(struct moon_http_call *c) {
    static char no_type[] = "Content-Type:", no_expect[] = "Expect:", gzip[] = "Accept-Encoding: gzip";
    bool asks = c->has_encoding || c->client->has_encoding;
    struct curl_slist *tail = c->client->tail, *node = c->node + 1;
    if (c->rq.has_body && !c->has_content_type && !c->client->has_content_type) {
        *node = (struct curl_slist){c->rq.content_type ? (char *)(uintptr_t)c->rq.content_type : no_type, tail};
        tail = node++;
    }
    if (!c->rq.has_body && !asks) { /* what is read may be large; what answers a write is not */
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
    const struct moon_proxies *proxies = c->http->proxies;
    int rc = set_target(c, err);
    if (rc != 0 || (rc = set_auth(c, err)) != 0)
        return rc;
    if (proxies && proxies->wrong.code && !c->host->loopback) /* never past a proxy that was meant to be used */
        return moon_err_set(err, proxies->wrong.code, "%s: not sent: %s", c->host->origin, proxies->wrong.message);
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
    c->started_ns = c->ready_ns = c->attempt_ns = now_of(c);
    c->due_ns = c->started_ns + (c->rq.deadline_ns > 0 ? c->rq.deadline_ns : c->client->deadline_ns);
    if (watch(c, c->started_ns, c->started_ns + c->client->connect_timeout_ns) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    join(c);
    ask_place(c);
    return 0;
}
