/* json_canonical.c - is this text the canonical form of a value, and where do its members stand? */
#include "json_canonical.h"

#include "json_scan.h"

#define DIGITS_MAX 15 /* a decimal of this number of digits is its own shortest form, and an integer exact */
#define ZEROS_MAX  5  /* 0.000001 is written so, 1e-7 is not */

/* Each returns where what begins at p ends; NULL: it is not canonical. */

static const char *canonical_value(const char *p, const char *end, int depth);

/* p is at the backslash. Canonical are the short escapes, and \u00XX in lower case for other control characters. */
static const char *skip_escape(const char *p, const char *end) {
    if (end - p < 2)
        return NULL;
    if (p[1] != '\0' && strchr("\"\\bfnrt", p[1]))
        return p + 2;
    if (end - p < 6 || memcmp(p, "\\u00", 4) != 0 || (p[4] != '0' && p[4] != '1'))
        return NULL;
    int c = json_hex4(p + 2, end);
    bool is_short = c == 8 || c == 9 || c == 10 || c == 12 || c == 13;
    return c < 0 || is_short || (p[5] >= 'A' && p[5] <= 'F') ? NULL : p + 6;
}

static const char *skip_string(const char *p, const char *end) {
    for (p++;;) {
        p = json_skip_plain(p, end);
        if (p == end)
            return NULL;
        if (*p == '"')
            return p + 1;
        if (*p == '\\') {
            p = skip_escape(p, end);
        } else {
            size_t n = (unsigned char)*p >= 0x80 ? json_utf8_sequence(p, end) : 0;
            p = n > 0 ? p + n : NULL;
        }
        if (!p)
            return NULL;
    }
}

static const char *skip_digits(const char *p, const char *end) {
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* A number of many digits or with an exponent: is it what the writer makes of its value? */
static bool is_as_written(const char *text, size_t len) {
    struct moon_json_reader r;
    struct moon_json_token t;
    struct moon_buf again = MOON_BUF_INIT;
    bool same = false;
    moon_json_reader_init(&r, text, len, 0);
    if (moon_json_next(&r, &t, NULL) == 0 && r.p == text + len) {
        int rc = t.type == MOON_JSON_INT      ? moon_json_put_int(&again, t.integer)
                 : t.type == MOON_JSON_NUMBER ? moon_json_put_number(&again, t.number)
                                              : MOON_EINVAL;
        same = rc == 0 && again.len == len && memcmp(again.data, text, len) == 0;
    }
    moon_json_reader_release(&r);
    moon_buf_release(&again);
    return same;
}

static const char *skip_number(const char *p, const char *end) {
    const char *whole = p + (*p == '-'), *dot = skip_digits(whole, end), *stop = dot, *first = NULL;
    if (dot == whole || (*whole == '0' && dot - whole > 1))
        return NULL;
    if (stop < end && *stop == '.') {
        first = dot + 1;
        stop = skip_digits(first, end);
        if (stop == first)
            return NULL;
        while (first < stop && *first == '0')
            first++;
    }
    if (stop < end && (*stop == 'e' || *stop == 'E')) {
        const char *e = stop + 1;
        stop = skip_digits(e < end && (*e == '+' || *e == '-') ? e + 1 : e, end);
        return is_as_written(p, (size_t)(stop - p)) ? stop : NULL;
    }
    if (stop - whole - (stop > dot) > DIGITS_MAX)
        return is_as_written(p, (size_t)(stop - p)) ? stop : NULL;
    if (stop == dot)
        return *whole == '0' && *p == '-' ? NULL : stop;
    return stop[-1] == '0' || (*whole == '0' && first - dot - 1 > ZEROS_MAX) ? NULL : stop;
}

static const char *skip_word(const char *p, const char *end) {
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0)
            return p + n;
    }
    return NULL;
}

/* Canonical escapes are of one byte each. */
static unsigned char unescaped(const char **p) {
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *at = *p;
    if (*at != '\\') {
        *p = at + 1;
        return (unsigned char)*at;
    }
    if (at[1] == 'u') {
        *p = at + 6;
        return (unsigned char)json_hex4(at + 2, at + 6);
    }
    *p = at + 2;
    const char *letter = strchr(from, at[1]);
    return (unsigned char)(letter ? to[letter - from] : at[1]);
}

int json_canonical_key_cmp(const char *a, size_t alen, const char *b, size_t blen) {
    const char *a_end = a + alen, *b_end = b + blen;
    if (!memchr(a, '\\', alen) && !memchr(b, '\\', blen))
        return moon_json_key_cmp(a, alen, b, blen);
    while (a < a_end && b < b_end) {
        char x = (char)unescaped(&a), y = (char)unescaped(&b);
        if (x != y)
            return moon_json_key_cmp(&x, 1, &y, 1);
    }
    return (a < a_end) - (b < b_end);
}

/* The member that begins at m->p; its key comes behind the one before. */
static const char *take_member(struct json_members *m, int depth) {
    const char *before = m->key, *end = m->end;
    size_t before_len = m->key_len;
    if (m->p == end || *m->p != '"')
        return NULL;
    m->text = m->p;
    m->key = m->p + 1;
    const char *colon = skip_string(m->p, end);
    if (!colon || colon == end || *colon != ':')
        return NULL;
    m->key_len = (size_t)(colon - m->key) - 1;
    if (m->any && json_canonical_key_cmp(before, before_len, m->key, m->key_len) >= 0)
        return NULL;
    m->value = colon + 1;
    const char *stop = canonical_value(m->value, end, depth);
    m->value_len = stop ? (size_t)(stop - m->value) : 0;
    m->any = true;
    return stop;
}

/* As json_members_next, of an object within a text: m->p is behind it at its end. */
static int next_member(struct json_members *m, int depth) {
    if (m->p == m->end)
        return -1;
    if (*m->p == '}') {
        m->p++;
        return 0;
    }
    if (m->any && *m->p++ != ',')
        return -1;
    m->p = take_member(m, depth);
    /* a comma without a member behind it is caught by take_member */
    return m->p ? 1 : -1;
}

static const char *skip_object(const char *p, const char *end, int depth) {
    struct json_members m = {.p = p + 1, .end = end};
    int rc;
    while ((rc = next_member(&m, depth)) == 1)
        ;
    return rc == 0 ? m.p : NULL;
}

static const char *skip_array(const char *p, const char *end, int depth) {
    p++;
    if (p < end && *p == ']')
        return p + 1;
    while (p && p < end) {
        p = canonical_value(p, end, depth);
        if (p && p < end && *p == ']')
            return p + 1;
        if (!p || p == end || *p++ != ',')
            return NULL;
    }
    return NULL;
}

/* depth: containers that are open. Recursion is bounded by it. */
static const char *canonical_value(const char *p, const char *end, int depth) {
    if (p == end)
        return NULL;
    switch (*p) {
    case '"':
        return skip_string(p, end);
    case '{':
        return depth < MOON_JSON_DEPTH ? skip_object(p, end, depth + 1) : NULL;
    case '[':
        return depth < MOON_JSON_DEPTH ? skip_array(p, end, depth + 1) : NULL;
    default:
        return *p == '-' || (*p >= '0' && *p <= '9') ? skip_number(p, end) : skip_word(p, end);
    }
}

void json_members_init(struct json_members *m, const char *text, size_t len) {
    memset(m, 0, sizeof *m);
    m->end = text + len;
    m->p = len >= 2 && text[0] == '{' ? text + 1 : m->end; /* at its end: refused */
}

int json_members_next(struct json_members *m) {
    int rc = next_member(m, 1);
    return rc == 0 && m->p != m->end ? -1 : rc;
}
