/* webhook_signature.c - Standard Webhooks, signing and verifying. Decoded keys live on this file's stack buffers and
 * are wiped. */
#include "moongate/webhook_signature.h"

#include <stdio.h>
#include <string.h>

#define PREFIX     "whsec_"
#define PREFIX_LEN 6
#define ID_MAX     256

/* The key's bytes: decoded into scratch, or the secret itself. */
static int key_of(struct moon_bytes secret, struct moon_buf *scratch, struct moon_bytes *key, struct moon_err *err) {
    *key = secret;
    if (secret.len >= PREFIX_LEN && memcmp(secret.data, PREFIX, PREFIX_LEN) == 0) {
        int rc = moon_base64_decode(scratch, secret.data + PREFIX_LEN, secret.len - PREFIX_LEN);
        if (rc == MOON_ENOMEM)
            return moon_err_set(err, rc, "out of memory");
        if (rc != 0)
            return moon_err_set(err, MOON_EINVAL, "webhook secret: what follows whsec_ is not valid base64");
        key->data = scratch->data;
        key->len = scratch->len;
    }
    return key->len > 0 ? 0 : moon_err_set(err, MOON_EINVAL, "webhook secret: empty");
}

static int mac(struct moon_hasher *h, struct moon_bytes secret, struct moon_bytes id, struct moon_bytes timestamp,
               struct moon_bytes body, unsigned char out[MOON_SHA256_SIZE], struct moon_err *err) {
    struct moon_buf scratch = MOON_BUF_INIT;
    struct moon_bytes key;
    int rc = key_of(secret, &scratch, &key, err);
    if (rc == 0) {
        const void *const data[] = {id.data, ".", timestamp.data, ".", body.data};
        const size_t len[] = {id.len, 1, timestamp.len, 1, body.len};
        rc = moon_hmac_sha256(h, key.data, key.len, data, len, 5, out);
        if (rc != 0)
            moon_err_set(err, rc, "out of memory");
    }
    moon_wipe(scratch.data, scratch.cap);
    moon_buf_release(&scratch);
    return rc;
}

/* A '.' in the id would let the same bytes be read as another id and timestamp. */
static bool valid_id(struct moon_bytes id) {
    for (size_t i = 0; i < id.len; i++)
        if (id.data[i] <= ' ' || id.data[i] > '~' || id.data[i] == '.')
            return false;
    return id.len > 0 && id.len <= ID_MAX;
}

static int check_count(size_t n, struct moon_err *err) {
    if (n == 0)
        return moon_err_set(err, MOON_EINVAL, "no webhook secret");
    if (n > MOON_WEBHOOK_MAX_KEYS)
        return moon_err_set(err, MOON_EINVAL, "more than %d webhook secrets", MOON_WEBHOOK_MAX_KEYS);
    return 0;
}

int moon_webhook_sign(struct moon_hasher *h, const struct moon_bytes *secrets, size_t nsecrets, struct moon_bytes id,
                      int64_t timestamp, struct moon_bytes body, struct moon_buf *out, struct moon_err *err) {
    char digits[24];
    size_t before = out->len;
    int rc = check_count(nsecrets, err);
    if (rc == 0 && !valid_id(id))
        rc = moon_err_set(err, MOON_EINVAL, "webhook id: 1 to %d printable ASCII characters without '.' and space",
                          ID_MAX);
    if (rc == 0 && timestamp < 0)
        rc = moon_err_set(err, MOON_EINVAL, "webhook timestamp: negative");
    snprintf(digits, sizeof digits, "%lld", (long long)timestamp);
    struct moon_bytes ts = {digits, strlen(digits)};
    for (size_t i = 0; i < nsecrets && rc == 0; i++) {
        unsigned char sum[MOON_SHA256_SIZE];
        rc = mac(h, secrets[i], id, ts, body, sum, err);
        if (rc == 0 &&
            (moon_buf_puts(out, i > 0 ? " v1," : "v1,") != 0 || moon_base64_encode(out, sum, sizeof sum) != 0))
            rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    if (rc != 0 && out->data)
        out->data[out->len = before] = '\0';
    return rc;
}

/* Digits only, as the sender hashed them. */
static int parse_timestamp(struct moon_bytes t, int64_t *out) {
    int64_t v = 0;
    if (t.len == 0 || t.len > 15)
        return MOON_EPARSE;
    for (size_t i = 0; i < t.len; i++) {
        if (t.data[i] < '0' || t.data[i] > '9')
            return MOON_EPARSE;
        v = v * 10 + (t.data[i] - '0');
    }
    *out = v;
    return 0;
}

/* Does one of the header's space-separated "v1," entries hold sum? *seen counts those of version 1. */
static bool any_matches(struct moon_bytes header, const char *sum, size_t sum_len, int *seen) {
    bool match = false;
    const char *p = header.data, *end = header.data + header.len;
    while (p < end) {
        const char *space = memchr(p, ' ', (size_t)(end - p));
        const char *stop = space ? space : end;
        if (stop - p > 3 && memcmp(p, "v1,", 3) == 0) {
            ++*seen;
            match |= moon_equal_ct(p + 3, (size_t)(stop - p) - 3, sum, sum_len);
        }
        p = space ? space + 1 : end;
    }
    return match;
}

static int check_headers(struct moon_bytes id, struct moon_bytes timestamp, struct moon_bytes signature,
                         int64_t tolerance_s, int64_t now_s, struct moon_err *err) {
    int64_t sent;
    if (id.len == 0 || timestamp.len == 0 || signature.len == 0)
        return moon_err_set(err, MOON_EVERIFY, "webhook: no webhook-%s header",
                            id.len == 0          ? "id"
                            : timestamp.len == 0 ? "timestamp"
                                                 : "signature");
    if (!valid_id(id))
        return moon_err_set(err, MOON_EVERIFY, "webhook: the id is malformed");
    if (parse_timestamp(timestamp, &sent) != 0)
        return moon_err_set(err, MOON_EVERIFY, "webhook: the timestamp is not a number of seconds");
    if (now_s - sent > tolerance_s)
        return moon_err_set(err, MOON_EVERIFY, "webhook: the message is %lld s old, %lld are allowed",
                            (long long)(now_s - sent), (long long)tolerance_s);
    if (sent - now_s > tolerance_s)
        return moon_err_set(err, MOON_EVERIFY,
                            "webhook: the timestamp is %lld s in the future; at most %lld s are allowed",
                            (long long)(sent - now_s), (long long)tolerance_s);
    return 0;
}

int moon_webhook_verify(struct moon_hasher *h, const struct moon_bytes *secrets, size_t nsecrets, struct moon_bytes id,
                        struct moon_bytes timestamp, struct moon_bytes signature, struct moon_bytes body,
                        int64_t tolerance_s, int64_t now_s, struct moon_err *err) {
    bool match = false;
    int seen = 0;
    int rc = check_count(nsecrets, err);
    if (rc == 0)
        rc = check_headers(id, timestamp, signature, tolerance_s, now_s, err);
    for (size_t i = 0; i < nsecrets && rc == 0; i++) { /* all of them, whichever matches */
        unsigned char sum[MOON_SHA256_SIZE];
        struct moon_buf text = MOON_BUF_INIT;
        rc = mac(h, secrets[i], id, timestamp, body, sum, err);
        if (rc == 0 && moon_base64_encode(&text, sum, sizeof sum) != 0)
            rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
        if (rc == 0)
            match |= any_matches(signature, text.data, text.len, &seen);
        moon_buf_release(&text);
    }
    if (rc != 0 || match)
        return rc;
    return moon_err_set(err, MOON_EVERIFY,
                        seen > 0 ? "webhook: no signature matches: a wrong secret, or a changed body"
                                 : "webhook: no signature of version v1");
}
