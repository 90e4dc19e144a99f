/* test_schema.c - what a schema says about faults: words, places, order; and what it refuses. Conformance:
 * test_schema_suite.c. */
#include "schema_lua.h"
#include "unit.h"

#include "moongate/schema.h"

#include <stdio.h>

static struct moon_json_doc parse(const char *text) {
    struct moon_json_doc doc;
    struct moon_err err;
    if (moon_json_parse(&doc, text, strlen(text), &err) != 0)
        fail_msg("%s: %s", text, err.message);
    return doc;
}

static struct moon_schema *compile(const char *text, const struct moon_schema_opts *opts) {
    struct moon_json_doc doc = parse(text);
    struct moon_schema *schema = NULL;
    struct moon_err err;
    if (moon_schema_compile(&schema, &doc.root, opts, &err) != 0)
        fail_msg("%s: %s", text, err.message);
    moon_json_doc_release(&doc);
    return schema;
}

static int check_text(const struct moon_schema *schema, const char *text, struct moon_schema_report *report,
                      struct moon_err *err) {
    bool decoded;
    int rc = schema_check_text(schema, text, strlen(text), &decoded, report, err);
    if (!decoded)
        fail_msg("%s: %s", text, err->message);
    return rc;
}

/* All faults as "pointer: message" lines. */
static void check(const char *schema_text, const char *value_text, const char *expected) {
    static const struct moon_schema_opts opts = {.formats = true};
    struct moon_schema *schema = compile(schema_text, &opts);
    const char *value = value_text;
    struct moon_schema_report report;
    struct moon_buf lines = MOON_BUF_INIT;
    struct moon_err err;
    moon_schema_report_init(&report);
    int rc = check_text(schema, value, &report, &err);
    assert_int_equal(moon_buf_puts(&lines, ""), 0);
    for (size_t i = 0; i < report.count; i++)
        assert_int_equal(moon_buf_printf(&lines, "%s: %s\n", report.faults[i].pointer, report.faults[i].message), 0);
    assert_string_equal(lines.data, expected);
    assert_int_equal(rc, expected[0] != '\0' ? MOON_EINVAL : 0);
    moon_buf_release(&lines);
    moon_schema_report_release(&report);
    moon_schema_free(schema);
}

static void refuses(const char *text, const char *message) {
    struct moon_json_doc doc = parse(text);
    struct moon_schema *schema = NULL;
    struct moon_err err;
    assert_int_equal(moon_schema_compile(&schema, &doc.root, NULL, &err), MOON_EINVAL);
    if (strstr(err.message, message) == NULL)
        fail_msg("%s: %s", text, err.message);
    assert_null(schema);
    moon_json_doc_release(&doc);
}

static void words(void **state) {
    (void)state;
    check("{\"type\":\"integer\"}", "1.5", ": must be an integer, is a number (1.5)\n");
    check("{\"type\":\"integer\"}", "1.0", "");
    check("{\"type\":[\"string\",\"null\"]}", "[]", ": must be null or a string, is an array\n");
    check("{\"const\":{\"a\":1}}", "2", ": must be {\"a\":1}, is 2\n");
    check("{\"minLength\":1}", "\"\"", ": must not be empty\n");
    check("{\"minLength\":3}", "\"\\u00e9\\ud83d\\ude00\"", ": must be at least 3 characters long, is 2\n");
    check("{\"maxLength\":1}", "\"\\u00e9\\ud83d\\ude00\"", ": must be at most 1 character long, is 2\n");
    check("{\"minimum\":1,\"exclusiveMaximum\":5.5}", "0.5", ": must be at least 1, is 0.5\n");
    check("{\"minimum\":1,\"exclusiveMaximum\":5.5}", "5.5", ": must be less than 5.5, is 5.5\n");
    check("{\"maximum\":9007199254740992}", "9007199254740993",
          ": must be at most 9007199254740992, is 9007199254740993\n");
    check("{\"minItems\":1}", "[]", ": needs at least 1 item, has 0\n");
    check("{\"maxItems\":1}", "[1,2]", ": must have at most 1 item, has 2\n");
    check("{\"uniqueItems\":true}", "[1,{\"a\":1,\"b\":2},1.0,{\"b\":2,\"a\":1}]",
          ": must have no equal items; 0 and 2 are\n");
    check("{\"contains\":{\"type\":\"null\"}}", "[1]", ": needs an item of the kind that is required, and none is\n");
    check("{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}",
          ": needs the property \"b\", because \"a\" is there\n");
    check("{\"minProperties\":1,\"maxProperties\":1}", "{}", ": needs at least 1 property, has 0\n");
    check("{\"propertyNames\":{\"maxLength\":2}}", "{\"abc\":1}",
          "/abc: its name must be at most 2 characters long, is 3\n");
    check("{\"not\":{\"type\":\"string\"}}", "\"x\"", ": is what it must not be\n");
    check("{\"properties\":{\"a\":false}}", "{\"a\":1}", "/a: is not allowed here\n");
    check("{\"unevaluatedItems\":false,\"prefixItems\":[true]}", "[1,2]", "/1: is one item too many\n");
    check("{\"format\":\"date-time\"}", "\"yesterday\"",
          ": must be a date and time with an offset, such as 2026-11-20T07:31:37Z, is \"yesterday\"\n");
    check("{\"enum\":[\"cosine\",1,null,[true]]}", "\"Cosin\"",
          ": must be one of \"cosine\", 1, null, [true]; is \"Cosin\"; did you mean \"cosine\"?\n");
    check("{\"multipleOf\":0.01}", "0.07", "");
    check("{\"multipleOf\":0.01}", "19.99", "");
    check("{\"multipleOf\":0.01}", "1e300", "");
    check("{\"multipleOf\":0.01}", "0.075", ": must be a multiple of 0.01, is 0.075\n");
}

static void unknown_properties(void **state) {
    static const char schema[] =
        "{\"properties\":{\"dimensions\":true,\"chunk_size\":true},\"additionalProperties\":false}";
    (void)state;
    check(schema, "{\"dimension\":1}", "/dimension: is not a known property; did you mean \"dimensions\"?\n");
    check(schema, "{\"chunkSize\":1}", "/chunkSize: is not a known property; did you mean \"chunk_size\"?\n");
    check(schema, "{\"zebra\":1}", "/zebra: is not a known property\n");
    check("{\"properties\":{\"a/b\":{\"properties\":{\"c~\":{\"type\":\"null\"}}}}}", "{\"a/b\":{\"c~\":1}}",
          "/a~1b/c~0: must be null, is a number (1)\n");
    check("{\"allOf\":[{\"properties\":{\"a\":true}}],\"properties\":{\"name\":true},\"unevaluatedProperties\":false}",
          "{\"a\":1,\"nme\":2}", "/nme: is not a known property; did you mean \"name\"?\n");
}

/* Members by key and items by number, whatever the order of the keywords; all of them. */
static void order(void **state) {
    (void)state;
    check("{\"allOf\":[{\"properties\":{\"z\":{\"minimum\":3}}},{\"properties\":{\"a\":{\"items\":{\"type\":\"null\"}}}"
          "}],"
          "\"required\":[\"k\"],\"properties\":{\"z\":{\"maximum\":0}}}",
          "{\"z\":1,\"a\":[1,null,2,3,null,5,6,7,8,9,10,11],\"b\":0}",
          ": needs the property \"k\"\n"
          "/a/0: must be null, is a number (1)\n/a/2: must be null, is a number (2)\n/a/3: must be null, is a number "
          "(3)\n"
          "/a/5: must be null, is a number (5)\n/a/6: must be null, is a number (6)\n/a/7: must be null, is a number "
          "(7)\n"
          "/a/8: must be null, is a number (8)\n/a/9: must be null, is a number (9)\n/a/10: must be null, is a number "
          "(10)\n"
          "/a/11: must be null, is a number (11)\n/z: must be at most 0, is 1\n/z: must be at least 3, is 1\n");
}

static void alternatives(void **state) {
    static const char schema[] =
        "{\"anyOf\":[{\"type\":\"string\"},{\"required\":[\"x\"],\"properties\":{\"x\":{\"maximum\":5}}}]}";
    (void)state;
    check(schema, "{\"x\":9}",
          ": matches none of the 2 alternatives: (1) must be a string, is an object; (2) /x must be at most 5, is 9\n");
    check(schema, "{\"x\":3}", "");
    check("{\"oneOf\":[{\"minimum\":1},{\"maximum\":5},{\"type\":\"string\"}]}", "3",
          ": must match exactly one of the 3 alternatives, matches number 1 and number 2\n");
    check("{\"anyOf\":[{\"minimum\":5}]}", "3", ": must be at least 5, is 3\n");
    check("{\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\"]},\"else\":{\"required\":[\"c\"]}}",
          "{\"a\":1}", ": needs the property \"b\"\n");
}

static void places_in_the_schema(void **state) {
    struct moon_schema *schema =
        compile("{\"$defs\":{\"n\":{\"minimum\":3}},\"properties\":{\"a\":{\"$ref\":\"#/$defs/n\"}}}", NULL);
    const char *value = "{\"a\":1}";
    struct moon_schema_report report;
    struct moon_err err;
    (void)state;
    moon_schema_report_init(&report);
    assert_int_equal(check_text(schema, value, &report, &err), MOON_EINVAL);
    assert_string_equal(report.faults[0].schema_pointer, "/$defs/n/minimum");
    assert_string_equal(report.faults[0].keyword, "minimum");
    assert_string_equal(err.message, "/a: must be at least 3, is 1");
    moon_schema_report_release(&report);
    moon_schema_free(schema);
}

static void wrong_schemas(void **state) {
    (void)state;
    refuses("3", "a schema must be an object or a boolean");
    refuses("{\"type\":\"text\"}", "/type: \"text\" is not one of");
    refuses("{\"properties\":{\"a\":{\"items\":{\"minimum\":\"1\"}}}}",
            "/properties/a/items/minimum: must be a number");
    refuses("{\"minLength\":-1}", "/minLength: must be an integer, 0 or more");
    refuses("{\"maxItems\":1.5}", "/maxItems: must be an integer");
    refuses("{\"multipleOf\":0}", "/multipleOf: must be greater than 0");
    refuses("{\"required\":\"a\"}", "/required: must be a list of property names");
    refuses("{\"required\":[1]}", "/required: must be a list of property names");
    refuses("{\"properties\":[]}", "/properties: must be an object");
    refuses("{\"items\":[{}]}", "/items: must be a schema");
    refuses("{\"allOf\":[]}", "/allOf: must be a list of at least one schema");
    refuses("{\"allOf\":[1]}", "/allOf: must be a schema");
    refuses("{\"enum\":1}", "/enum: must be a list of values");
    refuses("{\"pattern\":\"(\"}", "/pattern: \"(\" is not a regular expression");
    refuses("{\"patternProperties\":{\"a**\":{}}}",
            "/patternProperties: \"a**\" is not a regular expression: at character 3");
    refuses("{\"$ref\":\"#/properties/x\"}", "/$ref: \"#/properties/x\" leads to no schema");
    refuses("{\"$ref\":\"http://x.example/\"}", "references are never fetched");
    refuses("{\"$id\":\"http://x.example/#frag\"}", "/$id: must have no fragment");
    refuses("{\"$defs\":{\"a\":{\"$anchor\":\"x\"},\"b\":{\"$anchor\":\"x\"}}}", "the anchor \"x\" is there twice");
    refuses("{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", "only JSON Schema 2020-12");
}

static void hostile(void **state) {
    struct moon_schema_report report;
    struct moon_err err;
    struct moon_buf b = MOON_BUF_INIT;
    (void)state;
    moon_schema_report_init(&report);
    /* a reference to itself, without end */
    struct moon_schema *schema = compile("{\"allOf\":[{\"$ref\":\"#\"}]}", NULL);
    const char *value = "1";
    assert_int_equal(check_text(schema, value, &report, &err), MOON_ERANGE);
    assert_non_null(strstr(err.message, "refers to itself"));
    moon_schema_free(schema);
    /* patterns that backtrack without end, on short and on long texts */
    static const char *const patterns[] = {"^(a+)+$",         "(a|a)*b", "^(a|aa)+$", "(.*)(.*)(.*)(.*)(.*)x",
                                           "(?=(a*))\\\\1+b", "[ab]*c"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"pattern\":\"%s\"}", patterns[i]);
        schema = compile(text, NULL);
        for (int n = 30; n <= 300000; n *= 100) {
            moon_buf_clear(&b);
            assert_int_equal(moon_buf_putc(&b, '"'), 0);
            for (int k = 0; k < n; k++)
                assert_int_equal(moon_buf_putc(&b, 'a'), 0);
            assert_int_equal(moon_buf_puts(&b, "!\""), 0);
            value = b.data;
            int rc = check_text(schema, value, &report, &err);
            assert_true(rc == MOON_EINVAL || rc == MOON_ETOOBIG);
        }
        moon_schema_free(schema);
    }
    /* more faults than anybody reads */
    schema = compile("{\"items\":{\"type\":\"null\"}}", NULL);
    moon_buf_clear(&b);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(moon_buf_puts(&b, i == 0 ? "[1" : ",1"), 0);
    assert_int_equal(moon_buf_putc(&b, ']'), 0);
    value = b.data;
    assert_int_equal(check_text(schema, value, &report, &err), MOON_EINVAL);
    assert_int_equal(report.count, MOON_SCHEMA_FAULTS_MAX);
    assert_true(report.more);
    moon_schema_free(schema);
    /* the deepest document there is */
    schema = compile("{\"items\":{\"$ref\":\"#\"},\"maxItems\":1}", NULL);
    moon_buf_clear(&b);
    for (int i = 0; i < 1024; i++)
        assert_int_equal(moon_buf_putc(&b, i < 512 ? '[' : ']'), 0);
    value = b.data;
    assert_int_equal(check_text(schema, value, &report, &err), 0);
    moon_schema_free(schema);
    moon_schema_report_release(&report);
    moon_buf_release(&b);
}

static void keys_and_strings_may_hold_nul(void **state) {
    (void)state;
    check("{\"properties\":{\"a\\u0000b\":{\"const\":\"x\\u0000y\"}},\"additionalProperties\":false}",
          "{\"a\\u0000b\":\"x\\u0000y\"}", "");
    check("{\"properties\":{\"a\\u0000b\":{\"type\":\"string\"}}}", "{\"a\\u0000c\":1}", "");
    check("{\"pattern\":\"^a\\u0000b$\"}", "\"a\\u0000b\"", "");
}

static void large_objects(void **state) {
    struct moon_buf schema = MOON_BUF_INIT, value = MOON_BUF_INIT;
    (void)state;
    moon_buf_puts(&schema, "{\"additionalProperties\":false,\"required\":[\"p999\"],\"properties\":{");
    moon_buf_puts(&value, "{");
    for (int i = 0; i < 1000; i++) {
        moon_buf_printf(&schema, "%s\"p%d\":{\"const\":%d}", i > 0 ? "," : "", i, i);
        moon_buf_printf(&value, "%s\"p%d\":%d", i > 0 ? "," : "", i, i);
    }
    moon_buf_puts(&schema, "}}");
    moon_buf_puts(&value, "}");
    check(schema.data, value.data, "");
    moon_buf_release(&schema);
    moon_buf_release(&value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(unknown_properties),
        cmocka_unit_test(order),
        cmocka_unit_test(alternatives),
        cmocka_unit_test(places_in_the_schema),
        cmocka_unit_test(wrong_schemas),
        cmocka_unit_test(hostile),
        cmocka_unit_test(keys_and_strings_may_hold_nul),
        cmocka_unit_test(large_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
