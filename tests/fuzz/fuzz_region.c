/* fuzz_region.c - regions, domains and URLs: what is taken gives URLs that would be taken again. */
#include "moongate/region.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct moon_endpoints e, again;
    struct moon_err err;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (moon_region_resolve(text, &e, &err) == 0) {
        char origin[MOON_URL_SIZE];
        moon_url_origin(e.api, origin);
        if (strncmp(e.api, origin, strlen(origin)) != 0 || strchr(e.api, '@') || strpbrk(e.api, "\r\n ?#"))
            abort();
        if (moon_region_resolve(e.api, &again, &err) != 0 || strcmp(again.api, e.api) != 0)
            abort();
    }
    free(text);
    return 0;
}
