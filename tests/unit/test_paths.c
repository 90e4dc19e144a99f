/* test_paths.c - where state lies: flag, project file, beside it, the user's own folder. */
#include "unit.h"

#include "../../src/cli/paths.h"

static void check(const char *option, const char *project, const char *dir, const char *expected,
                  const char *expected_store) {
    struct moon_buf out = MOON_BUF_INIT, store = MOON_BUF_INIT;
    struct moon_err err;
    assert_int_equal(moon_paths_state(&out, &store, option, project, dir, &err), 0);
    assert_string_equal(out.data, expected);
    assert_int_equal(out.len, strlen(expected));
    assert_string_equal(store.data, expected_store);
    moon_buf_release(&out);
    moon_buf_release(&store);
}

static void the_nearest_word_counts(void **state) {
    (void)state;
    setenv("HOME", "/nobody", 1);
    unsetenv("XDG_STATE_HOME");
    check("/var/state", "sqlite:x.db", "/p", "/var/state", "sqlite:/var/state/state.db");
    check("here", NULL, "/p", "here", "sqlite:here/state.db");
    check(NULL, "sqlite:.moongate/state.db", "/p", "/p/.moongate", "sqlite:/p/.moongate/state.db");
    check(NULL, "/abs/state", "/p", "/abs/state", "sqlite:/abs/state/state.db");
    check(NULL, NULL, "/p", "/p/.moongate", "sqlite:/p/.moongate/state.db");
    check(NULL, NULL, NULL, "/nobody/.local/state/moongate", "sqlite:/nobody/.local/state/moongate/state.db");
    setenv("XDG_STATE_HOME", "relative", 1); /* to be ignored, says XDG */
    check(NULL, NULL, NULL, "/nobody/.local/state/moongate", "sqlite:/nobody/.local/state/moongate/state.db");
    setenv("XDG_STATE_HOME", "/xdg", 1);
    check(NULL, NULL, NULL, "/xdg/moongate", "sqlite:/xdg/moongate/state.db");
}

static void a_file_stands_for_its_folder(void **state) {
    (void)state;
    check("sqlite:/var/s/state.db", NULL, NULL, "/var/s", "sqlite:/var/s/state.db");
    check("sqlite:state.db", NULL, NULL, ".", "sqlite:state.db");
    check("sqlite:s.db", NULL, "/p", ".", "sqlite:s.db");
    check(NULL, "sqlite:s.db", "/p", "/p", "sqlite:/p/s.db");
    check("sqlite:/s.db", NULL, NULL, "/", "sqlite:/s.db");
}

static void a_server_and_memory_leave_the_folder_where_it_was(void **state) {
    (void)state;
    setenv("HOME", "/nobody", 1);
    unsetenv("XDG_STATE_HOME");
    check("postgres://db/x", "/p/state", "/p", "/p/.moongate", "postgres://db/x");
    check(NULL, "postgresql://db/x", "/p", "/p/.moongate", "postgresql://db/x");
    check("sqlite::memory:", NULL, NULL, "/nobody/.local/state/moongate", "sqlite::memory:");
}

static void faults_are_told(void **state) {
    (void)state;
    struct moon_buf out = MOON_BUF_INIT, store = MOON_BUF_INIT;
    struct moon_err err;
    assert_int_equal(moon_paths_state(&out, &store, "mysql://db/x", NULL, NULL, &err), MOON_EINVAL);
    assert_int_equal(moon_paths_state(&out, &store, "sqlite:", NULL, NULL, &err), MOON_EINVAL);
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    assert_int_equal(moon_paths_state(&out, &store, NULL, NULL, NULL, &err), MOON_ENOENT);
    moon_buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_word_counts),
        cmocka_unit_test(a_file_stands_for_its_folder),
        cmocka_unit_test(a_server_and_memory_leave_the_folder_where_it_was),
        cmocka_unit_test(faults_are_told),
    };
    return cmocka_run_group_tests_name("paths", tests, NULL, NULL);
}
