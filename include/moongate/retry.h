/* retry.h - when a failed attempt is tried again, and after how long. A pure function of the policy, the attempt's
 * number and the rng: there is no state to grow or to share. The HTTP client owns the one loop that asks.
 *
 * Rules: 425, 429, 502, 503, 504 and connection failures may be retried. A request that may have taken effect is
 * replayed only when that does no harm: a method that HTTP calls idempotent, a declared idempotent call, or one with an
 * idempotency key. */
#ifndef MOONGATE_RETRY_H
#define MOONGATE_RETRY_H

#include "moongate/clock.h"
#include "moongate/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_retry_policy {
    int max_attempts; /* the first one counts; 1: never retry; 0: until the deadline */
    int64_t base_ns;  /* > 0 */
    int64_t cap_ns;   /* >= base_ns */
};
#define MOON_RETRY_POLICY_DEFAULT                                                                                      \
    { 0, 500 * MOON_NS_PER_MS, 20 * MOON_NS_PER_S }

/* What became of one attempt. */
enum moon_fail_class {
    MOON_FAIL_NONE,      /* it succeeded */
    MOON_FAIL_NOT_SENT,  /* failed before any byte of the request left: DNS, connect, TLS handshake, proxy */
    MOON_FAIL_REFUSED,   /* the server says it did nothing: 429, HTTP/2 REFUSED_STREAM or a GOAWAY below our stream */
    MOON_FAIL_AMBIGUOUS, /* sent at least in part, and no answer that tells: connection lost, timed out, 502, 503, 504
                          */
    MOON_FAIL_FINAL      /* an answer that another try won't change, or a failure on our side */
};
/* < 400: NONE; 425, 429: REFUSED; 408, 502, 503, 504: AMBIGUOUS; any other: FINAL. */
enum moon_fail_class moon_retry_class_of_status(int status);
const char *moon_fail_class_name(enum moon_fail_class cls); /* "none", "not_sent", "refused", "ambiguous", "final" */

struct moon_retry_call {
    const char *method;   /* upper case */
    bool keyed;           /* carries an idempotency key */
    bool idempotent;      /* declared so by the caller */
    bool maybe_applied;   /* an earlier attempt of this call was MOON_FAIL_AMBIGUOUS (the loop keeps this) */
    int attempt;          /* the attempt that just failed: 1, 2, ... */
    int64_t remaining_ns; /* of the call's total deadline; INT64_MAX: none */
    int64_t deadline_ns;  /* the total, for messages; 0: not known */
    int status;           /* of the answer to the attempt; 0: none */
};

enum moon_retry_verdict {
    MOON_RETRY_AGAIN,       /* after wait_ns */
    MOON_RETRY_FINAL,       /* not a failure that is retried */
    MOON_RETRY_UNSAFE,      /* may have taken effect, and may not be sent twice */
    MOON_RETRY_ATTEMPTS,    /* max_attempts made */
    MOON_RETRY_DEADLINE,    /* the wait would pass the deadline */
    MOON_RETRY_AFTER_LATE,  /* Retry-After lies beyond the deadline */
    MOON_RETRY_NO_BUDGET,   /* set by the loop: moon_retry_budget_take said no */
    MOON_RETRY_BREAKER_OPEN /* set by the loop: moon_breaker_allow said no */
};

struct moon_retry_decision {
    enum moon_retry_verdict verdict;
    int64_t wait_ns;     /* AGAIN: from now; AFTER_LATE: what Retry-After asked for */
    const char *outcome; /* what is known of the whole call if it ends here: "not_sent", "refused", "unknown", "final".
                            Static. */
};

/* Whether a request of this method changes nothing (RFC 9110, 9.2.1). */
bool moon_retry_safe(const char *method);
/* Is sending this request again harmless even if it took effect the first time? */
bool moon_retry_replayable(const struct moon_retry_call *call);

/* cls: not MOON_FAIL_NONE. retry_after_ns: from moon_retry_after_parse, or -1. The wait is random(0, min(cap, base *
 * 2^(attempt-1), what the deadline leaves less a little for the attempt itself)), never less than retry_after_ns: so
 * the last attempt comes shortly before the deadline, however long the back-off has grown. Outcomes: "unknown" only for
 * a method that writes; a GET that was lost is "final". Where nothing makes a replay harmless, an answer of 500 (and
 * other failures of the server, but 501, 505, 511) is "unknown", too, as is an answer that could not be used. Takes
 * nothing from the retry budget: the loop asks moon_retry_budget_take before the attempt goes out. */
struct moon_retry_decision moon_retry_decide(const struct moon_retry_policy *policy, const struct moon_retry_call *call,
                                             enum moon_fail_class cls, int64_t retry_after_ns, struct moon_rng *rng);

/* The full-jitter wait alone (polling uses it too). attempt >= 1. */
int64_t moon_retry_backoff_ns(const struct moon_retry_policy *policy, int attempt, struct moon_rng *rng);

/* Why there was no further attempt, for a person: "gave up after 4 attempts", "Rate limited: the next request is
 * allowed in 58 s, past the 30 s deadline". "" for MOON_RETRY_AGAIN and MOON_RETRY_FINAL. out is NUL-terminated, cut at
 * size. */
void moon_retry_explain(const struct moon_retry_decision *d, const struct moon_retry_call *call, char *out,
                        size_t size);

/* A Retry-After value: seconds (with or without decimals), or a date or seconds since 1970, which are taken against
 * wall_ns; a past date is 0. Values beyond a year are cut to one. 0, or MOON_EPARSE with *wait_ns = -1. */
int moon_retry_after_parse(const char *s, size_t len, int64_t wall_ns, int64_t *wait_ns);

#endif
