/* test_folder.c - folders for a while: new ones, each removed whole and nothing else. */
#include "moongate/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void make(const char *folder, const char *name) {
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

static void test_made_and_removed(void **state) {
    struct moon_buf a = MOON_BUF_INIT, b = MOON_BUF_INIT;
    struct moon_err err;
    struct stat st;
    char path[4096];
    (void)state;
    assert_int_equal(moon_folder_temporary(&a, "moongate-unit", &err), 0);
    assert_int_equal(moon_folder_temporary(&b, "moongate-unit", &err), 0);
    assert_string_not_equal(a.data, b.data);
    assert_int_equal(stat(a.data, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    make(b.data, "kept");
    snprintf(path, sizeof path, "%s/below", a.data);
    assert_int_equal(mkdir(path, 0700), 0);
    make(path, "file");
    make(a.data, ".hidden");
    snprintf(path, sizeof path, "%s/link", a.data);
    assert_int_equal(symlink(b.data, path), 0);
    moon_folder_remove(a.data);
    assert_int_not_equal(stat(a.data, &st), 0);
    snprintf(path, sizeof path, "%s/kept", b.data);
    assert_int_equal(stat(path, &st), 0); /* not through the link */
    moon_folder_remove(b.data);
    moon_folder_remove(b.data); /* harmless */
    assert_int_not_equal(stat(b.data, &st), 0);
    moon_buf_release(&a);
    moon_buf_release(&b);
}

static void test_no_room(void **state) {
    struct moon_buf path = MOON_BUF_INIT;
    struct moon_err err;
    const char *before = getenv("TMPDIR");
    char *kept = before ? strdup(before) : NULL;
    (void)state;
    setenv("TMPDIR", "/nonexistent/", 1);
    assert_int_equal(moon_folder_temporary(&path, "x", &err), MOON_ENOENT);
    assert_non_null(strstr(err.message, "in /nonexistent:"));
    if (kept)
        setenv("TMPDIR", kept, 1);
    else
        unsetenv("TMPDIR");
    free(kept);
    moon_buf_release(&path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_made_and_removed), cmocka_unit_test(test_no_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
