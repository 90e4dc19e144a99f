/* json_utf8.c - UTF-8: what is valid, how many code points. See moongate/json.h. */
#include "moongate/json.h"

#include "json_scan.h"

size_t moon_utf8_valid(const char *s, size_t len) {
    const char *p = s, *end = s + len;
    for (;;) {
        while (end - p >= 8) {
            uint64_t w;
            memcpy(&w, p, sizeof w);
            if (w & JSON_HIGHS)
                break;
            p += 8;
        }
        while (p < end && (unsigned char)*p < 0x80)
            p++;
        if (p == end)
            return len;
        size_t n = json_utf8_sequence(p, end);
        if (n == 0)
            return (size_t)(p - s);
        p += n;
    }
}

size_t moon_utf8_count(const char *s, size_t len) {
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}
