/* test_reason.c - the reason in an error body, in the forms that servers give it. */
#include "unit.h"

#include "moongate/reason.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* message [code] | field: message (code) | … ; an excerpt is in <> */
static void shown(const struct moon_reason *r, char *out, size_t size) {
    int n = snprintf(out, size, r->excerpt ? "<%s>" : "%s", moon_reason_text(r, r->message));
    if (r->code)
        n += snprintf(out + n, size - (size_t)n, " [%s]", moon_reason_text(r, r->code));
    for (size_t i = 0; i < r->n; i++)
        n += snprintf(out + n, size - (size_t)n, " | %s: %s", moon_reason_text(r, r->items[i].field),
                      moon_reason_text(r, r->items[i].message));
}

static void check(const char *type, const char *body, size_t len, const char *expected) {
    struct moon_reason r;
    char got[8192];
    char *copy = malloc(len + 1); /* an exact copy: reading past its end is seen by ASan */
    assert_non_null(copy);
    memcpy(copy, body, len);
    assert_int_equal(moon_reason_read(&r, type, type ? strlen(type) : 0, copy, len), 0);
    shown(&r, got, sizeof got);
    assert_string_equal(got, expected);
    moon_reason_release(&r);
    free(copy);
}

static void json_forms(void **state) {
    static const char *const cases[][2] = {
        {"{\"message\":\"no\",\"code\":\"bad.request\",\"status\":400,\"details\":[{\"errorCode\":\"too.big\","
         "\"fieldName\":\"dimensions\"}],\"errors\":[{\"errorCode\":\"too.big\",\"fieldName\":\"dimensions\"}]}",
         "no [bad.request] | dimensions: too.big"},
        {"{\"errors\":[\"a is bad\",\"b is worse\"]}", " | : a is bad | : b is worse"},
        {"{\"errors\":[{\"field\":\"size\",\"message\":\"too large\"}]}", " | size: too large"},
        {"{\"errors\":{\"size\":[\"too large\",\"odd\"],\"name\":\"is missing\",\"description\":\"is empty\"}}",
         " | size: too large | size: odd | name: is missing | description: is empty"},
        {"{\"errors\":{\"rate\":{\"per_minute\":[\"too high\"]}}}", " | rate.per_minute: too high"},
        {"{\"message\":\"m\",\"details\":[\"one\",\"two\"]}", "m | : one | : two"},
        {"{\"details\":{\"reason\":\"quota\"}}", " | : quota"},
        {"{\"error\":\"the queue is full\"}", "the queue is full"},
        {"{\"error\":\"invalid_scope\",\"error_description\":\"unknown scope x\"}", "unknown scope x [invalid_scope]"},
        {"{\"error\":{\"message\":\"no such model\",\"type\":\"invalid_request_error\",\"param\":\"model\","
         "\"code\":null}}",
         "no such model [invalid_request_error]"},
        {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
         "Overloaded [overloaded_error]"},
        {"{\"error\":{\"code\":400,\"message\":\"Bad value\",\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":"
         "\"x/BadRequest\",\"fieldViolations\":[{\"field\":\"a.b\",\"description\":\"must be set\"}]}]}}",
         "Bad value [INVALID_ARGUMENT] | a.b: must be set"},
        {"{\"error\":{\"code\":\"BadInput\",\"message\":\"Not valid\",\"innererror\":{\"code\":\"TooLong\",\"message\":"
         "\"at most 40 signs\"}}}",
         "Not valid [BadInput] | : at most 40 signs"},
        {"{\"__type\":\"com.example#ValidationException\",\"Message\":\"bad name\"}", "bad name [ValidationException]"},
        {"{\"detail\":\"Not allowed here\"}", "Not allowed here"},
        {"{\"detail\":[{\"loc\":[\"body\",\"size\",0],\"msg\":\"too small\",\"type\":\"value_error\"}]}",
         " | body.size.0: too small"},
        {"{\"type\":\"https://example.org/p\",\"title\":\"Invalid\",\"detail\":\"see below\",\"status\":422,"
         "\"invalid-params\":[{\"name\":\"age\",\"reason\":\"must be positive\"}]}",
         "Invalid: see below | age: must be positive"},
        {"{\"errors\":[{\"status\":\"422\",\"source\":{\"pointer\":\"/data/x\"},\"title\":\"Invalid\",\"detail\":\"is "
         "taken\"}]}",
         " | /data/x: is taken"},
        {"{\"data\":null,\"errors\":[{\"message\":\"Cannot query\",\"path\":[\"user\",\"id\"],\"extensions\":{\"code\":"
         "\"BAD\"}}]}",
         " | user.id: Cannot query"},
        {"{\"timestamp\":1,\"status\":400,\"error\":\"Bad Request\",\"message\":\"Validation failed\",\"errors\":[{"
         "\"defaultMessage\":\"must not be null\",\"field\":\"name\",\"objectName\":\"m\"}]}",
         "Validation failed | name: must not be null"},
        {"{\"statusCode\":400,\"message\":[\"a must be set\",\"b too\"],\"error\":\"Bad Request\"}",
         "Bad Request | : a must be set | : b too"},
        {"{\"errorMessage\":\"broken\"}", "broken"},
        {"{\"fault\":{\"faultstring\":\"Quota exceeded\",\"detail\":{\"errorcode\":\"policies.Quota\"}}}",
         "Quota exceeded | : policies.Quota"},
        {"{\"kind\":\"Status\",\"message\":\"x is invalid\",\"reason\":\"Invalid\",\"details\":{\"name\":\"x\","
         "\"causes\":[{\"reason\":\"R\",\"message\":\"must be 1\",\"field\":\"spec.n\"}]}}",
         "x is invalid [Invalid] | spec.n: must be 1"},
        {"{\"id\":\"j\",\"status\":\"FAILED\",\"result\":{\"error\":{\"message\":\"no route\"}}}", "no route [FAILED]"},
        {"{\"status\":\"FAILED\",\"failureReason\":\"unreachable\"}", "unreachable [FAILED]"},
        {"[{\"message\":\"m1\",\"errorCode\":\"E1\"}]", " | : m1"},
        {"\"just text\"", "just text"},
        {"\xef\xbb\xbf{\"message\":\"behind a mark\"}", "behind a mark"},
        {"{\"message\":\"a\\u001b[31m\\u0000b\"}", "a\\x1b[31m\\x00b"},
        {"{\"success\":false}", "<{\"success\":false}>"},
        {"{\"message\":\"cut", "<{\"message\":\"cut>"},
        {"", ""},
        {" \r\n", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check("application/json", cases[i][0], strlen(cases[i][0]), cases[i][1]);
}

static void other_forms(void **state) {
    (void)state;
#define CHECK(type, body, expected) check(type, body, sizeof(body) - 1, expected)
    CHECK("text/html", "<!DOCTYPE html>\n<html><head><TITLE>502 Bad &amp; worse</TITLE></head><body>x</body></html>",
          "<502 Bad & worse>");
    CHECK(NULL, "<html><body><script>var x;</script><p>Access\n denied</p></body></html>", "<Access denied>");
    CHECK("application/xml", "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>No key</Message></Error>",
          "No key [NoSuchKey]");
    CHECK(NULL, "<s:Envelope><s:Body><s:Fault><faultstring>down</faultstring></s:Fault></s:Body></s:Envelope>", "down");
    CHECK("text/plain", "line one\n  line two\x1b[0m", "<line one line two\\x1b[0m>");
    CHECK("text/plain", "caf\xe9 closed", "<caf\xef\xbf\xbd closed>");
    CHECK("text/plain; charset=ISO-8859-1", "caf\xe9 closed", "<caf\xc3\xa9 closed>");
    CHECK("text/plain",
          "\xff\xfe"
          "h\0i\0",
          "<hi>");
    CHECK("application/octet-stream", "\x1f\x8b\x08\0\0\0\0", "<(7 bytes that are not text)>");
    CHECK("text/plain", "turn \xe2\x80\xae back", "<turn \\u202e back>");
#undef CHECK
}

static void bounds(void **state) {
    struct moon_reason r;
    static char big[300000];
    (void)state;
    memset(big, 'x', sizeof big);
    assert_int_equal(moon_reason_read(&r, NULL, 0, big, sizeof big), 0);
    assert_int_equal(strlen(moon_reason_text(&r, r.message)), MOON_REASON_EXCERPT + 3);
    moon_reason_release(&r);
    size_t n = 0; /* more details than are kept, nested deeper than is followed */
    n += (size_t)sprintf(big + n, "{\"errors\":[");
    for (int i = 0; i < 500; i++)
        n += (size_t)sprintf(big + n, "{\"message\":\"m%d\"},", i);
    for (int i = 0; i < 60; i++)
        n += (size_t)sprintf(big + n, "{\"errors\":[");
    n += (size_t)sprintf(big + n, "1");
    for (int i = 0; i < 60; i++)
        n += (size_t)sprintf(big + n, "]}");
    n += (size_t)sprintf(big + n, "]}");
    assert_int_equal(moon_reason_read(&r, NULL, 0, big, n), 0);
    assert_int_equal(r.n, MOON_REASON_ITEMS);
    moon_reason_release(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_forms),
        cmocka_unit_test(other_forms),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests_name("reason", tests, NULL, NULL);
}
