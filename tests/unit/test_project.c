/* test_project.c - the project file: finding it, its fields, its faults, what it can't do. */
#include "unit.h"

#include "../../src/cli/project.h"

#include <lauxlib.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "%s", "/tmp/moongate-project-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/moongate.lua", dir);
    unlink(path);
    return rmdir(dir);
}

static struct moon_project *open_text(const char *text) {
    char path[128];
    struct moon_project *p;
    struct moon_err err = {0};
    snprintf(path, sizeof path, "%s/moongate.lua", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    if (moon_project_open(&p, path, &err) != 0)
        fail_msg("%s", err.message);
    return p;
}

/* "line path message" of every fault, one a line. */
static void faults_of(const char *text, char *out, size_t size) {
    struct moon_project *p = open_text(text);
    lua_State *L = luaL_newstate();
    moon_project_push_faults(p, L);
    *out = '\0';
    for (lua_Integer i = 1; i <= luaL_len(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        lua_getfield(L, -1, "line");
        lua_getfield(L, -2, "path");
        lua_getfield(L, -3, "message");
        size_t used = strlen(out);
        snprintf(out + used, size - used, "%d %s: %s\n", (int)lua_tointeger(L, -3),
                 lua_isnil(L, -2) ? "-" : lua_tostring(L, -2), lua_tostring(L, -1));
        lua_pop(L, 4);
    }
    assert_int_equal(moon_project_ok(p), *out == '\0');
    lua_close(L);
    moon_project_free(p);
}

static void push_name(lua_State *L, const struct moon_project_secret *s) {
    lua_pushfstring(L, "<%s>", s->name);
}

static void reads_every_field(void **state) {
    (void)state;
    setenv("PROJECT_TEST_SECRET", "canary-77", 1);
    unsetenv("PROJECT_TEST_NOT_SET");
    struct moon_project *p =
        open_text("return {\n"
                  "  gateway = { region = env('NOT_SET_AT_ALL', 'eu-west-1'), profile = 'prod',\n"
                  "    client_secret = secret 'PROJECT_TEST_SECRET' },\n"
                  "  state = 'sqlite:.moongate/state.db',\n"
                  "  webhooks = { governance = { url = 'https://hooks.example.com/llm',\n"
                  "    secret = { secret 'PROJECT_TEST_NOT_SET', secret 'PROJECT_TEST_SECRET' } } },\n"
                  "  limits = { dimensions = 4096, prompt_tokens = 3800 },\n"
                  "  permissions = { net = { 'hooks.example.com' } },\n"
                  "}\n");
    assert_true(moon_project_ok(p));
    assert_string_equal(moon_project_dir(p), dir);
    assert_string_equal(moon_project_string(p, "gateway", "region"), "eu-west-1");
    assert_string_equal(moon_project_string(p, NULL, "state"), "sqlite:.moongate/state.db");
    assert_null(moon_project_string(p, "gateway", "login_url"));
    assert_null(moon_project_string(p, "gateway", "client_secret"));
    assert_null(moon_project_string(p, "nowhere", "x"));
    struct moon_project_secret s;
    assert_true(moon_project_secret(p, "gateway", "client_secret", &s));
    assert_string_equal(s.name, "PROJECT_TEST_SECRET");
    assert_string_equal(s.value, "canary-77");
    assert_false(moon_project_secret(p, "gateway", "access_token", &s));

    lua_State *L = luaL_newstate();
    moon_project_push(p, L, push_name);
    lua_getfield(L, -1, "webhooks");
    lua_getfield(L, -1, "governance");
    lua_getfield(L, -1, "secret");
    lua_rawgeti(L, -1, 2);
    assert_string_equal(lua_tostring(L, -1), "<PROJECT_TEST_SECRET>");
    lua_close(L);
    moon_project_free(p);
}

static void reports_every_fault_at_once(void **state) {
    (void)state;
    char got[1024];
    faults_of("return {\n  gateway = { regoin = 'x',\n    login_url = 'nowhere', client_secret = 'canary-1' },\n"
              "  limits = { dimensions = 0 },\n  webhook = {},\n  webhooks = { a = { secret = 3 } },\n"
              "  permissions = { net = { 1 } },\n}\n",
              got, sizeof got);
    assert_string_equal(got, "3 gateway.client_secret: must be secret \"NAME\", which names an environment variable: a "
                             "secret does not belong here\n"
                             "3 gateway.login_url: must be an http(s) URL, not string\n"
                             "2 gateway.regoin: unknown field (did you mean 'region'?)\n"
                             "4 limits.dimensions: must be a whole number from 1 on, not number\n"
                             "7 permissions.net[1]: must be a string, not number\n"
                             "5 webhook: unknown field (did you mean 'webhooks'?)\n"
                             "6 webhooks.a.secret: must be secret \"NAME\", which names an environment variable: a "
                             "secret does not belong here\n"
                             "0 webhooks.a: 'url' is missing\n");
}

static void can_do_nothing_but_data(void **state) {
    (void)state;
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"return {\n state = 'x' 'y' }", "2 -: '}' expected (to close '{' at line 1) near a literal\n"},
        {"x = 1\nreturn { state = \"canary-9\n", "2 -: unfinished string near a literal\n"},
        {"return 7", "0 -: must return a table\n"},
        {"return { x = 12canary }", "1 -: malformed number near a literal\n"},
        {"\n\nprint('x')", "3 -: attempt to call a nil value (global 'print')\n"},
        {"return os.execute('true')", "1 -: attempt to index a nil value (global 'os')\n"},
        {"return ('x'):rep(1e9)", "1 -: attempt to index a string value\n"},
        {"while true do end", "1 -: runs too long: a project file contains only data\n"},
        {"local s = 'xxxxxxxx' while true do s = s .. s end",
         "0 -: needs too much memory: a project file contains only data\n"},
        {"local function f() return f() + 1 end f()",
         "0 -: needs too much memory: a project file contains only data\n"},
        {"error({})", "1 -: attempt to call a nil value (global 'error')\n"},
        {"return secret('X') .. 'y'", "1 -: attempt to concatenate a secret value\n"},
        {"return { state = secret 'X' }", "1 state: must be a string, not userdata\n"},
        {"\x1bLua", "0 -: attempt to load a binary chunk (mode is 't')\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char got[1024];
        faults_of(cases[i].text, got, sizeof got);
        if (strncmp(got, cases[i].fault, strlen(cases[i].fault) - 1) != 0)
            fail_msg("%s:\ngot      %sexpected %s", cases[i].text, got, cases[i].fault);
    }
}

static void finds_it_upward(void **state) {
    (void)state;
    struct moon_buf path = MOON_BUF_INIT;
    char expected[128], below[128];
    moon_project_free(open_text("return {}"));
    snprintf(expected, sizeof expected, "%s/moongate.lua", dir);
    snprintf(below, sizeof below, "%s/below", dir);
    assert_int_equal(mkdir(below, 0700), 0);
    assert_true(moon_project_find(below, &path));
    assert_string_equal(path.data, expected);
    moon_buf_clear(&path);
    assert_false(moon_project_find("/", &path));
    assert_false(moon_project_find("/nonexistent", &path));
    moon_buf_release(&path);
    assert_int_equal(rmdir(below), 0);
}

static void says_what_it_cannot_read(void **state) {
    (void)state;
    struct moon_project *p;
    struct moon_err err;
    assert_int_equal(moon_project_open(&p, "/nonexistent/moongate.lua", &err), MOON_ENOENT);
    assert_null(p);
    assert_int_equal(moon_project_open(&p, dir, &err), MOON_EINVAL);
    moon_project_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_field),        cmocka_unit_test(reports_every_fault_at_once),
        cmocka_unit_test(can_do_nothing_but_data),  cmocka_unit_test(finds_it_upward),
        cmocka_unit_test(says_what_it_cannot_read),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
