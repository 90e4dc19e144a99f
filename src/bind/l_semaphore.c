/* l_semaphore.c - task.semaphore(n): n permits, given out in the order in which they were asked for.
 *
 * release() hands a permit to the first waiter itself, so nobody overtakes. A waiter that is cancelled after it was
 * given one, and before it ran, passes it on. */
#include "bind_udata.h"
#include "l_task.h"

#define L_SEMAPHORE "moongate.task.semaphore"
#define L_GUARD     "moongate.task.guard"

static const char semaphore_key = 0;

struct semaphore {
    lua_Integer permits, size;
    struct moon_task *head, **tail;
};

struct guard {
    struct semaphore *held; /* its userdata is the guard's user value */
};

static void release(struct semaphore *s) {
    struct moon_task *t = s->head;
    while (t && (t->cancelled || t->granted))
        t = t->wait_next;
    if (!t) {
        s->permits++;
        return;
    }
    t->granted = true;
    moon_task_wake(t->wake);
}

static void leave(struct moon_task *me) {
    struct semaphore *s = me->wait_on;
    moon_timer_stop(moon_host_services(me->host)->loop, &me->timer);
    *me->wait_prev = me->wait_next;
    if (me->wait_next)
        me->wait_next->wait_prev = me->wait_prev;
    else
        s->tail = me->wait_prev;
    if (me->granted) { /* cancelled in between */
        me->granted = false;
        release(s);
    }
}

/* Queues the current task; true when there is nothing to wait for. */
static bool try_acquire(lua_State *L, struct semaphore *s, const char *what, int64_t ns) {
    struct moon_task *me;
    if (s->permits > 0) {
        s->permits--;
        return true;
    }
    moon_task_check(L, what);
    me = moon_task_current(L);
    if (ns >= 0)
        task_timer(L, me, ns);
    me->wait_on = s;
    me->granted = false;
    me->wait_next = NULL;
    me->wait_prev = s->tail;
    *s->tail = me;
    s->tail = &me->wait_next;
    task_wait(L, me, leave);
    return false;
}

/* After the wait: whether a permit was given. */
static bool acquired(lua_State *L) {
    struct moon_task *me = moon_task_current(L);
    bool granted = me->granted;
    me->granted = false;
    task_waited(me);
    return granted;
}

static int acquire_k(lua_State *L, int status, lua_KContext ns) {
    (void)status;
    if (!acquired(L))
        return task_fail_timeout(L, "semaphore:acquire", (int64_t)ns);
    lua_pushboolean(L, 1);
    return 1;
}

/* semaphore:acquire([seconds]) -> true | nil, err */
static int l_acquire(lua_State *L) {
    struct semaphore *s = bind_udata(L, 1, L_SEMAPHORE, &semaphore_key);
    int64_t ns = lua_isnoneornil(L, 2) ? -1 : task_seconds(L, 2);
    if (!try_acquire(L, s, "semaphore:acquire", ns))
        return lua_yieldk(L, 0, (lua_KContext)ns, acquire_k);
    lua_pushboolean(L, 1);
    return 1;
}

/* semaphore:release() */
static int l_release(lua_State *L) {
    struct semaphore *s = bind_udata(L, 1, L_SEMAPHORE, &semaphore_key);
    luaL_argcheck(L, s->permits < s->size, 1, "released more often than acquired");
    release(s);
    return 0;
}

static int guard_close(lua_State *L) {
    struct guard *g = luaL_checkudata(L, 1, L_GUARD);
    if (g->held)
        release(g->held);
    g->held = NULL;
    return 0;
}

static int with_done_k(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    return lua_gettop(L) - 2;
}

/* Waited or not, the permit is there. 1: semaphore, 2: guard, 3: fn, ... */
static int with_k(lua_State *L, int status, lua_KContext ctx) {
    struct guard *g = lua_touserdata(L, 2);
    (void)ctx;
    if (status == LUA_YIELD)
        acquired(L);
    g->held = lua_touserdata(L, 1);
    lua_callk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, with_done_k);
    return with_done_k(L, LUA_OK, 0);
}

/* semaphore:with(fn, ...) -> results of fn(...), run with a permit that is released whatever happens */
static int l_with(lua_State *L) {
    struct semaphore *s = bind_udata(L, 1, L_SEMAPHORE, &semaphore_key);
    struct guard *g;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    g = lua_newuserdatauv(L, sizeof *g, 1);
    g->held = NULL;
    luaL_setmetatable(L, L_GUARD);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_insert(L, 2);
    lua_toclose(L, 2);
    if (!try_acquire(L, s, "semaphore:with", -1))
        return lua_yieldk(L, 0, 0, with_k);
    return with_k(L, LUA_OK, 0);
}

/* task.semaphore(n) -> semaphore */
int l_task_semaphore(lua_State *L) {
    lua_Integer n = luaL_checkinteger(L, 1);
    struct semaphore *s;
    luaL_argcheck(L, n >= 1, 1, "at least 1");
    s = lua_newuserdatauv(L, sizeof *s, 0);
    s->permits = s->size = n;
    s->head = NULL;
    s->tail = &s->head;
    luaL_setmetatable(L, L_SEMAPHORE);
    return 1;
}

static const luaL_Reg methods[] = {{"acquire", l_acquire}, {"release", l_release}, {"with", l_with}, {NULL, NULL}};

void l_semaphore_setup(lua_State *L) {
    luaL_newmetatable(L, L_SEMAPHORE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, L_SEMAPHORE);
    lua_setfield(L, -2, "__metatable");
    bind_udata_setup(L, L_SEMAPHORE, &semaphore_key);
    luaL_newmetatable(L, L_GUARD);
    lua_pushcfunction(L, guard_close);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 2);
}
