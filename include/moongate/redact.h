/* redact.h - the list of values that must never be seen, and the filter every sink runs its text through.
 *
 * By value: every registered secret, as it is and in its base64, percent-encoded and JSON-escaped forms.
 * By name: what follows a name such as client_secret, access_token, authorization, password, "bearer " or "basic ".
 * Secrets shorter than 4 bytes are not matched by value (they would blank ordinary text). */
#ifndef MOONGATE_REDACT_H
#define MOONGATE_REDACT_H

#include "moongate/buf.h"

#include <stddef.h>

struct moon_redact;

int moon_redact_new(struct moon_redact **out);                              /* 0 or MOON_ENOMEM */
void moon_redact_free(struct moon_redact *r);                               /* NULL-safe; wipes */
int moon_redact_add(struct moon_redact *r, const char *secret, size_t len); /* copies; 0 or MOON_ENOMEM */
/* Appends text to out with every secret replaced by "***". 0 or MOON_ENOMEM. r may be NULL: by name only. */
int moon_redact_append(const struct moon_redact *r, struct moon_buf *out, const char *text, size_t len);
/* By value only: for results and for our own words to a person, where a name is no sign of a secret. */
int moon_redact_values(const struct moon_redact *r, struct moon_buf *out, const char *text, size_t len);

#endif
