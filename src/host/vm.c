/* vm.c - a host: one Lua state, its memory and its life. Set-up, use and tear-down run in protected calls. */
#include "host_private.h"

#include "moongate/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int on_panic(lua_State *L) {
    const char *msg = lua_tostring(L, -1);
    fprintf(stderr, "moongate: bug: unprotected Lua error: %s\n", msg ? msg : "?");
    return 0; /* Lua aborts */
}

static void on_warning(void *ud, const char *msg, int tocont) {
    if (!tocont && msg[0] == '@')
        return; /* "@on" and "@off" are not for us */
    moon_log_write(((struct moon_host *)ud)->services.log, MOON_LOG_WARN, "%s", msg);
}

/* ---- life ---- */

int host_setup(lua_State *L) {
    struct moon_host *host = moon_host_of(L);
    lua_gc(L, LUA_GCSTOP);
    host_open_libs(L);
    host_error_setup(L);
    host_scheduler_setup(L);
    lua_gc(L, LUA_GCRESTART);
    if (host->gc_stress)
        lua_gc(L, LUA_GCINC, 100, 400, 0);
    return 0;
}

int moon_host_new(struct moon_host **out, const struct moon_host_opts *opts, struct moon_err *err) {
    struct moon_host *host = calloc(1, sizeof *host);
    *out = NULL;
    if (!host)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    host->services = opts->services;
    host->modules = opts->modules;
    host->verbose = opts->verbose;
    host->memory.limit = opts->memory_limit ? opts->memory_limit : MOON_HOST_MEMORY;
    host->memory.fail_at = opts->fail_alloc;
    host->memory.fail_on = opts->fail_alloc_on;
    host->gc_stress = getenv("MOONGATE_GC_STRESS") != NULL;
    host->thread = pthread_self();
    host_scheduler_init(host);
    if (opts->lua_dir && !(host->lua_dir = strdup(opts->lua_dir)))
        goto no_memory;
    host->L = lua_newstate(host_allocate, &host->memory);
    if (!host->L)
        goto no_memory;
    *(struct moon_host **)lua_getextraspace(host->L) = host;
    lua_atpanic(host->L, on_panic);
    lua_setwarnf(host->L, on_warning, host);
    lua_pushcfunction(host->L, host_setup);
    if (lua_pcall(host->L, 0, 0, 0) != LUA_OK) {
        moon_err_set(err, MOON_ENOMEM, "Lua: %s", lua_tostring(host->L, -1));
        moon_host_free(host);
        return MOON_ENOMEM;
    }
    *out = host;
    return 0;
no_memory:
    moon_host_free(host);
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

void moon_host_free(struct moon_host *host) {
    if (!host)
        return;
    if (host->L) {
        host_cancel_all(host);
        lua_close(host->L); /* runs finalizers protected; ours never raise */
        moon_loop_undefer(host->services.loop, &host->turn);
    }
    host_memory_release(&host->memory);
    free(host->slots);
    free(host->lua_dir);
    free(host);
}

struct moon_host *moon_host_of(lua_State *L) {
    char *p = *(char **)lua_getextraspace(L);
    return (struct moon_host *)(void *)(p - ((uintptr_t)p & HOST_BITS));
}

const struct moon_services *moon_host_services(const struct moon_host *host) {
    return &host->services;
}

lua_State *moon_host_state(struct moon_host *host) {
    return host->L;
}

void moon_host_note_refused(struct moon_host *host) {
    host->refused++;
}

unsigned moon_host_refused(const struct moon_host *host) {
    return host->refused;
}

struct moon_host_stats moon_host_stats(const struct moon_host *host) {
    return (struct moon_host_stats){host->live, host->background, host->memory.used};
}

/* ---- main ---- */

static int main_k(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    if (ctx == 0) { /* the module is loaded; 2: argv */
        lua_getfield(L, -1, "main");
        lua_pushvalue(L, 2);
        lua_callk(L, 1, 1, 1, main_k);
    }
    return 1;
}

/* The root task. 1: module name, 2: argv. */
static int root_main(lua_State *L) {
    lua_pushcfunction(L, host_require);
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 1, 0, main_k);
    return main_k(L, LUA_OK, 0);
}

struct main_args {
    const char *module;
    int argc;
    char *const *argv;
    struct moon_task *root;
    int ref; /* keeps the root's handle for its outcome */
    int *status;
    struct moon_err *err;
};

static int main_start(lua_State *L) {
    struct main_args *a = lua_touserdata(L, 1);
    lua_pushcfunction(L, root_main);
    lua_pushstring(L, a->module);
    lua_createtable(L, a->argc, 1);
    for (int i = 0; i < a->argc; i++) {
        lua_pushstring(L, a->argv[i]);
        lua_rawseti(L, -2, i);
    }
    a->root = host_spawn_root(L, 2);
    a->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int code_of(const char *name) {
    for (int code = -1; code >= MOON_CODE_LAST; code--)
        if (name && strcmp(moon_code_name(code), name) == 0)
            return code;
    return MOON_ESCRIPT;
}

static int main_outcome(lua_State *L) {
    struct main_args *a = lua_touserdata(L, 1);
    int n, base;
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->ref);
    base = lua_gettop(L);
    n = moon_task_results(L, base);
    luaL_unref(L, LUA_REGISTRYINDEX, a->ref);
    if (a->root->state == MOON_TASK_DONE) {
        int ok = 1;
        lua_Integer status = n && !lua_isnil(L, base + 1) ? lua_tointegerx(L, base + 1, &ok) : 0;
        *a->status = ok && status >= 0 && status <= 255 ? (int)status : 1;
    } else {
        const char *code;
        lua_getfield(L, -1, "code");
        code = lua_tostring(L, -1);
        moon_err_set(a->err, code_of(code), "%s", luaL_tolstring(L, -2, NULL));
        lua_getfield(L, -3, "traceback");
        if (lua_isstring(L, -1))
            moon_log_write(moon_host_of(L)->services.log, MOON_LOG_ERROR, "%s", lua_tostring(L, -1));
    }
    return 0;
}

/* Calls fn(args) protected; its message goes to err when it raises. */
static int protect(lua_State *L, lua_CFunction fn, struct main_args *a, struct moon_err *err) {
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, a);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return 0;
    moon_err_set(err, MOON_ESCRIPT, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return MOON_ESCRIPT;
}

int moon_host_main(struct moon_host *host, const char *module, int argc, char *const argv[], int *status,
                   struct moon_err *err) {
    struct moon_err local;
    struct main_args a = {module, argc, argv, NULL, 0, status, err ? err : &local};
    char where[300] = "";
    bool stuck = false;
    int rc;
    *status = 1;
    a.err->code = 0;
    host->thread = pthread_self();
    rc = protect(host->L, main_start, &a, a.err);
    if (rc != 0)
        return rc;
    while (!moon_task_ended(a.root)) {
        if (atomic_load(&host->interrupted)) {
            host_unshield(host);
            moon_task_cancel(a.root);
        } else if (atomic_load(&host->line_interrupts)) {
            host_answer_line_interrupt(host);
        } else {
            host_answer_stop(host);
        }
        if (!moon_loop_turn(host->services.loop, true) && !host->ready && !moon_task_ended(a.root)) {
            if (!stuck) /* every task waits, and nothing is left that could wake one */
                host_waiting_at(host, where, sizeof where);
            stuck = true;
            host_unshield(host);
            moon_task_cancel(a.root);
        }
    }
    rc = protect(host->L, main_outcome, &a, a.err);
    if (atomic_load(&host->interrupted))
        return atomic_load(&host->timed_out) ? moon_err_set(a.err, MOON_ETIMEOUT, "the time it may take is over")
                                             : moon_err_set(a.err, MOON_EINTERRUPT, "interrupted");
    if (stuck)
        return moon_err_set(a.err, MOON_ESCRIPT,
                            "deadlock: every task waits for another, and nothing can wake them%s%s",
                            where[0] ? "; they wait at " : "", where);
    return rc != 0 ? rc : a.err->code;
}
