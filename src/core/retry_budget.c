/* retry_budget.c - retries are paid for by work. */
#include "moongate/retry_budget.h"

#include <string.h>

void moon_retry_budget_init(struct moon_retry_budget *b) {
    memset(b, 0, sizeof *b);
    b->tokens = MOON_BUDGET_RESERVE;
    b->filled_ns = -1;
}

static void deposit(struct moon_retry_budget *b, int32_t amount, int32_t most) {
    if (b->tokens < most)
        b->tokens = b->tokens > most - amount ? most : b->tokens + amount;
}

void moon_retry_budget_call(struct moon_retry_budget *b) {
    b->calls++;
    deposit(b, MOON_BUDGET_DEPOSIT, MOON_BUDGET_CAP);
}

/* What the seconds since the last time bring. */
static void fill(struct moon_retry_budget *b, int64_t now_ns) {
    const int64_t each_ns = MOON_NS_PER_S / MOON_BUDGET_PER_SECOND; /* of a thousandth */
    const int64_t most_ns = each_ns * MOON_BUDGET_RESERVE;
    int64_t gone = b->filled_ns < 0 ? 0 : now_ns - b->filled_ns;
    if (gone > most_ns || b->filled_ns < 0) {
        b->filled_ns = now_ns;
        gone = gone > most_ns ? most_ns : gone;
    } else {
        b->filled_ns += gone / each_ns * each_ns;
    }
    deposit(b, (int32_t)(gone / each_ns), MOON_BUDGET_RESERVE);
}

bool moon_retry_budget_take(struct moon_retry_budget *b, int64_t now_ns) {
    fill(b, now_ns);
    if (b->tokens < MOON_BUDGET_TOKEN) {
        b->denied++;
        return false;
    }
    b->tokens -= MOON_BUDGET_TOKEN;
    b->retries++;
    return true;
}

void moon_retry_budget_success(struct moon_retry_budget *b) {
    deposit(b, MOON_BUDGET_REFILL, MOON_BUDGET_RESERVE);
}
