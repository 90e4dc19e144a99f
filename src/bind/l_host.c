/* l_host.c - Lua module "moongate.host": what trusted code needs of the host. Never given to scripts. */
#include "l_host.h"

#include "l_audit.h"
#include "l_fs.h"
#include "moongate/beneath.h"
#include "moongate/file.h"
#include "moongate/host.h"
#include "moongate/http.h"
#include "moongate/loop.h"
#include "moongate/redact.h"
#include "moongate/screen.h"
#include "moongate/visible.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SCRIPT_MAX ((size_t)16 << 20)

/* Text of a chunk -> function | nil, err. env: index of the environment or 0. */
static int load_text(lua_State *L, const char *text, size_t len, const char *chunkname, int env) {
    if (moon_host_load_text(L, text, len, chunkname) != LUA_OK)
        return -1;
    if (env) {
        lua_pushvalue(L, env);
        if (!lua_setupvalue(L, -2, 1))
            lua_pop(L, 1);
    }
    return 0;
}

/* Turns the message at the top into nil, err with where. */
static int fail_syntax(lua_State *L) {
    size_t len;
    const char *msg = lua_tolstring(L, -1, &len), *p = msg, *colon = NULL;
    /* "file:12: message": the position goes to err.where */
    while ((p = strchr(p, ':')) != NULL) {
        size_t digits = strspn(p + 1, "0123456789");
        if (digits && p[1 + digits] == ':') {
            colon = p + 1 + digits;
            break;
        }
        p++;
    }
    lua_pushnil(L);
    if (colon && colon[1] == ' ') {
        moon_error_new(L, moon_code_name(MOON_EPARSE), colon + 2, len - (size_t)(colon + 2 - msg));
        lua_pushlstring(L, msg, (size_t)(colon - msg));
        lua_setfield(L, -2, "where");
    } else {
        moon_error_new(L, moon_code_name(MOON_EPARSE), msg, len);
    }
    return 2;
}

/* host.load_chunk(text, chunkname [, env]) -> function | nil, err */
static int l_load_chunk(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_checkstring(L, 2);
    if (load_text(L, text, len, name, lua_isnoneornil(L, 3) ? 0 : 3) != 0)
        return fail_syntax(L);
    return 1;
}

static int read_below(lua_State *L, const char *path, struct moon_buf *buf, struct moon_err *err) {
    const struct moon_roots *roots = moon_host_roots(L, false);
    bool outside = false;
    int fd = roots ? moon_beneath_open(roots, path, O_RDONLY, &outside, err) : 0;
    if (fd >= 0 || outside)
        moon_host_opened(L, false, path, outside, err);
    if (fd < 0)
        return err->code;
    return roots ? moon_file_read_opened(fd, path, SCRIPT_MAX, buf, err)
                 : moon_file_read(path, SCRIPT_MAX, NULL, buf, err);
}

/* host.load_file(path [, env [, of_script]]) -> function | nil, err. of_script: a script asks, so that the file has to
 * be one it may read. */
static int l_load_file(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    bool of_script = lua_toboolean(L, 3);
    const char *chunkname = lua_pushfstring(L, "@%s", path);
    struct moon_buf buf = MOON_BUF_INIT;
    struct moon_err err;
    int rc = of_script ? read_below(L, path, &buf, &err) : moon_file_read(path, SCRIPT_MAX, NULL, &buf, &err);
    int bad = 0;
    if (rc == 0)
        bad = load_text(L, buf.data ? buf.data : "", buf.len, chunkname, lua_isnoneornil(L, 2) ? 0 : 2);
    moon_buf_release(&buf);
    if (rc != 0)
        return moon_fail(L, &err);
    return bad ? fail_syntax(L) : 1;
}

/* host.embedded(name) -> text | nil */
static int l_embedded(lua_State *L) {
    const struct moon_embedded *f = moon_embedded_find(luaL_checkstring(L, 1));
    if (!f)
        return 0;
    lua_pushlstring(L, (const char *)f->data, f->len);
    return 1;
}

/* host.embedded_list([prefix]) -> names */
static int l_embedded_list(lua_State *L) {
    size_t len;
    const char *prefix = luaL_optlstring(L, 1, "", &len);
    lua_Integer n = 0;
    lua_newtable(L);
    for (const struct moon_embedded *f = moon_embedded_files; f->name; f++)
        if (strncmp(f->name, prefix, len) == 0) {
            lua_pushstring(L, f->name);
            lua_rawseti(L, -2, ++n);
        }
    return 1;
}

/* All of it, or MOON_EIO. */
static int write_all(int fd, const char *p, size_t len, struct moon_err *err) {
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) { /* somebody made our terminal non-blocking */
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, -1);
            continue;
        }
        if (n < 0)
            return moon_err_errno(err, MOON_EIO, errno, "can't write to %s", fd == 1 ? "stdout" : "stderr");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_redacted(lua_State *L, int fd) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    const struct moon_services *services = moon_host_services(moon_host_of(L));
    struct moon_buf buf = MOON_BUF_INIT;
    struct moon_err err;
    int rc = moon_redact_values(services->redact, &buf, s, len);
    moon_screen_hide(services->screen);
    rc = rc == 0 ? write_all(fd, buf.data, buf.len, &err) : moon_err_set(&err, rc, "out of memory");
    moon_screen_show(services->screen);
    moon_buf_release(&buf);
    if (rc != 0)
        return moon_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* host.write(text) -> true | nil, err: to stdout, at once, redacted */
static int l_write(lua_State *L) {
    return write_redacted(L, STDOUT_FILENO);
}

/* host.write_err(text) -> true | nil, err: the same to stderr */
static int l_write_err(lua_State *L) {
    return write_redacted(L, STDERR_FILENO);
}

/* host.visible(text [, one_line]) -> text as it may be printed, see moongate/visible.h */
static int l_visible(lua_State *L) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    bool lines = !lua_toboolean(L, 2);
    size_t n = moon_visible(s, len, lines, NULL);
    lua_settop(L, 1);
    if (n == len) /* an escape is longer than what it stands for: not an escape */
        return 1;
    char *out = lua_newuserdatauv(L, n, 0);
    lua_pushlstring(L, out, moon_visible(s, len, lines, out));
    return 1;
}

/* host.isatty(fd) -> boolean */
static int l_isatty(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* host.width([fd = 2]) -> columns of the terminal | nil */
static int l_width(lua_State *L) {
    struct winsize w;
    if (ioctl((int)luaL_optinteger(L, 1, STDERR_FILENO), TIOCGWINSZ, &w) != 0 || w.ws_col == 0)
        return 0;
    lua_pushinteger(L, w.ws_col);
    return 1;
}

static void count(lua_State *L, const char *name, size_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

/* host.stats() -> {tasks, background, transfers, works, memory}: what lives now */
static int l_stats(lua_State *L) {
    struct moon_host_stats s = moon_host_stats(moon_host_of(L));
    const struct moon_services *services = moon_host_services(moon_host_of(L));
    struct moon_http_stats http = {0};
    if (services->http)
        moon_http_stats(services->http, &http);
    lua_createtable(L, 0, 5);
    count(L, "tasks", s.tasks);
    count(L, "background", s.background);
    count(L, "transfers", http.live_calls);
    count(L, "works", moon_loop_works(services->loop));
    count(L, "memory", s.memory);
    return 1;
}

/* host.raw_setmetatable(t, mt) -> t: not stopped by __metatable */
static int l_set_metatable(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* host.raw_getmetatable(v) -> metatable | nil: not stopped by __metatable */
static int l_get_metatable(lua_State *L) {
    luaL_checkany(L, 1);
    return lua_getmetatable(L, 1);
}

/* host.metatables() -> {name = metatable}: of the native modules' objects, for the test that compares them with
 * lua/meta */
static int l_metatables(lua_State *L) {
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, LUA_REGISTRYINDEX)) {
        if (lua_type(L, -2) == LUA_TSTRING && lua_istable(L, -1) && strncmp(lua_tostring(L, -2), "moongate.", 9) == 0) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, -4);
        } else {
            lua_pop(L, 1);
        }
    }
    return 1;
}

static const luaL_Reg funcs[] = {{"load_chunk", l_load_chunk},
                                 {"load_file", l_load_file},
                                 {"embedded", l_embedded},
                                 {"embedded_list", l_embedded_list},
                                 {"write", l_write},
                                 {"write_err", l_write_err},
                                 {"write_out", l_host_write_out},
                                 {"read_stdin", l_host_read_stdin},
                                 {"foreground", l_host_foreground},
                                 {"has_children", l_host_has_children},
                                 {"background", l_host_background},
                                 {"process", l_host_process},
                                 {"process_life", l_host_process_life},
                                 {"shared", l_host_shared},
                                 {"shared_changes", l_host_shared_changes},
                                 {"adopt", l_host_adopt},
                                 {"visible", l_visible},
                                 {"isatty", l_isatty},
                                 {"width", l_width},
                                 {"stats", l_stats},
                                 {"metatables", l_metatables},
                                 {"raw_setmetatable", l_set_metatable},
                                 {"raw_getmetatable", l_get_metatable},
                                 {"rotate_audit", l_audit_rotate},
                                 {"audit_written", l_audit_written},
                                 {"keep_checkpoint", l_audit_keep_checkpoint},
                                 {NULL, NULL}};

/* A function that a script has, too, for files that the user has named: whatever scripts may do. [-0, +0, e] */
static void push_unbound(lua_State *L, const char *name, lua_CFunction fn) {
    lua_pushboolean(L, 1);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, name);
}

int luaopen_moongate_host(lua_State *L);
int luaopen_moongate_host(lua_State *L) {
    l_host_out_setup(L);
    l_fs_setup(L);
    l_fs_lines_setup(L);
    luaL_newlib(L, funcs);
    l_fs_push(L, true);
    lua_setfield(L, -2, "fs");
    l_audit_file_setup(L);
    push_unbound(L, "audit_tree", l_audit_tree);
    push_unbound(L, "secret_file", l_secret_file);
    push_unbound(L, "write_secret", l_fs_write_secret);
    return 1;
}
