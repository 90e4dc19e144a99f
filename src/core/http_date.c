/* http_date.c - HTTP dates in their three forms (RFC 9110 section 5.6.7), and in what servers send instead: RFC 3339 in
 * UTC, and "+0000" or "UTC" for "GMT". No locale, no time zone, no mktime. */
#include "moongate/http_date.h"

#include "moongate/clock.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

#define YEAR_MAX 2261 /* what nanoseconds in 64 bits can hold */

struct scan {
    const char *p, *end;
};

static bool lit(struct scan *s, const char *text) {
    size_t n = strlen(text);
    if ((size_t)(s->end - s->p) < n || strncasecmp(s->p, text, n) != 0)
        return false;
    s->p += n;
    return true;
}

static bool word(struct scan *s, const char *const list[], int n, int *index) {
    for (int i = 0; i < n; i++) {
        if (lit(s, list[i])) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool number(struct scan *s, int digits, int *out) {
    int v = 0;
    if (s->end - s->p < digits)
        return false;
    for (int i = 0; i < digits; i++, s->p++) {
        if (*s->p < '0' || *s->p > '9')
            return false;
        v = v * 10 + (*s->p - '0');
    }
    *out = v;
    return true;
}

struct fields {
    int year, month, day, hour, minute, second; /* month 0..11 */
};

static bool clock_time(struct scan *s, struct fields *f) {
    return number(s, 2, &f->hour) && lit(s, ":") && number(s, 2, &f->minute) && lit(s, ":") && number(s, 2, &f->second);
}

/* Days since 1970-01-01 of a proleptic Gregorian date, m 1..12 (Howard Hinnant's days_from_civil). */
static int64_t days_from_civil(int y, int m, int d) {
    y -= m <= 2;
    int64_t era = y / 400, yoe = y % 400; /* y >= 0 here */
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool in_range(const struct fields *f) {
    static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (f->year % 4 == 0 && f->year % 100 != 0) || f->year % 400 == 0;
    int last = length[f->month] + (f->month == 1 && leap);
    bool fits = f->year >= 1678 && f->year <= YEAR_MAX;
    return fits && f->day >= 1 && f->day <= last && f->hour <= 23 && f->minute <= 59 && f->second <= 60; /* 60: leap */
}

static int year_of_ns(int64_t wall_ns) {
    time_t t = (time_t)(wall_ns / MOON_NS_PER_S);
    struct tm tm;
    return gmtime_r(&t, &tm) ? tm.tm_year + 1900 : 1970;
}

static bool zone(struct scan *s) {
    return lit(s, " GMT") || lit(s, " UTC") || lit(s, " +0000");
}

/* "1994-11-06T08:49:37Z", "1994-11-06T08:49:37.25+00:00" */
static bool rfc3339_date(struct scan s, struct fields *f) {
    if (!(number(&s, 4, &f->year) && lit(&s, "-") && number(&s, 2, &f->month) && f->month >= 1 && f->month <= 12 &&
          lit(&s, "-") && number(&s, 2, &f->day) && (lit(&s, "T") || lit(&s, " ")) && clock_time(&s, f)))
        return false;
    f->month--;
    if (lit(&s, "."))
        while (s.p < s.end && *s.p >= '0' && *s.p <= '9')
            s.p++;
    return (lit(&s, "Z") || lit(&s, "+00:00") || zone(&s)) && s.p == s.end;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool imf_fixdate(struct scan s, struct fields *f) {
    int day;
    return word(&s, days, 7, &day) && lit(&s, ", ") && number(&s, 2, &f->day) && lit(&s, " ") &&
           word(&s, months, 12, &f->month) && lit(&s, " ") && number(&s, 4, &f->year) && lit(&s, " ") &&
           clock_time(&s, f) && zone(&s) && s.p == s.end;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool rfc850_date(struct scan s, int this_year, struct fields *f) {
    int day;
    bool ok = word(&s, long_days, 7, &day) && lit(&s, ", ") && number(&s, 2, &f->day) && lit(&s, "-") &&
              word(&s, months, 12, &f->month) && lit(&s, "-") && number(&s, 2, &f->year) && lit(&s, " ") &&
              clock_time(&s, f) && zone(&s) && s.p == s.end;
    if (ok) { /* more than 50 years ahead is the most recent past year with those digits */
        f->year += this_year / 100 * 100;
        if (f->year > this_year + 50)
            f->year -= 100;
        else if (f->year <= this_year - 50)
            f->year += 100;
    }
    return ok;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool asctime_date(struct scan s, struct fields *f) {
    int day;
    return word(&s, days, 7, &day) && lit(&s, " ") && word(&s, months, 12, &f->month) && lit(&s, " ") &&
           (lit(&s, " ") ? number(&s, 1, &f->day) : number(&s, 2, &f->day)) && lit(&s, " ") && clock_time(&s, f) &&
           lit(&s, " ") && number(&s, 4, &f->year) && s.p == s.end;
}

int moon_http_date_parse(const char *text, size_t len, int64_t now_wall_ns, int64_t *wall_ns) {
    struct scan s = {text, text + len};
    struct fields f;
    while (s.p < s.end && *s.p == ' ')
        s.p++;
    while (s.p < s.end && s.end[-1] == ' ')
        s.end--;
    memset(&f, 0, sizeof f);
    bool ok =
        imf_fixdate(s, &f) || rfc850_date(s, year_of_ns(now_wall_ns), &f) || asctime_date(s, &f) || rfc3339_date(s, &f);
    if (ok && f.year > YEAR_MAX) /* "never" */
        f.year = YEAR_MAX;
    if (!ok || !in_range(&f))
        return MOON_EPARSE;
    int64_t seconds = days_from_civil(f.year, f.month + 1, f.day) * 86400 + f.hour * 3600 + f.minute * 60 + f.second;
    *wall_ns = seconds * MOON_NS_PER_S;
    return 0;
}

void moon_http_date_format(int64_t wall_ns, char out[MOON_HTTP_DATE_SIZE]) {
    time_t t = (time_t)(wall_ns > 0 ? wall_ns / MOON_NS_PER_S : 0);
    struct tm tm;
    memset(&tm, 0, sizeof tm);
    gmtime_r(&t, &tm);
    snprintf(out, MOON_HTTP_DATE_SIZE, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday % 7], tm.tm_mday % 100,
             months[tm.tm_mon % 12], (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
}
