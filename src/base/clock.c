/* clock.c - the system's clocks and a virtual one. */
#include "moongate/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts); /* can't fail for these two clocks */
    return (int64_t)ts.tv_sec * MOON_NS_PER_S + ts.tv_nsec;
}

static int64_t system_mono(void *ud) {
    (void)ud;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t system_wall(void *ud) {
    (void)ud;
    return read_clock(CLOCK_REALTIME);
}

struct moon_clock moon_clock_system(void) {
    return (struct moon_clock){system_mono, system_wall, NULL, 0};
}

void moon_vclock_init(struct moon_vclock *v, int64_t wall_ns) {
    v->mono = 0;
    v->wall = wall_ns;
}

void moon_vclock_advance(struct moon_vclock *v, int64_t ns) {
    if (ns <= 0)
        return;
    v->mono += ns;
    v->wall += ns;
}

static int64_t virtual_mono(void *ud) {
    const struct moon_vclock *v = ud;
    return v->mono;
}

static int64_t virtual_wall(void *ud) {
    const struct moon_vclock *v = ud;
    return v->wall;
}

struct moon_clock moon_clock_virtual(struct moon_vclock *v) {
    return (struct moon_clock){virtual_mono, virtual_wall, v, 1};
}

void moon_time_format(int64_t wall_ns, char out[MOON_TIME_SIZE]) {
    int64_t ms = wall_ns / MOON_NS_PER_MS;
    if (wall_ns < 0 && wall_ns % MOON_NS_PER_MS != 0)
        ms--;
    int64_t s = ms / 1000, frac = ms % 1000;
    if (frac < 0) {
        frac += 1000;
        s--;
    }
    time_t t = (time_t)s;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || tm.tm_year + 1900 > 9999 || tm.tm_year + 1900 < 0) {
        snprintf(out, MOON_TIME_SIZE, "0000-00-00T00:00:00.000Z");
        return;
    }
    size_t n = strftime(out, MOON_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, MOON_TIME_SIZE - n, ".%03dZ", (int)frac);
}
