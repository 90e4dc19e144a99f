/* test_fuzz_json.c - replays the corpora of the JSON and schema fuzz targets; and lets the two JSON readers, into a
 * tree and into Lua values, disagree if they can. To really fuzz: tests/fuzz/run. */
#include "fuzz_replay.h"

#include "../../src/bind/l_json.h"

#include <lauxlib.h>

#define LLVMFuzzerTestOneInput fuzz_json
#include "../fuzz/fuzz_json.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_schema
#include "../fuzz/fuzz_schema.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_pattern
#include "../fuzz/fuzz_pattern.c"
#undef LLVMFuzzerTestOneInput

static lua_State *L;

/* Both accept the text or both refuse it; both write it back alike. */
static int tree_against_lua(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    struct moon_json_doc doc;
    struct moon_buf from_tree = MOON_BUF_INIT, from_lua = MOON_BUF_INIT;
    int rc = moon_json_parse(&doc, text, size, NULL);
    assert_int_equal(moon_lua_json_decode(L, text, size, 0, NULL), rc);
    if (rc != 0)
        return 0;
    rc = moon_json_write(&from_tree, &doc.root);
    assert_int_equal(moon_lua_json_encode(L, -1, &from_lua, NULL), rc);
    if (rc == 0) {
        assert_int_equal(from_tree.len, from_lua.len);
        assert_memory_equal(from_tree.data, from_lua.data, from_lua.len);
    }
    lua_settop(L, 0);
    moon_json_doc_release(&doc);
    moon_buf_release(&from_tree);
    moon_buf_release(&from_lua);
    return 0;
}

static void json(void **state) {
    (void)state;
    replay("json", fuzz_json);
}

static void json_in_lua(void **state) {
    (void)state;
    L = luaL_newstate();
    assert_non_null(L);
    replay("json", tree_against_lua);
    replay("schema", tree_against_lua);
    lua_close(L);
}

static void schema(void **state) {
    (void)state;
    replay("schema", fuzz_schema);
}

static void pattern(void **state) {
    (void)state;
    replay("pattern", fuzz_pattern);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json),
        cmocka_unit_test(json_in_lua),
        cmocka_unit_test(schema),
        cmocka_unit_test(pattern),
    };
    return cmocka_run_group_tests_name("fuzz_json", tests, NULL, NULL);
}
