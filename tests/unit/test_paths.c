/* test_paths.c - where state lies: flag, project file, beside it, the user's own folder. */
#include "unit.h"

#include "../../src/cli/paths.h"

static void check(const char *option, const char *project, const char *dir, const char *expected) {
    struct moon_buf out = MOON_BUF_INIT;
    struct moon_err err;
    assert_int_equal(moon_paths_state(&out, option, project, dir, &err), 0);
    assert_string_equal(out.data, expected);
    assert_int_equal(out.len, strlen(expected));
    moon_buf_release(&out);
}

static void the_nearest_word_counts(void **state) {
    (void)state;
    setenv("HOME", "/nobody", 1);
    unsetenv("XDG_STATE_HOME");
    check("/var/state", "sqlite:x.db", "/p", "/var/state");
    check("here", NULL, "/p", "here");
    check(NULL, "sqlite:.moongate/state.db", "/p", "/p/.moongate");
    check(NULL, "/abs/state", "/p", "/abs/state");
    check(NULL, NULL, "/p", "/p/.moongate");
    check(NULL, NULL, NULL, "/nobody/.local/state/moongate");
    setenv("XDG_STATE_HOME", "relative", 1); /* to be ignored, says XDG */
    check(NULL, NULL, NULL, "/nobody/.local/state/moongate");
    setenv("XDG_STATE_HOME", "/xdg", 1);
    check(NULL, NULL, NULL, "/xdg/moongate");
}

static void a_file_stands_for_its_folder(void **state) {
    (void)state;
    check("sqlite:/var/s/state.db", NULL, NULL, "/var/s");
    check("sqlite:state.db", NULL, NULL, ".");
    check("sqlite:s.db", NULL, "/p", ".");
    check(NULL, "sqlite:s.db", "/p", "/p");
    check("sqlite:/s.db", NULL, NULL, "/");
}

static void faults_are_told(void **state) {
    (void)state;
    struct moon_buf out = MOON_BUF_INIT;
    struct moon_err err;
    assert_int_equal(moon_paths_state(&out, "postgres://db/x", NULL, NULL, &err), MOON_EINVAL);
    assert_int_equal(moon_paths_state(&out, "sqlite:", NULL, NULL, &err), MOON_EINVAL);
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    assert_int_equal(moon_paths_state(&out, NULL, NULL, NULL, &err), MOON_ENOENT);
    moon_buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_word_counts),
        cmocka_unit_test(a_file_stands_for_its_folder),
        cmocka_unit_test(faults_are_told),
    };
    return cmocka_run_group_tests_name("paths", tests, NULL, NULL);
}
