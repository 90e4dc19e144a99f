/* l_fs.c - Lua module "fs" over moongate/file.h: files, off the loop's thread.  Types: lua/meta/fs.lua
 *
 * An operation owns copies of all it works on, so that a cancelled task can go while the pool is still at it: the
 * operation is then an orphan, and its end frees it. */
#include "l_fs.h"

#include "l_secret.h"
#include "moongate/beneath.h"
#include "moongate/file.h"
#include "moongate/host.h"
#include "moongate/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define L_FS_OP  "moongate.fs.op"
#define READ_MAX ((size_t)64 << 20)

struct op;
enum access { ANY, READ, WRITE }; /* ANY: the user's own choice, or no path */

struct spec {
    const char *what;
    enum access access;
    void (*run)(struct op *op);
    int (*push)(lua_State *L, struct op *op);
};

struct op {
    struct moon_work work;
    struct moon_wake wake;
    void (*run)(struct op *op);
    int (*push)(lua_State *L, struct op *op); /* results of a success */
    bool busy, orphan, secret;                /* secret: buf is wiped at the end */
    const struct moon_roots *roots;           /* where path has to be; NULL: anywhere */
    bool outside;                             /* it is not there */
    enum access access;
    char *path;
    struct moon_buf buf; /* what is read or written; names, each with its NUL */
    size_t max;
    atomic_bool stop; /* nobody waits any more: to what may take for ever */
    unsigned mode;
    struct stat st;
    int rc;
    struct moon_err err;
};

struct l_op {
    struct op *op;
};

static void op_free(struct op *op) {
    if (!op)
        return;
    if (op->secret && op->buf.data)
        moon_wipe(op->buf.data, op->buf.cap);
    moon_buf_release(&op->buf);
    free(op->path);
    free(op);
}

static void op_run(void *ud) {
    struct op *op = ud;
    op->run(op);
}

static void op_done(void *ud, bool cancelled) {
    struct op *op = ud;
    op->busy = false;
    if (cancelled)
        op->rc = moon_err_set(&op->err, MOON_ECANCELLED, "cancelled");
    if (op->orphan)
        op_free(op);
    else
        moon_task_wake(op->wake);
}

/* __gc and __close */
static int l_op_close(lua_State *L) {
    struct l_op *h = luaL_checkudata(L, 1, L_FS_OP);
    struct op *op = h->op;
    h->op = NULL;
    if (op && op->busy) {
        op->orphan = true;
        atomic_store(&op->stop, true);
        moon_work_cancel(moon_host_services(moon_host_of(L))->loop, &op->work);
    } else {
        op_free(op);
    }
    return 0;
}

/* ---- on the pool ---- */

static int open_in_roots(struct op *op, int flags) {
    return op->rc = moon_beneath_open(op->roots, op->path, flags, &op->outside, &op->err);
}

static void run_read(struct op *op) {
    if (!op->roots)
        op->rc = moon_file_read(op->path, op->max, &op->stop, &op->buf, &op->err);
    else if (open_in_roots(op, O_RDONLY) >= 0)
        op->rc = moon_file_read_opened(op->rc, op->path, op->max, &op->buf, &op->err);
}

static void run_secret(struct op *op) {
    if (!op->roots)
        op->rc = moon_file_read_secret(op->path, &op->stop, &op->buf, &op->err);
    else if (open_in_roots(op, O_RDONLY) >= 0)
        op->rc = moon_file_read_secret_opened(op->rc, op->path, &op->stop, &op->buf, &op->err);
}

static void run_stdin(struct op *op) {
    op->rc = moon_file_read_fd(STDIN_FILENO, op->max, &op->stop, &op->buf, &op->err);
}

static void run_write(struct op *op) {
    const char *data = op->buf.data ? op->buf.data : "";
    char *name;
    if (!op->roots) {
        op->rc = moon_file_replace(op->path, data, op->buf.len, op->mode, &op->err);
        return;
    }
    int dir = op->rc = moon_beneath_parent(op->roots, op->path, &name, &op->outside, &op->err);
    if (dir < 0)
        return;
    op->rc = moon_file_replace_in(dir, name, op->path, data, op->buf.len, op->mode, &op->err);
    close(dir);
    free(name);
}

static void run_stat(struct op *op) {
    if (op->roots)
        op->rc = moon_beneath_stat(op->roots, op->path, &op->st, &op->outside, &op->err);
    else if (stat(op->path, &op->st) != 0)
        op->rc = moon_err_errno(&op->err, MOON_EIO, errno, "%s", op->path);
}

static void run_mkdir(struct op *op) {
    op->rc = op->roots ? moon_beneath_mkdirs(op->roots, op->path, op->mode, &op->outside, &op->err)
                       : moon_file_mkdirs(op->path, op->mode, &op->err);
}

static void run_remove(struct op *op) {
    if (op->roots)
        op->rc = moon_beneath_remove(op->roots, op->path, &op->outside, &op->err);
    else if (remove(op->path) != 0)
        op->rc = moon_err_errno(&op->err, MOON_EIO, errno, "can't remove %s", op->path);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Puts the names in order; they are the same bytes in another order. */
static int sort_names(struct moon_buf *names) {
    size_t n = 0, i = 0;
    char **list;
    struct moon_buf sorted = MOON_BUF_INIT;
    int rc = 0;
    for (size_t k = 0; k < names->len; k++)
        n += names->data[k] == '\0';
    list = calloc(n + 1, sizeof *list);
    if (!list)
        return MOON_ENOMEM;
    for (size_t k = 0; k < names->len; k += strlen(names->data + k) + 1)
        list[i++] = names->data + k;
    qsort(list, n, sizeof *list, by_name);
    for (i = 0; i < n && rc == 0; i++)
        rc = moon_buf_append(&sorted, list[i], strlen(list[i]) + 1);
    free(list);
    moon_buf_release(names);
    *names = sorted;
    return rc;
}

/* NULL: op->rc says why. */
static DIR *open_folder(struct op *op) {
    int fd = op->roots ? open_in_roots(op, O_RDONLY | O_DIRECTORY) : -1;
    if (op->roots && fd < 0)
        return NULL;
    DIR *dir = op->roots ? fdopendir(fd) : opendir(op->path);
    op->rc = dir ? 0 : moon_err_errno(&op->err, MOON_EIO, errno, "can't list %s", op->path);
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

static void run_list(struct op *op) {
    DIR *dir = open_folder(op);
    struct dirent *e;
    int rc = 0;
    if (!dir)
        return;
    while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = moon_buf_append(&op->buf, e->d_name, strlen(e->d_name) + 1);
    if (rc == 0 && errno != 0)
        op->rc = moon_err_errno(&op->err, MOON_EIO, errno, "can't list %s", op->path);
    else if (rc != 0 || sort_names(&op->buf) != 0)
        op->rc = moon_err_set(&op->err, MOON_ENOMEM, "out of memory");
    closedir(dir);
}

/* ---- results ---- */

static int push_true(lua_State *L, struct op *op) {
    (void)op;
    lua_pushboolean(L, 1);
    return 1;
}

static int push_text(lua_State *L, struct op *op) {
    lua_pushlstring(L, op->buf.data ? op->buf.data : "", op->buf.len);
    return 1;
}

static int push_secret(lua_State *L, struct op *op) {
    l_secret_warn(L, "file", op->buf.data, op->buf.len);
    return l_secret_push(L, op->buf.data, op->buf.len);
}

static int push_names(lua_State *L, struct op *op) {
    lua_Integer n = 0;
    lua_newtable(L);
    for (size_t k = 0; k < op->buf.len; k += strlen(op->buf.data + k) + 1) {
        lua_pushstring(L, op->buf.data + k);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int push_stat(lua_State *L, struct op *op) {
    const struct stat *st = &op->st;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, S_ISREG(st->st_mode) ? "file" : S_ISDIR(st->st_mode) ? "directory" : "other");
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, (lua_Integer)st->st_size);
    lua_setfield(L, -2, "size");
    lua_pushnumber(L, (lua_Number)st->st_mtim.tv_sec + (lua_Number)st->st_mtim.tv_nsec / 1e9);
    lua_setfield(L, -2, "mtime");
    lua_pushinteger(L, (lua_Integer)(st->st_mode & 07777));
    lua_setfield(L, -2, "mode");
    return 1;
}

/* ---- functions ---- */

static int op_k(lua_State *L, int status, lua_KContext ctx) {
    struct op *op = ((struct l_op *)lua_touserdata(L, (int)ctx))->op;
    (void)status;
    if (op->access != ANY && op->rc != MOON_ECANCELLED)
        moon_host_opened(L, op->access == WRITE, op->path, op->outside, &op->err);
    return op->rc != 0 ? moon_fail(L, &op->err) : op->push(L, op);
}

/* 1: path. data (borrowed from the stack, may be NULL) is copied. */
static int start(lua_State *L, const struct spec *spec, const char *data, size_t len, size_t max, unsigned mode) {
    size_t path_len;
    const char *path = luaL_checklstring(L, 1, &path_len);
    struct moon_err err;
    struct l_op *h;
    struct op *op;
    luaL_argcheck(L, path_len > 0 && strlen(path) == path_len, 1, "not a path");
    moon_task_check(L, spec->what);
    h = lua_newuserdatauv(L, sizeof *h, 0);
    h->op = NULL;
    luaL_setmetatable(L, L_FS_OP);
    lua_toclose(L, -1);
    op = h->op = calloc(1, sizeof *op);
    if (!op || !(op->path = strdup(path)) || moon_buf_append(&op->buf, data ? data : "", len) != 0) {
        moon_err_set(&err, MOON_ENOMEM, "out of memory");
        return moon_fail(L, &err);
    }
    op->run = spec->run;
    op->access = lua_toboolean(L, lua_upvalueindex(1)) ? ANY : spec->access;
    op->roots = op->access == ANY ? NULL : moon_host_roots(L, op->access == WRITE);
    op->secret = spec->run == run_secret || (spec->run == run_write && spec->access == ANY);
    op->push = spec->push;
    op->max = max;
    op->mode = mode;
    if (moon_work_start(moon_host_services(moon_host_of(L))->loop, &op->work, op_run, op_done, op, &err) != 0)
        return moon_fail(L, &err);
    op->busy = true;
    op->wake = moon_task_park(L);
    return lua_yieldk(L, 0, (lua_KContext)lua_gettop(L), op_k);
}

int l_secret_file(lua_State *L) {
    static const struct spec spec = {"secret.file", READ, run_secret, push_secret};
    return start(L, &spec, NULL, 0, 0, 0);
}

int l_host_read_stdin(lua_State *L) {
    static const struct spec spec = {"host.read_stdin", ANY, run_stdin, push_text};
    lua_settop(L, 0);
    lua_pushliteral(L, "/dev/stdin");
    return start(L, &spec, NULL, 0, READ_MAX, 0);
}

/* fs.read(path [, max]) -> bytes | nil, err */
static int l_read(lua_State *L) {
    static const struct spec spec = {"fs.read", READ, run_read, push_text};
    lua_Integer max = luaL_optinteger(L, 2, (lua_Integer)READ_MAX);
    luaL_argcheck(L, max >= 0, 2, "a number of bytes");
    return start(L, &spec, NULL, 0, (size_t)max, 0);
}

/* fs.write(path, data [, {mode = 0644}]) -> true | nil, err */
static int l_write(lua_State *L) {
    static const struct spec spec = {"fs.write", WRITE, run_write, push_true};
    static const char *const options[] = {"mode", "new", NULL};
    lua_Integer mode = 0644 | MOON_FILE_KEEP;
    unsigned new = 0;
    size_t len;
    const char *data = luaL_checklstring(L, 2, &len);
    if (!lua_isnoneornil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        moon_check_options(L, 3, options);
        lua_getfield(L, 3, "mode");
        mode = luaL_optinteger(L, -1, mode);
        luaL_argcheck(L, lua_isnil(L, -1) || (mode >= 0 && mode <= 0777), 3, "mode: 0 to 0x1ff (octal 777)");
        lua_getfield(L, 3, "new");
        new = lua_toboolean(L, -1) ? MOON_FILE_NEW : 0;
        lua_pop(L, 2);
    }
    return start(L, &spec, data, len, 0, (unsigned)mode | new);
}

/* host.write_secret(path, handle) -> true | nil, err: a new file for its owner alone */
int l_fs_write_secret(lua_State *L) {
    static const struct spec spec = {"host.write_secret", ANY, run_write, push_true};
    const struct l_secret *s = luaL_checkudata(L, 2, L_SECRET);
    return start(L, &spec, s->data, s->len, 0, 0600 | MOON_FILE_NEW);
}

/* fs.list(path) -> sorted names | nil, err */
static int l_list(lua_State *L) {
    static const struct spec spec = {"fs.list", READ, run_list, push_names};
    return start(L, &spec, NULL, 0, 0, 0);
}

/* fs.stat(path) -> {type, size, mtime, mode} | nil, err */
static int l_stat(lua_State *L) {
    static const struct spec spec = {"fs.stat", READ, run_stat, push_stat};
    return start(L, &spec, NULL, 0, 0, 0);
}

/* fs.mkdir(path) -> true | nil, err: with its parents; one that exists is fine */
static int l_mkdir(lua_State *L) {
    static const struct spec spec = {"fs.mkdir", WRITE, run_mkdir, push_true};
    return start(L, &spec, NULL, 0, 0, 0777);
}

/* fs.remove(path) -> true | nil, err: a file or an empty directory */
static int l_remove(lua_State *L) {
    static const struct spec spec = {"fs.remove", WRITE, run_remove, push_true};
    return start(L, &spec, NULL, 0, 0, 0);
}

static const luaL_Reg meta[] = {{"__gc", l_op_close}, {"__close", l_op_close}, {NULL, NULL}};
static const luaL_Reg funcs[] = {{"read", l_read},   {"write", l_write},   {"list", l_list},      {"stat", l_stat},
                                 {"mkdir", l_mkdir}, {"remove", l_remove}, {"lines", l_fs_lines}, {NULL, NULL}};

void l_fs_setup(lua_State *L) {
    if (luaL_newmetatable(L, L_FS_OP))
        luaL_setfuncs(L, meta, 0);
    lua_pop(L, 1);
}

void l_fs_push(lua_State *L, bool of_user) {
    luaL_newlibtable(L, funcs);
    lua_pushboolean(L, of_user);
    luaL_setfuncs(L, funcs, 1);
}

int luaopen_moongate_fs(lua_State *L);
int luaopen_moongate_fs(lua_State *L) {
    l_fs_setup(L);
    l_fs_lines_setup(L);
    l_fs_push(L, false);
    return 1;
}
