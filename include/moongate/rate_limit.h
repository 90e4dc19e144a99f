/* rate_limit.h - what an answer's headers say of the server's rate limit. Pure: the pacer (limiter.h) acts on it.
 *
 * Read: inin-ratelimit-count, -allowed and -reset (Genesys Cloud); X-RateLimit-Remaining, -Limit, -Reset and
 * -Reset-After, also spelt X-Rate-Limit- and with the end -Requests; anthropic-ratelimit-requests-*;
 * RateLimit-Remaining, -Limit and -Reset (the IETF draft up to 07) and RateLimit with its parameters (from 08 on:
 * `"default";r=0;t=5`; 07: `limit=10, remaining=0, reset=5`). A reset is seconds, a duration ("6m0s"), seconds or
 * milliseconds since 1970, an HTTP date or one of RFC 3339. */
#ifndef MOONGATE_RATE_LIMIT_H
#define MOONGATE_RATE_LIMIT_H

#include <stddef.h>
#include <stdint.h>

#define MOON_RATE_RESET_MAX_S 3660 /* a reset beyond an hour (and a minute) is taken as not said */

struct moon_rate_limit {
    int64_t left;     /* requests; -1: not said */
    int64_t allowed;  /* in a window; -1: not said */
    int64_t reset_ns; /* from now until the window ends; -1: not said, or nonsense */
};

enum { MOON_RATE_ININ, MOON_RATE_IETF, MOON_RATE_X, MOON_RATE_FAMILIES };
struct moon_rate_headers {
    struct moon_rate_limit family[MOON_RATE_FAMILIES];
    int64_t count; /* requests used: inin-ratelimit-count */
};
void moon_rate_headers_init(struct moon_rate_headers *h);
/* Takes one header; those that say nothing of a limit are passed over. wall_ns: the time at the server, by its Date. */
void moon_rate_headers_add(struct moon_rate_headers *h, const char *name, size_t nlen, const char *value, size_t vlen,
                           int64_t wall_ns);
/* What they say together: of several families the one with the least left. */
void moon_rate_headers_end(const struct moon_rate_headers *h, struct moon_rate_limit *out);

#endif
