/* json_number.c - a double to the shortest decimal that reads back as it, and of those the closest: the digits of
 * ECMAScript's Number::toString, which RFC 8785 requires.
 *
 * "The smallest %.*e that reads back" is not that: next to a power of two the doubles below lie half as far away as
 * those above, so the rounding interval is lopsided. Short decimals take a fast path; the rest is R. G. Burger and R.
 * K. Dybvig, "Printing floating-point numbers quickly and accurately" (1996), free-format, with exact integers on the
 * stack. No locale, no allocation. */
#include "moongate/json.h"

#include <math.h>
#include <string.h>

/* ---- unsigned integers of up to 40 limbs: the largest needed is 2^1076 * 10 ---- */

#define LIMBS 40

struct big {
    int len; /* limbs in use; no leading zero limb */
    uint32_t limb[LIMBS];
};

static void big_set(struct big *b, uint64_t v) {
    b->len = 0;
    for (; v != 0; v >>= 32)
        b->limb[b->len++] = (uint32_t)v;
}

static void big_mul(struct big *b, uint32_t by) {
    uint64_t carry = 0;
    for (int i = 0; i < b->len; i++) {
        carry += (uint64_t)b->limb[i] * by;
        b->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0)
        b->limb[b->len++] = (uint32_t)carry;
}

static void big_mul_pow10(struct big *b, int n) {
    static const uint32_t small[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
    for (; n >= 9; n -= 9)
        big_mul(b, 1000000000);
    if (n > 0)
        big_mul(b, small[n]);
}

static void big_shift(struct big *b, int bits) {
    int limbs = bits / 32, rest = bits % 32;
    if (b->len == 0)
        return;
    if (rest != 0)
        big_mul(b, UINT32_C(1) << rest);
    memmove(b->limb + limbs, b->limb, (size_t)b->len * sizeof b->limb[0]);
    memset(b->limb, 0, (size_t)limbs * sizeof b->limb[0]);
    b->len += limbs;
}

static int big_cmp(const struct big *a, const struct big *b) {
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    for (int i = a->len - 1; i >= 0; i--) {
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    }
    return 0;
}

static void big_add(struct big *sum, const struct big *a, const struct big *b) {
    uint64_t carry = 0;
    int n = a->len > b->len ? a->len : b->len;
    for (int i = 0; i < n; i++) {
        carry += (uint64_t)(i < a->len ? a->limb[i] : 0) + (i < b->len ? b->limb[i] : 0);
        sum->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0)
        sum->limb[n++] = (uint32_t)carry;
    sum->len = n;
}

/* a -= b * times; the result is not negative. */
static void big_sub_mul(struct big *a, const struct big *b, uint32_t times) {
    uint64_t carry = 0;
    for (int i = 0; i < a->len; i++) {
        carry += (uint64_t)(i < b->len ? b->limb[i] : 0) * times;
        uint32_t low = (uint32_t)carry;
        carry = (carry >> 32) + (a->limb[i] < low);
        a->limb[i] -= low;
    }
    while (a->len > 0 && a->limb[a->len - 1] == 0)
        a->len--;
}

/* a / b where the quotient is 0..9 and b's top limb is in [2^27, 2^28): a is left as the remainder. */
static uint32_t big_digit(struct big *a, const struct big *b) {
    if (a->len < b->len)
        return 0;
    uint32_t q = a->limb[a->len - 1] / (b->limb[b->len - 1] + 1); /* at most one too small */
    if (q != 0)
        big_sub_mul(a, b, q);
    if (big_cmp(a, b) >= 0) {
        big_sub_mul(a, b, 1);
        q++;
    }
    return q;
}

/* ---- digits ---- */

/* Values with at most nine decimals and fifteen digits, which is most of what people write. Decimals of up to fifteen
 * digits never share a double, so the one found is the shortest. */
static int fast_digits(double v, char digits[18], int *point) {
    static const double scales[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    if (v < 1e-5 || v >= 1e15)
        return 0;
    for (int decimals = 0; decimals <= 9; decimals++) {
        double scale = scales[decimals];
        double n = nearbyint(v * scale);
        if (n >= 1e15)
            return 0;
        if (n / scale != v)
            continue;
        char text[20];
        int len = 0, end = (int)sizeof text;
        for (uint64_t rest = (uint64_t)n; rest != 0; rest /= 10)
            text[--end] = (char)('0' + rest % 10);
        len = (int)sizeof text - end;
        *point = len - decimals;
        while (len > 1 && text[end + len - 1] == '0')
            len--;
        memcpy(digits, text + end, (size_t)len);
        return len;
    }
    return 0;
}

/* r/s is the value, low/s and high/s the distances to the middle of the way to its neighbours. */
static void set_up(double v, struct big *r, struct big *s, struct big *low, struct big *high, bool *even, int *k) {
    uint64_t bits, m;
    memcpy(&bits, &v, sizeof bits);
    int e = (int)(bits >> 52);
    m = bits & ((UINT64_C(1) << 52) - 1);
    bool lopsided = m == 0 && e > 1;
    if (e != 0)
        m |= UINT64_C(1) << 52;
    else
        e = 1;
    e -= 1075;
    *even = (m & 1) == 0;
    big_set(r, m);
    big_set(s, 1);
    big_set(low, 1);
    big_shift(r, 1 + lopsided + (e > 0 ? e : 0));
    big_shift(s, 1 + lopsided + (e < 0 ? -e : 0));
    big_shift(low, e > 0 ? e : 0);
    *high = *low;
    if (lopsided)
        big_shift(high, 1);
    *k = (int)ceil(log10(v) - 1e-10); /* right, or one too small */
    if (*k > 0) {
        big_mul_pow10(s, *k);
    } else {
        big_mul_pow10(r, -*k);
        big_mul_pow10(low, -*k);
        big_mul_pow10(high, -*k);
    }
}

static int exact_digits(double v, char digits[18], int *point) {
    struct big r, s, low, high, sum;
    bool even;
    int k, n = 0;
    set_up(v, &r, &s, &low, &high, &even, &k);
    big_add(&sum, &r, &high);
    if (big_cmp(&sum, &s) >= !even) {
        k++; /* the estimate was one too small */
    } else {
        big_mul(&r, 10);
        big_mul(&low, 10);
        big_mul(&high, 10);
    }
    *point = k;
    int top = 31;
    while (s.limb[s.len - 1] >> top == 0)
        top--;
    int align = top <= 27 ? 27 - top : 59 - top; /* brings s's top limb into [2^27, 2^28), for big_digit */
    big_shift(&r, align);
    big_shift(&s, align);
    big_shift(&low, align);
    big_shift(&high, align);
    for (;;) {
        uint32_t d = big_digit(&r, &s);
        bool stop_low = big_cmp(&r, &low) < (int)even;
        big_add(&sum, &r, &high);
        bool stop_high = big_cmp(&sum, &s) >= !even;
        if (stop_low || stop_high) {
            big_shift(&r, 1);
            int half = big_cmp(&r, &s);
            bool up = !stop_low || (stop_high && (half > 0 || (half == 0 && (d & 1) != 0)));
            digits[n++] = (char)('0' + d + up);
            return n;
        }
        digits[n++] = (char)('0' + d);
        big_mul(&r, 10);
        big_mul(&low, 10);
        big_mul(&high, 10);
    }
}

int moon_json_digits(double v, char digits[18], int *point) {
    int n = fast_digits(v, digits, point);
    return n != 0 ? n : exact_digits(v, digits, point);
}
