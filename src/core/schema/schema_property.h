/* schema_property.h - names of Unicode properties, from ECMA-262's to PCRE2's. Private to core. */
#ifndef MOONGATE_CORE_SCHEMA_PROPERTY_H
#define MOONGATE_CORE_SCHEMA_PROPERTY_H

#include <stdbool.h>
#include <stddef.h>

/* Writes PCRE2's name for the inside of \p{...}; false: too long, or no name at all. Whether it exists is PCRE2's to
 * say. */
bool moon_property_name(char *out, size_t size, const char *name, size_t len);

#endif
