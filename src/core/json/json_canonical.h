/* json_canonical.h - text that has to be canonical JSON (RFC 8785) already, walked where it stands: no tree, no copy.
 * Text that is not canonical is refused, whether it is JSON or not. Private to core. */
#ifndef MOONGATE_CORE_JSON_CANONICAL_H
#define MOONGATE_CORE_JSON_CANONICAL_H

#include "moongate/json.h"

/* The member of an object that json_members_next is at. Key and strings are as they stand, with their escapes. */
struct json_members {
    const char *p, *end; /* behind the member, the end of the text */
    const char *text;    /* "key":value */
    const char *key;     /* without its quotes */
    size_t key_len;
    const char *value;
    size_t value_len;
    bool any;
};

/* Walks the members of the object that the text is, and nothing else. */
void json_members_init(struct json_members *m, const char *text, size_t len);
/* 1: at a member; 0: that was all; -1: the text is not canonical from here on, or not an object. */
int json_members_next(struct json_members *m);
/* The order of this key and another one as it stands: <0, 0, >0. */
int json_canonical_key_cmp(const char *a, size_t alen, const char *b, size_t blen);

#endif
