/* loop_private.h - the loop as its workers (worker.c) see it. */
#ifndef MOONGATE_LOOP_PRIVATE_H
#define MOONGATE_LOOP_PRIVATE_H

#include "moongate/loop.h"

#include <uv.h>

struct moon_loop {
    struct moon_hook *hooks;
    uv_loop_t uv;
    uv_async_t async; /* moon_loop_wake; the only handle of ours that is referenced, so that uv_run always polls */
    uv_timer_t alarm; /* ends a blocking poll for the earliest timer; unreferenced */
    struct moon_clock system;
    const struct moon_clock *clock;
    struct moon_vclock *vclock; /* NULL: real time */

    struct moon_defer *queue; /* for the next turn, in order */
    struct moon_defer **queue_tail;
    struct moon_defer *batch; /* what is left of this turn's */

    struct moon_timer **heap; /* 1-based binary heap by (due_ns, seq) */
    size_t heap_len, heap_cap;
    uint64_t seq;
    uint64_t alarm_ms; /* when the alarm goes off, on uv_now's scale; 0: not armed */

    size_t works; /* started and not done */
    bool quick;   /* the last wait was short; see wait_for_io */
};

#endif
