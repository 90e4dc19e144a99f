/* schema_format.h - the formats that `format` can assert. Private to core. */
#ifndef MOONGATE_CORE_SCHEMA_FORMAT_H
#define MOONGATE_CORE_SCHEMA_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

struct moon_format {
    const char *name;
    bool (*check)(const char *text, size_t len); /* text is valid UTF-8 */
    const char *what;                            /* for the message: "must be " .. what */
};

const struct moon_format *moon_format_find(const char *name); /* NULL: not known, so nothing to assert */

#endif
