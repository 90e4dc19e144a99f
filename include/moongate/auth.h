/* auth.h - credentials: who may see what, and the one place where an Authorization header is built.
 *
 * A moon_auth is bound to ONE origin. A request to another origin goes out without it. Secrets are copied in,
 * registered with the redactor, wiped at the end, and never given out. */
#ifndef MOONGATE_AUTH_H
#define MOONGATE_AUTH_H

#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_auth;
struct moon_http;
struct moon_http_client;
struct moon_redact;

/* A token that the user gave: sent as it is, never minted, never renewed. */
int moon_auth_bearer(struct moon_auth **out, const char *origin_url, const char *token, size_t len,
                     struct moon_redact *redact, struct moon_err *err);

struct moon_auth_client {
    const char *origin;    /* URL whose origin gets the tokens, "https://api.mypurecloud.com" */
    const char *login_url; /* "https://login.mypurecloud.com": tokens come from {login_url}/oauth/token */
    const char *client_id;
    const char *client_secret;
    size_t client_secret_len;
    const char *scopes; /* "a b"; NULL: whatever the client has */
};
/* OAuth 2.0 client credentials. Nothing is sent before the first token is needed. */
int moon_auth_client_credentials(struct moon_auth **out, struct moon_http *http, const struct moon_auth_client *client,
                                 struct moon_redact *redact, struct moon_err *err);

struct moon_auth *moon_auth_ref(struct moon_auth *a);
void moon_auth_unref(struct moon_auth *a); /* NULL-safe. Must be back at one before moon_http_free */

const char *moon_auth_origin(const struct moon_auth *a);

/* A wait for a usable token. The node is the caller's; zeroed before first use. */
struct moon_auth_wait {
    void (*fn)(void *ud, const struct moon_err *err); /* on a later turn; err NULL: a token is there */
    void *ud;
    struct moon_auth_wait *next, **prev; /* private */
};
/* A header line with a token in it, shared by the requests that carry it. */
struct moon_auth_line {
    unsigned refs;
    uint32_t generation; /* of the token */
    char text[];         /* "Authorization: Bearer ..." */
};
/* A reference to the line of a usable token, or NULL: then wait for one. due_ns (monotonic): when it is of no use any
 * more; 0: it always is. */
struct moon_auth_line *moon_auth_acquire(struct moon_auth *a, int64_t due_ns);
void moon_auth_line_unref(struct moon_auth_line *line); /* NULL-safe; the last one wipes it */
/* Starts a mint, or joins the one under way. fn is called exactly once, unless the wait was left. */
void moon_auth_wait(struct moon_auth *a, struct moon_auth_wait *w, void (*fn)(void *ud, const struct moon_err *err),
                    void *ud);
/* What to do about the failure that fn was told of; "" when that is not known. */
const char *moon_auth_hint(const struct moon_auth *a);
void moon_auth_leave(struct moon_auth *a, struct moon_auth_wait *w);      /* no-op when not waiting */
const struct moon_err *moon_auth_last_failure(const struct moon_auth *a); /* code 0: no mint has failed */
/* A request with that line was answered 401. True: replay it once with a new token. */
bool moon_auth_rejected(struct moon_auth *a, const struct moon_auth_line *line);
/* A request with that line was answered with anything but 401. */
void moon_auth_accepted(struct moon_auth *a, const struct moon_auth_line *line);

/* What may be shown. */
struct moon_auth_info {
    const char *source; /* "given" or "client_credentials" */
    bool has_token;
    int64_t expires_at_ns; /* wall clock; 0: not known */
    const char *scope;     /* what the login host says was granted, names separated by spaces; "": not said */
    uint64_t mints;        /* token requests answered with a token */
};
void moon_auth_info(const struct moon_auth *a, struct moon_auth_info *out);

#endif
