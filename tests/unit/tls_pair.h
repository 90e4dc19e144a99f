/* tls_pair.h - a fresh key and a self-signed certificate for localhost, 127.0.0.1 and ::1, for tests that speak TLS. */
#ifndef MOONGATE_TESTS_TLS_PAIR_H
#define MOONGATE_TESTS_TLS_PAIR_H

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct tls_pair {
    char cert[4096], key[1024]; /* PEM */
};

static inline int tls_pair_sign(X509 *x, EVP_PKEY *key) {
    X509_NAME *name = X509_get_subject_name(x);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1");
    int ok = san && X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) &&
             X509_gmtime_adj(X509_getm_notBefore(x), -3600) && X509_gmtime_adj(X509_getm_notAfter(x), 86400) &&
             X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0) &&
             X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) && X509_add_ext(x, san, -1) &&
             X509_sign(x, key, EVP_sha256());
    X509_EXTENSION_free(san);
    return ok ? 0 : -1;
}

/* 0 or -1. */
static inline int tls_pair_make(struct tls_pair *out) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    int rc = -1, n;
    if (!key || !x || !bio || tls_pair_sign(x, key) != 0 || !PEM_write_bio_X509(bio, x))
        goto out;
    n = BIO_read(bio, out->cert, sizeof out->cert - 1);
    out->cert[n > 0 ? n : 0] = '\0';
    if (!PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
        goto out;
    n = BIO_read(bio, out->key, sizeof out->key - 1);
    out->key[n > 0 ? n : 0] = '\0';
    rc = 0;
out:
    BIO_free(bio);
    X509_free(x);
    EVP_PKEY_free(key);
    return rc;
}

#endif
