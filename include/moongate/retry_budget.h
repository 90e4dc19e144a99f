/* retry_budget.h - a token bucket that keeps retries from outnumbering work: one per host, shared by all calls to it.
 *
 * A retry costs one token. Every first attempt brings 0.095, and the bucket begins with a reserve of 20, so that a
 * handful of calls can be retried at all: N calls to a dead host make at most N + 20 + 0.095 N attempts (10,000:
 * 10,970). Successes refill the reserve, so a long-lived process with few calls is not starved by an old outage. Units:
 * thousandths of a token. */
#ifndef MOONGATE_RETRY_BUDGET_H
#define MOONGATE_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define MOON_BUDGET_TOKEN   INT32_C(1000) /* a retry's price */
#define MOON_BUDGET_DEPOSIT INT32_C(95)
#define MOON_BUDGET_REFILL  INT32_C(500) /* per success, up to the reserve */
#define MOON_BUDGET_RESERVE INT32_C(20000)
#define MOON_BUDGET_CAP     INT32_C(200000) /* most that can be saved up */

struct moon_retry_budget {
    int32_t tokens;
    uint64_t calls, retries, denied; /* since the start, for http.stats() */
};

void moon_retry_budget_init(struct moon_retry_budget *b);
void moon_retry_budget_call(struct moon_retry_budget *b);    /* a call makes its first attempt */
bool moon_retry_budget_take(struct moon_retry_budget *b);    /* may a retry go? Takes its price when yes. */
void moon_retry_budget_success(struct moon_retry_budget *b); /* a call ended well */

#endif
