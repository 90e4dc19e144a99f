/* rng.h - randomness, passed in: the system's for real use, a seeded one (xoshiro256**) for tests and the simulator.
 * The seeded one is reproducible and must never make a secret. */
#ifndef MOONGATE_RNG_H
#define MOONGATE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct moon_rng {
    uint64_t s[4];
    int seeded; /* 0: every draw comes from the system (getrandom, buffered) */
    unsigned char pool[512];
    size_t pool_left;
};

void moon_rng_init_system(struct moon_rng *r);
void moon_rng_init_seed(struct moon_rng *r, uint64_t seed);
uint64_t moon_rng_u64(struct moon_rng *r);
uint64_t moon_rng_below(struct moon_rng *r, uint64_t bound); /* uniform in [0, bound), bound >= 1 */
void moon_rng_bytes(struct moon_rng *r, void *out, size_t len);

#endif
