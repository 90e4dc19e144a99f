/* ed25519.c - Ed25519 over OpenSSL. Every function leaves OpenSSL's queue of errors empty: an error noted here must not
 * be taken for the next TLS connection's. */
#include "moongate/ed25519.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

struct moon_ed25519 {
    EVP_PKEY *pkey;
    unsigned char public[MOON_ED25519_PUBLIC];
};

/* Takes pkey over, whatever it returns. */
static int adopt(EVP_PKEY *pkey, struct moon_ed25519 **out, struct moon_err *err) {
    struct moon_ed25519 *key = NULL;
    size_t len = MOON_ED25519_PUBLIC;
    int rc = MOON_ENOMEM;
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519)
        rc = MOON_EINVAL;
    else if ((key = calloc(1, sizeof *key)) && EVP_PKEY_get_raw_public_key(pkey, key->public, &len) == 1)
        rc = 0;
    ERR_clear_error();
    if (rc == 0) {
        key->pkey = pkey;
        *out = key;
        return 0;
    }
    EVP_PKEY_free(pkey);
    free(key);
    return moon_err_set(err, rc, rc == MOON_EINVAL ? "the key is not an Ed25519 key" : "out of memory");
}

static int no_memory(struct moon_err *err) {
    ERR_clear_error();
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

int moon_ed25519_generate(struct moon_ed25519 **out, struct moon_err *err) {
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return pkey ? adopt(pkey, out, err) : no_memory(err);
}

int moon_ed25519_from_seed(const unsigned char seed[MOON_ED25519_SEED], struct moon_ed25519 **out,
                           struct moon_err *err) {
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, MOON_ED25519_SEED);
    return pkey ? adopt(pkey, out, err) : no_memory(err);
}

/* OpenSSL asks the terminal for a passphrase unless it gets an empty one. */
static int no_passphrase(char *buf, int size, int writing, void *ud) {
    (void)writing, (void)ud;
    if (size > 0)
        buf[0] = '\0';
    return -1;
}

int moon_ed25519_read(const char *pem, size_t len, struct moon_ed25519 **out, struct moon_err *err) {
    if (len > INT_MAX)
        return moon_err_set(err, MOON_EPARSE, "not a PEM private key");
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    if (!bio)
        return no_memory(err);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    if (pkey)
        return adopt(pkey, out, err);
    ERR_clear_error();
    return moon_err_set(err, MOON_EPARSE, "not a PEM private key without a passphrase");
}

void moon_ed25519_free(struct moon_ed25519 *key) {
    if (!key)
        return;
    EVP_PKEY_free(key->pkey); /* wipes the private part */
    free(key);
}

void moon_ed25519_public(const struct moon_ed25519 *key, unsigned char out[MOON_ED25519_PUBLIC]) {
    for (size_t i = 0; i < MOON_ED25519_PUBLIC; i++)
        out[i] = key->public[i];
}

int moon_ed25519_pem(const struct moon_ed25519 *key, struct moon_buf *out) {
    BIO *bio = BIO_new(BIO_s_secmem());
    char *text;
    int rc = MOON_ENOMEM;
    if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1) {
        long len = BIO_get_mem_data(bio, &text);
        if (len > 0)
            rc = moon_buf_append(out, text, (size_t)len);
    }
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

int moon_ed25519_sign(const struct moon_ed25519 *key, const void *data, size_t len,
                      unsigned char out[MOON_ED25519_SIGNATURE]) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t made = MOON_ED25519_SIGNATURE;
    int ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
             EVP_DigestSign(ctx, out, &made, data, len) == 1 && made == MOON_ED25519_SIGNATURE;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return ok ? 0 : MOON_ENOMEM;
}

bool moon_ed25519_verify(const unsigned char key[MOON_ED25519_PUBLIC], const void *data, size_t len,
                         const unsigned char signature[MOON_ED25519_SIGNATURE]) {
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, MOON_ED25519_PUBLIC);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestVerify(ctx, signature, MOON_ED25519_SIGNATURE, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return ok;
}
