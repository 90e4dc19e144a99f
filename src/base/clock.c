/* clock.c - the system's clocks and a virtual one. */
#include "moongate/clock.h"

#include <string.h>
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

/* ---- RFC 3339 ----
 *
 * Without gmtime_r and strftime, which take two thousand instructions: two of these go with every audited request. */

static void put_two(char *out, int64_t n) {
    out[0] = (char)('0' + n / 10);
    out[1] = (char)('0' + n % 10);
}

/* Day 0 is 1970-01-01; nanoseconds in 64 bits end in the years 1677 and 2262. Counted in eras of 400 years from the 1st
 * of March of the year 0, so that the day that comes and goes is a year's last. */
static void put_date(char *out, int64_t day) {
    int64_t era = (day + 719468) / 146097, doe = (day + 719468) % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), month = (5 * doy + 2) / 153;
    int64_t year = yoe + era * 400 + (month >= 10);
    put_two(out, year / 100);
    put_two(out + 2, year % 100);
    out[4] = out[7] = '-';
    put_two(out + 5, month < 10 ? month + 3 : month - 9);
    put_two(out + 8, doy - (153 * month + 2) / 5 + 1);
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
    int64_t day = s / 86400, second = s % 86400;
    if (second < 0) {
        second += 86400;
        day--;
    }
    put_date(out, day);
    memcpy(out + 10, "T00:00:00.000Z", 15);
    put_two(out + 11, second / 3600);
    put_two(out + 14, second / 60 % 60);
    put_two(out + 17, second % 60);
    out[20] = (char)('0' + frac / 100);
    put_two(out + 21, frac % 100);
}
