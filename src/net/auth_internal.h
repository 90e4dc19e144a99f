/* auth_internal.h - the parts of moon_auth to each other. Private to src/net.
 * auth.c: a credential's life, its token and who waits for it. auth_mint.c: one token request, all its tries. */
#ifndef MOON_NET_AUTH_INTERNAL_H
#define MOON_NET_AUTH_INTERNAL_H

#include "moongate/auth.h"
#include "moongate/http.h"
#include "moongate/loop.h"
#include "moongate/retry.h"
#include "moongate/token_state.h"

#define MOON_AUTH_SCOPE_SIZE 2048

struct moon_auth {
    unsigned refs;
    char origin[MOON_HTTP_ORIGIN_SIZE];
    struct moon_redact *redact;
    struct moon_token token;
    struct moon_auth_line *line;              /* of token; NULL: not made yet */
    struct moon_auth_wait *waiting, *leaving; /* leaving: being told; see auth.c */

    /* client credentials only */
    struct moon_loop *loop;
    struct moon_rng *rng;
    struct moon_http_client *login;
    char login_origin[MOON_HTTP_ORIGIN_SIZE];
    char *basic; /* the header's value, "Basic ..."; wiped */
    char *form;
    struct moon_http_call *call; /* the mint under way */
    struct moon_timer again;
    struct moon_defer ended;
    int tries;
    int64_t give_up_ns;
    int64_t expires_at_ns; /* wall clock */
    char scope[MOON_AUTH_SCOPE_SIZE];
    struct moon_err failure;
    char hint[320];               /* of failure: what to do; may be empty */
    struct moon_err last_failure; /* of the last mint that failed */
};

/* Starts a mint; moon_auth_mint_ended comes on a later turn, with a->failure.code 0 when a token is there. */
void moon_auth_mint(struct moon_auth *a, int64_t due_ns);
void moon_auth_mint_stop(struct moon_auth *a);
void moon_auth_mint_ended(void *auth); /* in auth.c */

#endif
