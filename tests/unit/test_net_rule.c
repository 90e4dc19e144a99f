/* test_net_rule.c - hosts as users and URLs write them, and what kind of address they are. */
#include "unit.h"

#include "moongate/net_rule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static struct moon_net_rule rule(const char *text) {
    struct moon_net_rule r;
    struct moon_err err = {0};
    assert_int_equal(moon_net_rule_parse(&r, text, &err), 0);
    return r;
}

static struct moon_net_target target(const char *text) {
    struct moon_net_target t;
    struct moon_err err = {0};
    assert_int_equal(moon_net_target_parse(&t, text, 443, &err), 0);
    return t;
}

static bool allows(const char *r, const char *t) {
    struct moon_net_rule rr = rule(r);
    struct moon_net_target tt = target(t);
    return moon_net_rule_allows(&rr, &tt);
}

static void matches(void **state) {
    (void)state;
    assert_true(allows("example.com", "example.com"));
    assert_true(allows("Example.COM.", "example.com:8443"));
    assert_true(allows("example.com:8443", "EXAMPLE.com.:8443"));
    assert_false(allows("example.com:8443", "example.com"));
    assert_true(allows("example.com:443", "example.com"));
    assert_false(allows("example.com", "example.com.evil.org"));
    assert_false(allows("example.com", "www.example.com"));
    assert_true(allows("*.example.com", "www.example.com"));
    assert_true(allows("*.example.com:8080", "a.b.example.com:8080"));
    assert_false(allows("*.example.com", "example.com"));
    assert_false(allows("*.example.com", "badexample.com"));
    assert_true(allows("*", "anything.org:1"));
    assert_true(allows("*:443", "anything.org"));
    assert_false(allows("*:443", "anything.org:80"));
}

static void knows_an_address_in_every_spelling(void **state) {
    static const char *const spellings[] = {"127.0.0.1",  "2130706433",   "0x7f000001", "017700000001",      "127.1",
                                            "0177.0.0.1", "0x7f.0x0.0.1", "127.0.0.1.", "[::ffff:127.0.0.1]"};
    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        struct moon_net_target t = target(spellings[i]);
        assert_string_equal(t.host, "127.0.0.1");
        assert_int_equal(moon_net_target_kind(&t), MOON_ADDRESS_PRIVATE);
    }
    assert_true(allows("[0:0:0:0:0:0:0:1]:80", "[::1]:80"));
    assert_false(allows("[::1]:80", "[::1]"));
    assert_false(allows("127.0.0.1", "127.0.0.2"));
}

static void refuses_what_is_no_host(void **state) {
    static const char *const wrong[] = {"",
                                        ".",
                                        "a..b",
                                        "http://a.org",
                                        "a.org/x",
                                        "a b",
                                        "%6cocalhost",
                                        "::1",
                                        "[::1",
                                        "[::1]x",
                                        "[fe80::1%25eth0]",
                                        "a.org:",
                                        "a.org:0",
                                        "a.org:65536",
                                        "a.org:8x",
                                        "*.",
                                        "*.10.0.0.1",
                                        "*:",
                                        "*x",
                                        "a.*.org",
                                        "*:x"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct moon_net_rule r;
        struct moon_err err = {0};
        if (moon_net_rule_parse(&r, wrong[i], &err) == 0)
            fail_msg("'%s' was taken", wrong[i]);
        assert_int_equal(err.code, MOON_EINVAL);
    }
}

static bool covers(const char *wide, const char *narrow) {
    struct moon_net_rule w = rule(wide), n = rule(narrow);
    return moon_net_rule_covers(&w, &n);
}

static void covers_what_is_narrower(void **state) {
    (void)state;
    assert_true(covers("*", "*.example.com:80"));
    assert_true(covers("*.example.com", "a.example.com"));
    assert_true(covers("*.example.com", "*.example.com"));
    assert_true(covers("*.example.com", "*.a.example.com:1"));
    assert_false(covers("*.a.example.com", "*.example.com"));
    assert_false(covers("example.com:80", "example.com"));
    assert_true(covers("example.com", "example.com:80"));
    assert_false(covers("example.com", "*.example.com"));
    assert_false(covers("*.example.com", "*"));
}

static void only_a_name_names(void **state) {
    struct moon_net_target t = target("db.corp.example:5432");
    struct moon_net_rule exact = rule("db.corp.example"), suffix = rule("*.corp.example"), any = rule("*");
    (void)state;
    assert_true(moon_net_rule_names(&exact, &t));
    assert_false(moon_net_rule_names(&suffix, &t));
    assert_false(moon_net_rule_names(&any, &t));
}

static enum moon_address_kind kind_of(const char *text) {
    struct sockaddr_storage ss = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&ss;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&ss;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        ss.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        ss.ss_family = AF_INET6;
    }
    return moon_address_kind((const struct sockaddr *)(const void *)&ss);
}

static void tells_addresses_apart(void **state) {
    static const char *const forbidden[] = {"169.254.169.254",
                                            "169.254.0.1",
                                            "fe80::1",
                                            "febf::1",
                                            "fd00:ec2::254",
                                            "fd20:ce::254",
                                            "100.100.100.200",
                                            "::ffff:169.254.169.254",
                                            "64:ff9b::169.254.169.254",
                                            "2002:a9fe:a9fe::1",
                                            "::169.254.169.254",
                                            "168.63.129.16"};
    static const char *const private[] = {
        "127.0.0.1",   "127.255.0.1", "0.0.0.0",         "10.0.0.1",        "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "100.64.0.1",  "224.0.0.1",       "255.255.255.255", "::1",        "::",
        "fc00::1",     "fd12::1",     "::ffff:10.0.0.1", "ff02::1",         "fec0::1",    "64:ff9b::10.0.0.1"};
    static const char *const public[] = {"8.8.8.8",        "172.32.0.1",       "172.15.0.1",
                                         "100.128.0.1",    "169.253.0.1",      "2606:4700::1111",
                                         "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "11.0.0.1"};
    (void)state;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (kind_of(forbidden[i]) != MOON_ADDRESS_FORBIDDEN)
            fail_msg("%s is not forbidden", forbidden[i]);
    for (size_t i = 0; i < sizeof private / sizeof *private; i++)
        if (kind_of(private[i]) != MOON_ADDRESS_PRIVATE)
            fail_msg("%s is not private", private[i]);
    for (size_t i = 0; i < sizeof public / sizeof *public; i++)
        if (kind_of(public[i]) != MOON_ADDRESS_PUBLIC)
            fail_msg("%s is not public", public[i]);
    struct sockaddr local = {.sa_family = AF_UNIX};
    assert_int_equal(moon_address_kind(&local), MOON_ADDRESS_FORBIDDEN);
}

static void knows_this_machine(void **state) {
    static const char *const this[] = {"localhost",
                                       "LOCALHOST",
                                       "localhost.",
                                       "localhost:8080",
                                       "127.0.0.1",
                                       "127.1",
                                       "127.255.0.9:1",
                                       "0x7f.1",
                                       "2130706433",
                                       "017700000001",
                                       "::1",
                                       "[::1]",
                                       "[::1]:443",
                                       "::ffff:127.0.0.1",
                                       "[::FFFF:7f00:1]",
                                       "0:0:0:0:0:0:0:1",
                                       "http://127.1/x@y",
                                       "HTTPS://LocalHost:1?q",
                                       "http://[::1]#f",
                                       "http://localhost:/"};
    static const char *const other[] = {"",
                                        "127.0.0.1.example.com",
                                        "127.example.com",
                                        "localhost.example.com",
                                        "[::1",
                                        "[::2]",
                                        "::ffff:128.0.0.1",
                                        "128.0.0.1",
                                        "0.0.0.0",
                                        "127",
                                        "127.0.0.256",
                                        "http://example.com/localhost",
                                        "http://localhost@example.com/",
                                        "http://user@127.0.0.1/",
                                        "http://127.0.0.1.example.com",
                                        "127.0.0.1:0",
                                        "[::1]x",
                                        "http:///127.0.0.1",
                                        "localhost%2e",
                                        "::1:443x"};
    (void)state;
    for (size_t i = 0; i < sizeof this / sizeof *this; i++)
        if (!moon_net_is_loopback(this[i]))
            fail_msg("%s is this machine", this[i]);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (moon_net_is_loopback(other[i]))
            fail_msg("%s is not this machine", other[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(knows_an_address_in_every_spelling),
        cmocka_unit_test(refuses_what_is_no_host),
        cmocka_unit_test(covers_what_is_narrower),
        cmocka_unit_test(only_a_name_names),
        cmocka_unit_test(tells_addresses_apart),
        cmocka_unit_test(knows_this_machine),
    };
    return cmocka_run_group_tests_name("net_rule", tests, NULL, NULL);
}
