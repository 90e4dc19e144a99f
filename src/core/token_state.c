/* token_state.c - an access token's states. */
#include "moongate/token_state.h"

#include "moongate/buf.h"
#include "moongate/clock.h"
#include "moongate/err.h"

#include <stdlib.h>
#include <string.h>

#define FRESH_NS   (30 * MOON_NS_PER_S) /* rejected before that age and never accepted: not the token's fault */
#define MAX_LIFE_S INT64_C(315360000)   /* ten years */

void moon_token_init(struct moon_token *t) {
    memset(t, 0, sizeof *t);
}

static void drop_value(struct moon_token *t) {
    if (t->value) {
        moon_wipe(t->value, t->len);
        free(t->value);
    }
    t->value = NULL;
    t->len = 0;
}

void moon_token_release(struct moon_token *t) {
    drop_value(t);
    memset(t, 0, sizeof *t);
}

static int64_t life_ns(int64_t expires_in_s) {
    if (expires_in_s <= 0)
        expires_in_s = MOON_TOKEN_DEFAULT_LIFE_S;
    if (expires_in_s > MAX_LIFE_S)
        expires_in_s = MAX_LIFE_S;
    return expires_in_s > 60 ? (expires_in_s - 60) * MOON_NS_PER_S : expires_in_s * MOON_NS_PER_S / 2;
}

int64_t moon_token_life_s(int64_t expires_in_s) {
    return life_ns(expires_in_s) / MOON_NS_PER_S;
}

/* RFC 6750's b64token is narrower; what matters is that the value can't break out of its header. */
static bool fits_header(const char *value, size_t len) {
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)value[i] <= ' ' || (unsigned char)value[i] >= 127)
            return false;
    return len > 0;
}

static int set_value(struct moon_token *t, const char *value, size_t len) {
    if (!fits_header(value, len))
        return MOON_EINVAL;
    char *copy = malloc(len + 1);
    if (!copy)
        return MOON_ENOMEM;
    memcpy(copy, value, len);
    copy[len] = '\0';
    drop_value(t);
    t->value = copy;
    t->len = len;
    t->generation++;
    t->accepted = false;
    return 0;
}

int moon_token_give(struct moon_token *t, const char *value, size_t len) {
    int rc = set_value(t, value, len);
    if (rc == 0) {
        t->given = true;
        t->valid_until_ns = INT64_MAX;
    }
    return rc;
}

enum moon_token_step moon_token_want(struct moon_token *t, int64_t now_ns) {
    if (t->value && now_ns < t->valid_until_ns)
        return MOON_TOKEN_USE;
    if (t->minting)
        return MOON_TOKEN_WAIT;
    t->minting = true;
    return MOON_TOKEN_MINT;
}

int moon_token_minted(struct moon_token *t, const char *value, size_t len, int64_t expires_in_s, int64_t now_ns) {
    int rc = set_value(t, value, len);
    t->minting = false;
    if (rc != 0)
        return rc;
    t->minted_ns = now_ns;
    t->valid_until_ns = now_ns + life_ns(expires_in_s);
    t->after_reject = t->reject_next;
    t->reject_next = false;
    t->mints++;
    return 0;
}

void moon_token_mint_failed(struct moon_token *t) {
    t->minting = false;
}

bool moon_token_rejected(struct moon_token *t, uint32_t generation, int64_t now_ns) {
    if (t->given)
        return false;
    if (generation != t->generation || !t->value)
        return true; /* replaced, or being replaced */
    if (t->after_reject && !t->accepted && now_ns - t->minted_ns < FRESH_NS)
        return false;
    drop_value(t);
    t->reject_next = true;
    return true;
}

void moon_token_accepted(struct moon_token *t, uint32_t generation) {
    if (generation == t->generation)
        t->accepted = true;
}
