/* region.c - regions, domains and base URLs. */
#include "moongate/region.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const struct moon_region moon_regions[] = {
    {"us-east-1", "mypurecloud.com"},
    {"us-east-2", "use2.us-gov-pure.cloud"},
    {"us-west-2", "usw2.pure.cloud"},
    {"ca-central-1", "cac1.pure.cloud"},
    {"mx-central-1", "mxc1.pure.cloud"},
    {"sa-east-1", "sae1.pure.cloud"},
    {"eu-west-1", "mypurecloud.ie"},
    {"eu-west-2", "euw2.pure.cloud"},
    {"eu-central-1", "mypurecloud.de"},
    {"eu-central-2", "euc2.pure.cloud"},
    {"eusc-de-east-1", "edee1.eusc-pure.cloud"},
    {"me-central-1", "mec1.pure.cloud"},
    {"ap-south-1", "aps1.pure.cloud"},
    {"ap-southeast-1", "apse1.pure.cloud"},
    {"ap-southeast-2", "mypurecloud.com.au"},
    {"ap-northeast-1", "mypurecloud.jp"},
    {"ap-northeast-2", "apne2.pure.cloud"},
    {"ap-northeast-3", "apne3.pure.cloud"},
    {NULL, NULL},
};

static char fold(char c) {
    return c == '_' ? '-' : (char)tolower((unsigned char)c);
}

static bool same_name(const char *a, const char *b) {
    while (*a && fold(*a) == fold(*b))
        a++, b++;
    return fold(*a) == fold(*b);
}

const struct moon_region *moon_region_find(const char *name) {
    for (const struct moon_region *r = moon_regions; r->name; r++)
        if (same_name(r->name, name))
            return r;
    return NULL;
}

const struct moon_region *moon_region_of_domain(const char *domain) {
    for (const struct moon_region *r = moon_regions; r->name; r++)
        if (strcasecmp(r->domain, domain) == 0)
            return r;
    return NULL;
}

/* Optimal string alignment distance: a wrong, missing, extra or swapped letter counts one. */
#define NAME_MAX_LEN 31
static int distance(const char *a, const char *b) {
    size_t la = strlen(a), lb = strlen(b);
    int row[3][NAME_MAX_LEN + 1];
    if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = (int)j;
    for (size_t i = 1; i <= la; i++) {
        int *cur = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];
        cur[0] = (int)i;
        for (size_t j = 1; j <= lb; j++) {
            int best = prev[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));
            if (prev[j] + 1 < best)
                best = prev[j] + 1;
            if (cur[j - 1] + 1 < best)
                best = cur[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]);
            if (swapped && prev2[j - 2] + 1 < best)
                best = prev2[j - 2] + 1;
            cur[j] = best;
        }
    }
    return row[la % 3][lb];
}

static int unknown_region(const char *value, struct moon_err *err) {
    const struct moon_region *near = NULL;
    int best = 4; /* further away is not a typo */
    for (const struct moon_region *r = moon_regions; r->name; r++) {
        int d = distance(value, r->name);
        if (d < best) {
            best = d;
            near = r;
        }
    }
    if (near)
        return moon_err_set(err, MOON_EINVAL, "unknown region '%.60s': did you mean %s?", value, near->name);
    char list[400] = "";
    for (const struct moon_region *r = moon_regions; r->name; r++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", r->name);
    }
    return moon_err_set(err, MOON_EINVAL, "unknown region '%.60s': not a domain, a URL or one of %s", value, list);
}

static bool host_char(char c) {
    return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '_';
}

static bool valid_domain(const char *s) {
    size_t n = strlen(s);
    if (n == 0 || n > 253 || s[0] == '.' || s[0] == '-' || s[n - 1] == '.' || strstr(s, ".."))
        return false;
    for (; *s; s++)
        if (!host_char(*s))
            return false;
    return true;
}

static size_t scheme_len(const char *url) {
    if (strncasecmp(url, "https://", 8) == 0)
        return 8;
    return strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
}

/* ":1" to ":65535" or nothing. */
static bool valid_port(const char *p, const char *end) {
    long port = 0;
    if (p == end)
        return true;
    if (*p++ != ':' || p == end || end - p > 5)
        return false;
    for (; p < end; p++) {
        if (!isdigit((unsigned char)*p))
            return false;
        port = port * 10 + (*p - '0');
    }
    return port >= 1 && port <= 65535;
}

static bool valid_authority(const char *host, const char *end) {
    const char *p = host;
    if (p < end && *p == '[') { /* IPv6 */
        p++;
        while (p < end && (isxdigit((unsigned char)*p) || *p == ':' || *p == '.'))
            p++;
        return p > host + 2 && p < end && *p == ']' && valid_port(p + 1, end);
    }
    while (p < end && host_char(*p))
        p++;
    return p > host && valid_port(p, end);
}

static bool valid_path(const char *p) {
    for (; *p; p++)
        if (*p == '?' || *p == '#' || (unsigned char)*p <= ' ' || (unsigned char)*p >= 127)
            return false;
    return true;
}

static void lower(char *s, size_t len) {
    for (size_t i = 0; i < len && s[i]; i++)
        s[i] = (char)tolower((unsigned char)s[i]);
}

int moon_url_check(const char *url, const char *what, char out[MOON_URL_SIZE], struct moon_err *err) {
    size_t scheme = scheme_len(url), len = strlen(url);
    if (strchr(url, '@')) /* may hold a password: not shown */
        return moon_err_set(err, MOON_EINVAL, "%s: a URL with a user or password is not accepted", what);
    if (scheme == 0)
        return moon_err_set(err, MOON_EINVAL, "%s: '%.100s' is not an http:// or https:// URL", what, url);
    if (len >= MOON_URL_SIZE)
        return moon_err_set(err, MOON_EINVAL, "%s: the URL is longer than %d bytes", what, MOON_URL_SIZE - 1);
    const char *host = url + scheme;
    const char *end = host + strcspn(host, "/?#");
    if (!valid_authority(host, end))
        return moon_err_set(err, MOON_EINVAL, "%s: '%.100s' has no valid host[:port]", what, url);
    if (!valid_path(end))
        return moon_err_set(err, MOON_EINVAL,
                            "%s: '%.100s' has a query, a fragment or a character that must be encoded", what, url);
    size_t origin = (size_t)(end - url);
    while (len > scheme && url[len - 1] == '/')
        len--;
    memmove(out, url, len);
    out[len] = '\0';
    lower(out, origin); /* scheme and host have no case; a path has */
    return 0;
}

void moon_url_origin(const char *url, char out[MOON_URL_SIZE]) {
    size_t scheme = scheme_len(url);
    size_t len = scheme + strcspn(url + scheme, "/?#");
    if (len >= MOON_URL_SIZE)
        len = MOON_URL_SIZE - 1;
    memmove(out, url, len);
    out[len] = '\0';
}

static void of_domain(const char *domain, struct moon_endpoints *out) {
    out->region = moon_region_of_domain(domain);
    snprintf(out->api, sizeof out->api, "https://api.%s", domain);
    snprintf(out->login, sizeof out->login, "https://login.%s", domain);
    lower(out->api, sizeof out->api);
    lower(out->login, sizeof out->login);
}

/* "us-east-1.my.genesyscloud.com": one host for API and tokens, as some tutorials have it. Nothing is put before it. */
static bool is_one_host(const char *value) {
    static const char suffix[] = ".my.genesyscloud.com";
    size_t n = strlen(value), end = sizeof suffix - 1;
    return n > end && strcasecmp(value + n - end, suffix) == 0 && valid_domain(value);
}

static int of_url(const char *url, struct moon_endpoints *out, struct moon_err *err) {
    int rc = moon_url_check(url, "region", out->api, err);
    if (rc != 0)
        return rc;
    moon_url_origin(out->api, out->login);
    if (strncmp(out->login, "https://api.", 12) == 0)
        out->region = moon_region_of_domain(out->login + 12);
    if (out->region)
        snprintf(out->login, sizeof out->login, "https://login.%s", out->region->domain);
    return 0;
}

int moon_region_resolve(const char *value, struct moon_endpoints *out, struct moon_err *err) {
    static const char *const hosts[] = {"api.", "login.", "apps."};
    memset(out, 0, sizeof *out);
    if (strstr(value, "://"))
        return of_url(value, out, err);
    const struct moon_region *r = moon_region_find(value);
    if (is_one_host(value)) {
        snprintf(out->api, sizeof out->api, "https://%s", value);
        lower(out->api, sizeof out->api);
        memcpy(out->login, out->api, sizeof out->login);
        return 0;
    }
    if (r) {
        of_domain(r->domain, out);
        return 0;
    }
    if (!strchr(value, '.'))
        return unknown_region(value, err);
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        size_t n = strlen(hosts[i]);
        if (strncasecmp(value, hosts[i], n) == 0 && strchr(value + n, '.')) {
            value += n;
            break;
        }
    }
    if (!valid_domain(value))
        return moon_err_set(err, MOON_EINVAL,
                            "region: '%.100s' is not a valid domain; a URL starts with https:// or http://", value);
    of_domain(value, out);
    return 0;
}
