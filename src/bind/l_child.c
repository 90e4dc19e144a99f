/* l_child.c - Lua module "moongate.child" over moongate/child.h: processes of ours, for trusted code.  Types:
 * lua/meta/child.lua */
#include "moongate/child.h"
#include "moongate/folder.h"
#include "moongate/host.h"
#include "moongate/loop.h"

#include <limits.h>
#include <signal.h>
#include <string.h>

#define L_CHILD    "moongate.child.handle"
#define L_FOLDER   "moongate.child.folder"
#define OUTPUT_MAX ((size_t)16 << 20) /* what waits for a reader; then the child is killed */

struct l_child {
    struct moon_child *child; /* NULL: closed */
    struct moon_wake wake;
};

static struct l_child *check(lua_State *L) {
    struct l_child *h = luaL_checkudata(L, 1, L_CHILD);
    if (!h->child)
        luaL_error(L, "child: it is closed");
    return h;
}

static void changed(void *ud) {
    struct l_child *h = ud;
    if (moon_child_output(h->child)->len > OUTPUT_MAX)
        moon_child_kill(h->child, SIGKILL);
    moon_task_wake(h->wake);
}

/* A list of strings at idx as a NULL-ended vector, anchored in a userdata that is left on the stack.  [-0, +1, e] */
static char **check_list(lua_State *L, int idx, const char *what) {
    lua_Integer n = luaL_len(L, idx);
    if (n > INT_MAX / 16)
        luaL_error(L, "child.start: %s is too long", what);
    char **list = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *list, 1);
    lua_createtable(L, (int)n, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_geti(L, idx, i) != LUA_TSTRING)
            luaL_error(L, "child.start: %s must be strings", what);
        list[i - 1] = (char *)lua_tostring(L, -1);
        lua_rawseti(L, -2, i);
    }
    list[n] = NULL;
    lua_setiuservalue(L, -2, 1);
    return list;
}

/* child.start{args = {file, ...}, env = {"NAME=value", ...}, folder =} -> child | nil, err */
static int l_start(lua_State *L) {
    static const char *const names[] = {"args", "env", "folder", NULL};
    struct moon_child_opts opts = {.changed = changed};
    struct moon_err err;
    luaL_checktype(L, 1, LUA_TTABLE);
    moon_check_options(L, 1, names);
    lua_settop(L, 1);
    if (lua_getfield(L, 1, "args") != LUA_TTABLE)
        return luaL_error(L, "child.start: args must be a list");
    opts.argv = check_list(L, 2, "args");
    opts.file = opts.argv[0];
    luaL_argcheck(L, opts.file, 1, "args: a program is needed");
    if (lua_getfield(L, 1, "env") != LUA_TNIL)
        opts.env = check_list(L, lua_gettop(L), "env");
    lua_getfield(L, 1, "folder");
    opts.folder = luaL_optstring(L, -1, NULL);
    struct l_child *h = lua_newuserdatauv(L, sizeof *h, 0);
    memset(h, 0, sizeof *h);
    luaL_setmetatable(L, L_CHILD);
    opts.ud = h;
    if (moon_child_start(&h->child, moon_host_services(moon_host_of(L))->loop, &opts, &err) != 0)
        return moon_fail(L, &err);
    return 1;
}

static int read_k(lua_State *L, int status, lua_KContext ctx) {
    struct l_child *h = check(L);
    struct moon_buf *output = moon_child_output(h->child);
    (void)status;
    (void)ctx;
    if (output->len) {
        lua_pushlstring(L, output->data, output->len);
        moon_buf_clear(output);
        return 1;
    }
    if (moon_child_ended(h->child))
        return 0;
    h->wake = moon_task_park(L);
    return lua_yieldk(L, 0, 0, read_k);
}

/* child:read() -> what has come; waits until something has | nil when it has ended */
static int l_read(lua_State *L) {
    check(L);
    moon_task_check(L, "child:read");
    lua_settop(L, 1);
    return read_k(L, LUA_OK, 0);
}

/* child:status() -> exit status, signal | nil while it runs */
static int l_status(lua_State *L) {
    struct l_child *h = check(L);
    int signal;
    if (!moon_child_ended(h->child))
        return 0;
    lua_pushinteger(L, moon_child_status(h->child, &signal));
    lua_pushinteger(L, signal);
    return 2;
}

/* child:kill() */
static int l_kill(lua_State *L) {
    moon_child_kill(check(L)->child, SIGKILL);
    return 0;
}

/* __gc, __close and :close() */
static int l_close(lua_State *L) {
    struct l_child *h = luaL_checkudata(L, 1, L_CHILD);
    struct moon_child *child = h->child;
    h->child = NULL;
    moon_child_free(child);
    return 0;
}

/* ---- folders ---- */

/* __gc and __close: the folder goes, and all in it */
static int l_folder_close(lua_State *L) {
    struct moon_buf *path = luaL_checkudata(L, 1, L_FOLDER);
    if (path->len)
        moon_folder_remove(path->data);
    moon_buf_release(path);
    return 0;
}

/* folder:path() */
static int l_folder_path(lua_State *L) {
    const struct moon_buf *path = luaL_checkudata(L, 1, L_FOLDER);
    luaL_argcheck(L, path->len, 1, "it is removed");
    lua_pushlstring(L, path->data, path->len);
    return 1;
}

/* child.folder() -> folder | nil, err */
static int l_folder(lua_State *L) {
    struct moon_err err;
    struct moon_buf *path = lua_newuserdatauv(L, sizeof *path, 0);
    moon_buf_init(path);
    luaL_setmetatable(L, L_FOLDER);
    if (moon_folder_temporary(path, "moongate-test", &err) != 0) {
        moon_buf_release(path);
        return moon_fail(L, &err);
    }
    return 1;
}

/* ---- this program ---- */

/* child.self() -> path of this program | nil, err */
static int l_self(lua_State *L) {
    char path[PATH_MAX];
    struct moon_err err;
    if (moon_child_self(path, sizeof path, &err) != 0)
        return moon_fail(L, &err);
    lua_pushstring(L, path);
    return 1;
}

/* child.parallelism() -> how many can run at once */
static int l_parallelism(lua_State *L) {
    lua_pushinteger(L, moon_child_parallelism());
    return 1;
}

static const luaL_Reg methods[] = {
    {"read", l_read}, {"status", l_status}, {"kill", l_kill}, {"close", l_close}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
static const luaL_Reg folder_methods[] = {{"path", l_folder_path}, {NULL, NULL}};
static const luaL_Reg folder_meta[] = {{"__gc", l_folder_close}, {"__close", l_folder_close}, {NULL, NULL}};
static const luaL_Reg funcs[] = {
    {"start", l_start}, {"folder", l_folder}, {"self", l_self}, {"parallelism", l_parallelism}, {NULL, NULL}};

static void set_up(lua_State *L, const char *name, const luaL_Reg *of_meta, const luaL_Reg *of_index) {
    if (luaL_newmetatable(L, name)) {
        luaL_setfuncs(L, of_meta, 0);
        lua_newtable(L);
        luaL_setfuncs(L, of_index, 0);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
}

int luaopen_moongate_child(lua_State *L);
int luaopen_moongate_child(lua_State *L) {
    set_up(L, L_CHILD, meta, methods);
    set_up(L, L_FOLDER, folder_meta, folder_methods);
    luaL_newlib(L, funcs);
    return 1;
}
