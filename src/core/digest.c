/* digest.c - SHA-256, HMAC, base64 and constant-time comparison over OpenSSL. */
#include "moongate/digest.h"
#include "moongate/text.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 64 /* SHA-256's block, for HMAC */

struct moon_hasher {
    EVP_MD *md; /* fetched once: EVP_sha256() is looked up again by every EVP_DigestInit */
    EVP_MD_CTX *ctx;
};

/* What OpenSSL noted about a failure must not be taken for the next TLS connection's. */
static int failed(void) {
    ERR_clear_error();
    return MOON_ENOMEM;
}

int moon_hasher_new(struct moon_hasher **out) {
    struct moon_hasher *h = calloc(1, sizeof *h);
    if (!h)
        return MOON_ENOMEM;
    h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->ctx = EVP_MD_CTX_new();
    if (!h->md || !h->ctx) {
        moon_hasher_free(h);
        return failed();
    }
    *out = h;
    return 0;
}

void moon_hasher_free(struct moon_hasher *h) {
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);
    free(h);
}

int moon_sha256_parts(struct moon_hasher *h, const void *const data[], const size_t len[], size_t parts,
                      unsigned char out[MOON_SHA256_SIZE]) {
    if (EVP_DigestInit_ex2(h->ctx, h->md, NULL) != 1)
        return failed();
    for (size_t i = 0; i < parts; i++)
        if (EVP_DigestUpdate(h->ctx, data[i], len[i]) != 1)
            return failed();
    return EVP_DigestFinal_ex(h->ctx, out, NULL) == 1 ? 0 : failed();
}

int moon_sha256(struct moon_hasher *h, const void *data, size_t len, unsigned char out[MOON_SHA256_SIZE]) {
    return moon_sha256_parts(h, &data, &len, 1, out);
}

void moon_hex(const void *data, size_t len, char *out) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
}

bool moon_unhex(const char *hex, void *out, size_t len) {
    unsigned char *bytes = out;
    for (size_t i = 0; i < 2 * len; i++) {
        int digit = hex[i] >= 'A' && hex[i] <= 'F' ? -1 : moon_hex_digit(hex[i]);
        if (digit < 0)
            return false;
        bytes[i / 2] = (unsigned char)(i % 2 ? bytes[i / 2] | digit : digit << 4);
    }
    return true;
}

int moon_sha256_hex(struct moon_hasher *h, const void *data, size_t len, char out[MOON_SHA256_HEX]) {
    unsigned char raw[MOON_SHA256_SIZE];
    int rc = moon_sha256(h, data, len, raw);
    if (rc == 0)
        moon_hex(raw, sizeof raw, out);
    return rc;
}

/* RFC 2104: H(key ^ opad, H(key ^ ipad, message)). */
int moon_hmac_sha256(struct moon_hasher *h, const void *key, size_t key_len, const void *const data[],
                     const size_t len[], size_t parts, unsigned char out[MOON_SHA256_SIZE]) {
    unsigned char block[BLOCK] = {0}, inner[MOON_SHA256_SIZE];
    int rc = 0;
    if (key_len > BLOCK)
        rc = moon_sha256(h, key, key_len, block);
    else if (key_len > 0)
        memcpy(block, key, key_len);
    for (size_t i = 0; i < BLOCK; i++)
        block[i] ^= 0x36;
    if (rc == 0 && (EVP_DigestInit_ex2(h->ctx, h->md, NULL) != 1 || EVP_DigestUpdate(h->ctx, block, BLOCK) != 1))
        rc = failed();
    for (size_t i = 0; i < parts && rc == 0; i++)
        if (EVP_DigestUpdate(h->ctx, data[i], len[i]) != 1)
            rc = failed();
    if (rc == 0 && EVP_DigestFinal_ex(h->ctx, inner, NULL) != 1)
        rc = failed();
    for (size_t i = 0; i < BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5c;
    if (rc == 0 && (EVP_DigestInit_ex2(h->ctx, h->md, NULL) != 1 || EVP_DigestUpdate(h->ctx, block, BLOCK) != 1 ||
                    EVP_DigestUpdate(h->ctx, inner, sizeof inner) != 1 || EVP_DigestFinal_ex(h->ctx, out, NULL) != 1))
        rc = failed();
    moon_wipe(block, sizeof block);
    moon_wipe(inner, sizeof inner);
    return rc;
}

int moon_base64_encode(struct moon_buf *out, const void *data, size_t len) {
    const unsigned char *p = data;
    if (len > SIZE_MAX / 4 * 3 - 8 || moon_buf_reserve(out, (len + 2) / 3 * 4) != 0)
        return MOON_ENOMEM;
    while (len > 0) { /* EVP_EncodeBlock counts in int, and writes a NUL where moon_buf keeps one */
        size_t n = len < 3 * 65536 ? len : 3 * 65536;
        out->len += (size_t)EVP_EncodeBlock((unsigned char *)out->data + out->len, p, (int)n);
        p += n;
        len -= n;
    }
    if (out->data)
        out->data[out->len] = '\0';
    return 0;
}

static int digit(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* EVP_DecodeBlock forgives white space and stray bits; a signature has one spelling. */
int moon_base64_decode(struct moon_buf *out, const char *text, size_t len) {
    size_t pad = 0;
    if (len % 4 != 0)
        return MOON_EPARSE;
    while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
        pad++;
    for (size_t i = 0; i < len - pad; i++)
        if (digit(text[i]) < 0)
            return MOON_EPARSE;
    if (pad > 0 && (digit(text[len - 1 - pad]) & (pad == 1 ? 3 : 15)) != 0)
        return MOON_EPARSE;
    if (moon_buf_reserve(out, len / 4 * 3) != 0)
        return MOON_ENOMEM;
    for (size_t i = 0; i < len; i += 4 * 65536) {
        size_t n = len - i < 4 * 65536 ? len - i : 4 * 65536;
        int made = EVP_DecodeBlock((unsigned char *)out->data + out->len, (const unsigned char *)text + i, (int)n);
        if (made < 0)
            return MOON_EPARSE;
        out->len += (size_t)made;
    }
    out->len -= pad;
    if (out->data)
        out->data[out->len] = '\0';
    return 0;
}

bool moon_equal_ct(const void *a, size_t alen, const void *b, size_t blen) {
    return alen == blen && (alen == 0 || CRYPTO_memcmp(a, b, alen) == 0);
}
