/* http_attempt.c - from a call that may go on to its end: the waits before an attempt, the attempt, what came of it,
 * and the only loop that sends anything again. Whatever comes in from outside (a timer, a token, libcurl's end of a
 * transfer) enters through a function named on_. */
#include "http_internal.h"

#include <stdio.h>
#include <string.h>

static void on_due(void *ud);

/* ---- what came of it ---- */

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

bool moon_http_call_replayable(const struct moon_http_call *c) {
    struct moon_retry_call rc = as_retry_call(c, 0);
    return moon_retry_replayable(&rc);
}

/* Ends a call that failed while it waited: this attempt did not go out. */
static void fail_unsent(struct moon_http_call *c, int code, const char *message, const char *hint) {
    struct moon_http_result *r = c->result;
    struct moon_retry_call rc = as_retry_call(c, moon_http_call_now(c));
    r->code = code;
    r->status = 0;
    r->outcome = moon_retry_decide(&c->client->policy, &rc, MOON_FAIL_NOT_SENT, -1, c->http->rng).outcome;
    moon_buf_clear(&r->message);
    moon_buf_clear(&r->hint);
    moon_buf_puts(&r->message, message);
    moon_buf_puts(&r->hint, hint);
    moon_http_call_finish_later(c);
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
    c->paced = c->cleared = false;
    c->ready_ns = now;
    moon_timer_start(c->http->loop, &c->wait, wait_ns, moon_http_call_on_place, c);
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
    moon_http_call_finish(c);
}

static void attempt_ended(struct moon_http_call *c, CURLcode result, int code) {
    int64_t now = moon_http_call_now(c);
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
    moon_http_call_finish(c);
}

static void on_transfer_done(struct moon_curl_transfer *t, CURLcode result) {
    attempt_ended(t->ud, result, 0);
}

/* Fails only for a timer that is not running: the first of a call. */
int moon_http_call_watch(struct moon_http_call *c, int64_t now, int64_t connect_due_ns) {
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
        .connect_ns = left < c->client->connect_timeout_ns ? left : c->client->connect_timeout_ns,
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
        moon_http_call_watch(c, now, now + c->client->connect_timeout_ns);
    return 0;
}

/* ---- before an attempt ---- */

static void on_token(void *ud, const struct moon_err *err) {
    struct moon_http_call *c = ud;
    c->waits_for_token = false;
    if (err)
        fail_unsent(c, err->code, err->message, moon_auth_hint(c->auth));
    else
        moon_http_call_step(c);
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
    moon_timer_start(c->http->loop, &c->wait, wait, moon_http_call_on_place, c);
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
    moon_http_call_step(c);
    return true;
}

int moon_http_attempts(const struct moon_http_call *c, bool *unsure) {
    *unsure = c->maybe_applied;
    return c->result->n_attempts;
}

/* Goes as far as it can towards the next attempt, and comes back here after each wait. */
void moon_http_call_step(struct moon_http_call *c) {
    int64_t now = moon_http_call_now(c), retry_in = 0;
    struct moon_err err;
    c->state = HTTP_WAITING;
    if (c->breaker && moon_breaker_state(c->breaker, now) == MOON_BREAKER_OPEN) {
        fail_open(c, c->breaker->open_until_ns - now);
        return;
    }
    if (!c->paced && !pace(c, now))
        return;
    if (c->auth && !c->line && !(c->line = moon_auth_acquire(c->auth))) {
        c->waits_for_token = true;
        moon_auth_wait(c->auth, &c->token_wait, on_token, c);
        return;
    }
    if (wants_to_ask(c, now)) {
        c->asks = true;
        moon_loop_defer(c->http->loop, &c->defer, on_ask, c);
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
    int64_t now = moon_http_call_now(c), connect_due = c->attempt_ns + c->client->connect_timeout_ns;
    bool connecting = c->state == HTTP_ON_WIRE && c->transfer->starts == 0;
    if (now >= c->due_ns && c->state == HTTP_ON_WIRE)
        attempt_ended(c, CURLE_OPERATION_TIMEDOUT, MOON_ETIMEOUT);
    else if (now >= c->due_ns)
        fail_unsent(c, MOON_ETIMEOUT, what_for(c), "");
    else if (connecting && now >= connect_due)
        attempt_ended(c, CURLE_OPERATION_TIMEDOUT, 0);
    else
        moon_http_call_watch(c, now, connecting ? connect_due : INT64_MAX);
}
