/* fuzz_webhook.c - the webhook headers: lines of id, timestamp and signature, then the body. Nothing gets in without
 * the key but what was signed with it. */
#include "moongate/webhook_signature.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct moon_bytes take_line(const char **p, const char *end) {
    const char *nl = *p < end ? memchr(*p, '\n', (size_t)(end - *p)) : NULL;
    struct moon_bytes b = {*p, (size_t)((nl ? nl : end) - *p)};
    *p = nl ? nl + 1 : end;
    return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct moon_bytes secret = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 38};
    const char *p = (const char *)data, *end = p + size;
    struct moon_bytes id = take_line(&p, end), timestamp = take_line(&p, end), signature = take_line(&p, end);
    struct moon_bytes body = {p, (size_t)(end - p)};
    struct moon_hasher *h;
    struct moon_buf out = MOON_BUF_INIT;
    struct moon_err err;
    if (size == 0 || moon_hasher_new(&h) != 0)
        return 0;
    int rc = moon_webhook_verify(h, &secret, 1, id, timestamp, signature, body, 300, 1614265330, &err);
    if (rc == 0) { /* then signing gives one of those signatures */
        if (moon_webhook_sign(h, &secret, 1, id, strtoll(timestamp.data, NULL, 10), body, &out, &err) != 0)
            abort();
        if (!memmem(signature.data, signature.len, out.data, out.len))
            abort();
    } else if (rc != MOON_EVERIFY) {
        abort();
    }
    /* As a secret. */
    const struct moon_bytes any = {(const char *)data, size};
    moon_webhook_verify(h, &any, 1, id, timestamp, signature, body, 300, 1614265330, &err);
    moon_buf_release(&out);
    moon_hasher_free(h);
    return 0;
}
