/* test_options.c - the global flags: sorting, faults, the environment. */
#include "unit.h"

#include "../../src/cli/options.h"

#include <stdio.h>

static struct moon_options parse(char **argv) {
    struct moon_options o;
    int argc = 0;
    while (argv[argc])
        argc++;
    assert_true(moon_options_parse(&o, argc, argv));
    return o;
}
#define PARSE(...) parse((char *[]){"moongate", __VA_ARGS__, NULL})

static void assert_rest(const struct moon_options *o, const char *expected) {
    char got[256] = "";
    for (int i = 1; i < o->argc; i++) {
        strncat(got, i > 1 ? " " : "", sizeof got - strlen(got) - 1);
        strncat(got, o->argv[i], sizeof got - strlen(got) - 1);
    }
    assert_string_equal(got, expected);
    assert_null(o->argv[o->argc]);
}

static void sorts_flags_wherever_they_stand(void **state) {
    (void)state;
    struct moon_options o = PARSE("--sim", "deploy", "-vv", "a.json", "--region=eu-west-1", "--client-id", "x", "-q",
                                  "--precision", "high", "--json", "--sim-fault", "a", "--sim-fault", "b");
    assert_string_equal(o.error, "");
    assert_true(o.sim && o.json && o.quiet && !o.dry_run);
    assert_int_equal(o.verbose, 2);
    assert_string_equal(o.region, "eu-west-1");
    assert_string_equal(o.client_id, "x");
    assert_int_equal(o.sim_fault.len, 2);
    assert_string_equal(o.sim_fault.items[1], "b");
    assert_rest(&o, "deploy a.json --precision high");
    moon_options_release(&o);
}

static void leaves_what_is_not_its_own(void **state) {
    (void)state;
    struct moon_options o = PARSE("run", "x.lua", "-vx", "--regin", "r", "-", "--", "--json", "-v");
    assert_string_equal(o.error, "");
    assert_int_equal(o.verbose, 0);
    assert_rest(&o, "run x.lua -vx --regin r - -- --json -v");
    moon_options_release(&o);
    o = PARSE("-e", "--json", "--json");
    assert_true(o.json);
    assert_rest(&o, "-e --json");
    moon_options_release(&o);
    o = parse((char *[]){"moongate", NULL});
    assert_int_equal(o.argc, 1);
    moon_options_release(&o);
    o = parse((char *[]){NULL});
    assert_int_equal(o.argc, 0);
    moon_options_release(&o);
}

static void names_the_faulty_flag(void **state) {
    (void)state;
    static const struct {
        char *flag, *value;
        const char *error;
    } cases[] = {
        {"--region", NULL, "--region needs a value"},
        {"--region=", NULL, "--region needs a value that is not empty"},
        {"--json=yes", NULL, "--json takes no value"},
        {"--deadline", "soon", "--deadline needs a duration such as 800ms, 2s, 1.5m or 1h"},
        {"--deadline", "0s", "--deadline needs a duration such as 800ms, 2s, 1.5m or 1h"},
        {"--max-memory", "64", "--max-memory needs a size of at least 16M, such as 256M or 2GiB"},
        {"--max-memory", "64X", "--max-memory needs a size of at least 16M, such as 256M or 2GiB"},
        {"--seed", "-1", "--seed needs a whole number from 0 on"},
        {"--seed", "99999999999999999999", "--seed needs a whole number from 0 on"},
        {"--retries", "-1", "--retries needs a whole number from 0 on"},
        {"--retries", "1000", "--retries needs a whole number from 0 to 999"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct moon_options o = PARSE("doctor", cases[i].flag, cases[i].value);
        assert_string_equal(o.error, cases[i].error);
        moon_options_release(&o);
    }
}

static void refuses_secrets_without_repeating_them(void **state) {
    (void)state;
    char *flags[] = {"--client-secret", "--access-token", "--token", "--secret", "--password"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        char joined[64];
        snprintf(joined, sizeof joined, "%s=canary-0001", flags[i]);
        for (int form = 0; form < 2; form++) {
            struct moon_options o = form ? PARSE(joined) : PARSE(flags[i], "canary-0001");
            assert_non_null(strstr(o.error, " is refused: "));
            assert_null(strstr(o.error, "canary"));
            if (form)
                assert_rest(&o, "");
            moon_options_release(&o);
        }
    }
}

static void asks_the_environment_last(void **state) {
    (void)state;
    setenv("MOONGATE_DEADLINE", "nonsense", 1);
    struct moon_options o = PARSE("--deadline", "1.5m");
    assert_string_equal(o.error, "");
    assert_true(o.deadline == 90);
    assert_false(o.has_retries || o.has_seed);
    moon_options_release(&o);
    o = PARSE("--deadline", "1s", "--retries=0"); /* none at all is a number, too */
    assert_true(o.has_retries && o.retries == 0 && !o.has_seed);
    moon_options_release(&o);
    o = PARSE("doctor");
    assert_string_equal(o.error, "MOONGATE_DEADLINE needs a duration such as 800ms, 2s, 1.5m or 1h");
    moon_options_release(&o);
    setenv("MOONGATE_DEADLINE", "", 1); /* empty: not set */
    o = PARSE("doctor");
    assert_string_equal(o.error, "");
    moon_options_release(&o);
    unsetenv("MOONGATE_DEADLINE");
}

static void takes_signs_from_the_environment(void **state) {
    (void)state;
    setenv("MOONGATE_SIM", "1", 1);
    setenv("MOONGATE_JSON", "no", 1);
    setenv("MOONGATE_VERBOSE", "2", 1);
    setenv("MOONGATE_SEED", "7", 1);
    setenv("MOONGATE_SIM_FAULT", "status=503", 1);
    struct moon_options o = PARSE("doctor");
    assert_string_equal(o.error, "");
    assert_true(o.sim && !o.json && o.has_seed);
    assert_int_equal(o.verbose, 2);
    assert_int_equal(o.seed, 7);
    assert_int_equal(o.sim_fault.len, 1);
    moon_options_release(&o);
    o = PARSE("doctor", "-v", "--json");
    assert_true(o.json);
    assert_int_equal(o.verbose, 1); /* the command line goes first */
    moon_options_release(&o);
    for (const struct moon_option *opt = moon_options_table; opt->name; opt++)
        if (opt->env)
            unsetenv(opt->env);
}

static void refuses_signs_that_say_neither(void **state) {
    (void)state;
    static const struct {
        const char *name, *value, *error;
    } cases[] = {
        {"MOONGATE_DRY_RUN", "maybe", "MOONGATE_DRY_RUN needs 1, true or yes, or 0, false, no or nothing"},
        {"MOONGATE_DRY_RUN", "2", "MOONGATE_DRY_RUN needs 1, true or yes, or 0, false, no or nothing"},
        {"MOONGATE_JSON", "--json", "MOONGATE_JSON needs 1, true or yes, or 0, false, no or nothing"},
        {"MOONGATE_VERBOSE", "very",
         "MOONGATE_VERBOSE needs 1, true or yes, a number up to 9, or 0, false, no or nothing"},
        {"MOONGATE_VERBOSE", "3", ""},
        {"MOONGATE_DRY_RUN", "Yes", ""},
        {"MOONGATE_DRY_RUN", "FALSE", ""},
        {"MOONGATE_DRY_RUN", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv(cases[i].name, cases[i].value, 1);
        struct moon_options o = PARSE("doctor");
        assert_string_equal(o.error, cases[i].error);
        assert_int_equal(o.dry_run, strcmp(cases[i].value, "Yes") == 0);
        moon_options_release(&o);
        unsetenv(cases[i].name);
    }
    setenv("MOONGATE_DRY_RUN", "maybe", 1);
    struct moon_options o = PARSE("doctor", "--dry-run"); /* the command line goes first */
    assert_string_equal(o.error, "");
    moon_options_release(&o);
    unsetenv("MOONGATE_DRY_RUN");
}

static void reads_durations(void **state) {
    (void)state;
    double s;
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"800ms", 0.8}, {"2s", 2}, {"2", 2}, {"1.5m", 90}, {"1h", 3600}, {"2d", 172800}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(moon_duration_parse(good[i].text, &s), 0);
        assert_true(s > good[i].seconds - 1e-9 && s < good[i].seconds + 1e-9);
    }
    static const char *const bad[] = {"", "s", "-1s", "1 s", "0x10", "1w", "nan", "inf", "1e999", ".5s"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(moon_duration_parse(bad[i], &s), -1);
}

static void reads_sizes(void **state) {
    (void)state;
    uint64_t n;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"1", 1}, {"64M", 64 << 20}, {"1.5KiB", 1536}, {"2G", UINT64_C(2) << 30}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(moon_size_parse(good[i].text, &n), 0);
        assert_true(n == good[i].bytes);
    }
    static const char *const bad[] = {"", "0", "M", "-1M", "1T", "64MB", "1iB", "0x10", "1e300", "1 M"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(moon_size_parse(bad[i], &n), -1);
}

/* The field of the flag's Lua entry on top of the stack, as a string or NULL. */
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_flags_wherever_they_stand),
        cmocka_unit_test(leaves_what_is_not_its_own),
        cmocka_unit_test(names_the_faulty_flag),
        cmocka_unit_test(refuses_secrets_without_repeating_them),
        cmocka_unit_test(asks_the_environment_last),
        cmocka_unit_test(takes_signs_from_the_environment),
        cmocka_unit_test(refuses_signs_that_say_neither),
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(reads_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
