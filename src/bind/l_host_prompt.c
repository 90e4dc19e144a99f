/* l_host_prompt.c - what a prompt asks of the scheduler. Part of module "moongate.host".  Types: lua/meta/host.lua */
#include "l_host.h"

#include "moongate/task.h"

/* host.foreground(task | nil): the current task is a prompt, and that is what Ctrl-C ends */
int l_host_foreground(lua_State *L) {
    struct moon_task *line = lua_isnoneornil(L, 1) ? NULL : moon_task_arg(L, 1);
    moon_host_foreground(L, line && !moon_task_ended(line) ? line : NULL);
    return 0;
}

/* host.has_children() -> whether tasks that the current one has spawned still live */
int l_host_has_children(lua_State *L) {
    struct moon_task *me = moon_task_current(L);
    lua_pushboolean(L, me && me->children);
    return 1;
}
