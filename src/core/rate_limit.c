/* rate_limit.c - reads the headers of rate limits. Nothing in them is believed that makes no sense: negative numbers,
 * times beyond an hour, text. */
#include "moongate/rate_limit.h"

#include "moongate/clock.h"
#include "moongate/http_date.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define EPOCH_S  INT64_C(100000000)        /* what is larger is not a number of seconds to wait ... */
#define EPOCH_MS INT64_C(100000000000)     /* ... and of these, what is larger is in milliseconds */
#define MAX      INT64_C(1000000000000000) /* numbers are cut here */

static const struct moon_rate_limit unknown = {-1, -1, -1};

void moon_rate_headers_init(struct moon_rate_headers *h) {
    for (int i = 0; i < MOON_RATE_FAMILIES; i++)
        h->family[i] = unknown;
    h->count = -1;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The digits at *s, which is moved behind them; -1: none. */
static int64_t digits(const char **s, const char *end) {
    const char *at = *s;
    int64_t n = 0;
    for (; *s < end && is_digit(**s); (*s)++)
        n = n < MAX ? n * 10 + (**s - '0') : MAX;
    return *s > at ? n : -1;
}

/* A whole number, perhaps with more behind it: "100, 100;w=60". */
static int64_t number(const char *s, size_t len) {
    const char *end = s + len;
    int64_t n = digits(&s, end);
    if (s < end && *s == '.') /* "0.0" */
        for (s++; s < end && is_digit(*s); s++) {
        }
    return s == end || strchr(" \t,;", *s) ? n : -1;
}

/* Nanoseconds of "5", "1.5", "20ms", "1s" or "6m0s"; -1: none of these. */
static int64_t duration(const char *s, size_t len) {
    const char *end = s + len;
    int64_t sum = 0;
    if (len == 0)
        return -1;
    while (s < end) {
        int64_t whole = digits(&s, end), fraction = 0, place = MOON_NS_PER_S, unit = MOON_NS_PER_S;
        if (whole < 0 || whole > EPOCH_S)
            return -1;
        if (s < end && *s == '.')
            for (s++; s < end && is_digit(*s); s++)
                fraction += (*s - '0') * (place /= 10);
        if (s + 1 < end && strncasecmp(s, "ms", 2) == 0)
            unit = MOON_NS_PER_MS, s += 2;
        else if (s < end && (*s | 32) == 's')
            s++;
        else if (s < end && (*s | 32) == 'm')
            unit = 60 * MOON_NS_PER_S, s++;
        else if (s < end && (*s | 32) == 'h')
            unit = 3600 * MOON_NS_PER_S, s++;
        else if (s < end)
            return -1;
        int64_t part = whole > MOON_RATE_RESET_MAX_S * 10 ? MAX : whole * unit;
        sum = sum + part < MAX ? sum + part + fraction / (MOON_NS_PER_S / unit > 0 ? MOON_NS_PER_S / unit : 1) : MAX;
    }
    return sum;
}

/* -1 for what is in the past or too far in the future to be a rate limit's. */
static int64_t plausible(int64_t ns) {
    return ns < 0 || ns > MOON_RATE_RESET_MAX_S * MOON_NS_PER_S ? -1 : ns;
}

static int64_t reset(const char *s, size_t len, int64_t wall_ns) {
    const char *end = s + len, *at = s;
    int64_t n = digits(&at, end), date;
    if (moon_http_date_parse(s, len, wall_ns, &date) == 0)
        return plausible(date - wall_ns);
    if (n < 0)
        return -1;
    if (n >= EPOCH_S) {
        bool plain = at == end || *at == '.'; /* a fraction of it makes no difference */
        if (!plain || n >= MAX)
            return -1;
        return plausible(n >= EPOCH_MS ? n * MOON_NS_PER_MS - wall_ns : n * MOON_NS_PER_S - wall_ns);
    }
    return plausible(duration(s, len));
}

/* Keeps the least of two; -1: not said. */
static void least(int64_t *to, int64_t n) {
    if (n >= 0 && (*to < 0 || n < *to))
        *to = n;
}

/* ---- RateLimit: "default";r=0;t=5, "hourly";r=10;t=600   or   limit=10, remaining=0, reset=5 ---- */

static void trim(const char **s, const char **end) {
    while (*s < *end && (**s == ' ' || **s == '\t' || **s == '"'))
        (*s)++;
    while (*end > *s && ((*end)[-1] == ' ' || (*end)[-1] == '\t' || (*end)[-1] == '"'))
        (*end)--;
}

static bool is(const char *s, size_t len, const char *word) {
    return strlen(word) == len && strncasecmp(s, word, len) == 0;
}

static void parameter(struct moon_rate_limit *l, const char *s, const char *end, int64_t wall_ns) {
    const char *equals = memchr(s, '=', (size_t)(end - s));
    if (!equals)
        return;
    const char *name_end = equals, *value = equals + 1;
    trim(&s, &name_end);
    trim(&value, &end);
    size_t nlen = (size_t)(name_end - s), vlen = (size_t)(end - value);
    if (is(s, nlen, "r") || is(s, nlen, "remaining"))
        least(&l->left, number(value, vlen));
    else if (is(s, nlen, "t") || is(s, nlen, "reset"))
        l->reset_ns = reset(value, vlen, wall_ns);
    else if (is(s, nlen, "q") || is(s, nlen, "limit"))
        l->allowed = number(value, vlen);
}

static void merge(struct moon_rate_limit *to, const struct moon_rate_limit *l) {
    bool less = l->left >= 0 && (to->left < 0 || l->left < to->left);
    bool later = l->left >= 0 && l->left == to->left && l->reset_ns > to->reset_ns;
    if (less || later)
        *to = *l;
}

static void structured(struct moon_rate_limit *to, const char *s, size_t len, int64_t wall_ns) {
    const char *end = s + len;
    struct moon_rate_limit l = unknown;
    while (s < end) {
        const char *stop = s;
        while (stop < end && *stop != ',' && *stop != ';')
            stop++;
        bool item = !memchr(s, '=', (size_t)(stop - s)); /* a policy's name: the parameters behind it are its own */
        if (item) {
            merge(to, &l);
            l = unknown;
        } else {
            parameter(&l, s, stop, wall_ns);
        }
        s = stop + 1;
    }
    merge(to, &l);
}

/* ---- by name ---- */

static const struct {
    const char *prefix;
    int family;
} prefixes[] = {
    {"inin-ratelimit-", MOON_RATE_ININ}, {"ratelimit-", MOON_RATE_IETF}, {"rate-limit-", MOON_RATE_IETF},
    {"x-ratelimit-", MOON_RATE_X},       {"x-rate-limit-", MOON_RATE_X}, {"anthropic-ratelimit-requests-", MOON_RATE_X},
};

static void field(struct moon_rate_headers *h, int family, const char *name, size_t nlen, const char *value,
                  size_t vlen, int64_t wall_ns) {
    struct moon_rate_limit *l = &h->family[family];
    if (nlen > 9 && strncasecmp(name + nlen - 9, "-requests", 9) == 0)
        nlen -= 9;
    if (is(name, nlen, "remaining"))
        least(&l->left, number(value, vlen));
    else if (is(name, nlen, "limit") || is(name, nlen, "allowed"))
        l->allowed = number(value, vlen);
    else if (is(name, nlen, "reset") || is(name, nlen, "reset-after"))
        l->reset_ns = reset(value, vlen, wall_ns);
    else if (is(name, nlen, "count") && family == MOON_RATE_ININ)
        h->count = number(value, vlen);
}

void moon_rate_headers_add(struct moon_rate_headers *h, const char *name, size_t nlen, const char *value, size_t vlen,
                           int64_t wall_ns) {
    char first = nlen > 8 ? (char)(*name | 32) : '\0';
    if (first != 'i' && first != 'r' && first != 'x' && first != 'a') /* nearly every header of nearly every server */
        return;
    if (is(name, nlen, "ratelimit")) {
        structured(&h->family[MOON_RATE_IETF], value, vlen, wall_ns);
        return;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t len = strlen(prefixes[i].prefix);
        if (nlen > len && strncasecmp(name, prefixes[i].prefix, len) == 0)
            field(h, prefixes[i].family, name + len, nlen - len, value, vlen, wall_ns);
    }
}

void moon_rate_headers_end(const struct moon_rate_headers *h, struct moon_rate_limit *out) {
    *out = unknown;
    for (int i = 0; i < MOON_RATE_FAMILIES; i++) {
        struct moon_rate_limit l = h->family[i];
        if (i == MOON_RATE_ININ && l.left < 0 && h->count >= 0 && l.allowed >= 0)
            l.left = l.allowed > h->count ? l.allowed - h->count : 0;
        merge(out, &l);
        if (out->left < 0 && l.reset_ns >= 0) /* of a refusal that says no more than this */
            out->reset_ns = l.reset_ns;
        if (out->allowed < 0)
            out->allowed = l.allowed;
    }
    for (int i = 0; out->left >= 0 && out->reset_ns < 0 && i < MOON_RATE_FAMILIES; i++)
        out->reset_ns = h->family[i].reset_ns;
}
