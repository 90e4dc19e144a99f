/* schema_number.c - numbers as the schema sees them: integers and doubles are one kind, compared exactly. */
#include "schema_internal.h"

#include <math.h>

struct schema_number schema_number_of(int64_t i) {
    return (struct schema_number){true, i, (double)i};
}

struct schema_number schema_number_of_double(double d) {
    if (d >= -9223372036854775808.0 && d < 9223372036854775808.0 && d == floor(d))
        return (struct schema_number){true, (int64_t)d, d};
    return (struct schema_number){false, 0, d};
}

/* A double that is not an int64_t has a fraction, and so is below 2^53, or lies beyond all of them: comparing as
 * doubles is exact enough unless the integer is beyond 2^53 and the fraction near it, which can't be. */
int schema_number_cmp(struct schema_number a, struct schema_number b) {
    if (a.is_int && b.is_int)
        return a.i < b.i ? -1 : a.i > b.i;
    return a.d < b.d ? -1 : a.d > b.d;
}

bool schema_number_integral(struct schema_number v) {
    return v.is_int || v.d == floor(v.d);
}

/* ---- multipleOf ---- */

/* |v| = m * 10^e, m without trailing zeros; 0 = 0 * 10^0. */
struct decimal {
    uint64_t m;
    int e;
};

static struct decimal decimal_of(struct schema_number v) {
    struct decimal d = {0, 0};
    if (v.is_int) {
        d.m = v.i < 0 ? 0 - (uint64_t)v.i : (uint64_t)v.i;
        while (d.m != 0 && d.m % 10 == 0) {
            d.m /= 10;
            d.e++;
        }
    } else {
        char digits[18];
        int point, n = moon_json_digits(fabs(v.d), digits, &point);
        for (int i = 0; i < n; i++)
            d.m = d.m * 10 + (uint64_t)(digits[i] - '0');
        d.e = point - n;
    }
    return d;
}

static uint64_t mul_mod(uint64_t a, uint64_t b, uint64_t m) {
    uint64_t r = 0;
    for (a %= m; b != 0; b >>= 1) {
        if ((b & 1) != 0)
            r = r >= m - a ? r - (m - a) : r + a;
        a = a >= m - a ? a - (m - a) : a + a;
    }
    return r;
}

bool schema_number_multiple(struct schema_number v, struct schema_number by) {
    if (v.is_int && by.is_int)
        return v.i % by.i == 0;
    struct decimal a = decimal_of(v), b = decimal_of(by);
    if (a.m == 0 || b.m == 0)
        return a.m == 0;
    int shift = a.e - b.e;
    if (shift < 0) { /* a has more decimals than b: only as many factors of ten as b.m brings could make up for it */
        for (; shift < 0; shift++) {
            if (b.m > UINT64_MAX / 10)
                return false;
            b.m *= 10;
        }
        return a.m % b.m == 0;
    }
    uint64_t rest = a.m % b.m;
    for (; shift > 0 && rest != 0; shift--)
        rest = mul_mod(rest, 10, b.m);
    return rest == 0;
}
