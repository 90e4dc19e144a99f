/* loop.c - a turn of the loop: deferred calls, due timers, then libuv's sockets and pool.
 *
 * Time is read once a turn. The alarm that ends a blocking poll is only moved when an earlier timer comes first: with
 * many deadlines that are nearly always stopped, it goes off too early once in a while instead of being set again on
 * every turn. */
#include "loop_private.h"

#include <poll.h>
#include <stdlib.h>

#define QUICK_NS    (100 * INT64_C(1000))
#define QUIET_POLLS 3 /* virtual time: polls of 1 ms without any activity before the clock jumps */

/* ---- timers: a binary heap whose nodes lie in their owners, ordered by time and then by start ---- */

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

static void run_timers(struct moon_loop *loop, int64_t now_ns) {
    uint64_t limit = loop->seq;
    while (loop->heap_len) {
        struct moon_timer *t = loop->heap[1];
        if (t->due_ns > now_ns || t->seq > limit)
            return;
        moon_timer_stop(loop, t);
        t->fn(t->ud);
    }
}

/* ---- the loop ---- */

static void on_wake(uv_async_t *h) {
    (void)h; /* the poll has ended; that is all */
}

/* uv_run looks at its timers before it polls, too: the alarm may have gone off, and nothing would end that poll. */
static void on_alarm(uv_timer_t *h) {
    ((struct moon_loop *)h->data)->alarm_ms = 0;
    uv_stop(h->loop);
}

int moon_loop_new(struct moon_loop **out, const struct moon_clock *clock, struct moon_vclock *vclock,
                  struct moon_err *err) {
    struct moon_loop *loop = calloc(1, sizeof *loop);
    int rc;
    *out = NULL;
    if (!loop)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    loop->system = moon_clock_system();
    loop->clock = clock ? clock : &loop->system;
    loop->vclock = vclock;
    loop->queue_tail = &loop->queue;
    rc = uv_loop_init(&loop->uv);
    if (rc != 0)
        goto fail;
    rc = uv_async_init(&loop->uv, &loop->async, on_wake);
    if (rc != 0) {
        uv_loop_close(&loop->uv);
        goto fail;
    }
    uv_timer_init(&loop->uv, &loop->alarm);
    uv_unref((uv_handle_t *)&loop->alarm);
    loop->alarm.data = loop;
    *out = loop;
    return 0;
fail:
    free(loop);
    return moon_err_set(err, rc == UV_ENOMEM ? MOON_ENOMEM : MOON_EIO, "event loop: %s", uv_strerror(rc));
}

void moon_loop_free(struct moon_loop *loop) {
    if (!loop)
        return;
    while (loop->works) /* orphans, which free themselves when they are done */
        uv_run(&loop->uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&loop->async, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    for (int i = 0; uv_loop_close(&loop->uv) == UV_EBUSY; i++) {
        if (i == 100)
            return; /* an owner left a handle open: losing the memory is better than a callback into it */
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    }
    free(loop->heap);
    free(loop);
}

struct uv_loop_s *moon_loop_uv(struct moon_loop *loop) {
    return &loop->uv;
}

const struct moon_clock *moon_loop_clock(const struct moon_loop *loop) {
    return loop->clock;
}

int64_t moon_loop_now_ns(const struct moon_loop *loop) {
    return moon_mono_ns(loop->clock);
}

void moon_loop_wake(struct moon_loop *loop) {
    uv_async_send(&loop->async);
}

/* ---- deferred calls ---- */

void moon_loop_defer(struct moon_loop *loop, struct moon_defer *d, void (*fn)(void *ud), void *ud) {
    if (d->prev)
        return;
    d->fn = fn;
    d->ud = ud;
    d->next = NULL;
    d->prev = loop->queue_tail;
    *loop->queue_tail = d;
    loop->queue_tail = &d->next;
}

void moon_loop_undefer(struct moon_loop *loop, struct moon_defer *d) {
    if (!d->prev)
        return;
    *d->prev = d->next;
    if (d->next)
        d->next->prev = d->prev;
    else if (loop->queue_tail == &d->next)
        loop->queue_tail = d->prev;
    d->next = NULL;
    d->prev = NULL;
}

static void run_deferred(struct moon_loop *loop) {
    struct moon_defer *d;
    if (!loop->queue)
        return;
    loop->batch = loop->queue;
    loop->batch->prev = &loop->batch;
    loop->queue = NULL;
    loop->queue_tail = &loop->queue;
    while ((d = loop->batch)) {
        moon_loop_undefer(loop, d);
        d->fn(d->ud);
    }
}

/* ---- hooks ---- */

void moon_loop_hook(struct moon_loop *loop, struct moon_hook *h, void (*fn)(void *ud), void *ud) {
    h->fn = fn;
    h->ud = ud;
    h->next = loop->hooks;
    loop->hooks = h;
}

void moon_loop_unhook(struct moon_loop *loop, struct moon_hook *h) {
    for (struct moon_hook **p = &loop->hooks; *p; p = &(*p)->next)
        if (*p == h) {
            *p = h->next;
            return;
        }
}

/* ---- pool work ---- */

struct work_req {
    uv_work_t uv;
    struct moon_loop *loop;
    struct moon_work *work;
};

static void work_run(uv_work_t *req) {
    struct moon_work *w = ((struct work_req *)req->data)->work;
    w->run(w->ud);
}

static void work_done(uv_work_t *req, int status) {
    struct work_req *r = req->data;
    struct moon_work *w = r->work;
    r->loop->works--;
    free(r);
    w->priv = NULL;
    w->done(w->ud, status == UV_ECANCELED);
}

int moon_work_start(struct moon_loop *loop, struct moon_work *w, void (*run)(void *ud),
                    void (*done)(void *ud, bool cancelled), void *ud, struct moon_err *err) {
    struct work_req *r = malloc(sizeof *r);
    int rc;
    if (!r)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    r->loop = loop;
    r->work = w;
    r->uv.data = r;
    w->run = run;
    w->done = done;
    w->ud = ud;
    rc = uv_queue_work(&loop->uv, &r->uv, work_run, work_done);
    if (rc != 0) {
        free(r);
        return moon_err_set(err, MOON_ENOMEM, "thread pool: %s", uv_strerror(rc));
    }
    w->priv = r;
    loop->works++;
    return 0;
}

void moon_work_cancel(struct moon_loop *loop, struct moon_work *w) {
    (void)loop;
    if (w->priv)
        uv_cancel((uv_req_t *)&((struct work_req *)w->priv)->uv);
}

size_t moon_loop_works(const struct moon_loop *loop) {
    return loop->works;
}

/* ---- a turn ---- */

/* Handles and requests of others keep libuv's loop alive; our async handle does not count. */
static bool io_alive(struct moon_loop *loop) {
    bool alive;
    uv_unref((uv_handle_t *)&loop->async);
    alive = uv_loop_alive(&loop->uv) != 0;
    uv_ref((uv_handle_t *)&loop->async);
    return alive;
}

static bool ready(struct moon_loop *loop, int64_t now) {
    return loop->queue || (loop->heap_len && loop->heap[1]->due_ns <= now);
}

/* Whether a socket or the pool has something for us within 1 ms of real time. */
static bool io_pending(struct moon_loop *loop, int timeout_ms) {
    struct pollfd p = {.fd = uv_backend_fd(&loop->uv), .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}

/* Waits. A peer on this machine or in this rack answers sooner than a thread falls asleep and is awake again, so after
 * a wait that short the next one begins awake: half the latency, and less CPU time than the sleep would have cost. One
 * that turns out longer was the last. */
static void wait_for_io(struct moon_loop *loop) {
    int64_t until = moon_loop_now_ns(loop) + QUICK_NS;
    while (loop->quick && !io_pending(loop, 0) && moon_loop_now_ns(loop) < until)
        ;
    uv_run(&loop->uv, UV_RUN_ONCE);
    loop->quick = moon_loop_now_ns(loop) < until;
}

static void poll_real(struct moon_loop *loop, bool wait) {
    int64_t now;
    if (!wait || loop->queue) {
        uv_run(&loop->uv, UV_RUN_NOWAIT);
        return;
    }
    if (loop->heap_len) {
        now = moon_loop_now_ns(loop);
        if (ready(loop, now)) {
            uv_run(&loop->uv, UV_RUN_NOWAIT);
            return;
        }
        uv_update_time(&loop->uv);
        /* Rounded up: a timer never fires early. */
        uint64_t delay = (uint64_t)((loop->heap[1]->due_ns - now + MOON_NS_PER_MS - 1) / MOON_NS_PER_MS);
        uint64_t due = uv_now(&loop->uv) + delay;
        if (!loop->alarm_ms || due < loop->alarm_ms) {
            uv_timer_start(&loop->alarm, on_alarm, delay, 0);
            loop->alarm_ms = due;
        }
    }
    wait_for_io(loop);
}

/* Virtual time: everything that can happen now happens first; then, if the caller would wait, the clock jumps. */
static void poll_virtual(struct moon_loop *loop, bool wait) {
    bool alive = io_alive(loop);
    for (int quiet = 0; quiet < QUIET_POLLS; quiet++) {
        bool active = io_pending(loop, 0) || uv_backend_timeout(&loop->uv) == 0;
        uv_run(&loop->uv, UV_RUN_NOWAIT); /* also hands new registrations to the kernel */
        if (!wait || active || ready(loop, moon_loop_now_ns(loop)))
            return;
        if (alive && io_pending(loop, 1))
            return;
        if (!alive)
            break;
    }
    if (loop->works || !loop->heap_len)
        uv_run(&loop->uv, UV_RUN_ONCE);
    else
        moon_vclock_advance(loop->vclock, loop->heap[1]->due_ns - moon_loop_now_ns(loop));
}

static void run_hooks(struct moon_loop *loop) {
    for (struct moon_hook *h = loop->hooks; h; h = h->next)
        h->fn(h->ud);
}

void moon_loop_catch_up(struct moon_loop *loop) {
    run_deferred(loop);
    run_hooks(loop);
}

bool moon_loop_turn(struct moon_loop *loop, bool wait) {
    run_deferred(loop);
    if (loop->heap_len)
        run_timers(loop, moon_loop_now_ns(loop));
    run_hooks(loop);
    if (loop->queue || loop->heap_len || loop->works || io_alive(loop)) {
        if (loop->vclock)
            poll_virtual(loop, wait);
        else
            poll_real(loop, wait);
        return loop->queue || loop->heap_len || loop->works || io_alive(loop);
    }
    return false;
}

const char *moon_loop_version(void) {
    return uv_version_string();
}
