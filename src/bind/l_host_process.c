/* l_host_process.c - host.process, host.process_life and host.background: what outlasts a task, and whether a process
 * still lives. Part of module "moongate.host".  Types: lua/meta/host.lua */
#include "l_host.h"

#include "moongate/process.h"
#include "moongate/task.h"

#include <string.h>

static void set_text(lua_State *L, const char *name, const char *text) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

/* host.process() -> {host, boot, space, pid, started} */
int l_host_process(lua_State *L) {
    struct moon_process p;
    moon_process_self(&p);
    lua_createtable(L, 0, 5);
    set_text(L, "host", p.host);
    set_text(L, "boot", p.boot);
    set_text(L, "space", p.space);
    set_integer(L, "pid", p.pid);
    set_integer(L, "started", p.started);
    return 1;
}

static void get_text(lua_State *L, const char *name, char *out, size_t size) {
    size_t len = 0;
    lua_getfield(L, 1, name);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : "";
    if (len < size)
        memcpy(out, text, len + 1);
    lua_pop(L, 1);
}

static int64_t get_integer(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    lua_Integer n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return n;
}

/* host.process_life(process) -> "alive" | "gone" | "unknown" */
int l_host_process_life(lua_State *L) {
    static const char *const names[] = {"alive", "gone", "unknown"};
    struct moon_process self, other;
    luaL_checktype(L, 1, LUA_TTABLE);
    memset(&other, 0, sizeof other);
    get_text(L, "boot", other.boot, sizeof other.boot);
    get_text(L, "space", other.space, sizeof other.space);
    other.pid = get_integer(L, "pid");
    other.started = get_integer(L, "started");
    moon_process_self(&self);
    lua_pushstring(L, names[moon_process_life(&self, &other)]);
    return 1;
}

/* host.background(fn, ...) -> task: a child of the root task */
int l_host_background(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    moon_task_spawn_background(L, lua_gettop(L) - 1);
    return 1;
}
