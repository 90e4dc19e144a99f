/* test_json_oom.c - every allocation of the JSON codec and of schemas fails in turn, once and from then on: nothing
 * crashes or leaks, and the failure comes out as such. Linked with malloc, calloc and realloc wrapped (Makefile: tests
 * named *_oom). */
#include "unit.h"

#include "../../src/bind/l_json.h"
#include "../../src/bind/l_validate_lua.h"

#include "moongate/schema.h"

#include <lauxlib.h>

#include <stdio.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static long countdown = -1; /* allocations until one fails; -1: none does */
static bool for_good;       /* all after it fail too */
static bool did_fail;

static bool fails(void) {
    if (countdown < 0)
        return false;
    if (countdown > 0) {
        countdown--;
        return false;
    }
    if (!for_good)
        countdown = -1;
    did_fail = true;
    return true;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t n, size_t size) {
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t size) {
    return fails() ? NULL : __real_realloc(p, size);
}

/* Runs fn with the Nth allocation failing, N = 0, 1, ... until none fails. fn returns 0, or MOON_ENOMEM with everything
 * given back. */
static void sweep(int (*fn)(void *ud), void *ud) {
    for (int good = 0; good <= 1; good++) {
        for (long n = 0;; n++) {
            countdown = n;
            for_good = good != 0;
            did_fail = false;
            int rc = fn(ud);
            countdown = -1;
            if (!did_fail) {
                assert_int_equal(rc, 0);
                break;
            }
            if (rc != 0)
                assert_int_equal(rc, MOON_ENOMEM);
            else
                assert_false(good &&
                             n == 0); /* the odd allocation can be done without (PCRE2's JIT), the first can't */
            assert_true(n < 100000);
        }
    }
}

static const char document[] = "{\"a\":[1,2.5,\"x\\n\",null,true,{}],\"long\":"
                               "\"0123456789012345678901234567890123456789\\u20ac\",\"k01\":1,\"k02\":1,\"k03\":1,"
                               "\"k04\":1,\"k05\":1,\"k06\":1,\"k07\":1,\"k08\":1,\"k09\":1,\"k10\":1,\"k11\":1,"
                               "\"k12\":1,\"k13\":1,\"k14\":1,\"k15\":1,\"k16\":1,"
                               "\"k17\":1,\"k18\":1,\"k19\":1,\"k20\":1,\"k21\":1,\"k22\":1,\"k23\":1,\"k24\":1,"
                               "\"k25\":1,\"k26\":1,\"k27\":1,\"k28\":1,\"k29\":1,"
                               "\"k30\":1,\"k31\":1,\"k32\":1,\"k33\":{\"b\":[]}}";

static int tree(void *ud) {
    struct moon_json_doc doc;
    struct moon_buf out = MOON_BUF_INIT;
    struct moon_err err;
    (void)ud;
    int rc = moon_json_parse(&doc, document, sizeof document - 1, &err);
    if (rc != 0)
        return rc;
    rc = moon_json_write(&out, &doc.root);
    moon_json_doc_release(&doc);
    moon_buf_release(&out);
    return rc;
}

static void trees(void **state) {
    (void)state;
    sweep(tree, NULL);
}

static const char schema_text[] =
    "{\"$id\":\"https://example.com/"
    "main\",\"$defs\":{\"n\":{\"$anchor\":\"n\",\"minimum\":3},\"o\":{\"$id\":\"other\",\"type\":\"object\"}},"
    "\"properties\":{\"a\":{\"type\":\"array\",\"prefixItems\":[{\"$ref\":\"#n\"}],\"items\":{\"type\":\"null\"},"
    "\"uniqueItems\":true,"
    "\"contains\":{\"const\":[1]}},\"long\":{\"pattern\":\"^x{3}\\\\d\",\"format\":\"regex\",\"enum\":[\"a\",[1],{"
    "\"b\":2}]},"
    "\"k01\":{\"$ref\":\"other\"},\"k02\":{\"anyOf\":[{\"type\":\"string\"},{\"maximum\":0}]}},\"patternProperties\":{"
    "\"^k3\":{\"minimum\":2}},"
    "\"required\":[\"zz\"],\"unevaluatedProperties\":false,\"dependentRequired\":{\"a\":[\"b\"]},"
    "\"allOf\":[{\"properties\":{\"k03\":{\"$ref\":\"https://json-schema.org/draft/2020-12/schema\"}}}]}";

static int compile_schema(void *ud) {
    static const struct moon_schema_opts opts = {.formats = true};
    struct moon_schema *schema = NULL;
    int rc = moon_schema_compile(&schema, ud, &opts, NULL);
    moon_schema_free(schema);
    return rc;
}

static void schemas(void **state) {
    struct moon_json_doc doc;
    (void)state;
    assert_int_equal(moon_json_parse(&doc, schema_text, sizeof schema_text - 1, NULL), 0);
    sweep(compile_schema, &doc.root);
    moon_json_doc_release(&doc);
}

/* ---- through Lua: the state's own allocations fail too ---- */

static void *lua_memory(void *ud, void *p, size_t old, size_t size) {
    (void)ud;
    (void)old;
    if (size == 0) {
        free(p);
        return NULL;
    }
    return p == NULL ? __wrap_malloc(size) : __wrap_realloc(p, size);
}

struct round {
    struct moon_buf *out; /* a userdata would own it; here the caller of pcall does */
    const struct moon_schema *schema;
    struct moon_schema_report *report;
};

static int decode_check_encode(lua_State *L) {
    const struct round *r = lua_touserdata(L, 1);
    struct moon_err err;
    int rc = moon_lua_json_decode(L, document, sizeof document - 1, 0, &err);
    if (rc == 0) {
        struct moon_lua_values values = {L, moon_lua_json_array_id(L)};
        struct moon_schema_node node = {.index = lua_gettop(L)};
        rc = moon_schema_check(r->schema, &moon_lua_schema_ops, &values, node, r->report, &err);
        rc = rc == MOON_EINVAL ? 0 : rc;
    }
    if (rc == 0)
        rc = moon_lua_json_encode(L, -1, r->out, &err);
    lua_pushinteger(L, rc);
    return 1;
}

static int through_lua(void *ud) {
    struct moon_buf out = MOON_BUF_INIT;
    struct moon_schema_report report;
    struct round r = {&out, ud, &report};
    moon_schema_report_init(&report);
    lua_State *L = lua_newstate(lua_memory, NULL);
    int rc = MOON_ENOMEM;
    if (L != NULL) {
        lua_pushcfunction(L, decode_check_encode);
        lua_pushlightuserdata(L, &r);
        int status = lua_pcall(L, 1, 1, 0);
        assert_true(status == LUA_OK || status == LUA_ERRMEM);
        if (status == LUA_OK)
            rc = (int)lua_tointeger(L, -1);
        lua_close(L);
    }
    moon_schema_report_release(&report);
    moon_buf_release(&out);
    return rc;
}

static void lua_values(void **state) {
    struct moon_json_doc doc;
    struct moon_schema *schema = NULL;
    (void)state;
    assert_int_equal(moon_json_parse(&doc, schema_text, sizeof schema_text - 1, NULL), 0);
    assert_int_equal(moon_schema_compile(&schema, &doc.root, NULL, NULL), 0);
    sweep(through_lua, schema);
    moon_schema_free(schema);
    moon_json_doc_release(&doc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees),
        cmocka_unit_test(schemas),
        cmocka_unit_test(lua_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
