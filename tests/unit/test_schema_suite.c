/* test_schema_suite.c - the official JSON-Schema-Test-Suite, draft 2020-12: all required tests, and the optional ones
 * about the formats that are asserted and about ECMA-262 patterns; over Lua values. The suite is
 * not part of this repository: $MOONGATE_JSON_SCHEMA_SUITE, or a sibling folder, names it; where it is missing the test
 * is skipped. */
#include "unit.h"

#include "schema_lua.h"

#include "../../src/core/json/json_tree.h"

#include "moongate/file.h"
#include "moongate/schema.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#define RESOURCES_MAX 200

static const char *root;
static struct moon_schema_resource resources[RESOURCES_MAX];
static struct moon_json_doc docs[RESOURCES_MAX];
static size_t resource_count;
static int run, failed;

static bool load(const char *path, struct moon_json_doc *doc) {
    struct moon_buf text = MOON_BUF_INIT;
    struct moon_err err;
    int rc = moon_file_read(path, SIZE_MAX / 4, NULL, &text, &err);
    if (rc == 0)
        rc = moon_json_parse(doc, text.data, text.len, &err);
    if (rc != 0)
        print_error("%s: %s\n", path, err.message);
    moon_buf_release(&text);
    return rc == 0;
}

/* Every file below remotes/ is http://localhost:1234/ and its path. */
static void load_remotes(const char *dir, const char *uri) {
    DIR *d = opendir(dir);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        char path[1000], address[1000];
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        snprintf(address, sizeof address, "%s/%s", uri, e->d_name);
        assert_int_equal(stat(path, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            load_remotes(path, address);
            continue;
        }
        assert_true(resource_count < RESOURCES_MAX);
        assert_true(load(path, &docs[resource_count]));
        resources[resource_count].uri = strdup(address);
        resources[resource_count].document = &docs[resource_count].root;
        resource_count++;
    }
    closedir(d);
}

static void run_case(const char *file, const struct moon_json_value *group, const struct moon_schema *schema,
                     const struct moon_json_value *test) {
    struct moon_schema_report report;
    struct moon_err err;
    bool expected = moon_json_get(test, "valid")->type == MOON_JSON_TRUE;
    moon_schema_report_init(&report);
    struct moon_buf text = MOON_BUF_INIT;
    bool decoded;
    assert_int_equal(json_tree_write_wide(&text, moon_json_get(test, "data")), 0);
    int rc = schema_check_text(schema, text.data, text.len, &decoded, &report, &err);
    moon_buf_release(&text);
    assert_true(decoded);
    run++;
    if ((rc != 0 && rc != MOON_EINVAL) || (rc == 0) != expected) {
        failed++;
        print_error("%s: %s: %s: %s\n", file, moon_json_get_string(group, "description", NULL),
                    moon_json_get_string(test, "description", NULL), rc != 0 ? err.message : "should be invalid");
    }
    assert_int_equal(rc == MOON_EINVAL, report.count > 0);
    moon_schema_report_release(&report);
}

static void run_file(const char *folder, const char *file, bool formats) {
    char path[1000];
    struct moon_json_doc doc;
    struct moon_schema_opts opts = {.formats = formats, .resources = resources, .resource_count = resource_count};
    snprintf(path, sizeof path, "%s/tests/draft2020-12/%s%s", root, folder, file);
    assert_true(load(path, &doc));
    for (size_t i = 0; i < doc.root.u.array.len; i++) {
        const struct moon_json_value *group = &doc.root.u.array.items[i], *tests = moon_json_get(group, "tests");
        struct moon_schema *schema = NULL;
        struct moon_err err;
        if (moon_schema_compile(&schema, moon_json_get(group, "schema"), &opts, &err) != 0) {
            print_error("%s: %s: %s\n", file, moon_json_get_string(group, "description", NULL), err.message);
            run += (int)tests->u.array.len;
            failed += (int)tests->u.array.len;
            continue;
        }
        for (size_t k = 0; k < tests->u.array.len; k++)
            run_case(file, group, schema, &tests->u.array.items[k]);
        moon_schema_free(schema);
    }
    moon_json_doc_release(&doc);
}

static int set_up(void **state) {
    struct stat st;
    char remotes[1000];
    (void)state;
    root = getenv("MOONGATE_JSON_SCHEMA_SUITE");
    if (root == NULL)
        root = "../shared/suites/json-schema";
    snprintf(remotes, sizeof remotes, "%s/remotes", root);
    if (stat(remotes, &st) != 0) {
        print_message("# skipped: the JSON Schema test suite is not at %s\n", root);
        root = NULL;
        return 0;
    }
    load_remotes(remotes, "http://localhost:1234");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < resource_count; i++) {
        free((char *)(uintptr_t)resources[i].uri);
        moon_json_doc_release(&docs[i]);
    }
    return 0;
}

static void required(void **state) {
    char folder[1000];
    struct dirent *e;
    (void)state;
    if (root == NULL)
        return;
    snprintf(folder, sizeof folder, "%s/tests/draft2020-12", root);
    DIR *d = opendir(folder);
    assert_non_null(d);
    run = failed = 0;
    while ((e = readdir(d)) != NULL) {
        if (strstr(e->d_name, ".json") != NULL)
            run_file("", e->d_name, false);
    }
    closedir(d);
    print_message("# %d required tests\n", run);
    assert_int_equal(failed, 0);
    assert_true(run >= 1200);
}

static void formats(void **state) {
    static const char *const names[] = {"date",          "date-time", "ecmascript-regex", "email", "ipv4",
                                        "ipv6",          "regex",     "json-pointer",     "time",  "uri",
                                        "uri-reference", "uuid",      "unknown"};
    (void)state;
    if (root == NULL)
        return;
    run = failed = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char file[100];
        snprintf(file, sizeof file, "%s.json", names[i]);
        run_file("optional/format/", file, true);
    }
    print_message("# %d tests of formats\n", run);
    assert_int_equal(failed, 0);
}

static void optional(void **state) {
    static const char *const files[] = {"anchor.json",
                                        "dynamicRef.json",
                                        "ecmascript-regex.json",
                                        "non-bmp-regex.json",
                                        "format-assertion.json",
                                        "float-overflow.json",
                                        "id.json",
                                        "no-schema.json",
                                        "refOfUnknownKeyword.json",
                                        "unknownKeyword.json"};
    (void)state;
    if (root == NULL)
        return;
    run = failed = 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        run_file("optional/", files[i], false);
    print_message("# %d optional tests\n", run);
    assert_int_equal(failed, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(required),
        cmocka_unit_test(formats),
        cmocka_unit_test(optional),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
