/* clock.h - time, passed in so that tests can turn it. No code outside clock.c reads the system's clocks. */
#ifndef MOONGATE_CLOCK_H
#define MOONGATE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define MOON_NS_PER_MS INT64_C(1000000)
#define MOON_NS_PER_S  INT64_C(1000000000)

struct moon_clock {
    int64_t (*mono_ns)(void *ud); /* monotonic, nanoseconds from an arbitrary start; never goes back */
    int64_t (*wall_ns)(void *ud); /* nanoseconds since 1970-01-01T00:00:00Z */
    void *ud;
    int is_virtual; /* 1: time passes only through moon_vclock_advance */
};

/* The system's clocks. */
struct moon_clock moon_clock_system(void);

/* A virtual clock: stands still until it is advanced. The moon_clock made from it points at v, which must outlive it.
 */
struct moon_vclock {
    int64_t mono;
    int64_t wall;
};
void moon_vclock_init(struct moon_vclock *v, int64_t wall_ns);
void moon_vclock_advance(struct moon_vclock *v, int64_t ns); /* ns >= 0 */
struct moon_clock moon_clock_virtual(struct moon_vclock *v);

static inline int64_t moon_mono_ns(const struct moon_clock *c) {
    return c->mono_ns(c->ud);
}
static inline int64_t moon_wall_ns(const struct moon_clock *c) {
    return c->wall_ns(c->ud);
}

/* RFC 3339 in UTC with milliseconds, "2026-11-20T07:31:37.042Z": 24 characters and a NUL. */
#define MOON_TIME_SIZE 32
void moon_time_format(int64_t wall_ns, char out[MOON_TIME_SIZE]);
/* Reads an RFC 3339 date and time, any offset, any number of decimals. A leap second is the next minute's first. 0,
 * MOON_EPARSE, or MOON_ERANGE outside of the years that nanoseconds in an int64_t can say (1678 to 2261). */
int moon_time_parse(const char *s, size_t len, int64_t *wall_ns);

#endif
