/* net_rule.c - see net_rule.h. */
#include "moongate/net_rule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- addresses ---- */

struct v4_range {
    uint32_t first;
    int bits;
    enum moon_address_kind kind;
};

/* The first that matches counts. IANA's registry of special-purpose addresses, and the metadata services of the clouds:
 * 169.254.169.254 (most of them), Alibaba, Azure, Oracle. */
static const struct v4_range v4_ranges[] = {
    {0xa9fe0000, 16, MOON_ADDRESS_FORBIDDEN}, /* 169.254.0.0/16: link-local */
    {0x646464c8, 32, MOON_ADDRESS_FORBIDDEN}, /* 100.100.100.200 */
    {0xa83f8110, 32, MOON_ADDRESS_FORBIDDEN}, /* 168.63.129.16 */
    {0xc00000c0, 32, MOON_ADDRESS_FORBIDDEN}, /* 192.0.0.192 */
    {0x00000000, 8, MOON_ADDRESS_PRIVATE},    /* 0.0.0.0/8: Linux takes it for this machine */
    {0x7f000000, 8, MOON_ADDRESS_PRIVATE},    /* 127.0.0.0/8 */
    {0x0a000000, 8, MOON_ADDRESS_PRIVATE},    /* 10.0.0.0/8 */
    {0xac100000, 12, MOON_ADDRESS_PRIVATE},   /* 172.16.0.0/12 */
    {0xc0a80000, 16, MOON_ADDRESS_PRIVATE},   /* 192.168.0.0/16 */
    {0x64400000, 10, MOON_ADDRESS_PRIVATE},   /* 100.64.0.0/10: carriers' */
    {0xc0000000, 24, MOON_ADDRESS_PRIVATE},   /* 192.0.0.0/24 */
    {0xc6120000, 15, MOON_ADDRESS_PRIVATE},   /* 198.18.0.0/15: benchmarks */
    {0xe0000000, 3, MOON_ADDRESS_PRIVATE},    /* 224.0.0.0/3: multicast, reserved, broadcast */
};

static enum moon_address_kind v4_kind(uint32_t a) {
    for (size_t i = 0; i < sizeof v4_ranges / sizeof *v4_ranges; i++)
        if ((a ^ v4_ranges[i].first) >> (32 - v4_ranges[i].bits) == 0)
            return v4_ranges[i].kind;
    return MOON_ADDRESS_PUBLIC;
}

static uint32_t four(const unsigned char *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool is_zero(const unsigned char *b, size_t n) {
    while (n && *b == 0)
        b++, n--;
    return n == 0;
}

static enum moon_address_kind v6_kind(const unsigned char b[16]) {
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};
    static const unsigned char aws[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    static const unsigned char google[16] = {0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54};
    if (memcmp(b, mapped, 12) == 0 || memcmp(b, nat64, 12) == 0)
        return v4_kind(four(b + 12));
    if (is_zero(b, 12)) /* ::, ::1, and IPv4 in its old form */
        return four(b + 12) <= 1 ? MOON_ADDRESS_PRIVATE : v4_kind(four(b + 12));
    if (b[0] == 0x20 && b[1] == 0x02) /* 6to4 */
        return v4_kind(four(b + 2));
    if ((b[0] == 0xfe && (b[1] & 0xc0) == 0x80) || memcmp(b, aws, 16) == 0 || memcmp(b, google, 16) == 0)
        return MOON_ADDRESS_FORBIDDEN;
    bool is_global = (b[0] & 0xe0) == 0x20 && !(four(b) == 0x20010000); /* 2000::/3, without Teredo's tunnels */
    return is_global ? MOON_ADDRESS_PUBLIC : MOON_ADDRESS_PRIVATE;
}

enum moon_address_kind moon_address_kind(const struct sockaddr *address) {
    if (address->sa_family == AF_INET)
        return v4_kind(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return v6_kind(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
    return MOON_ADDRESS_FORBIDDEN;
}

void moon_net_address_text(const struct sockaddr *address, char out[MOON_NET_ADDRESS_SIZE]) {
    const void *at = address;
    char text[INET6_ADDRSTRLEN] = "?";
    const struct in6_addr *six = &((const struct sockaddr_in6 *)at)->sin6_addr;
    bool mapped = address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(six);
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)at)->sin_addr, text, sizeof text);
    else if (mapped)
        inet_ntop(AF_INET, &six->s6_addr[12], text, sizeof text);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, six, text, sizeof text);
    snprintf(out, MOON_NET_ADDRESS_SIZE, strchr(text, ':') ? "[%s]" : "%s", text);
}

enum moon_address_kind moon_net_target_kind(const struct moon_net_target *t) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, t->host, &v4) == 1)
        return v4_kind(ntohl(v4.s_addr));
    if (inet_pton(AF_INET6, t->host, &v6) == 1)
        return v6_kind(v6.s6_addr);
    return MOON_ADDRESS_PUBLIC;
}

/* ---- text ---- */

static int bad(struct moon_err *err, const char *text, const char *why) {
    return moon_err_set(err, MOON_EINVAL, "'%.200s': %s", text, why);
}

/* "[v6]" without its brackets, in its one form; IPv4 that is mapped into it as IPv4. */
static int put_v6(char host[MOON_NET_HOST_SIZE], const char *text, size_t len) {
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr a;
    if (len >= sizeof copy)
        return -1;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(AF_INET6, copy, &a) != 1)
        return -1;
    if (IN6_IS_ADDR_V4MAPPED(&a))
        return inet_ntop(AF_INET, &a.s6_addr[12], host, MOON_NET_HOST_SIZE) ? 0 : -1;
    return inet_ntop(AF_INET6, &a, host, MOON_NET_HOST_SIZE) ? 0 : -1;
}

/* A name, or IPv4 in any of the spellings that resolvers take: 127.1, 0x7f000001, 017700000001. */
static int put_name(char host[MOON_NET_HOST_SIZE], const char *text, size_t len) {
    struct in_addr a;
    if (len && text[len - 1] == '.')
        len--;
    if (len == 0 || len > 253)
        return -1;
    for (size_t i = 0; i < len; i++) {
        char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
        bool in_name = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!in_name && (c != '.' || i == 0 || text[i - 1] == '.'))
            return -1;
        host[i] = c;
    }
    host[len] = '\0';
    if (inet_aton(host, &a))
        inet_ntop(AF_INET, &a, host, MOON_NET_HOST_SIZE);
    return 0;
}

/* Splits "host[:port]"; *port stays as it is without one. */
static int put_host(char host[MOON_NET_HOST_SIZE], uint16_t *port, const char *text, struct moon_err *err) {
    const char *end = text + strlen(text), *colon;
    int rc;
    if (strchr(text, '/'))
        return bad(err, text, "a host expected, not a URL");
    if (*text == '[') {
        const char *close = strchr(text, ']');
        if (!close || (close[1] != '\0' && close[1] != ':'))
            return bad(err, text, "an IPv6 address is written as [::1] or [::1]:80");
        colon = close[1] ? close + 1 : end;
        rc = put_v6(host, text + 1, (size_t)(close - text) - 1);
    } else {
        colon = strchr(text, ':');
        if (colon && strchr(colon + 1, ':'))
            return bad(err, text, "an IPv6 address is written as [::1] or [::1]:80");
        colon = colon ? colon : end;
        rc = put_name(host, text, (size_t)(colon - text));
    }
    if (rc != 0)
        return bad(err, text, "not a host");
    if (*colon == ':') {
        char *stop;
        unsigned long n = strtoul(colon + 1, &stop, 10);
        if (colon[1] < '0' || colon[1] > '9' || *stop || n < 1 || n > 65535)
            return bad(err, text, "the port is a number from 1 to 65535");
        *port = (uint16_t)n;
    }
    return 0;
}

int moon_net_rule_parse(struct moon_net_rule *rule, const char *text, struct moon_err *err) {
    memset(rule, 0, sizeof *rule);
    if (strncmp(text, "*.", 2) == 0) {
        char host[MOON_NET_HOST_SIZE];
        int rc = put_host(host, &rule->port, text + 2, err);
        if (rc != 0)
            return rc;
        if (strchr(host, ':') || inet_addr(host) != INADDR_NONE)
            return bad(err, text, "an address has no names below it");
        rule->kind = MOON_NET_SUFFIX;
        snprintf(rule->host, sizeof rule->host, ".%.258s", host);
        return 0;
    }
    if (*text == '*' && (text[1] == '\0' || text[1] == ':')) {
        rule->kind = MOON_NET_ANY;
        char host[MOON_NET_HOST_SIZE], any[16];
        if (text[1] == '\0')
            return 0;
        snprintf(any, sizeof any, "x%.10s", text + 1); /* only the port matters */
        return put_host(host, &rule->port, any, err) == 0 ? 0 : bad(err, text, "the port is a number from 1 to 65535");
    }
    return put_host(rule->host, &rule->port, text, err);
}

int moon_net_target_parse(struct moon_net_target *t, const char *text, uint16_t default_port, struct moon_err *err) {
    t->port = default_port;
    return put_host(t->host, &t->port, text, err);
}

bool moon_net_is_loopback(const char *text) {
    char authority[MOON_NET_HOST_SIZE + 8];
    struct moon_net_target t;
    const char *scheme = strstr(text, "://"), *host = scheme ? scheme + 3 : text;
    size_t len = scheme ? strcspn(host, "/?#") : strlen(host);
    const char *colon = memchr(host, ':', len);
    bool bare_v6 = *host != '[' && colon && memchr(colon + 1, ':', len - (size_t)(colon + 1 - host));
    if (len > MOON_NET_HOST_SIZE)
        return false;
    if (len && !bare_v6 && host[len - 1] == ':') /* a port that is left empty */
        len--;
    snprintf(authority, sizeof authority, bare_v6 ? "[%.*s]" : "%.*s", (int)len, host);
    if (moon_net_target_parse(&t, authority, 0, NULL) != 0)
        return false;
    return strcmp(t.host, "localhost") == 0 || strcmp(t.host, "::1") == 0 ||
           (strncmp(t.host, "127.", 4) == 0 && inet_addr(t.host) != INADDR_NONE);
}

/* ---- matching ---- */

static bool is_below(const char *host, const char *suffix) {
    size_t n = strlen(host), m = strlen(suffix);
    return n > m && strcmp(host + n - m, suffix) == 0;
}

bool moon_net_rule_allows(const struct moon_net_rule *rule, const struct moon_net_target *t) {
    if (rule->port && rule->port != t->port)
        return false;
    switch (rule->kind) {
    case MOON_NET_EXACT:
        return strcmp(rule->host, t->host) == 0;
    case MOON_NET_SUFFIX:
        return is_below(t->host, rule->host);
    case MOON_NET_ANY:
        break;
    }
    return true;
}

bool moon_net_rule_names(const struct moon_net_rule *rule, const struct moon_net_target *t) {
    return rule->kind == MOON_NET_EXACT && moon_net_rule_allows(rule, t);
}

bool moon_net_rule_covers(const struct moon_net_rule *wide, const struct moon_net_rule *narrow) {
    if (wide->port && wide->port != narrow->port)
        return false;
    if (wide->kind == MOON_NET_ANY)
        return true;
    if (wide->kind == MOON_NET_EXACT)
        return narrow->kind == MOON_NET_EXACT && strcmp(wide->host, narrow->host) == 0;
    return narrow->kind != MOON_NET_ANY && (is_below(narrow->host, wide->host) ||
                                            (narrow->kind == MOON_NET_SUFFIX && strcmp(narrow->host, wide->host) == 0));
}
