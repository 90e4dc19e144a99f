/* l_scope.c - private Lua module "scope" over moongate/task.h: the place of a task in a run, what it shields from being
 * cancelled, and what a stop signal ends. For lua/moongate/journal.lua.  Types: lua/meta/scope.lua
 *
 * A context is any Lua value, handed down to the tasks that are spawned in it. What is spawned in one context does not
 * count in another: whether a part of a run is done again or only remembered, the tasks after it have the same numbers.
 */
#include "l_audit.h"
#include "l_http.h"

#include "moongate/task.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 1000 /* levels of tasks below one context */

static struct moon_task *current(lua_State *L, const char *what) {
    struct moon_task *me = moon_task_current(L);
    if (!me)
        luaL_error(L, "%s: only inside a task", what);
    return me;
}

static int nothing_k(lua_State *L, int status, lua_KContext n) {
    (void)L;
    (void)status;
    return (int)n;
}

/* Returns the n values at the top; first heeds a cancellation that the shield has put off. */
static int safe_point(lua_State *L, struct moon_task *me, int n) {
    if (!me->cancelled || moon_task_shielded(me) || !moon_task_may_wait(L))
        return n;
    moon_task_wake(moon_task_park(L));
    return lua_yieldk(L, 0, n, nothing_k);
}

/* What enter changes and leave puts back, as one integer: spawned, depth, shield, guard. */
static lua_Integer packed(const struct moon_task *t) {
    return (lua_Integer)((uint64_t)t->spawned | (uint64_t)(t->depth & 0x3ff) << 32 |
                         (uint64_t)(t->shield & 0xff) << 48 | (uint64_t)t->guard << 56);
}

static void set_context(lua_State *L, struct moon_task *me, int idx) {
    me->has_context = !lua_isnil(L, idx);
    moon_task_push(L, me);
    lua_pushvalue(L, idx);
    lua_setiuservalue(L, -2, 3);
    lua_pop(L, 1);
}

/* scope.get() -> the context | nil */
static int l_get(lua_State *L) {
    struct moon_task *me = moon_task_current(L);
    if (!me || !me->has_context)
        return 0;
    moon_task_push(L, me);
    lua_getiuservalue(L, -1, 3);
    return 1;
}

/* scope.enter(context, shielded [, guarded = as before]) -> before, state: for leave */
static int l_enter(lua_State *L) {
    struct moon_task *me = current(L, "scope.enter");
    lua_settop(L, 3);
    lua_Integer state = packed(me);
    if (me->has_context)
        l_get(L);
    else
        lua_pushnil(L);
    set_context(L, me, 1);
    me->spawned = 0;
    me->depth = 0;
    me->shield += lua_toboolean(L, 2) ? 1u : 0u;
    if (lua_type(L, 3) == LUA_TSTRING)
        me->guard = MOON_GUARD_OFFLINE;
    else if (!lua_isnil(L, 3) && me->guard != MOON_GUARD_OFFLINE)
        me->guard = lua_toboolean(L, 3) ? MOON_GUARD_ONCE : MOON_GUARD_NONE;
    lua_pushinteger(L, state);
    return 2;
}

/* scope.leave(before, state) */
static int l_leave(lua_State *L) {
    struct moon_task *me = current(L, "scope.leave");
    uint64_t state = (uint64_t)luaL_checkinteger(L, 2);
    lua_settop(L, 2);
    set_context(L, me, 1);
    me->spawned = (uint32_t)state;
    me->depth = (uint32_t)(state >> 32) & 0x3ff;
    me->shield = (uint32_t)(state >> 48) & 0xff;
    me->guard = (enum moon_task_guard)(state >> 56 & 3);
    return safe_point(L, me, 0);
}

/* scope.shield(n) -> what it was. 0: here a cancellation is heeded. */
static int l_shield(lua_State *L) {
    struct moon_task *me = current(L, "scope.shield");
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n < 256, 1, "0 to 255");
    lua_pushinteger(L, (lua_Integer)me->shield);
    me->shield = (uint32_t)n;
    return safe_point(L, me, 1);
}

/* scope.numbers() -> "2.1": the numbers of the tasks from the one that was given the context down to this one */
static int l_numbers(lua_State *L) {
    const struct moon_task *me = current(L, "scope.numbers");
    uint32_t ordinals[DEPTH_MAX], n = me->depth;
    luaL_Buffer b;
    char text[16];
    if (n == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (n > DEPTH_MAX)
        return luaL_error(L, "tasks are nested too deep");
    for (uint32_t i = n; i-- > 0 && me; me = me->parent)
        ordinals[i] = me->ordinal;
    luaL_buffinit(L, &b);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, i ? ".%u" : "%u", ordinals[i]);
        luaL_addstring(&b, text);
    }
    luaL_pushresult(&b);
    return 1;
}

/* scope.where() -> "file:line" of the innermost line of a script | nil */
static int l_where(lua_State *L) {
    lua_Debug ar;
    for (int level = 1; level < 64 && lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0 && ar.source[0] == '@' && strncmp(ar.source, "@moongate/", 10) != 0) {
            lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
            return 1;
        }
    }
    return 0;
}

/* scope.refused() -> how many requests a guard has refused */
static int l_refused(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)moon_host_refused(moon_host_of(L)));
    return 1;
}

/* scope.stoppable(kind = "command" | "run"): the first signal cancels the current task, at its next safe point */
static int l_stoppable(lua_State *L) {
    static const char *const kinds[] = {"command", "run", NULL};
    enum moon_stop_kind kind = luaL_checkoption(L, 1, NULL, kinds) == 1 ? MOON_STOP_RUN : MOON_STOP_COMMAND;
    moon_host_stoppable(current(L, "scope.stoppable"), kind);
    return 0;
}

static const luaL_Reg funcs[] = {{"get", l_get},
                                 {"enter", l_enter},
                                 {"leave", l_leave},
                                 {"shield", l_shield},
                                 {"where", l_where},
                                 {"numbers", l_numbers},
                                 {"stoppable", l_stoppable},
                                 {"reopen_intent", l_audit_reopen},
                                 {"refused", l_refused},
                                 {"request", l_http_request_trusted},
                                 {"hooks", l_http_hooks_set},
                                 {NULL, NULL}};

int luaopen_moongate_scope(lua_State *L);
int luaopen_moongate_scope(lua_State *L) {
    luaL_newlib(L, funcs);
    return 1;
}
