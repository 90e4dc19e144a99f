/* test_audit_queue.c - group commit: who shares a batch, who is told what, what happens at the end and on a bad disk.
 */
#include "unit.h"

#include "moongate/audit_queue.h"
#include "moongate/clock.h"
#include "moongate/file.h"
#include "moongate/loop.h"
#include "moongate/redact.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static char dir[64], path[128];
static struct moon_loop *loop;
static struct moon_err err;

static int setup(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/moongate-queue-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/audit.jsonl", dir);
    return moon_loop_new(&loop, NULL, NULL, &err);
}

static int teardown(void **state) {
    (void)state;
    moon_loop_free(loop);
    unlink(path);
    rmdir(dir);
    return 0;
}

static struct moon_audit_queue *new_queue(const struct moon_redact *redact, const struct moon_audit_ops *ops) {
    struct moon_audit_queue *q = NULL;
    assert_int_equal(moon_audit_queue_new(&q, loop, redact, path, ops, &err), 0);
    return q;
}

static void run_until_idle(struct moon_audit_queue *q) {
    while (!moon_audit_queue_idle(q))
        moon_loop_turn(loop, true);
}

static uint64_t verified_lines(void) {
    struct moon_audit_report r;
    if (moon_audit_verify(path, &r, &err) != 0)
        fail_msg("%s", err.message);
    moon_audit_report_release(&r);
    return r.lines;
}

struct seen {
    int calls, failed, last_code;
    uint64_t last_seq;
    bool in_order;
};

static void note(void *ud, uint64_t seq, const struct moon_err *why) {
    struct seen *s = ud;
    s->calls++;
    s->failed += why != NULL;
    s->last_code = why ? why->code : 0;
    s->in_order = seq == s->last_seq + 1;
    s->last_seq = seq;
    assert_true((seq == 0) == (why != NULL));
}

static void submit(struct moon_audit_queue *q, const char *fields, bool sync, struct seen *seen) {
    if (moon_audit_submit(q, MOON_AUDIT_EVENT, 0, fields, strlen(fields), sync, seen ? note : NULL, seen, NULL, &err))
        fail_msg("%s", err.message);
}

static void a_thousand_share_a_sync(void **state) {
    (void)state;
    struct moon_audit_queue *q = new_queue(NULL, NULL);
    struct seen seen = {0};
    assert_true(access(path, F_OK) != 0); /* opened at the first event */
    for (int i = 0; i < 1000; i++)
        submit(q, "{\"action\":\"x\"}", i == 500, &seen);
    assert_int_equal(seen.calls, 0);
    run_until_idle(q);
    assert_int_equal(seen.calls, 1000);
    assert_int_equal(seen.failed, 0);
    assert_true(seen.in_order);
    struct moon_audit_stats stats = moon_audit_queue_stats(q);
    assert_int_equal(stats.events, 1000);
    assert_int_equal(stats.batches, 1);
    assert_int_equal(stats.syncs, 1);
    submit(q, "{\"action\":\"x\"}", false, &seen);
    run_until_idle(q);
    assert_int_equal(moon_audit_queue_stats(q).syncs, 1);
    assert_string_equal(moon_audit_queue_path(q), path);
    moon_audit_queue_free(q);
    assert_int_equal(verified_lines(), 1001);
}

struct chain {
    struct moon_audit_queue *q;
    int left;
};

static void submit_next(void *ud, uint64_t seq, const struct moon_err *why) {
    struct chain *c = ud;
    assert_true(seq > 0 && !why);
    if (c->left-- > 0)
        assert_int_equal(moon_audit_submit(c->q, MOON_AUDIT_OUTCOME, seq, "{\"action\":\"x\"}", 14, true, submit_next,
                                           c, NULL, &err),
                         0);
}

static void callbacks_may_submit(void **state) {
    (void)state;
    struct moon_audit_queue *q = new_queue(NULL, NULL);
    struct chain chains[50];
    for (int i = 0; i < 50; i++) {
        chains[i] = (struct chain){q, 4};
        assert_int_equal(moon_audit_submit(q, MOON_AUDIT_INTENT, 0, "{\"action\":\"x\"}", 14, true, submit_next,
                                           &chains[i], NULL, &err),
                         0);
    }
    run_until_idle(q);
    assert_int_equal(moon_audit_queue_stats(q).events, 250);
    assert_int_equal(moon_audit_queue_stats(q).syncs, 5); /* all fifty go step by step together */
    moon_audit_queue_free(q);
    assert_int_equal(verified_lines(), 250);
}

static void mistakes_are_found_at_once(void **state) {
    (void)state;
    struct moon_audit_queue *q = new_queue(NULL, NULL);
    assert_int_equal(moon_audit_submit(q, MOON_AUDIT_EVENT, 0, "{}", 2, true, NULL, NULL, NULL, &err), MOON_EINVAL);
    assert_int_equal(moon_audit_submit(q, MOON_AUDIT_EVENT, 0, "nope", 4, true, NULL, NULL, NULL, &err), MOON_EINVAL);
    assert_true(moon_audit_queue_idle(q));
    moon_audit_queue_free(q);
    moon_audit_queue_free(NULL);
    assert_true(access(path, F_OK) != 0);
}

static void the_forgotten_are_written_and_not_told(void **state) {
    (void)state;
    struct moon_audit_queue *q = new_queue(NULL, NULL);
    struct moon_audit_ticket *ticket;
    struct seen seen = {0};
    for (int late = 0; late <= 1; late++) {
        assert_int_equal(
            moon_audit_submit(q, MOON_AUDIT_EVENT, 0, "{\"action\":\"x\"}", 14, true, note, &seen, &ticket, &err), 0);
        if (late) /* while the pool is at it */
            moon_loop_turn(loop, false);
        moon_audit_forget(ticket);
        run_until_idle(q);
    }
    assert_int_equal(seen.calls, 0);
    moon_audit_queue_free(q);
    assert_int_equal(verified_lines(), 2);
}

static void what_is_queued_at_the_end_is_written(void **state) {
    (void)state;
    struct seen seen = {0};
    struct moon_audit_queue *q = new_queue(NULL, NULL);
    submit(q, "{\"action\":\"a\"}", true, &seen);
    moon_loop_turn(loop, false); /* the first is on its way, the others wait */
    for (int i = 0; i < 10; i++)
        submit(q, "{\"action\":\"b\"}", true, &seen);
    moon_audit_queue_free(q);
    assert_int_equal(seen.calls, 0);
    assert_int_equal(verified_lines(), 11);
    q = new_queue(NULL, NULL);
    submit(q, "{\"action\":\"c\"}", true, &seen);
    moon_audit_queue_free(q);
    assert_int_equal(verified_lines(), 12);
}

static bool disk_full, sync_fails;

static ssize_t disk_write(int fd, const void *data, size_t len) {
    if (disk_full) {
        errno = ENOSPC;
        return -1;
    }
    return write(fd, data, len);
}

static int disk_sync(int fd) {
    if (sync_fails) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

static void everyone_hears_of_a_full_disk(void **state) {
    (void)state;
    static const struct moon_audit_ops ops = {.write = disk_write, .fdatasync = disk_sync};
    struct moon_audit_queue *q = new_queue(NULL, &ops);
    struct seen seen = {0};
    disk_full = true;
    sync_fails = false;
    for (int i = 0; i < 10; i++)
        submit(q, "{\"action\":\"x\"}", true, &seen);
    run_until_idle(q);
    assert_int_equal(seen.calls, 10);
    assert_int_equal(seen.failed, 10);
    assert_int_equal(seen.last_code, MOON_EIO);
    disk_full = false;
    submit(q, "{\"action\":\"x\"}", true, &seen);
    run_until_idle(q);
    assert_int_equal(seen.last_code, 0);
    assert_int_equal(seen.last_seq, 1);
    sync_fails = true;
    submit(q, "{\"action\":\"x\"}", true, &seen);
    run_until_idle(q);
    assert_int_equal(seen.last_code, MOON_EIO);
    sync_fails = false;
    submit(q, "{\"action\":\"x\"}", true, &seen);
    run_until_idle(q);
    assert_int_equal(seen.last_code, MOON_EIO); /* nobody knows what the disk has: nothing more goes out */
    moon_audit_queue_free(q);
}

static void a_log_that_cannot_be_opened_is_tried_again(void **state) {
    (void)state;
    struct seen seen = {0};
    assert_int_equal(moon_file_replace(path, "damaged\n\n", 9, 0600, &err), 0);
    struct moon_audit_queue *q = new_queue(NULL, NULL);
    submit(q, "{\"action\":\"x\"}", true, &seen);
    run_until_idle(q);
    assert_int_equal(seen.last_code, MOON_ECORRUPT);
    unlink(path);
    submit(q, "{\"action\":\"x\"}", true, &seen);
    run_until_idle(q);
    assert_int_equal(seen.last_seq, 1);
    moon_audit_queue_free(q);
}

static void nothing_secret_is_queued(void **state) {
    (void)state;
    struct moon_redact *redact;
    struct moon_buf b = MOON_BUF_INIT;
    assert_int_equal(moon_redact_new(&redact), 0);
    assert_int_equal(moon_redact_add(redact, "canary-value", 12), 0);
    struct moon_audit_queue *q = new_queue(redact, NULL);
    submit(q, "{\"action\":\"x\",\"a\":\"my canary-value\"}", true, NULL);
    moon_audit_queue_free(q);
    assert_int_equal(moon_file_read(path, 10000, NULL, &b, &err), 0);
    assert_null(strstr(b.data, "canary"));
    assert_non_null(strstr(b.data, "\"a\":\"my ***\""));
    moon_buf_release(&b);
    moon_redact_free(redact);
}

static void works_on_a_virtual_clock(void **state) {
    (void)state;
    struct moon_vclock v;
    struct moon_clock clock;
    struct moon_loop *other;
    struct moon_buf b = MOON_BUF_INIT;
    struct seen seen = {0};
    moon_vclock_init(&v, INT64_C(1795159897042) * MOON_NS_PER_MS);
    clock = moon_clock_virtual(&v);
    assert_int_equal(moon_loop_new(&other, &clock, &v, &err), 0);
    struct moon_audit_queue *q = NULL;
    assert_int_equal(moon_audit_queue_new(&q, other, NULL, path, NULL, &err), 0);
    submit(q, "{\"action\":\"x\"}", true, &seen);
    while (!moon_audit_queue_idle(q))
        moon_loop_turn(other, true);
    assert_int_equal(seen.calls, 1);
    moon_audit_queue_free(q);
    moon_loop_free(other);
    assert_int_equal(moon_file_read(path, 10000, NULL, &b, &err), 0);
    assert_non_null(strstr(b.data, "\"time\":\"2026-11-20T07:31:37.042Z\""));
    moon_buf_release(&b);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(a_thousand_share_a_sync),
        WITH(callbacks_may_submit),
        WITH(mistakes_are_found_at_once),
        WITH(the_forgotten_are_written_and_not_told),
        WITH(what_is_queued_at_the_end_is_written),
        WITH(everyone_hears_of_a_full_disk),
        WITH(a_log_that_cannot_be_opened_is_tried_again),
        WITH(nothing_secret_is_queued),
        WITH(works_on_a_virtual_clock),
    };
    return cmocka_run_group_tests_name("audit_queue", tests, NULL, NULL);
}
