/* fuzz_gc_profile.c - the gc profile's parser: any bytes give a profile or an error with a line. */
#include "moongate/gc_profile.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct moon_gc_profile p;
    struct moon_err err;
    if (moon_gc_profile_parse(&p, (const char *)data, size, "default", &err) != 0) {
        if (strncmp(err.message, "line ", 5) != 0)
            abort();
        return 0;
    }
    if (!p.found && (p.environment.data || p.client_id.data || p.client_secret.data || p.access_token.data))
        abort();
    moon_gc_profile_release(&p);
    return 0;
}
