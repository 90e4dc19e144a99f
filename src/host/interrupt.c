/* interrupt.c - ends a script that runs. Nothing is paid for it before: the hook is set when the interrupt comes, as
 * lua.c does, on the coroutine of the running task; coroutines that a script makes carry a hook of their own
 * (baselib.c) that asks now and then.
 *
 * The hook yields, and the scheduler closes the task: no pcall can keep it, and its to-be-closed variables are closed.
 * Where a yield is not possible (a callback of table.sort, say) it raises, at every instruction, until it is.
 *
 * A prompt's interrupt ends a line of it instead of everything, and a stop ends a run once it is where it can be taken
 * up again: the same hook, asked about the task that runs. */
#include "host_private.h"

/* The descendant of the prompt just below it that t is, or is part of; NULL: it is the prompt itself, or none of it. */
static struct moon_task *line_of(const struct moon_host *host, struct moon_task *t) {
    while (t && t->parent != host->prompt)
        t = t->parent;
    return t;
}

void host_answer_line_interrupt(struct moon_host *host) {
    if (atomic_exchange(&host->line_interrupts, 0) && host->line)
        moon_task_cancel(host->line);
}

/* Whether the task that runs is to end because its line is. */
static bool line_ends(struct moon_host *host) {
    struct moon_task *line = host->prompt ? line_of(host, host->current) : NULL;
    if (!line)
        return false;
    if (atomic_load(&host->line_interrupts)) {
        host_answer_line_interrupt(host);
        moon_task_cancel(line);
    }
    return line->cancelled && !moon_task_shielded(host->current);
}

void host_answer_stop(struct moon_host *host) {
    if (!host->run || !atomic_load(&host->stopped))
        return;
    moon_task_cancel(host->run);
    if (atomic_load(&host->insists) && !host->unshielded)
        host_unshield(host);
}

/* t has ended. After a stop, what is around it winds up, and is not stopped in that. */
void host_stop_around(struct moon_task *t) {
    struct moon_host *host = t->host;
    struct moon_task *around = t->parent;
    while (around && around->stops == MOON_STOP_NONE)
        around = around->parent;
    if (atomic_load(&host->stopped))
        around = NULL;
    atomic_store(&host->has_run, (int)(around ? around->stops : MOON_STOP_NONE));
    host->run = around;
}

/* Whether the task that runs is to end because its run is stopped. */
static bool run_ends(struct moon_host *host) {
    const struct moon_task *t = host->current;
    if (!host->run || !atomic_load(&host->stopped) || !t)
        return false;
    host_answer_stop(host);
    if (moon_task_shielded(t))
        return false;
    while (t && t != host->run)
        t = t->parent;
    return t != NULL;
}

void host_interrupt_hook(lua_State *L, lua_Debug *ar) {
    struct moon_host *host = moon_host_of(L);
    lua_State *running = atomic_load(&host->running);
    (void)ar;
    if (!atomic_load(&host->interrupted) && !line_ends(host) && !run_ends(host)) {
        if (L == running) /* set for an interrupt that was not its own */
            lua_sethook(L, NULL, 0, 0);
        return;
    }
    lua_sethook(L, host_interrupt_hook, LUA_MASKCOUNT, 1);
    if (running && running != L)
        lua_sethook(running, host_interrupt_hook, LUA_MASKCOUNT, 1);
    if (lua_isyieldable(L))
        lua_yield(L, 0);
    else
        luaL_error(L, "interrupted");
}

/* In a signal handler, perhaps. */
static void look_up(struct moon_host *host) {
    lua_State *running = atomic_load(&host->running);
    if (running && pthread_equal(pthread_self(), host->thread))
        lua_sethook(running, host_interrupt_hook, LUA_MASKCOUNT, 1);
    moon_loop_wake(host->services.loop);
}

void moon_host_interrupt(struct moon_host *host) {
    atomic_store(&host->interrupted, 1);
    look_up(host);
}

void moon_host_time_up(struct moon_host *host) {
    if (atomic_exchange(&host->timed_out, true))
        atomic_store(&host->insists, true);
    if (moon_host_stop(host) == MOON_STOP_NONE && !atomic_load(&host->stopped))
        moon_host_interrupt(host);
}

bool moon_host_timed_out(const struct moon_host *host) {
    return atomic_load(&host->timed_out);
}

uint64_t moon_host_beat(const struct moon_host *host) {
    return atomic_load_explicit(&host->beat, memory_order_relaxed);
}

bool moon_host_interrupt_pending(const struct moon_host *host) {
    return atomic_load(&host->interrupted) || atomic_load(&host->line_interrupts) ||
           (atomic_load(&host->has_run) != MOON_STOP_NONE && atomic_load(&host->stopped));
}

enum moon_stop_kind moon_host_stop(struct moon_host *host) {
    int kind = atomic_load(&host->has_run);
    if (kind != MOON_STOP_NONE) {
        atomic_store(&host->stopped, true);
        look_up(host);
    }
    return (enum moon_stop_kind)kind;
}

void moon_host_stoppable(struct moon_task *task, enum moon_stop_kind kind) {
    task->stops = kind;
    task->host->run = task;
    atomic_store(&task->host->has_run, kind);
}

bool moon_host_has_prompt(struct moon_host *host) {
    return atomic_load(&host->has_prompt);
}

bool moon_host_interrupt_line(struct moon_host *host) {
    if (!atomic_load(&host->has_prompt) || atomic_fetch_add(&host->line_interrupts, 1) >= 2)
        return false;
    look_up(host);
    return true;
}

void moon_host_foreground(lua_State *L, struct moon_task *line) {
    struct moon_host *host = moon_host_of(L);
    if (!host->current)
        luaL_error(L, "host.foreground: only inside a task");
    host->prompt = host->current;
    host->line = line;
    if (atomic_exchange(&host->line_interrupts, 0) && line) /* it came while the line was being started */
        moon_task_cancel(line);
    atomic_store(&host->has_prompt, true);
}
