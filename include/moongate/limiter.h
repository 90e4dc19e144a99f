/* limiter.h - client-side rates. Two plain structs for one thread; time is passed in (monotonic ns).
 *
 * moon_limiter: a token bucket the user sets (per_second, burst). moon_pacer: follows the server's rate-limit headers
 * and, when little is left, spreads it over the time until the reset, so that no 429 comes. Both hand out places: _take
 * returns how long to wait and keeps the place, so waiters go in the order they asked and need no second look. */
#ifndef MOONGATE_LIMITER_H
#define MOONGATE_LIMITER_H

#include "moongate/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct moon_limiter {
    int64_t interval_ns; /* between requests at the steady rate; 0: no limit */
    int64_t slack_ns;    /* (burst - 1) * interval */
    int64_t next_ns;     /* when the next place would be due without any burst */
    bool used;
};

/* per_second <= 0: no limit. burst < 1 counts as 1. */
void moon_limiter_init(struct moon_limiter *l, double per_second, double burst);
/* How long a request that asks now would wait; takes nothing. Compare with the deadline first. */
int64_t moon_limiter_wait_ns(const struct moon_limiter *l, int64_t now_ns);
/* Takes a place and returns the wait for it. */
int64_t moon_limiter_take(struct moon_limiter *l, int64_t now_ns);
/* Gives a place back that was not used (cancelled while waiting). */
void moon_limiter_give_back(struct moon_limiter *l);

/* Until when the burst is not whole again, or 0; and a new limiter that goes on from there (at most a whole burst is
 * gone). */
int64_t moon_limiter_used_until(const struct moon_limiter *l, int64_t now_ns);
void moon_limiter_restore(struct moon_limiter *l, int64_t used_until_ns, int64_t now_ns);

#define MOON_PACER_WINDOW_NS MOON_NS_PER_S          /* when the server doesn't say when it resets */
#define MOON_PACER_MAX_NS    (3660 * MOON_NS_PER_S) /* a window of another process that is longer is nonsense */

struct moon_pacer {
    bool known;       /* headers were seen and their window is not over */
    int64_t left;     /* requests left in the window, less those that took a place since */
    int64_t allowed;  /* 0: not said */
    int64_t reset_ns; /* end of the window */
    int64_t next_ns;  /* earliest time of the next place while pacing */
    bool hearsay;     /* another process's numbers: the first answer is believed over them */
};

void moon_pacer_init(struct moon_pacer *p);
/* From an answer's headers (rate_limit.h): left, allowed and the time until the reset, each -1 when absent. Answers
 * that come out of order never raise what is left of a window. */
void moon_pacer_update(struct moon_pacer *p, int64_t now_ns, int64_t left, int64_t allowed, int64_t until_reset_ns);
/* Pacing begins when at most a tenth of `allowed` (ten, when that is not known) is left. */
int64_t moon_pacer_wait_ns(const struct moon_pacer *p, int64_t now_ns);
int64_t moon_pacer_take(struct moon_pacer *p, int64_t now_ns);

/* What another process may begin with. Wall time. */
struct moon_pacer_snapshot {
    int64_t left, allowed;
    int64_t reset_wall_ns; /* <= 0: nothing is known */
};
void moon_pacer_save(const struct moon_pacer *p, int64_t now_ns, int64_t wall_ns, struct moon_pacer_snapshot *out);
/* Only when nothing is known yet. Another token may have a window of its own: one place is always left, and its answer
 * tells the truth. Nonsense is passed over. Whether it was taken. */
bool moon_pacer_restore(struct moon_pacer *p, const struct moon_pacer_snapshot *s, int64_t now_ns, int64_t wall_ns);

#endif
