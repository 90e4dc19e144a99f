/* l_lines.c - fs.lines: a file or standard input, line by line, in constant memory. Part of module "fs".  Types:
 * lua/meta/fs.lua
 *
 * The pool waits for the bytes. What it works on is a source of its own: a reader that is closed in between leaves it
 * an orphan, tells it to stop, and its end frees it. */
#include "l_fs.h"

#include "moongate/beneath.h"
#include "moongate/host.h"
#include "moongate/lines.h"
#include "moongate/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define L_LINES   "moongate.fs.lines"
#define PIECE     ((size_t)64 << 10)
#define LINE_MAX_ ((lua_Integer)1 << 20)
#define LIST_MAX  1024

struct source {
    struct moon_work work;
    struct moon_wake wake;
    int fd, stop; /* fd: STDIN_FILENO is borrowed */
    bool busy, orphan;
    bool opened, noted;
    const struct moon_roots *roots; /* where path has to be; NULL: anywhere */
    bool outside;                   /* it is not there */
    uint64_t bytes;                 /* read so far */
    ssize_t got;                    /* of the last read; or a code */
    struct moon_err err;
    char *path; /* NULL: standard input */
    char piece[];
};

struct l_lines {
    struct source *source; /* NULL: closed */
    struct moon_lines lines;
};

static void source_free(struct source *s) {
    if (!s)
        return;
    if (s->fd > STDIN_FILENO)
        close(s->fd);
    if (s->stop >= 0)
        close(s->stop);
    free(s->path);
    free(s);
}

/* ---- on the pool ---- */

/* O_NONBLOCK: a pipe that nobody writes to yet must not hold the open up. */
static int open_source(struct source *s) {
    s->opened = true;
    if (!s->path)
        return 0;
    if (s->roots) {
        s->fd = moon_beneath_open(s->roots, s->path, O_RDONLY, &s->outside, &s->err);
        return s->fd >= 0 ? 0 : s->err.code;
    }
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return s->fd >= 0 ? 0 : moon_err_errno(&s->err, MOON_EIO, errno, "%s", s->path);
}

static void run(void *ud) {
    struct source *s = ud;
    if (!s->opened && open_source(s) != 0) {
        s->got = s->err.code;
        return;
    }
    s->got = moon_fd_read(s->fd, s->stop, s->piece, PIECE, &s->err);
    if (s->got > 0)
        s->bytes += (uint64_t)s->got;
}

static void done(void *ud, bool cancelled) {
    struct source *s = ud;
    s->busy = false;
    if (cancelled)
        s->got = moon_err_set(&s->err, MOON_ECANCELLED, "cancelled");
    if (s->orphan)
        source_free(s);
    else
        moon_task_wake(s->wake);
}

/* ---- the reader ---- */

/* __gc, __close and :close() */
static int l_close(lua_State *L) {
    struct l_lines *r = luaL_checkudata(L, 1, L_LINES);
    struct source *s = r->source;
    r->source = NULL;
    moon_lines_release(&r->lines);
    if (s && s->busy) {
        uint64_t one = 1;
        s->orphan = true;
        if (write(s->stop, &one, sizeof one) < 0)
            moon_work_cancel(moon_host_services(moon_host_of(L))->loop, &s->work);
    } else {
        source_free(s);
    }
    return 0;
}

/* Pushes a list of the lines there are, at most max, and the number of the first; or nothing. */
static int push_lines(lua_State *L, struct moon_lines *l, lua_Integer max) {
    const char *line;
    size_t len;
    uint64_t first = l->number + 1;
    enum moon_lines_result r = moon_lines_next(l, &line, &len);
    if (r == MOON_LINES_MORE || r == MOON_LINES_END)
        return 0;
    lua_createtable(L, (int)max, 0);
    for (lua_Integer n = 1;; n++) {
        if (r == MOON_LINES_LINE)
            lua_pushlstring(L, line, len);
        else
            lua_pushboolean(L, 0);
        lua_rawseti(L, -2, n);
        if (n >= max)
            break;
        r = moon_lines_next(l, &line, &len);
        if (r == MOON_LINES_MORE || r == MOON_LINES_END)
            break;
    }
    lua_pushinteger(L, (lua_Integer)first);
    return 2;
}

static int wait_for_more(lua_State *L, struct l_lines *r, lua_Integer max);

static int read_k(lua_State *L, int status, lua_KContext max) {
    struct l_lines *r = lua_touserdata(L, 1);
    struct source *s = r->source;
    (void)status;
    if (!s) {
        struct moon_err err;
        moon_err_set(&err, MOON_ECLOSED, "the reader was closed");
        return moon_fail(L, &err);
    }
    if (s->path && !s->noted)
        moon_host_opened(L, false, s->path, s->outside, &s->err);
    s->noted = true;
    if (s->got < 0)
        return moon_fail(L, &s->err);
    if (s->got == 0)
        moon_lines_end(&r->lines);
    else if (moon_lines_feed(&r->lines, s->piece, (size_t)s->got) != 0)
        return luaL_error(L, "not enough memory");
    int n = push_lines(L, &r->lines, max);
    if (n > 0 || r->lines.ended)
        return n;
    return wait_for_more(L, r, max);
}

static int wait_for_more(lua_State *L, struct l_lines *r, lua_Integer max) {
    struct source *s = r->source;
    struct moon_err err;
    if (moon_work_start(moon_host_services(moon_host_of(L))->loop, &s->work, run, done, s, &err) != 0)
        return moon_fail(L, &err);
    s->busy = true;
    s->wake = moon_task_park(L);
    return lua_yieldk(L, 0, (lua_KContext)max, read_k);
}

/* lines:read([most = 256]) -> list, number of its first line | nil at the end | nil, err */
static int l_read(lua_State *L) {
    struct l_lines *r = luaL_checkudata(L, 1, L_LINES);
    lua_Integer max = luaL_optinteger(L, 2, 256);
    luaL_argcheck(L, max >= 1 && max <= LIST_MAX, 2, "1 to 1024 lines");
    if (!r->source)
        return luaL_error(L, "lines:read: the reader is closed");
    if (r->source->busy)
        return luaL_error(L, "lines:read: another task waits for this reader");
    moon_task_check(L, "lines:read");
    lua_settop(L, 1);
    int n = push_lines(L, &r->lines, max);
    if (n > 0 || r->lines.ended)
        return n;
    return wait_for_more(L, r, max);
}

/* lines:offset() -> bytes read of the file */
static int l_offset(lua_State *L) {
    const struct l_lines *r = luaL_checkudata(L, 1, L_LINES);
    lua_pushinteger(L, r->source ? (lua_Integer)r->source->bytes : 0);
    return 1;
}

static struct source *source_new(const char *path) {
    struct source *s = calloc(1, sizeof *s + PIECE);
    if (!s)
        return NULL;
    s->fd = path ? -1 : STDIN_FILENO;
    s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); /* without one (no descriptor is left) it can't be cut short */
    if (path && !(s->path = strdup(path))) {
        source_free(s);
        return NULL;
    }
    return s;
}

/* fs.lines(path [, max = 1 MiB]) -> reader | nil, err; "-": standard input. The file is opened by the first read. */
int l_fs_lines(lua_State *L) {
    size_t path_len;
    struct moon_err err;
    const char *path = luaL_checklstring(L, 1, &path_len);
    lua_Integer max = luaL_optinteger(L, 2, LINE_MAX_);
    luaL_argcheck(L, path_len > 0 && strlen(path) == path_len, 1, "not a path");
    luaL_argcheck(L, max >= 1, 2, "a number of bytes");
    bool is_stdin = strcmp(path, "-") == 0; /* given by the user */
    struct l_lines *r = lua_newuserdatauv(L, sizeof *r, 0);
    r->source = NULL;
    moon_lines_init(&r->lines, (size_t)max);
    luaL_setmetatable(L, L_LINES);
    r->source = source_new(is_stdin ? NULL : path);
    if (!r->source) {
        moon_err_set(&err, MOON_ENOMEM, "out of memory");
        return moon_fail(L, &err);
    }
    bool of_user = lua_toboolean(L, lua_upvalueindex(1));
    r->source->noted = of_user;
    r->source->roots = of_user ? NULL : moon_host_roots(L, false);
    return 1;
}

static int l_tostring(lua_State *L) {
    const struct l_lines *r = luaL_checkudata(L, 1, L_LINES);
    lua_pushfstring(L, "lines (%s)", r->source ? "open" : "closed");
    return 1;
}

static const luaL_Reg methods[] = {{"read", l_read}, {"offset", l_offset}, {"close", l_close}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {"__tostring", l_tostring}, {NULL, NULL}};

void l_fs_lines_setup(lua_State *L) {
    if (luaL_newmetatable(L, L_LINES)) {
        luaL_setfuncs(L, meta, 0);
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
}
