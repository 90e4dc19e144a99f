/* text.h - small things about text: how files that people write start (with a byte order mark, or in an encoding that
 * is not read here), hexadecimal digits, UTF-8. */
#ifndef MOONGATE_TEXT_H
#define MOONGATE_TEXT_H

#include <stddef.h>

/* The bytes of the UTF-8 byte order mark that text begins with: 3 or 0. Windows' editors write one. */
size_t moon_text_mark(const char *text, size_t len);
/* The name of the encoding that text is in instead of UTF-8, "UTF-16" or "UTF-32", by its byte order mark or by the
 * zero byte of its first character; or NULL. */
const char *moon_text_foreign(const char *text, size_t len);
/* The value of a hexadecimal digit in either case, or -1. */
static inline int moon_hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Writes the code point u, at most U+10FFFF, as UTF-8; returns the number of bytes. */
size_t moon_utf8_put(unsigned u, char out[4]);

#endif
