/* audit_fields.h - events that are plainly in canonical form already, as nearly all are: their lines are made from
 * their text, without a tree of it. Private to core. */
#ifndef MOONGATE_CORE_AUDIT_FIELDS_H
#define MOONGATE_CORE_AUDIT_FIELDS_H

#include "audit_line.h"

#define AUDIT_FIELDS_MAX 40

struct audit_field { /* "key":value */
    const char *text;
    size_t key_len; /* without its quotes */
    size_t len;
};

/* The members of the object: at most AUDIT_FIELDS_MAX, in canonical order and form, each a string without escapes, a
 * number of at most 15 digits, true, false or null; "action", a string, is among them and none of the log's own names
 * is. -1 when that can't be seen at a glance: then the text has to be parsed, and may be as good. */
int audit_fields_split(const char *text, size_t len, struct audit_field fields[AUDIT_FIELDS_MAX]);

/* The same for an object that need not have an action. */
int audit_fields_split_any(const char *text, size_t len, struct audit_field fields[AUDIT_FIELDS_MAX]);

/* Appends the line of the record whose members these are, "\n" included, and sets hash. 0 or MOON_ENOMEM. */
int audit_fields_line(struct moon_hasher *h, const struct moon_audit_record *r, const struct audit_field *fields, int n,
                      const struct audit_chain *chain, struct moon_buf *out, char hash[MOON_SHA256_HEX]);

#endif
