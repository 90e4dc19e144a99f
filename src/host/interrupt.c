/* interrupt.c - ends a script that runs. Nothing is paid for it before: the hook is set when the interrupt comes, as
 * lua.c does, on the coroutine of the running task; coroutines that a script makes carry a hook of their own
 * (baselib.c) that asks now and then.
 *
 * The hook raises again and again, so that no pcall can swallow it: the first time it leaves closing functions some
 * room, from the second on it comes at every instruction. */
#include "host_private.h"

#define GRACE 10000 /* instructions for __close between the first error and the second */

void host_interrupt_hook(lua_State *L, lua_Debug *ar) {
    struct moon_host *host = moon_host_of(L);
    lua_State *running = atomic_load(&host->running);
    int count;
    (void)ar;
    if (!atomic_load(&host->interrupted))
        return;
    count = host->raised++ == 0 ? GRACE : 1;
    lua_sethook(L, host_interrupt_hook, LUA_MASKCOUNT, count);
    if (running && running != L)
        lua_sethook(running, host_interrupt_hook, LUA_MASKCOUNT, count);
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
