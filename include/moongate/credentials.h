/* credentials.h - which gateway, and who we are: flag, then environment, then project file, then gc profile, field by
 * field, each with where it came from. Values are wiped on release; secrets, and client ids of 8 bytes or more, are
 * registered with moon_redact as they are read. */
#ifndef MOONGATE_CREDENTIALS_H
#define MOONGATE_CREDENTIALS_H

#include "moongate/err.h"
#include "moongate/region.h"

#include <stdbool.h>
#include <stddef.h>

struct moon_redact;

enum moon_cred_field {
    MOON_CRED_REGION, /* region, domain or base URL; see region.h */
    MOON_CRED_LOGIN_URL,
    MOON_CRED_CLIENT_ID,
    MOON_CRED_CLIENT_SECRET,
    MOON_CRED_ACCESS_TOKEN,   /* the user's own: never minted anew */
    MOON_CRED_EXTERNAL_TOKEN, /* EXTERNAL_AI_TOKEN, for the model's endpoint */
    MOON_CRED_COUNT
};
enum moon_cred_source {
    MOON_CRED_NONE,
    MOON_CRED_FLAG,
    MOON_CRED_ENV,
    MOON_CRED_PROJECT,
    MOON_CRED_PROFILE,
    MOON_CRED_DEFAULT
};
const char *moon_cred_field_name(enum moon_cred_field f); /* "region", "login_url", "client_id", ... */
const char *
moon_cred_source_name(enum moon_cred_source s); /* "none", "flag", "environment", "project", "profile", "default" */

struct moon_cred_value {
    char *data; /* NUL-terminated; NULL: not set */
    size_t len;
    enum moon_cred_source source;
    char origin[160]; /* "--region", "GENESYSCLOUD_REGION", "moongate.lua", "~/.gc/config.toml [DEFAULT]" */
};

#define MOON_CRED_WARNINGS 4
struct moon_credentials {
    struct moon_cred_value field[MOON_CRED_COUNT];
    struct moon_endpoints endpoints;        /* of region and login_url */
    char warnings[MOON_CRED_WARNINGS][256]; /* to be shown once, as they are */
    int nwarnings;
};

struct moon_cred_input {
    const char *flag[MOON_CRED_COUNT];    /* values of --region, --login-url, --client-id, ...; NULL: not given */
    const char *project[MOON_CRED_COUNT]; /* of the project file, already resolved; NULL: not given */
    const char *project_path;             /* for origins; NULL: "moongate.lua" */
    const char *(*getenv)(void *ud, const char *name); /* NULL: an empty environment */
    void *ud;
    const char *profile;        /* the section; NULL: DEFAULT, which need not exist */
    const char *profile_path;   /* NULL: $HOME/.gc/config.toml, which need not exist; "": none */
    struct moon_redact *redact; /* may be NULL */
    bool show_id;               /* the client id is not registered with it: for who reads the audit log */
};

/* An empty string in flag, environment or project counts as not set. Zeroed c; released by the caller, also after a
 * failure. MOON_EINVAL (a region or URL that can't be), MOON_EPARSE (profile file), MOON_ENOENT (a named profile
 * that is not there), MOON_EIO, MOON_ENOMEM. */
int moon_credentials_resolve(struct moon_credentials *c, const struct moon_cred_input *in, struct moon_err *err);
void moon_credentials_release(struct moon_credentials *c); /* wipes; c is as zeroed */

/* How to be let in. The source of higher precedence decides; in the same source an access token goes before client
 * credentials. */
enum moon_cred_auth { MOON_AUTH_NONE, MOON_AUTH_TOKEN, MOON_AUTH_CLIENT };
enum moon_cred_auth moon_credentials_auth(const struct moon_credentials *c);
/* MOON_EAUTH with a message that says what to set, when there is no way in. */
int moon_credentials_require(const struct moon_credentials *c, struct moon_err *err);

/* "abcd…" of an id or a URL, "***" of anything short or secret, "-" of what is not set: what may be shown. */
#define MOON_CRED_MASK_SIZE 32
void moon_credentials_mask(const struct moon_credentials *c, enum moon_cred_field f, char out[MOON_CRED_MASK_SIZE]);

#endif
