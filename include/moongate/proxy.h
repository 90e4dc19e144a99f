/* proxy.h - which proxy a request goes through, and why: read from the environment once, chosen for each origin here
 * and nowhere else. libcurl is given the result and reads no variable itself. Text only; no name is looked up. Layer:
 * core
 *
 * GENESYSCLOUD_PROXY_* counts first, then what libcurl would read: http_proxy; https_proxy, HTTPS_PROXY; all_proxy,
 * ALL_PROXY. HTTP_PROXY in capitals is ignored, since a CGI server sets it from a request's header. no_proxy and
 * NO_PROXY have the forms that libcurl 7.88.1 knows. */
#ifndef MOONGATE_PROXY_H
#define MOONGATE_PROXY_H

#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_redact;

#define MOON_PROXY_SHOWN 320

struct moon_proxy {
    char *url;                    /* for libcurl: with user and password. NULL: not set */
    char shown[MOON_PROXY_SHOWN]; /* "http://host:port" */
    const char *from;             /* the variable's name */
    uint16_t port;
    bool tls, socks;
};

struct moon_proxies {
    struct moon_proxy plain, secure; /* for http:// and for https:// */
    char *no_proxy;                  /* NULL: not set */
    const char *no_proxy_from;
    struct moon_err wrong; /* code 0, or why a setting can't be used: then nothing may go out past loopback */
};

/* Never fails but for memory: a setting that can't be used is kept in `wrong`. A password is registered with redact
 * (may be NULL). Zeroed p; released also after a failure. */
int moon_proxies_read(struct moon_proxies *p, const char *(*getenv)(void *ud, const char *name), void *ud,
                      struct moon_redact *redact, struct moon_err *err);
void moon_proxies_release(struct moon_proxies *p); /* wipes; p is as zeroed */

/* The proxy for "http[s]://host[:port]", or NULL for a direct connection; why (may be NULL) gets the reason, such as
 * "HTTPS_PROXY" or "NO_PROXY has '.corp.example'". */
#define MOON_PROXY_WHY 200
const struct moon_proxy *moon_proxies_for(const struct moon_proxies *p, const char *origin, bool loopback,
                                          char why[MOON_PROXY_WHY]);

/* The entry of list that the host (IPv6 in brackets) is named by, and its length; NULL: none. */
const char *moon_no_proxy_match(const char *list, const char *host, size_t *len);

/* "http://user:password@host:port" as a proxy setting has it -> *out. MOON_EINVAL says what is wrong, without the value
 * where that may hold a password. */
int moon_proxy_parse(struct moon_proxy *out, const char *text, const char *from, struct moon_redact *redact,
                     struct moon_err *err);

#endif
