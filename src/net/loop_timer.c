/* loop_timer.c - the loop's timers: a binary heap whose nodes lie in their owners, ordered by time and then by start.
 */
#include "loop_private.h"

#include <stdlib.h>

static bool before(const struct moon_timer *a, const struct moon_timer *b) {
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->seq < b->seq;
}

static void put(struct moon_loop *loop, size_t i, struct moon_timer *t) {
    loop->heap[i] = t;
    t->index = i;
}

/* Moves the hole at i towards the root or the leaves until t fits, and puts t there. */
static void settle(struct moon_loop *loop, size_t i, struct moon_timer *t) {
    for (; i > 1 && before(t, loop->heap[i / 2]); i /= 2)
        put(loop, i, loop->heap[i / 2]);
    for (;;) {
        size_t child = 2 * i;
        if (child > loop->heap_len)
            break;
        if (child < loop->heap_len && before(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (!before(loop->heap[child], t))
            break;
        put(loop, i, loop->heap[child]);
        i = child;
    }
    put(loop, i, t);
}

static int grow(struct moon_loop *loop) {
    size_t cap = loop->heap_cap ? loop->heap_cap * 2 : 64;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers it is */
    struct moon_timer **heap = realloc(loop->heap, cap * sizeof *heap);
    if (!heap)
        return MOON_ENOMEM;
    loop->heap = heap;
    loop->heap_cap = cap;
    return 0;
}

int moon_timer_start(struct moon_loop *loop, struct moon_timer *t, int64_t delay_ns, void (*fn)(void *ud), void *ud) {
    int64_t now = moon_loop_now_ns(loop);
    if (delay_ns < 0)
        delay_ns = 0;
    if (!t->index && loop->heap_len + 1 >= loop->heap_cap && grow(loop) != 0)
        return MOON_ENOMEM;
    t->due_ns = delay_ns > INT64_MAX - now ? INT64_MAX : now + delay_ns;
    t->seq = ++loop->seq;
    t->fn = fn;
    t->ud = ud;
    settle(loop, t->index ? t->index : ++loop->heap_len, t);
    return 0;
}

void moon_timer_stop(struct moon_loop *loop, struct moon_timer *t) {
    size_t i = t->index;
    struct moon_timer *last;
    if (!i)
        return;
    t->index = 0;
    last = loop->heap[loop->heap_len--];
    if (last != t)
        settle(loop, i, last);
}

void moon_loop_run_timers(struct moon_loop *loop, int64_t now_ns) {
    uint64_t limit = loop->seq;
    while (loop->heap_len) {
        struct moon_timer *t = loop->heap[1];
        if (t->due_ns > now_ns || t->seq > limit)
            return;
        moon_timer_stop(loop, t);
        t->fn(t->ud);
    }
}
