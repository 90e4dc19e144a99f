/* loop.h - one event loop: libuv below, and above it what every asynchronous unit needs: deferred completions, timers
 * on the passed-in clock, and work on the thread pool.
 *
 * One thread owns a loop; only moon_work's `run` executes elsewhere. Nothing that starts an operation completes it
 * inline: completions are deferred and run on the next turn. With a virtual clock, the loop jumps to the next timer
 * when neither pool work nor a socket has anything to do. */
#ifndef MOONGATE_LOOP_H
#define MOONGATE_LOOP_H

#include "moongate/clock.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_loop;
struct uv_loop_s;

/* clock is borrowed and must outlive the loop; NULL: the system's. With a virtual clock, vclock is the one it was made
 * from. */
int moon_loop_new(struct moon_loop **out, const struct moon_clock *clock, struct moon_vclock *vclock,
                  struct moon_err *err);
/* Every timer stopped and every uv handle closed by its owner first; waits for work that is still on the pool (its done
 * must need nothing that is gone), and closes what its owners have begun to close. */
void moon_loop_free(struct moon_loop *loop);
struct uv_loop_s *moon_loop_uv(struct moon_loop *loop);
const struct moon_clock *moon_loop_clock(const struct moon_loop *loop);

/* One turn: deferred calls, due timers, I/O. Blocks for I/O only when wait is set and nothing is deferred or due.
 * Returns false when nothing is left that could ever happen. */
bool moon_loop_turn(struct moon_loop *loop, bool wait);

/* Deferred call: fn(ud) on the next turn. The node is the caller's, zeroed before first use, one pending call a node (a
 * second moon_loop_defer before it ran is ignored). */
struct moon_defer {
    void (*fn)(void *ud);
    void *ud;
    struct moon_defer *next, **prev; /* private; prev != NULL while queued */
};
void moon_loop_defer(struct moon_loop *loop, struct moon_defer *d, void (*fn)(void *ud), void *ud);
void moon_loop_undefer(struct moon_loop *loop, struct moon_defer *d); /* no-op when not queued */

/* fn(ud) in every turn, after deferred calls and timers and right before the poll: for what they have asked for and
 * that is better done at once for all of them. The node is the caller's. */
struct moon_hook {
    void (*fn)(void *ud);
    void *ud;
    struct moon_hook *next; /* private */
};
void moon_loop_hook(struct moon_loop *loop, struct moon_hook *h, void (*fn)(void *ud), void *ud);
void moon_loop_unhook(struct moon_loop *loop, struct moon_hook *h); /* not from a hook; no-op when not there */

/* What a turn does before its poll, from inside a callback of libuv: for one that has made much work for the others
 * already, and whose own is still in the cache. */
void moon_loop_catch_up(struct moon_loop *loop);

/* One-shot timer. The node is the caller's, zeroed before first use. Starting an active one moves it. */
struct moon_timer {
    int64_t due_ns; /* on the loop's monotonic clock */
    void (*fn)(void *ud);
    void *ud;
    uint64_t seq; /* private: equal times fire in the order they were started */
    size_t index; /* private: 1-based place in the heap, 0 = inactive */
};
int moon_timer_start(struct moon_loop *loop, struct moon_timer *t, int64_t delay_ns, void (*fn)(void *ud), void *ud);
void moon_timer_stop(struct moon_loop *loop, struct moon_timer *t); /* no-op when inactive */
const char *moon_loop_version(void);                                /* libuv's */
int64_t moon_loop_now_ns(const struct moon_loop *loop);             /* monotonic, read afresh */

/* Work on libuv's pool: run(ud) on a pool thread, then done(ud, cancelled) on the loop. The node is the caller's and
 * stays put until done was called; done is always called, also after moon_work_cancel. */
struct moon_work {
    void (*run)(void *ud);
    void (*done)(void *ud, bool cancelled);
    void *ud;
    void *priv; /* private */
};
int moon_work_start(struct moon_loop *loop, struct moon_work *w, void (*run)(void *ud),
                    void (*done)(void *ud, bool cancelled), void *ud, struct moon_err *err);
void moon_work_cancel(struct moon_loop *loop, struct moon_work *w); /* best effort: one that runs already goes on */
size_t moon_loop_works(const struct moon_loop *loop);               /* started, and done not yet called */

/* Wakes a loop that waits, from any thread or a signal handler. */
void moon_loop_wake(struct moon_loop *loop);

#endif
