/* worker.c - one thread, one errand at a time: handed over under a lock, and back by libuv's async handle. */
#include "moongate/worker.h"

#include "loop_private.h"

#include <stdatomic.h>
#include <stdlib.h>

/* As the loop does after a short wait: the next errand comes sooner than a thread falls asleep and is awake again. */
#define QUICK_NS 50000

enum state { IDLE, GIVEN, QUIT };

struct moon_worker {
    struct moon_loop *loop;
    uv_async_t back; /* referenced by the loop's own handle, not by this one */
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t wake;
    bool started;
    atomic_int state;
    void (*run)(void *ud);
    void (*done)(void *ud);
    void *ud;
};

static enum state next(struct moon_worker *w, bool *quick) {
    uint64_t until = uv_hrtime() + QUICK_NS;
    while (*quick && atomic_load(&w->state) == IDLE && uv_hrtime() < until)
        ;
    uv_mutex_lock(&w->lock);
    while (atomic_load(&w->state) == IDLE)
        uv_cond_wait(&w->wake, &w->lock);
    uv_mutex_unlock(&w->lock);
    *quick = uv_hrtime() < until;
    return (enum state)atomic_load(&w->state);
}

static void main_of_thread(void *arg) {
    struct moon_worker *w = arg;
    bool quick = false;
    while (next(w, &quick) == GIVEN) {
        w->run(w->ud);
        atomic_store(&w->state, IDLE);
        uv_async_send(&w->back);
    }
}

static void on_back(uv_async_t *handle) {
    struct moon_worker *w = handle->data;
    void (*done)(void *ud) = w->done;
    if (!done || atomic_load(&w->state) != IDLE)
        return;
    w->done = NULL;
    w->loop->works--;
    done(w->ud);
}

static void hand_over(struct moon_worker *w, enum state state) {
    uv_mutex_lock(&w->lock);
    atomic_store(&w->state, state);
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->lock);
}

int moon_worker_new(struct moon_worker **out, struct moon_loop *loop, struct moon_err *err) {
    struct moon_worker *w = *out = calloc(1, sizeof *w);
    if (!w)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    w->loop = loop;
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void close_parts(struct moon_worker *w) {
    uv_mutex_destroy(&w->lock);
    uv_cond_destroy(&w->wake);
}

static int start_thread(struct moon_worker *w, struct moon_err *err) {
    if (uv_mutex_init(&w->lock) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (uv_cond_init(&w->wake) != 0) {
        uv_mutex_destroy(&w->lock);
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    if (!w->back.data) {
        if (uv_async_init(&w->loop->uv, &w->back, on_back) != 0) {
            close_parts(w);
            return moon_err_set(err, MOON_ENOMEM, "out of memory");
        }
        w->back.data = w;
        uv_unref((uv_handle_t *)&w->back);
    }
    w->started = uv_thread_create(&w->thread, main_of_thread, w) == 0;
    if (w->started)
        return 0;
    close_parts(w);
    return moon_err_set(err, MOON_ENOMEM, "no thread to work on");
}

void moon_worker_free(struct moon_worker *w) {
    if (!w)
        return;
    if (w->started) {
        hand_over(w, QUIT);
        uv_thread_join(&w->thread);
        close_parts(w);
    }
    if (w->back.data)
        uv_close((uv_handle_t *)&w->back, on_closed);
    else
        free(w);
}

int moon_worker_start(struct moon_worker *w, void (*run)(void *ud), void (*done)(void *ud), void *ud,
                      struct moon_err *err) {
    int rc = w->started ? 0 : start_thread(w, err);
    if (rc != 0)
        return rc;
    w->run = run;
    w->done = done;
    w->ud = ud;
    w->loop->works++;
    hand_over(w, GIVEN);
    return 0;
}
