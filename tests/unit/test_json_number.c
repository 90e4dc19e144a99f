/* test_json_number.c - doubles to text and back: the vectors of RFC 8785, properties, and Node as an unrelated
 * implementation. */
#include "unit.h"

#include "moongate/json.h"
#include "moongate/rng.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

static double from_bits(uint64_t bits) {
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void check_text(double v, const char *expected) {
    struct moon_buf b = MOON_BUF_INIT;
    assert_int_equal(moon_json_put_number(&b, v), 0);
    assert_string_equal(b.data, expected);
    moon_buf_release(&b);
}

/* RFC 8785, appendix B. */
static void rfc_8785_vectors(void **state) {
    static const struct {
        uint64_t bits;
        const char *text;
    } vectors[] = {
        {UINT64_C(0x0000000000000000), "0"},
        {UINT64_C(0x8000000000000000), "0"},
        {UINT64_C(0x0000000000000001), "5e-324"},
        {UINT64_C(0x8000000000000001), "-5e-324"},
        {UINT64_C(0x7fefffffffffffff), "1.7976931348623157e+308"},
        {UINT64_C(0xffefffffffffffff), "-1.7976931348623157e+308"},
        {UINT64_C(0x4340000000000000), "9007199254740992"},
        {UINT64_C(0xc340000000000000), "-9007199254740992"},
        {UINT64_C(0x4430000000000000), "295147905179352830000"},
        {UINT64_C(0x44b52d02c7e14af5), "9.999999999999997e+22"},
        {UINT64_C(0x44b52d02c7e14af6), "1e+23"},
        {UINT64_C(0x44b52d02c7e14af7), "1.0000000000000001e+23"},
        {UINT64_C(0x444b1ae4d6e2ef4e), "999999999999999700000"},
        {UINT64_C(0x444b1ae4d6e2ef4f), "999999999999999900000"},
        {UINT64_C(0x444b1ae4d6e2ef50), "1e+21"},
        {UINT64_C(0x3eb0c6f7a0b5ed8c), "9.999999999999997e-7"},
        {UINT64_C(0x3eb0c6f7a0b5ed8d), "0.000001"},
        {UINT64_C(0x41b3de4355555553), "333333333.3333332"},
        {UINT64_C(0x41b3de4355555554), "333333333.33333325"},
        {UINT64_C(0x41b3de4355555555), "333333333.3333333"},
        {UINT64_C(0x41b3de4355555556), "333333333.3333334"},
        {UINT64_C(0x41b3de4355555557), "333333333.33333343"},
        {UINT64_C(0xbecbf647612f3696), "-0.0000033333333333333333"},
        {UINT64_C(0x43143ff3c1cb0959), "1424953923781206.2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        check_text(from_bits(vectors[i].bits), vectors[i].text);
    struct moon_buf b = MOON_BUF_INIT;
    assert_int_equal(moon_json_put_number(&b, from_bits(UINT64_C(0x7fffffffffffffff))), MOON_EINVAL);
    assert_int_equal(moon_json_put_number(&b, INFINITY), MOON_EINVAL);
    assert_int_equal(moon_json_put_number(&b, -INFINITY), MOON_EINVAL);
    moon_buf_release(&b);
}

/* Values where "the smallest %.*e that reads back" goes wrong, and other known hard ones (checked with Node 20). */
static void hard_values(void **state) {
    (void)state;
    check_text(ldexp(1, -44), "5.684341886080802e-14");
    check_text(ldexp(1, -1022), "2.2250738585072014e-308");
    check_text(9007199254740994.0, "9007199254740994");
    check_text(5e-324 * 2, "1e-323");
    check_text(2e-323, "2e-323");
    check_text(0.1 + 0.2, "0.30000000000000004");
    check_text(1.0, "1");
    check_text(-1.5, "-1.5");
    check_text(100.0, "100");
    check_text(0.95, "0.95");
    check_text(123456789.125, "123456789.125");
    check_text(1e15, "1000000000000000");
    check_text(123456789012345680000.0, "123456789012345680000");
    check_text(1e-7, "1e-7");
    check_text(1.25e-9, "1.25e-9");
    check_text(4.35, "4.35");
    check_text(0.000035, "0.000035");
    check_text(1e100, "1e+100");
}

/* Reads back exactly, and no decimal with a digit less does. */
static void check_shortest(double v) {
    char digits[18], text[64];
    int point, n = moon_json_digits(v, digits, &point);
    assert_in_range(n, 1, 17);
    assert_true(digits[0] != '0' && digits[n - 1] != '0');
    snprintf(text, sizeof text, "0.%.*se%d", n, digits, point);
    assert_true(strtod(text, NULL) == v);
    if (n == 1)
        return;
    for (int up = 0; up <= 1; up++) { /* the two candidates with n - 1 digits around v */
        uint64_t m = 0;
        for (int i = 0; i < n - 1; i++)
            m = m * 10 + (uint64_t)(digits[i] - '0');
        snprintf(text, sizeof text, "%llue%d", (unsigned long long)(m + (uint64_t)up), point - (n - 1));
        assert_true(strtod(text, NULL) != v);
    }
}

static double random_double(struct moon_rng *rng) {
    for (;;) {
        double v = from_bits(moon_rng_u64(rng) & INT64_MAX);
        if (isfinite(v) && v > 0)
            return v;
    }
}

static void shortest_everywhere(void **state) {
    struct moon_rng rng;
    (void)state;
    moon_rng_init_seed(&rng, 1);
    for (int e = -1074; e <= 1023; e++) {
        double p = ldexp(1, e);
        check_shortest(p);
        check_shortest(nextafter(p, INFINITY) < INFINITY ? nextafter(p, INFINITY) : p);
        if (nextafter(p, 0) > 0)
            check_shortest(nextafter(p, 0));
    }
    for (int i = 0; i < 20000; i++)
        check_shortest(random_double(&rng));
    for (int i = 0; i < 20000; i++) /* decimals as people write them */
        check_shortest((double)(1 + moon_rng_below(&rng, 1000000000)) / pow(10, (double)moon_rng_below(&rng, 12)));
}

static void decimal_reads_as_strtod(void **state) {
    struct moon_rng rng;
    char text[80];
    (void)state;
    moon_rng_init_seed(&rng, 2);
    for (int i = 0; i < 40000; i++) {
        int digits = 1 + (int)moon_rng_below(&rng, 25), at = 0, dot = (int)moon_rng_below(&rng, 24);
        text[at++] = (char)('1' + moon_rng_below(&rng, 9));
        for (int k = 1; k < digits; k++) {
            if (k == dot + 1)
                text[at++] = '.';
            text[at++] = (char)('0' + moon_rng_below(&rng, 10));
        }
        snprintf(text + at, sizeof text - (size_t)at, "e%d", (int)moon_rng_below(&rng, 80) - 40);
        double expected = strtod(text, NULL), got = moon_json_decimal(text, strlen(text));
        assert_memory_equal(&expected, &got, sizeof got);
    }
}

static void decimal_at_the_edges(void **state) {
    struct moon_buf b = MOON_BUF_INIT;
    (void)state;
    static const char *const cases[] = {"9007199254740993.0",
                                        "9007199254740999.0",
                                        "900719925474099.9e1",
                                        "0.0",
                                        "-0.0",
                                        "2.2250738585072012e-308",
                                        "4.9e-324",
                                        "2.4e-324",
                                        "2.5e-324",
                                        "1e-400",
                                        "1.7976931348623158e308",
                                        "1e22",
                                        "1e23",
                                        "123456789012345678901234567890.5",
                                        "0.000000000000000000000000000000000000000000000000000001"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double expected = strtod(cases[i], NULL), got = moon_json_decimal(cases[i], strlen(cases[i]));
        assert_memory_equal(&expected, &got, sizeof got);
    }
    assert_true(isinf(moon_json_decimal("1e400", 5)));
    assert_true(isinf(moon_json_decimal("1e99999999999999999999999", 25)));
    assert_true(moon_json_decimal("0e99999999999999999999999", 25) == 0);
    assert_true(moon_json_decimal("1e-99999999999999999999999", 26) == 0);
    /* halfway between two doubles, decided by a digit far away */
    assert_int_equal(moon_buf_puts(&b, "9007199254740993."), 0);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(moon_buf_putc(&b, '0'), 0);
    assert_true(moon_json_decimal(b.data, b.len) == 9007199254740992.0);
    assert_int_equal(moon_buf_putc(&b, '1'), 0);
    assert_true(moon_json_decimal(b.data, b.len) == 9007199254740994.0);
    moon_buf_clear(&b);
    assert_int_equal(moon_buf_puts(&b, "0."), 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(moon_buf_putc(&b, '0'), 0);
    assert_int_equal(moon_buf_puts(&b, "1e100001"), 0);
    assert_true(moon_json_decimal(b.data, b.len) == 1.0);
    moon_buf_release(&b);
}

static void locale_has_no_say(void **state) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    bool found = false;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++)
        found = setlocale(LC_ALL, names[i]) != NULL;
    if (!found)
        print_message("# no locale with a decimal comma here: checked in the C locale only\n");
    check_text(0.30000000000000004, "0.30000000000000004");
    check_text(1.5e300, "1.5e+300");
    double half = 0.5, third = 0.33333333333333331;
    double got = moon_json_decimal("0.5", 3);
    assert_memory_equal(&half, &got, sizeof got);
    got = moon_json_decimal("0.33333333333333331", 19);
    assert_memory_equal(&third, &got, sizeof got);
    setlocale(LC_ALL, "C");
}

static const char node_script[] =
    "const l=require('fs').readFileSync(process.argv[1],'utf8').split('\\n');let bad=0;"
    "const b=new DataView(new ArrayBuffer(8));for(const s of l){if(!s)continue;"
    "const [h,t]=s.split(' ');b.setBigUint64(0,BigInt('0x'+h));"
    "if(String(b.getFloat64(0))!==t&&bad++<5)console.error('# '+h+' '+t+' node: '+b.getFloat64(0))}"
    "process.exit(bad?1:0)";

static void line_for(FILE *f, double v) {
    struct moon_buf b = MOON_BUF_INIT;
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    assert_int_equal(moon_json_put_number(&b, v), 0);
    fprintf(f, "%016llx %s\n", (unsigned long long)bits, b.data);
    moon_buf_release(&b);
}

static void agrees_with_node(void **state) {
    char path[] = "/tmp/moongate-numbers-XXXXXX", command[sizeof node_script + 100];
    struct moon_rng rng;
    (void)state;
    if (system("command -v node >/dev/null 2>&1") != 0) {
        print_message("# skipped: node is not here\n");
        return;
    }
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    moon_rng_init_seed(&rng, 3);
    for (int e = -1074; e <= 1023; e++) {
        double p = ldexp(1, e), below = nextafter(p, 0), above = nextafter(p, INFINITY);
        line_for(f, p);
        line_for(f, -below);
        line_for(f, above);
        line_for(f, nextafter(below, 0));
    }
    for (int e = -323; e <= 308; e++) {
        char text[16];
        snprintf(text, sizeof text, "1e%d", e);
        double p = strtod(text, NULL);
        line_for(f, p);
        line_for(f, nextafter(p, 0));
        line_for(f, nextafter(p, INFINITY));
    }
    for (int i = 0; i < 60000; i++)
        line_for(f, random_double(&rng));
    for (int i = 0; i < 10000; i++)
        line_for(f, from_bits(moon_rng_u64(&rng) >> (12 + moon_rng_below(&rng, 52)))); /* denormals */
    for (int i = 0; i < 20000; i++)
        line_for(f, (double)moon_rng_below(&rng, 1000000000000) / 1e6);
    assert_int_equal(fclose(f), 0);
    snprintf(command, sizeof command, "node -e \"%s\" %s", node_script, path);
    int rc = system(command);
    unlink(path);
    assert_int_equal(rc, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_8785_vectors),     cmocka_unit_test(hard_values),
        cmocka_unit_test(shortest_everywhere),  cmocka_unit_test(decimal_reads_as_strtod),
        cmocka_unit_test(decimal_at_the_edges), cmocka_unit_test(locale_has_no_say),
        cmocka_unit_test(agrees_with_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
