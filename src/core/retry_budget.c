/* retry_budget.c - retries are paid for by work. */
#include "moongate/retry_budget.h"

#include <string.h>

void moon_retry_budget_init(struct moon_retry_budget *b) {
    memset(b, 0, sizeof *b);
    b->tokens = MOON_BUDGET_RESERVE;
}

static void deposit(struct moon_retry_budget *b, int32_t amount, int32_t most) {
    if (b->tokens < most)
        b->tokens = b->tokens > most - amount ? most : b->tokens + amount;
}

void moon_retry_budget_call(struct moon_retry_budget *b) {
    b->calls++;
    deposit(b, MOON_BUDGET_DEPOSIT, MOON_BUDGET_CAP);
}

bool moon_retry_budget_take(struct moon_retry_budget *b) {
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
