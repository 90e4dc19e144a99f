/* task.c - a task as a value: its handle, its outcome. */
#include "host_private.h"

struct moon_task *moon_task_arg(lua_State *L, int idx) {
    return luaL_checkudata(L, idx, MOON_TASK_MT);
}

struct moon_task *moon_task_test(lua_State *L, int idx) {
    return luaL_testudata(L, idx, MOON_TASK_MT);
}

struct moon_task *moon_task_current(lua_State *L) {
    return moon_host_of(L)->current;
}

int moon_task_results(lua_State *L, int idx) {
    struct moon_task *t = lua_touserdata(L, idx);
    struct moon_err err;
    idx = lua_absindex(L, idx);
    t->joined = true;
    switch (t->state) {
    case MOON_TASK_DONE:
        if (t->nresults == 0)
            return 0;
        lua_getiuservalue(L, idx, 1);
        if (t->nresults == 1)
            return 1;
        luaL_checkstack(L, t->nresults, "too many results");
        for (int i = 1; i <= t->nresults; i++)
            lua_rawgeti(L, -i, i);
        lua_remove(L, -(t->nresults + 1));
        return t->nresults;
    case MOON_TASK_FAILED:
        lua_pushnil(L);
        lua_getiuservalue(L, idx, 1);
        if (!moon_error_is(L, -1)) /* there was no memory left for an object */
            host_error_convert(L, "");
        return 2;
    case MOON_TASK_CANCELLED:
        moon_err_set(&err, MOON_ECANCELLED, "the task was cancelled");
        return moon_fail(L, &err);
    default:
        return luaL_error(L, "the task has not ended");
    }
}
