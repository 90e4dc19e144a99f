/* schema_ecma.h - ECMA-262 regular expressions (u flag) rewritten for PCRE2. Private to core. */
#ifndef MOONGATE_CORE_SCHEMA_ECMA_H
#define MOONGATE_CORE_SCHEMA_ECMA_H

#include "moongate/buf.h"
#include "moongate/err.h"

/* Appends the PCRE2 form of source, for PCRE2_UTF without PCRE2_UCP. MOON_EINVAL: not ECMA-262; MOON_ENOMEM.
 * Laxer than the u flag in two points that schemas in use rely on: any punctuation may be escaped, and '{', '}', ']'
 * may stand alone. */
int moon_ecma_to_pcre(struct moon_buf *out, const char *source, size_t len, struct moon_err *err);

#endif
