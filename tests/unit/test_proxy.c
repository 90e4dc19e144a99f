/* test_proxy.c - which proxy, and why: settings of the environment, and NO_PROXY in libcurl 7.88.1's forms. */
#include "unit.h"

#include "moongate/buf.h"
#include "moongate/proxy.h"
#include "moongate/redact.h"

#include <stdio.h>
#include <string.h>

struct env {
    const char *pairs[16];
};

static const char *get(void *ud, const char *name) {
    const struct env *e = ud;
    for (size_t i = 0; i < 16 && e->pairs[i]; i += 2)
        if (strcmp(e->pairs[i], name) == 0)
            return e->pairs[i + 1];
    return NULL;
}

static void read_env(struct moon_proxies *p, const struct env *e) {
    struct moon_err err;
    memset(p, 0, sizeof *p);
    assert_int_equal(moon_proxies_read(p, get, (void *)(uintptr_t)e, NULL, &err), 0);
}

/* "why", or "proxy (why)" */
static const char *choice(const struct env *e, const char *origin) {
    static char said[600];
    char why[MOON_PROXY_WHY];
    struct moon_proxies p;
    read_env(&p, e);
    const struct moon_proxy *proxy = moon_proxies_for(&p, origin, strstr(origin, "//127.") != NULL, why);
    snprintf(said, sizeof said, "%s%s%s%s", proxy ? proxy->url : "", proxy ? " (" : "", why, proxy ? ")" : "");
    moon_proxies_release(&p);
    return said;
}

static void test_variables(void **state) {
    (void)state;
    static const struct env none = {{NULL}}, upper = {{"HTTP_PROXY", "http://a:1", "HTTPS_PROXY", "b"}},
                            both = {{"https_proxy", "", "HTTPS_PROXY", "https://u:p%40@b", "all_proxy", "socks5h://c",
                                     "ALL_PROXY", "http://d:4", NULL}},
                            own = {{"GENESYSCLOUD_PROXY_HOST", "p.example", "GENESYSCLOUD_PROXY_PORT", "3128",
                                    "GENESYSCLOUD_PROXY_PROTOCOL", "https", "GENESYSCLOUD_PROXY_AUTH_USERNAME",
                                    "me@home", "GENESYSCLOUD_PROXY_AUTH_PASSWORD", "p:/ss", "https_proxy", "http://x:1",
                                    "no_proxy", "in.example"}};
    assert_string_equal(choice(&none, "https://h.example"), "no proxy is set for https");
    assert_string_equal(choice(&upper, "http://h.example"), "no proxy is set for http");
    assert_string_equal(choice(&upper, "https://h.example"), "http://b:1080 (HTTPS_PROXY)");
    assert_string_equal(choice(&upper, "https://127.0.0.1:9"), "loopback never goes through a proxy");
    assert_string_equal(choice(&both, "https://h.example"), "https://u:p%40@b:443 (HTTPS_PROXY)");
    assert_string_equal(choice(&both, "http://h.example"), "socks5h://c:1080 (all_proxy)");
    assert_string_equal(choice(&own, "https://h.example"),
                        "https://me%40home:p%3A%2Fss@p.example:3128 (GENESYSCLOUD_PROXY_HOST)");
    assert_string_equal(choice(&own, "http://a.in.example:80"), "no_proxy has 'in.example'");
}

static void test_no_proxy(void **state) {
    (void)state;
    static const struct {
        const char *list, *host, *entry;
    } cases[] = {
        {"*", "h.example", "*"},
        {"a, *", "h.example", NULL},
        {"example.com", "example.com", "example.com"},
        {"example.com", "WWW.Example.com", "example.com"},
        {"example.com", "badexample.com", NULL},
        {".example.com", "example.com", ".example.com"},
        {".example.com", "a.example.com.", ".example.com"},
        {"*.example.com", "a.example.com", NULL},
        {"example.com:443", "example.com", NULL},
        {"a.example b.example", "b.example", "b.example"},
        {"a.example,,\tb.example", "b.example", "b.example"},
        {"10.1.2.3", "10.1.2.3", "10.1.2.3"},
        {"10.0.0.0/8", "10.200.0.1", "10.0.0.0/8"},
        {"10.0.0.0/8", "11.0.0.1", NULL},
        {"10.0.0.0/33", "10.0.0.0", NULL},
        {"10.1.2", "10.1.2.3", NULL},
        {"fd00::/8", "[fd12::1]", "fd00::/8"},
        {"[fd12::1]", "[fd12::1]", NULL},
        {"fd12::1", "[fd12:0::1]", "fd12::1"},
        {"10.0.0.0/8", "ten.example", NULL},
        {"", "h", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len;
        const char *got = moon_no_proxy_match(cases[i].list, cases[i].host, &len);
        if (!cases[i].entry) {
            assert_null(got);
            continue;
        }
        assert_non_null(got);
        assert_int_equal(len, strlen(cases[i].entry));
        assert_memory_equal(got, cases[i].entry, len);
    }
}

static void test_wrong(void **state) {
    (void)state;
    static const struct {
        struct env env;
        const char *said;
    } cases[] = {
        {{{"https_proxy", "htp://p:1"}}, "https_proxy: 'htp' is not a proxy protocol"},
        {{{"HTTPS_PROXY", "http://p:99999"}}, "HTTPS_PROXY: '99999' is not a port"},
        {{{"all_proxy", "p:31x8"}}, "all_proxy: '31x8' is not a port"},
        {{{"http_proxy", "http://"}}, "http_proxy: '' is not a host name"},
        {{{"http_proxy", "http://p:1/path"}}, "http_proxy: a proxy's URL has no path"},
        {{{"http_proxy", "http//p:1"}}, "http_proxy: a proxy's URL has no path"},
        {{{"http_proxy", "http:/p:1"}}, "http_proxy: a proxy's URL has no path"},
        {{{"http_proxy", "p p"}}, "http_proxy: has a space"},
        {{{"http_proxy", "http://u:pa/ss@p:1"}}, "http_proxy: '/', '?' and '#'"},
        {{{"GENESYSCLOUD_PROXY_HOST", "p", "GENESYSCLOUD_PROXY_PROTOCOL", "htp"}},
         "GENESYSCLOUD_PROXY_PROTOCOL: 'htp'"},
        {{{"GENESYSCLOUD_PROXY_HOST", "p", "GENESYSCLOUD_PROXY_PORT", "0"}}, "GENESYSCLOUD_PROXY_PORT: '0'"},
        {{{"GENESYSCLOUD_PROXY_HOST", "http://p"}}, "GENESYSCLOUD_PROXY_HOST: 'http://p' is not a host name"},
        {{{"GENESYSCLOUD_PROXY_PORT", "3128"}}, "GENESYSCLOUD_PROXY_PORT is set, and GENESYSCLOUD_PROXY_HOST is not"},
        {{{"GENESYSCLOUD_PROXY_HOST", "p", "GENESYSCLOUD_PROXY_AUTH_PASSWORD", "x"}}, "_AUTH_PASSWORD is set"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct moon_proxies p;
        read_env(&p, &cases[i].env);
        assert_int_equal(p.wrong.code, MOON_EINVAL);
        if (!strstr(p.wrong.message, cases[i].said))
            fail_msg("'%s' lacks '%s'", p.wrong.message, cases[i].said);
        assert_null(strstr(p.wrong.message, "pa/ss"));
        moon_proxies_release(&p);
    }
}

static void test_password_is_hidden(void **state) {
    (void)state;
    static const struct env e = {{"https_proxy", "http://me:canary%2d0042@p:1"}};
    struct moon_redact *redact;
    struct moon_proxies p = {.no_proxy = NULL};
    struct moon_buf out = MOON_BUF_INIT;
    struct moon_err err;
    const char *text = "a canary-0042 and canary%2d0042";
    assert_int_equal(moon_redact_new(&redact), 0);
    assert_int_equal(moon_proxies_read(&p, get, (void *)(uintptr_t)&e, redact, &err), 0);
    assert_string_equal(p.secure.shown, "http://p:1");
    assert_int_equal(moon_redact_append(redact, &out, text, strlen(text)), 0);
    assert_string_equal(out.data, "a *** and ***");
    moon_buf_release(&out);
    moon_proxies_release(&p);
    moon_redact_free(redact);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_no_proxy),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_password_is_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
