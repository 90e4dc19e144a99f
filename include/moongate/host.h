/* host.h - a Lua VM with tasks on a loop. What src/bind and src/cli may use of src/host.
 *
 * A host owns one lua_State; two hosts can live on one loop. It hangs in lua_getextraspace, so there is no global.
 * Everything that runs Lua does so inside a task (a coroutine), and only host/scheduler.c calls lua_resume. */
#ifndef MOONGATE_HOST_H
#define MOONGATE_HOST_H

#include "moongate/err.h"

#include <lauxlib.h>
#include <lua.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_audit_queue;
struct moon_credentials;
struct moon_host;
struct moon_http;
struct moon_log;
struct moon_loop;
struct moon_permit;
struct moon_redact;
struct moon_rng;
struct moon_screen;
struct moon_store_queue;

/* What the bindings work on. Borrowed: the session that made them outlives the host. Only loop, log, rng and redact are
 * never NULL. */
struct moon_services {
    struct moon_loop *loop;
    struct moon_log *log;
    struct moon_rng *rng;
    struct moon_redact *redact;
    struct moon_http *http;               /* does nothing expensive before its first request */
    struct moon_audit_queue *audit;       /* opens its file at the first event */
    struct moon_store_queue *store;       /* opened at its first use */
    const struct moon_err *store_err;     /* why there is none */
    struct moon_credentials *credentials; /* the gateway's: where it is and who we are */
    struct moon_permit *permit;           /* what scripts may do */
    struct moon_screen *screen;           /* what output has to make way for */
};

#define MOON_HOST_MEMORY ((size_t)512 << 20)

struct moon_host_opts {
    struct moon_services services;
    const luaL_Reg *modules; /* native modules, ended by {NULL, NULL}: preloaded, opened at first require */
    size_t memory_limit;     /* bytes of Lua memory; 0: MOON_HOST_MEMORY */
    const char *lua_dir;     /* --lua-dir: Lua modules are looked for here before the embedded ones; or NULL */
    bool verbose;            /* error reports carry a traceback */
    uint64_t fail_alloc;     /* tests: this allocation of the state (from 1) fails ... */
    bool fail_alloc_on;      /* ... and all after it */
};

/* MOON_ENOMEM, MOON_EBUG (an embedded file that does not load). */
int moon_host_new(struct moon_host **out, const struct moon_host_opts *opts, struct moon_err *err);
/* Cancels every task, closes the state, and takes what the loop still holds of it. NULL-safe. */
void moon_host_free(struct moon_host *host);

/* Requires the trusted Lua module `module` and runs its function `main(argv)`, argv an array of strings with [0], as
 * the root task; drives the loop until that and all its children have ended. *status: what main returned (an exit
 * status), or 1 when it failed, with err set. Interrupted (moon_host_interrupt): MOON_EINTERRUPT. */
int moon_host_main(struct moon_host *host, const char *module, int argc, char *const argv[], int *status,
                   struct moon_err *err);

/* Ends what runs as soon as it can: from the loop's thread, or a signal handler on it (on another thread the script
 * goes on until it next waits). Sticky: nothing runs any more, and no pcall keeps it. */
void moon_host_interrupt(struct moon_host *host);
enum moon_stop_kind {
    MOON_STOP_NONE,
    MOON_STOP_COMMAND, /* ends where it is */
    MOON_STOP_RUN,     /* has safe points */
};
/* Cancels what is under way (moon_host_stoppable): at its next safe point it goes, and the program goes on to say so.
 * MOON_STOP_NONE, and nothing done: there is none. From where moon_host_interrupt may be called. */
enum moon_stop_kind moon_host_stop(struct moon_host *host);
/* Ends only the task in the foreground of a prompt (moon_host_foreground), and what of the prompt's other tasks holds
 * up the loop just then. False, and nothing done: there is no prompt, or it has not answered two of these. From where
 * moon_host_interrupt may be called. */
bool moon_host_interrupt_line(struct moon_host *host);
bool moon_host_has_prompt(struct moon_host *host);

/* Requests that a task's guard has refused, since the start. */
void moon_host_note_refused(struct moon_host *host);
unsigned moon_host_refused(const struct moon_host *host);
/* The time that a run may take is over: as moon_host_stop; the second time no shield holds any more. Where there is
 * nothing to stop, as moon_host_interrupt, and moon_host_main gives MOON_ETIMEOUT. */
void moon_host_time_up(struct moon_host *host);
bool moon_host_timed_out(const struct moon_host *host);
/* An interrupt of any kind has not been answered yet. Any thread. */
bool moon_host_interrupt_pending(const struct moon_host *host);
/* Changes each time a script gets the floor or gives it back; odd while one has it. Any thread. */
uint64_t moon_host_beat(const struct moon_host *host);

struct moon_host *moon_host_of(lua_State *L); /* never NULL inside a host's VM */
const struct moon_services *moon_host_services(const struct moon_host *host);
struct moon_host_stats {
    size_t tasks;      /* alive */
    size_t background; /* of them, those that outlast the task that began them */
    size_t memory;     /* bytes of Lua memory in use */
};
struct moon_host_stats moon_host_stats(const struct moon_host *host);
lua_State *moon_host_state(struct moon_host *host); /* the main state; for set-up code in protected calls only */

/* ---- tasks, for native functions that wait ----
 * In order: moon_task_check, start the operation, moon_task_park, return lua_yieldk(...). The completion, in loop
 * context, records its result in memory it owns and calls moon_task_wake; results are pushed in the continuation. A
 * wake whose generation has moved on is ignored. */
struct moon_wake {
    struct moon_host *host;
    uint32_t slot;
    uint32_t generation;
};
/* Raises when L is no task or can't yield: "http.request: only inside a task". */
void moon_task_check(lua_State *L, const char *what);
bool moon_task_may_wait(lua_State *L); /* L: the task's own coroutine, or one of a script's that runs in it */
struct moon_wake moon_task_park(lua_State *L);
/* Queues the task for the next turn. Never runs Lua. Safe with a zeroed, stale or repeated wake. */
void moon_task_wake(struct moon_wake wake);

/* ---- errors ----
 * An error object is a table with the metatable "moongate.error": code, message and, where known, status, method, path,
 * correlation_id, details, attempts, outcome, hint, where. tostring() gives one line. */
#define MOON_ERROR_MT "moongate.error"
void moon_error_push(lua_State *L, const struct moon_err *err);                       /* [-0, +1, m] */
void moon_error_new(lua_State *L, const char *code, const char *message, size_t len); /* [-0, +1, m] */
int moon_error_is(lua_State *L, int idx);
/* nil, error object: `return moon_fail(L, &err);`  [-0, +2, m] */
int moon_fail(lua_State *L, const struct moon_err *err);
/* Raises unless every key of the option table at idx is a string in names (NULL-ended): "bad argument #idx (unknown
 * option 'x')". */
void moon_check_options(lua_State *L, int idx, const char *const names[]);

/* ---- permissions: asked by every binding that touches the world; see permit.h ---- */
/* kind: "net" (an origin, or host:port), "env" (a name). 0, or MOON_EDENIED with a message naming the flag. Recorded.
 */
int moon_host_permit(lua_State *L, const char *kind, const char *what, struct moon_err *err);
/* MOON_EDENIED for a URL whose origin is refused (moon_permit_refuse_url). */
int moon_host_check_refused(lua_State *L, const char *url, size_t len, struct moon_err *err);
bool moon_host_asks(lua_State *L); /* false: everything is allowed and nothing recorded, so no need to ask */
/* Raises once scripts are held to permissions, unless the innermost Lua function is the program's own: for objects that
 * a script may come by but is not to use. */
void moon_host_check_caller(lua_State *L, const char *what);
/* A server is to listen there: on this machine's own addresses without a word, else a permission "net" for the address.
 * While it does, what it serves may be connected to. */
int moon_host_permit_listen(lua_State *L, const char *host, unsigned port, struct moon_err *err);
void moon_host_listens(lua_State *L, const char *url);
void moon_host_listens_no_more(lua_State *L, const char *url);
/* Files: where they are to be opened below, NULL: anywhere. Then moon_host_opened on the loop's thread, with what
 * beneath.h has said: records it, and names the flag in err when it was refused. */
struct moon_roots;
const struct moon_roots *moon_host_roots(lua_State *L, bool write);
void moon_host_opened(lua_State *L, bool write, const char *path, bool outside, struct moon_err *err);

/* ---- embedded files (generated at build time from lua/ and scripts/) ---- */
struct moon_embedded {
    const char *name; /* "moongate/gateway.lua", "scripts/deploy_index.lua", "moongate/schemas/index.json" */
    const unsigned char *data;
    size_t len;
};
extern const struct moon_embedded moon_embedded_files[]; /* sorted by name, ended by {NULL, NULL, 0} */
const struct moon_embedded *moon_embedded_find(const char *name);
/* Lua's own loader for text, that of a file: passes over a byte order mark and a first line "#!...". Pushes the
 * function, or an error message when it is not LUA_OK. */
int moon_host_load_text(lua_State *L, const char *text, size_t len, const char *chunkname);

#endif
