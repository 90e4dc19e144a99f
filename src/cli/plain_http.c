/* plain_http.c - whether a URL that a credential or a signed message is sent to may be plain HTTP: on this machine, or
 * at a host that the user names (--allow-http, permissions.http of the project file). */
#include "session.h"

#include "moongate/net_rule.h"

#include <stdio.h>
#include <string.h>

struct question {
    const struct moon_net_target *target;
    bool allowed;
    struct moon_err *err; /* of a rule that can't be read; NULL: no matter */
};

/* "a,b": each of them. */
static void ask(void *ud, const char *rules) {
    struct question *q = ud;
    char one[MOON_NET_HOST_SIZE + 8];
    for (const char *at = rules, *end; at; at = *end ? end + 1 : NULL) {
        struct moon_net_rule rule;
        size_t len = strcspn(at, ",");
        end = at + len;
        snprintf(one, sizeof one, "%.*s", (int)(len < sizeof one ? len : sizeof one - 1), at);
        if (moon_net_rule_parse(&rule, one, q->err && !q->err->code ? q->err : NULL) == 0 && q->target)
            q->allowed |= moon_net_rule_allows(&rule, q->target);
    }
}

static void ask_all(const struct moon_session *s, struct question *q) {
    const struct moon_options_list *list = &s->options->allow_http;
    for (size_t i = 0; i < list->len; i++)
        ask(q, list->items[i]);
    if (s->project)
        moon_project_list(s->project, "permissions", "http", ask, q);
}

bool moon_session_plain_http(const struct moon_session *s, const char *url) {
    char origin[MOON_HTTP_ORIGIN_SIZE];
    struct moon_net_target target;
    struct question q = {.target = &target};
    if (moon_http_origin(url, strlen(url), origin, NULL) != 0 || strncmp(origin, "http:", 5) != 0 ||
        moon_net_is_loopback(origin) || moon_net_target_parse(&target, strstr(origin, "://") + 3, 80, NULL) != 0)
        return false;
    ask_all(s, &q);
    return !q.allowed;
}

int moon_session_check_plain_http(const struct moon_session *s, struct moon_err *err) {
    struct moon_err why = {.code = 0};
    struct question q = {.err = &why};
    ask_all(s, &q);
    return why.code ? moon_err_set(err, MOON_EINVAL, "--allow-http: %s", why.message) : 0;
}
