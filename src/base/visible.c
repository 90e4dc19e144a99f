/* visible.c - see moongate/visible.h. */
#include "moongate/visible.h"

#include <string.h>

/* The well-formed UTF-8 sequence of 2 to 4 bytes at s: its length, and its code point; 0: not found. */
static size_t sequence(const unsigned char *s, size_t left, unsigned *cp) {
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    *cp = s[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *cp = *cp << 6 | (s[i] & 0x3fu);
    }
    return *cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp < 0xe000) ? 0 : n;
}

static bool is_steering(unsigned cp) {
    return (cp >= 0x7f && cp < 0xa0) || (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

/* The escape of what stands at s: n bytes long; 0: a byte that is not UTF-8. */
static size_t escape(const unsigned char *s, size_t n, unsigned cp, char *out) {
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'x', hex[s[0] >> 4], hex[s[0] & 15]};
    size_t len = 4;
    if (n != 0 && cp == '\n') {
        text[1] = 'n';
        len = 2;
    } else if (n != 0 && cp >= 0x7f) {
        text[1] = 'u';
        for (size_t i = 0; i < 4; i++)
            text[2 + i] = hex[cp >> (12 - 4 * i) & 15];
        len = 6;
    }
    if (out != NULL)
        memcpy(out, text, len);
    return len;
}

size_t moon_visible(const char *text, size_t len, bool lines, char *out) {
    const unsigned char *s = (const unsigned char *)text;
    size_t to = 0;
    for (size_t i = 0, n; i < len; i += n != 0 ? n : 1) {
        size_t plain = i;
        while (i < len && s[i] >= 0x20 && s[i] < 0x7f)
            i++;
        if (out != NULL)
            memcpy(out + to, text + plain, i - plain);
        to += i - plain;
        if (i == len)
            break;
        unsigned cp = s[i];
        n = cp < 0x80 ? 1 : sequence(s + i, len - i, &cp);
        if (n == 0 || (cp < 0x20 && cp != '\t' && !(cp == '\n' && lines)) || is_steering(cp)) {
            to += escape(s + i, n, cp, out != NULL ? out + to : NULL);
            continue;
        }
        if (out != NULL)
            memcpy(out + to, s + i, n);
        to += n;
    }
    return to;
}
