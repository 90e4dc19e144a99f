/* test_loop.c - the loop: order of deferred calls and timers, pool work, and the virtual clock. */
#include "moongate/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

static char trace[256];

static void note(void *ud) {
    strncat(trace, ud, sizeof trace - strlen(trace) - 1);
}

static struct moon_loop *fresh(struct moon_vclock *v, struct moon_clock *c) {
    struct moon_loop *loop;
    struct moon_err err;
    trace[0] = '\0';
    if (v) {
        moon_vclock_init(v, 0);
        *c = moon_clock_virtual(v);
    }
    assert_int_equal(moon_loop_new(&loop, c, v, &err), 0);
    return loop;
}

struct chain {
    struct moon_loop *loop;
    struct moon_defer node, other;
    int runs;
};

static void again(void *ud) {
    struct chain *c = ud;
    if (++c->runs < 3)
        moon_loop_defer(c->loop, &c->node, again, c);
}

static void drop_other(void *ud) {
    struct chain *c = ud;
    moon_loop_undefer(c->loop, &c->other);
    strcat(trace, "x");
}

static void test_deferred_calls(void **state) {
    struct moon_loop *loop = fresh(NULL, NULL);
    struct moon_defer a = {0}, b = {0}, c = {0};
    struct chain chain = {.loop = loop};
    (void)state;
    assert_false(moon_loop_turn(loop, true)); /* nothing to do: it does not block */
    moon_loop_defer(loop, &a, note, "a");
    moon_loop_defer(loop, &b, note, "b");
    moon_loop_defer(loop, &a, note, "again"); /* pending already */
    moon_loop_defer(loop, &c, note, "c");
    moon_loop_undefer(loop, &b);
    moon_loop_undefer(loop, &b);
    moon_loop_turn(loop, true);
    assert_string_equal(trace, "ac");
    /* the last one taken out: the queue's end is right */
    moon_loop_defer(loop, &a, note, "1");
    moon_loop_defer(loop, &b, note, "2");
    moon_loop_undefer(loop, &b);
    moon_loop_defer(loop, &c, note, "3");
    moon_loop_turn(loop, true);
    assert_string_equal(trace, "ac13");
    /* one deferred from a deferred call waits for the next turn */
    moon_loop_defer(loop, &chain.node, again, &chain);
    for (int i = 1; i <= 3; i++) {
        moon_loop_turn(loop, true);
        assert_int_equal(chain.runs, i);
    }
    assert_false(moon_loop_turn(loop, true));
    /* one taken out by another of the same turn */
    moon_loop_defer(loop, &chain.node, drop_other, &chain);
    moon_loop_defer(loop, &chain.other, note, "never");
    moon_loop_turn(loop, true);
    assert_string_equal(trace, "ac13x");
    moon_loop_free(loop);
}

static void test_timers_in_order(void **state) {
    struct moon_vclock v;
    struct moon_clock clock;
    struct moon_loop *loop = fresh(&v, &clock);
    struct moon_timer t[6] = {0};
    (void)state;
    moon_timer_start(loop, &t[0], 5 * MOON_NS_PER_S, note, "5");
    moon_timer_start(loop, &t[1], 2 * MOON_NS_PER_S, note, "2");
    moon_timer_start(loop, &t[2], 9 * MOON_NS_PER_S, note, "9");
    moon_timer_start(loop, &t[3], 2 * MOON_NS_PER_S, note, "b"); /* same time: after "2" */
    moon_timer_start(loop, &t[4], 1 * MOON_NS_PER_S, note, "never");
    moon_timer_start(loop, &t[5], 100 * MOON_NS_PER_S, note, "3");
    moon_timer_stop(loop, &t[4]);
    moon_timer_stop(loop, &t[4]);
    moon_timer_start(loop, &t[5], 3 * MOON_NS_PER_S, note, "3"); /* moved */
    while (moon_loop_turn(loop, true))
        ;
    assert_string_equal(trace, "2b359");
    assert_true(v.mono >= 9 * MOON_NS_PER_S);
    assert_true(v.mono < 10 * MOON_NS_PER_S);
    moon_loop_free(loop);
}

#define MANY 2000
static int64_t last_due;
static int fired;
struct many {
    struct moon_timer timer;
    struct moon_loop *loop;
};

static void in_order(void *ud) {
    struct many *m = ud;
    assert_true(m->timer.due_ns >= last_due);
    last_due = m->timer.due_ns;
    fired++;
}

static void test_heap_of_many(void **state) {
    struct moon_vclock v;
    struct moon_clock clock;
    struct moon_loop *loop = fresh(&v, &clock);
    struct many *m = calloc(MANY, sizeof *m);
    unsigned seed = 7;
    (void)state;
    last_due = fired = 0;
    for (int i = 0; i < MANY; i++)
        moon_timer_start(loop, &m[i].timer, (seed = seed * 1103515245 + 12345) % 100000, in_order, &m[i]);
    for (int i = 0; i < MANY; i += 3) /* move a third, stop a third */
        moon_timer_start(loop, &m[i].timer, (seed = seed * 1103515245 + 12345) % 100000, in_order, &m[i]);
    for (int i = 1; i < MANY; i += 3)
        moon_timer_stop(loop, &m[i].timer);
    while (moon_loop_turn(loop, true))
        ;
    assert_int_equal(fired, MANY - (MANY + 1) / 3);
    free(m);
    moon_loop_free(loop);
}

struct restart {
    struct moon_loop *loop;
    struct moon_timer timer;
    int runs;
};

static void restart(void *ud) {
    struct restart *r = ud;
    if (++r->runs < 5)
        moon_timer_start(r->loop, &r->timer, 0, restart, r);
}

static void test_timer_restarted_by_itself(void **state) {
    struct moon_vclock v;
    struct moon_clock clock;
    struct moon_loop *loop = fresh(&v, &clock);
    struct restart r = {.loop = loop};
    (void)state;
    moon_timer_start(loop, &r.timer, 0, restart, &r);
    for (int i = 1; i <= 5; i++) { /* once a turn, although it is due at once */
        moon_loop_turn(loop, true);
        assert_int_equal(r.runs, i);
    }
    moon_loop_free(loop);
}

static void test_real_time(void **state) {
    struct moon_loop *loop = fresh(NULL, NULL);
    struct moon_timer a = {0}, b = {0};
    int64_t start = moon_loop_now_ns(loop), took;
    (void)state;
    moon_timer_start(loop, &a, 20 * MOON_NS_PER_MS, note, "a");
    moon_timer_start(loop, &b, 5 * MOON_NS_PER_MS, note, "b"); /* the alarm moves to the earlier one */
    while (moon_loop_turn(loop, true))
        ;
    took = moon_loop_now_ns(loop) - start;
    assert_string_equal(trace, "ba");
    assert_true(took >= 20 * MOON_NS_PER_MS); /* never early */
    assert_true(took < 500 * MOON_NS_PER_MS);
    moon_loop_free(loop);
}

struct job {
    struct moon_work work;
    int ran, done, cancelled;
    struct moon_loop *loop;
};

static void job_run(void *ud) {
    ((struct job *)ud)->ran = 1;
    usleep(2000);
}

static void job_done(void *ud, bool cancelled) {
    struct job *j = ud;
    j->done++;
    j->cancelled = cancelled;
}

static void test_pool_work(void **state) {
    struct moon_vclock v;
    struct moon_clock clock;
    struct moon_loop *loop = fresh(&v, &clock);
    struct job jobs[20];
    struct moon_timer t = {0};
    struct moon_err err;
    int ran = 0, cancelled = 0;
    (void)state;
    memset(jobs, 0, sizeof jobs);
    moon_timer_start(loop, &t, MOON_NS_PER_S, note, "t");
    for (int i = 0; i < 20; i++)
        assert_int_equal(moon_work_start(loop, &jobs[i].work, job_run, job_done, &jobs[i], &err), 0);
    assert_int_equal(jobs[0].done, 0); /* never inline */
    moon_work_cancel(loop, &jobs[19].work);
    while (!jobs[0].done || !jobs[18].done) {
        moon_loop_turn(loop, true);
        assert_string_equal(trace, ""); /* the clock stands while work is under way */
    }
    while (moon_loop_turn(loop, true))
        ;
    assert_string_equal(trace, "t");
    for (int i = 0; i < 20; i++) {
        assert_int_equal(jobs[i].done, 1);
        ran += jobs[i].ran;
        cancelled += jobs[i].cancelled;
    }
    assert_int_equal(ran + cancelled, 20);
    moon_loop_free(loop);
}

static void close_poll(uv_handle_t *h) {
    free(h);
}

static struct moon_timer io_timer;
static void on_readable(uv_poll_t *p, int status, int events) {
    char c;
    (void)status;
    (void)events;
    assert_int_equal(read(*(int *)p->data, &c, 1), 1);
    note((char[]){c, 0});
    if (c == 'z')
        uv_close((uv_handle_t *)p, close_poll);
}

/* With a virtual clock, what a socket has to say comes before time moves. */
static void test_io_before_time(void **state) {
    struct moon_vclock v;
    struct moon_clock clock;
    struct moon_loop *loop = fresh(&v, &clock);
    uv_poll_t *p = malloc(sizeof *p);
    int fd[2];
    (void)state;
    assert_int_equal(pipe(fd), 0);
    p->data = &fd[0];
    uv_poll_init(moon_loop_uv(loop), p, fd[0]);
    uv_poll_start(p, UV_READABLE, on_readable);
    moon_timer_start(loop, &io_timer, MOON_NS_PER_S, note, "T");
    assert_int_equal(write(fd[1], "abz", 3), 3);
    while (moon_loop_turn(loop, true))
        ;
    assert_string_equal(trace, "abzT");
    close(fd[0]);
    close(fd[1]);
    moon_loop_free(loop);
}

/* An alarm that was set for a timer since stopped, and that is overdue when the poll begins, must not leave the poll
 * without an end. */
static void *wake_later(void *loop);
static void test_overdue_alarm(void **state) {
    struct moon_loop *loop = fresh(NULL, NULL);
    struct moon_timer a = {0}, b = {0};
    uv_thread_t thread;
    (void)state;
    alarm(20); /* ends a hang */
    moon_timer_start(loop, &a, 100 * MOON_NS_PER_MS, note, "never");
    moon_timer_start(loop, &b, 200 * MOON_NS_PER_MS, note, "b");
    uv_thread_create(&thread, (uv_thread_cb)(void (*)(void))wake_later, loop);
    moon_loop_turn(loop, true); /* sets the alarm for a */
    uv_thread_join(&thread);
    moon_timer_stop(loop, &a);
    usleep(120000);
    while (moon_loop_turn(loop, true))
        ;
    assert_string_equal(trace, "b");
    alarm(0);
    moon_loop_free(loop);
}

static void *wake_later(void *loop) {
    usleep(5000);
    moon_loop_wake(loop);
    return NULL;
}

static void test_wake_from_a_thread(void **state) {
    struct moon_loop *loop = fresh(NULL, NULL);
    struct moon_timer t = {0};
    uv_thread_t thread;
    int64_t start = moon_loop_now_ns(loop);
    (void)state;
    moon_timer_start(loop, &t, 60 * MOON_NS_PER_S, note, "never");
    uv_thread_create(&thread, (uv_thread_cb)(void (*)(void))wake_later, loop);
    moon_loop_turn(loop, true);
    assert_true(moon_loop_now_ns(loop) - start < 10 * MOON_NS_PER_S);
    uv_thread_join(&thread);
    moon_timer_stop(loop, &t);
    moon_loop_free(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deferred_calls), cmocka_unit_test(test_timers_in_order),
        cmocka_unit_test(test_heap_of_many),   cmocka_unit_test(test_timer_restarted_by_itself),
        cmocka_unit_test(test_real_time),      cmocka_unit_test(test_pool_work),
        cmocka_unit_test(test_io_before_time), cmocka_unit_test(test_wake_from_a_thread),
        cmocka_unit_test(test_overdue_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
