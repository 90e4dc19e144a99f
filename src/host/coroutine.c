/* coroutine.c - the coroutines that scripts make. A wait inside of one passes through it: the task is parked with all
 * the coroutines that it is in, and the scheduler's wake goes back down to the innermost. Tasks can't be resumed or
 * closed from outside, and neither can a coroutine whose task waits inside of it. */
#include "host_private.h"

#define COROUTINE_HOOK 10000 /* instructions between two looks at the interrupt flag */

enum { CO = 1 };                      /* on the stack of who resumes */
enum { OF_WRAP = 1, WILL_CLOSE = 2 }; /* context of a continuation; the coroutine is marked as to be closed */

/* __close of all coroutines: the task has ended while it waited in this one. */
static int close_waiting(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    if (!co || !host_is_waiting(co))
        return 0;
    host_set_waiting(co, false);
    if (lua_resetthread(co) == LUA_OK)
        return 0;
    lua_xmove(co, L, 1);
    return lua_error(L);
}

/* ---- resuming ---- */

#define WAITS (-2)

/* Resumes the coroutine with nargs values from the top of L. The number of results, which are at the top of L then; -1:
 * an error, which is; WAITS. */
static int run(lua_State *L, int nargs) {
    lua_State *co = lua_tothread(L, CO);
    int n = 0;
    if (!lua_checkstack(co, nargs)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, nargs);
    int status = host_resume_nested(L, co, nargs, &n);
    if (status == LUA_YIELD && host_is_parked(L)) {
        lua_pop(co, n);
        return WAITS;
    }
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, n + 1)) {
        lua_pop(co, n);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, n);
    return n;
}

static int go_on(lua_State *L, int n, lua_KContext how);

static int resumed_k(lua_State *L, int status, lua_KContext how) {
    (void)status;
    host_set_waiting(lua_tothread(L, CO), false);
    return go_on(L, run(L, 0), how);
}

/* An error of the coroutine's at the top, as Lua's own wrap raises it. */
static int raise_error(lua_State *L) {
    lua_State *co = lua_tothread(L, CO);
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) { /* it failed: nobody else can close it */
        status = lua_resetthread(co);
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) { /* where it was called */
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

/* n: what run has given. The task waits inside of the coroutine: so does who has resumed it. No memory is needed. */
static int go_on(lua_State *L, int n, lua_KContext how) {
    if (n == WAITS) {
        if (!(how & WILL_CLOSE))
            lua_toclose(L, CO);
        host_set_waiting(lua_tothread(L, CO), true);
        return lua_yieldk(L, 0, how | WILL_CLOSE, resumed_k);
    }
    if (how & OF_WRAP)
        return n >= 0 ? n : raise_error(L);
    lua_pushboolean(L, n >= 0);
    lua_insert(L, n >= 0 ? -(n + 1) : -2);
    return n >= 0 ? n + 1 : 2;
}

/* A coroutine at 1 that may be resumed or closed from here. */
static lua_State *check(lua_State *L, const char *what) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    if (host_is_task_thread(co))
        luaL_error(L, "coroutine.%s: a task; only the scheduler runs it", what);
    return co;
}

static int co_resume(lua_State *L) {
    lua_State *co = check(L, "resume");
    if (host_is_waiting(co)) {
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "cannot resume a coroutine that another task waits in");
        return 2;
    }
    return go_on(L, run(L, lua_gettop(L) - 1), 0);
}

/* The function that coroutine.wrap makes. Upvalue 1: the coroutine. */
static int call_wrapped(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, CO);
    if (host_is_waiting(lua_tothread(L, CO)))
        return luaL_error(L, "cannot resume a coroutine that another task waits in");
    return go_on(L, run(L, lua_gettop(L) - 1), OF_WRAP);
}

/* ---- the rest of the library ---- */

/* close and status; upvalue 1: Lua's own */
static int co_close(lua_State *L) {
    if (host_is_waiting(check(L, "close")))
        return luaL_error(L, "cannot close a coroutine that another task waits in");
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int co_status(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    if (!co || !host_is_waiting(co))
        return lua_tocfunction(L, lua_upvalueindex(1))(L);
    lua_pushliteral(L, "normal");
    return 1;
}

static int co_yield (lua_State *L) {
    if (host_is_task_thread(L))
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static int co_create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_sethook(co, host_interrupt_hook, LUA_MASKCOUNT, COROUTINE_HOOK);
    return 1;
}

static int co_wrap(lua_State *L) {
    co_create(L);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

/* Replaces field name of the library at the top by fn, which gets the original as upvalue. */
static void wrap(lua_State *L, const char *name, lua_CFunction fn) {
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, name);
}

void host_open_coroutines(lua_State *L) {
    wrap(L, "resume", co_resume);
    wrap(L, "close", co_close);
    wrap(L, "status", co_status);
    wrap(L, "yield", co_yield );
    wrap(L, "create", co_create);
    wrap(L, "wrap", co_wrap);
    lua_pushthread(L);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, close_waiting);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2); /* of all coroutines */
    lua_pop(L, 1);
}
