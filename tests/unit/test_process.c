/* test_process.c - who we are, and who is gone. */
#include "unit.h"

#include "moongate/process.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void we_live(void **state) {
    (void)state;
    struct moon_process self, again;
    moon_process_self(&self);
    moon_process_self(&again);
    assert_int_equal(self.pid, getpid());
    assert_true(self.started > 0);
    assert_true(self.boot[0] && self.space[0] && self.host[0]);
    assert_int_equal(self.started, again.started);
    assert_int_equal(moon_process_life(&self, &again), MOON_PROCESS_ALIVE);
}

static void a_used_id_is_somebody_else(void **state) {
    (void)state;
    struct moon_process self, other;
    moon_process_self(&self);
    other = self;
    other.started++;
    assert_int_equal(moon_process_life(&self, &other), MOON_PROCESS_GONE);
    other.started = 0;
    assert_int_equal(moon_process_life(&self, &other), MOON_PROCESS_UNKNOWN);
    other.pid = 0;
    assert_int_equal(moon_process_life(&self, &other), MOON_PROCESS_UNKNOWN);
}

static void other_machines_are_not_known(void **state) {
    (void)state;
    struct moon_process self, other;
    moon_process_self(&self);
    other = self;
    snprintf(other.boot, sizeof other.boot, "another");
    assert_int_equal(moon_process_life(&self, &other), MOON_PROCESS_UNKNOWN);
    other = self;
    snprintf(other.space, sizeof other.space, "pid:[1]"); /* another container of this machine */
    assert_int_equal(moon_process_life(&self, &other), MOON_PROCESS_UNKNOWN);
    other = self;
    other.boot[0] = self.boot[0] = '\0';
    assert_int_equal(moon_process_life(&self, &other), MOON_PROCESS_UNKNOWN);
}

static void the_dead_are_gone_before_they_are_buried(void **state) {
    (void)state;
    struct moon_process self, child;
    int ready[2], end[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    moon_process_self(&self);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        moon_process_self(&child);
        if (write(ready[1], &child, sizeof child) != (ssize_t)sizeof child || read(end[0], &byte, 1) != 1)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &child, sizeof child), sizeof child);
    assert_int_equal(child.pid, pid);
    assert_int_equal(moon_process_life(&self, &child), MOON_PROCESS_ALIVE);
    assert_int_equal(write(end[1], &byte, 1), 1);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(moon_process_life(&self, &child), MOON_PROCESS_GONE); /* a zombie */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(moon_process_life(&self, &child), MOON_PROCESS_GONE);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(end[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(we_live),
        cmocka_unit_test(a_used_id_is_somebody_else),
        cmocka_unit_test(other_machines_are_not_known),
        cmocka_unit_test(the_dead_are_gone_before_they_are_buried),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
