/* gc_profile.h - the gc CLI's profile file (~/.gc/config.toml), read and never written.
 *
 * The TOML that it uses: [section], key = "value" or 'value', # comments; values of other types are stepped over.
 * Section and key names match without case. A fault names its line. */
#ifndef MOONGATE_GC_PROFILE_H
#define MOONGATE_GC_PROFILE_H

#include "moongate/buf.h"
#include "moongate/err.h"

#include <stdbool.h>

struct moon_gc_profile {
    bool found; /* the section is there */
    /* Each empty (data NULL) when absent, else NUL-terminated. */
    struct moon_buf environment, client_id, client_secret, access_token; /* client_id: the key is client_credentials */
    struct moon_buf sections; /* the names seen, separated by ", ": for messages */
};
/* p: any memory. 0, MOON_EPARSE (with "line N: "), MOON_ENOMEM; released by the caller after success only. */
int moon_gc_profile_parse(struct moon_gc_profile *p, const char *text, size_t len, const char *profile,
                          struct moon_err *err);
void moon_gc_profile_release(struct moon_gc_profile *p); /* wipes */

#endif
