/* l_task.c - Lua module "task" over moongate/task.h: spawn, join, cancel, sleep, timeout.  Types: lua/meta/task.lua
 *
 * A wait here needs no memory of its own: timer and watch lie in the task that waits. */
#include "l_task.h"

#include <math.h>

#define MAX_SECONDS 315360000.0 /* ten years */

int64_t task_seconds(lua_State *L, int idx) {
    lua_Number s = luaL_checknumber(L, idx);
    luaL_argcheck(L, s >= 0 && s <= MAX_SECONDS, idx, "seconds, from 0 to ten years");
    return (int64_t)ceil(s * (double)MOON_NS_PER_S);
}

void task_wake_me(void *ud) {
    moon_task_wake(((struct moon_task *)ud)->wake);
}

void task_wait(lua_State *L, struct moon_task *me, void (*leave)(struct moon_task *me)) {
    me->leave = leave;
    me->wake = moon_task_park(L);
}

void task_waited(struct moon_task *me) {
    void (*leave)(struct moon_task * me) = me->leave;
    me->leave = NULL;
    if (leave)
        leave(me);
}

void task_timer(lua_State *L, struct moon_task *me, int64_t ns) {
    if (moon_timer_start(moon_host_services(me->host)->loop, &me->timer, ns, task_wake_me, me) != 0)
        luaL_error(L, "not enough memory");
}

int task_fail_timeout(lua_State *L, const char *what, int64_t ns) {
    struct moon_err err;
    moon_err_set(&err, MOON_ETIMEOUT, "%s: not within %.3g s", what, (double)ns / (double)MOON_NS_PER_S);
    return moon_fail(L, &err);
}

static void leave_timer(struct moon_task *me) {
    moon_timer_stop(moon_host_services(me->host)->loop, &me->timer);
}

static void leave_join(struct moon_task *me) {
    leave_timer(me);
    moon_task_watch_stop(&me->watch);
}

/* ---- functions ---- */

/* task.spawn(fn, ...) -> task */
static int l_spawn(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    moon_task_spawn(L, lua_gettop(L) - 1);
    return 1;
}

static int nothing_k(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    task_waited(moon_task_current(L));
    return 0;
}

/* task.sleep(seconds) */
static int l_sleep(lua_State *L) {
    int64_t ns = task_seconds(L, 1);
    struct moon_task *me;
    moon_task_check(L, "task.sleep");
    me = moon_task_current(L);
    task_timer(L, me, ns);
    task_wait(L, me, leave_timer);
    return lua_yieldk(L, 0, 0, nothing_k);
}

/* task.yield(): lets the others run */
static int l_yield(lua_State *L) {
    moon_task_check(L, "task.yield");
    moon_task_wake(moon_task_park(L));
    return lua_yieldk(L, 0, 0, nothing_k);
}

/* task.current() -> task */
static int l_current(lua_State *L) {
    struct moon_task *me = moon_task_current(L);
    if (!me)
        return 0;
    moon_task_push(L, me);
    return 1;
}

static int join_k(lua_State *L, int status, lua_KContext ns) {
    (void)status;
    task_waited(moon_task_current(L));
    if (moon_task_ended(lua_touserdata(L, 1)))
        return moon_task_results(L, 1);
    return task_fail_timeout(L, "task:join", (int64_t)ns);
}

/* task:join([seconds]) -> results | nil, err */
static int l_join(lua_State *L) {
    struct moon_task *t = moon_task_arg(L, 1), *me;
    int64_t ns = lua_isnoneornil(L, 2) ? -1 : task_seconds(L, 2);
    if (moon_task_ended(t))
        return moon_task_results(L, 1);
    moon_task_check(L, "task:join");
    me = moon_task_current(L);
    luaL_argcheck(L, t != me, 1, "a task can't join itself");
    if (ns >= 0)
        task_timer(L, me, ns);
    moon_task_watch_start(t, &me->watch, task_wake_me, me);
    task_wait(L, me, leave_join);
    return lua_yieldk(L, 0, (lua_KContext)ns, join_k);
}

/* task:cancel() */
static int l_cancel(lua_State *L) {
    struct moon_task *t = moon_task_arg(L, 1);
    luaL_argcheck(L, t != moon_task_current(L), 1, "a task can't cancel itself; return or raise instead");
    moon_task_cancel(t);
    return 0;
}

/* task:status() -> "ready" | "running" | "waiting" | "done" | "failed" | "cancelled" */
static int l_status(lua_State *L) {
    static const char *const names[] = {"ready", "running", "waiting", "waiting", "done", "failed", "cancelled"};
    lua_pushstring(L, names[moon_task_arg(L, 1)->state]);
    return 1;
}

static int timeout_k(lua_State *L, int status, lua_KContext ns) {
    struct moon_task *me = moon_task_current(L), *t = lua_touserdata(L, 1);
    (void)status;
    task_waited(me);
    if (ns >= 0 && !moon_task_ended(t)) { /* time is up: close it, and wait for that */
        moon_task_cancel(t);
        t->joined = true;
        moon_task_watch_start(t, &me->watch, task_wake_me, me);
        task_wait(L, me, leave_join);
        lua_pushinteger(L, (lua_Integer)ns);
        return lua_yieldk(L, 0, -1, timeout_k);
    }
    if (ns < 0 && t->state == MOON_TASK_CANCELLED)
        return task_fail_timeout(L, "task.timeout", lua_tointeger(L, 2));
    return moon_task_results(L, 1);
}

/* task.timeout(seconds, fn, ...) -> results | nil, err */
static int l_timeout(lua_State *L) {
    int64_t ns = task_seconds(L, 1);
    struct moon_task *me, *t;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    moon_task_check(L, "task.timeout");
    me = moon_task_current(L);
    task_timer(L, me, ns);
    me->leave = leave_timer; /* spawn may raise: a timer that fires for a task that does not wait is harmless */
    t = moon_task_spawn(L, lua_gettop(L) - 2);
    lua_replace(L, 1);
    lua_settop(L, 1);
    moon_task_watch_start(t, &me->watch, task_wake_me, me);
    task_wait(L, me, leave_join);
    return lua_yieldk(L, 0, (lua_KContext)ns, timeout_k);
}

static int l_tostring(lua_State *L) {
    struct moon_task *t = moon_task_arg(L, 1);
    l_status(L);
    lua_pushfstring(L, "task %p (%s)", (void *)t, lua_tostring(L, -1));
    return 1;
}

static const luaL_Reg methods[] = {{"join", l_join}, {"cancel", l_cancel}, {"status", l_status}, {NULL, NULL}};
static const luaL_Reg funcs[] = {{"spawn", l_spawn},
                                 {"sleep", l_sleep},
                                 {"yield", l_yield},
                                 {"current", l_current},
                                 {"timeout", l_timeout},
                                 {"all", l_task_all},
                                 {"map", l_task_map},
                                 {"semaphore", l_task_semaphore},
                                 {NULL, NULL}};

int luaopen_moongate_task(lua_State *L);
int luaopen_moongate_task(lua_State *L) {
    luaL_getmetatable(L, MOON_TASK_MT); /* made by the scheduler */
    lua_pushcfunction(L, l_tostring);
    lua_setfield(L, -2, "__tostring");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    l_task_group_setup(L);
    l_semaphore_setup(L);
    luaL_newlib(L, funcs);
    return 1;
}
