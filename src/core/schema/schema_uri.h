/* schema_uri.h - as much of RFC 3986 as $id and $ref need. Private to core. */
#ifndef MOONGATE_CORE_SCHEMA_URI_H
#define MOONGATE_CORE_SCHEMA_URI_H

#include <stdbool.h>
#include <stddef.h>

struct uri_part {
    const char *text; /* NULL: the component is absent, which differs from empty */
    size_t len;
};

struct uri {
    struct uri_part scheme, authority, path, query, fragment;
};

/* Splits any string (RFC 3986, appendix B); checks nothing. */
void moon_uri_split(const char *text, size_t len, struct uri *out);
/* Resolves a reference against a base (section 5.2). The result lies in the arena, without its fragment; NULL: out of
 * memory. */
char *moon_uri_resolve(void **arena, const char *base, const char *ref, size_t len);
bool moon_uri_check(const char *text, size_t len, bool relative); /* the grammar of URI, or of URI-reference */
bool moon_uri_ipv4(const char *text, size_t len);
bool moon_uri_ipv6(const char *text, size_t len);

#endif
