/* retry.c - the decision whether and when to try again. Pure. */
#include "moongate/retry.h"

#include "moongate/err.h"
#include "moongate/http_date.h"

#include <stdio.h>
#include <string.h>

#define YEAR_NS  (365 * 86400 * MOON_NS_PER_S)
#define EPOCH_NS (INT64_C(1000000000) * MOON_NS_PER_S) /* a Retry-After from here on is seconds since 1970 ... */
#define MAX_NS   (INT64_C(8000000000) * MOON_NS_PER_S) /* ... up to here, where numbers are cut */

enum moon_fail_class moon_retry_class_of_status(int status) {
    switch (status) {
    case 425: /* RFC 8470: the server did not process it, to be safe from a replay */
    case 429:
        return MOON_FAIL_REFUSED;
    case 408: /* the server has not got all of the request, or so it says */
    case 502:
    case 503:
    case 504:
        return MOON_FAIL_AMBIGUOUS;
    default:
        return status < 400 ? MOON_FAIL_NONE : MOON_FAIL_FINAL;
    }
}

const char *moon_fail_class_name(enum moon_fail_class cls) {
    switch (cls) {
    case MOON_FAIL_NONE:
        return "none";
    case MOON_FAIL_NOT_SENT:
        return "not_sent";
    case MOON_FAIL_REFUSED:
        return "refused";
    case MOON_FAIL_AMBIGUOUS:
        return "ambiguous";
    case MOON_FAIL_FINAL:
        break;
    }
    return "final";
}

static bool method_in(const char *method, const char *const list[], size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(method, list[i]) == 0)
            return true;
    return false;
}

/* RFC 9110 section 9.2.1 */
bool moon_retry_safe(const char *method) {
    static const char *const safe[] = {"GET", "HEAD", "OPTIONS", "TRACE"};
    return method_in(method, safe, sizeof safe / sizeof safe[0]);
}

/* RFC 9110 section 9.2.2 */
bool moon_retry_replayable(const struct moon_retry_call *call) {
    static const char *const idempotent[] = {"PUT", "DELETE"};
    return call->keyed || call->idempotent || moon_retry_safe(call->method) ||
           method_in(call->method, idempotent, sizeof idempotent / sizeof idempotent[0]);
}

int64_t moon_retry_backoff_ns(const struct moon_retry_policy *policy, int attempt, struct moon_rng *rng) {
    int64_t top = policy->base_ns < policy->cap_ns ? policy->base_ns : policy->cap_ns;
    for (int n = 1; n < attempt && top < policy->cap_ns; n++)
        top = top > policy->cap_ns / 2 ? policy->cap_ns : top * 2;
    return top > 0 ? (int64_t)moon_rng_below(rng, (uint64_t)top + 1) : 0;
}

/* Those who were all told the same time should not come back in the same instant: up to a tenth more, a second at most.
 */
static int64_t spread_ns(int64_t floor_ns, struct moon_rng *rng) {
    int64_t top = floor_ns / 10 < MOON_NS_PER_S ? floor_ns / 10 : MOON_NS_PER_S;
    return top > 0 ? (int64_t)moon_rng_below(rng, (uint64_t)top + 1) : 0;
}

/* An answer that does not say what the request did: the server failed while it worked on it, or its answer was of no
 * use here. 501, 505 and 511 (a login page on the way) say that it was not processed. */
static bool says_nothing(int status) {
    return (status >= 500 && status != 501 && status != 505 && status != 511) || (status > 0 && status < 400);
}

/* A later attempt's refusal doesn't tell what an earlier one did. A final answer may (a 412 after our own write): that
 * is the caller's to find out. */
static const char *outcome_of(const struct moon_retry_call *call, enum moon_fail_class cls) {
    bool writes = !moon_retry_safe(call->method);
    if (cls == MOON_FAIL_AMBIGUOUS)
        return writes ? "unknown" : "final";
    if (cls == MOON_FAIL_FINAL && writes && says_nothing(call->status) && !moon_retry_replayable(call))
        return "unknown";
    if (cls == MOON_FAIL_FINAL || cls == MOON_FAIL_NONE)
        return "final";
    if (writes && call->maybe_applied)
        return "unknown";
    return cls == MOON_FAIL_NOT_SENT ? "not_sent" : "refused";
}

/* A wait that leaves time for the attempt behind it: all of the back-off that fits. */
static int64_t fitting_backoff_ns(const struct moon_retry_policy *policy, const struct moon_retry_call *call,
                                  struct moon_rng *rng) {
    struct moon_retry_policy fit = *policy;
    if (call->remaining_ns == INT64_MAX)
        return moon_retry_backoff_ns(policy, call->attempt, rng);
    int64_t spare = call->remaining_ns / 4, top = call->remaining_ns - (spare < MOON_NS_PER_S ? spare : MOON_NS_PER_S);
    fit.cap_ns = policy->cap_ns < top ? policy->cap_ns : top;
    return moon_retry_backoff_ns(&fit, call->attempt, rng);
}

/* The wait that the server asked for, or a little more; less than that would be too early. */
static int64_t asked_ns(int64_t floor_ns, int64_t wait_ns, int64_t remaining_ns, struct moon_rng *rng) {
    int64_t spread = floor_ns + spread_ns(floor_ns, rng);
    if (wait_ns < spread)
        wait_ns = spread;
    return wait_ns < remaining_ns ? wait_ns : floor_ns;
}

/* Too little time is left for another attempt to be answered in. */
static bool is_over(const struct moon_retry_policy *policy, const struct moon_retry_call *call) {
    return call->remaining_ns <= 0 || (call->attempt > 3 && call->remaining_ns < policy->base_ns / 4);
}

struct moon_retry_decision moon_retry_decide(const struct moon_retry_policy *policy, const struct moon_retry_call *call,
                                             enum moon_fail_class cls, int64_t retry_after_ns, struct moon_rng *rng) {
    struct moon_retry_decision d = {MOON_RETRY_AGAIN, 0, outcome_of(call, cls)};
    if (cls == MOON_FAIL_FINAL || cls == MOON_FAIL_NONE) {
        d.verdict = MOON_RETRY_FINAL;
    } else if (cls == MOON_FAIL_AMBIGUOUS && !moon_retry_replayable(call)) {
        d.verdict = MOON_RETRY_UNSAFE;
    } else if (policy->max_attempts > 0 && call->attempt >= policy->max_attempts) {
        d.verdict = MOON_RETRY_ATTEMPTS;
    } else if (retry_after_ns >= 0 && retry_after_ns >= call->remaining_ns) {
        d.verdict = MOON_RETRY_AFTER_LATE;
        d.wait_ns = retry_after_ns;
    } else if (is_over(policy, call)) {
        d.verdict = MOON_RETRY_DEADLINE;
    } else {
        d.wait_ns = fitting_backoff_ns(policy, call, rng);
        if (retry_after_ns > 0)
            d.wait_ns = asked_ns(retry_after_ns, d.wait_ns, call->remaining_ns, rng);
    }
    return d;
}

/* Whole seconds, upwards: who comes back then is not too early. */
static long long seconds(int64_t ns) {
    return ns > 0 ? (long long)((ns + MOON_NS_PER_S - 1) / MOON_NS_PER_S) : 0;
}

static void explain_late(const struct moon_retry_decision *d, const struct moon_retry_call *call, char *out,
                         size_t size) {
    int64_t deadline = call->deadline_ns > 0 ? call->deadline_ns : call->remaining_ns;
    snprintf(out, size,
             call->status == 0 || call->status == 429 || call->status == 403
                 ? "Rate limited: the next request is allowed in %lld s, past the %.3g s deadline"
                 : "The server asks to retry in %lld s, past the %.3g s deadline",
             seconds(d->wait_ns), (double)(deadline > 0 ? deadline : 0) / (double)MOON_NS_PER_S);
}

void moon_retry_explain(const struct moon_retry_decision *d, const struct moon_retry_call *call, char *out,
                        size_t size) {
    if (size == 0)
        return;
    out[0] = '\0';
    switch (d->verdict) {
    case MOON_RETRY_AGAIN:
    case MOON_RETRY_FINAL:
        break;
    case MOON_RETRY_UNSAFE:
        snprintf(out, size, "not retried: this %s may already have been processed and has no idempotency key",
                 call->method);
        break;
    case MOON_RETRY_ATTEMPTS:
        snprintf(out, size, "gave up after %d attempt%s", call->attempt, call->attempt == 1 ? "" : "s");
        break;
    case MOON_RETRY_DEADLINE:
        snprintf(out, size, "gave up after %d attempt%s, at the deadline", call->attempt,
                 call->attempt == 1 ? "" : "s");
        break;
    case MOON_RETRY_AFTER_LATE:
        explain_late(d, call, out, size);
        break;
    case MOON_RETRY_NO_BUDGET:
        snprintf(out, size, "gave up after %d attempt%s: too many other calls to this host are being retried",
                 call->attempt, call->attempt == 1 ? "" : "s");
        break;
    case MOON_RETRY_BREAKER_OPEN:
        snprintf(out, size, "gave up after %d attempt%s: the circuit breaker is open", call->attempt,
                 call->attempt == 1 ? "" : "s");
        break;
    }
}

/* "2" or, as some send it, "1.5". */
static int parse_seconds(const char *s, size_t len, int64_t *ns) {
    int64_t place = MOON_NS_PER_S;
    size_t i = 0;
    for (; i < len && s[i] >= '0' && s[i] <= '9'; i++)
        *ns = *ns > MAX_NS / 10 ? MAX_NS : *ns * 10 + (s[i] - '0') * MOON_NS_PER_S;
    if (i == len)
        return 0;
    if (s[i++] != '.' || i == len)
        return -1;
    for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
        place /= 10;
        *ns += *ns < YEAR_NS ? (s[i] - '0') * place : 0;
    }
    return i == len ? 0 : -1;
}

int moon_retry_after_parse(const char *s, size_t len, int64_t wall_ns, int64_t *wait_ns) {
    *wait_ns = -1;
    while (len > 0 && (s[0] == ' ' || s[0] == '\t'))
        s++, len--;
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        len--;
    if (len == 0)
        return MOON_EPARSE;
    int64_t ns = 0, date;
    if (wall_ns < 0)
        wall_ns = 0;
    if (moon_http_date_parse(s, len, wall_ns, &date) == 0)
        ns = date > wall_ns ? date - wall_ns : 0;
    else if (s[0] < '0' || s[0] > '9' || parse_seconds(s, len, &ns) != 0)
        return MOON_EPARSE;
    else if (ns >= EPOCH_NS && ns < MAX_NS)
        ns = ns > wall_ns ? ns - wall_ns : 0;
    *wait_ns = ns < YEAR_NS ? ns : YEAR_NS;
    return 0;
}
