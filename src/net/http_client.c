/* http_client.c - moon_http (what a session's calls share, and what processes share of it) and moon_http_client (one
 * base URL and its settings). */
#include "http_internal.h"

#include "moongate/net_rule.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEADLINE_NS        (30 * MOON_NS_PER_S)
#define CONNECT_TIMEOUT_NS (10 * MOON_NS_PER_S)

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

/* ---- moon_http ---- */

static void on_breaker_change(void *ud, const char *key, const struct moon_breaker_snapshot *s) {
    struct moon_http *h = ud;
    (void)key;
    (void)s;
    h->breaker_changes++;
    if (h->held)
        moon_loop_defer(h->loop, &h->wake, moon_http_on_breaker, h);
}

int moon_http_new(struct moon_http **out, const struct moon_http_opts *o, struct moon_err *err) {
    struct moon_http *h = calloc(1, sizeof *h);
    struct moon_curl_opts co = {.loop = o->loop,
                                .http2 = o->http2,
                                .cacert = o->cacert,
                                .cert_file = o->cert_file,
                                .cert_dir = o->cert_dir,
                                .cert = o->cert,
                                .key = o->key,
                                .passphrase = o->passphrase,
                                .may_connect = o->may_connect,
                                .may_connect_ud = o->may_connect_ud};
    struct moon_breaker_store noted = {NULL, on_breaker_change, h};
    if (!h)
        return no_memory(err);
    h->loop = o->loop;
    h->rng = o->rng;
    h->log = o->log;
    h->proxies = o->proxies;
    for (size_t i = 0; i < MOON_HTTP_CERT_URLS; i++)
        if (o->cert && o->cert_urls[i])
            moon_http_origin(o->cert_urls[i], strlen(o->cert_urls[i]), h->identified[i], NULL);
    int rc = moon_breakers_new(&h->breakers, NULL, &noted, moon_loop_clock(o->loop));
    if (rc == 0)
        rc = moon_curl_pool_new(&h->curl, &co, err);
    else
        no_memory(err);
    if (rc != 0) {
        moon_http_free(h);
        return rc;
    }
    *out = h;
    return 0;
}

void moon_http_free(struct moon_http *h) {
    if (!h)
        return;
    while (h->live)
        moon_http_call_free(h->live);
    while (h->spare_calls) {
        struct moon_http_call *c = h->spare_calls;
        h->spare_calls = c->next;
        moon_http_call_destroy(c);
    }
    struct moon_http_result *r = h->spare_results;
    h->n_spare_results = SIZE_MAX; /* the pool takes no more: _free means free */
    while (r) {
        struct moon_http_result *next = r->next;
        moon_http_result_free(r);
        r = next;
    }
    while (h->hosts) {
        struct moon_http_host *host = h->hosts;
        h->hosts = host->next;
        free(host);
    }
    moon_loop_undefer(h->loop, &h->wake);
    moon_http_trace_stop(h);
    moon_breakers_free(h->breakers);
    moon_curl_pool_free(h->curl);
    free(h);
}

struct moon_http_host *moon_http_host_get(struct moon_http *h, const char *origin) {
    struct moon_http_host *host;
    for (host = h->hosts; host; host = host->next)
        if (strcmp(host->origin, origin) == 0)
            return host;
    if (!(host = calloc(1, sizeof *host)))
        return NULL;
    memcpy(host->origin, origin, strlen(origin) + 1); /* both are MOON_HTTP_ORIGIN_SIZE */
    host->https = strncmp(origin, "https:", 6) == 0;
    host->loopback = moon_net_is_loopback(origin);
    host->proxy = h->proxies ? moon_proxies_for(h->proxies, origin, host->loopback, NULL) : NULL;
    for (size_t i = 0; i < MOON_HTTP_CERT_URLS; i++)
        host->identified |= host->https && strcmp(h->identified[i], origin) == 0;
    moon_retry_budget_init(&host->budget);
    moon_pacer_init(&host->pacer);
    moon_curl_name_init(&host->name, host->proxy ? host->proxy->shown : host->origin); /* what is looked up here */
    host->next = h->hosts;
    return h->hosts = host;
}

size_t *moon_http_owed(struct moon_http *h) {
    return &h->owed;
}

void moon_http_stats(const struct moon_http *h, struct moon_http_stats *out) {
    struct moon_curl_stats s;
    moon_curl_pool_stats(h->curl, &s);
    *out = h->stats;
    out->connections = s.connections;
    out->live_transfers = s.live;
    out->groups = s.groups;
}

const char *moon_http_breaker_state(struct moon_http *h, const char *origin, const char *family, int64_t *retry_in_ns) {
    struct moon_breaker *b = moon_breakers_find(h->breakers, origin, family);
    int64_t now = moon_loop_now_ns(h->loop);
    enum moon_breaker_state s = b ? moon_breaker_state(b, now) : MOON_BREAKER_CLOSED;
    if (retry_in_ns)
        *retry_in_ns = s == MOON_BREAKER_OPEN ? b->open_until_ns - now : 0;
    return moon_breaker_state_name(s);
}

/* ---- moon_http_client ---- */

static int add_header(struct moon_http_client *c, const char *name, const char *value, struct moon_err *err) {
    c->has_content_type |= strcasecmp(name, "content-type") == 0;
    c->has_authorization |= strcasecmp(name, "authorization") == 0;
    c->has_encoding |= strcasecmp(name, "accept-encoding") == 0;
    c->has_override |= moon_http_names_method(name, strlen(name));
    return moon_http_lines_add(&c->lines, name, strlen(name), value, strlen(value), err);
}

static int add_headers(struct moon_http_client *c, const char *const *h, struct moon_err *err) {
    bool named = false;
    int rc = 0;
    for (; rc == 0 && h && h[0]; h += 2) {
        named |= strcasecmp(h[0], "user-agent") == 0;
        rc = add_header(c, h[0], h[1], err);
    }
    if (rc == 0 && !named)
        rc = add_header(c, "User-Agent", "moongate/" MOON_VERSION, err);
    c->tail = moon_http_lines_chain(&c->lines, c->headers, NULL);
    return rc;
}

static int set_base_url(struct moon_http_client *c, const char *url, struct moon_err *err) {
    char origin[MOON_HTTP_ORIGIN_SIZE];
    size_t len = strlen(url);
    int rc = moon_http_check_url(url, len, err);
    if (rc == 0)
        rc = moon_http_origin(url, len, origin, err);
    if (rc != 0)
        return rc;
    if (strchr(url, '?'))
        return moon_err_set(err, MOON_EINVAL, "a base URL has no query: '%s'", url);
    c->host = moon_http_host_get(c->http, origin);
    c->base_url = strdup(url);
    if (!c->host || !c->base_url)
        return no_memory(err);
    if (c->limiter.interval_ns > 0) {
        moon_limiter_restore(&c->limiter, c->host->used_until_ns, moon_loop_now_ns(c->http->loop));
        c->host->limited = c;
    }
    while (len && c->base_url[len - 1] == '/')
        c->base_url[--len] = '\0';
    return 0;
}

static void set_numbers(struct moon_http_client *c, const struct moon_http_client_opts *o) {
    const struct moon_retry_policy standard = MOON_RETRY_POLICY_DEFAULT;
    c->deadline_ns = o->deadline_ns > 0 ? o->deadline_ns : DEADLINE_NS;
    c->connect_timeout_ns = o->connect_timeout_ns > 0 ? o->connect_timeout_ns : CONNECT_TIMEOUT_NS;
    c->policy.max_attempts = o->max_attempts > 0 ? o->max_attempts : standard.max_attempts;
    if (c->policy.max_attempts > MOON_HTTP_ATTEMPTS_MAX)
        c->policy.max_attempts = MOON_HTTP_ATTEMPTS_MAX;
    c->policy.base_ns = o->backoff_base_ns > 0 ? o->backoff_base_ns : standard.base_ns;
    c->policy.cap_ns = o->backoff_cap_ns > 0 ? o->backoff_cap_ns : standard.cap_ns;
    if (c->policy.cap_ns < c->policy.base_ns)
        c->policy.cap_ns = c->policy.base_ns;
    moon_limiter_init(&c->limiter, o->rate_per_second, o->rate_burst > 0 ? o->rate_burst : o->rate_per_second);
    c->concurrency = o->concurrency;
    c->max_body = o->max_body && o->max_body < MOON_HTTP_BODY_MAX ? o->max_body : MOON_HTTP_BODY_MAX;
    c->no_breaker = o->no_breaker;
    c->no_pacer = o->no_pacer;
    c->untraced = o->untraced;
}

int moon_http_client_new(struct moon_http_client **out, struct moon_http *http, const struct moon_http_client_opts *o,
                         struct moon_err *err) {
    struct moon_http_client *c = calloc(1, sizeof *c);
    int rc = 0;
    if (!c)
        return no_memory(err);
    c->refs = 1;
    c->http = http;
    c->queue_end = &c->queue;
    c->auth = o->auth ? moon_auth_ref(o->auth) : NULL;
    set_numbers(c, o);
    if (o->base_url)
        rc = set_base_url(c, o->base_url, err);
    if (rc == 0)
        rc = add_headers(c, o->headers, err);
    if (rc != 0) {
        moon_http_client_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void moon_http_client_unref(struct moon_http_client *c) {
    if (!c || --c->refs)
        return;
    if (c->host && c->host->limited == c) {
        c->host->limited = NULL;
        c->host->used_until_ns = moon_limiter_used_until(&c->limiter, moon_loop_now_ns(c->http->loop));
    }
    moon_auth_unref(c->auth);
    moon_http_lines_release(&c->lines);
    free(c->base_url);
    free(c);
}

void moon_http_client_free(struct moon_http_client *c) {
    moon_http_client_unref(c);
}

const struct moon_http_tally *moon_http_client_tally(const struct moon_http_client *c) {
    return &c->tally;
}

void moon_http_client_standing(const struct moon_http_client *c, struct moon_http_standing *out) {
    const struct moon_http_host *h = c->host;
    *out = (struct moon_http_standing){.left = -1};
    if (!h)
        return;
    int64_t now = moon_loop_now_ns(c->http->loop);
    if (h->wait_until_ns > now) {
        out->wait = h->wait_why;
        out->wait_ns = h->wait_until_ns - now;
    }
    if (h->pacer.known && now < h->pacer.reset_ns) {
        out->left = h->pacer.left;
        out->allowed = h->pacer.allowed;
        out->reset_ns = h->pacer.reset_ns - now;
    }
}

const char *moon_http_client_base_url(const struct moon_http_client *c) {
    return c->base_url;
}

/* ---- hosts as plain data, for a store that several processes look at ----
 * What is kept and when is the business of lua/moongate/shared.lua. */

struct each {
    struct moon_http *http;
    void (*fn)(void *ud, const struct moon_http_shared *s);
    void *ud;
};

static int64_t wall_ns(const struct moon_http *h) {
    return moon_wall_ns(moon_loop_clock(h->loop));
}

static void tell_breaker(void *ud, const char *key, struct moon_breaker *b) {
    const struct each *e = ud;
    struct moon_breaker_snapshot snapshot;
    moon_breaker_save(b, moon_loop_now_ns(e->http->loop), wall_ns(e->http), &snapshot);
    struct moon_http_shared s = {
        .key = key, .state = snapshot.state, .trips = snapshot.trips, .until_wall_ns = snapshot.open_until_wall_ns};
    e->fn(e->ud, &s);
}

static void tell_pacer(const struct each *e, const struct moon_http_host *host) {
    struct moon_pacer_snapshot snapshot;
    moon_pacer_save(&host->pacer, moon_loop_now_ns(e->http->loop), wall_ns(e->http), &snapshot);
    struct moon_http_shared s = {.kind = MOON_HTTP_SHARED_PACER,
                                 .key = host->origin,
                                 .left = snapshot.left,
                                 .allowed = snapshot.allowed,
                                 .until_wall_ns = snapshot.reset_wall_ns};
    if (snapshot.reset_wall_ns > 0)
        e->fn(e->ud, &s);
}

static void tell_limiter(const struct each *e, const struct moon_http_host *host) {
    int64_t now = moon_loop_now_ns(e->http->loop), until = host->used_until_ns;
    if (host->limited)
        until = moon_limiter_used_until(&host->limited->limiter, now);
    struct moon_http_shared s = {
        .kind = MOON_HTTP_SHARED_LIMITER, .key = host->origin, .until_wall_ns = wall_ns(e->http) + until - now};
    if (until > now)
        e->fn(e->ud, &s);
}

void moon_http_shared_each(struct moon_http *h, void (*fn)(void *ud, const struct moon_http_shared *s), void *ud) {
    struct each e = {h, fn, ud};
    moon_breakers_each(h->breakers, tell_breaker, &e);
    for (const struct moon_http_host *host = h->hosts; host; host = host->next) {
        tell_pacer(&e, host);
        tell_limiter(&e, host);
    }
}

/* The origin at the front of a key. */
static bool origin_of(const char *key, size_t len, char out[MOON_HTTP_ORIGIN_SIZE]) {
    struct moon_err err;
    return moon_http_origin(key, len, out, &err) == 0 && strlen(out) == len;
}

static bool adopt_breaker(struct moon_http *h, const char *origin, const char *family,
                          const struct moon_http_shared *s) {
    struct moon_breaker_snapshot snapshot = {s->state, s->trips, s->until_wall_ns};
    struct moon_breaker *b = moon_breakers_get(h->breakers, origin, family, NULL);
    return b && moon_breaker_adopt(b, &snapshot, moon_loop_now_ns(h->loop), wall_ns(h));
}

static bool adopt_limiter(struct moon_http *h, struct moon_http_host *host, const struct moon_http_shared *s) {
    int64_t ahead = s->until_wall_ns - wall_ns(h);
    if (ahead <= 0 || host->limited || host->used_until_ns > 0)
        return false;
    host->used_until_ns = moon_loop_now_ns(h->loop) + ahead;
    return true;
}

bool moon_http_shared_adopt(struct moon_http *h, const struct moon_http_shared *s) {
    char origin[MOON_HTTP_ORIGIN_SIZE];
    size_t len = strcspn(s->key, " ");
    if (!origin_of(s->key, len, origin))
        return false;
    if (s->kind == MOON_HTTP_SHARED_BREAKER)
        return s->key[len] == ' ' && adopt_breaker(h, origin, s->key + len + 1, s);
    struct moon_pacer_snapshot snapshot = {s->left, s->allowed, s->until_wall_ns};
    struct moon_http_host *host = moon_http_host_get(h, origin);
    if (!host)
        return false;
    if (s->kind == MOON_HTTP_SHARED_LIMITER)
        return adopt_limiter(h, host, s);
    return moon_pacer_restore(&host->pacer, &snapshot, moon_loop_now_ns(h->loop), wall_ns(h));
}

uint64_t moon_http_shared_changes(const struct moon_http *h) {
    return h->breaker_changes;
}
