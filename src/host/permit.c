/* permit.c - the rules and the decisions. See permit.h. */
#include "permit_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const moon_permission_names[MOON_PERMISSIONS] = {"net", "read", "write", "env"};

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

int moon_permit_new(struct moon_permit **out, const struct moon_clock *clock, struct moon_audit_queue *audit,
                    struct moon_err *err) {
    struct moon_permit *p = *out = calloc(1, sizeof *p);
    if (!p)
        return no_memory(err);
    p->clock = clock;
    p->audit = audit;
    p->log = -1;
    return 0;
}

void moon_permit_free(struct moon_permit *p) {
    if (!p)
        return;
    for (size_t i = 0; i < p->n_env; i++)
        free(p->env[i]);
    free(p->env);
    free(p->net);
    free(p->denied);
    moon_buf_release(&p->refused);
    moon_roots_release(&p->read);
    moon_roots_release(&p->write);
    moon_roots_release(&p->of_closed);
    if (p->log >= 0)
        close(p->log);
    free(p);
}

/* ---- rules ---- */

static int allow_net(struct moon_permit *p, const char *what, struct moon_err *err) {
    struct moon_net_rule rule;
    int rc = moon_net_rule_parse(&rule, what, err);
    if (rc != 0)
        return rc;
    if (p->n_net == PERMIT_RULES_MAX)
        return moon_err_set(err, MOON_ERANGE, "more than %d hosts", PERMIT_RULES_MAX);
    struct moon_net_rule *list = realloc(p->net, (p->n_net + 1) * sizeof *list);
    if (!list)
        return no_memory(err);
    p->net = list;
    p->net[p->n_net++] = rule;
    return 0;
}

static bool is_name(const char *what) {
    return *what && !strchr(what, '=');
}

static int allow_env(struct moon_permit *p, const char *what, struct moon_err *err) {
    if (!is_name(what))
        return moon_err_set(err, MOON_EINVAL, "'%.200s': not a variable's name", what);
    if (p->n_env == PERMIT_RULES_MAX)
        return moon_err_set(err, MOON_ERANGE, "more than %d variables", PERMIT_RULES_MAX);
    char **list = realloc(p->env, (p->n_env + 1) * sizeof *list), *copy = strdup(what);
    if (list)
        p->env = list;
    if (!list || !copy) {
        free(copy);
        return no_memory(err);
    }
    p->env[p->n_env++] = copy;
    return 0;
}

int moon_permit_allow_own(struct moon_permit *p, const char *host, struct moon_err *err) {
    int rc = allow_net(p, host, err);
    if (rc == 0)
        p->net[p->n_net - 1].inner = true;
    return rc;
}

int moon_permit_allow(struct moon_permit *p, enum moon_permission kind, const char *what, struct moon_err *err) {
    switch (kind) {
    case MOON_PERMIT_NET:
        return allow_net(p, what, err);
    case MOON_PERMIT_ENV:
        return allow_env(p, what, err);
    case MOON_PERMIT_READ:
        return moon_roots_allow(&p->read, what, err);
    default:
        return moon_roots_allow(&p->write, what, err);
    }
}

void moon_permit_forget_net(struct moon_permit *p, const char *host) {
    struct moon_net_rule rule;
    if (moon_net_rule_parse(&rule, host, NULL) != 0)
        return;
    for (size_t i = p->n_net; i-- > 0;)
        if (p->net[i].kind == rule.kind && p->net[i].port == rule.port && strcmp(p->net[i].host, rule.host) == 0) {
            p->net[i] = p->net[--p->n_net];
            return; /* the newest: one of the user's stays */
        }
}

int moon_permit_keep(struct moon_permit *p, const char *path, bool read_too, struct moon_err *err) {
    int rc = moon_roots_keep(&p->write, path, err);
    return rc == 0 && read_too ? moon_roots_keep(&p->read, path, err) : rc;
}

void moon_permit_allow_all(struct moon_permit *p) {
    p->all = true;
}

void moon_permit_enforce(struct moon_permit *p) {
    p->enforced = true;
}

int moon_permit_close(struct moon_permit *p, const char *folder, struct moon_err *err) {
    p->enforced = p->closed = true;
    return folder ? moon_roots_allow(&p->of_closed, folder, err) : 0;
}

bool moon_permit_enforced(const struct moon_permit *p) {
    return p && p->enforced && (p->closed || !p->all);
}

/* ---- questions ---- */

static int denied(struct moon_err *err, enum moon_permission kind, const char *what, const char *why) {
    static const char *const acts[MOON_PERMISSIONS] = {"connecting to", "reading", "writing", "the variable"};
    return moon_err_set(err, MOON_EDENIED,
                        "%s %.140s is not allowed to this script%s; --allow-%s=%.140s would allow it", acts[kind], what,
                        why, moon_permission_names[kind], what);
}

static int parse_target(struct moon_net_target *t, const char *origin, struct moon_err *err) {
    const char *host = strstr(origin, "://");
    bool plain = host && host - origin == 4;
    return moon_net_target_parse(t, host ? host + 3 : origin, plain ? 80 : 443, err);
}

static int check_net(const struct moon_permit *p, const char *origin, struct moon_err *err) {
    struct moon_net_target t;
    const char *host = strstr(origin, "://");
    bool allowed = false, named = false;
    int rc = parse_target(&t, origin, err);
    if (rc != 0)
        return moon_err_set(err, MOON_EDENIED, "no host that could be allowed: %.200s", origin);
    for (size_t i = 0; i < p->n_net; i++) {
        allowed |= moon_net_rule_allows(&p->net[i], &t);
        named |= moon_net_rule_names(&p->net[i], &t);
    }
    host = host ? host + 3 : origin;
    enum moon_address_kind kind = moon_net_target_kind(&t);
    if (kind == MOON_ADDRESS_FORBIDDEN)
        return moon_err_set(err, MOON_EDENIED,
                            "connecting to %.200s is never allowed to a script: an address of "
                            "this link, or one that hands out credentials",
                            host);
    if (kind == MOON_ADDRESS_PRIVATE && allowed && !named)
        return denied(err, MOON_PERMIT_NET, host, ": an address that is not the world's has to be named itself");
    return allowed ? 0 : denied(err, MOON_PERMIT_NET, host, "");
}

static int check_env(const struct moon_permit *p, const char *name, struct moon_err *err) {
    for (size_t i = 0; i < p->n_env; i++)
        if (strcmp(p->env[i], name) == 0)
            return 0;
    return denied(err, MOON_PERMIT_ENV, name, "");
}

int moon_permit_check(const struct moon_permit *p, enum moon_permission kind, const char *what, struct moon_err *err) {
    if (!moon_permit_enforced(p))
        return 0;
    if (p->closed)
        return moon_err_set(err, MOON_EDENIED, "%.200s is out of reach while a workflow's definition is read", what);
    return kind == MOON_PERMIT_NET ? check_net(p, what, err) : check_env(p, what, err);
}

const struct moon_roots *moon_permit_roots(const struct moon_permit *p, enum moon_permission kind) {
    if (!moon_permit_enforced(p))
        return NULL;
    if (p->closed)
        return kind == MOON_PERMIT_READ ? &p->of_closed : &p->nowhere;
    return kind == MOON_PERMIT_READ ? &p->read : &p->write;
}

int moon_permit_refuse(enum moon_permission kind, const char *path, struct moon_err *err) {
    char why[200];
    const char *colon = strstr(err->message, ": ");
    size_t n = strlen(path);
    /* beneath.h has said "path: why"; a path that is cut or has a colon is reported without */
    if (strncmp(err->message, path, n) == 0 && err->message[n] == ':')
        colon = err->message + n;
    why[0] = '\0';
    if (colon && strcmp(colon + 2, MOON_BENEATH_KEPT) == 0)
        return moon_err_set(err, MOON_EDENIED,
                            "%s %.300s is never allowed to a script: it is this program's own, or holds credentials",
                            kind == MOON_PERMIT_READ ? "reading" : "writing", path);
    if (colon && strcmp(colon + 2, MOON_BENEATH_OUTSIDE) != 0) {
        size_t len = strnlen(colon, sizeof why - 1);
        memcpy(why, colon, len);
        why[len] = '\0';
    }
    return denied(err, kind, path, why);
}

/* An inner address that the target's name has led to. The owner of the name's DNS chooses the address, so that the name
 * alone does not permit it: the address is named too, or the user has set the host up, as a gateway, say. */
static bool inner_allowed(const struct moon_permit *p, const struct moon_net_target *t, const char *address) {
    struct moon_net_target a;
    size_t n = strlen(t->host);
    bool is_local = strcmp(t->host, "localhost") == 0 || (n > 10 && strcmp(t->host + n - 10, ".localhost") == 0);
    bool loopback = moon_net_is_loopback(address);
    if (moon_net_target_parse(&a, address, t->port, NULL) != 0)
        return false;
    for (size_t i = 0; i < p->n_net; i++) {
        const struct moon_net_rule *r = &p->net[i];
        if (moon_net_rule_names(r, &a) || (moon_net_rule_names(r, t) && (r->inner || (is_local && loopback))))
            return true;
    }
    return false;
}

int moon_permit_address(const struct moon_permit *p, const char *origin, const struct sockaddr *address,
                        struct moon_err *err) {
    struct moon_net_target t;
    char text[MOON_NET_ADDRESS_SIZE];
    enum moon_address_kind kind;
    if (p && p->closed)
        return moon_err_set(err, MOON_EDENIED, "%.200s is out of reach while a workflow's definition is read", origin);
    if (!p || !p->enforced || (kind = moon_address_kind(address)) == MOON_ADDRESS_PUBLIC)
        return 0;
    if (kind == MOON_ADDRESS_FORBIDDEN)
        return moon_err_set(err, MOON_EDENIED,
                            "%.200s leads to an address of this link, or to one that hands out "
                            "credentials: never allowed to a script",
                            origin);
    if (p->all)
        return 0;
    moon_net_address_text(address, text);
    if (parse_target(&t, origin, NULL) == 0 && inner_allowed(p, &t, text))
        return 0;
    const char *host = strstr(origin, "://");
    host = host ? host + 3 : origin;
    return moon_err_set(err, MOON_EDENIED,
                        "%.140s leads to %s, an address of this machine or of a private network, and that address is "
                        "not allowed to this script; --allow-net=%s would allow it",
                        host, text, text);
}

int moon_permit_covers(const struct moon_permit *p, enum moon_permission kind, const char *what, bool *covered,
                       struct moon_err *err) {
    struct moon_net_rule rule;
    int rc = 0;
    *covered = !moon_permit_enforced(p);
    if (kind == MOON_PERMIT_NET) {
        rc = moon_net_rule_parse(&rule, what, err);
        for (size_t i = 0; rc == 0 && !*covered && i < p->n_net; i++)
            *covered = moon_net_rule_covers(&p->net[i], &rule);
    } else if (kind == MOON_PERMIT_ENV) {
        if (!is_name(what))
            return moon_err_set(err, MOON_EINVAL, "'%.200s': not a variable's name", what);
        *covered |= !*covered && check_env(p, what, NULL) == 0;
    } else {
        if (!*what)
            return moon_err_set(err, MOON_EINVAL, "the path is empty");
        *covered |= !*covered && moon_roots_hold(kind == MOON_PERMIT_READ ? &p->read : &p->write, what);
    }
    return rc;
}
