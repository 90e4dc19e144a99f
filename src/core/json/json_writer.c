/* json_writer.c - the pieces of canonical JSON (RFC 8785): strings, integers, numbers. */
#include "moongate/json.h"

#include "json_scan.h"

#include <math.h>

/* ---- strings ---- */

static size_t escape(char *out, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    static const char names[] = "btn?fr"; /* of 8..13 */
    out[0] = '\\';
    if (c == '"' || c == '\\' || (c >= 8 && c <= 13 && c != 11)) {
        out[1] = c < 0x20 ? names[c - 8] : (char)c;
        return 2;
    }
    out[1] = 'u';
    out[2] = out[3] = '0';
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

int moon_json_put_string(struct moon_buf *b, const char *s, size_t len) {
    const char *p = s, *end = s + len;
    if (moon_buf_reserve(b, len + 2) != 0)
        return MOON_ENOMEM;
    char *out = b->data + b->len;
    *out++ = '"';
    for (;;) {
        p = json_copy_plain(&out, p, end);
        if (p == end)
            break;
        if ((unsigned char)*p >= 0x80) {
            size_t n = json_utf8_sequence(p, end);
            if (n == 0)
                return MOON_EINVAL;
            for (; n > 0; n--)
                *out++ = *p++;
            continue;
        }
        size_t used = (size_t)(out - b->data), kept = b->len;
        b->len = used;
        int rc = moon_buf_reserve(b, 6 + (size_t)(end - p) + 1);
        b->len = kept;
        if (rc != 0)
            return rc;
        out = b->data + used;
        out += escape(out, (unsigned char)*p++);
    }
    *out++ = '"';
    *out = '\0';
    b->len = (size_t)(out - b->data);
    return 0;
}

/* ---- numbers ---- */

static int put_digits(struct moon_buf *b, uint64_t v, bool negative) {
    char text[24];
    int at = (int)sizeof text;
    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    if (negative)
        text[--at] = '-';
    return moon_buf_append(b, text + at, sizeof text - (size_t)at);
}

int moon_json_put_int(struct moon_buf *b, int64_t v) {
    if (v > MOON_JSON_SAFE_INT || v < -MOON_JSON_SAFE_INT)
        return MOON_ERANGE;
    return put_digits(b, v < 0 ? (uint64_t)-v : (uint64_t)v, v < 0);
}

/* ECMA-262 Number::toString, steps 6 to 10: `count` digits, the decimal point after `point` of them. */
static size_t layout(char *out, const char *digits, int count, int point) {
    char *o = out;
    if (point >= -5 && point <= 0) {
        *o++ = '0';
        *o++ = '.';
        for (int i = point; i < 0; i++)
            *o++ = '0';
        memcpy(o, digits, (size_t)count);
        return (size_t)(o + count - out);
    }
    if (point > 0 && point <= 21) {
        for (int i = 0; i < count || i < point; i++) {
            if (i == point)
                *o++ = '.';
            *o++ = i < count ? digits[i] : '0';
        }
        return (size_t)(o - out);
    }
    *o++ = digits[0];
    if (count > 1) {
        *o++ = '.';
        memcpy(o, digits + 1, (size_t)count - 1);
        o += count - 1;
    }
    int e = point - 1;
    *o++ = 'e';
    *o++ = e < 0 ? '-' : '+';
    e = e < 0 ? -e : e;
    if (e >= 100)
        *o++ = (char)('0' + e / 100);
    if (e >= 10)
        *o++ = (char)('0' + e / 10 % 10);
    *o++ = (char)('0' + e % 10);
    return (size_t)(o - out);
}

int moon_json_put_number(struct moon_buf *b, double v) {
    char text[40], digits[18];
    int point;
    size_t n = 0;
    if (!isfinite(v))
        return MOON_EINVAL;
    bool negative = v < 0;
    double a = negative ? -v : v;
    if (a < 9007199254740992.0 && a == (double)(int64_t)a)
        return put_digits(b, (uint64_t)a, negative);
    if (negative)
        text[n++] = '-';
    int count = moon_json_digits(a, digits, &point);
    n += layout(text + n, digits, count, point);
    return moon_buf_append(b, text, n);
}

size_t moon_json_pointer_token(const char *token, size_t len, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool escape = token[i] == '~' || token[i] == '/';
        if (out && escape)
            out[n] = '~';
        n += escape;
        if (out)
            out[n] = !escape ? token[i] : token[i] == '~' ? '0' : '1';
        n++;
    }
    return n;
}
