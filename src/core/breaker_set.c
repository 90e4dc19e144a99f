/* breaker_set.c - a process's breakers by host and resource family, and the store that lets them outlive it. A process
 * knows a handful of hosts: a list is enough. */
#include "moongate/breaker.h"

#include "moongate/err.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    struct moon_breaker breaker;
    struct moon_breakers *set;
    struct entry *next;
    char key[]; /* "host family" */
};

struct moon_breakers {
    struct moon_breaker_opts opts;
    struct moon_breaker_store store;
    struct moon_clock clock;
    struct entry *first;
};

int moon_breakers_new(struct moon_breakers **out, const struct moon_breaker_opts *opts,
                      const struct moon_breaker_store *store, const struct moon_clock *clock) {
    static const struct moon_breaker_opts defaults = MOON_BREAKER_OPTS_DEFAULT;
    struct moon_breakers *set = calloc(1, sizeof *set);
    if (!set)
        return MOON_ENOMEM;
    set->opts = opts ? *opts : defaults;
    if (store)
        set->store = *store;
    set->clock = *clock;
    *out = set;
    return 0;
}

void moon_breakers_free(struct moon_breakers *set) {
    if (!set)
        return;
    for (struct entry *e = set->first, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    free(set);
}

static void on_change(void *ud, struct moon_breaker *b) {
    struct entry *e = ud;
    struct moon_breakers *set = e->set;
    struct moon_breaker_snapshot s;
    if (!set->store.save)
        return;
    moon_breaker_save(b, moon_mono_ns(&set->clock), moon_wall_ns(&set->clock), &s);
    set->store.save(set->store.ud, e->key, &s);
}

static bool key_is(const char *key, const char *host, size_t host_len, const char *family) {
    return strncmp(key, host, host_len) == 0 && key[host_len] == ' ' && strcmp(key + host_len + 1, family) == 0;
}

struct moon_breaker *moon_breakers_find(struct moon_breakers *set, const char *host, const char *family) {
    size_t host_len = strlen(host);
    for (struct entry *e = set->first; e; e = e->next)
        if (key_is(e->key, host, host_len, family ? family : ""))
            return &e->breaker;
    return NULL;
}

void moon_breakers_each(struct moon_breakers *set, void (*fn)(void *ud, const char *key, struct moon_breaker *b),
                        void *ud) {
    for (struct entry *e = set->first; e; e = e->next)
        fn(ud, e->key, &e->breaker);
}

struct moon_breaker *moon_breakers_get(struct moon_breakers *set, const char *host, const char *family,
                                       const struct moon_breaker_opts *opts) {
    struct moon_breaker *found = moon_breakers_find(set, host, family);
    if (found)
        return found;
    size_t host_len = strlen(host), family_len = family ? strlen(family) : 0;
    struct entry *e = malloc(sizeof *e + host_len + family_len + 2);
    if (!e)
        return NULL;
    memcpy(e->key, host, host_len);
    e->key[host_len] = ' ';
    memcpy(e->key + host_len + 1, family ? family : "", family_len + 1);
    moon_breaker_init(&e->breaker, opts ? opts : &set->opts);
    struct moon_breaker_snapshot s;
    if (set->store.load && set->store.load(set->store.ud, e->key, &s) == 0)
        moon_breaker_restore(&e->breaker, &s, moon_mono_ns(&set->clock), moon_wall_ns(&set->clock));
    e->breaker.changed = on_change;
    e->breaker.ud = e;
    e->set = set;
    e->next = set->first;
    set->first = e;
    return &e->breaker;
}
