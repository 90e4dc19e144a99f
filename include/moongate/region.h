/* region.h - where a gateway is: region names, domains, URLs. Pure. */
#ifndef MOONGATE_REGION_H
#define MOONGATE_REGION_H

#include "moongate/err.h"

#include <stddef.h>

struct moon_region {
    const char *name;   /* "us-east-1" */
    const char *domain; /* "mypurecloud.com" */
};
#define MOON_REGION_DEFAULT "us-east-1"

/* All regions, ended by {NULL, NULL}. */
extern const struct moon_region moon_regions[];
/* Hyphens or underscores, any case. NULL: no such region. */
const struct moon_region *moon_region_find(const char *name);
const struct moon_region *moon_region_of_domain(const char *domain); /* any case */

#define MOON_URL_SIZE 512
struct moon_endpoints {
    char api[MOON_URL_SIZE];          /* "https://api.mypurecloud.com": no trailing slash */
    char login[MOON_URL_SIZE];        /* "https://login.mypurecloud.com" */
    const struct moon_region *region; /* NULL: a domain or URL that is none of the table's */
};
/* value: a region, a domain (also as api.DOMAIN), a host NAME.my.genesyscloud.com (of the API and of tokens), or
 * http(s)://host[:port][/prefix], which is taken as it is. The login URL of such a URL is its origin, unless the host
 * is api.DOMAIN of a known region. MOON_EINVAL: an unknown region, with the nearest name; a malformed domain or URL. */
int moon_region_resolve(const char *value, struct moon_endpoints *out, struct moon_err *err);
/* Checks a http(s) URL and copies it without its trailing slash. No user info, query or fragment. what names it in
 * messages. */
int moon_url_check(const char *url, const char *what, char out[MOON_URL_SIZE], struct moon_err *err);
/* scheme://host[:port] of a URL that moon_url_check passed. */
void moon_url_origin(const char *url, char out[MOON_URL_SIZE]);

#endif
