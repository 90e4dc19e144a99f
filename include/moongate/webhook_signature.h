/* webhook_signature.h - Standard Webhooks: symmetric signatures, "v1,<base64 HMAC-SHA-256 of id.timestamp.body>".
 *
 * A secret is "whsec_" and base64, or, without that prefix, the key's bytes as they are. During a rotation there are
 * several: a sender signs with each, a receiver takes any. */
#ifndef MOONGATE_WEBHOOK_SIGNATURE_H
#define MOONGATE_WEBHOOK_SIGNATURE_H

#include "moongate/buf.h"
#include "moongate/digest.h"
#include "moongate/err.h"

#include <stddef.h>
#include <stdint.h>

#define MOON_WEBHOOK_TOLERANCE_S INT64_C(300)
#define MOON_WEBHOOK_MAX_KEYS    8

struct moon_bytes {
    const char *data;
    size_t len;
};

/* Appends "v1,... v1,..." - one signature a secret, in order - to out. timestamp: seconds since 1970, >= 0.
 * MOON_EINVAL: no secret, too many, an empty one, whsec_ without valid base64; an id that is empty, longer than 256, or
 * holds '.', space or anything but printable ASCII. */
int moon_webhook_sign(struct moon_hasher *h, const struct moon_bytes *secrets, size_t nsecrets, struct moon_bytes id,
                      int64_t timestamp, struct moon_bytes body, struct moon_buf *out, struct moon_err *err);

/* The three header values as they came. MOON_EVERIFY with the reason: a header is missing or malformed, the timestamp
 * is too old or too new, no signature matches. Versions other than v1 are passed over. MOON_EINVAL as in _sign for the
 * secrets. */
int moon_webhook_verify(struct moon_hasher *h, const struct moon_bytes *secrets, size_t nsecrets, struct moon_bytes id,
                        struct moon_bytes timestamp, struct moon_bytes signature, struct moon_bytes body,
                        int64_t tolerance_s, int64_t now_s, struct moon_err *err);

#endif
