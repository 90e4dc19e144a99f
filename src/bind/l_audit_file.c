/* l_audit_file.c - audit.verify, audit.read and audit.tree: whole files, on the pool.  Types: lua/meta/audit.lua
 *
 * A job owns copies of all it works on, so that a cancelled task can go while the pool is still at it: the job is then
 * an orphan, and its end frees it. */
#include "l_audit.h"

#include "l_json.h"
#include "moongate/audit_queue.h"
#include "moongate/audit_tree.h"
#include "moongate/beneath.h"
#include "moongate/clock.h"
#include "moongate/loop.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define L_JOB    "moongate.audit.job"
#define READ_MAX ((size_t)256 << 20)

enum text {
    TEXT_PATH,
    TEXT_ACTION,
    TEXT_OUTCOME,
    TEXT_CORRELATION,
    TEXT_RUN,
    TEXT_PLAN,
    TEXT_PHASE,
    TEXT_SINCE,
    TEXT_UNTIL,
    TEXT_IDENTITY, /* of who rotates */
    TEXTS
};

struct job {
    struct moon_work work;
    struct moon_wake wake;
    bool busy, orphan;
    char *text[TEXTS]; /* the path and the filter's strings */
    size_t last;
    struct moon_audit_report report;
    struct moon_buf lines;
    uint64_t skipped;
    struct moon_audit_tree_query query; /* its lists are the job's */
    struct moon_audit_tree tree;
    bool keep_open_intents;
    int64_t wall_ns; /* of a rotation */
    int rc;
    struct moon_err err;
};

struct l_job {
    struct job *job;
};

static void job_free(struct job *j) {
    if (!j)
        return;
    for (int i = 0; i < TEXTS; i++)
        free(j->text[i]);
    for (size_t i = 0; i < j->query.nfiles; i++)
        free((char *)j->query.files[i]);
    free((void *)j->query.files);
    free((void *)j->query.sizes);
    moon_audit_report_release(&j->report);
    moon_audit_tree_release(&j->tree);
    moon_buf_release(&j->lines);
    free(j);
}

static void job_done(void *ud, bool cancelled) {
    struct job *j = ud;
    j->busy = false;
    if (cancelled)
        j->rc = moon_err_set(&j->err, MOON_ECANCELLED, "cancelled");
    if (j->orphan)
        job_free(j);
    else
        moon_task_wake(j->wake);
}

static int l_job_close(lua_State *L) {
    struct l_job *h = luaL_checkudata(L, 1, L_JOB);
    struct job *j = h->job;
    h->job = NULL;
    if (j && j->busy) {
        j->orphan = true;
        moon_work_cancel(moon_host_services(moon_host_of(L))->loop, &j->work);
    } else {
        job_free(j);
    }
    return 0;
}

static void run_verify(void *ud) {
    struct job *j = ud;
    j->rc = moon_audit_verify(j->text[TEXT_PATH], &j->report, &j->err);
}

static void run_read(void *ud) {
    struct job *j = ud;
    const struct moon_audit_filter f = {.action = j->text[TEXT_ACTION],
                                        .outcome = j->text[TEXT_OUTCOME],
                                        .correlation_id = j->text[TEXT_CORRELATION],
                                        .run = j->text[TEXT_RUN],
                                        .plan = j->text[TEXT_PLAN],
                                        .phase = j->text[TEXT_PHASE],
                                        .since = j->text[TEXT_SINCE],
                                        .until = j->text[TEXT_UNTIL],
                                        .last = j->last};
    j->rc = moon_audit_read(j->text[TEXT_PATH], &f, READ_MAX, &j->lines, &j->skipped, &j->err);
}

static void run_tree(void *ud) {
    struct job *j = ud;
    j->rc = moon_audit_tree_read(&j->query, &j->tree, &j->err);
}

/* The path at 1 or the session's log. Raises. [-0, +0, e] */
static const char *path_arg(lua_State *L) {
    size_t len;
    const struct moon_audit_queue *queue = moon_host_services(moon_host_of(L))->audit;
    if (lua_isnoneornil(L, 1))
        return queue ? moon_audit_queue_path(queue) : (luaL_argerror(L, 1, "this session has no audit log"), NULL);
    const char *path = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len > 0 && strlen(path) == len, 1, "not a path");
    return path;
}

/* Another log than the session's own: a file like any other. Nobody but a script could lead the path elsewhere between
 * this look and the reading, and a script can't make links. */
static int permit(lua_State *L, const char *path, struct moon_err *err) {
    const struct moon_roots *roots = moon_host_roots(L, false);
    bool outside = false;
    int fd = roots ? moon_beneath_open(roots, path, O_RDONLY, &outside, err) : 0;
    moon_host_opened(L, false, path, outside, err);
    if (roots && fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : err->code;
}

/* A job with copies of the texts, closed when the function ends; it is at the top. NULL: nil, err were pushed. */
static struct job *make_job(lua_State *L, const char *const text[TEXTS]) {
    struct moon_err err;
    struct l_job *h = lua_newuserdatauv(L, sizeof *h, 0);
    h->job = NULL;
    luaL_setmetatable(L, L_JOB);
    lua_toclose(L, -1);
    struct job *j = h->job = calloc(1, sizeof *j);
    bool ok = j != NULL;
    for (int i = 0; i < TEXTS && ok; i++)
        ok = !text[i] || (j->text[i] = strdup(text[i]));
    if (ok)
        return j;
    moon_err_set(&err, MOON_ENOMEM, "out of memory");
    moon_fail(L, &err);
    return NULL;
}

static int start(lua_State *L, struct job *j, void (*run)(void *ud), lua_KFunction then) {
    struct moon_err err;
    int at = lua_gettop(L);
    if (moon_work_start(moon_host_services(moon_host_of(L))->loop, &j->work, run, job_done, j, &err) != 0)
        return moon_fail(L, &err);
    j->busy = true;
    j->wake = moon_task_park(L);
    return lua_yieldk(L, 0, (lua_KContext)at, then);
}

static void set_count(lua_State *L, const char *name, uint64_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

/* A list that is one in JSON, too. */
static void set_numbers(lua_State *L, const char *name, const uint64_t *list, size_t n) {
    lua_createtable(L, n < 100000 ? (int)n : 0, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushinteger(L, (lua_Integer)list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    moon_lua_json_push_array_mt(L);
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, name);
}

static int verify_k(lua_State *L, int status, lua_KContext ctx) {
    const struct job *j = ((struct l_job *)lua_touserdata(L, (int)ctx))->job;
    const struct moon_audit_report *r = &j->report;
    (void)status;
    if (j->rc != 0 && j->rc != MOON_EVERIFY)
        return moon_fail(L, &j->err);
    lua_createtable(L, 0, 8);
    set_count(L, "lines", r->lines);
    set_count(L, "set_aside", r->set_aside);
    lua_pushboolean(L, r->torn);
    lua_setfield(L, -2, "torn");
    lua_pushstring(L, r->last_hash);
    lua_setfield(L, -2, "last_hash");
    if (r->head > 0)
        set_count(L, "head", r->head);
    if (r->previous > 0) {
        set_count(L, "previous", r->previous);
        lua_pushstring(L, r->previous_hash);
        lua_setfield(L, -2, "previous_hash");
    }
    if (r->bad_line > 0) {
        set_count(L, "first_bad", r->bad_line);
        lua_pushstring(L, r->reason);
        lua_setfield(L, -2, "reason");
    }
    if (r->torn)
        set_count(L, "torn_bytes", r->torn_bytes);
    if (r->lines > 0) {
        set_count(L, "first_seq", r->first_seq);
        set_count(L, "last_seq", r->last_seq);
        lua_pushstring(L, r->first_prev);
        lua_setfield(L, -2, "first_prev");
    }
    lua_pushboolean(L, r->continued);
    lua_setfield(L, -2, "continued");
    lua_pushboolean(L, r->rotated);
    lua_setfield(L, -2, "rotated");
    set_numbers(L, "open_intents", r->open_intents, r->nopen);
    set_numbers(L, "settled", r->settled, r->nsettled);
    return 1;
}

/* audit.verify([path]) -> report | nil, err */
int l_audit_verify(lua_State *L) {
    struct moon_err err;
    const char *text[TEXTS] = {path_arg(L)};
    moon_task_check(L, "audit.verify");
    if (!lua_isnoneornil(L, 1) && permit(L, text[TEXT_PATH], &err) != 0)
        return moon_fail(L, &err);
    struct job *j = make_job(L, text);
    return j ? start(L, j, run_verify, verify_k) : 2;
}

static int read_k(lua_State *L, int status, lua_KContext ctx) {
    struct job *j = ((struct l_job *)lua_touserdata(L, (int)ctx))->job;
    const char *p = j->lines.data, *end = p ? p + j->lines.len : NULL;
    lua_Integer n = 0;
    (void)status;
    if (j->rc != 0)
        return moon_fail(L, &j->err);
    lua_newtable(L);
    moon_lua_json_push_array_mt(L);
    lua_setmetatable(L, -2);
    while (p && p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl ? nl : end) - p);
        if (moon_lua_json_decode(L, p, len, 0, &j->err) != 0)
            return moon_fail(L, &j->err);
        lua_rawseti(L, -2, ++n);
        p += len + 1;
    }
    lua_pushinteger(L, (lua_Integer)j->skipped);
    return 2;
}

/* A string option, or NULL. The value stays on the stack. [-0, +1, e] */
static const char *text_option(lua_State *L, const char *name) {
    int type = lua_getfield(L, 2, name);
    const char *s = type == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (type != LUA_TSTRING && type != LUA_TNIL)
        luaL_argerror(L, 2, lua_pushfstring(L, "%s: string expected, got %s", name, luaL_typename(L, -1)));
    return s;
}

/* A number is seconds since 1970. [-0, +1, e] */
static const char *time_option(lua_State *L, const char *name, char out[MOON_TIME_SIZE]) {
    if (lua_getfield(L, 2, name) != LUA_TNUMBER) {
        lua_pop(L, 1);
        return text_option(L, name);
    }
    lua_Number s = lua_tonumber(L, -1);
    luaL_argcheck(L, s >= 0 && s < 9e9, 2, "since, until: seconds since 1970, or a time as text");
    moon_time_format((int64_t)(s * 1e3) * MOON_NS_PER_MS, out);
    return out;
}

/* audit.read([path [, filter]]) -> events, skipped | nil, err */
int l_audit_read(lua_State *L) {
    static const char *const options[] = {"action", "outcome", "correlation_id", "run",  "plan",
                                          "phase",  "since",   "until",          "last", NULL};
    char since[MOON_TIME_SIZE], until[MOON_TIME_SIZE];
    struct moon_err err;
    lua_Integer last = 0;
    const char *text[TEXTS] = {path_arg(L)};
    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        moon_check_options(L, 2, options);
        text[TEXT_ACTION] = text_option(L, "action");
        text[TEXT_OUTCOME] = text_option(L, "outcome");
        text[TEXT_CORRELATION] = text_option(L, "correlation_id");
        text[TEXT_RUN] = text_option(L, "run");
        text[TEXT_PLAN] = text_option(L, "plan");
        text[TEXT_PHASE] = text_option(L, "phase");
        text[TEXT_SINCE] = time_option(L, "since", since);
        text[TEXT_UNTIL] = time_option(L, "until", until);
        int is_int = 1;
        if (lua_getfield(L, 2, "last") != LUA_TNIL)
            last = lua_tointegerx(L, -1, &is_int);
        luaL_argcheck(L, is_int && last >= 0, 2, "last: a count expected");
        lua_pop(L, 1);
    }
    moon_task_check(L, "audit.read");
    if (!lua_isnoneornil(L, 1) && permit(L, text[TEXT_PATH], &err) != 0)
        return moon_fail(L, &err);
    struct job *j = make_job(L, text);
    if (!j)
        return 2;
    j->last = (size_t)last;
    return start(L, j, run_read, read_k);
}

/* Appends a hash in hex to the list at the top. [-0, +0, m] */
static void put_hash(lua_State *L, const unsigned char *hash, unsigned i) {
    char hex[MOON_SHA256_HEX];
    moon_hex(hash, MOON_SHA256_SIZE, hex);
    lua_pushlstring(L, hex, MOON_SHA256_HEX - 1);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
}

/* Pushes an empty list that is a list in JSON, too. [-0, +1, m] */
static void new_list(lua_State *L) {
    lua_newtable(L);
    moon_lua_json_push_array_mt(L);
    lua_setmetatable(L, -2);
}

static int tree_k(lua_State *L, int status, lua_KContext ctx) {
    const struct job *j = ((struct l_job *)lua_touserdata(L, (int)ctx))->job;
    const struct moon_audit_tree *t = &j->tree;
    char hex[MOON_SHA256_HEX];
    (void)status;
    if (j->rc != 0)
        return moon_fail(L, &j->err);
    lua_createtable(L, 0, 7);
    set_count(L, "first", (uint64_t)t->first);
    set_count(L, "size", (uint64_t)t->size);
    moon_hex(t->root, MOON_SHA256_SIZE, hex);
    lua_pushlstring(L, hex, MOON_SHA256_HEX - 1);
    lua_setfield(L, -2, "root");
    new_list(L);
    for (unsigned i = 0; i < t->frontier.subtrees; i++)
        put_hash(L, t->frontier.subtree[i], i);
    lua_setfield(L, -2, "frontier");
    lua_newtable(L);
    for (size_t i = 0; i < j->query.nsizes; i++) {
        if (t->roots[i].known) {
            put_hash(L, t->roots[i].root, (unsigned)i);
            continue;
        }
        lua_pushboolean(L, 0);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "roots");
    if (j->query.index < 0)
        return 1;
    new_list(L);
    for (unsigned i = 0; i < t->path.len; i++)
        put_hash(L, t->path.node[i], i);
    lua_setfield(L, -2, "path");
    lua_pushlstring(L, t->line.data ? t->line.data : "", t->line.len);
    lua_setfield(L, -2, "line");
    return 1;
}

/* Copies the list of files at 1 into the job. Raises while the job owns what it has. false: out of memory. */
static bool copy_files(lua_State *L, struct job *j) {
    size_t n = lua_rawlen(L, 1);
    char **files = calloc(n + 1, sizeof *files);
    j->query.files = (const char *const *)files;
    for (size_t i = 0; files && i < n; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        files[i] = strdup(lua_tostring(L, -1));
        lua_pop(L, 1);
        if (!files[i])
            return false;
        j->query.nfiles = i + 1;
    }
    return files != NULL;
}

static bool copy_sizes(lua_State *L, int idx, struct job *j) {
    size_t n = lua_istable(L, idx) ? lua_rawlen(L, idx) : 0;
    int64_t *sizes = calloc(n + 1, sizeof *sizes);
    j->query.sizes = sizes;
    for (size_t i = 0; sizes && i < n; i++) {
        lua_rawgeti(L, idx, (lua_Integer)i + 1);
        sizes[i] = lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    j->query.nsizes = n;
    return sizes != NULL;
}

/* Every file is a path that may be read; every size a count, none smaller than the one before. Raises, or pushes nil,
 * err and returns false. */
static bool check_tree(lua_State *L, int sizes, bool any) {
    struct moon_err err;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 1), before = 0;
    luaL_argcheck(L, n >= 1 && n <= 100000, 1, "a list of files");
    for (lua_Integer i = 1; i <= n; i++) {
        size_t len = 0;
        const char *file = lua_rawgeti(L, 1, i) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
        luaL_argcheck(L, file && len > 0 && strlen(file) == len, 1, "a list of files");
        if (!any && permit(L, file, &err) != 0)
            return moon_fail(L, &err), false;
        lua_pop(L, 1);
    }
    if (lua_isnil(L, sizes))
        return true;
    luaL_argcheck(L, lua_istable(L, sizes), 2, "sizes: a list of counts");
    for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, sizes); i++) {
        int ok;
        lua_rawgeti(L, sizes, i);
        lua_Integer size = lua_tointegerx(L, -1, &ok);
        luaL_argcheck(L, ok && size >= before, 2, "sizes: counts in ascending order");
        before = size;
        lua_pop(L, 1);
    }
    return true;
}

/* audit.tree(files [, {sizes, index, hints}]) -> tree | nil, err */
int l_audit_tree(lua_State *L) {
    static const char *const options[] = {"sizes", "index", "hints", NULL};
    static const char *const none[TEXTS] = {NULL};
    struct moon_err err;
    lua_Integer index = -1;
    bool any = lua_toboolean(L, lua_upvalueindex(1));
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    moon_check_options(L, 2, options);
    if (lua_getfield(L, 2, "index") != LUA_TNIL) {
        index = lua_tointeger(L, -1);
        luaL_argcheck(L, lua_isinteger(L, -1) && index >= 0, 2, "index: a line's number, from 0");
    }
    bool hints = lua_getfield(L, 2, "hints") == LUA_TNIL || lua_toboolean(L, -1);
    lua_getfield(L, 2, "sizes"); /* at 5 */
    moon_task_check(L, "audit.tree");
    if (!check_tree(L, 5, any))
        return 2;
    struct job *j = make_job(L, none);
    if (!j)
        return 2;
    j->query.index = index;
    j->query.hints = hints;
    j->query.read_only = !any && moon_host_roots(L, false) != NULL; /* a script that may only read */
    if (!copy_files(L, j) || !copy_sizes(L, 5, j)) {
        moon_err_set(&err, MOON_ENOMEM, "out of memory");
        return moon_fail(L, &err);
    }
    return start(L, j, run_tree, tree_k);
}

/* ---- of the program's own code ---- */

static void run_rotate(void *ud) {
    struct job *j = ud;
    struct moon_audit_log *log = NULL;
    j->rc = moon_audit_open(&log, j->text[TEXT_PATH], NULL, &j->err);
    if (j->rc != 0)
        return;
    moon_audit_identify(log, j->text[TEXT_IDENTITY]);
    j->rc = moon_audit_rotate(log, j->wall_ns, j->keep_open_intents, &j->err);
    moon_audit_close(log);
}

static void run_keep(void *ud) {
    struct job *j = ud;
    j->rc = moon_audit_keep_checkpoint(j->text[TEXT_PATH], j->lines.data, j->lines.len, &j->err);
}

static int done_k(lua_State *L, int status, lua_KContext ctx) {
    const struct job *j = ((struct l_job *)lua_touserdata(L, (int)ctx))->job;
    (void)status;
    if (j->rc != 0)
        return moon_fail(L, &j->err);
    lua_pushboolean(L, 1);
    return 1;
}

int l_audit_rotate(lua_State *L) {
    struct moon_audit_queue *queue = moon_host_services(moon_host_of(L))->audit;
    const char *text[TEXTS] = {NULL};
    struct moon_err err;
    moon_task_check(L, "host.rotate_audit");
    if (!queue) {
        moon_err_set(&err, MOON_ECLOSED, "this session has no audit log");
        return moon_fail(L, &err);
    }
    if (moon_audit_queue_refused(queue, &err) != 0)
        return moon_fail(L, &err);
    text[TEXT_PATH] = moon_audit_queue_path(queue);
    text[TEXT_IDENTITY] = moon_audit_queue_identity(queue);
    bool keep = lua_toboolean(L, 1);
    struct job *j = make_job(L, text);
    if (!j)
        return 2;
    j->keep_open_intents = keep;
    j->wall_ns = moon_wall_ns(moon_loop_clock(moon_host_services(moon_host_of(L))->loop));
    return start(L, j, run_rotate, done_k);
}

int l_audit_keep_checkpoint(lua_State *L) {
    struct moon_err err;
    size_t len, note_len;
    const char *text[TEXTS] = {luaL_checklstring(L, 1, &len)}, *note = luaL_checklstring(L, 2, &note_len);
    luaL_argcheck(L, len > 0 && strlen(text[TEXT_PATH]) == len, 1, "not a path");
    luaL_argcheck(L, note_len > 0, 2, "not a checkpoint");
    moon_task_check(L, "host.keep_checkpoint");
    struct job *j = make_job(L, text);
    if (!j)
        return 2;
    if (moon_buf_append(&j->lines, note, note_len) != 0) {
        moon_err_set(&err, MOON_ENOMEM, "out of memory");
        return moon_fail(L, &err);
    }
    return start(L, j, run_keep, done_k);
}

int l_audit_written(lua_State *L) {
    const struct moon_audit_queue *queue = moon_host_services(moon_host_of(L))->audit;
    lua_pushinteger(L, queue ? (lua_Integer)moon_audit_queue_stats(queue).events : 0);
    return 1;
}

void l_audit_file_setup(lua_State *L) {
    static const luaL_Reg meta[] = {{"__gc", l_job_close}, {"__close", l_job_close}, {NULL, NULL}};
    luaL_newmetatable(L, L_JOB);
    luaL_setfuncs(L, meta, 0);
    lua_pop(L, 1);
}
