/* watchdog.c - see watchdog.h.
 *
 * Past the limit a run is stopped as by a signal, after GRACE whatever step it is in, and then the program winds up:
 * metrics, spans, leases. After a stop or an interrupt the thread watches the beat of the scheduler: a script that has
 * the floor for GRACE on end is stuck in a C function, and the process is ended by force, as kill -9 would: what the
 * run has written into its journal lets it be resumed. One that waits for an answer or a disk is not stuck; past the
 * limit it gets WIND_UP at most. */
#include "watchdog.h"

#include "moongate/clock.h"
#include "moongate/host.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define GRACE   (2 * MOON_NS_PER_S)
#define WIND_UP (10 * MOON_NS_PER_S)
#define LOOK    (MOON_NS_PER_S / 10) /* between two looks at the beat, once there was an interrupt */
#define NEVER   INT64_MAX
#define STACK   ((size_t)128 << 10)

struct moon_watchdog {
    struct moon_host *host;
    pthread_t thread, main;
    struct moon_clock clock;
    int wake;
    atomic_bool interrupted, stop;
    double max_time;
    bool json;
    int64_t limit_at; /* NEVER: no limit */
    int told;         /* how often the limit was reported to the main thread */
    uint64_t beat;    /* of the scheduler, when it was last seen to change ... */
    int64_t beat_at;  /* ... and when that was; 0: nobody has looked yet */
};

static void put(int fd, const char *text) {
    size_t len = strlen(text);
    if (write(fd, text, len) != (ssize_t)len) {
        /* nowhere left to say so */
    }
}

static void end_process(const struct moon_watchdog *w, const char *code, const char *message, int status) {
    char text[600];
    snprintf(text, sizeof text, "moongate: %s: the script was in a function that can't be interrupted\n", message);
    put(STDERR_FILENO, text);
    snprintf(text, sizeof text, "{\"error\":{\"code\":\"%s\",\"exit_status\":%d,\"message\":\"%s\"}}\n", code, status,
             message);
    if (w->json)
        put(STDOUT_FILENO, text);
    _exit(status); /* allow: _exit, because the main thread can't be reached any more */
}

static void end_for_time(const struct moon_watchdog *w) {
    char message[200];
    snprintf(message, sizeof message, "the run took longer than --max-time %.6gs, and was ended by force", w->max_time);
    end_process(w, "timeout", message, 1);
}

/* Watches for a script that has the floor and does not give it back. */
static void look_at_beat(struct moon_watchdog *w, int64_t now) {
    uint64_t beat = moon_host_beat(w->host);
    if (w->beat_at == 0 || beat != w->beat || beat % 2 == 0) { /* even: no script has the floor */
        w->beat = beat;
        w->beat_at = now;
    } else if (now - w->beat_at >= GRACE) {
        if (w->told)
            end_for_time(w);
        end_process(w, "interrupted", "interrupted, and ended by force", 130);
    }
}

/* What is due, and how long until the next thing may be, in ms; -1: until something happens. */
static int look(struct moon_watchdog *w) {
    int64_t now = moon_mono_ns(&w->clock), next = NEVER;
    if (w->limit_at != NEVER && w->told < 2 && now >= w->limit_at + w->told * GRACE) {
        w->told++;
        pthread_kill(w->main, MOON_WATCHDOG_SIGNAL);
    }
    if (w->told && now - w->limit_at >= GRACE + WIND_UP)
        end_for_time(w);
    if (w->limit_at != NEVER && !w->told)
        next = w->limit_at - now;
    if (w->told) {
        look_at_beat(w, now);
        next = LOOK;
    } else if (atomic_load(&w->interrupted) && !moon_host_interrupt_pending(w->host)) { /* a prompt's line has ended */
        atomic_store(&w->interrupted, false);
        w->beat_at = 0;
    } else if (atomic_load(&w->interrupted)) {
        look_at_beat(w, now);
        next = next < LOOK ? next : LOOK;
    }
    if (next == NEVER)
        return -1;
    int64_t ms = next / MOON_NS_PER_MS + 1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void *run(void *ud) {
    struct moon_watchdog *w = ud;
    struct pollfd p = {.fd = w->wake, .events = POLLIN};
    while (!atomic_load(&w->stop)) {
        uint64_t n;
        if (poll(&p, 1, look(w)) > 0 && read(w->wake, &n, sizeof n) < 0)
            break;
    }
    return NULL;
}

static int start_thread(struct moon_watchdog *w) {
    pthread_attr_t attr;
    sigset_t all, before;
    if (pthread_attr_init(&attr) != 0)
        return -1;
    pthread_attr_setstacksize(&attr, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    int rc = pthread_create(&w->thread, &attr, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

int moon_watchdog_start(struct moon_watchdog **out, struct moon_host *host, double max_time, bool json,
                        struct moon_err *err) {
    struct moon_watchdog *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    w->host = host;
    w->main = pthread_self();
    w->clock = moon_clock_system(); /* limits are of real time, also where a test turns the clock */
    w->max_time = max_time;
    w->json = json;
    w->limit_at = max_time > 0 && max_time < 1e9 ? moon_mono_ns(&w->clock) + (int64_t)(max_time * 1e9) : NEVER;
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake < 0 || start_thread(w) != 0) {
        if (w->wake >= 0)
            close(w->wake);
        free(w);
        return moon_err_set(err, MOON_EIO, "no thread can be started to watch the script");
    }
    *out = w;
    return 0;
}

static void poke(struct moon_watchdog *w) {
    uint64_t one = 1;
    if (write(w->wake, &one, sizeof one) < 0) {
        /* it is awake */
    }
}

void moon_watchdog_interrupted(struct moon_watchdog *w) {
    if (!w)
        return;
    atomic_store(&w->interrupted, true);
    poke(w);
}

void moon_watchdog_stop(struct moon_watchdog *w) {
    if (!w)
        return;
    atomic_store(&w->stop, true);
    poke(w);
    pthread_join(w->thread, NULL);
    close(w->wake);
    free(w);
}
