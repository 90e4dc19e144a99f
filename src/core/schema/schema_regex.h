/* schema_regex.h - `pattern`: ECMA-262 regular expressions with the u flag, by PCRE2. Private to core. */
#ifndef MOONGATE_CORE_SCHEMA_REGEX_H
#define MOONGATE_CORE_SCHEMA_REGEX_H

#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>

struct moon_regex;

/* MOON_EINVAL: not a regular expression, with why; MOON_ENOMEM. */
int moon_regex_new(struct moon_regex **out, const char *source, size_t len, struct moon_err *err);
void moon_regex_free(struct moon_regex *re); /* NULL-safe */
/* Whether it is found anywhere in text, which is valid UTF-8: 1, 0, or MOON_ERANGE (gave up: too much work),
 * MOON_ENOMEM. */
int moon_regex_match(struct moon_regex *re, const char *text, size_t len);
bool moon_regex_check(const char *source, size_t len); /* whether source is one at all */

#endif
