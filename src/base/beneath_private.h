/* beneath_private.h - what roots.c and beneath.c share. */
#ifndef MOON_BASE_BENEATH_PRIVATE_H
#define MOON_BASE_BENEATH_PRIVATE_H

#include "moongate/beneath.h"

/* The path with every link resolved, as far as it exists; the rest is appended, so that no ".." is left. keep_last: its
 * last part is not looked at. Allocated. NULL and errno: it can't be said where it leads. */
char *moon_roots_resolve(const char *path, bool keep_last);
/* The longest part of a path that leads somewhere, resolved. Allocated. NULL: out of memory. */
char *moon_roots_known_part(const char *path);
bool moon_roots_keeps(const struct moon_roots *r, const char *real); /* it is out of reach */
/* The allowed path that `real` is or is below; NULL: none, or out of reach. */
const struct moon_root *moon_roots_find(const struct moon_roots *r, const char *real);

#endif
