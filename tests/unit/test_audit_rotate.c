/* test_audit_rotate.c - rotation of the audit log: one chain, one numbering and one tree over all segments, whoever
 * rotates, whoever appends meanwhile, and wherever a crash cuts a rotation off. */
#include "unit.h"

#include "moongate/audit_log.h"
#include "moongate/audit_tree.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], path[96];

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/moongate-rotate-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/audit.jsonl", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static struct moon_audit_log *opened(const struct moon_audit_ops *ops) {
    struct moon_audit_log *log = NULL;
    struct moon_err err;
    if (moon_audit_open(&log, path, ops, &err) != 0)
        fail_msg("%s", err.message);
    return log;
}

static uint64_t append(struct moon_audit_log *log, enum moon_audit_phase phase, uint64_t intent) {
    static const char fields[] = "{\"action\":\"x\"}";
    struct moon_audit_record r = {
        .phase = phase, .intent = intent, .wall_ns = 1, .fields = fields, .fields_len = sizeof fields - 1};
    struct moon_err err;
    if (moon_audit_append(log, &r, 1, true, &err) != 0)
        fail_msg("%s", err.message);
    return r.seq;
}

static int by_number(const void *a, const void *b) {
    const char *x = strrchr(*(char *const *)a, '/'), *y = strrchr(*(char *const *)b, '/');
    return (int)(strtol(x + strlen("/audit-"), NULL, 10) - strtol(y + strlen("/audit-"), NULL, 10));
}

/* All segments and the log are good, follow each other in number and hash, and make one tree of `lines` lines. */
static void expect_whole(uint64_t lines, size_t segments) {
    char pattern[96], before[MOON_SHA256_HEX] = "";
    const char *files[64];
    glob_t found;
    uint64_t last = 0;
    snprintf(pattern, sizeof pattern, "%s/audit-*.jsonl", folder);
    int rc = glob(pattern, 0, NULL, &found);
    size_t n = rc == 0 ? found.gl_pathc : 0;
    assert_int_equal(n, segments);
    for (size_t i = 0; i < n; i++)
        files[i] = found.gl_pathv[i];
    qsort(files, n, sizeof *files, by_number);
    files[n++] = path;
    for (size_t i = 0; i < n; i++) {
        struct moon_audit_report report;
        struct moon_err err;
        if (moon_audit_verify(files[i], &report, &err) != 0)
            fail_msg("%s", err.message);
        assert_int_equal(report.first_seq, last + 1);
        if (i > 0)
            assert_string_equal(report.first_prev, before);
        assert_int_equal(report.continued, i > 0);
        assert_int_equal(report.rotated, i + 1 < n);
        last = report.last_seq;
        strcpy(before, report.last_hash);
        moon_audit_report_release(&report);
    }
    assert_int_equal(last, lines);
    struct moon_audit_tree all, rest;
    const struct moon_audit_tree_query q = {files, n, NULL, 0, -1, false, false},
                                       newest = {files + n - 1, 1, NULL, 0, -1, false, false};
    assert_int_equal(moon_audit_tree_read(&q, &all, NULL), 0);
    assert_int_equal(moon_audit_tree_read(&newest, &rest, NULL), 0);
    assert_int_equal(all.size, lines);
    assert_memory_equal(all.root, rest.root, sizeof all.root);
    moon_audit_tree_release(&all);
    moon_audit_tree_release(&rest);
    globfree(&found);
}

static void numbering_goes_on(void **state) {
    (void)state;
    struct moon_audit_log *a = opened(NULL), *b = opened(NULL);
    uint64_t lines = 0;
    for (int round = 0; round < 5; round++) {
        assert_int_equal(append(a, MOON_AUDIT_EVENT, 0), ++lines);
        assert_int_equal(append(b, MOON_AUDIT_EVENT, 0), ++lines);
        assert_int_equal(moon_audit_rotate(round % 2 ? a : b, 1, false, NULL), 0);
        lines += 2; /* audit_rotated and audit_continued */
        expect_whole(lines, (size_t)round + 1);
    }
    assert_int_equal(append(a, MOON_AUDIT_EVENT, 0), ++lines); /* whose file is another one meanwhile */
    assert_int_equal(append(b, MOON_AUDIT_EVENT, 0), ++lines);
    moon_audit_close(a);
    moon_audit_close(b);
    a = opened(NULL);
    assert_int_equal(append(a, MOON_AUDIT_EVENT, 0), ++lines);
    moon_audit_close(a);
    expect_whole(lines, 5);
}

static void an_empty_log_is_not_rotated(void **state) {
    (void)state;
    struct moon_audit_log *log = opened(NULL);
    assert_int_equal(moon_audit_rotate(log, 1, false, NULL), MOON_ENOENT);
    append(log, MOON_AUDIT_EVENT, 0);
    moon_audit_close(log);
    expect_whole(1, 0);
}

static void open_intents_keep_it_together(void **state) {
    (void)state;
    struct moon_audit_log *log = opened(NULL);
    struct moon_err err;
    append(log, MOON_AUDIT_EVENT, 0);
    uint64_t intent = append(log, MOON_AUDIT_INTENT, 0);
    assert_int_equal(moon_audit_rotate(log, 1, false, &err), MOON_EBUSY);
    assert_non_null(strstr(err.message, "without an outcome: 1, the first is seq 2"));
    expect_whole(2, 0);
    assert_int_equal(moon_audit_rotate(log, 1, true, NULL), 0);
    append(log, MOON_AUDIT_OUTCOME, intent);
    assert_int_equal(moon_audit_rotate(log, 1, false, NULL), 0);
    moon_audit_close(log);
    expect_whole(7, 2);
}

/* ---- a crash at every call ---- */

static int calls_left;

static bool crash_here(void) {
    return calls_left-- == 0;
}
static ssize_t dying_write(int fd, const void *data, size_t len) {
    if (crash_here()) { /* half of it is on the disk */
        (void)!write(fd, data, len / 2);
        _exit(9);
    }
    ssize_t n = write(fd, data, len);
    if (crash_here())
        _exit(9);
    return n;
}
static int dying_sync(int fd) {
    if (crash_here())
        _exit(9);
    int rc = fdatasync(fd);
    if (crash_here())
        _exit(9);
    return rc;
}

static void killed_anywhere_it_is_completed(void **state) {
    (void)state;
    const struct moon_audit_ops dying = {.write = dying_write, .fdatasync = dying_sync, .ftruncate = ftruncate};
    struct moon_audit_log *log = opened(NULL);
    for (int i = 0; i < 3; i++)
        append(log, MOON_AUDIT_EVENT, 0);
    moon_audit_close(log);
    int crashes = 0;
    for (int point = 0;; point++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            struct moon_audit_log *child = NULL;
            if (moon_audit_open(&child, path, &dying, NULL) != 0)
                _exit(1);
            calls_left = point;
            _exit(moon_audit_rotate(child, 1, false, NULL) == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
        log = opened(NULL);
        append(log, MOON_AUDIT_EVENT, 0);
        moon_audit_close(log);
        struct moon_audit_report report;
        assert_int_equal(moon_audit_verify(path, &report, NULL), 0);
        assert_int_equal(report.last_seq > 0, 1);
        moon_audit_report_release(&report);
        if (WEXITSTATUS(status) == 0)
            break;
        crashes++;
    }
    assert_true(crashes >= 6);
    struct moon_audit_tree tree;
    const char *files[] = {path};
    const struct moon_audit_tree_query q = {files, 1, NULL, 0, -1, false, false};
    assert_int_equal(moon_audit_tree_read(&q, &tree, NULL), 0);
    glob_t found;
    char pattern[96];
    snprintf(pattern, sizeof pattern, "%s/audit-*.jsonl", folder);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    expect_whole((uint64_t)tree.size, found.gl_pathc);
    globfree(&found);
    moon_audit_tree_release(&tree);
}

/* One more event, and then all that there is is whole. */
static void completed(void) {
    struct moon_audit_log *log = opened(NULL);
    append(log, MOON_AUDIT_EVENT, 0);
    moon_audit_close(log);
    const char *files[] = {path};
    const struct moon_audit_tree_query q = {files, 1, NULL, 0, -1, false, false};
    struct moon_audit_tree tree;
    char pattern[96];
    glob_t found;
    assert_int_equal(moon_audit_tree_read(&q, &tree, NULL), 0);
    snprintf(pattern, sizeof pattern, "%s/audit-*.jsonl", folder);
    int rc = glob(pattern, 0, NULL, &found);
    size_t segments = rc == 0 ? found.gl_pathc : 0;
    assert_true(rc == 0 || rc == GLOB_NOMATCH);
    expect_whole((uint64_t)tree.size, segments);
    assert_int_equal(tree.size, 4 + 2 * segments); /* each rotation is two lines: all of it, or nothing */
    globfree(&found);
    moon_audit_tree_release(&tree);
}

/* A child that rotates is killed at its stop number `point`, before or after a system call. false: it ended before. */
static bool killed_at(int point, bool *traced) {
    int status, stops = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct moon_audit_log *child = NULL;
        if (moon_audit_open(&child, path, NULL, NULL) != 0 || ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(2);
        raise(SIGSTOP);
        _exit(moon_audit_rotate(child, 1, false, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *traced = WIFSTOPPED(status);
    while (WIFSTOPPED(status)) {
        if (stops++ == point) {
            kill(pid, SIGKILL);
            assert_int_equal(waitpid(pid, &status, 0), pid);
            return true;
        }
        assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    assert_true(WIFEXITED(status) && (!*traced || WEXITSTATUS(status) == 0));
    return false;
}

static void killed_between_any_two_calls_it_is_completed(void **state) {
    bool more = true, traced = true;
    int point = 0;
    for (; more && traced; point++) {
        if (point > 0) {
            tear_down(state);
            set_up(state);
        }
        struct moon_audit_log *log = opened(NULL);
        for (int i = 0; i < 3; i++)
            append(log, MOON_AUDIT_EVENT, 0);
        moon_audit_close(log);
        more = killed_at(point, &traced);
        if (traced)
            completed();
    }
    if (!traced)
        skip(); /* no tracing here */
    assert_true(point > 40);
}

/* ---- the checkpoint that was signed last ---- */

static void write_note(char *out, size_t size, int lines, const char *more) {
    snprintf(out, size, "example.com/log\n%d\nroot%s\n\nsignature\n", lines, more);
}

static void of_processes_that_sign_the_largest_stays(void **state) {
    (void)state;
    enum { PROCESSES = 6, NOTES = 60 };
    pid_t pids[PROCESSES];
    char note[100], have[100] = "", file[128];
    struct moon_err err;
    struct moon_audit_log *log = opened(NULL);
    append(log, MOON_AUDIT_EVENT, 0);
    moon_audit_close(log);
    for (int p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            for (int i = 0; i < NOTES; i++) {
                write_note(note, sizeof note, 1 + (i * 37 + p * 11) % NOTES, "");
                if (moon_audit_keep_checkpoint(path, note, strlen(note), NULL) != 0)
                    _exit(1);
            }
            _exit(0);
        }
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_int_equal(status, 0);
    }
    snprintf(file, sizeof file, "%s.checkpoint", path);
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    have[fread(have, 1, sizeof have - 1, f)] = '\0';
    fclose(f);
    write_note(note, sizeof note, NOTES, "");
    assert_string_equal(have, note);
    write_note(note, sizeof note, NOTES, "x");
    assert_int_equal(moon_audit_keep_checkpoint(path, note, strlen(note), &err), MOON_EVERIFY);
    assert_int_equal(moon_audit_keep_checkpoint(path, "a\nb\n", 4, &err), MOON_EINVAL);
}

static void a_segment_of_that_name_is_not_overwritten(void **state) {
    (void)state;
    struct moon_audit_log *log = opened(NULL);
    struct moon_err err;
    char segment[128];
    append(log, MOON_AUDIT_EVENT, 0);
    snprintf(segment, sizeof segment, "%s/audit-1-2.jsonl", folder);
    FILE *f = fopen(segment, "w");
    fputs("mine\n", f);
    fclose(f);
    assert_int_equal(moon_audit_rotate(log, 1, false, &err), MOON_EEXIST);
    assert_int_equal(unlink(segment), 0);
    assert_int_equal(append(log, MOON_AUDIT_EVENT, 0), 2); /* nothing was begun */
    moon_audit_close(log);
    expect_whole(2, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbering_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_log_is_not_rotated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(open_intents_keep_it_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_anywhere_it_is_completed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_between_any_two_calls_it_is_completed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_processes_that_sign_the_largest_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_segment_of_that_name_is_not_overwritten, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("audit_rotate", tests, NULL, NULL);
}
