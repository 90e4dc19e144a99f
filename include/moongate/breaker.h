/* breaker.h - circuit breakers, one per host and resource family.
 *
 * closed: calls go; `consecutive` failures in a row, or `failure_rate` of at least `min_calls` calls in the window,
 * open it. open: calls fail at once for a back-off time that doubles with every trip, from open_ns to open_max_ns.
 * half-open: one call goes as a probe; its success closes the breaker, its failure opens it again.
 * A breaker is a plain struct for one thread; time is passed in (monotonic ns). */
#ifndef MOONGATE_BREAKER_H
#define MOONGATE_BREAKER_H

#include "moongate/clock.h"
#include "moongate/retry.h"

#include <stdbool.h>
#include <stdint.h>

enum moon_breaker_state { MOON_BREAKER_CLOSED, MOON_BREAKER_OPEN, MOON_BREAKER_HALF_OPEN };

struct moon_breaker_opts {
    int consecutive;     /* >= 1; 0: don't count */
    double failure_rate; /* 0..1; 0: don't count */
    int min_calls;       /* in the window, before the rate means anything */
    int64_t window_ns;
    int64_t open_ns;
    int64_t open_max_ns;
    int64_t probe_ns; /* a probe without a result for so long is given up and another may go */
};
#define MOON_BREAKER_OPTS_DEFAULT                                                                                      \
    { 10, 0.5, 20, 30 * MOON_NS_PER_S, MOON_NS_PER_S, 20 * MOON_NS_PER_S, 10 * MOON_NS_PER_S }

#define MOON_BREAKER_BUCKETS 10

struct moon_breaker {
    struct moon_breaker_opts opts;
    enum moon_breaker_state state;
    uint32_t epoch;         /* moves on with every change of state: results of calls begun before are ignored */
    int failures;           /* in a row */
    int trips;              /* openings since it was last closed */
    int64_t open_until_ns;  /* OPEN: when a probe may go */
    int64_t probe_since_ns; /* HALF_OPEN: when the probe left; -1: none is under way */
    int64_t down_since_ns;  /* the first failure after the last success; -1: none since */
    int64_t pause_until_ns; /* the server asked this family to wait until then (Retry-After); 0: it did not */
    int64_t lost_ns;        /* when a lost connection was counted last */
    struct {
        int64_t slot;
        int ok, failed;
    } bucket[MOON_BREAKER_BUCKETS];
    void (*changed)(void *ud, struct moon_breaker *b); /* after every change of state; may be NULL */
    void *ud;
    uint64_t rejected, opened; /* since the start */
};

void moon_breaker_init(struct moon_breaker *b, const struct moon_breaker_opts *opts); /* NULL: the default */

/* May an attempt go now? Yes: *ticket is to be given back, exactly once, with moon_breaker_record. No: *retry_in_ns
 * (may be NULL) is the time until a probe may go. */
bool moon_breaker_allow(struct moon_breaker *b, int64_t now_ns, uint32_t *ticket, int64_t *retry_in_ns);

#define MOON_BREAKER_HUNG_COUNTS 4
#define MOON_BREAKER_HUNG_NS     (5 * MOON_NS_PER_S)
enum moon_breaker_result { MOON_BREAKER_OK, MOON_BREAKER_FAILED, MOON_BREAKER_HUNG, MOON_BREAKER_IGNORE };
/* HUNG: a failure that took MOON_BREAKER_HUNG_NS or more without a byte of an answer. It counts as four in a row: ten
 * of them one after the other would cost minutes. */
/* IGNORE: the attempt says nothing about the host (cancelled, failed on our side); a probe gives its place to the next.
 */
void moon_breaker_record(struct moon_breaker *b, uint32_t ticket, enum moon_breaker_result result, int64_t now_ns);
/* For an attempt that left at since_ns and got no answer as its connection was refused or lost. One restart of a server
 * ends all that is under way: that is one failure, not one for each. */
void moon_breaker_lost(struct moon_breaker *b, uint32_t ticket, int64_t since_ns, int64_t now_ns);
/* NOT_SENT, AMBIGUOUS and 5xx are failures; REFUSED (429) and 408 are ignored; any other answer is OK; FINAL without a
 * status is ignored. status 0: no answer. */
enum moon_breaker_result moon_breaker_judge(enum moon_fail_class cls, int status);
/* For how long nothing has succeeded, as far as is known; 0 while the breaker is closed. */
int64_t moon_breaker_down_ns(const struct moon_breaker *b, int64_t now_ns);
/* The time until a call may go, or 0: as moon_breaker_allow says it, without asking. */
int64_t moon_breaker_retry_in_ns(const struct moon_breaker *b, int64_t now_ns);
/* The state as of now: an OPEN one whose time has passed shows as HALF_OPEN. */
enum moon_breaker_state moon_breaker_state(const struct moon_breaker *b, int64_t now_ns);
const char *moon_breaker_state_name(enum moon_breaker_state s); /* "closed", "open", "half_open" */

/* What survives a restart. Wall time, since a monotonic one means nothing to the next process. */
struct moon_breaker_snapshot {
    int32_t state; /* enum moon_breaker_state */
    int32_t trips;
    int64_t open_until_wall_ns;
};
void moon_breaker_save(const struct moon_breaker *b, int64_t now_ns, int64_t wall_ns,
                       struct moon_breaker_snapshot *out);
/* Nonsense (unknown state, a time beyond open_max_ns) is cut to what is allowed. */
void moon_breaker_restore(struct moon_breaker *b, const struct moon_breaker_snapshot *s, int64_t now_ns,
                          int64_t wall_ns);
/* Another process of the same user tells its state. Own experience counts more: it opens a breaker that is closed and
 * has seen no success within its window; and where the other one has closed its breaker, an open one may probe at once.
 * Whether that changed anything; `changed` is not called. */
bool moon_breaker_adopt(struct moon_breaker *b, const struct moon_breaker_snapshot *s, int64_t now_ns, int64_t wall_ns);

/* ---- all of a process's breakers, by host and family ---- */

/* Where snapshots are kept. load: 0, or MOON_ENOENT; save's failure is not the caller's problem. NULL callbacks: memory
 * only. */
struct moon_breaker_store {
    int (*load)(void *ud, const char *key, struct moon_breaker_snapshot *out);
    void (*save)(void *ud, const char *key, const struct moon_breaker_snapshot *s);
    void *ud;
};
struct moon_breakers;
/* opts, store: copied, NULL for the default. clock: copied. 0 or MOON_ENOMEM. */
int moon_breakers_new(struct moon_breakers **out, const struct moon_breaker_opts *opts,
                      const struct moon_breaker_store *store, const struct moon_clock *clock);
void moon_breakers_free(struct moon_breakers *set); /* NULL-safe */
/* Made on first use, then the same pointer until _free; NULL: out of memory. host: "host:port"; family NULL = "". opts:
 * for a new one; NULL = the set's. */
struct moon_breaker *moon_breakers_get(struct moon_breakers *set, const char *host, const char *family,
                                       const struct moon_breaker_opts *opts);
/* As _get, without making one: NULL when there is none. */
struct moon_breaker *moon_breakers_find(struct moon_breakers *set, const char *host, const char *family);
/* fn for each, key "host family". It must not make new ones. */
void moon_breakers_each(struct moon_breakers *set, void (*fn)(void *ud, const char *key, struct moon_breaker *b),
                        void *ud);

#endif
