/* breaker.c - one circuit breaker. The set of all of them: breaker_set.c. */
#include "moongate/breaker.h"

#include <string.h>

void moon_breaker_init(struct moon_breaker *b, const struct moon_breaker_opts *opts) {
    static const struct moon_breaker_opts defaults = MOON_BREAKER_OPTS_DEFAULT;
    memset(b, 0, sizeof *b);
    b->opts = opts ? *opts : defaults;
    b->epoch = 1;
    b->probe_since_ns = b->down_since_ns = -1;
    b->lost_ns = INT64_MIN;
}

static void enter(struct moon_breaker *b, enum moon_breaker_state state) {
    b->state = state;
    b->epoch++;
    b->failures = 0;
    b->probe_since_ns = -1;
    if (state == MOON_BREAKER_CLOSED) {
        b->trips = 0;
        b->down_since_ns = -1;
        memset(b->bucket, 0, sizeof b->bucket);
    }
    if (b->changed)
        b->changed(b->ud, b);
}

static int64_t open_time(const struct moon_breaker *b) {
    int64_t t = b->opts.open_ns;
    for (int i = 1; i < b->trips && t < b->opts.open_max_ns; i++)
        t *= 2;
    return t < b->opts.open_max_ns ? t : b->opts.open_max_ns;
}

static void trip(struct moon_breaker *b, int64_t now_ns) {
    if (b->trips < 1000)
        b->trips++;
    b->opened++;
    b->open_until_ns = now_ns + open_time(b);
    enter(b, MOON_BREAKER_OPEN);
}

int64_t moon_breaker_retry_in_ns(const struct moon_breaker *b, int64_t now_ns) {
    int64_t until = 0;
    if (b->state == MOON_BREAKER_OPEN)
        until = b->open_until_ns;
    else if (b->state == MOON_BREAKER_HALF_OPEN && b->probe_since_ns >= 0)
        until = b->probe_since_ns + b->opts.probe_ns;
    return until > now_ns ? until - now_ns : 0;
}

int64_t moon_breaker_down_ns(const struct moon_breaker *b, int64_t now_ns) {
    if (b->state == MOON_BREAKER_CLOSED || b->down_since_ns < 0)
        return 0;
    return now_ns - b->down_since_ns;
}

bool moon_breaker_allow(struct moon_breaker *b, int64_t now_ns, uint32_t *ticket, int64_t *retry_in_ns) {
    if (b->state == MOON_BREAKER_OPEN && now_ns >= b->open_until_ns)
        enter(b, MOON_BREAKER_HALF_OPEN);
    int64_t wait = moon_breaker_retry_in_ns(b, now_ns);
    if (retry_in_ns)
        *retry_in_ns = wait;
    if (wait > 0) {
        b->rejected++;
        return false;
    }
    if (b->state == MOON_BREAKER_HALF_OPEN) {
        b->epoch++; /* a probe that was given up has no say any more */
        b->probe_since_ns = now_ns;
    }
    *ticket = b->epoch;
    return true;
}

/* Counts the result in the ring of buckets that makes the window. */
static bool rate_too_high(struct moon_breaker *b, bool ok, int64_t now_ns) {
    int64_t width = b->opts.window_ns / MOON_BREAKER_BUCKETS;
    int64_t slot = now_ns / (width > 0 ? width : 1);
    size_t at = (size_t)(slot % MOON_BREAKER_BUCKETS);
    if (b->bucket[at].slot != slot) {
        b->bucket[at].slot = slot;
        b->bucket[at].ok = b->bucket[at].failed = 0;
    }
    if (ok)
        b->bucket[at].ok++;
    else
        b->bucket[at].failed++;
    int64_t failed = 0, all = 0;
    for (size_t i = 0; i < MOON_BREAKER_BUCKETS; i++) {
        if (slot - b->bucket[i].slot >= MOON_BREAKER_BUCKETS)
            continue;
        failed += b->bucket[i].failed;
        all += b->bucket[i].failed + b->bucket[i].ok;
    }
    return b->opts.failure_rate > 0 && all >= b->opts.min_calls && (double)failed >= b->opts.failure_rate * (double)all;
}

void moon_breaker_record(struct moon_breaker *b, uint32_t ticket, enum moon_breaker_result result, int64_t now_ns) {
    if (ticket != b->epoch || b->state == MOON_BREAKER_OPEN)
        return; /* started before the state changed: says nothing about now */
    if (b->state == MOON_BREAKER_HALF_OPEN) {
        if (result == MOON_BREAKER_OK)
            enter(b, MOON_BREAKER_CLOSED);
        else if (result == MOON_BREAKER_FAILED || result == MOON_BREAKER_HUNG)
            trip(b, now_ns);
        else
            enter(b, MOON_BREAKER_HALF_OPEN); /* the next one may probe */
        return;
    }
    if (result == MOON_BREAKER_IGNORE)
        return;
    bool ok = result == MOON_BREAKER_OK;
    b->failures = ok ? 0 : b->failures + (result == MOON_BREAKER_HUNG ? MOON_BREAKER_HUNG_COUNTS : 1);
    if (ok)
        b->down_since_ns = -1;
    else if (b->down_since_ns < 0)
        b->down_since_ns = now_ns;
    bool high = rate_too_high(b, ok, now_ns);
    if (!ok && (high || (b->opts.consecutive > 0 && b->failures >= b->opts.consecutive)))
        trip(b, now_ns);
}

void moon_breaker_lost(struct moon_breaker *b, uint32_t ticket, int64_t since_ns, int64_t now_ns) {
    bool counted = b->state == MOON_BREAKER_CLOSED && since_ns < b->lost_ns;
    if (!counted && ticket == b->epoch)
        b->lost_ns = now_ns;
    moon_breaker_record(b, ticket, counted ? MOON_BREAKER_IGNORE : MOON_BREAKER_FAILED, now_ns);
}

enum moon_breaker_result moon_breaker_judge(enum moon_fail_class cls, int status) {
    if (cls == MOON_FAIL_REFUSED || status == 408)
        return MOON_BREAKER_IGNORE;
    if (cls == MOON_FAIL_NOT_SENT || cls == MOON_FAIL_AMBIGUOUS || status >= 500)
        return MOON_BREAKER_FAILED;
    return status > 0 ? MOON_BREAKER_OK : MOON_BREAKER_IGNORE;
}

enum moon_breaker_state moon_breaker_state(const struct moon_breaker *b, int64_t now_ns) {
    return b->state == MOON_BREAKER_OPEN && now_ns >= b->open_until_ns ? MOON_BREAKER_HALF_OPEN : b->state;
}

const char *moon_breaker_state_name(enum moon_breaker_state s) {
    return s == MOON_BREAKER_CLOSED ? "closed" : s == MOON_BREAKER_OPEN ? "open" : "half_open";
}

void moon_breaker_save(const struct moon_breaker *b, int64_t now_ns, int64_t wall_ns,
                       struct moon_breaker_snapshot *out) {
    out->state = (int32_t)b->state;
    out->trips = b->trips;
    out->open_until_wall_ns = b->state == MOON_BREAKER_OPEN ? wall_ns + (b->open_until_ns - now_ns) : 0;
}

void moon_breaker_restore(struct moon_breaker *b, const struct moon_breaker_snapshot *s, int64_t now_ns,
                          int64_t wall_ns) {
    if (s->state != MOON_BREAKER_OPEN && s->state != MOON_BREAKER_HALF_OPEN)
        return; /* closed, or nonsense */
    b->trips = s->trips < 1 ? 1 : s->trips > 1000 ? 1000 : s->trips;
    b->down_since_ns = now_ns; /* for how long before that is not known */
    if (s->state == MOON_BREAKER_HALF_OPEN || s->open_until_wall_ns <= wall_ns) {
        b->state = MOON_BREAKER_HALF_OPEN;
        return;
    }
    int64_t most = b->opts.open_max_ns;
    bool near = wall_ns >= 0 && s->open_until_wall_ns - wall_ns < most;
    b->state = MOON_BREAKER_OPEN;
    b->open_until_ns = now_ns + (near ? s->open_until_wall_ns - wall_ns : most);
}

static bool has_succeeded(const struct moon_breaker *b, int64_t now_ns) {
    int64_t width = b->opts.window_ns / MOON_BREAKER_BUCKETS;
    int64_t slot = now_ns / (width > 0 ? width : 1);
    for (size_t i = 0; i < MOON_BREAKER_BUCKETS; i++)
        if (b->bucket[i].ok > 0 && slot - b->bucket[i].slot < MOON_BREAKER_BUCKETS)
            return true;
    return false;
}

bool moon_breaker_adopt(struct moon_breaker *b, const struct moon_breaker_snapshot *s, int64_t now_ns,
                        int64_t wall_ns) {
    if (s->state == MOON_BREAKER_CLOSED && b->state == MOON_BREAKER_OPEN && b->open_until_ns > now_ns) {
        b->open_until_ns = now_ns;
        return true;
    }
    if (b->state != MOON_BREAKER_CLOSED || s->state == MOON_BREAKER_CLOSED || has_succeeded(b, now_ns))
        return false;
    moon_breaker_restore(b, s, now_ns, wall_ns);
    if (b->state == MOON_BREAKER_CLOSED)
        return false;
    b->epoch++;
    b->failures = 0;
    b->probe_since_ns = -1;
    return true;
}
