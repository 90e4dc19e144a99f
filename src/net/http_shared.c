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

void moon_http_shared_each(struct moon_http *h, void (*fn)(void *ud, const struct moon_http_shared *s), void *ud) {
    struct each e = {h, fn, ud};
    moon_breakers_each(h->breakers, tell_breaker, &e);
    for (const struct moon_http_host *host = h->hosts; host; host = host->next) {
        struct moon_pacer_snapshot snapshot;
        moon_pacer_save(&host->pacer, moon_loop_now_ns(h->loop), wall_ns(h), &snapshot);
        struct moon_http_shared s = {.is_pacer = true,
                                     .key = host->origin,
                                     .left = snapshot.left,
                                     .allowed = snapshot.allowed,
                                     .until_wall_ns = snapshot.reset_wall_ns};
        if (snapshot.reset_wall_ns > 0)
            fn(ud, &s);
    }
}

/* The origin at the front of a key. */
static bool origin_of(const char *key, size_t len, char out[MOON_HTTP_ORIGIN_SIZE]) {
    struct moon_err err;
    return moon_http_origin(key, len, out, &err) == 0 && strlen(out) == len;
}

bool moon_http_shared_adopt(struct moon_http *h, const struct moon_http_shared *s) {
    char origin[MOON_HTTP_ORIGIN_SIZE];
    size_t len = strcspn(s->key, " ");
    if (!origin_of(s->key, len, origin))
        return false;
    if (s->is_pacer) {
        struct moon_pacer_snapshot snapshot = {s->left, s->allowed, s->until_wall_ns};
        struct moon_http_host *host = moon_http_host_get(h, origin);
        return host && moon_pacer_restore(&host->pacer, &snapshot, moon_loop_now_ns(h->loop), wall_ns(h));
    }
    if (s->key[len] != ' ')
        return false;
    struct moon_breaker_snapshot snapshot = {s->state, s->trips, s->until_wall_ns};
    struct moon_breaker *b = moon_breakers_get(h->breakers, origin, s->key + len + 1, NULL);
    return b && moon_breaker_adopt(b, &snapshot, moon_loop_now_ns(h->loop), wall_ns(h));
}

uint64_t moon_http_shared_changes(const struct moon_http *h) {
    return h->breaker_changes;
}
