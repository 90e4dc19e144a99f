/* text.c - see text.h. */
#include "moongate/text.h"

#include <string.h>

size_t moon_text_mark(const char *text, size_t len) {
    return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

const char *moon_text_foreign(const char *text, size_t len) {
    if (len >= 4 && (memcmp(text, "\xff\xfe\0", 4) == 0 || memcmp(text, "\0\0\xfe\xff", 4) == 0))
        return "UTF-32";
    if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return "UTF-16";
    if (len >= 2 && (text[0] == '\0') != (text[1] == '\0'))
        return "UTF-16";
    return NULL;
}

size_t moon_utf8_put(unsigned u, char out[4]) {
    size_t n = 0;
    if (u < 0x80) {
        out[n++] = (char)u;
        return n;
    }
    if (u < 0x800) {
        out[n++] = (char)(0xc0 | u >> 6);
    } else {
        if (u < 0x10000) {
            out[n++] = (char)(0xe0 | u >> 12);
        } else {
            out[n++] = (char)(0xf0 | u >> 18);
            out[n++] = (char)(0x80 | (u >> 12 & 0x3f));
        }
        out[n++] = (char)(0x80 | (u >> 6 & 0x3f));
    }
    out[n++] = (char)(0x80 | (u & 0x3f));
    return n;
}
