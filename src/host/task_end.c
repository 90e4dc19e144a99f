/* task_end.c - the end of a task: results, errors, cancellation, and what that means for its parent and children.
 *
 * All of it runs in the scheduler's protected call; what can raise in there (packing results, building an error object)
 * has a protected call of its own, so that a task's end never stops half-way. */
#include "host_private.h"

#include "moongate/log.h"

#include <stdio.h>
#include <string.h>

#define FAILED_MAX  64      /* failed children that a parent remembers */
#define CLOSE_STEPS 1000000 /* instructions that the closing of a task may take after an interrupt */
#define FEW_STEPS   1000    /* when the time is long over */

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
    if (t->state == MOON_TASK_PARKED && !moon_task_shielded(t))
        host_make_ready(t);
}

bool moon_task_shielded(const struct moon_task *t) {
    return t->shield > 0 && !t->host->unshielded;
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
    if (host->line == t)
        host->line = NULL;
    if (host->run == t)
        host_stop_around(t);
    if (host->prompt == t) {
        atomic_store(&host->has_prompt, false);
        host->prompt = host->line = NULL;
    }
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
        moon_loop_wake(host->services.loop); /* the driver of the loop must look, though an idle connection is open */
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
    host_slot_release(L, host, t->slot);
    lua_pop(L, 1); /* the handle */
    host->live--;
    host->background -= t->background;
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
void host_task_ended(lua_State *L, struct moon_task *t, int n) {
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

bool host_find_where(lua_State *co, char *out, size_t size) {
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

void host_task_failed(lua_State *L, struct moon_task *t) {
    char where[LUA_IDSIZE + 24];
    host_find_where(t->co, where, sizeof where);
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
    t->may_wait = false;
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
    /* Where the interrupt's hook can't yield it raises. */
    t->outcome = t->cancelled && !moon_task_shielded(t) ? MOON_TASK_CANCELLED : MOON_TASK_FAILED;
    complete(L, t);
}

void host_task_cancelled(lua_State *L, struct moon_task *t) {
    struct moon_host *host = t->host;
    leave_wait(t); /* before the coroutine's stack, which holds what was waited on, is gone */
    if (lua_status(t->co) == LUA_YIELD) {
        host->current = t;
        t->state = MOON_TASK_RUNNING;
        t->may_wait = false;
        if (atomic_load(&host->interrupted) || atomic_load(&host->stopped) ||
            lua_gethook(t->co)) /* one that looks at every step by now */
            lua_sethook(t->co, host_interrupt_hook, LUA_MASKCOUNT,
                        atomic_load(&host->insists) ? FEW_STEPS : CLOSE_STEPS);
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
