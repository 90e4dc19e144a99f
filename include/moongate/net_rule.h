/* net_rule.h - which hosts a script may talk to: rules as a user writes them, targets as a URL has them, and what kind
 * of address a name has led to. Text and numbers only; no name is looked up here. */
#ifndef MOONGATE_NET_RULE_H
#define MOONGATE_NET_RULE_H

#include "moongate/err.h"

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

#define MOON_NET_HOST_SIZE 260

enum moon_net_rule_kind {
    MOON_NET_EXACT,  /* example.com, 10.1.2.3, [::1] */
    MOON_NET_SUFFIX, /* *.example.com: what is below it, not itself */
    MOON_NET_ANY     /* * */
};

/* Hosts are lower-case and without a dot at the end; an IPv4 address is dotted however it was spelled (decimal, octal,
 * hexadecimal, mapped into IPv6), an IPv6 address is in its shortest form, without brackets. */
struct moon_net_rule {
    enum moon_net_rule_kind kind;
    char host[MOON_NET_HOST_SIZE]; /* of a suffix: ".example.com" */
    uint16_t port;                 /* 0: any */
    bool inner;                    /* its name may lead to an inner address: permit.c's */
};

/* "HOST", "HOST:PORT", "*.suffix", "*", "[::1]:80". MOON_EINVAL says what is wrong with it. */
int moon_net_rule_parse(struct moon_net_rule *rule, const char *text, struct moon_err *err);

struct moon_net_target {
    char host[MOON_NET_HOST_SIZE];
    uint16_t port;
};
/* "host", "host:port" or "[v6]:port" of a URL; default_port where it names none. MOON_EINVAL: no host that could be
 * meant, such as one with percent-encoding or a zone. */
int moon_net_target_parse(struct moon_net_target *t, const char *text, uint16_t default_port, struct moon_err *err);

/* Whether a host, with or without a port, or the host of an http(s) URL or origin is this machine: "localhost", ::1 or
 * 127.0.0.0/8, in every spelling that a target may have. False for what is not a host. The one test there is. */
bool moon_net_is_loopback(const char *text);

bool moon_net_rule_allows(const struct moon_net_rule *rule, const struct moon_net_target *t);
/* It allows the target by its very name: the condition for a private address. */
bool moon_net_rule_names(const struct moon_net_rule *rule, const struct moon_net_target *t);
/* All that `narrow` allows, `wide` does. */
bool moon_net_rule_covers(const struct moon_net_rule *wide, const struct moon_net_rule *narrow);

enum moon_address_kind {
    MOON_ADDRESS_PUBLIC,
    MOON_ADDRESS_PRIVATE,  /* this machine, or a network that is not the world's */
    MOON_ADDRESS_FORBIDDEN /* link-local, and where clouds hand out credentials */
};
/* An address that another family is wrapped in counts as what is inside. Another family than IPv4 and IPv6:
 * FORBIDDEN. */
enum moon_address_kind moon_address_kind(const struct sockaddr *address);
/* "10.1.2.3" or "[fd00::1]": as a rule has it. IPv4 inside IPv6 comes out as IPv4. */
#define MOON_NET_ADDRESS_SIZE 64
void moon_net_address_text(const struct sockaddr *address, char out[MOON_NET_ADDRESS_SIZE]);
/* Of a host that is an address itself; PUBLIC for a name. */
enum moon_address_kind moon_net_target_kind(const struct moon_net_target *t);

#endif
