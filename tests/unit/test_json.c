/* test_json.c - the reader, the writer, the order of keys and the tree. Numbers: test_json_number.c. */
#include "unit.h"

#include "moongate/digest.h"
#include "moongate/json_value.h"
#include "moongate/text.h"

#include <stdio.h>

/* ---- reading ---- */

/* Reads all tokens of text; 0 or the code. err is always set up. */
static int read_all(const char *text, size_t len, int max_depth, bool raw, struct moon_err *err) {
    struct moon_json_reader r;
    struct moon_json_token tok;
    int rc;
    err->message[0] = '\0';
    moon_json_reader_init(&r, text, len, max_depth);
    r.raw = raw;
    do
        rc = moon_json_next(&r, &tok, err);
    while (rc == 0 && tok.type != MOON_JSON_END);
    if (rc == 0)
        assert_int_equal(moon_json_next(&r, &tok, err), 0);
    else
        assert_int_not_equal(moon_json_next(&r, &tok, NULL), 0);
    moon_json_reader_release(&r);
    return rc;
}

static void accepts(const char *text, size_t len) {
    struct moon_err err;
    int rc = read_all(text, len, 0, false, &err);
    if (rc != 0)
        print_error("%s: %s\n", text, err.message);
    assert_int_equal(rc, 0);
    assert_int_equal(read_all(text, len, 0, true, &err), 0);
}

static void refuses(const char *text, size_t len, int code, const char *message) {
    struct moon_err err;
    int rc = read_all(text, len, 0, false, &err);
    if (rc != code || strstr(err.message, message) == NULL)
        print_error("%s: %d %s\n", text, rc, err.message);
    assert_int_equal(rc, code);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.message, message));
    assert_int_equal(read_all(text, len, 0, true, &err), code);
}

#define ACCEPTS(text)                accepts(text, sizeof(text) - 1)
#define REFUSES(text, code, message) refuses(text, sizeof(text) - 1, code, message)

static void grammar(void **state) {
    (void)state;
    ACCEPTS("null");
    ACCEPTS(" \t\r\n{ \"a\" : [ 1 , -0 , 0.5 , 1e5 , -1E-2 , true , false , null , { } , [ ] , \"\" ] } \n");
    ACCEPTS("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"");
    ACCEPTS("\"\xf0\x9f\x98\x80 \xc3\xa9 \xef\xbf\xbf \x7f\"");
    ACCEPTS("9223372036854775807");
    ACCEPTS("-9223372036854775808");
    REFUSES("", MOON_EPARSE, "line 1, column 1: expected a value, found the end of the text");
    REFUSES("  ", MOON_EPARSE, "found the end");
    REFUSES("[1,]", MOON_EPARSE, "line 1, column 4: expected a value, found ']'");
    REFUSES("[1 2]", MOON_EPARSE, "expected ',' or ']' after an item, found '2'");
    REFUSES("{\"a\":1,}", MOON_EPARSE, "expected a key in double quotes after ',', found '}'");
    REFUSES("{\"a\" 1}", MOON_EPARSE, "':' after the key");
    REFUSES("{\"a\":}", MOON_EPARSE, "expected a value");
    REFUSES("{a:1}", MOON_EPARSE, "a key in double quotes, or '}'");
    REFUSES("{'a':1}", MOON_EPARSE, "found '''");
    REFUSES("[", MOON_EPARSE, "found the end");
    REFUSES("[1", MOON_EPARSE, "found the end");
    REFUSES("{\"a\":1]", MOON_EPARSE, "',' or '}' after a member");
    REFUSES("]", MOON_EPARSE, "expected a value");
    REFUSES("1 1", MOON_EPARSE, "nothing after the document");
    REFUSES("NaN", MOON_EPARSE, "expected a value, found 'N'");
    REFUSES("Infinity", MOON_EPARSE, "expected a value");
    REFUSES("nul", MOON_EPARSE, "expected a value");
    REFUSES("nulls", MOON_EPARSE, "nothing after the document, found 's'");
    REFUSES("// c\n1", MOON_EPARSE, "expected a value, found '/'");
    REFUSES("\xef\xbb\xbf{}", MOON_EPARSE, "byte-order mark");
    REFUSES("\x01", MOON_EPARSE, "the byte 0x01");
    REFUSES("\xff", MOON_EPARSE, "the byte 0xff");
    REFUSES("\xc3\xa9", MOON_EPARSE, "found '\xc3\xa9'");
    REFUSES("1\0", MOON_EPARSE, "nothing after the document, found the byte 0x00");
}

static void numbers(void **state) {
    (void)state;
    REFUSES("01", MOON_EPARSE, "begin with a zero");
    REFUSES("-", MOON_EPARSE, "expected a digit");
    REFUSES("+1", MOON_EPARSE, "expected a value");
    REFUSES("1.", MOON_EPARSE, "a digit after the decimal point");
    REFUSES(".5", MOON_EPARSE, "expected a value");
    REFUSES("1e", MOON_EPARSE, "a digit in the exponent");
    REFUSES("1e+", MOON_EPARSE, "a digit in the exponent");
    REFUSES("0x10", MOON_EPARSE, "nothing after the document");
    REFUSES("1e400", MOON_ERANGE, "line 1, column 1: this number is too large");
    REFUSES("[\n 9223372036854775808]", MOON_ERANGE, "line 2, column 2: this integer does not fit");
    REFUSES("-9223372036854775809", MOON_ERANGE, "does not fit");
    REFUSES("18446744073709551617", MOON_ERANGE, "does not fit");
    REFUSES("99999999999999999999999999999999", MOON_ERANGE, "does not fit");
}

static void strings(void **state) {
    (void)state;
    REFUSES("\"abc", MOON_EPARSE, "column 1: a string begins here and is not closed");
    REFUSES("\"a\nb\"", MOON_EPARSE, "column 3: a control character");
    REFUSES("\"a\0b\"", MOON_EPARSE, "a control character");
    REFUSES("\"\\x41\"", MOON_EPARSE, "column 2: this escape");
    REFUSES("\"\\", MOON_EPARSE, "this escape");
    REFUSES("\"\\u12", MOON_EPARSE, "four hexadecimal digits");
    REFUSES("\"\\u12g4\"", MOON_EPARSE, "four hexadecimal digits");
    REFUSES("\"\\ud800\"", MOON_EPARSE, "half a surrogate pair");
    REFUSES("\"\\ud800\\u0041\"", MOON_EPARSE, "half a surrogate pair");
    REFUSES("\"\\udc00\\ud800\"", MOON_EPARSE, "half a surrogate pair");
    REFUSES("\"\xc3\x28\"", MOON_EPARSE, "column 2: this is not valid UTF-8");
    REFUSES("\"\xc0\x80\"", MOON_EPARSE, "not valid UTF-8");         /* overlong */
    REFUSES("\"\xed\xa0\x80\"", MOON_EPARSE, "not valid UTF-8");     /* surrogate */
    REFUSES("\"\xf4\x90\x80\x80\"", MOON_EPARSE, "not valid UTF-8"); /* beyond U+10FFFF */
    REFUSES("\"\xe0\x9f\xbf\"", MOON_EPARSE, "not valid UTF-8");
    REFUSES("\"\xf0\x8f\xbf\xbf\"", MOON_EPARSE, "not valid UTF-8");
    REFUSES("\"\xe2\x82\"", MOON_EPARSE, "not valid UTF-8");
    REFUSES("\"\x80\"", MOON_EPARSE, "not valid UTF-8");
}

static void columns_count_characters(void **state) {
    (void)state;
    REFUSES("{\"a\": \"\xc3\xa9\xf0\x9f\x98\x80\",\n  \"\xc3\xa9\": x}", MOON_EPARSE, "line 2, column 8:");
}

static void string_values(void **state) {
    static const char text[] = "[\"a\\u0000b\",\"\\u00e9\\u20ac\\ud83d\\ude00\\/\",\"plain text of some length\\n\"]";
    static const struct {
        const char *text;
        size_t len;
    } expected[] = {{"a\0b", 3}, {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80/", 10}, {"plain text of some length\n", 26}};
    struct moon_json_reader r;
    struct moon_json_token tok;
    char out[64];
    (void)state;
    for (int raw = 0; raw <= 1; raw++) {
        moon_json_reader_init(&r, text, sizeof text - 1, 0);
        r.raw = raw;
        assert_int_equal(moon_json_next(&r, &tok, NULL), 0);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(moon_json_next(&r, &tok, NULL), 0);
            assert_int_equal(tok.type, MOON_JSON_STRING);
            assert_int_equal(tok.escaped, raw);
            if (raw) {
                tok.len = moon_json_unescape(tok.text, tok.len, out);
                tok.text = out;
            }
            assert_int_equal(tok.len, expected[i].len);
            assert_memory_equal(tok.text, expected[i].text, tok.len);
        }
        assert_true(!raw || r.scratch.data == NULL);
        moon_json_reader_release(&r);
    }
}

static void depth_is_bounded(void **state) {
    struct moon_err err;
    char *deep = malloc(200000);
    (void)state;
    assert_non_null(deep);
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    assert_int_equal(read_all(deep, 200000, 0, false, &err), MOON_EPARSE);
    assert_non_null(strstr(err.message, "column 513: nested deeper than 512 levels"));
    assert_int_equal(read_all(deep + 100000 - 512, 1024, 0, false, &err), 0);
    assert_int_equal(read_all(deep + 100000 - 3, 6, 3, false, &err), 0);
    assert_int_equal(read_all(deep + 100000 - 4, 8, 3, false, &err), MOON_EPARSE);
    free(deep);
}

/* ---- what others wrote ---- */

static void repairs(const char *text, size_t len, int depth, const char *expected) {
    struct moon_err err;
    size_t n = moon_json_repair(text, len, depth, NULL);
    char *out = malloc(n + 1);
    assert_non_null(out);
    assert_int_equal(moon_json_repair(text, len, depth, out), n);
    out[n] = '\0';
    assert_string_equal(out, expected);
    if (expected[0] == '{' || expected[0] == '[')
        assert_int_equal(read_all(out, n, 0, false, &err), 0);
    free(out);
}

#define REPAIRS(text, expected) repairs(text, sizeof(text) - 1, 8, expected)

static void lenient(void **state) {
    static const char deep[] = "[[\"]\",[{\"a\":\"\\\"\\n\xff\"}]],2]";
    (void)state;
    REPAIRS("{\"a\":[1,-2.5e3,true,null]}", "{\"a\":[1,-2.5e3,true,null]}");
    REPAIRS("\xef\xbb\xbf[1]", "[1]");
    REPAIRS("[1]\0\0", "[1]  ");
    REPAIRS("[18446744073709551615,-9223372036854775809,1e400,-1e999,1E+9999999999]",
            "[\"18446744073709551615\",\"-9223372036854775809\",\"1e400\",\"-1e999\",\"1E+9999999999\"]");
    REPAIRS("[9223372036854775807,100000000000000000000]", "[9223372036854775807,100000000000000000000]");
    REPAIRS("[NaN,Infinity,-Infinity]", "[\"NaN\",\"Infinity\",\"-Infinity\"]");
    REPAIRS("[\"\\ud83d\",\"\\ude00x\",\"\\ud83d\\ude00\",\"\\ud83d\\ud83d\\ude00\"]",
            "[\"\xef\xbf\xbd\",\"\xef\xbf\xbdx\",\"\\ud83d\\ude00\",\"\xef\xbf\xbd\\ud83d\\ude00\"]");
    REPAIRS(
        "[\"\xff\xc3\",\"\xe2\x82\",\"\xed\xa0\x80\",\"\xf0\x9f\x98z\"]",
        "[\"\xef\xbf\xbd\xef\xbf\xbd\",\"\xef\xbf\xbd\",\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\"\xef\xbf\xbdz\"]");
    REPAIRS("[\"a\nb\0c\",\"\\x41\\u12\"]", "[\"a\\u000ab\\u0000c\",\"\\\\x41\\\\u12\"]");
    repairs(deep, sizeof deep - 1, 2, "[[\"]\",\"[{\\\"a\\\":\\\"\\\\\\\"\\\\n\xef\xbf\xbd\\\"}]\"],2]");
    repairs(NULL, 0, 1, "");
}

static void lenient_tree(void **state) {
    static const char text[] = "\xef\xbb\xbf{\"a\":1,\"b\":\"\xff\",\"a\":{\"n\":1e999},\"c\":[],\"b\":2}";
    struct moon_json_doc doc;
    struct moon_err err;
    size_t len;
    (void)state;
    assert_int_equal(moon_json_parse_lenient(&doc, text, sizeof text - 1, &err), 0);
    assert_int_equal(doc.root.u.object.len, 3);
    assert_string_equal(moon_json_get_string(moon_json_get(&doc.root, "a"), "n", &len), "1e999");
    assert_int_equal(moon_json_get(&doc.root, "b")->u.integer, 2);
    assert_non_null(moon_json_get(&doc.root, "c"));
    moon_json_doc_release(&doc);
    assert_int_equal(moon_json_parse_lenient(&doc, "{\"a\"", 4, &err), MOON_EPARSE);
}

static void any_text(void **state) {
    struct moon_buf b = MOON_BUF_INIT;
    char out[16];
    (void)state;
    assert_int_equal(moon_json_put_text(&b, "a\n\xff\"", 4, 100), 0);
    assert_string_equal(b.data, "\"a\\u000a\xef\xbf\xbd\\\"\"");
    moon_buf_clear(&b);
    assert_int_equal(moon_json_put_text(&b,
                                        "ab\xc3\xa9"
                                        "cd",
                                        6, 3),
                     0); /* never in the middle of a character */
    assert_string_equal(b.data, "\"ab... (6 bytes)\"");
    moon_buf_release(&b);
    assert_int_equal(moon_utf8_repair("a\xe9z", 3, NULL), 5);
    assert_int_equal(moon_utf8_repair("a\xe9z", 3, out), 5);
    assert_memory_equal(out, "a\xef\xbf\xbdz", 5);
}

/* What the writer makes of a number can be read back. */
static void wide_numbers(void **state) {
    static const double list[] = {9223372036854775808.0, 1e20, 123456789012345680000.0, 999999999999999900000.0, 1e21};
    struct moon_json_reader r;
    struct moon_json_token tok;
    (void)state;
    for (size_t i = 0; i < 2 * sizeof list / sizeof *list; i++) {
        double v = i % 2 ? -list[i / 2] : list[i / 2];
        struct moon_buf b = MOON_BUF_INIT;
        assert_int_equal(moon_json_put_number(&b, v), 0);
        moon_json_reader_init(&r, b.data, b.len, 0);
        assert_int_equal(moon_json_next(&r, &tok, NULL), 0);
        assert_true(tok.type == MOON_JSON_NUMBER && tok.number == v);
        moon_json_reader_release(&r);
        moon_buf_release(&b);
    }
}

/* ---- writing ---- */

static void check_string(const char *s, size_t len, const char *expected) {
    struct moon_buf b = MOON_BUF_INIT;
    assert_int_equal(moon_json_put_string(&b, s, len), 0);
    assert_string_equal(b.data, expected);
    moon_buf_release(&b);
}

static void strings_out(void **state) {
    struct moon_buf b = MOON_BUF_INIT;
    char controls[300], all[33];
    (void)state;
    check_string("", 0, "\"\"");
    check_string("a\"\\/\b\f\n\r\t\x0b\x7f\0z", 13, "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u000b\x7f\\u0000z\"");
    check_string("\xe2\x82\xac\xf0\x9f\x98\x80 and some longer text", 27,
                 "\"\xe2\x82\xac\xf0\x9f\x98\x80 and some longer tex\"");
    for (int i = 0; i < 32; i++)
        all[i] = (char)i;
    assert_int_equal(moon_json_put_string(&b, all, 32), 0);
    moon_buf_clear(&b);
    memset(controls, 1, sizeof controls); /* every byte grows sixfold */
    assert_int_equal(moon_json_put_string(&b, controls, sizeof controls), 0);
    assert_int_equal(b.len, 6 * sizeof controls + 2);
    assert_int_equal(moon_json_put_string(&b, "ab\xff", 3), MOON_EINVAL);
    moon_buf_release(&b);
}

static void integers_out(void **state) {
    struct moon_buf b = MOON_BUF_INIT;
    (void)state;
    assert_int_equal(moon_json_put_int(&b, MOON_JSON_SAFE_INT), 0);
    assert_int_equal(moon_json_put_int(&b, -MOON_JSON_SAFE_INT), 0);
    assert_int_equal(moon_json_put_int(&b, 0), 0);
    assert_string_equal(b.data, "9007199254740991-90071992547409910");
    assert_int_equal(moon_json_put_int(&b, MOON_JSON_SAFE_INT + 1), MOON_ERANGE);
    assert_int_equal(moon_json_put_int(&b, INT64_MIN), MOON_ERANGE);
    moon_buf_release(&b);
}

static int cmp(const char *a, const char *b) {
    return moon_json_key_cmp(a, strlen(a), b, strlen(b));
}

static void keys_sort_by_utf16(void **state) {
    /* RFC 8785, 3.2.3, in its order */
    static const char *const order[] = {"\r",          "1", "\xc2\x80", "\xc3\xb6", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                        "\xef\xac\xb3"};
    struct moon_json_entry e[64];
    (void)state;
    for (size_t i = 0; i < 7; i++) {
        for (size_t k = 0; k < 7; k++)
            assert_int_equal(cmp(order[i], order[k]), i < k ? -1 : i > k);
    }
    assert_int_equal(cmp("a", "aa"), -1);
    assert_int_equal(cmp("", "a"), -1);
    assert_true(moon_json_key_cmp("a", 1, "a\0", 2) < 0);
    for (size_t n = 7; n <= 63; n += 56) { /* both sorts */
        for (size_t i = 0; i < n; i++) {
            e[i].key = order[6 - i % 7];
            e[i].len = strlen(e[i].key);
            e[i].slot = (int)i;
        }
        moon_json_sort(e, n);
        for (size_t i = 1; i < n; i++)
            assert_true(moon_json_key_cmp(e[i - 1].key, e[i - 1].len, e[i].key, e[i].len) <= 0);
    }
    const char *same[] = {"long-prefix-b", "long-prefix", "long-prefix-a", "long-pr\xef\xac\xb3",
                          "long-pr\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < 5; i++) {
        e[i].key = same[i];
        e[i].len = strlen(same[i]);
    }
    moon_json_sort(e, 5);
    assert_string_equal(e[0].key, "long-prefix");
    assert_string_equal(e[1].key, "long-prefix-a");
    assert_string_equal(e[2].key, "long-prefix-b");
    assert_string_equal(e[3].key, "long-pr\xf0\x9f\x98\x80");
    assert_string_equal(e[4].key, "long-pr\xef\xac\xb3");
}

static void utf8(void **state) {
    (void)state;
    assert_int_equal(moon_utf8_valid("0123456789\xc3\xa9", 12), 12);
    assert_int_equal(moon_utf8_valid("0123456789\xc3", 11), 10);
    assert_int_equal(moon_utf8_valid("", 0), 0);
    assert_int_equal(moon_utf8_valid("a\0b", 3), 3);
    assert_int_equal(moon_utf8_count("a\xc3\xa9\xf0\x9f\x98\x80", 7), 3);
}

/* ---- trees ---- */

static void check_canonical(const char *text, const char *expected) {
    struct moon_json_doc doc;
    struct moon_err err;
    struct moon_buf b = MOON_BUF_INIT;
    assert_int_equal(moon_json_parse(&doc, text, strlen(text), &err), 0);
    assert_int_equal(moon_json_write(&b, &doc.root), 0);
    assert_string_equal(b.data, expected);
    moon_json_doc_release(&doc);
    moon_buf_release(&b);
}

static void canonical_text(void **state) {
    (void)state;
    /* RFC 8785, 3.2.2 and 3.2.3 */
    check_canonical(
        "{\"numbers\":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"
        "\"string\":\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\"literals\":[null,true,false]}",
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
        "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
    check_canonical(
        "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"CR\",\"\\ufb33\":\"Hebrew\",\"1\":\"One\",\"\\ud83d\\ude00\":\"Smiley\","
        "\"\\u0080\":\"Control\",\"\\u00f6\":\"o\"}",
        "{\"\\r\":\"CR\",\"1\":\"One\",\"\xc2\x80\":\"Control\",\"\xc3\xb6\":\"o\",\"\xe2\x82\xac\":\"Euro Sign\","
        "\"\xf0\x9f\x98\x80\":\"Smiley\",\"\xef\xac\xb3\":\"Hebrew\"}");
    check_canonical("[ ]", "[]");
    check_canonical("{\"b\":[],\"a\":{}}", "{\"a\":{},\"b\":[]}");
    check_canonical("[-0, -0.0, 0.1, 1.0, 9007199254740991]", "[0,0,0.1,1,9007199254740991]");
}

static void tree_access(void **state) {
    static const char text[] = "{\"s\":\"a\\u0000b\",\"n\":3,\"list\":[1,2.5,true],\"\":{}}";
    struct moon_json_doc doc;
    struct moon_err err;
    size_t len;
    (void)state;
    assert_int_equal(moon_json_parse(&doc, text, sizeof text - 1, &err), 0);
    assert_memory_equal(moon_json_get_string(&doc.root, "s", &len), "a\0b", 4);
    assert_int_equal(len, 3);
    assert_int_equal(moon_json_get(&doc.root, "n")->u.integer, 3);
    assert_null(moon_json_get(&doc.root, "absent"));
    assert_null(moon_json_get_string(&doc.root, "n", NULL));
    assert_null(moon_json_get(moon_json_get(&doc.root, "n"), "x"));
    assert_null(moon_json_get(NULL, "x"));
    assert_int_equal(moon_json_get(&doc.root, "list")->u.array.len, 3);
    assert_true(moon_json_get(&doc.root, "list")->u.array.items[1].u.number == 2.5);
    assert_int_equal(moon_json_get_n(&doc.root, "", 0)->type, MOON_JSON_OBJECT);
    moon_json_doc_release(&doc);
}

static void refuses_tree(const char *text, const char *message) {
    struct moon_json_doc doc;
    struct moon_err err;
    assert_int_equal(moon_json_parse(&doc, text, strlen(text), &err), MOON_EPARSE);
    assert_non_null(strstr(err.message, message));
}

static void duplicate_keys(void **state) {
    struct moon_buf b = MOON_BUF_INIT;
    (void)state;
    refuses_tree("{\"a\":1,\n \"a\":2}", "line 2, column 2: the key \"a\" comes twice");
    refuses_tree("{\"x\":{\"\\u0061\":1,\"a\":{}}}", "column 18: the key \"a\" comes twice");
    assert_int_equal(moon_buf_putc(&b, '{'), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(moon_buf_printf(&b, "\"k%d\":%d,", i, i), 0);
    assert_int_equal(moon_buf_puts(&b, "\"k500\":0}"), 0);
    refuses_tree(b.data, "the key \"k500\" comes twice");
    moon_buf_release(&b);
}

static void large_documents(void **state) {
    struct moon_buf b = MOON_BUF_INIT, out = MOON_BUF_INIT;
    struct moon_json_doc doc;
    (void)state;
    assert_int_equal(moon_buf_putc(&b, '{'), 0);
    for (int i = 0; i < 50000; i++)
        assert_int_equal(moon_buf_printf(&b, "%s\"key%05d\":[%d,\"text\"]", i > 0 ? "," : "", i, i), 0);
    assert_int_equal(moon_buf_putc(&b, '}'), 0);
    assert_int_equal(moon_json_parse(&doc, b.data, b.len, NULL), 0);
    assert_int_equal(moon_json_write(&out, &doc.root), 0);
    assert_int_equal(out.len, b.len);
    assert_memory_equal(out.data, b.data, b.len);
    moon_json_doc_release(&doc);
    moon_buf_release(&b);
    moon_buf_release(&out);
}

static void small_pieces(void **state) {
    (void)state;
    static const struct {
        unsigned code_point;
        const char *utf8;
    } utf8[] = {{0x41, "A"},
                {0x7f, "\x7f"},
                {0x80, "\xc2\x80"},
                {0x7ff, "\xdf\xbf"},
                {0x800, "\xe0\xa0\x80"},
                {0xffff, "\xef\xbf\xbf"},
                {0x10000, "\xf0\x90\x80\x80"},
                {0x10ffff, "\xf4\x8f\xbf\xbf"}};
    for (size_t i = 0; i < sizeof utf8 / sizeof *utf8; i++) {
        char out[4];
        size_t n = moon_utf8_put(utf8[i].code_point, out);
        assert_int_equal(n, strlen(utf8[i].utf8));
        assert_memory_equal(out, utf8[i].utf8, n);
    }
    for (int c = 0; c < 256; c++) {
        const char *at = c != 0 ? strchr("0123456789abcdefABCDEF", c) : NULL;
        char text[2] = {(char)c, '\0'};
        assert_int_equal(moon_hex_digit((char)c), at == NULL ? -1 : (int)strtol(text, NULL, 16));
    }
    char token[16];
    assert_int_equal(moon_json_pointer_token("a~/b", 4, NULL), 6);
    assert_int_equal(moon_json_pointer_token("a~/b", 4, token), 6);
    assert_memory_equal(token, "a~0~1b", 6);
    unsigned char bytes[2];
    assert_true(moon_unhex("0aff", bytes, 2));
    assert_memory_equal(bytes, "\x0a\xff", 2);
    assert_false(moon_unhex("0aFf", bytes, 2));
    assert_false(moon_unhex("0ag0", bytes, 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_pieces),
        cmocka_unit_test(grammar),
        cmocka_unit_test(numbers),
        cmocka_unit_test(strings),
        cmocka_unit_test(columns_count_characters),
        cmocka_unit_test(string_values),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(lenient),
        cmocka_unit_test(lenient_tree),
        cmocka_unit_test(any_text),
        cmocka_unit_test(wide_numbers),
        cmocka_unit_test(strings_out),
        cmocka_unit_test(integers_out),
        cmocka_unit_test(keys_sort_by_utf16),
        cmocka_unit_test(utf8),
        cmocka_unit_test(canonical_text),
        cmocka_unit_test(tree_access),
        cmocka_unit_test(duplicate_keys),
        cmocka_unit_test(large_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
