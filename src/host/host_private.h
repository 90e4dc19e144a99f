/* host_private.h - what the files of src/host share. */
#ifndef MOONGATE_HOST_PRIVATE_H
#define MOONGATE_HOST_PRIVATE_H

#include "moongate/host.h"
#include "moongate/task.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define HOST_POOL 1024 /* idle coroutines kept for the next tasks */

#define HOST_MEMORY_CLASSES 32
struct free_block;
struct slab;
struct host_memory {
    size_t used, limit;
    bool limit_hit;
    uint64_t count, fail_at; /* tests: this allocation fails */
    bool fail_on;            /* ... and all after it */

    struct free_block *free[HOST_MEMORY_CLASSES]; /* by size; see memory.c */
    struct slab *slabs;
    char *slab_at; /* what is left of the newest */
    size_t slab_left;
};
/* A lua_Alloc; ud: a struct host_memory. */
void *host_allocate(void *ud, void *ptr, size_t osize, size_t nsize);
void host_memory_release(struct host_memory *m); /* after lua_close */

/* A slot outlives its tasks: wakes name it, and its generation tells them apart. Its coroutine is used again. */
struct host_slot {
    struct moon_task *task; /* NULL: free */
    lua_State *co;          /* anchored in the threads table; NULL: none yet */
    uint32_t generation;
    uint32_t next_free;
};

struct moon_host {
    lua_State *L;
    struct moon_services services;
    const luaL_Reg *modules;
    char *lua_dir;
    bool verbose;
    struct host_memory memory;

    struct host_slot *slots;
    uint32_t n_slots, cap_slots, free_slot, n_idle; /* free_slot, next_free: UINT32_MAX ends the list */
    int threads_ref, handles_ref;                   /* registry: slot + 1 -> coroutine, task */
    size_t live, background;                        /* tasks; those of them that outlast the task that began them */
    struct moon_task *ready, **ready_tail;
    size_t n_ready;
    struct moon_defer turn;
    bool in_turn;
    struct moon_task *current;
    unsigned gc_stress;

    pthread_t thread;
    atomic_int interrupted;
    atomic_bool timed_out;           /* that is why */
    _Atomic(uint64_t) beat;          /* see moon_host_beat */
    struct moon_task *prompt, *line; /* whose lines an interrupt ends, and the one in the foreground; NULL: none */
    atomic_bool has_prompt;
    atomic_int line_interrupts;   /* that nobody has answered yet */
    struct moon_task *run;        /* what a stop cancels; NULL: none */
    atomic_int has_run;           /* enum moon_stop_kind: what it is */
    atomic_bool stopped, insists; /* asked for; and its shields hold no more */
    unsigned refused;             /* requests, by a guard */
    bool unshielded;              /* no shield holds any more */
    _Atomic(lua_State *) running; /* the coroutine that runs Lua now: where a signal puts its hook */
};

/* vm.c */
int host_setup(lua_State *L); /* protected: everything that a new state needs */

/* baselib.c */
void host_open_libs(lua_State *L);

/* loader.c: the trusted `require` */
int host_require(lua_State *L);

/* task_spawn.c */
void host_scheduler_init(struct moon_host *host);
int host_scheduler_setup(lua_State *L);
struct moon_task *host_spawn_root(lua_State *L, int nargs); /* as moon_task_spawn, without a parent */
/* Gives the slot back; its coroutine is empty. Keeps the coroutine unless many wait already. */
void host_slot_release(lua_State *L, struct moon_host *host, uint32_t slot);

/* task_end.c: the task's function has returned n results, raised, or is not to continue. In the scheduler only. */
void host_task_ended(lua_State *L, struct moon_task *t, int n);
void host_task_failed(lua_State *L, struct moon_task *t);
void host_task_cancelled(lua_State *L, struct moon_task *t);
/* The innermost line of a script, else of any Lua code: "file:line", or "". True when it is a script's. Does not
 * allocate. */
bool host_find_where(lua_State *co, char *out, size_t size);

/* scheduler.c */
void host_make_ready(struct moon_task *t);
/* lua_resume of a script's coroutine by L. host_is_parked then: the task has started to wait inside of it. */
int host_resume_nested(lua_State *L, lua_State *co, int nargs, int *nresults);
bool host_is_parked(lua_State *L);
/* Where scripts wait, for a report: "a.lua:3, b.lua:7"; "" when no script does. */
void host_waiting_at(struct moon_host *host, char *out, size_t size);
void host_unshield(struct moon_host *host);   /* from here on a cancellation waits for nothing */
void host_cancel_all(struct moon_host *host); /* and runs their closing */

/* coroutine.c */
void host_open_coroutines(lua_State *L); /* the library is at the top */

/* A coroutine's extra space holds the host's address and in its low bits what it is. */
#define HOST_TASK    1U /* a task's own */
#define HOST_WAITING 2U /* a script's, which its task waits in */
#define HOST_BITS    3U
static inline bool host_is_task_thread(lua_State *L) {
    return (*(uintptr_t *)lua_getextraspace(L) & HOST_TASK) != 0;
}
static inline bool host_is_waiting(lua_State *co) {
    return (*(uintptr_t *)lua_getextraspace(co) & HOST_WAITING) != 0;
}
static inline void host_set_waiting(lua_State *co, bool waits) {
    uintptr_t *space = lua_getextraspace(co);
    *space = (*space & ~(uintptr_t)HOST_WAITING) | (waits ? HOST_WAITING : 0);
}

/* error_object.c */
int host_error_setup(lua_State *L);
/* Turns the error value at the top into an error object. where: "file:line" or "". [-1, +1, m] */
void host_error_convert(lua_State *L, const char *where);

/* interrupt.c */
void host_answer_line_interrupt(struct moon_host *host);
void host_answer_stop(struct moon_host *host);
void host_stop_around(struct moon_task *t);
void host_interrupt_hook(lua_State *L, lua_Debug *ar);

#endif
