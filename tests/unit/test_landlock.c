/* test_landlock.c - what the kernel lets through, in a process of its own: there is no way back. */
#include "unit.h"

#include "moongate/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[64];

static const char *at(const char *rel) {
    static char buf[4][128];
    static int n;
    char *p = buf[n++ % 4];
    snprintf(p, sizeof buf[0], "%s/%s", base, rel);
    return p;
}

static int try_open(const char *rel, int flags) {
    int fd = open(at(rel), flags, 0644);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

/* In the child: 0, or the number of the first look that went wrong. */
static int behind_the_wall(void) {
    struct moon_landlock l;
    if (!moon_landlock_begin(&l))
        return 1;
    moon_landlock_read(&l, at("read"));
    moon_landlock_write(&l, at("write"));
    moon_landlock_read(&l, at("none"));
    moon_landlock_read(&l, at("hidden/one"));
    if (!moon_landlock_enforce(&l))
        return 2;
    if (try_open("read/a", O_RDONLY) != 0 || try_open("hidden/one", O_RDONLY) != 0)
        return 3;
    if (try_open("read/a", O_WRONLY) != EACCES || try_open("read/new", O_WRONLY | O_CREAT) != EACCES)
        return 4;
    if (try_open("hidden/two", O_RDONLY) != EACCES || try_open("hidden", O_RDONLY) != EACCES)
        return 5;
    if (try_open("write/new", O_WRONLY | O_CREAT | O_TRUNC) != 0 || rename(at("write/new"), at("write/other")) != 0)
        return 6;
    if (mkdir(at("write/sub"), 0755) != 0 || rmdir(at("write/sub")) != 0 || unlink(at("write/other")) != 0)
        return 7;
    return unlink(at("read/a")) == 0 || mkdir(at("new"), 0755) == 0 ? 8 : 0;
}

static void the_kernel_holds_a_process_to_it(void **state) {
    (void)state;
    if (moon_landlock_abi() == 0)
        skip();
    snprintf(base, sizeof base, "/tmp/moon-landlock-XXXXXX");
    assert_non_null(mkdtemp(base));
    static const char *const folders[] = {"read", "write", "hidden"}, *const files[] = {"read/a", "hidden/one",
                                                                                        "hidden/two"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(mkdir(at(folders[i]), 0755), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(try_open(files[i], O_WRONLY | O_CREAT), 0);
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(behind_the_wall());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    for (size_t i = 0; i < 3; i++)
        unlink(at(files[i]));
    for (size_t i = 0; i < 3; i++)
        rmdir(at(folders[i]));
    rmdir(base);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_kernel_holds_a_process_to_it)};
    return cmocka_run_group_tests_name("landlock", tests, NULL, NULL);
}
