/* scheduler.c - runs tasks. The one file that calls lua_resume.
 *
 * A wake puts a task at the end of the ready queue, and a deferred call of the loop works that queue off: all that was
 * ready, then a few more rounds, so that tasks which wait for each other don't pay a poll for every step. Everything
 * below run_ready happens in one protected call on the main state; what can raise in there (packing results, building
 * an error object) has a protected call of its own, so that a task's end never stops half-way. */
#include "host_private.h"

#include "moongate/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_SLOT     UINT32_MAX
#define EXTRA_STEPS 64      /* resumes beyond what was ready when a turn began */
#define FAILED_MAX  64      /* failed children that a parent remembers */
#define CLOSE_STEPS 1000000 /* instructions that the closing of a task may take after an interrupt */

static void on_turn(void *ud);

/* ---- slots ---- */

void host_scheduler_init(struct moon_host *host) {
    host->free_slot = NO_SLOT;
    host->ready_tail = &host->ready;
}

int host_scheduler_setup(lua_State *L) {
    struct moon_host *host = moon_host_of(L);
    lua_newtable(L);
    host->threads_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    host->handles_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (luaL_newmetatable(L, MOON_TASK_MT)) {
        lua_pushliteral(L, MOON_TASK_MT);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    return 0;
}

static bool slot_add(struct moon_host *host) {
    if (host->n_slots == host->cap_slots) {
        uint32_t cap = host->cap_slots ? host->cap_slots * 2 : 16;
        struct host_slot *slots = cap <= NO_SLOT / 2 ? realloc(host->slots, cap * sizeof *slots) : NULL;
        if (!slots)
            return false;
        host->slots = slots;
        host->cap_slots = cap;
    }
    host->slots[host->n_slots] = (struct host_slot){.generation = 1, .next_free = NO_SLOT};
    host->free_slot = host->n_slots++;
    return true;
}

/* A free slot with a coroutine, not yet taken. */
static uint32_t slot_find(lua_State *L, struct moon_host *host) {
    struct host_slot *s;
    if (host->free_slot == NO_SLOT && !slot_add(host))
        luaL_error(L, "not enough memory");
    s = &host->slots[host->free_slot];
    if (!s->co) {
        lua_State *co;
        lua_rawgeti(L, LUA_REGISTRYINDEX, host->threads_ref);
        co = lua_newthread(L);
        lua_sethook(co, NULL, 0, 0);
        *(char **)lua_getextraspace(co) = (char *)host + 1;
        lua_rawseti(L, -2, (lua_Integer)host->free_slot + 1);
        lua_pop(L, 1);
        s->co = co;
        host->n_idle++;
    }
    return host->free_slot;
}

/* Gives the slot back; its coroutine is empty. Keeps the coroutine unless many wait already. */
static void slot_release(lua_State *L, struct moon_host *host, uint32_t slot) {
    struct host_slot *s = &host->slots[slot];
    lua_rawgeti(L, LUA_REGISTRYINDEX, host->handles_ref);
    lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)slot + 1);
    lua_pop(L, 1);
    if (host->n_idle >= HOST_POOL) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, host->threads_ref);
        lua_pushnil(L);
        lua_rawseti(L, -2, (lua_Integer)slot + 1);
        lua_pop(L, 1);
        s->co = NULL;
    } else {
        host->n_idle++;
    }
    s->task = NULL;
    s->generation++;
    s->next_free = host->free_slot;
    host->free_slot = slot;
}

/* ---- the ready queue ---- */

static void make_ready(struct moon_task *t) {
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
        make_ready(s->task);
}

void moon_task_check(lua_State *L, const char *what) {
    struct moon_task *t = moon_host_of(L)->current;
    if (!t)
        luaL_error(L, "%s: only inside a task", what);
    else if (t->co != L)
        luaL_error(L, "%s: can't wait inside a coroutine; use task.spawn", what);
    else if (!lua_isyieldable(L))
        luaL_error(L, "%s: can't wait here (in a metamethod, a callback of a C function, or while a task is closed)",
                   what);
}

/* ---- birth ---- */

static struct moon_task *spawn(lua_State *L, int nargs, struct moon_task *parent) {
    struct moon_host *host = moon_host_of(L);
    struct moon_task *t;
    struct host_slot *s;
    uint32_t slot;
    luaL_checkstack(L, 4, NULL);
    t = lua_newuserdatauv(L, sizeof *t, 2);
    memset(t, 0, sizeof *t);
    t->host = host;
    t->state = t->outcome = MOON_TASK_CANCELLED; /* nothing to do until the end of this function */
    luaL_setmetatable(L, MOON_TASK_MT);
    slot = slot_find(L, host);
    s = &host->slots[slot];
    if (!lua_checkstack(s->co, nargs + 1 + LUA_MINSTACK))
        luaL_error(L, "too many arguments");
    lua_rawgeti(L, LUA_REGISTRYINDEX, host->handles_ref);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)slot + 1);
    lua_pop(L, 1);
    /* Nothing raises from here on. */
    lua_insert(L, -(nargs + 2));
    lua_xmove(L, s->co, nargs + 1);
    host->free_slot = s->next_free;
    host->n_idle--;
    host->live++;
    s->task = t;
    t->co = s->co;
    t->slot = slot;
    t->nargs = nargs;
    t->outcome = MOON_TASK_DONE;
    t->parent = parent;
    if (parent) {
        t->span = parent->span;
        t->next_sibling = parent->children;
        t->prev_sibling = &parent->children;
        if (t->next_sibling)
            t->next_sibling->prev_sibling = &t->next_sibling;
        parent->children = t;
    }
    make_ready(t);
    return t;
}

struct moon_task *moon_task_spawn(lua_State *L, int nargs) {
    struct moon_task *parent = moon_host_of(L)->current;
    if (!parent)
        luaL_error(L, "task.spawn: only inside a task");
    return spawn(L, nargs, parent);
}

struct moon_task *host_spawn_root(lua_State *L, int nargs) {
    struct moon_task *t = spawn(L, nargs, NULL);
    t->is_root = true;
    return t;
}

/* ---- death ---- */

void moon_task_watch_start(struct moon_task *t, struct moon_task_watch *w, void (*fn)(void *ud), void *ud) {
    w->fn = fn;
    w->ud = ud;
    w->next = t->watches;
    w->prev = &t->watches;
    if (w->next)
        w->next->prev = &w->next;
    t->watches = w;
}

void moon_task_watch_stop(struct moon_task_watch *w) {
    if (!w->prev)
        return;
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->next = NULL;
    w->prev = NULL;
}

void moon_task_cancel(struct moon_task *t) {
    if (t->cancelled || t->state >= MOON_TASK_ENDING)
        return;
    t->cancelled = true;
    if (t->state == MOON_TASK_PARKED)
        make_ready(t);
}

static void cancel_children(struct moon_task *t) {
    for (struct moon_task *c = t->children; c; c = c->next_sibling)
        moon_task_cancel(c);
}

void moon_task_push(lua_State *L, struct moon_task *t) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->host->handles_ref);
    lua_rawgeti(L, -1, (lua_Integer)t->slot + 1);
    lua_remove(L, -2);
}

/* Protected. 1: the parent's handle, 2: the failed child's. The parent's second user value is the list of those nobody
 * has joined. */
static int remember_failed(lua_State *L) {
    lua_Integer n, kept = 0;
    if (lua_getiuservalue(L, 1, 2) != LUA_TTABLE) {
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, 2);
        lua_replace(L, 3);
    }
    n = (lua_Integer)lua_rawlen(L, 3);
    if (n >= FAILED_MAX) { /* forget those that were joined since */
        for (lua_Integer i = 1; i <= n; i++) {
            lua_rawgeti(L, 3, i);
            if (!((struct moon_task *)lua_touserdata(L, -1))->joined) {
                lua_rawseti(L, 3, ++kept);
            } else {
                lua_pop(L, 1);
            }
        }
        for (lua_Integer i = kept + 1; i <= n; i++) {
            lua_pushnil(L);
            lua_rawseti(L, 3, i);
        }
        n = kept;
    }
    if (n < FAILED_MAX) {
        lua_pushvalue(L, 2);
        lua_rawseti(L, 3, n + 1);
    }
    return 0;
}

/* A child that failed, and that nobody has joined, fails its parent. handle: the parent's, at the top. */
static void inherit_failure(lua_State *L, struct moon_task *t) {
    if (lua_getiuservalue(L, -1, 2) == LUA_TTABLE) {
        lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
        for (lua_Integer i = 1; i <= n && t->outcome == MOON_TASK_DONE; i++) {
            lua_rawgeti(L, -1, i);
            if (!((struct moon_task *)lua_touserdata(L, -1))->joined) {
                t->outcome = MOON_TASK_FAILED;
                lua_getiuservalue(L, -1, 1);
                lua_setiuservalue(L, -4, 1);
            }
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_setiuservalue(L, -2, 2);
}

/* The task and all its children have ended. */
static void finish(lua_State *L, struct moon_task *t) {
    struct moon_host *host = t->host;
    struct moon_task *parent = t->parent;
    moon_task_push(L, t);
    inherit_failure(L, t);
    t->state = t->outcome;
    t->co = NULL;
    t->parent = NULL;
    if (t->watches)
        t->joined = true;
    while (t->watches) {
        struct moon_task_watch *w = t->watches;
        moon_task_watch_stop(w);
        w->fn(w->ud);
    }
    if (t->is_root)
        moon_loop_wake(host->services.loop); /* whoever drives the loop must look, though an idle connection is open */
    if (parent) {
        *t->prev_sibling = t->next_sibling;
        if (t->next_sibling)
            t->next_sibling->prev_sibling = t->prev_sibling;
        if (t->state == MOON_TASK_FAILED && !t->joined) {
            lua_pushcfunction(L, remember_failed);
            moon_task_push(L, parent);
            lua_pushvalue(L, -3);
            if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
                moon_log_write(host->services.log, MOON_LOG_ERROR, "a failed task is lost: %s", lua_tostring(L, -1));
                lua_pop(L, 1);
            }
        }
    }
    if (!parent) /* the loop may be about to wait for a timer or a socket that matters to nobody any more */
        moon_loop_wake(host->services.loop);
    slot_release(L, host, t->slot);
    lua_pop(L, 1); /* the handle */
    host->live--;
}

/* Undoes a wait that lies in the task itself: one it was cancelled in, or one that an error has cut short. */
static void leave_wait(struct moon_task *t) {
    void (*leave)(struct moon_task * task) = t->leave;
    t->leave = NULL;
    if (leave)
        leave(t);
}

/* The task's function has ended, with t->outcome. */
static void complete(lua_State *L, struct moon_task *t) {
    leave_wait(t);
    t->state = MOON_TASK_ENDING;
    cancel_children(t);
    while (t && t->state == MOON_TASK_ENDING && !t->children) {
        struct moon_task *parent = t->parent;
        finish(L, t);
        t = parent;
    }
}

/* Protected: packs its arguments into a table. */
static int pack(lua_State *L) {
    int n = lua_gettop(L);
    lua_createtable(L, n, 0);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, 1, i);
    return 1;
}

/* Moves the results from the coroutine to the task's first user value. */
static void end_ok(lua_State *L, struct moon_task *t, int n) {
    bool ok = true;
    moon_task_push(L, t);
    t->nresults = n;
    if (n > 1) {
        ok = lua_checkstack(L, n + LUA_MINSTACK);
        if (ok) {
            lua_pushcfunction(L, pack);
            lua_xmove(t->co, L, n);
            ok = lua_pcall(L, n, 1, 0) == LUA_OK;
        } else {
            lua_pushliteral(L, "too many results");
        }
        lua_setiuservalue(L, -2, 1);
    } else if (n == 1) {
        lua_xmove(t->co, L, 1);
        lua_setiuservalue(L, -2, 1);
    }
    lua_pop(L, 1);
    lua_settop(t->co, 0);
    if (!ok)
        t->outcome = MOON_TASK_FAILED;
    complete(L, t);
}

/* The innermost line of a script, else of any Lua code: "file:line", or "". True when it is a script's. Does not
 * allocate. */
static bool find_where(lua_State *co, char *out, size_t size) {
    lua_Debug ar;
    out[0] = '\0';
    for (int level = 0; level < 64 && lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "Sl", &ar);
        if (ar.currentline <= 0)
            continue;
        if (!out[0] || strncmp(ar.source, "@moongate/", 10) != 0)
            snprintf(out, size, "%s:%d", ar.short_src, ar.currentline);
        if (strncmp(ar.source, "@moongate/", 10) != 0)
            return true;
    }
    return false;
}

void host_waiting_at(struct moon_host *host, char *out, size_t size) {
    size_t len = 0;
    int shown = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < host->n_slots && shown < 3; i++) {
        char where[LUA_IDSIZE + 24];
        if (!host->slots[i].task || host->slots[i].task->state != MOON_TASK_PARKED)
            continue;
        if (!find_where(host->slots[i].co, where, sizeof where))
            continue;
        len += (size_t)snprintf(out + len, size - len, "%s%s", shown++ ? ", " : "", where);
        if (len >= size)
            return;
    }
}

/* Protected. 1: error value, 2: light userdata with where, 3: traceback or nil. */
static int build_error(lua_State *L) {
    const char *where = lua_touserdata(L, 2);
    lua_pushvalue(L, 1);
    host_error_convert(L, where);
    if (lua_type(L, 3) == LUA_TSTRING) {
        lua_pushliteral(L, "traceback");
        lua_pushvalue(L, 3);
        lua_rawset(L, -3);
    }
    return 1;
}

static int build_traceback(lua_State *L) {
    lua_State *co = lua_touserdata(L, 1);
    luaL_traceback(L, co, NULL, 0);
    return 1;
}

static void end_failed(lua_State *L, struct moon_task *t) {
    char where[LUA_IDSIZE + 24];
    find_where(t->co, where, sizeof where);
    moon_task_push(L, t);
    lua_pushcfunction(L, build_error);
    lua_pushnil(L);
    lua_pushlightuserdata(L, where);
    lua_pushnil(L);
    if (t->host->verbose) {
        lua_pushcfunction(L, build_traceback);
        lua_pushlightuserdata(L, t->co);
        if (lua_pcall(L, 1, 1, 0) == LUA_OK)
            lua_replace(L, -2);
        else
            lua_pop(L, 1);
    }
    t->host->current = t;
    atomic_store(&t->host->running, t->co);
    lua_resetthread(t->co); /* closes its variables; the error may become another one */
    atomic_store(&t->host->running, L);
    lua_xmove(t->co, L, 1);
    lua_replace(L, -4);
    lua_pcall(L, 3, 1, 0); /* fails only for want of memory, and then that is the error */
    atomic_store(&t->host->running, NULL);
    t->host->current = NULL;
    lua_setiuservalue(L, -2, 1);
    lua_pop(L, 1);
    lua_settop(t->co, 0);
    t->outcome = MOON_TASK_FAILED;
    complete(L, t);
}

static void end_cancelled(lua_State *L, struct moon_task *t) {
    struct moon_host *host = t->host;
    leave_wait(t); /* before the coroutine's stack, which holds what was waited on, is gone */
    if (lua_status(t->co) == LUA_YIELD) {
        host->current = t;
        t->state = MOON_TASK_RUNNING;
        if (atomic_load(&host->interrupted))
            lua_sethook(t->co, host_interrupt_hook, LUA_MASKCOUNT, CLOSE_STEPS);
        atomic_store(&host->running, t->co);
        if (lua_resetthread(t->co) != LUA_OK) {
            const char *msg = lua_tostring(t->co, -1);
            moon_log_write(host->services.log, MOON_LOG_WARN, "while a cancelled task was closed: %s",
                           msg ? msg : "(error object)");
        }
        atomic_store(&host->running, NULL);
        lua_sethook(t->co, NULL, 0, 0);
        host->current = NULL;
    }
    lua_settop(t->co, 0);
    t->outcome = MOON_TASK_CANCELLED;
    complete(L, t);
}

/* ---- running ---- */

/* MOONGATE_GC_STRESS: a full collection at each resume, as long as that ends in a reasonable time. */
static void stress_gc(lua_State *L, struct moon_host *host) {
    size_t mib = (host->memory.used >> 20) + 1;
    if (host->gc_stress++ % (mib * mib) == 0)
        lua_gc(L, LUA_GCCOLLECT);
}

static void step(lua_State *L, struct moon_host *host, struct moon_task *t) {
    int status, n = 0;
    if (t->cancelled || atomic_load_explicit(&host->interrupted, memory_order_relaxed)) {
        end_cancelled(L, t);
        return;
    }
    if (host->gc_stress)
        stress_gc(L, host);
    t->state = MOON_TASK_RUNNING;
    host->current = t;
    atomic_store_explicit(&host->running, t->co, memory_order_relaxed);
    status = lua_resume(t->co, L, t->nargs, &n);
    atomic_store_explicit(&host->running, NULL, memory_order_relaxed);
    host->current = NULL;
    t->nargs = 0;
    if (status == LUA_OK) {
        end_ok(L, t, n);
    } else if (status != LUA_YIELD) {
        end_failed(L, t);
    } else {
        lua_pop(t->co, n);
        if (t->state == MOON_TASK_RUNNING) /* not parked: the interrupt's hook has yielded */
            end_cancelled(L, t);
    }
}

static int run_ready(lua_State *L) {
    struct moon_host *host = moon_host_of(L);
    struct moon_task *t;
    for (size_t n = host->n_ready + EXTRA_STEPS; n && (t = next_ready(host)); n--)
        step(L, host, t);
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
    }
    host->in_turn = false;
    if (host->ready)
        moon_loop_defer(host->services.loop, &host->turn, on_turn, host);
}

void host_cancel_all(struct moon_host *host) {
    for (uint32_t i = 0; i < host->n_slots; i++)
        if (host->slots[i].task)
            moon_task_cancel(host->slots[i].task);
    while (host->ready)
        on_turn(host);
    moon_loop_undefer(host->services.loop, &host->turn);
}
