/* retry_budget.h - a token bucket that keeps retries from outnumbering work: one per host, shared by all calls to it.
 *
 * A retry costs one token. Every first attempt brings 0.05, every second 4, and the bucket starts with a reserve of 20:
 * the rate per second is a floor, so that a few calls are retried whatever others have used up. N calls to a dead host
 * make at most N + 20 + 0.05 N + 4 a second attempts (10,000 within two deadlines of 30 s: 10,760). A success pays for
 * one retry, so that a host that answers is never short of them. Units: thousandths of a token. */
#ifndef MOONGATE_RETRY_BUDGET_H
#define MOONGATE_RETRY_BUDGET_H

#include "moongate/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define MOON_BUDGET_TOKEN      INT32_C(1000) /* a retry's price */
#define MOON_BUDGET_DEPOSIT    INT32_C(50)
#define MOON_BUDGET_REFILL     INT32_C(1000) /* per success, up to the reserve */
#define MOON_BUDGET_PER_SECOND INT32_C(4000) /* up to the reserve */
#define MOON_BUDGET_RESERVE    INT32_C(20000)
#define MOON_BUDGET_CAP        INT32_C(200000) /* most that can be saved up */

struct moon_retry_budget {
    int32_t tokens;
    int64_t filled_ns;               /* monotonic time up to which the rate has been paid in; -1: not yet asked */
    uint64_t calls, retries, denied; /* since the start, for http.stats() */
};

void moon_retry_budget_init(struct moon_retry_budget *b);
void moon_retry_budget_call(struct moon_retry_budget *b); /* a call makes its first attempt */
/* May a retry go at now_ns (monotonic)? Takes its price when yes. */
bool moon_retry_budget_take(struct moon_retry_budget *b, int64_t now_ns);
void moon_retry_budget_success(struct moon_retry_budget *b); /* a call ended well */

#endif
