/* test_region.c - regions, domains, URLs. */
#include "unit.h"

#include "moongate/region.h"

static struct moon_endpoints resolved(const char *value) {
    struct moon_endpoints e;
    struct moon_err err = {0};
    if (moon_region_resolve(value, &e, &err) != 0)
        fail_msg("%s: %s", value, err.message);
    return e;
}

static void every_region_has_its_hosts(void **state) {
    (void)state;
    static const char *const table[][2] = {
        {"us-east-1", "mypurecloud.com"},        {"eusc-de-east-1", "edee1.eusc-pure.cloud"},
        {"us-east-2", "use2.us-gov-pure.cloud"}, {"me-central-1", "mec1.pure.cloud"},
        {"us-west-2", "usw2.pure.cloud"},        {"ap-south-1", "aps1.pure.cloud"},
        {"ca-central-1", "cac1.pure.cloud"},     {"ap-southeast-1", "apse1.pure.cloud"},
        {"mx-central-1", "mxc1.pure.cloud"},     {"ap-southeast-2", "mypurecloud.com.au"},
        {"sa-east-1", "sae1.pure.cloud"},        {"ap-northeast-1", "mypurecloud.jp"},
        {"eu-west-1", "mypurecloud.ie"},         {"ap-northeast-2", "apne2.pure.cloud"},
        {"eu-west-2", "euw2.pure.cloud"},        {"ap-northeast-3", "apne3.pure.cloud"},
        {"eu-central-1", "mypurecloud.de"},      {"eu-central-2", "euc2.pure.cloud"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct moon_endpoints e = resolved(table[i][0]);
        assert_string_equal(e.region->name, table[i][0]);
        assert_string_equal(e.region->domain, table[i][1]);
        assert_memory_equal(e.api, "https://api.", 12);
        assert_string_equal(e.api + 12, table[i][1]);
        assert_memory_equal(e.login, "https://login.", 14);
        assert_string_equal(e.login + 14, table[i][1]);
    }
    size_t n = 0;
    while (moon_regions[n].name)
        n++;
    assert_int_equal(n, sizeof table / sizeof table[0]);
}

static void spelling_is_free(void **state) {
    (void)state;
    static const char *const same[] = {"eu_central_1",
                                       "EU-CENTRAL-1",
                                       "Eu_Central-1",
                                       "mypurecloud.de",
                                       "api.mypurecloud.de",
                                       "login.mypurecloud.de",
                                       "MyPureCloud.DE",
                                       "https://api.mypurecloud.de",
                                       "https://API.mypurecloud.de/"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct moon_endpoints e = resolved(same[i]);
        assert_string_equal(e.api, "https://api.mypurecloud.de");
        assert_string_equal(e.login, "https://login.mypurecloud.de");
        assert_string_equal(e.region->name, "eu-central-1");
    }
}

static void other_domains_and_urls_are_taken_as_they_are(void **state) {
    (void)state;
    struct moon_endpoints e = resolved("gateway.example.org");
    assert_string_equal(e.api, "https://api.gateway.example.org");
    assert_null(e.region);
    e = resolved("http://127.0.0.1:8080");
    assert_string_equal(e.api, "http://127.0.0.1:8080");
    assert_string_equal(e.login, "http://127.0.0.1:8080");
    e = resolved("https://proxy.example.org:8443/Genesys/");
    assert_string_equal(e.api, "https://proxy.example.org:8443/Genesys");
    assert_string_equal(e.login, "https://proxy.example.org:8443");
    e = resolved("http://[::1]:9000/");
    assert_string_equal(e.api, "http://[::1]:9000");
    e = resolved("http://localhost");
    assert_string_equal(e.login, "http://localhost");
}

static void a_tutorials_host_is_the_api_and_gives_the_token(void **state) {
    struct moon_endpoints e;
    struct moon_err err;
    (void)state;
    assert_int_equal(moon_region_resolve("EU-West-1.my.genesyscloud.com", &e, &err), 0);
    assert_string_equal(e.api, "https://eu-west-1.my.genesyscloud.com");
    assert_string_equal(e.login, e.api);
    assert_int_equal(moon_region_resolve("my.genesyscloud.com", &e, &err), 0);
    assert_string_equal(e.api, "https://api.my.genesyscloud.com");
    assert_int_equal(moon_region_resolve("a b.my.genesyscloud.com", &e, &err), MOON_EINVAL);
}

static void mistakes_are_named(void **state) {
    (void)state;
    static const struct {
        const char *value, *says;
    } bad[] = {
        {"us-eats-1", "did you mean us-east-1?"},
        {"eu-centrl-1", "did you mean eu-central-1?"},
        {"euwest1", "did you mean eu-west-1?"},
        {"moon", "us-east-1, us-east-2"},
        {"", "us-east-1"},
        {"a..b", "not a valid domain"},
        {"-a.b", "not a valid domain"},
        {"a.b:80", "https://"},
        {"a b.c", "not a valid domain"},
        {"ftp://a.b", "not an http"},
        {"https://", "no valid host"},
        {"https://a.b:0", "no valid host"},
        {"https://a.b:70000", "no valid host"},
        {"https://a.b:", "no valid host"},
        {"https://a.b/?x", "query"},
        {"https://a.b/ c", "character"},
        {"https://me:hunter22@a.b", "user"},
        {"https://[::1", "no valid host"},
        {"https://a.b/\r\nX-Evil: 1", "character"},
    };
    struct moon_endpoints e;
    struct moon_err err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(moon_region_resolve(bad[i].value, &e, &err), MOON_EINVAL);
        if (!strstr(err.message, bad[i].says))
            fail_msg("%s: %s", bad[i].value, err.message);
        assert_null(strstr(err.message, "hunter22"));
    }
    char longest[2000];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(moon_region_resolve(longest, &e, &err), MOON_EINVAL);
    memcpy(longest, "https://", 8);
    assert_int_equal(moon_region_resolve(longest, &e, &err), MOON_EINVAL);
    longest[20] = '.';
    assert_int_equal(moon_region_resolve(longest + 8, &e, &err), MOON_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_region_has_its_hosts),
        cmocka_unit_test(spelling_is_free),
        cmocka_unit_test(other_domains_and_urls_are_taken_as_they_are),
        cmocka_unit_test(a_tutorials_host_is_the_api_and_gives_the_token),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
