/* test_permit.c - the decisions: rules, what they allow, what is refused and how that is said and recorded. */
#include "unit.h"

#include "moongate/clock.h"
#include "moongate/permit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct moon_clock clock_;

static struct moon_permit *permit(void) {
    struct moon_permit *p;
    clock_ = moon_clock_system();
    assert_int_equal(moon_permit_new(&p, &clock_, NULL, NULL), 0);
    return p;
}

static int net(const struct moon_permit *p, const char *what, struct moon_err *err) {
    return moon_permit_check(p, MOON_PERMIT_NET, what, err);
}

static void everything_until_it_is_enforced(void **state) {
    (void)state;
    struct moon_permit *p = permit();
    assert_int_equal(net(NULL, "x", NULL), 0);
    assert_int_equal(net(p, "x", NULL), 0);
    assert_null(moon_permit_roots(p, MOON_PERMIT_READ));
    moon_permit_enforce(p);
    assert_int_equal(net(p, "x", NULL), MOON_EDENIED);
    assert_non_null(moon_permit_roots(p, MOON_PERMIT_READ));
    assert_int_equal(moon_permit_check(p, MOON_PERMIT_ENV, "HOME", NULL), MOON_EDENIED);
    moon_permit_allow_all(p);
    assert_int_equal(net(p, "x", NULL), 0);
    assert_null(moon_permit_roots(p, MOON_PERMIT_WRITE));
    moon_permit_free(p);
}

static void a_denial_names_the_flag(void **state) {
    (void)state;
    struct moon_permit *p = permit();
    struct moon_err err;
    moon_permit_enforce(p);
    assert_int_equal(net(p, "https://a.example:8443", &err), MOON_EDENIED);
    assert_non_null(strstr(err.message, "--allow-net=a.example:8443 would allow it"));
    assert_int_equal(moon_permit_check(p, MOON_PERMIT_ENV, "TOKEN", &err), MOON_EDENIED);
    assert_non_null(strstr(err.message, "--allow-env=TOKEN would allow it"));
    moon_err_set(&err, MOON_EDENIED, "/etc/x: not allowed");
    assert_int_equal(moon_permit_refuse(MOON_PERMIT_READ, "/etc/x", &err), MOON_EDENIED);
    assert_string_equal(err.message,
                        "reading /etc/x is not allowed to this script; --allow-read=/etc/x would allow it");
    assert_int_equal(net(p, "https://%6c", &err), MOON_EDENIED);
    moon_permit_free(p);
}

static void hosts(void **state) {
    (void)state;
    struct moon_permit *p = permit();
    moon_permit_enforce(p);
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_NET, "*.corp.example", NULL), 0);
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_NET, "a.example:80", NULL), 0);
    assert_int_equal(net(p, "https://x.corp.example", NULL), 0);
    assert_int_equal(net(p, "http://a.example", NULL), 0);
    assert_int_equal(net(p, "https://a.example", NULL), MOON_EDENIED);
    assert_int_equal(net(p, "http://2852039166", NULL), MOON_EDENIED);
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_NET, "*", NULL), 0);
    assert_int_equal(net(p, "http://127.0.0.1", NULL), MOON_EDENIED); /* not named */
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_NET, "127.0.0.1:80", NULL), 0);
    assert_int_equal(net(p, "http://0x7f.1", NULL), 0);
    moon_permit_forget_net(p, "127.0.0.1:80");
    assert_int_equal(net(p, "http://0x7f.1", NULL), MOON_EDENIED);
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_NET, "169.254.169.254", NULL), 0);
    assert_int_equal(net(p, "http://169.254.169.254", NULL), MOON_EDENIED); /* never */
    moon_permit_free(p);
}

static int address(const struct moon_permit *p, const char *origin, const char *v4) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, v4, &a.sin_addr), 1);
    return moon_permit_address(p, origin, (const struct sockaddr *)(const void *)&a, NULL);
}

static void addresses(void **state) {
    (void)state;
    struct moon_permit *p = permit();
    assert_int_equal(address(p, "http://a.example", "169.254.169.254"), 0); /* no script runs */
    moon_permit_enforce(p);
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_NET, "*.example", NULL), 0);
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_NET, "db.example", NULL), 0);
    assert_int_equal(address(p, "http://a.example", "8.8.8.8"), 0);
    assert_int_equal(address(p, "http://a.example", "10.0.0.1"), MOON_EDENIED);
    assert_int_equal(address(p, "http://db.example", "10.0.0.1"), MOON_EDENIED); /* its DNS says so, and nobody else */
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_NET, "10.0.0.1:80", NULL), 0);
    assert_int_equal(address(p, "http://db.example", "10.0.0.1"), 0);
    assert_int_equal(address(p, "http://db.example:81", "10.0.0.1"), MOON_EDENIED);
    assert_int_equal(address(p, "http://db.example", "10.0.0.2"), MOON_EDENIED);
    assert_int_equal(moon_permit_allow_own(p, "gw.example:80", NULL), 0);
    assert_int_equal(address(p, "http://gw.example", "10.0.0.9"), 0);
    assert_int_equal(address(p, "http://gw.example:81", "10.0.0.9"), MOON_EDENIED);
    assert_int_equal(address(p, "http://localhost", "127.0.0.1"), MOON_EDENIED);
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_NET, "localhost", NULL), 0);
    assert_int_equal(address(p, "http://localhost", "127.0.0.1"), 0);
    assert_int_equal(address(p, "http://localhost", "10.0.0.7"), MOON_EDENIED);
    assert_int_equal(address(p, "http://db.example", "169.254.169.254"), MOON_EDENIED);
    moon_permit_allow_all(p);
    assert_int_equal(address(p, "http://a.example", "10.0.0.1"), 0);
    assert_int_equal(address(p, "http://a.example", "169.254.169.254"), MOON_EDENIED);
    moon_permit_free(p);
}

static bool covers(const struct moon_permit *p, enum moon_permission kind, const char *what) {
    bool covered;
    assert_int_equal(moon_permit_covers(p, kind, what, &covered, NULL), 0);
    return covered;
}

static void covers_what_a_workflow_declares(void **state) {
    (void)state;
    struct moon_permit *p = permit();
    bool covered;
    assert_true(covers(p, MOON_PERMIT_NET, "*"));
    moon_permit_enforce(p);
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_NET, "*.a.example", NULL), 0);
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_READ, "/tmp", NULL), 0);
    assert_int_equal(moon_permit_allow(p, MOON_PERMIT_ENV, "HOME", NULL), 0);
    assert_true(covers(p, MOON_PERMIT_NET, "x.a.example:80"));
    assert_false(covers(p, MOON_PERMIT_NET, "*"));
    assert_true(covers(p, MOON_PERMIT_READ, "/tmp/x/y"));
    assert_false(covers(p, MOON_PERMIT_WRITE, "/tmp/x/y"));
    assert_true(covers(p, MOON_PERMIT_ENV, "HOME"));
    assert_false(covers(p, MOON_PERMIT_ENV, "HOM"));
    assert_int_equal(moon_permit_covers(p, MOON_PERMIT_NET, "http://x", &covered, NULL), MOON_EINVAL);
    assert_int_equal(moon_permit_covers(p, MOON_PERMIT_ENV, "A=B", &covered, NULL), MOON_EINVAL);
    moon_permit_free(p);
}

static void every_access_is_a_line(void **state) {
    (void)state;
    struct moon_permit *p = permit();
    char path[] = "/tmp/moon-permit-XXXXXX", text[2000];
    close(mkstemp(path));
    assert_int_equal(moon_permit_log(p, path, NULL), 0);
    moon_permit_note(p, MOON_PERMIT_READ, "a\"b", true);
    moon_permit_note(p, MOON_PERMIT_NET, "x:1", false);
    moon_permit_note(p, MOON_PERMIT_WRITE, "\xff", false);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    unlink(path);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "\"permission\":\"read\",\"what\":\"a\\\"b\",\"allowed\":true}\n"));
    assert_non_null(strstr(text, "\"what\":\"x:1\",\"allowed\":false,\"flag\":\"--allow-net=x:1\"}\n"));
    assert_non_null(strstr(text, "\"what\":\"?\",\"allowed\":false"));
    moon_permit_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_until_it_is_enforced),
        cmocka_unit_test(a_denial_names_the_flag),
        cmocka_unit_test(hosts),
        cmocka_unit_test(addresses),
        cmocka_unit_test(covers_what_a_workflow_declares),
        cmocka_unit_test(every_access_is_a_line),
    };
    return cmocka_run_group_tests_name("permit", tests, NULL, NULL);
}
