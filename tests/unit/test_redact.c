/* test_redact.c - no secret leaves a sink, by value or by name, and ordinary text stays. */
#include "unit.h"

#include "moongate/digest.h"
#include "moongate/log.h"
#include "moongate/redact.h"

#include <stdio.h>
#include <unistd.h>

static void check(const struct moon_redact *r, const char *text, const char *expected) {
    struct moon_buf b = MOON_BUF_INIT;
    assert_int_equal(moon_redact_append(r, &b, text, strlen(text)), 0);
    assert_string_equal(b.data ? b.data : "", expected);
    moon_buf_release(&b);
}

static void by_value(void **state) {
    (void)state;
    struct moon_redact *r;
    assert_int_equal(moon_redact_new(&r), 0);
    assert_int_equal(moon_redact_add(r, "s3cr/t \"x\"", 10), 0);
    assert_int_equal(moon_redact_add(r, "s3cr-s3c", 8), 0);
    assert_int_equal(moon_redact_add(r, "s3cret7", 7), 0);
    check(r, "a s3cr/t \"x\" b", "a *** b");
    check(r, "a s3cr%2Ft%20%22x%22 b", "a *** b");
    check(r, "a s3cr/t \\\"x\\\" b", "a *** b");
    check(r, "czNjci90ICJ4Ig==", "***g==");
    check(r, "s3cr-s3cs3cr-s3c", "******");
    check(r, "s3cret7 stays", "s3cret7 stays");
    check(r, "", "");
    moon_redact_free(r);
}

/* Appends c in one of nine escapes. */
static void put_number(char *text, size_t size, int how, unsigned c) {
    size_t n = strlen(text);
    char *to = text + n;
    size -= n;
    switch (how) {
    case 0:
        snprintf(to, size, "%%%02X", c);
        break;
    case 1:
        snprintf(to, size, "%%%02x", c);
        break;
    case 2:
        snprintf(to, size, "\\u%04X", c);
        break;
    case 3:
        snprintf(to, size, "\\u%04x", c);
        break;
    case 4:
        snprintf(to, size, "\\x%02X", c);
        break;
    case 5:
        snprintf(to, size, "\\x%02x", c);
        break;
    case 6:
        snprintf(to, size, "&#x%02X;", c);
        break;
    case 7:
        snprintf(to, size, "&#x%02x;", c);
        break;
    default:
        snprintf(to, size, "&#%u;", c);
    }
}

static void by_encoded_value(void **state) {
    (void)state;
    static const char *const forms[] = {"t0k/n<Quartz-7>+\"z",
                                        "74306b2f6e3c51756172747a2d373e2b227a",
                                        "74306B2F6E3C51756172747A2D373E2B227A",
                                        "t0k%2fn%3cQuartz-7%3e%2b%22z",
                                        "t0k%2Fn%3CQuartz-7%3E%2B%22z",
                                        "t0k\\/n<Quartz-7>+\\\"z",
                                        "t0k/n\\u003cQuartz-7\\u003e\\u002b\\\"z",
                                        "t0k/n&lt;Quartz-7&gt;+&quot;z",
                                        "t0k/n&lt;Quartz-7&gt;+&#34;z"};
    static const char *const prefix[] = {"", "x", "xy"};
    struct moon_redact *r;
    assert_int_equal(moon_redact_new(&r), 0);
    assert_int_equal(moon_redact_add(r, forms[0], strlen(forms[0])), 0);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        check(r, forms[i], "***");
    for (int i = 0; i < 9; i++) { /* plain bytes are escaped, too */
        char text[160] = "";
        for (const char *c = forms[0]; *c; c++)
            put_number(text, sizeof text, i, (unsigned char)*c);
        check(r, text, "***");
    }
    for (size_t i = 0; i < 3; i++) { /* base64 of a longer text, at each of its alignments */
        struct moon_buf text = MOON_BUF_INIT, coded = MOON_BUF_INIT, out = MOON_BUF_INIT;
        assert_int_equal(moon_buf_printf(&text, "%s%s, and more", prefix[i], forms[0]), 0);
        assert_int_equal(moon_base64_encode(&coded, text.data, text.len), 0);
        assert_int_equal(moon_redact_append(r, &out, coded.data, coded.len), 0);
        assert_non_null(strstr(out.data, "***"));
        assert_true(strstr(out.data, "***") - out.data <= 3); /* one digit at each end depends on what is beside it */
        assert_true(out.len < coded.len - 18);
        moon_buf_release(&text);
        moon_buf_release(&coded);
        moon_buf_release(&out);
    }
    moon_redact_free(r);
}

static void of_scripts(void **state) {
    (void)state;
    struct moon_redact *r;
    struct moon_buf b = MOON_BUF_INIT;
    assert_int_equal(moon_redact_new(&r), 0);
    assert_int_equal(moon_redact_add_script(r, "orders-prod", 11), 0);
    assert_int_equal(moon_redact_add_script(r, "shared-value-1", 14), 0);
    assert_int_equal(moon_redact_add(r, "shared-value-1", 14), 0); /* ours, too */
    check(r, "orders-prod shared-value-1", "*** ***");
    assert_int_equal(moon_redact_own(r, &b, "orders-prod shared-value-1", 26), 0);
    assert_string_equal(b.data, "orders-prod ***");
    moon_buf_release(&b);
    moon_redact_free(r);
}

static void weak_values_stay(void **state) {
    (void)state;
    static const char *const weak[] = {
        "true",     "prod",     "index",    "production",      "Authorization", "autoIngestTrigger",
        "PASSWORD", "20261130", "index_id", "VECTOR_STORE_ID", "us-east-1",     "k3y-abc"};
    static const char *const strong[] = {"not-a-real-secret", "correcthorsebatterystaple", "QwErTyUiOpAsDf",
                                         "pass-w0rd",         "1234567890123456",          "CANARY-SECRET"};
    struct moon_redact *r;
    assert_int_equal(moon_redact_new(&r), 0);
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        assert_int_equal(moon_redact_add(r, weak[i], strlen(weak[i])), 0);
        check(r, weak[i], weak[i]);
        assert_non_null(moon_redact_news(r, weak[i], strlen(weak[i])));
        assert_null(moon_redact_news(r, weak[i], strlen(weak[i]))); /* said once */
    }
    for (size_t i = 0; i < sizeof strong / sizeof *strong; i++) {
        assert_int_equal(moon_redact_add(r, strong[i], strlen(strong[i])), 0);
        check(r, strong[i], "***");
        assert_null(moon_redact_news(r, strong[i], strlen(strong[i])));
    }
    moon_redact_free(r);
}

static void by_name(void **state) {
    (void)state;
    check(NULL, "client_secret=hunter2&x=1", "client_secret=***&x=1");
    check(NULL, "{\"access_token\":\"abc\\\"def\",\"a\":1}", "{\"access_token\":\"***\",\"a\":1}");
    check(NULL, "Authorization: Basic abc\nnext", "Authorization: ***\nnext");
    check(NULL, "sent Bearer abcdefghijklmnop!", "sent Bearer ***!");
    check(NULL, "PASSWORD = x y", "PASSWORD = *** y");
    check(NULL, "basic auth, bearer token, the secret is kept", "basic auth, bearer token, the secret is kept");
}

/* Only some places of a text are looked at: none may be missed wherever a secret lies, whatever its length. */
static void wherever_it_lies(void **state) {
    (void)state;
    static const char *const secrets[] = {"k3y-abcd", "k3y-abcde", "k3y-abcdef", "k3y-abcdefg", "k3y-xyz-0123456789"};
    static const char *const given[] = {"passwd=no", "api-key: no", "bearer abcdefghijklmnop", "Authorization=no"};
    static const char *const kept[] = {"passwd=***", "api-key: ***", "bearer ***", "Authorization=***"};
    for (size_t n = 0; n < sizeof secrets / sizeof *secrets; n++) {
        struct moon_redact *r;
        assert_int_equal(moon_redact_new(&r), 0);
        assert_int_equal(moon_redact_add(r, secrets[n], strlen(secrets[n])), 0);
        for (int before = 0; before < 12; before++)
            for (int after = 0; after < 6; after++) {
                char text[128], expected[128];
                snprintf(text, sizeof text, "%.*s%s%s%.*s", before, "...........", secrets[n], secrets[n], after,
                         "-----");
                snprintf(expected, sizeof expected, "%.*s******%.*s", before, "...........", after, "-----");
                check(r, text, expected);
                const char *g = given[(size_t)before % 4], *k = kept[(size_t)before % 4];
                snprintf(text, sizeof text, "%.*s%s\n%s%.*s", before, "...........", g, secrets[n], after, "-----");
                snprintf(expected, sizeof expected, "%.*s%s\n***%.*s", before, "...........", k, after, "-----");
                check(r, text, expected);
            }
        moon_redact_free(r);
    }
}

static void values_only(void **state) {
    (void)state;
    struct moon_redact *r;
    struct moon_buf out = MOON_BUF_INIT;
    static const char text[] = "client_secret: must be given, canary-1";
    assert_int_equal(moon_redact_new(&r), 0);
    assert_int_equal(moon_redact_add(r, "canary-1", 8), 0);
    assert_int_equal(moon_redact_values(r, &out, text, sizeof text - 1), 0);
    assert_string_equal(out.data, "client_secret: must be given, ***");
    moon_buf_release(&out);
    moon_redact_free(r);
}

static void log_lines_are_clean(void **state) {
    (void)state;
    int fds[2];
    char line[256];
    assert_int_equal(pipe(fds), 0);
    struct moon_log log;
    moon_log_init(&log, fds[1], MOON_LOG_INFO);
    moon_log_write(&log, MOON_LOG_DEBUG, "dropped");
    moon_log_write(&log, MOON_LOG_WARN, "one\ntwo\x1b[2J password=x");
    ssize_t n = read(fds[0], line, sizeof line - 1);
    assert_true(n > 0);
    line[n] = '\0';
    assert_string_equal(line, "warn: one\\ntwo\\x1b[2J password=***\n");
    enum moon_log_level level;
    assert_int_equal(moon_log_level_parse("debug", &level), 0);
    assert_int_equal(level, MOON_LOG_DEBUG);
    assert_int_not_equal(moon_log_level_parse("loud", &level), 0);
    moon_log_write(NULL, MOON_LOG_ERROR, "nowhere");
    close(fds[0]);
    close(fds[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_value),    cmocka_unit_test(by_encoded_value),
        cmocka_unit_test(of_scripts),  cmocka_unit_test(weak_values_stay),
        cmocka_unit_test(by_name),     cmocka_unit_test(wherever_it_lies),
        cmocka_unit_test(values_only), cmocka_unit_test(log_lines_are_clean),
    };
    return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
