/* proxy.c - see moongate/proxy.h. */
#include "moongate/proxy.h"

#include "moongate/buf.h"
#include "moongate/redact.h"
#include "moongate/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_PORT 1080 /* libcurl's, for all but https */

static const char *const schemes[] = {"http", "https", "socks4", "socks4a", "socks5", "socks5h", "socks"};

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

/* ---- one setting ---- */

static bool known_scheme(const char *s, size_t len) {
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strlen(schemes[i]) == len && strncasecmp(schemes[i], s, len) == 0)
            return true;
    return false;
}

static bool valid_host(const char *s, size_t len) {
    if (len > 2 && *s == '[') {
        char copy[INET6_ADDRSTRLEN];
        struct in6_addr a;
        snprintf(copy, sizeof copy, "%.*s", (int)(len - 2), s + 1);
        return s[len - 1] == ']' && len - 2 < sizeof copy && inet_pton(AF_INET6, copy, &a) == 1;
    }
    if (len == 0 || len > 253 || *s == '.' || *s == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("-._", s[i]))
            return false;
    return true;
}

static bool parse_port(const char *s, size_t len, uint16_t *port) {
    long n = 0;
    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        n = n * 10 + (s[i] - '0');
    }
    *port = (uint16_t)n;
    return n >= 1 && n <= 65535;
}

/* Registers the password, as it is written and with its percent-encoding undone. */
static int hide_password(const char *user, size_t len, struct moon_redact *redact, struct moon_err *err) {
    const char *colon = memchr(user, ':', len);
    struct moon_buf plain = MOON_BUF_INIT;
    int rc = 0;
    if (!colon || !redact)
        return 0;
    const char *p = colon + 1, *end = user + len;
    rc = moon_redact_add(redact, p, (size_t)(end - p));
    for (; p < end && rc == 0; p++) {
        if (*p == '%' && end - p > 2 && moon_hex_digit(p[1]) >= 0 && moon_hex_digit(p[2]) >= 0) {
            rc = moon_buf_putc(&plain, (char)(moon_hex_digit(p[1]) * 16 + moon_hex_digit(p[2])));
            p += 2;
        } else {
            rc = moon_buf_putc(&plain, *p);
        }
    }
    if (rc == 0 && plain.len > 0)
        rc = moon_redact_add(redact, plain.data, plain.len);
    if (plain.data)
        moon_wipe(plain.data, plain.cap);
    moon_buf_release(&plain);
    return rc == 0 ? 0 : no_memory(err);
}

static int wrong_scheme(const char *from, const char *text, size_t len, struct moon_err *err) {
    return moon_err_set(err, MOON_EINVAL,
                        "%s: '%.*s' is not a proxy protocol; use http, https, socks4, socks4a, socks5 or socks5h", from,
                        len > 40 ? 40 : (int)len, text);
}

/* "host[:port][/]" -> host, port. */
static int parse_authority(struct moon_proxy *out, const char *at, const char *from, size_t *host_len,
                           struct moon_err *err) {
    size_t len = strcspn(at, "/?#"), host = len;
    const char *close = *at == '[' ? memchr(at, ']', len) : NULL;
    const char *colon = memchr(close ? close : at, ':', len - (size_t)((close ? close : at) - at));
    if (at[len] && strcmp(at + len, "/") != 0)
        return moon_err_set(err, MOON_EINVAL, "%s: a proxy's URL has no path", from);
    if (colon)
        host = (size_t)(colon - at);
    if (!valid_host(at, host))
        return moon_err_set(err, MOON_EINVAL, "%s: '%.*s' is not a host name", from, host > 100 ? 100 : (int)host, at);
    if (colon && !parse_port(colon + 1, len - host - 1, &out->port))
        return moon_err_set(err, MOON_EINVAL, "%s: '%.*s' is not a port", from,
                            len - host - 1 > 40 ? 40 : (int)(len - host - 1), colon + 1);
    *host_len = host;
    return 0;
}

int moon_proxy_parse(struct moon_proxy *out, const char *text, const char *from, struct moon_redact *redact,
                     struct moon_err *err) {
    const char *mark = strstr(text, "://"), *scheme = mark ? text : "http", *at = mark ? mark + 3 : text;
    size_t scheme_len = mark ? (size_t)(mark - text) : 4, host_len = 0, user_len = 0;
    const char *user = at, *sign = NULL;
    memset(out, 0, sizeof *out);
    for (const char *p = at; *p && !strchr("/?#", *p); p++)
        sign = *p == '@' ? p : sign;
    if (sign) {
        user_len = (size_t)(sign - at);
        at = sign + 1;
    }
    if (strchr(at + strcspn(at, "/?#"), '@')) /* what stands before it may be half of a password: not shown */
        return moon_err_set(err, MOON_EINVAL, "%s: '/', '?' and '#' in a user or password have to be percent-encoded",
                            from);
    int rc = user_len ? hide_password(user, user_len, redact, err) : 0;
    if (rc != 0)
        return rc;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 127)
            return moon_err_set(err, MOON_EINVAL, "%s: has a space or another character that a URL can't have", from);
    if (!known_scheme(scheme, scheme_len))
        return wrong_scheme(from, scheme, scheme_len, err);
    out->tls = scheme_len == 5 && strncasecmp(scheme, "https", 5) == 0;
    out->socks = strncasecmp(scheme, "socks", 5) == 0;
    out->port = out->tls ? 443 : DEFAULT_PORT;
    if ((rc = parse_authority(out, at, from, &host_len, err)) != 0)
        return rc;
    struct moon_buf url = MOON_BUF_INIT;
    out->from = from;
    snprintf(out->shown, sizeof out->shown, "%.*s://%.*s:%u", (int)scheme_len, scheme, (int)host_len, at,
             (unsigned)out->port);
    if (moon_buf_printf(&url, "%.*s://%.*s%s%.*s:%u", (int)scheme_len, scheme, (int)user_len, user, user_len ? "@" : "",
                        (int)host_len, at, (unsigned)out->port) != 0)
        return no_memory(err);
    out->url = url.data;
    return 0;
}

static void release(struct moon_proxy *p) {
    if (p->url)
        moon_wipe(p->url, strlen(p->url));
    free(p->url);
    memset(p, 0, sizeof *p);
}

/* ---- the environment ---- */

struct env {
    const char *(*get)(void *ud, const char *name);
    void *ud;
};

static const char *get(const struct env *e, const char *name) {
    const char *v = e->get ? e->get(e->ud, name) : NULL;
    return v && *v ? v : NULL;
}

static int put_userinfo(struct moon_buf *b, const char *s) {
    int rc = 0;
    for (; *s && rc == 0; s++)
        rc = isalnum((unsigned char)*s) || strchr("-._~", *s) ? moon_buf_putc(b, *s)
                                                              : moon_buf_printf(b, "%%%02X", (unsigned char)*s);
    return rc;
}

#define GC "GENESYSCLOUD_PROXY_"

/* GENESYSCLOUD_PROXY_* -> "protocol://user:password@host:port", each part checked under its own name. */
static int build(struct moon_buf *url, const struct env *e, const char *host, struct moon_redact *redact,
                 struct moon_err *err) {
    const char *protocol = get(e, GC "PROTOCOL"), *port = get(e, GC "PORT");
    const char *user = get(e, GC "AUTH_USERNAME"), *password = get(e, GC "AUTH_PASSWORD");
    uint16_t n;
    if (protocol && !known_scheme(protocol, strlen(protocol)))
        return wrong_scheme(GC "PROTOCOL", protocol, strlen(protocol), err);
    if (!valid_host(host, strlen(host)))
        return moon_err_set(err, MOON_EINVAL, GC "HOST: '%.100s' is not a host name%s", host,
                            strchr(host, ':') ? "; the port goes into " GC "PORT" : "");
    if (port && !parse_port(port, strlen(port), &n))
        return moon_err_set(err, MOON_EINVAL, GC "PORT: '%.40s' is not a port", port);
    if (password && !user)
        return moon_err_set(err, MOON_EINVAL, GC "AUTH_PASSWORD is set, and " GC "AUTH_USERNAME is not");
    if (password && redact && moon_redact_add(redact, password, strlen(password)) != 0)
        return no_memory(err);
    int rc = moon_buf_reserve(url, 4096); /* so that no copy of the password is left behind by growing */
    if (rc == 0)
        rc = moon_buf_printf(url, "%s://", protocol ? protocol : "http");
    if (rc == 0 && user)
        rc = put_userinfo(url, user);
    if (rc == 0 && password && (rc = moon_buf_putc(url, ':')) == 0)
        rc = put_userinfo(url, password);
    if (rc == 0 && user)
        rc = moon_buf_putc(url, '@');
    if (rc == 0)
        rc = moon_buf_printf(url, "%s%s%s", host, port ? ":" : "", port ? port : "");
    return rc != 0 ? no_memory(err) : 0;
}

/* True when GENESYSCLOUD_PROXY_* decides, rightly or not. */
static bool read_own(struct moon_proxies *p, const struct env *e, struct moon_redact *redact, int *rc) {
    static const char *const parts[] = {GC "PROTOCOL", GC "PORT", GC "AUTH_USERNAME", GC "AUTH_PASSWORD"};
    const char *host = get(e, GC "HOST");
    struct moon_buf url = MOON_BUF_INIT;
    if (!host) {
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            if (get(e, parts[i])) {
                *rc = moon_err_set(&p->wrong, MOON_EINVAL, "%s is set, and " GC "HOST is not", parts[i]);
                return true;
            }
        return false;
    }
    *rc = build(&url, e, host, redact, &p->wrong);
    if (*rc == 0)
        *rc = moon_proxy_parse(&p->plain, url.data ? url.data : "", GC "HOST", redact, &p->wrong);
    if (*rc == 0)
        *rc = moon_proxy_parse(&p->secure, url.data ? url.data : "", GC "HOST", redact, &p->wrong);
    if (url.data)
        moon_wipe(url.data, url.cap);
    moon_buf_release(&url);
    return true;
}

static int read_first(struct moon_proxy *out, struct moon_proxies *p, const struct env *e, const char *const *names,
                      struct moon_redact *redact) {
    for (; *names; names++) {
        const char *v = get(e, *names);
        if (v)
            return moon_proxy_parse(out, v, *names, redact, &p->wrong);
    }
    return 0;
}

int moon_proxies_read(struct moon_proxies *p, const char *(*getenv)(void *ud, const char *name), void *ud,
                      struct moon_redact *redact, struct moon_err *err) {
    static const char *const plain[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const secure[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const none[] = {"no_proxy", "NO_PROXY"};
    const struct env e = {getenv, ud};
    int rc = 0;
    if (!read_own(p, &e, redact, &rc)) {
        rc = read_first(&p->plain, p, &e, plain, redact);
        if (rc == 0)
            rc = read_first(&p->secure, p, &e, secure, redact);
    }
    for (size_t i = 0; i < sizeof none / sizeof *none && rc == 0 && !p->no_proxy; i++) {
        const char *v = get(&e, none[i]);
        if (v && !(p->no_proxy = strdup(v)))
            rc = moon_err_set(&p->wrong, MOON_ENOMEM, "out of memory");
        p->no_proxy_from = none[i];
    }
    return p->wrong.code == MOON_ENOMEM ? no_memory(err) : 0;
}

void moon_proxies_release(struct moon_proxies *p) {
    release(&p->plain);
    release(&p->secure);
    free(p->no_proxy);
    memset(p, 0, sizeof *p);
}

/* ---- the choice ---- */

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned bits) {
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

/* "10.0.0.0/8", "10.1.2.3", "fd00::/8": an address by the address or the network that it is in. */
static bool address_matches(int family, const unsigned char *host, const char *entry, size_t len) {
    char text[64];
    unsigned char net[16];
    unsigned bits = family == AF_INET ? 32 : 128, given = 0;
    if (len >= sizeof text)
        return false;
    memcpy(text, entry, len);
    text[len] = '\0';
    char *slash = strchr(text, '/');
    if (slash) {
        given = (unsigned)strtoul(slash + 1, NULL, 10);
        *slash = '\0';
    }
    if (given > bits || inet_pton(family, text, net) != 1)
        return false;
    return same_bits(host, net, given ? given : bits);
}

/* "example.com" and ".example.com": the name and all below it. */
static bool name_matches(const char *host, size_t host_len, const char *entry, size_t len) {
    if (len && entry[len - 1] == '.')
        len--;
    if (len && *entry == '.') {
        entry++;
        len--;
    }
    if (len == 0 || len > host_len || strncasecmp(host + host_len - len, entry, len) != 0)
        return false;
    return len == host_len || host[host_len - len - 1] == '.';
}

const char *moon_no_proxy_match(const char *list, const char *host, size_t *len) {
    unsigned char address[16];
    char bare[64];
    size_t host_len = strlen(host);
    int family = 0;
    *len = 1;
    if (strcmp(list, "*") == 0)
        return list;
    if (*host == '[' && host_len > 2 && host_len - 2 < sizeof bare) {
        snprintf(bare, sizeof bare, "%.*s", (int)(host_len - 2), host + 1);
        if (inet_pton(AF_INET6, bare, address) == 1)
            family = AF_INET6;
    } else if (inet_pton(AF_INET, host, address) == 1) {
        family = AF_INET;
    } else if (host_len && host[host_len - 1] == '.') {
        host_len--;
    }
    for (const char *p = list; *(p += strspn(p, ", \t"));) {
        *len = strcspn(p, ", \t");
        if (family ? address_matches(family, address, p, *len) : name_matches(host, host_len, p, *len))
            return p;
        p += *len;
    }
    return NULL;
}

const struct moon_proxy *moon_proxies_for(const struct moon_proxies *p, const char *origin, bool loopback,
                                          char why[MOON_PROXY_WHY]) {
    bool https = strncasecmp(origin, "https:", 6) == 0;
    const struct moon_proxy *proxy = https ? &p->secure : &p->plain;
    const char *host = strstr(origin, "://"), *entry = NULL;
    char name[288], ignored[MOON_PROXY_WHY], *said = why ? why : ignored;
    size_t len = 0;
    if (!proxy->url) {
        snprintf(said, MOON_PROXY_WHY, "no proxy is set for %s", https ? "https" : "http");
        return NULL;
    }
    if (loopback) {
        snprintf(said, MOON_PROXY_WHY, "loopback never goes through a proxy");
        return NULL;
    }
    host = host ? host + 3 : origin;
    size_t host_len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    snprintf(name, sizeof name, "%.*s", (int)(host_len < sizeof name ? host_len : sizeof name - 1), host);
    if (p->no_proxy)
        entry = moon_no_proxy_match(p->no_proxy, name, &len);
    if (entry) {
        snprintf(said, MOON_PROXY_WHY, "%s has '%.*s'", p->no_proxy_from, len > 120 ? 120 : (int)len, entry);
        return NULL;
    }
    snprintf(said, MOON_PROXY_WHY, "%s", proxy->from);
    return proxy;
}
