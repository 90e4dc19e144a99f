/* rng.c - the system's randomness, drawn in blocks, and xoshiro256** (Blackman and Vigna) for reproducible runs. */
#include "moongate/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void moon_rng_init_system(struct moon_rng *r) {
    memset(r, 0, sizeof *r);
}

/* splitmix64 spreads a small seed over the whole state, as xoshiro's authors advise. */
static uint64_t splitmix(uint64_t *x) {
    uint64_t z = (*x += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void moon_rng_init_seed(struct moon_rng *r, uint64_t seed) {
    memset(r, 0, sizeof *r);
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
    r->seeded = 1;
}

static uint64_t rotl(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

static uint64_t seeded_u64(struct moon_rng *r) {
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* Requests of up to 256 bytes are never cut short; more than that, or a kernel without getrandom, can't continue
 * safely.
 */
static void system_fill(unsigned char *out, size_t len) {
    while (len > 0) {
        size_t n = len < 256 ? len : 256;
        ssize_t got = getrandom(out, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        out += got;
        len -= (size_t)got;
    }
}

void moon_rng_bytes(struct moon_rng *r, void *out, size_t len) {
    unsigned char *p = out;
    if (r->seeded) {
        while (len > 0) {
            uint64_t v = seeded_u64(r);
            size_t n = len < sizeof v ? len : sizeof v;
            memcpy(p, &v, n);
            p += n;
            len -= n;
        }
        return;
    }
    if (len > sizeof r->pool) {
        system_fill(p, len);
        return;
    }
    if (r->pool_left < len) {
        system_fill(r->pool, sizeof r->pool);
        r->pool_left = sizeof r->pool;
    }
    unsigned char *from = r->pool + (sizeof r->pool - r->pool_left);
    memcpy(p, from, len);
    explicit_bzero(from, len); /* a drawn byte can't be found in memory again */
    r->pool_left -= len;
}

uint64_t moon_rng_u64(struct moon_rng *r) {
    if (r->seeded)
        return seeded_u64(r);
    uint64_t v;
    moon_rng_bytes(r, &v, sizeof v);
    return v;
}

/* Rejection keeps the draw uniform: the values below 2^64 mod bound would come up once more often. */
uint64_t moon_rng_below(struct moon_rng *r, uint64_t bound) {
    if (bound < 2)
        return 0;
    uint64_t threshold = (0 - bound) % bound;
    for (;;) {
        uint64_t v = moon_rng_u64(r);
        if (v >= threshold)
            return v % bound;
    }
}
