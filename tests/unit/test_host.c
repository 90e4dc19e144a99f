/* test_host.c - the VM from C: wakes, interrupts, limits, and set-up and use with every allocation failing in turn. */
#include "moongate/clock.h"
#include "moongate/host.h"
#include "moongate/log.h"
#include "moongate/loop.h"
#include "moongate/modules.h"
#include "moongate/redact.h"
#include "moongate/rng.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

int luaopen_moongate_task(lua_State *L);
int luaopen_moongate_error(lua_State *L);

/* ---- a session ---- */

static const char *script; /* what module "m" is */
static struct moon_wake kept;
static struct moon_defer kept_defer;

static void wake_kept(void *ud) {
    (void)ud;
    moon_task_wake(kept);
    moon_task_wake(kept); /* a second time: nothing */
}

static int park_k(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    lua_pushliteral(L, "woken");
    return 1;
}

/* m.park([woken later]) */
static int l_park(lua_State *L) {
    moon_task_check(L, "m.park");
    kept = moon_task_park(L);
    if (lua_toboolean(L, 1))
        moon_loop_defer(moon_host_services(moon_host_of(L))->loop, &kept_defer, wake_kept, NULL);
    return lua_yieldk(L, 0, 0, park_k);
}

/* m.wake_late(): the wake of whatever parked last */
static int l_wake_late(lua_State *L) {
    (void)L;
    moon_task_wake(kept);
    moon_task_wake(kept);
    moon_task_wake((struct moon_wake){0});
    moon_task_wake((struct moon_wake){kept.host, 99999, 1});
    return 0;
}

/* m.interrupt() */
static int l_interrupt(lua_State *L) {
    moon_host_interrupt(moon_host_of(L));
    return 0;
}

static int open_native(lua_State *L) {
    static const luaL_Reg funcs[] = {
        {"park", l_park}, {"wake_late", l_wake_late}, {"interrupt", l_interrupt}, {NULL, NULL}};
    luaL_newlib(L, funcs);
    return 1;
}

static int open_script(lua_State *L) {
    if (luaL_loadbufferx(L, script, strlen(script), "@m.lua", "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    return 1;
}

static const luaL_Reg modules[] = {{"m", open_script},
                                   {"native", open_native},
                                   {"moongate.task", luaopen_moongate_task},
                                   {"moongate.error", luaopen_moongate_error},
                                   {NULL, NULL}};

struct session {
    struct moon_vclock vclock;
    struct moon_clock clock;
    struct moon_log log;
    struct moon_rng rng;
    struct moon_host_opts opts;
    struct moon_err err;
    int status;
};

static void session_open(struct session *s, bool is_virtual) {
    memset(s, 0, sizeof *s);
    memset(&kept, 0, sizeof kept);
    moon_vclock_init(&s->vclock, 0);
    s->clock = is_virtual ? moon_clock_virtual(&s->vclock) : moon_clock_system();
    moon_log_init(&s->log, open("/dev/null", O_WRONLY | O_CLOEXEC), MOON_LOG_ERROR);
    moon_rng_init_seed(&s->rng, 1);
    s->opts.modules = modules;
    s->opts.services.log = &s->log;
    s->opts.services.rng = &s->rng;
    assert_int_equal(moon_redact_new(&s->opts.services.redact), 0);
    assert_int_equal(moon_loop_new(&s->opts.services.loop, &s->clock, is_virtual ? &s->vclock : NULL, &s->err), 0);
}

static void session_close(struct session *s) {
    moon_loop_free(s->opts.services.loop);
    moon_redact_free(s->opts.services.redact);
    close(s->log.fd);
}

/* Runs text as module "m"; the code of moon_host_new or moon_host_main. */
static int run_in(struct session *s, const char *text) {
    char *const argv[] = {"moongate", "a", "b"};
    struct moon_host *host;
    int rc = moon_host_new(&host, &s->opts, &s->err);
    script = text;
    s->status = -1;
    if (rc != 0) {
        assert_null(host);
        return rc;
    }
    rc = moon_host_main(host, "m", 3, argv, &s->status, &s->err);
    if (rc == 0)
        assert_int_equal(moon_host_stats(host).tasks, 0);
    moon_host_free(host);
    return rc;
}

static int run(const char *text, int *status, struct moon_err *err) {
    struct session s;
    int rc;
    session_open(&s, true);
    rc = run_in(&s, text);
    session_close(&s);
    *status = s.status;
    *err = s.err;
    return rc;
}

/* ---- results of main ---- */

static void test_status(void **state) {
    struct moon_err err;
    int status;
    (void)state;
    assert_int_equal(run("return { main = function(a) return #a + #a[0] end }", &status, &err), 0);
    assert_int_equal(status, 2 + 8);
    assert_int_equal(run("return { main = function() end }", &status, &err), 0);
    assert_int_equal(status, 0);
    assert_int_equal(run("return { main = function() return 'x' end }", &status, &err), 0);
    assert_int_equal(status, 1);
    assert_int_equal(run("return { main = function() return 256 end }", &status, &err), 0);
    assert_int_equal(status, 1);
    assert_int_equal(run("return { main = function() error 'no' end }", &status, &err), MOON_ESCRIPT);
    assert_string_equal(err.message, "no");
    assert_int_equal(status, 1);
    assert_int_equal(
        run("return { main = function() error(require 'moongate.error'.new{code='denied', message='d'}) end }", &status,
            &err),
        MOON_EDENIED);
    assert_int_equal(run("return 1 +", &status, &err), MOON_ESCRIPT);
    assert_non_null(strstr(err.message, "unexpected symbol"));
    assert_int_equal(run("return {}", &status, &err), MOON_ESCRIPT);
    assert_int_equal(run("require 'nowhere'", &status, &err), MOON_ESCRIPT);
    assert_non_null(strstr(err.message, "module 'nowhere' not found"));
    assert_int_equal(run("require 'm'", &status, &err), MOON_ESCRIPT);
    assert_non_null(strstr(err.message, "requires itself"));
    /* a child nobody joined fails main at its end */
    assert_int_equal(run("local task = require 'moongate.task' return { main = function()"
                         " task.spawn(function() error 'child' end) task.sleep(1) return 0 end }",
                         &status, &err),
                     MOON_ESCRIPT);
    assert_string_equal(err.message, "child");
}

static void test_deadlock(void **state) {
    struct moon_err err;
    int status;
    (void)state;
    assert_int_equal(run("local task = require 'moongate.task' return { main = function()"
                         " local s = task.semaphore(1) s:acquire() s:acquire() end }",
                         &status, &err),
                     MOON_ESCRIPT);
    assert_non_null(strstr(err.message, "deadlock"));
    assert_int_equal(run("local task = require 'moongate.task' return { main = function()"
                         " local a, b a = task.spawn(function() b:join() end) b = task.spawn(function() a:join() end)"
                         " a:join() end }",
                         &status, &err),
                     MOON_ESCRIPT);
}

/* ---- wakes ---- */

static void test_wakes(void **state) {
    struct moon_err err;
    int status;
    (void)state;
    assert_int_equal(run("local n = require 'native' return { main = function() assert(n.park(true) == 'woken')"
                         " assert(n.park(true) == 'woken') return 0 end }",
                         &status, &err),
                     0);
    assert_int_equal(status, 0);
    /* the wake of an earlier park finds nobody: the task sleeps on; nor does one of a cancelled task, whose slot is
     * used again */
    assert_int_equal(run("local n, task = require 'native', require 'moongate.task' return { main = function()"
                         " local woke"
                         " local a = task.spawn(function() n.park() woke = true end)"
                         " task.yield() a:cancel() a:join()"
                         " local b = task.spawn(function() task.sleep(5) woke = true end)"
                         " task.yield()"
                         " n.wake_late() task.sleep(1) assert(not woke)"
                         " b:join() assert(woke)"
                         " n.wake_late() return 0 end }",
                         &status, &err),
                     0);
    assert_int_equal(status, 0);
    /* a wait that is nothing but a park is a deadlock, and ends */
    assert_int_equal(run("local n = require 'native' return { main = function() n.park() end }", &status, &err),
                     MOON_ESCRIPT);
}

/* ---- limits ---- */

static void test_memory_limit(void **state) {
    struct session s;
    (void)state;
    session_open(&s, true);
    s.opts.memory_limit = (size_t)4 << 20;
    assert_int_equal(run_in(&s, "return { main = function() local t = {} while true do t[#t + 1] = {} end end }"),
                     MOON_ENOMEM);
    assert_string_equal(s.err.message, "memory limit of 4 MiB reached");
    assert_int_equal(run_in(&s, "return { main = function() pcall(string.rep, 'x', 1 << 30) return 7 end }"), 0);
    assert_int_equal(s.status, 7);
    s.opts.memory_limit = 1000;
    assert_int_equal(run_in(&s, ""), MOON_ENOMEM);
    session_close(&s);
}

/* ---- interrupts ---- */

static struct moon_host *alarmed;

static void on_alarm(int sig) {
    (void)sig;
    moon_host_interrupt(alarmed);
}

/* Interrupts text by a signal after 20 ms; it must end with MOON_EINTERRUPT. */
static void interrupted(const char *text) {
    struct session s;
    struct itimerval in_20_ms = {.it_value = {0, 20000}}, off = {0};
    char *const argv[] = {"moongate"};
    session_open(&s, false);
    assert_int_equal(moon_host_new(&alarmed, &s.opts, &s.err), 0);
    script = text;
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &in_20_ms, NULL);
    assert_int_equal(moon_host_main(alarmed, "m", 1, argv, &s.status, &s.err), MOON_EINTERRUPT);
    setitimer(ITIMER_REAL, &off, NULL);
    moon_host_free(alarmed);
    session_close(&s);
}

static void test_interrupt(void **state) {
    (void)state;
    interrupted("return { main = function() while true do end end }");
    interrupted("return { main = function() while true do pcall(function() while true do end end) end end }");
    interrupted("return { main = function() while true do pcall(error, 'x') end end }");
    interrupted("return { main = function() while true do xpcall(function() while true do end end, print) end end }");
    interrupted("return { main = function() local s = 'x' while true do s = s:sub(1, 1) .. s:rep(3) s = 'x' end end }");
    interrupted("return { main = function() local co = coroutine.wrap(function() while true do end end) co() end }");
    interrupted("return { main = function() while true do"
                " local co = coroutine.create(function() while true do end end) coroutine.resume(co) end end }");
    interrupted("return { main = function() local function f() f() end while true do pcall(f) end end }");
    interrupted("return { main = function()"
                " local c <close> = setmetatable({}, { __close = function() while true do end end })"
                " while true do end end }");
    interrupted("local task = require 'moongate.task' return { main = function() task.sleep(1000) end }");
    interrupted("local task = require 'moongate.task' return { main = function()"
                " for i = 1, 100 do task.spawn(function() while true do task.yield() end end) end"
                " while true do task.sleep(0) end end }");
    interrupted("local task = require 'moongate.task' return { main = function()"
                " local c <close> = setmetatable({}, { __close = function() while true do end end })"
                " task.sleep(1000) end }");
    interrupted("local task = require 'moongate.task' return { main = function()"
                " while true do task.spawn(function() while true do end end):join() end end }");
    interrupted("return { main = function() setmetatable({}, { __gc = function() end }) require 'native'.interrupt()"
                " while true do end end }");
    interrupted("require 'native'.interrupt() while true do end");
}

/* Closing functions of other tasks get to run. */
static void test_interrupt_closes(void **state) {
    struct moon_err err;
    int status;
    (void)state;
    assert_int_equal(run("local task, n = require 'moongate.task', require 'native' return { main = function()"
                         " local log = {}"
                         " task.spawn(function() local c <close> = setmetatable({}, { __close = function()"
                         "   for i = 1, 1000 do log[i] = i end n.wake_late() end }) task.sleep(10) end)"
                         " task.yield() n.interrupt() task.sleep(1) end }",
                         &status, &err),
                     MOON_EINTERRUPT);
}

/* ---- every allocation fails in turn ---- */

static const char all_of_it[] = "local task, errors = require 'moongate.task', require 'moongate.error'\n"
                                "return { main = function()\n"
                                "  local sem = task.semaphore(2)\n"
                                "  local r = task.map({ 1, 2, 3, 4, 5 }, 3, function(v) return sem:with(function() "
                                "task.sleep(1) return v end) end)\n"
                                "  assert(r and #r == 5)\n"
                                "  local ok, err = task.spawn(function() local x; x.y = 1 end):join()\n"
                                "  assert(not ok and errors.is(err))\n"
                                "  local c = task.spawn(function() local z <close> = setmetatable({}, { __close = "
                                "function() end }) task.sleep(9) end)\n"
                                "  task.yield() c:cancel() c:join()\n"
                                "  assert(select('#', task.timeout(1, function() return 1, 2, 3 end)) == 3)\n"
                                "  task.timeout(1, task.sleep, 2)\n"
                                "  tostring(errors.new { code = 'a', message = 'b', path = '/x', method = 'GET' })\n"
                                "  for i = 1, 40 do task.spawn(function() return i end) end\n"
                                "  task.yield()\n"
                                "  return 5\n"
                                "end }\n";

static void sweep(bool for_good) {
    struct session s;
    uint64_t n;
    session_open(&s, true);
    for (n = 1; n < 100000; n++) {
        int rc;
        s.opts.fail_alloc = n;
        s.opts.fail_alloc_on = for_good;
        rc = run_in(&s, all_of_it);
        if (rc == 0 && s.status == 5 && for_good)
            break;
        if (rc == 0 && !for_good && n > 3000)
            break; /* a single failure is made up for by a collection; it needs an end of its own */
        if (rc != 0)
            assert_true(s.err.message[0] != '\0');
    }
    assert_in_range(n, 100, 99999);
    session_close(&s);
}

static void test_allocation_sweep_for_good(void **state) {
    (void)state;
    sweep(true);
}

static void test_allocation_sweep_once(void **state) {
    (void)state;
    sweep(false);
}

/* Two hosts share a loop; one freed in the middle of its work. */
static void test_two_hosts(void **state) {
    struct session s;
    struct moon_host *a, *b;
    char *const argv[] = {"moongate"};
    (void)state;
    session_open(&s, true);
    assert_int_equal(moon_host_new(&a, &s.opts, &s.err), 0);
    assert_int_equal(moon_host_new(&b, &s.opts, &s.err), 0);
    script = "local task = require 'moongate.task' return { main = function() task.sleep(1) return 3 end }";
    assert_int_equal(moon_host_main(a, "m", 1, argv, &s.status, &s.err), 0);
    assert_int_equal(moon_host_main(b, "m", 1, argv, &s.status, &s.err), 0);
    assert_int_equal(s.status, 3);
    moon_host_free(a);
    assert_int_equal(moon_host_main(b, "m", 1, argv, &s.status, &s.err), 0);
    moon_host_free(b);
    moon_host_free(NULL);
    session_close(&s);
}

static void test_embedded(void **state) {
    const struct moon_embedded *f;
    (void)state;
    f = moon_embedded_find("moongate/init.lua");
    assert_non_null(f);
    assert_true(f->len > 0);
    assert_null(moon_embedded_find("moongate"));
    assert_null(moon_embedded_find("zzz"));
    assert_null(moon_embedded_find(""));
    for (f = moon_embedded_files; f[0].name && f[1].name; f++)
        assert_true(strcmp(f[0].name, f[1].name) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_deadlock),
        cmocka_unit_test(test_wakes),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_interrupt_closes),
        cmocka_unit_test(test_allocation_sweep_for_good),
        cmocka_unit_test(test_allocation_sweep_once),
        cmocka_unit_test(test_two_hosts),
        cmocka_unit_test(test_embedded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
