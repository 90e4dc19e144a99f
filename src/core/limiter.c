/* limiter.c - a token bucket kept as the time its next token is due (GCRA), and pacing from the server's own numbers.
 */
#include "moongate/limiter.h"

#include <string.h>

#define MAX_WAIT_S 86400.0

void moon_limiter_init(struct moon_limiter *l, double per_second, double burst) {
    memset(l, 0, sizeof *l);
    if (!(per_second > 0))
        return;
    double interval = 1.0 / per_second < MAX_WAIT_S ? 1.0 / per_second : MAX_WAIT_S;
    double slack = burst > 1 ? (burst - 1) * interval : 0;
    l->interval_ns = (int64_t)(interval * (double)MOON_NS_PER_S);
    l->slack_ns = (int64_t)((slack < MAX_WAIT_S ? slack : MAX_WAIT_S) * (double)MOON_NS_PER_S);
}

int64_t moon_limiter_wait_ns(const struct moon_limiter *l, int64_t now_ns) {
    if (l->interval_ns == 0 || !l->used)
        return 0;
    int64_t due = l->next_ns - l->slack_ns;
    return due > now_ns ? due - now_ns : 0;
}

int64_t moon_limiter_take(struct moon_limiter *l, int64_t now_ns) {
    int64_t wait = moon_limiter_wait_ns(l, now_ns);
    if (l->interval_ns == 0)
        return 0;
    l->next_ns = (l->used && l->next_ns > now_ns ? l->next_ns : now_ns) + l->interval_ns;
    l->used = true;
    return wait;
}

void moon_limiter_give_back(struct moon_limiter *l) {
    l->next_ns -= l->interval_ns;
}

int64_t moon_limiter_used_until(const struct moon_limiter *l, int64_t now_ns) {
    return l->used && l->next_ns > now_ns ? l->next_ns : 0;
}

void moon_limiter_restore(struct moon_limiter *l, int64_t used_until_ns, int64_t now_ns) {
    int64_t most = now_ns + l->slack_ns + l->interval_ns;
    if (l->interval_ns == 0 || l->used || used_until_ns <= now_ns)
        return;
    l->next_ns = used_until_ns < most ? used_until_ns : most;
    l->used = true;
}

void moon_pacer_init(struct moon_pacer *p) {
    memset(p, 0, sizeof *p);
}

/* Whole seconds arrive late and rounded, so the end of one window wanders by about a second; one that lies later than
 * that is a new window's. Without a known end, only a number that rose shows that a new window has started. */
static bool same_window(const struct moon_pacer *p, int64_t now_ns, int64_t left, int64_t reset_ns, bool told) {
    if (!p->known || p->hearsay || now_ns >= p->reset_ns)
        return false;
    return told ? reset_ns <= p->reset_ns + 2 * MOON_NS_PER_S : left <= p->left + 10;
}

void moon_pacer_update(struct moon_pacer *p, int64_t now_ns, int64_t left, int64_t allowed, int64_t until_reset_ns) {
    if (left < 0)
        return;
    bool told = until_reset_ns >= 0;
    int64_t reset_ns = now_ns + (told ? until_reset_ns : MOON_PACER_WINDOW_NS);
    if (!same_window(p, now_ns, left, reset_ns, told)) {
        p->known = true;
        p->hearsay = false;
        p->left = left;
        p->reset_ns = reset_ns;
        p->next_ns = now_ns;
    } else {
        if (left < p->left)
            p->left = left;
        if (told && reset_ns < p->reset_ns)
            p->reset_ns = reset_ns;
    }
    p->allowed = allowed > 0 ? allowed : 0;
}

static int64_t threshold(const struct moon_pacer *p) {
    return p->allowed > 0 ? (p->allowed - 1) / 10 + 1 : 10;
}

int64_t moon_pacer_wait_ns(const struct moon_pacer *p, int64_t now_ns) {
    if (!p->known || now_ns >= p->reset_ns || p->left > threshold(p))
        return 0;
    if (p->left <= 0)
        return p->reset_ns - now_ns;
    return p->next_ns > now_ns ? p->next_ns - now_ns : 0;
}

int64_t moon_pacer_take(struct moon_pacer *p, int64_t now_ns) {
    if (p->known && now_ns >= p->reset_ns)
        p->known = false; /* a new window has started; the next answer tells about it */
    if (!p->known)
        return 0;
    int64_t wait = moon_pacer_wait_ns(p, now_ns);
    if (p->left > 0 && p->left <= threshold(p)) {
        int64_t at = now_ns + wait;
        p->next_ns = at + (p->reset_ns > at ? (p->reset_ns - at) / p->left : 0);
    }
    if (p->left > 0)
        p->left--;
    return wait;
}

void moon_pacer_save(const struct moon_pacer *p, int64_t now_ns, int64_t wall_ns, struct moon_pacer_snapshot *out) {
    memset(out, 0, sizeof *out);
    if (!p->known || p->hearsay || now_ns >= p->reset_ns)
        return;
    out->left = p->left;
    out->allowed = p->allowed;
    out->reset_wall_ns = wall_ns + (p->reset_ns - now_ns);
}

bool moon_pacer_restore(struct moon_pacer *p, const struct moon_pacer_snapshot *s, int64_t now_ns, int64_t wall_ns) {
    int64_t ahead = s->reset_wall_ns - wall_ns;
    if (p->known || s->reset_wall_ns <= 0 || ahead <= 0 || ahead > MOON_PACER_MAX_NS)
        return false;
    p->known = p->hearsay = true;
    p->left = s->left > 1 ? s->left : 1;
    p->allowed = s->allowed > 0 ? s->allowed : 0;
    p->reset_ns = now_ns + ahead;
    p->next_ns = now_ns;
    return true;
}
