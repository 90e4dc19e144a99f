/* test_json_lua.c - Lua values to JSON and back, in a plain state: what l_json, l_http and l_httpd share. */
#include "unit.h"

#include "../../src/bind/l_json.h"

#include "moongate/json.h"

#include <lauxlib.h>
#include <lualib.h>

#include <stdio.h>

static struct moon_buf out;

static int set_up(void **state) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    moon_lua_json_push_array_mt(L);
    lua_setglobal(L, "array_mt");
    lua_pushlightuserdata(L, NULL);
    lua_setglobal(L, "null");
    *state = L;
    return luaL_dostring(L, "function array(t) return debug.setmetatable(t, array_mt) end");
}

static int tear_down(void **state) {
    lua_close(*state);
    moon_buf_release(&out);
    return 0;
}

/* Pushes the value of a Lua expression. */
static void eval(lua_State *L, const char *expr) {
    char chunk[1000];
    snprintf(chunk, sizeof chunk, "return %s", expr);
    if (luaL_dostring(L, chunk) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
}

static void encodes(lua_State *L, const char *expr, const char *expected) {
    struct moon_err err = {0};
    int top = lua_gettop(L);
    eval(L, expr);
    moon_buf_clear(&out);
    int rc = moon_lua_json_encode(L, -1, &out, &err);
    if (rc != 0)
        fail_msg("%s: %s", expr, err.message);
    assert_string_equal(out.data, expected);
    assert_int_equal(lua_gettop(L), top + 1);
    lua_settop(L, top);
}

static void refuses(lua_State *L, const char *expr, int code, const char *message) {
    struct moon_err err = {0};
    int top = lua_gettop(L);
    eval(L, expr);
    moon_buf_clear(&out);
    assert_int_equal(moon_lua_json_encode(L, -1, &out, &err), code);
    if (strncmp(err.message, message, strlen(message)) != 0)
        fail_msg("%s: %s", expr, err.message);
    assert_int_equal(lua_gettop(L), top + 1);
    lua_settop(L, top);
}

static void encoding(void **state) {
    lua_State *L = *state;
    encodes(L, "null", "null");
    encodes(L, "{true,false}", "[true,false]");
    encodes(L, "'a\\0\\u{20ac}\\n'", "\"a\\u0000\xe2\x82\xac\\n\"");
    encodes(L, "{}", "{}");
    encodes(L, "array{}", "[]");
    encodes(L, "array{1,2}", "[1,2]");
    encodes(L, "{1,'x',{},array{},{{}}}", "[1,\"x\",{},[],[{}]]");
    encodes(L, "{b=1,a=2,['\\r']=3,['\\u{fb33}']=4,['\\u{1f600}']=5}",
            "{\"\\r\":3,\"a\":2,\"b\":1,\"\xf0\x9f\x98\x80\":5,\"\xef\xac\xb3\":4}");
    encodes(L, "{1.0, -0.0, 0.1, 1e21, 100, 9007199254740991, 2^53, -1.5}",
            "[1,0,0.1,1e+21,100,9007199254740991,9007199254740992,-1.5]");
    encodes(L, "setmetatable({a=1}, {__index={b=2}, __pairs=error})", "{\"a\":1}");
    encodes(L, "(function() local t = {} for i = 10, 1, -1 do t[i] = i end return t end)()", "[1,2,3,4,5,6,7,8,9,10]");
    encodes(L, "(function() local t = {[3]=3} t[2]=2 t[1]=1 return t end)()", "[1,2,3]");
    encodes(L, "(function() local s = {} return {s, s} end)()", "[{},{}]");
}

static void encoding_many_keys(void **state) {
    lua_State *L = *state;
    for (int n = 31; n <= 100; n += n < 35 ? 1 : 65) {
        char expr[200];
        struct moon_buf expected = MOON_BUF_INIT;
        snprintf(expr, sizeof expr,
                 "(function() local t = {} for i = %d, 1, -1 do t[('k%%03d'):format(i)] = {i} end return t end)()", n);
        for (int i = 1; i <= n; i++)
            moon_buf_printf(&expected, "%s\"k%03d\":[%d]", i > 1 ? "," : "{", i, i);
        moon_buf_puts(&expected, "}");
        encodes(L, expr, expected.data);
        moon_buf_release(&expected);
    }
    refuses(L, "(function() local t = {} for i = 1, 50 do t['k'..i] = i end t.k7 = print return {x=t} end)()",
            MOON_EINVAL, "/x/k7: a function has no JSON form");
    refuses(L, "(function() local t = {} for i = 1, 50 do t['k'..i] = i end t[true] = 1 return {x=t} end)()",
            MOON_EINVAL, "/x: a table with a boolean as a key");
}

static void encoding_refused(void **state) {
    lua_State *L = *state;
    refuses(L, "nil", MOON_EINVAL, "a nil has no JSON form (json.null has)");
    refuses(L, "print", MOON_EINVAL, "a function has no JSON form");
    refuses(L, "{a={1,2,{['b/c~d']=io.stdout}}}", MOON_EINVAL, "/a/2/b~1c~0d: an userdata has no JSON form");
    refuses(L, "{x=coroutine.create(print)}", MOON_EINVAL, "/x: a thread has no JSON form");
    refuses(L, "{x={1,nil,3}}", MOON_EINVAL, "/x: an array with a gap");
    refuses(L, "{x={[2]=1}}", MOON_EINVAL, "/x: an array with a gap");
    refuses(L, "{x={[0]=1}}", MOON_EINVAL, "/x: an array with a gap");
    refuses(L, "{x={1,2,y=3}}", MOON_EINVAL, "/x: a table with items and the key \"y\"");
    refuses(L, "{x=array{y=3}}", MOON_EINVAL, "/x: a table with items and the key \"y\"");
    refuses(L, "{[1.5]=1}", MOON_EINVAL, "a table with a fraction as a key");
    refuses(L, "{[true]=1}", MOON_EINVAL, "a table with a boolean as a key");
    refuses(L, "{a={0/0}}", MOON_EINVAL, "/a/0: nan has no JSON form");
    refuses(L, "{a={1/0}}", MOON_EINVAL, "/a/0: an infinite number");
    refuses(L, "{a='x\\xff'}", MOON_EINVAL, "/a: the string is not valid UTF-8 (byte 2)");
    refuses(L, "{['\\xff']=1}", MOON_EINVAL, "/");
    refuses(L, "{a=9007199254740992}", MOON_ERANGE, "/a: the integer 9007199254740992 is beyond 2^53-1");
    refuses(L, "{a=math.mininteger}", MOON_ERANGE, "/a: the integer -9223372036854775808");
    refuses(L, "(function() local t = {} t.a = {b = t} return t end)()", MOON_EINVAL,
            "/a/b: this table contains itself");
    refuses(L, "(function() local t = {} for i = 1, 600 do t = {t} end return t end)()", MOON_EINVAL, "/0/0/0");
}

static void decodes(lua_State *L, const char *text, const char *expr) {
    struct moon_err err = {0};
    int top = lua_gettop(L);
    int rc = moon_lua_json_decode(L, text, strlen(text), 0, &err);
    if (rc != 0)
        fail_msg("%s: %s", text, err.message);
    assert_int_equal(lua_gettop(L), top + 1);
    lua_setglobal(L, "v");
    eval(L, expr);
    if (!lua_toboolean(L, -1))
        fail_msg("%s: not %s", text, expr);
    lua_settop(L, top);
}

static void decoding(void **state) {
    lua_State *L = *state;
    decodes(L, "null", "v == null");
    decodes(L, "[]", "debug.getmetatable(v) == array_mt and next(v) == nil");
    decodes(L, "{}", "getmetatable(v) == nil and next(v) == nil");
    decodes(L, "[1, 2.0, -0, 1e2, \"x\"]", "math.type(v[1]) == 'integer' and math.type(v[2]) == 'float' and #v == 5");
    decodes(L, "[-0]", "1 / v[1] == -math.huge");
    decodes(L, "9223372036854775807", "v == math.maxinteger");
    decodes(L, "{\"a\":{\"b\":[true,false,null]}}", "v.a.b[1] == true and v.a.b[2] == false and v.a.b[3] == null");
    decodes(L, "\"a\\u0000\\ud83d\\ude00\"", "v == 'a\\0\\u{1f600}'");
    decodes(L, "{\"\\u0061\\u0000\":1}", "v['a\\0'] == 1");
    struct moon_buf b = MOON_BUF_INIT;
    for (int n = 31; n < 200; n += n < 35 || (n > 62 && n < 66) ? 1 : 27) {
        char expr[200];
        moon_buf_clear(&b);
        for (int i = 1; i <= n; i++)
            moon_buf_printf(&b, "%s\"k%d\":[%d]", i > 1 ? "," : "{", i, i);
        moon_buf_puts(&b, "}");
        snprintf(expr, sizeof expr,
                 "(function() for i = 1, %d do if v['k'..i][1] ~= i then return false end end return true end)()", n);
        decodes(L, b.data, expr);
        moon_buf_clear(&b);
        for (int i = 1; i <= n; i++)
            moon_buf_printf(&b, "%s%d", i > 1 ? "," : "[", i);
        moon_buf_puts(&b, "]");
        snprintf(expr, sizeof expr,
                 "(function() for i = 1, %d do if v[i] ~= i then return false end end return #v == %d end)()", n, n);
        decodes(L, b.data, expr);
    }
    moon_buf_clear(&b);
    moon_buf_puts(&b, "\"");
    for (int i = 0; i < 400; i++)
        moon_buf_puts(&b, "\\n\\u00e9");
    moon_buf_puts(&b, "\"");
    decodes(L, b.data, "v == ('\\n\\u{e9}'):rep(400)");
    moon_buf_release(&b);
}

static void decoding_refused(void **state) {
    lua_State *L = *state;
    struct moon_err err = {0};
    struct moon_lua_json_decoding how = {.safe_integers = true};
    struct moon_buf b = MOON_BUF_INIT;
    int top = lua_gettop(L);
    static const char twice[] = "{\"a\":1,\n \"b\":{\"c\":1,\"c\":2}}", wide[] = "[1,\n9007199254740992]";
    assert_int_equal(moon_lua_json_decode_as(L, twice, sizeof twice - 1, &how, &err), MOON_EPARSE);
    assert_string_equal(err.message, "line 2, column 13: the key \"c\" comes twice in this object");
    assert_int_equal(how.line, 2);
    assert_int_equal(how.column, 13);
    assert_int_equal(moon_lua_json_decode_as(L, wide, sizeof wide - 1, &how, &err), MOON_ERANGE);
    assert_int_equal(how.line, 2);
    how.safe_integers = false;
    assert_int_equal(moon_lua_json_decode_as(L, wide, sizeof wide - 1, &how, &err), 0);
    lua_pop(L, 1);
    assert_int_equal(moon_lua_json_decode(L, "[[1]]", 5, 1, &err), MOON_EPARSE);
    assert_int_equal(moon_lua_json_decode(L, "[1] x", 5, 0, &err), MOON_EPARSE);
    assert_int_equal(moon_lua_json_decode(L, "", 0, 0, &err), MOON_EPARSE);
    /* twice across a batch, and with long keys, which Lua does not intern */
    for (int i = 0; i < 40; i++)
        moon_buf_printf(&b, "%s\"k%d\":%d", i > 0 ? "," : "{", i, i);
    moon_buf_puts(&b, ",\"k0\":1}");
    assert_int_equal(moon_lua_json_decode(L, b.data, b.len, 0, &err), MOON_EPARSE);
    moon_buf_clear(&b);
    moon_buf_printf(&b, "{\"%060d\":1,\"%060d\":1}", 7, 7);
    assert_int_equal(moon_lua_json_decode(L, b.data, b.len, 0, &err), MOON_EPARSE);
    assert_int_equal(lua_gettop(L), top);
    moon_buf_release(&b);
}

static void there_and_back(void **state) {
    static const char *const texts[] = {
        "{\"a\":[],\"b\":{},\"c\":[[],[{}]],\"d\":9007199254740991,\"e\":0.1,\"f\":null,\"g\":\"\xf0\x9f\x98\x80\"}",
        "[1234567890123456,0.30000000000000004,1e+300,-5e-324,true,false]",
        "\"\\u0000\\b\\t\\n\\f\\r\\\"\\\\\"",
    };
    lua_State *L = *state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        moon_buf_clear(&out);
        assert_int_equal(moon_lua_json_decode(L, texts[i], strlen(texts[i]), 0, NULL), 0);
        assert_int_equal(moon_lua_json_encode(L, -1, &out, NULL), 0);
        assert_string_equal(out.data, texts[i]);
        lua_pop(L, 1);
    }
}

/* A finalizer that runs while a large table is encoded, and changes it, is noticed. */
static void finalizers_may_meddle(void **state) {
    lua_State *L = *state;
    struct moon_err err = {0};
    assert_int_equal(luaL_dostring(L, "collectgarbage('generational') big = {} for i = 1, 5000 do big['k'..i] = i end\n"
                                      "local function trap() setmetatable({}, {__gc = function() for i = 1, 100 do "
                                      "big['x'..math.random(1e9)] = 1 end trap() end}) end trap()"),
                     LUA_OK);
    for (int i = 0; i < 200; i++) {
        lua_getglobal(L, "big");
        moon_buf_clear(&out);
        int rc = moon_lua_json_encode(L, -1, &out, &err);
        assert_true(rc == 0 || rc == MOON_EINVAL);
        lua_pop(L, 1);
    }
}

int luaopen_moongate_json(lua_State *L);

/* A finalizer that encodes while its own encoding goes on gets a buffer of its own. */
static void finalizers_may_encode(void **state) {
    lua_State *L = *state;
    luaL_requiref(L, "json", luaopen_moongate_json, 1);
    if (luaL_dostring(
            L, "local big, seen = {}, 0 for i = 1, 200 do big['k' .. i] = i end\n"
               "local function trap() setmetatable({}, {__gc = function() seen = seen + 1\n"
               "  assert(json.encode{inner = true} == '{\"inner\":true}') if seen < 500 then trap() end end}) end\n"
               "trap() local first = json.encode(big)\n"
               "for _ = 1, 2000 do assert(json.encode(big) == first) end assert(seen > 10)") != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    lua_settop(L, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding),
        cmocka_unit_test(encoding_many_keys),
        cmocka_unit_test(encoding_refused),
        cmocka_unit_test(decoding),
        cmocka_unit_test(decoding_refused),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(finalizers_may_meddle),
        cmocka_unit_test(finalizers_may_encode),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
