/* json_lenient.c - JSON that others wrote, brought into the form that the strict reader takes: see moon_json_repair in
 * moongate/json.h. Only words are repaired; the structure is the reader's to judge. */
#include "moongate/json.h"

#include "json_scan.h"

#include <math.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Counts what it is given; writes it, too, where there is room for it. */
struct sink {
    char *out; /* NULL: count only */
    size_t n;
};

static void put(struct sink *s, const char *text, size_t len) {
    if (s->out != NULL)
        memcpy(s->out + s->n, text, len);
    s->n += len;
}

static void put_code(struct sink *s, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    put(s, text, sizeof text);
}

/* The length of the ill-formed UTF-8 at p that one U+FFFD stands for: the longest start of a well-formed sequence, or a
 * byte (Unicode 15, 3.9). */
static size_t ill_formed(const char *p, const char *end) {
    const unsigned char *s = (const unsigned char *)p;
    size_t left = (size_t)(end - p);
    if (s[0] < 0xe0 || s[0] > 0xf4 || left < 2 || (s[1] & 0xc0) != 0x80)
        return 1;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 1;
    return s[0] >= 0xf0 && left > 2 && (s[2] & 0xc0) == 0x80 ? 3 : 2;
}

/* What lies beyond ASCII at p: itself, or U+FFFD. Returns what follows it. */
static const char *put_wide(struct sink *s, const char *p, const char *end) {
    size_t n = json_utf8_sequence(p, end);
    if (n != 0) {
        put(s, p, n);
        return p + n;
    }
    put(s, REPLACEMENT, 3);
    return p + ill_formed(p, end);
}

/* ---- strings ---- */

/* The escape at p, which is at its backslash. */
static const char *repair_escape(struct sink *s, const char *p, const char *end) {
    if (end - p >= 2 && p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL) {
        put(s, p, 2);
        return p + 2;
    }
    int u = end - p >= 2 && p[1] == 'u' ? json_hex4(p + 2, end) : -1;
    if (u < 0) { /* no escape: a backslash that was not doubled */
        put(s, "\\\\", 2);
        return p + 1;
    }
    if (u < 0xd800 || u > 0xdfff) {
        put(s, p, 6);
        return p + 6;
    }
    int low = u <= 0xdbff && end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? json_hex4(p + 8, end) : -1;
    if (low >= 0xdc00 && low <= 0xdfff) {
        put(s, p, 12);
        return p + 12;
    }
    put(s, REPLACEMENT, 3);
    return p + 6;
}

/* p is behind the opening quote. */
static const char *repair_string(struct sink *s, const char *p, const char *end) {
    put(s, "\"", 1);
    while (p < end && *p != '"') {
        const char *plain = p;
        p = json_skip_plain(p, end);
        put(s, plain, (size_t)(p - plain));
        if (p == end || *p == '"')
            break;
        if (*p == '\\')
            p = repair_escape(s, p, end);
        else if ((unsigned char)*p < 0x20)
            put_code(s, (unsigned char)*p++);
        else
            p = put_wide(s, p, end);
    }
    if (p < end) {
        put(s, "\"", 1);
        p++;
    }
    return p;
}

/* Any text as the inside of a string. */
static void put_quoted(struct sink *s, const char *p, const char *end) {
    while (p < end) {
        const char *plain = p;
        p = json_skip_plain(p, end);
        put(s, plain, (size_t)(p - plain));
        if (p == end)
            break;
        if (*p == '"' || *p == '\\') {
            put(s, "\\", 1);
            put(s, p++, 1);
        } else if ((unsigned char)*p < 0x20) {
            put_code(s, (unsigned char)*p++);
        } else {
            p = put_wide(s, p, end);
        }
    }
}

static void put_string(struct sink *s, const char *p, const char *end) {
    put(s, "\"", 1);
    put_quoted(s, p, end);
    put(s, "\"", 1);
}

/* ---- numbers ---- */

/* Whether the strict reader has a value for it; what is not a number is the reader's to refuse. */
static bool is_kept(const char *p, const char *end) {
    struct moon_json_reader r;
    struct moon_json_token tok;
    moon_json_reader_init(&r, p, (size_t)(end - p), 1);
    bool kept = moon_json_next(&r, &tok, NULL) != MOON_ERANGE;
    moon_json_reader_release(&r);
    return kept;
}

static const char *repair_number(struct sink *s, const char *p, const char *end) {
    const char *start = p;
    if (*p == '-' && end - p >= 9 && memcmp(p + 1, "Infinity", 8) == 0) {
        put_string(s, p, p + 9);
        return p + 9;
    }
    while (p < end && *p != '\0' && strchr("+-.0123456789eE", *p) != NULL)
        p++;
    if (is_kept(start, p))
        put(s, start, (size_t)(p - start));
    else
        put_string(s, start, p);
    return p;
}

/* ---- structure ---- */

/* Behind the bracket that closes the one at p. */
static const char *skip_level(const char *p, const char *end) {
    size_t depth = 0;
    bool string = false;
    for (; p < end; p++) {
        if (string) {
            if (*p == '\\' && end - p > 1)
                p++;
            else if (*p == '"')
                string = false;
        } else if (*p == '"') {
            string = true;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if ((*p == '}' || *p == ']') && --depth == 0) {
            return p + 1;
        }
    }
    return end;
}

static const char *repair_word(struct sink *s, const char *p, const char *end) {
    static const char *const words[] = {"NaN", "Infinity"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0) {
            put_string(s, p, p + n);
            return p + n;
        }
    }
    put(s, *p == '\0' ? " " : p, 1); /* zero bytes behind a document are a buffer's */
    return p + 1;
}

size_t moon_json_repair(const char *text, size_t len, int max_depth, char *out) {
    struct sink s = {NULL, 0};
    const char *p = text, *end = len != 0 ? text + len : text;
    int depth = 0;
    s.out = out;
    if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3;
    while (p < end) {
        if (*p == '"') {
            p = repair_string(&s, p + 1, end);
        } else if (*p == '-' || (*p >= '0' && *p <= '9')) {
            p = repair_number(&s, p, end);
        } else if ((*p == '{' || *p == '[') && depth == max_depth) {
            const char *inner = p;
            p = skip_level(p, end);
            put_string(&s, inner, p);
        } else {
            depth += (*p == '{' || *p == '[') - ((*p == '}' || *p == ']') && depth > 0);
            p = repair_word(&s, p, end);
        }
    }
    return s.n;
}

/* ---- writing ---- */

int moon_json_put_text(struct moon_buf *b, const char *text, size_t len, size_t max) {
    const char *p = text, *end = len != 0 ? text + len : text;
    bool cut = len > max;
    size_t before = b->len;
    if (!cut) { /* most is as it should be */
        int rc = moon_json_put_string(b, text, len);
        if (rc != MOON_EINVAL)
            return rc;
        b->len = before;
    } else {
        end = text + max;
        while (end > p && ((unsigned char)*end & 0xc0) == 0x80)
            end--;
    }
    struct sink s = {NULL, 0};
    put_string(&s, p, end);
    if (moon_buf_reserve(b, s.n + 1) != 0)
        return MOON_ENOMEM;
    s = (struct sink){b->data + b->len, 0};
    put_string(&s, p, end);
    b->len += s.n;
    b->data[b->len] = '\0';
    if (!cut)
        return 0;
    b->data[--b->len] = '\0';
    return moon_buf_printf(b, "... (%zu bytes)\"", len);
}

size_t moon_utf8_repair(const char *text, size_t len, char *out) {
    struct sink s = {NULL, 0};
    const char *p = text, *end = len != 0 ? text + len : text;
    s.out = out;
    while (p < end) {
        const char *plain = p;
        while (p < end && (unsigned char)*p < 0x80)
            p++;
        put(&s, plain, (size_t)(p - plain));
        if (p < end)
            p = put_wide(&s, p, end);
    }
    return s.n;
}
