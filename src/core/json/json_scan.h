/* json_scan.h - the inner loops that reader, writer and UTF-8 checks share. Private to core. */
#ifndef MOONGATE_CORE_JSON_SCAN_H
#define MOONGATE_CORE_JSON_SCAN_H

#include "moongate/text.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A byte that stands for itself inside a JSON string: printable ASCII and DEL, without '"' and '\\'. */
static inline int json_is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#define JSON_ONES  UINT64_C(0x0101010101010101)
#define JSON_HIGHS UINT64_C(0x8080808080808080)

/* Nonzero when one of the eight bytes of w is not plain. The lowest bit set is in the first such byte (from the low
 * end); bits above it may be wrong. */
static inline uint64_t json_specials(uint64_t w) {
    uint64_t quote = w ^ (JSON_ONES * '"');
    uint64_t slash = w ^ (JSON_ONES * '\\');
    uint64_t found = (w - JSON_ONES * 0x20) & ~w;
    found |= (quote - JSON_ONES) & ~quote;
    found |= (slash - JSON_ONES) & ~slash;
    return (found | w) & JSON_HIGHS;
}

#if defined __BYTE_ORDER__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define JSON_FIRST(mask) ((size_t)__builtin_ctzll(mask) / 8) /* plain bytes before the first that is not */
#else
#define JSON_FIRST(mask) ((void)(mask), (size_t)0) /* the loop over bytes finds it */
#endif

/* The first byte of [p, end) that is not plain, or end. */
static inline const char *json_skip_plain(const char *p, const char *end) {
    while (end - p >= 8) {
        uint64_t w, m;
        memcpy(&w, p, sizeof w);
        m = json_specials(w);
        if (m != 0) {
            p += JSON_FIRST(m);
            break;
        }
        p += 8;
    }
    while (p < end && json_is_plain((unsigned char)*p))
        p++;
    return p;
}

/* As json_skip_plain, copying what it passes to *out, which moves on; *out has room for end - p bytes. */
static inline const char *json_copy_plain(char **out, const char *p, const char *end) {
    const char *start = p;
    char *o = *out;
    uint64_t w, m = 0;
    for (; end - p >= 8; p += 8, o += 8) {
        memcpy(&w, p, sizeof w);
        memcpy(o, &w, sizeof w);
        if ((m = json_specials(w)) != 0) {
            p += JSON_FIRST(m);
            o += JSON_FIRST(m);
            break;
        }
    }
    if (m == 0 && p < end && end - start >= 8) { /* the rest, together with bytes that are done */
        memcpy(&w, end - 8, sizeof w);
        if (json_specials(w) == 0) {
            o += end - p;
            memcpy(o - 8, &w, sizeof w);
            p = end;
        }
    }
    while (p < end && json_is_plain((unsigned char)*p))
        *o++ = *p++;
    *out = o;
    return p;
}

/* The length, 2 to 4, of the well-formed multi-byte UTF-8 sequence at p, or 0 (Unicode 15, table 3-7). p < end. */
static inline size_t json_utf8_sequence(const char *p, const char *end) {
    const unsigned char *s = (const unsigned char *)p;
    size_t left = (size_t)(end - p);
    if (s[0] < 0xc2 || s[0] > 0xf4 || left < 2 || (s[1] & 0xc0) != 0x80)
        return 0;
    if (s[0] < 0xe0)
        return 2;
    if (left < 3 || (s[2] & 0xc0) != 0x80)
        return 0;
    if (s[0] < 0xf0) {
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
            return 0;
        return 3;
    }
    if (left < 4 || (s[3] & 0xc0) != 0x80 || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return 4;
}

/* The value of the four hexadecimal digits at p, or -1. */
static inline int json_hex4(const char *p, const char *end) {
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = moon_hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

#endif
