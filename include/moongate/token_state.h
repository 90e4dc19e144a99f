/* token_state.h - one access token's life: empty, being minted, in use, expired, rejected. No network and no waiting
 * list: the owner mints when told to and keeps its waiters.
 *
 * Valid for expires_in - 60 s; when expires_in is 60 or less, half of it. One mint at a time. A 401 invalidates the
 * generation it was made with, once: two hundred calls that fail with the same token cause one mint. A token the user
 * gave is never replaced. */
#ifndef MOONGATE_TOKEN_STATE_H
#define MOONGATE_TOKEN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOON_TOKEN_DEFAULT_LIFE_S INT64_C(300) /* an answer without a usable expires_in */

struct moon_token {
    char *value; /* NUL-terminated, wiped when replaced; NULL: none */
    size_t len;
    uint32_t generation; /* of value; the first is 1 */
    bool given;          /* by the user: no mint, no expiry */
    bool minting;
    bool accepted;     /* some call got past the door with this generation */
    bool after_reject; /* this generation was minted because the one before was rejected */
    bool reject_next;  /* the mint under way (or the next) is for a rejected one */
    int64_t minted_ns, valid_until_ns;
    uint64_t mints;
};

enum moon_token_step {
    MOON_TOKEN_USE,  /* value and generation are good: remember the generation with the call */
    MOON_TOKEN_MINT, /* the caller mints, now, and then calls _minted or _mint_failed */
    MOON_TOKEN_WAIT  /* somebody mints already: queue, and ask again when that has ended */
};

void moon_token_init(struct moon_token *t);
void moon_token_release(struct moon_token *t); /* wipes */
/* The user's own token. 0, MOON_ENOMEM, or MOON_EINVAL (empty, or a byte that can't stand in a header). */
int moon_token_give(struct moon_token *t, const char *value, size_t len);

enum moon_token_step moon_token_want(struct moon_token *t, int64_t now_ns);
/* Ends a mint. expires_in_s <= 0: unknown. 0, MOON_ENOMEM or MOON_EINVAL (as _give); on failure the mint has failed.
 * value is copied. */
int moon_token_minted(struct moon_token *t, const char *value, size_t len, int64_t expires_in_s, int64_t now_ns);
void moon_token_mint_failed(struct moon_token *t);

/* A call made with `generation` was answered 401. True: ask _want again and replay (the call does so once). False: it
 * is no use - the user's token, or a fresh one that was minted after a rejection and that nobody got in with. */
bool moon_token_rejected(struct moon_token *t, uint32_t generation, int64_t now_ns);
/* A call made with `generation` was answered with anything but 401. */
void moon_token_accepted(struct moon_token *t, uint32_t generation);

int64_t moon_token_life_s(int64_t expires_in_s); /* the rule above */

#endif
