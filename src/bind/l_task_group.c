/* l_task_group.c - task.all and task.map: children run side by side, at most `limit` at a time; the first failure
 * cancels the rest.
 *
 * A child fails the group when it raises, when it is cancelled, and when it returns nil and an error object, which is
 * how native functions report a failure at run time. */
#include "l_task.h"

#include <string.h>

#define L_GROUP "moongate.task.group"

/* Stack of both functions. */
enum { LIST = 1, LIMIT, FN, RESULTS, GROUP, HANDLES, ERROR };

struct lane {
    struct moon_task_watch watch;
    struct group *group;
    struct moon_task *task; /* NULL: the lane is free */
    lua_Integer index;      /* of its item in the list */
    bool own;               /* spawned by the group */
    struct lane *next;      /* in done, or in free */
};

struct group {
    struct moon_task *me;
    lua_Integer n, next; /* items, and the one to start next */
    size_t running, n_lanes;
    struct lane *free, *done, **done_tail;
    bool failed;
    struct lane lanes[];
};

static void on_end(void *ud) {
    struct lane *lane = ud;
    struct group *g = lane->group;
    lane->next = NULL;
    *g->done_tail = lane;
    g->done_tail = &lane->next;
    moon_task_wake(g->me->wake);
}

static void lane_free(struct group *g, struct lane *lane) {
    moon_task_watch_stop(&lane->watch);
    lane->task = NULL;
    lane->next = g->free;
    g->free = lane;
    g->running--;
}

/* Cancels the group's own tasks; those that were only given to it run on, unwatched. */
static void cancel(struct group *g) {
    for (size_t i = 0; i < g->n_lanes; i++) {
        struct lane *lane = &g->lanes[i];
        if (lane->task && !moon_task_ended(lane->task)) {
            if (lane->own)
                moon_task_cancel(lane->task);
            else
                lane_free(g, lane);
        }
    }
}

/* The lanes must not outlive the call that watches. */
static int group_close(lua_State *L) {
    struct group *g = luaL_checkudata(L, 1, L_GROUP);
    cancel(g);
    for (size_t i = 0; i < g->n_lanes; i++)
        moon_task_watch_stop(&g->lanes[i].watch);
    g->n_lanes = 0;
    return 0;
}

/* Starts items until the lanes are full. */
static void start(lua_State *L, struct group *g) {
    while (!g->failed && g->free && g->next <= g->n) {
        struct lane *lane = g->free;
        struct moon_task *t = NULL;
        lua_settop(L, ERROR);
        if (lua_isnil(L, FN)) {
            lua_geti(L, LIST, g->next);
            t = moon_task_test(L, -1);
            if (!t)
                moon_task_spawn(L, 0);
        } else {
            lua_pushvalue(L, FN);
            lua_geti(L, LIST, g->next);
            lua_pushinteger(L, g->next);
            moon_task_spawn(L, 2);
        }
        lane->own = t == NULL;
        t = lua_touserdata(L, -1);
        lua_rawseti(L, HANDLES, (lua_Integer)(lane - g->lanes) + 1);
        g->free = lane->next;
        g->running++;
        lane->task = t;
        lane->index = g->next++;
        if (moon_task_ended(t))
            on_end(lane);
        else
            moon_task_watch_start(t, &lane->watch, on_end, lane);
    }
}

/* Takes the results of what has ended. */
static void collect(lua_State *L, struct group *g) {
    while (g->done) {
        struct lane *lane = g->done;
        struct moon_task *t = lane->task;
        int n, base;
        g->done = lane->next;
        if (!g->done)
            g->done_tail = &g->done;
        lua_settop(L, ERROR);
        lua_rawgeti(L, HANDLES, (lua_Integer)(lane - g->lanes) + 1);
        base = lua_gettop(L);
        n = moon_task_results(L, base);
        if (t->state != MOON_TASK_DONE || (n >= 2 && lua_isnil(L, base + 1) && moon_error_is(L, base + 2))) {
            if (!g->failed) {
                g->failed = true;
                lua_pushvalue(L, base + 2);
                lua_replace(L, ERROR);
            }
        } else if (n >= 1) {
            lua_pushvalue(L, base + 1);
            lua_rawseti(L, RESULTS, lane->index);
        }
        lane_free(g, lane);
    }
    if (g->failed)
        cancel(g);
}

static int group_k(lua_State *L, int status, lua_KContext ctx) {
    struct group *g = lua_touserdata(L, GROUP);
    (void)status;
    (void)ctx;
    do {
        collect(L, g);
        start(L, g);
    } while (g->done); /* given tasks that had ended before */
    if (g->running) {
        task_wait(L, g->me, NULL);
        return lua_yieldk(L, 0, 0, group_k);
    }
    if (g->failed) {
        lua_pushnil(L);
        lua_pushvalue(L, ERROR);
        return 2;
    }
    lua_pushvalue(L, RESULTS);
    return 1;
}

/* 1: list, 2: whatever, 3: fn or nil */
static int run(lua_State *L, const char *what, lua_Integer limit) {
    lua_Integer n = luaL_len(L, LIST);
    size_t lanes = n <= 0 ? 0 : limit < n ? (size_t)limit : (size_t)n;
    struct group *g;
    moon_task_check(L, what);
    lua_settop(L, FN);
    lua_createtable(L, n > 0 && n < 1 << 20 ? (int)n : 0, 0);
    if (lanes > ((size_t)1 << 26))
        luaL_error(L, "%s: too many", what);
    g = lua_newuserdatauv(L, sizeof *g + lanes * sizeof g->lanes[0], 0);
    memset(g, 0, sizeof *g + lanes * sizeof g->lanes[0]);
    g->me = moon_task_current(L);
    g->n = n;
    g->next = 1;
    g->n_lanes = lanes;
    g->done_tail = &g->done;
    for (size_t i = lanes; i-- > 0;) {
        g->lanes[i].group = g;
        g->lanes[i].next = g->free;
        g->free = &g->lanes[i];
    }
    luaL_setmetatable(L, L_GROUP);
    lua_toclose(L, GROUP);
    lua_createtable(L, (int)lanes, 0);
    lua_pushnil(L);
    return group_k(L, LUA_OK, 0);
}

/* task.all{fn | task, ...} -> list of first results | nil, err */
int l_task_all(lua_State *L) {
    lua_Integer n;
    luaL_checktype(L, LIST, LUA_TTABLE);
    n = luaL_len(L, LIST);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, LIST, i);
        if (!lua_isfunction(L, -1) && !moon_task_test(L, -1))
            return luaL_argerror(L, LIST,
                                 lua_pushfstring(L, "item %I: a function or a task expected, got %s", (LUAI_UACINT)i,
                                                 luaL_typename(L, -1)));
        lua_pop(L, 1);
    }
    lua_settop(L, LIST);
    return run(L, "task.all", LUA_MAXINTEGER);
}

/* task.map(list, limit, fn) -> list of fn(item, index)'s first results | nil, err */
int l_task_map(lua_State *L) {
    lua_Integer limit = luaL_checkinteger(L, LIMIT);
    luaL_checktype(L, LIST, LUA_TTABLE);
    luaL_argcheck(L, limit >= 1, LIMIT, "at least 1");
    luaL_checktype(L, FN, LUA_TFUNCTION);
    return run(L, "task.map", limit);
}

void l_task_group_setup(lua_State *L) {
    luaL_newmetatable(L, L_GROUP);
    lua_pushcfunction(L, group_close);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
}
