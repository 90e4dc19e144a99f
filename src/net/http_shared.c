/* http_shared.c - breakers and pacers as plain data, for a store that several processes look at. What is kept and when
 * is the business of lua/moongate/shared.lua. */
#include "http_internal.h"

#include <string.h>

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
