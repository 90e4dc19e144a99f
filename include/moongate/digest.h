/* digest.h - SHA-256, HMAC-SHA-256, base64, comparison in constant time: OpenSSL's, through EVP.
 *
 * A hasher holds what OpenSSL would otherwise look up on every call (a fetched algorithm and a context). One thread
 * uses one at a time. */
#ifndef MOONGATE_DIGEST_H
#define MOONGATE_DIGEST_H

#include "moongate/buf.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>

#define MOON_SHA256_SIZE 32
#define MOON_SHA256_HEX  65 /* with the NUL */

struct moon_hasher;

int moon_hasher_new(struct moon_hasher **out); /* 0 or MOON_ENOMEM */
void moon_hasher_free(struct moon_hasher *h);  /* NULL-safe */

/* 0 or MOON_ENOMEM (OpenSSL has no other reason to fail here). */
int moon_sha256(struct moon_hasher *h, const void *data, size_t len, unsigned char out[MOON_SHA256_SIZE]);
/* The message may come in parts; part i is data[i], len[i] bytes. out may overlap a part. */
int moon_sha256_parts(struct moon_hasher *h, const void *const data[], const size_t len[], size_t parts,
                      unsigned char out[MOON_SHA256_SIZE]);
int moon_sha256_hex(struct moon_hasher *h, const void *data, size_t len, char out[MOON_SHA256_HEX]);
/* The message may come in parts; part i is data[i], len[i] bytes. */
int moon_hmac_sha256(struct moon_hasher *h, const void *key, size_t key_len, const void *const data[],
                     const size_t len[], size_t parts, unsigned char out[MOON_SHA256_SIZE]);

void moon_hex(const void *data, size_t len, char *out); /* 2 * len + 1 bytes, lower case */
/* The len bytes that 2 * len lower-case digits stand for; false: they are not. */
bool moon_unhex(const char *hex, void *out, size_t len);

/* Standard alphabet, padded, no line breaks. Appends. 0 or MOON_ENOMEM. */
int moon_base64_encode(struct moon_buf *out, const void *data, size_t len);
/* Strict: padded, no white space, no stray bits. Appends. 0, MOON_ENOMEM or MOON_EPARSE. */
int moon_base64_decode(struct moon_buf *out, const char *text, size_t len);

/* Takes the same time wherever they differ; lengths are not secret. */
bool moon_equal_ct(const void *a, size_t alen, const void *b, size_t blen);

#endif
