/* time_parse.c - RFC 3339 dates and times, read. */
#include "moongate/clock.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>

struct cursor {
    const char *p, *end;
    bool bad;
};

/* Exactly n digits. */
static int digits(struct cursor *c, int n) {
    int v = 0;
    for (; n > 0; n--) {
        if (c->p == c->end || *c->p < '0' || *c->p > '9') {
            c->bad = true;
            return 0;
        }
        v = v * 10 + (*c->p++ - '0');
    }
    return v;
}

static bool one_of(struct cursor *c, const char *set) {
    if (c->p == c->end)
        return false;
    for (; *set; set++)
        if (*c->p == *set) {
            c->p++;
            return true;
        }
    return false;
}

static void expect(struct cursor *c, const char *set) {
    if (!one_of(c, set))
        c->bad = true;
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar (Howard Hinnant's days_from_civil). */
static int64_t days(int64_t y, int m, int d) {
    int64_t era, yoe, doy;
    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int month_days(int y, int m) {
    static const int n[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m < 1 || m > 12 ? 0 : n[m - 1] + (m == 2 && leap);
}

int moon_time_parse(const char *s, size_t len, int64_t *wall_ns) {
    struct cursor c = {s, s + len, false};
    int64_t sec, frac = 0;
    int year, month, day, hour, minute, second, offset = 0;
    year = digits(&c, 4);
    expect(&c, "-");
    month = digits(&c, 2);
    expect(&c, "-");
    day = digits(&c, 2);
    expect(&c, "Tt ");
    hour = digits(&c, 2);
    expect(&c, ":");
    minute = digits(&c, 2);
    expect(&c, ":");
    second = digits(&c, 2);
    if (one_of(&c, ".")) {
        int64_t unit = MOON_NS_PER_S / 10;
        frac = digits(&c, 1) * unit;
        while (c.p < c.end && *c.p >= '0' && *c.p <= '9') {
            unit /= 10;
            frac += (*c.p++ - '0') * unit;
        }
    }
    if (!one_of(&c, "Zz")) {
        int sign = one_of(&c, "+") ? 1 : -1, h, m;
        if (sign < 0)
            expect(&c, "-");
        h = digits(&c, 2);
        expect(&c, ":");
        m = digits(&c, 2);
        if (h > 23 || m > 59)
            c.bad = true;
        offset = sign * (h * 60 + m) * 60;
    }
    if (c.bad || c.p != c.end || day < 1 || day > month_days(year, month) || hour > 23 || minute > 59 || second > 60)
        return MOON_EPARSE;
    sec = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    if (sec > INT64_MAX / MOON_NS_PER_S - 1 || sec < INT64_MIN / MOON_NS_PER_S + 1)
        return MOON_ERANGE;
    *wall_ns = sec * MOON_NS_PER_S + frac;
    return 0;
}
