/* scheduler.c - runs tasks. The one file that calls lua_resume.
 *
 * A wake puts a task at the end of the ready queue, and a deferred call of the loop works that queue off: all that was
 * ready, then a few more rounds, so that tasks which wait for each other don't pay a poll for every step. Everything
 * below run_ready happens in one protected call on the main state. */
#include "host_private.h"

#include "moongate/log.h"

#include <stdio.h>

#define EXTRA_STEPS 64 /* resumes beyond what was ready when a turn began */

static void on_turn(void *ud);

void host_make_ready(struct moon_task *t) {
    struct moon_host *host = t->host;
    t->state = MOON_TASK_READY;
    t->next_ready = NULL;
    *host->ready_tail = t;
    host->ready_tail = &t->next_ready;
    host->n_ready++;
    if (!host->in_turn)
        moon_loop_defer(host->services.loop, &host->turn, on_turn, host);
}

static struct moon_task *next_ready(struct moon_host *host) {
    struct moon_task *t = host->ready;
    if (!t)
        return NULL;
    host->ready = t->next_ready;
    if (!host->ready)
        host->ready_tail = &host->ready;
    host->n_ready--;
    return t;
}

struct moon_wake moon_task_park(lua_State *L) {
    struct moon_host *host = moon_host_of(L);
    struct moon_task *t = host->current;
    struct moon_wake wake = {host, t->slot, ++host->slots[t->slot].generation};
    t->state = MOON_TASK_PARKED;
    return wake;
}

void moon_task_wake(struct moon_wake wake) {
    struct host_slot *s;
    if (!wake.host || wake.slot >= wake.host->n_slots)
        return;
    s = &wake.host->slots[wake.slot];
    if (s->generation == wake.generation && s->task && s->task->state == MOON_TASK_PARKED)
        host_make_ready(s->task);
}

bool moon_task_may_wait(lua_State *L) {
    const struct moon_task *t = moon_host_of(L)->current;
    return t && t->innermost == L && t->may_wait && lua_isyieldable(L);
}

void moon_task_check(lua_State *L, const char *what) {
    struct moon_task *t = moon_host_of(L)->current;
    if (!t)
        luaL_error(L, "%s: only inside a task", what);
    else if (!moon_task_may_wait(L))
        luaL_error(L, "%s: can't wait here (in a metamethod, a callback of a C function, or while a task is closed)",
                   what);
}

void host_waiting_at(struct moon_host *host, char *out, size_t size) {
    size_t len = 0;
    int shown = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < host->n_slots && shown < 3; i++) {
        char where[LUA_IDSIZE + 24];
        if (!host->slots[i].task || host->slots[i].task->state != MOON_TASK_PARKED)
            continue;
        if (!host_find_where(host->slots[i].co, where, sizeof where))
            continue;
        len += (size_t)snprintf(out + len, size - len, "%s%s", shown++ ? ", " : "", where);
        if (len >= size)
            return;
    }
}

/* ---- running ---- */

int host_resume_nested(lua_State *L, lua_State *co, int nargs, int *nresults) {
    struct moon_task *t = moon_host_of(L)->current;
    if (!t)
        return lua_resume(co, L, nargs, nresults);
    lua_State *before = t->innermost;
    bool could = t->may_wait;
    t->may_wait = could && before == L && lua_isyieldable(L);
    t->innermost = co;
    int status = lua_resume(co, L, nargs, nresults);
    t->innermost = before;
    t->may_wait = could;
    return status;
}

bool host_is_parked(lua_State *L) {
    const struct moon_task *t = moon_host_of(L)->current;
    return t && t->state != MOON_TASK_RUNNING; /* ready: woken at once */
}

/* MOONGATE_GC_STRESS: a full collection at each resume, as long as that ends in a reasonable time. */
static void stress_gc(lua_State *L, struct moon_host *host) {
    size_t mib = (host->memory.used >> 20) + 1;
    if (host->gc_stress++ % (mib * mib) == 0)
        lua_gc(L, LUA_GCCOLLECT);
}

static void beat(struct moon_host *host) { /* nobody else writes it */
    uint64_t n = atomic_load_explicit(&host->beat, memory_order_relaxed);
    atomic_store_explicit(&host->beat, n + 1, memory_order_relaxed);
}

/* A signal that comes from here on puts its hook on t's coroutine; one that came before is seen here. */
static bool may_go_on(struct moon_host *host, struct moon_task *t) {
    atomic_store_explicit(&host->running, t->co, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&host->line_interrupts, memory_order_relaxed))
        host_answer_line_interrupt(host);
    bool ends =
        (t->cancelled && !moon_task_shielded(t)) || atomic_load_explicit(&host->interrupted, memory_order_relaxed);
    if (ends)
        atomic_store_explicit(&host->running, NULL, memory_order_relaxed);
    return !ends;
}

static void step(lua_State *L, struct moon_host *host, struct moon_task *t) {
    int status, n = 0;
    if (!may_go_on(host, t)) {
        host_task_cancelled(L, t);
        return;
    }
    if (host->gc_stress)
        stress_gc(L, host);
    t->state = MOON_TASK_RUNNING;
    t->innermost = t->co;
    t->may_wait = true;
    host->current = t;
    status = lua_resume(t->co, L, t->nargs, &n);
    atomic_store_explicit(&host->running, NULL, memory_order_relaxed);
    host->current = NULL;
    t->nargs = 0;
    if (status == LUA_OK) {
        host_task_ended(L, t, n);
    } else if (status != LUA_YIELD) {
        host_task_failed(L, t);
    } else {
        lua_pop(t->co, n);
        if (t->state == MOON_TASK_RUNNING) /* not parked: the interrupt's hook has yielded */
            host_task_cancelled(L, t);
    }
}

static int run_ready(lua_State *L) {
    struct moon_host *host = moon_host_of(L);
    struct moon_task *t;
    for (size_t n = host->n_ready + EXTRA_STEPS; n && (t = next_ready(host)); n--) {
        beat(host);
        step(L, host, t);
        beat(host);
    }
    return 0;
}

static void on_turn(void *ud) {
    struct moon_host *host = ud;
    lua_State *L = host->L;
    host->in_turn = true;
    lua_pushcfunction(L, run_ready);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        const char *msg = lua_tostring(L, -1);
        moon_log_write(host->services.log, MOON_LOG_ERROR, "scheduler: %s", msg ? msg : "error");
        lua_pop(L, 1);
        host->current = NULL;
        atomic_store(&host->running, NULL);
        if (moon_host_beat(host) % 2)
            beat(host);
    }
    host->in_turn = false;
    if (host->ready)
        moon_loop_defer(host->services.loop, &host->turn, on_turn, host);
}

void host_unshield(struct moon_host *host) {
    host->unshielded = true;
    for (uint32_t i = 0; i < host->n_slots; i++) {
        struct moon_task *t = host->slots[i].task;
        if (t && t->cancelled && t->state == MOON_TASK_PARKED)
            host_make_ready(t);
    }
}

void host_cancel_all(struct moon_host *host) {
    host_unshield(host);
    for (uint32_t i = 0; i < host->n_slots; i++)
        if (host->slots[i].task)
            moon_task_cancel(host->slots[i].task);
    while (host->ready)
        on_turn(host);
    moon_loop_undefer(host->services.loop, &host->turn);
}
