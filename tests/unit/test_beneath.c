/* test_beneath.c - files below an allowed folder, by openat2 and by the walk: what leads out of it does not. */
#include "unit.h"

#include "moongate/beneath.h"
#include "moongate/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char base[128]; /* base/in is allowed, base/out is not */

static const char *at(const char *rel) {
    static _Thread_local char buf[4][512];
    static _Thread_local int n;
    char *p = buf[n++ % 4];
    snprintf(p, sizeof buf[0], "%s/%s", base, rel);
    return p;
}

static void put(const char *rel, const char *text) {
    assert_int_equal(moon_file_replace(at(rel), text, strlen(text), 0644, NULL), 0);
}

static int set_up(void **state) {
    (void)state;
    snprintf(base, sizeof base, "/tmp/moon-beneath-XXXXXX");
    if (!mkdtemp(base))
        return -1;
    assert_int_equal(mkdir(at("in"), 0755), 0);
    assert_int_equal(mkdir(at("in/sub"), 0755), 0);
    assert_int_equal(mkdir(at("in/kept"), 0755), 0);
    assert_int_equal(mkdir(at("out"), 0755), 0);
    put("in/a", "a");
    put("in/sub/b", "b");
    put("in/kept/k", "k");
    put("out/secret", "s");
    assert_int_equal(symlink(at("out/secret"), at("in/link")), 0);
    assert_int_equal(symlink("../out", at("in/dir")), 0);
    assert_int_equal(symlink("sub/b", at("in/inner")), 0);
    assert_int_equal(symlink(at("in/sub"), at("in/absolute")), 0);
    assert_int_equal(symlink("/proc/self/environ", at("in/environ")), 0);
    assert_int_equal(symlink("kept/k", at("in/tokept")), 0);
    assert_int_equal(symlink("nowhere", at("in/dangling")), 0);
    assert_int_equal(mkfifo(at("in/pipe"), 0644), 0);
    return 0;
}

static int tear_down(void **state) {
    char command[200];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    return system(command);
}

static struct moon_roots roots(bool walk) {
    struct moon_roots r = {.walk = walk};
    struct moon_err err;
    assert_int_equal(moon_roots_allow(&r, at("in"), &err), 0);
    assert_int_equal(moon_roots_keep(&r, at("in/kept"), &err), 0);
    return r;
}

/* The first byte, '!' when it is outside, '-' when it can't be opened. */
static char first(const struct moon_roots *r, const char *path) {
    bool outside;
    struct moon_err err;
    char c = 0;
    int fd = moon_beneath_open(r, path, O_RDONLY, &outside, &err);
    if (fd < 0)
        return outside ? '!' : '-';
    if (read(fd, &c, 1) != 1)
        c = 0;
    close(fd);
    return c;
}

static void reads_below_only(void **state) {
    (void)state;
    for (int walk = 0; walk < 2; walk++) {
        struct moon_roots r = roots(walk);
        assert_int_equal(first(&r, at("in/a")), 'a');
        assert_int_equal(first(&r, at("in/sub/b")), 'b');
        assert_int_equal(first(&r, at("in/sub/../a")), 'a');
        assert_int_equal(first(&r, at("in//sub/.//b")), 'b');
        assert_int_equal(first(&r, at("in/inner")), 'b');
        assert_int_equal(first(&r, at("in/absolute/b")), 'b');
        assert_int_equal(first(&r, at("out/../in/a")), 'a');
        assert_int_equal(first(&r, at("in/nothing")), '-');
        assert_int_equal(first(&r, at("in/dangling")), '!');
        assert_int_equal(first(&r, at("in/link")), '!');
        assert_int_equal(first(&r, at("in/dir/secret")), '!');
        assert_int_equal(first(&r, at("in/../out/secret")), '!');
        assert_int_equal(first(&r, at("in/../out/nothing")), '!');
        assert_int_equal(first(&r, at("in/environ")), '!');
        assert_int_equal(first(&r, at("in/pipe")), '!');
        assert_int_equal(first(&r, at("in/kept/k")), '!');
        assert_int_equal(first(&r, at("in/tokept")), '!');
        assert_int_equal(first(&r, at("in")), 0); /* the folder */
        assert_int_equal(first(&r, at("inner")), '!');
        assert_int_equal(first(&r, "/dev/null"), '!');
        moon_roots_release(&r);
    }
}

static void special_files_are_refused_wherever_they_are(void **state) {
    (void)state;
    struct moon_roots r = {0};
    struct moon_err err;
    assert_int_equal(moon_roots_allow(&r, "/", &err), 0);
    assert_int_equal(first(&r, at("out/secret")), 's');
    assert_int_equal(first(&r, "/proc/self/environ"), '!');
    assert_int_equal(first(&r, "/proc/version"), '!');
    assert_int_equal(first(&r, "/dev/zero"), '!');
    assert_int_equal(first(&r, "/dev/fd/0"), '!');
    moon_roots_release(&r);
}

static atomic_bool racing;

/* A folder and a link out of the allowed one take turns to be called in/race. */
static void *swap(void *ud) {
    (void)ud;
    while (atomic_load(&racing))
        syscall(SYS_renameat2, AT_FDCWD, at("in/race"), AT_FDCWD, at("in/other"), 2 /* RENAME_EXCHANGE */);
    return NULL;
}

static void a_race_for_the_path_is_lost(void **state) {
    (void)state;
    assert_int_equal(mkdir(at("in/race"), 0755), 0);
    put("in/race/secret", "r");
    assert_int_equal(symlink("../out", at("in/other")), 0);
    for (int walk = 0; walk < 2; walk++) {
        struct moon_roots r = roots(walk);
        char path[256];
        pthread_t swapper;
        snprintf(path, sizeof path, "%s/in/race/secret", base);
        atomic_store(&racing, true);
        assert_int_equal(pthread_create(&swapper, NULL, swap, NULL), 0);
        for (int i = 0; i < 3000; i++) {
            char c = first(&r, path);
            if (c == 's') {
                atomic_store(&racing, false);
                fail_msg("the file outside was read");
            }
        }
        atomic_store(&racing, false);
        pthread_join(swapper, NULL);
        moon_roots_release(&r);
    }
}

static void changes_below_only(void **state) {
    (void)state;
    for (int walk = 0; walk < 2; walk++) {
        struct moon_roots r = roots(walk);
        bool outside;
        struct moon_err err;
        char *name;
        struct stat st;
        int dir = moon_beneath_parent(&r, at("in/sub/new"), &name, &outside, &err);
        assert_true(dir >= 0);
        assert_string_equal(name, "new");
        assert_int_equal(moon_file_replace_in(dir, name, "new", "n", 1, 0600, &err), 0);
        close(dir);
        free(name);
        assert_int_equal(moon_beneath_stat(&r, at("in/sub/new"), &st, &outside, &err), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(moon_beneath_mkdirs(&r, at("in/x/y/z"), 0755, &outside, &err), 0);
        assert_int_equal(moon_beneath_mkdirs(&r, at("in/x/y/z"), 0755, &outside, &err), 0);
        assert_int_equal(moon_beneath_remove(&r, at("in/x/y/z"), &outside, &err), 0);
        assert_int_equal(moon_beneath_remove(&r, at("in/x"), &outside, &err), MOON_EIO);
        assert_false(outside);
        assert_int_equal(moon_beneath_remove(&r, at("in/x/y/"), &outside, &err), 0);
        assert_int_equal(moon_beneath_remove(&r, at("in/x"), &outside, &err), 0);
        assert_int_equal(moon_beneath_remove(&r, at("in/sub/new"), &outside, &err), 0);
        assert_int_equal(moon_beneath_remove(&r, at("in/sub/new"), &outside, &err), MOON_ENOENT);

        static const char *const outs[] = {"out/new", "in/dir/new", "in/../new", "in/kept/new", "in", "in/kept"};
        for (size_t i = 0; i < sizeof outs / sizeof *outs; i++) {
            assert_int_equal(moon_beneath_parent(&r, at(outs[i]), &name, &outside, &err), MOON_EDENIED);
            assert_true(outside);
            assert_int_equal(moon_beneath_remove(&r, at(outs[i]), &outside, &err), MOON_EDENIED);
        }
        assert_int_equal(moon_beneath_mkdirs(&r, at("out/new"), 0755, &outside, &err), MOON_EDENIED);
        assert_int_equal(moon_beneath_mkdirs(&r, at("in/dir/new"), 0755, &outside, &err), MOON_EDENIED);
        assert_int_equal(access(at("out/new"), F_OK), -1);
        moon_roots_release(&r);
    }
}

/* A link is removed or replaced, never what it leads to. */
static void a_link_is_itself_when_it_is_removed(void **state) {
    (void)state;
    struct moon_roots r = roots(false);
    bool outside;
    struct moon_err err;
    assert_int_equal(symlink(at("out/secret"), at("in/gone")), 0);
    assert_int_equal(moon_beneath_remove(&r, at("in/gone"), &outside, &err), 0);
    assert_int_equal(access(at("out/secret"), F_OK), 0);
    moon_roots_release(&r);
}

static void what_is_allowed_need_not_exist(void **state) {
    (void)state;
    for (int walk = 0; walk < 2; walk++) {
        struct moon_roots r = {.walk = walk};
        struct moon_err err;
        bool outside;
        char *name;
        assert_int_equal(moon_roots_allow(&r, at("in/later/on"), &err), 0);
        assert_int_equal(moon_roots_allow(&r, at("out/one"), &err), 0);
        assert_true(moon_roots_hold(&r, at("in/later/on/x")));
        assert_false(moon_roots_hold(&r, at("in/later")));
        assert_int_equal(moon_beneath_mkdirs(&r, at("in/later"), 0755, &outside, &err), MOON_EDENIED);
        assert_int_equal(moon_beneath_mkdirs(&r, at("in/later/on"), 0755, &outside, &err), 0);
        put("in/later/on/x", "x");
        put("out/one", "1");
        assert_int_equal(first(&r, at("in/later/on/x")), 'x');
        assert_int_equal(first(&r, at("out/one")), '1');
        assert_int_equal(first(&r, at("out/secret")), '!');
        assert_int_equal(first(&r, at("in/a")), '!');
        int dir = moon_beneath_parent(&r, at("out/one"), &name, &outside, &err);
        assert_true(dir >= 0);
        close(dir);
        free(name);
        moon_roots_release(&r);
        unlink(at("in/later/on/x"));
        rmdir(at("in/later/on"));
        rmdir(at("in/later"));
        unlink(at("out/one"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_below_only),
        cmocka_unit_test(special_files_are_refused_wherever_they_are),
        cmocka_unit_test(a_race_for_the_path_is_lost),
        cmocka_unit_test(changes_below_only),
        cmocka_unit_test(a_link_is_itself_when_it_is_removed),
        cmocka_unit_test(what_is_allowed_need_not_exist),
    };
    return cmocka_run_group_tests_name("beneath", tests, set_up, tear_down);
}
