/* redact.h - the list of values that must never be seen, and the filter every sink runs its text through.
 *
 * By value: every registered secret, as it is, in hex, percent-encoded, escaped for JSON or HTML (what needs it, or
 * each byte), and in base64 (both alphabets), also as a part of a longer text that was encoded. Not: compressed,
 * hashed, reversed, or cut into pieces. By name: what follows a name such as client_secret, access_token,
 * authorization, password, "bearer " or "basic ".
 *
 * A value that would blank ordinary text is not matched by value: one of fewer than 8 bytes; a word (letters only,
 * fewer than 20, not more than 3 capitals after the first, or capitals alone); a number of fewer than 16 digits; the
 * name of a region; a name that this program writes itself, such as index_id. */
#ifndef MOONGATE_REDACT_H
#define MOONGATE_REDACT_H

#include "moongate/buf.h"

#include <stddef.h>

struct moon_redact;

int moon_redact_new(struct moon_redact **out);                              /* 0 or MOON_ENOMEM */
void moon_redact_free(struct moon_redact *r);                               /* NULL-safe; wipes */
int moon_redact_add(struct moon_redact *r, const char *secret, size_t len); /* copies; 0 or MOON_ENOMEM */
/* The same for what a script calls a secret: matched by all but moon_redact_own. */
int moon_redact_add_script(struct moon_redact *r, const char *secret, size_t len);
/* Why such a value is not matched, "shorter than 8 characters" or the like; NULL: it is. */
const char *moon_redact_weak(const char *secret, size_t len);
/* The same, the first time that it is asked for this value only: for a warning. */
const char *moon_redact_news(struct moon_redact *r, const char *secret, size_t len);
/* Appends text to out with every secret replaced by "***". 0 or MOON_ENOMEM. r may be NULL: by name only. */
int moon_redact_append(const struct moon_redact *r, struct moon_buf *out, const char *text, size_t len);
/* As moon_redact_append, but for the values that a script has registered: for our own words, which no script may blank.
 */
int moon_redact_own(const struct moon_redact *r, struct moon_buf *out, const char *text, size_t len);
/* By value only: for results and for our own words to a person, where a name is no sign of a secret. */
int moon_redact_values(const struct moon_redact *r, struct moon_buf *out, const char *text, size_t len);

#endif
