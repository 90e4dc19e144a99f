/* task.h - tasks as C sees them: what bind/l_task.c is made of. Native functions that wait need only host.h.
 *
 * A task is a Lua userdata (metatable MOON_TASK_MT) with a coroutine. It is anchored by the host while it lives, also
 * when the script has dropped it. Cancelling is a request: the scheduler closes the coroutine on its next turn, so that
 * nothing is closed under a caller's feet. A task whose function has ended cancels its children and lives on until the
 * last of them has ended. */
#ifndef MOONGATE_TASK_H
#define MOONGATE_TASK_H

#include "moongate/host.h"
#include "moongate/loop.h"

#define MOON_TASK_MT "moongate.task"

enum moon_task_state {
    MOON_TASK_READY,   /* queued */
    MOON_TASK_RUNNING, /* the one that runs */
    MOON_TASK_PARKED,  /* waits for a moon_task_wake */
    MOON_TASK_ENDING,  /* its function has ended, children are being closed */
    MOON_TASK_DONE,    /* from here on: ended */
    MOON_TASK_FAILED,
    MOON_TASK_CANCELLED
};

/* Told once when a task has ended: fn(ud) in the scheduler, no Lua in reach. The node is the caller's, zeroed before
 * first use. */
struct moon_task_watch {
    void (*fn)(void *ud);
    void *ud;
    struct moon_task_watch *next, **prev; /* private; prev != NULL while waiting */
};

enum moon_task_guard {
    MOON_GUARD_NONE,
    MOON_GUARD_ONCE,   /* what must not be sent twice is not sent at all */
    MOON_GUARD_OFFLINE /* nothing is sent */
};

struct moon_task {
    struct moon_host *host;
    lua_State *co;        /* NULL when ended */
    lua_State *innermost; /* the coroutine that runs or waits: co, or one that a script has made */
    bool may_wait;        /* all that it is in can yield */
    struct moon_task *parent, *children, *next_sibling, **prev_sibling;
    struct moon_task *next_ready;
    struct moon_task_watch *watches;
    uint32_t slot;
    int nargs;    /* for the first resume */
    int nresults; /* DONE: more than one lie in a table */
    enum moon_task_state state, outcome;
    bool cancelled; /* asked to end */
    bool joined;    /* somebody has seen its outcome */
    bool is_root;
    enum moon_stop_kind stops; /* what a stop cancels */
    bool background;           /* outlasts the task that began it; so are the tasks that it spawns */
    uint64_t span;             /* of a trace: what it does is part of; its children's to begin with. 0: none */

    /* Its place in a run, see lua/moongate/journal.lua; children take over all but the shield. The context, a Lua
     * value, is the third user value. */
    bool has_context;
    enum moon_task_guard guard;
    uint32_t ordinal, spawned; /* it is its parent's nth child; children it has spawned in its context */
    uint32_t depth;            /* levels up to the task that was given the context; 0: itself */
    uint32_t shield;           /* > 0: what it does is finished before a cancellation is heeded */

    /* For waits that live in the task itself (sleep, join, semaphore): leave() undoes the wait. The scheduler calls it
     * when the task is cancelled; the continuation calls it otherwise. */
    void (*leave)(struct moon_task *task);
    void *wait_on;
    struct moon_wake wake;
    struct moon_timer timer;
    struct moon_task_watch watch;
    struct moon_task *wait_next, **wait_prev; /* place in wait_on's queue */
    bool granted;
};

/* Pops a function and nargs arguments and pushes the new task, a child of the current one. Raises outside of tasks. */
struct moon_task *moon_task_spawn(lua_State *L, int nargs); /* [-(nargs + 1), +1, e] */
/* The same, but a child of the root task: it goes on when the current one has ended, until the program ends. Its
 * failure is nobody else's. */
struct moon_task *moon_task_spawn_background(lua_State *L, int nargs); /* [-(nargs + 1), +1, e] */
struct moon_task *moon_task_arg(lua_State *L, int idx);                /* raises unless it is a task */
struct moon_task *moon_task_test(lua_State *L, int idx);               /* NULL unless it is a task */
struct moon_task *moon_task_current(lua_State *L);                     /* NULL outside */
void moon_task_push(lua_State *L, struct moon_task *task);             /* a live task's handle [-0, +1, -] */
static inline bool moon_task_ended(const struct moon_task *task) {
    return task->state >= MOON_TASK_DONE;
}
/* Asks task to end. No-op when it has ended, is ending or was asked before. Never runs Lua. */
void moon_task_cancel(struct moon_task *task);
/* Whether cancelling has to wait. Never when the program is about to end. */
bool moon_task_shielded(const struct moon_task *task);
/* What moon_host_stop cancels, until it has ended; then it is the one around it again, unless there was a stop. */
void moon_host_stoppable(struct moon_task *task, enum moon_stop_kind kind);
/* The current task is a prompt from now on: what an interrupt ends is `line`, one of its descendants; NULL: nothing
 * now. Raises outside of tasks. */
void moon_host_foreground(lua_State *L, struct moon_task *line);
void moon_task_watch_start(struct moon_task *task, struct moon_task_watch *w, void (*fn)(void *ud), void *ud);
void moon_task_watch_stop(struct moon_task_watch *w); /* no-op when not waiting */
/* Pushes the outcome of the ended task at idx: its results, or nil and its error object. [-0, +n, m] */
int moon_task_results(lua_State *L, int idx);

#endif
