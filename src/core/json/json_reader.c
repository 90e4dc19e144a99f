/* json_reader.c - RFC 8259 text to tokens, strictly. A reader borrows its text; it owns only the scratch buffer for
 * strings with escapes. The state names what may come next; `kinds` remembers for each open level whether it is an
 * object. */
#include "moongate/json.h"

#include "json_scan.h"
#include "moongate/text.h"

#include <math.h>
#include <stdio.h>

enum {
    S_VALUE,      /* a value must come */
    S_FIRST_ITEM, /* after '[': a value or ']' */
    S_FIRST_KEY,  /* after '{': a key or '}' */
    S_AFTER,      /* after a value: ',' or a closing bracket, or the end */
    S_DONE,
    S_SPENT /* failed */
};

void moon_json_reader_init(struct moon_json_reader *r, const char *text, size_t len, int max_depth) {
    r->p = r->start = r->token = text;
    r->end = len != 0 ? text + len : text;
    moon_buf_init(&r->scratch);
    r->depth = 0;
    r->max_depth = max_depth > 0 && max_depth < MOON_JSON_DEPTH ? max_depth : MOON_JSON_DEPTH;
    r->state = S_VALUE;
    r->raw = false;
}

void moon_json_reader_release(struct moon_json_reader *r) {
    moon_buf_release(&r->scratch);
}

void moon_json_where(const struct moon_json_reader *r, size_t *line, size_t *column) {
    const char *bol = r->start;
    *line = 1;
    for (const char *p = r->start; p < r->token; p++) {
        if (*p == '\n') {
            ++*line;
            bol = p + 1;
        }
    }
    *column = 1 + moon_utf8_count(bol, (size_t)(r->token - bol));
}

/* ---- failures ---- */

static int fail(struct moon_json_reader *r, const char *at, struct moon_err *err, int code, const char *what) {
    size_t line, column;
    r->state = S_SPENT;
    r->token = at;
    if (err == NULL)
        return code;
    moon_json_where(r, &line, &column);
    return moon_err_set(err, code, "line %zu, column %zu: %s", line, column, what);
}

/* "expected X, found Y" at `at`. */
static int fail_found(struct moon_json_reader *r, const char *at, struct moon_err *err, const char *expected) {
    char what[160];
    unsigned char c = at < r->end ? (unsigned char)*at : 0;
    size_t n = at < r->end && c >= 0x80 ? json_utf8_sequence(at, r->end) : 1;
    if (at >= r->end)
        snprintf(what, sizeof what, "expected %s, found the end of the text", expected);
    else if (at == r->start && r->end - at >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        snprintf(what, sizeof what, "the text begins with a byte-order mark; save it as UTF-8 without one");
    else if (n == 0 || c < 0x20 || c == 0x7f)
        snprintf(what, sizeof what, "expected %s, found the byte 0x%02x", expected, c);
    else
        snprintf(what, sizeof what, "expected %s, found '%.*s'", expected, (int)n, at);
    return fail(r, at, err, MOON_EPARSE, what);
}

/* ---- strings ---- */

/* p is at a backslash. Returns what follows the escape, or NULL with *why. */
static const char *check_escape(const char *p, const char *end, const char **why) {
    *why = "this escape is not one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX";
    if (end - p < 2)
        return NULL;
    if (p[1] != 'u')
        return p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL ? p + 2 : NULL;
    int u = json_hex4(p + 2, end);
    if (u < 0) {
        *why = "\\u needs four hexadecimal digits";
        return NULL;
    }
    if (u < 0xd800 || u > 0xdfff)
        return p + 6;
    *why = "this \\u escape is half a surrogate pair";
    if (u > 0xdbff || end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return NULL;
    int low = json_hex4(p + 8, end);
    return low >= 0xdc00 && low <= 0xdfff ? p + 12 : NULL;
}

size_t moon_json_unescape(const char *text, size_t len, char *out) {
    const char *p = text, *end = text + len;
    char *o = out;
    while (p < end) {
        const char *run = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((run != NULL ? run : end) - p);
        memmove(o, p, n);
        o += n;
        p += n;
        if (p == end)
            break;
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        if (p[1] != 'u') {
            *o++ = to[strchr(from, p[1]) - from];
            p += 2;
            continue;
        }
        unsigned u = (unsigned)json_hex4(p + 2, end);
        p += 6;
        if (u >= 0xd800 && u <= 0xdfff) {
            u = 0x10000 + ((u - 0xd800) << 10) + ((unsigned)json_hex4(p + 2, end) - 0xdc00);
            p += 6;
        }
        o += moon_utf8_put(u, o);
    }
    return (size_t)(o - out);
}

/* p is at the opening quote. */
static int read_string(struct moon_json_reader *r, const char *p, struct moon_json_token *tok, struct moon_err *err) {
    const char *text = ++p, *end = r->end, *why;
    bool escaped = false;
    for (;;) {
        p = json_skip_plain(p, end);
        if (p == end)
            return fail(r, r->token, err, MOON_EPARSE, "a string begins here and is not closed");
        if (*p == '"')
            break;
        if (*p == '\\') {
            const char *next = check_escape(p, end, &why);
            if (next == NULL)
                return fail(r, p, err, MOON_EPARSE, why);
            p = next;
            escaped = true;
        } else if ((unsigned char)*p < 0x20) {
            return fail(r, p, err, MOON_EPARSE,
                        "a control character in a string must be written as an escape (line break: \\n)");
        } else {
            size_t n = json_utf8_sequence(p, end);
            if (n == 0)
                return fail(r, p, err, MOON_EPARSE, "this is not valid UTF-8");
            p += n;
        }
    }
    r->p = p + 1;
    tok->text = text;
    tok->len = (size_t)(p - text);
    tok->escaped = escaped;
    if (escaped && !r->raw) {
        moon_buf_clear(&r->scratch);
        if (moon_buf_reserve(&r->scratch, tok->len + 1) != 0)
            return fail(r, r->token, err, MOON_ENOMEM, "out of memory");
        tok->len = moon_json_unescape(text, tok->len, r->scratch.data);
        tok->text = r->scratch.data;
        tok->escaped = false;
    }
    return 0;
}

/* ---- numbers ---- */

static const char *skip_digits(const char *p, const char *end) {
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* An integer beyond int64 that a double holds just as it is written: what the writer makes of one can be read back. */
static bool is_wide_double(const char *start, const char *end, struct moon_json_token *tok) {
    char text[32], digits[18];
    int point, n = 0, count;
    bool negative = *start == '-';
    size_t len = (size_t)(end - start) - negative;
    if (len > 21)
        return false;
    tok->type = MOON_JSON_NUMBER;
    tok->number = moon_json_decimal(start, (size_t)(end - start));
    count = moon_json_digits(fabs(tok->number), digits, &point);
    for (; n < point && n < (int)sizeof text; n++)
        text[n] = n < count ? digits[n] : '0';
    return (size_t)n == len && memcmp(text, start + negative, len) == 0;
}

static int read_number(struct moon_json_reader *r, const char *start, struct moon_json_token *tok,
                       struct moon_err *err) {
    const char *p = start, *end = r->end, *digits;
    bool negative = *p == '-';
    p += negative;
    digits = p;
    p = skip_digits(p, end);
    if (p == digits)
        return fail_found(r, p, err, "a digit");
    if (*digits == '0' && p - digits > 1)
        return fail(r, start, err, MOON_EPARSE, "a number can't begin with a zero followed by more digits");
    if (p == end || (*p != '.' && (*p | 0x20) != 'e')) {
        uint64_t v = 0;
        bool wide = p - digits > 19;
        for (const char *d = digits; d < p && !wide; d++)
            v = v * 10 + (uint64_t)(*d - '0'); /* 19 digits fit uint64_t */
        r->p = p;
        if (wide || v > (uint64_t)INT64_MAX + negative) {
            if (is_wide_double(start, p, tok))
                return 0;
            return fail(r, start, err, MOON_ERANGE, "this integer does not fit 64 bits");
        }
        if (negative && v == 0) {
            tok->type = MOON_JSON_NUMBER;
            tok->number = -0.0;
        } else {
            tok->type = MOON_JSON_INT;
            tok->integer = negative ? (int64_t)(0 - v) : (int64_t)v;
        }
        return 0;
    }
    if (*p == '.') {
        const char *fraction = ++p;
        p = skip_digits(p, end);
        if (p == fraction)
            return fail_found(r, p, err, "a digit after the decimal point");
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        const char *exponent = p;
        p = skip_digits(p, end);
        if (p == exponent)
            return fail_found(r, p, err, "a digit in the exponent");
    }
    tok->type = MOON_JSON_NUMBER;
    tok->number = moon_json_decimal(start, (size_t)(p - start));
    if (isinf(tok->number))
        return fail(r, start, err, MOON_ERANGE, "this number is too large for a double");
    r->p = p;
    return 0;
}

/* ---- structure ---- */

static const char *skip_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static bool in_object(const struct moon_json_reader *r) {
    int top = r->depth - 1;
    return r->depth > 0 && (r->kinds[top >> 3] >> (top & 7) & 1) != 0;
}

static int open_level(struct moon_json_reader *r, const char *p, bool object, struct moon_err *err) {
    if (r->depth == r->max_depth) {
        char what[64];
        snprintf(what, sizeof what, "nested deeper than %d levels", r->max_depth);
        return fail(r, p, err, MOON_EPARSE, what);
    }
    unsigned char bit = (unsigned char)(1u << (r->depth & 7)), *kind = &r->kinds[r->depth >> 3];
    *kind = object ? *kind | bit : *kind & (unsigned char)~bit;
    r->depth++;
    r->state = object ? S_FIRST_KEY : S_FIRST_ITEM;
    r->p = p + 1;
    return 0;
}

static int close_level(struct moon_json_reader *r, const char *p, struct moon_json_token *tok) {
    tok->type = *p == '}' ? MOON_JSON_OBJECT_END : MOON_JSON_ARRAY_END;
    r->depth--;
    r->state = S_AFTER;
    r->p = p + 1;
    return 0;
}

static int read_word(struct moon_json_reader *r, const char *p, struct moon_json_token *tok, struct moon_err *err) {
    static const struct {
        const char *text;
        size_t len;
        enum moon_json_type type;
    } words[] = {{"null", 4, MOON_JSON_NULL}, {"true", 4, MOON_JSON_TRUE}, {"false", 5, MOON_JSON_FALSE}};
    for (size_t i = 0; i < 3; i++) {
        if ((size_t)(r->end - p) >= words[i].len && memcmp(p, words[i].text, words[i].len) == 0) {
            tok->type = words[i].type;
            r->p = p + words[i].len;
            return 0;
        }
    }
    return fail_found(r, p, err, "a value");
}

static int read_value(struct moon_json_reader *r, const char *p, struct moon_json_token *tok, struct moon_err *err) {
    if (p == r->end)
        return fail_found(r, p, err, "a value");
    switch (*p) {
    case '{':
        tok->type = MOON_JSON_OBJECT;
        return open_level(r, p, true, err);
    case '[':
        tok->type = MOON_JSON_ARRAY;
        return open_level(r, p, false, err);
    case '"':
        tok->type = MOON_JSON_STRING;
        r->state = S_AFTER;
        return read_string(r, p, tok, err);
    default:
        r->state = S_AFTER;
        if (*p == '-' || (*p >= '0' && *p <= '9'))
            return read_number(r, p, tok, err);
        return read_word(r, p, tok, err);
    }
}

static int read_key(struct moon_json_reader *r, const char *p, struct moon_json_token *tok, struct moon_err *err) {
    tok->type = MOON_JSON_KEY;
    int rc = read_string(r, p, tok, err);
    if (rc != 0)
        return rc;
    p = skip_space(r->p, r->end);
    if (p == r->end || *p != ':')
        return fail_found(r, p, err, "':' after the key");
    r->p = p + 1;
    r->state = S_VALUE;
    return 0;
}

int moon_json_next(struct moon_json_reader *r, struct moon_json_token *tok, struct moon_err *err) {
    const char *p = skip_space(r->p, r->end);
    r->token = p;
    switch (r->state) {
    case S_VALUE:
        return read_value(r, p, tok, err);
    case S_FIRST_ITEM:
        if (p < r->end && *p == ']')
            return close_level(r, p, tok);
        return read_value(r, p, tok, err);
    case S_FIRST_KEY:
        if (p < r->end && *p == '}')
            return close_level(r, p, tok);
        if (p == r->end || *p != '"')
            return fail_found(r, p, err, "a key in double quotes, or '}'");
        return read_key(r, p, tok, err);
    case S_AFTER:
        if (r->depth == 0) {
            if (p != r->end)
                return fail_found(r, p, err, "nothing after the document");
            tok->type = MOON_JSON_END;
            r->state = S_DONE;
            return 0;
        }
        if (p == r->end || *p != ',') {
            bool object = in_object(r);
            if (p < r->end && *p == (object ? '}' : ']'))
                return close_level(r, p, tok);
            return fail_found(r, p, err, object ? "',' or '}' after a member" : "',' or ']' after an item");
        }
        p = skip_space(p + 1, r->end);
        r->token = p;
        if (!in_object(r))
            return read_value(r, p, tok, err);
        if (p == r->end || *p != '"')
            return fail_found(r, p, err, "a key in double quotes after ','");
        return read_key(r, p, tok, err);
    case S_DONE:
        tok->type = MOON_JSON_END;
        return 0;
    default:
        return moon_err_set(err, MOON_EPARSE, "the reader has failed before");
    }
}
