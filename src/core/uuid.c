/* uuid.c - made here, from the rng that was passed in; those of names by libuuid. */
#include "moongate/uuid.h"

#include "moongate/clock.h"
#include "moongate/err.h"
#include "moongate/text.h"

#include <string.h>
#include <uuid.h>

void moon_uuid_format(const unsigned char bytes[16], char out[MOON_UUID_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    char *p = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = digits[bytes[i] >> 4];
        *p++ = digits[bytes[i] & 15];
    }
    *p = '\0';
}

static void finish(unsigned char b[16], unsigned version, char out[MOON_UUID_SIZE]) {
    b[6] = (unsigned char)((b[6] & 0x0F) | version << 4);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    moon_uuid_format(b, out);
}

void moon_uuid_v4(struct moon_rng *rng, char out[MOON_UUID_SIZE]) {
    unsigned char b[16];
    moon_rng_bytes(rng, b, sizeof b);
    finish(b, 4, out);
}

/* RFC 9562 section 6.2, method 3: the 12 bits after the milliseconds are a fraction of one; a tie counts up. */
void moon_uuid_v7(struct moon_uuid_clock *clock, struct moon_rng *rng, int64_t wall_ns, char out[MOON_UUID_SIZE]) {
    unsigned char b[16];
    uint64_t ns = wall_ns > 0 ? (uint64_t)wall_ns : 0;
    uint64_t ms = ns / (uint64_t)MOON_NS_PER_MS, rest = ns % (uint64_t)MOON_NS_PER_MS;
    uint64_t tick = ms << 12 | (rest << 12) / (uint64_t)MOON_NS_PER_MS;
    if (tick <= clock->last)
        tick = clock->last + 1;
    clock->last = tick;
    moon_rng_bytes(rng, b + 8, 8);
    for (int i = 0; i < 6; i++)
        b[i] = (unsigned char)(tick >> (52 - 8 * i));
    b[6] = (unsigned char)(tick >> 8 & 0x0F);
    b[7] = (unsigned char)tick;
    finish(b, 7, out);
}

void moon_uuid_v5(const unsigned char space[16], const void *name, size_t len, char out[MOON_UUID_SIZE]) {
    unsigned char b[16];
    uuid_generate_sha1(b, space, name, len);
    moon_uuid_format(b, out);
}

/* Not uuid_parse, which takes strtoul to it: a request id may be read for each request. */
int moon_uuid_parse(const char *s, size_t len, unsigned char bytes[16]) {
    unsigned char b[16];
    size_t at = 0;
    if (len != MOON_UUID_SIZE - 1)
        return MOON_EPARSE;
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && s[at++] != '-')
            return MOON_EPARSE;
        int high = moon_hex_digit(s[at]), low = moon_hex_digit(s[at + 1]);
        if (high < 0 || low < 0)
            return MOON_EPARSE;
        b[i] = (unsigned char)(high << 4 | low);
        at += 2;
    }
    memcpy(bytes, b, sizeof b);
    return 0;
}

bool moon_uuid_is(const char *s, size_t len) {
    unsigned char bytes[16];
    return moon_uuid_parse(s, len, bytes) == 0;
}
