/* json_decimal.c - decimal text to the nearest double, whatever the locale.
 *
 * Few digits and a small power of ten take one exact multiplication or division (W. D. Clinger, "How to read floating
 * point numbers accurately", 1990). All else goes through strtod, without a decimal point: the digits as an integer and
 * an exponent, so that the locale's idea of a decimal point has no say. */
#include "moongate/json.h"

#include <stdio.h>
#include <stdlib.h>

#define DIGITS_MAX 780 /* beyond 768 significant digits only "is there more" can matter */

static const double exact_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

struct decimal {
    char digits[DIGITS_MAX + 2]; /* significant ones */
    int count;
    bool more;        /* nonzero digits were dropped */
    int64_t exponent; /* of the last digit kept */
    bool negative;
};

static void parse(struct decimal *d, const char *p, const char *end) {
    bool fraction = false, minus = false;
    int64_t written = 0;
    d->count = 0;
    d->more = false;
    d->exponent = 0;
    d->negative = p < end && *p == '-';
    for (p += d->negative; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        d->exponent -= fraction;
        if (d->count == 0 && *p == '0')
            continue;
        if (d->count < DIGITS_MAX) {
            d->digits[d->count++] = *p;
        } else {
            d->exponent++;
            d->more |= *p != '0';
        }
    }
    if (p < end) {
        p++;
        minus = *p == '-';
        if (*p == '-' || *p == '+')
            p++;
        for (; p < end; p++) {
            if (written < INT64_C(100000000000000))
                written = written * 10 + (*p - '0');
        }
    }
    d->exponent += minus ? -written : written;
}

static double convert(struct decimal *d) {
    char text[DIGITS_MAX + 32];
    int64_t exponent = d->exponent;
    if (d->count == 0)
        return 0;
    if (d->more) { /* stands for all that was dropped */
        d->digits[d->count++] = '1';
        exponent--;
    }
    if (exponent > 99999)
        exponent = 99999;
    if (exponent < -99999)
        exponent = -99999;
    snprintf(text, sizeof text, "%.*se%d", d->count, d->digits, (int)exponent);
    return strtod(text, NULL);
}

/* The fast path: at most 19 digits in all, no exponent beyond +-22. */
static bool exact(const char *p, const char *end, double *out) {
    uint64_t m = 0;
    int exponent = 0, written = 0;
    bool fraction = false, negative = *p == '-', minus = false;
    p += negative;
    if (end - p > 24)
        return false;
    for (; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        if (m >= UINT64_C(900719925474099)) /* the next digit could pass 2^53 */
            return false;
        m = m * 10 + (uint64_t)(*p - '0');
        exponent -= fraction;
    }
    if (p < end) {
        p++;
        minus = *p == '-';
        if (*p == '-' || *p == '+')
            p++;
        for (; p < end; p++) {
            written = written * 10 + (*p - '0');
            if (written > 400)
                return false;
        }
    }
    exponent += minus ? -written : written;
    if (exponent < -22 || exponent > 22)
        return false;
    double v = (double)m;
    v = exponent < 0 ? v / exact_powers[-exponent] : v * exact_powers[exponent];
    *out = negative ? -v : v;
    return true;
}

double moon_json_decimal(const char *text, size_t len) {
    double v;
    struct decimal d;
    if (exact(text, text + len, &v))
        return v;
    parse(&d, text, text + len);
    v = convert(&d);
    return d.negative ? -v : v;
}
