/* ed25519.h - Ed25519 keys and signatures (RFC 8032): OpenSSL's, through EVP.
 *
 * A private key is PEM (PKCS#8), as `openssl genpkey -algorithm ed25519` writes it. Its bytes never leave this unit
 * except as that PEM, into a buffer that the caller wipes. */
#ifndef MOONGATE_ED25519_H
#define MOONGATE_ED25519_H

#include "moongate/buf.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>

#define MOON_ED25519_PUBLIC    32
#define MOON_ED25519_SEED      32
#define MOON_ED25519_SIGNATURE 64

struct moon_ed25519; /* a private key */

/* All three set *out to a key that the caller frees, or leave it as it is. MOON_ENOMEM; _read: MOON_EPARSE for what is
 * not a PEM private key without a passphrase, MOON_EINVAL for a key of another kind. */
int moon_ed25519_generate(struct moon_ed25519 **out, struct moon_err *err);
int moon_ed25519_from_seed(const unsigned char seed[MOON_ED25519_SEED], struct moon_ed25519 **out,
                           struct moon_err *err);
int moon_ed25519_read(const char *pem, size_t len, struct moon_ed25519 **out, struct moon_err *err);
void moon_ed25519_free(struct moon_ed25519 *key); /* NULL-safe */

void moon_ed25519_public(const struct moon_ed25519 *key, unsigned char out[MOON_ED25519_PUBLIC]);
/* Appends PKCS#8 PEM. 0 or MOON_ENOMEM. */
int moon_ed25519_pem(const struct moon_ed25519 *key, struct moon_buf *out);
/* 0 or MOON_ENOMEM. */
int moon_ed25519_sign(const struct moon_ed25519 *key, const void *data, size_t len,
                      unsigned char out[MOON_ED25519_SIGNATURE]);
/* false: the signature is not this key's, or the key is not a point of the curve, or there is no memory. */
bool moon_ed25519_verify(const unsigned char key[MOON_ED25519_PUBLIC], const void *data, size_t len,
                         const unsigned char signature[MOON_ED25519_SIGNATURE]);

#endif
