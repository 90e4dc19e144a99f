/* uuid.h - UUIDs (RFC 9562): versions 4 and 7 from a passed-in rng, without a system call each, and 5 from a name. */
#ifndef MOONGATE_UUID_H
#define MOONGATE_UUID_H

#include "moongate/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOON_UUID_SIZE 37 /* text with the NUL, lower case */

struct moon_uuid_clock {
    uint64_t last; /* milliseconds << 12 | fraction of the last version 7; zeroed before first use */
};

void moon_uuid_v4(struct moon_rng *rng, char out[MOON_UUID_SIZE]);
/* Each sorts after the one before from the same clock, also within a millisecond and when wall_ns goes back. */
void moon_uuid_v7(struct moon_uuid_clock *clock, struct moon_rng *rng, int64_t wall_ns, char out[MOON_UUID_SIZE]);
/* The same name in the same namespace is the same UUID, everywhere: SHA-1 of both. */
void moon_uuid_v5(const unsigned char space[16], const void *name, size_t len, char out[MOON_UUID_SIZE]);
void moon_uuid_format(const unsigned char bytes[16], char out[MOON_UUID_SIZE]);
/* 36 characters with hyphens, any case, any version. 0 or MOON_EPARSE. */
int moon_uuid_parse(const char *s, size_t len, unsigned char bytes[16]);
bool moon_uuid_is(const char *s, size_t len);

#endif
