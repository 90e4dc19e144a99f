/* schema_ecma.c - ECMA-262 regular expressions rewritten for PCRE2. What the two read differently is spelled out (\s .
 * \v \u escapes, property names), what only PCRE2 has is refused (inline flags, possessive quantifiers, \A \Z \K,
 * verbs, POSIX classes). */
#include "schema_ecma.h"

#include "moongate/text.h"
#include "schema_property.h"

#include <string.h>

#define SPACES                                                                                                         \
    "\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}"
#define NOT_SPACES                                                                                                     \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{"  \
    "202e}"                                                                                                            \
    "\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}"

struct ecma {
    const char *start, *p, *end;
    struct moon_buf *out;
    struct moon_err *err;
};

static int wrong(struct ecma *e, const char *what) {
    return moon_err_set(e->err, MOON_EINVAL, "at character %zu: %s", (size_t)(e->p - e->start) + 1, what);
}

static int put(struct ecma *e, const char *text) {
    return moon_buf_puts(e->out, text);
}

static int put_code(struct ecma *e, unsigned code) {
    return moon_buf_printf(e->out, "\\x{%x}", code);
}

static bool ahead(const struct ecma *e, const char *text) {
    size_t n = strlen(text);
    return (size_t)(e->end - e->p) >= n && memcmp(e->p, text, n) == 0;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- escapes ---- */

/* n hexadecimal digits at p, or -1. */
static long hex(const char *p, const char *end, int n) {
    long v = 0;
    if (end - p < n)
        return -1;
    for (int i = 0; i < n; i++) {
        int digit = moon_hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

/* After "\u". The code point, or -1. */
static long unicode_escape(struct ecma *e) {
    long code = -1;
    if (e->p < e->end && *e->p == '{') {
        const char *close = memchr(e->p, '}', (size_t)(e->end - e->p));
        if (close == NULL || close - e->p > 9 || close == e->p + 1)
            return -1;
        code = hex(e->p + 1, close, (int)(close - e->p - 1));
        e->p = close + 1;
    } else if ((code = hex(e->p, e->end, 4)) >= 0) {
        e->p += 4;
        if (code >= 0xd800 && code <= 0xdbff && ahead(e, "\\u")) {
            long low = hex(e->p + 2, e->end, 4);
            if (low >= 0xdc00 && low <= 0xdfff) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                e->p += 6;
            }
        }
    }
    return code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? -1 : code;
}

/* \p{...} or \P{...}; p is after the letter. */
static int property(struct ecma *e, char letter) {
    char name[64];
    const char *close = e->p < e->end && *e->p == '{' ? memchr(e->p, '}', (size_t)(e->end - e->p)) : NULL;
    if (close == NULL || !moon_property_name(name, sizeof name, e->p + 1, (size_t)(close - e->p - 1)))
        return wrong(e, "\\p needs the name of a Unicode property in braces");
    e->p = close + 1;
    return moon_buf_printf(e->out, "\\%c{%s}", letter, name);
}

/* The character an escape stands for; -1: it stands for a class (or is an assertion or a reference); -2: wrong. p is
 * after the letter. */
static long escaped_char(struct ecma *e, char c, bool in_class) {
    static const char names[] = "tnvfr", codes[] = "\t\n\v\f\r";
    const char *at = c != '\0' ? strchr(names, c) : NULL;
    long v;
    if (at != NULL)
        return codes[at - names];
    switch (c) {
    case '0':
        return e->p < e->end && is_digit(*e->p) ? -2 : 0;
    case 'c':
        if (e->p == e->end || !is_letter(*e->p))
            return -2;
        return *e->p++ & 31;
    case 'x':
        v = hex(e->p, e->end, 2);
        e->p += v >= 0 ? 2 : 0;
        return v >= 0 ? v : -2;
    case 'u':
        v = unicode_escape(e);
        return v >= 0 ? v : -2;
    case 'b':
        return in_class ? '\b' : -1;
    default:
        if (strchr("dDwWsSpP", c) != NULL && c != '\0')
            return -1;
        if (!in_class && (c == 'B' || c == 'k' || is_digit(c)))
            return -1;
        return is_letter(c) || is_digit(c) || (unsigned char)c >= 0x80 || c == '\0' ? -2 : c;
    }
}

/* A class escape, inside brackets or not. */
static int class_escape(struct ecma *e, char c, bool in_class) {
    if (c == 'p' || c == 'P')
        return property(e, c);
    if (c == 's' || c == 'S') {
        if (in_class)
            return put(e, c == 's' ? SPACES : NOT_SPACES);
        return put(e, c == 's' ? "[" SPACES "]" : "[^" SPACES "]");
    }
    return moon_buf_printf(e->out, "\\%c", c);
}

static int escape(struct ecma *e) {
    if (e->p + 1 >= e->end)
        return wrong(e, "a backslash ends the pattern");
    const char *start = e->p;
    char c = e->p[1];
    e->p += 2;
    long v = escaped_char(e, c, false);
    if (v == -2) {
        e->p = start;
        return wrong(e, "this escape is not one of ECMA-262's");
    }
    if (v >= 0)
        return put_code(e, (unsigned)v);
    if (is_digit(c)) {
        unsigned n = (unsigned)(c - '0');
        while (e->p < e->end && is_digit(*e->p) && n < 10000)
            n = n * 10 + (unsigned)(*e->p++ - '0');
        return moon_buf_printf(e->out, "\\g{%u}", n);
    }
    if (c == 'k') {
        const char *close = memchr(e->p, '>', (size_t)(e->end - e->p));
        if (e->p == e->end || *e->p != '<' || close == NULL)
            return wrong(e, "\\k needs the name of a group: \\k<name>");
        int rc = put(e, "\\k");
        if (rc == 0)
            rc = moon_buf_append(e->out, e->p, (size_t)(close + 1 - e->p));
        e->p = close + 1;
        return rc;
    }
    return class_escape(e, c, false);
}

/* ---- character classes ---- */

/* One item of a class: a character in *code, or a class escape, already written, with *code = -1. */
static int class_item(struct ecma *e, long *code) {
    const char *start = e->p;
    if (*e->p != '\\') {
        size_t n = 1;
        unsigned char c = (unsigned char)*e->p;
        long v = c;
        if (c >= 0xc0) {
            n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            v = c & (0x7f >> n);
            for (size_t i = 1; i < n && e->p + i < e->end; i++)
                v = v << 6 | (e->p[i] & 0x3f);
        }
        e->p += n;
        *code = v;
        return 0;
    }
    if (e->p + 1 >= e->end)
        return wrong(e, "a backslash ends the pattern");
    char c = e->p[1];
    e->p += 2;
    *code = escaped_char(e, c, true);
    if (*code == -2) {
        e->p = start;
        return wrong(e, "this escape is not one of ECMA-262's");
    }
    return *code >= 0 ? 0 : class_escape(e, c, true);
}

static int character_class(struct ecma *e) {
    const char *start = e->p;
    int rc = put(e, "[");
    e->p++;
    if (e->p < e->end && *e->p == '^') {
        e->p++;
        rc = rc != 0 ? rc : put(e, "^");
    }
    while (rc == 0 && e->p < e->end && *e->p != ']') {
        long from = 0, to = 0;
        if ((rc = class_item(e, &from)) != 0)
            return rc;
        bool range = e->end - e->p >= 2 && e->p[0] == '-' && e->p[1] != ']';
        if (from >= 0)
            rc = put_code(e, (unsigned)from);
        if (rc != 0 || !range)
            continue;
        e->p++;
        if (from < 0) { /* a class does not end a range: the hyphen is itself */
            rc = put(e, "\\-");
            continue;
        }
        size_t before = e->out->len;
        if ((rc = class_item(e, &to)) != 0)
            return rc;
        if (to < 0) {
            if (moon_buf_reserve(e->out, 2) != 0)
                return MOON_ENOMEM;
            memmove(e->out->data + before + 2, e->out->data + before, e->out->len - before + 1);
            memcpy(e->out->data + before, "\\-", 2);
            e->out->len += 2;
            continue;
        }
        if (to < from)
            return wrong(e, "this range runs backwards");
        rc = put(e, "-");
        if (rc == 0)
            rc = put_code(e, (unsigned)to);
    }
    if (rc == 0 && e->p == e->end) {
        e->p = start;
        return wrong(e, "this '[' is not closed");
    }
    e->p++;
    return rc != 0 ? rc : put(e, "]");
}

/* ---- groups and quantifiers ---- */

static int group(struct ecma *e) {
    static const char *const openings[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", NULL};
    if (ahead(e, "(?")) {
        for (int i = 0; openings[i] != NULL; i++) {
            if (ahead(e, openings[i])) {
                e->p += strlen(openings[i]);
                return put(e, openings[i]);
            }
        }
        if (!ahead(e, "(?<"))
            return wrong(e, "this group is not one of ECMA-262's");
        e->p += 3;
        return put(e, "(?<");
    }
    if (ahead(e, "(*"))
        return wrong(e, "nothing to repeat");
    e->p++;
    return put(e, "(");
}

/* {n}, {n,} or {n,m}: its length, or 0. */
static size_t braces(const struct ecma *e) {
    const char *p = e->p + 1, *digits = p;
    while (p < e->end && is_digit(*p))
        p++;
    if (p == digits)
        return 0;
    if (p < e->end && *p == ',') {
        p++;
        while (p < e->end && is_digit(*p))
            p++;
    }
    return p < e->end && *p == '}' ? (size_t)(p + 1 - e->p) : 0;
}

static int quantifier(struct ecma *e, size_t len) {
    int rc = moon_buf_append(e->out, e->p, len);
    e->p += len;
    if (rc == 0 && e->p < e->end && *e->p == '?') {
        e->p++;
        rc = put(e, "?");
    }
    if (rc == 0 && e->p < e->end && strchr("+*?", *e->p) != NULL && *e->p != '\0')
        return wrong(e, "nothing to repeat");
    return rc;
}

static int term(struct ecma *e) {
    size_t n;
    switch (*e->p) {
    case '\\':
        return escape(e);
    case '[':
        return character_class(e);
    case '(':
        return group(e);
    case '.':
        e->p++;
        return put(e, "[^\\x{a}\\x{d}\\x{2028}\\x{2029}]");
    case '*':
    case '+':
    case '?':
        return quantifier(e, 1);
    case '{':
        n = braces(e);
        if (n > 0)
            return quantifier(e, n);
        e->p++;
        return put(e, "\\{");
    case '}':
    case ']':
        return moon_buf_printf(e->out, "\\%c", *e->p++);
    default:
        return moon_buf_putc(e->out, *e->p++);
    }
}

int moon_ecma_to_pcre(struct moon_buf *out, const char *source, size_t len, struct moon_err *err) {
    struct ecma e = {source, source, source + len, out, err};
    int rc = moon_buf_reserve(out, len);
    while (rc == 0 && e.p < e.end)
        rc = term(&e);
    return rc;
}
