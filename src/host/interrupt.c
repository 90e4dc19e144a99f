/* interrupt.c - ends a script that runs. Nothing is paid for it before: the hook is set when the interrupt comes, as
 * lua.c does, on the coroutine of the running task; coroutines that a script makes carry a hook of their own
 * (baselib.c) that asks now and then.
 *
 * The hook yields, and the scheduler closes the task: no pcall can keep it, and its to-be-closed variables are closed.
 * Where a yield is not possible (a callback of table.sort, say) it raises, at every instruction, until it is. */
#include "host_private.h"

void host_interrupt_hook(lua_State *L, lua_Debug *ar) {
    struct moon_host *host = moon_host_of(L);
    lua_State *running = atomic_load(&host->running);
    (void)ar;
    if (!atomic_load(&host->interrupted))
        return;
    lua_sethook(L, host_interrupt_hook, LUA_MASKCOUNT, 1);
    if (running && running != L)
        lua_sethook(running, host_interrupt_hook, LUA_MASKCOUNT, 1);
    if (lua_isyieldable(L))
        lua_yield(L, 0);
    else
        luaL_error(L, "interrupted");
}

void moon_host_interrupt(struct moon_host *host) {
    lua_State *running;
    atomic_store(&host->interrupted, 1);
    running = atomic_load(&host->running);
    if (running && pthread_equal(pthread_self(), host->thread))
        lua_sethook(running, host_interrupt_hook, LUA_MASKCOUNT, 1);
    moon_loop_wake(host->services.loop);
}
