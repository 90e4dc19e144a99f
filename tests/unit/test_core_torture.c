/* test_core_torture.c - credentials, digests, webhooks, breakers, tokens and the audit log with the Nth allocation
 * failing.
 */
#include "torture.h"

#include "moongate/audit_log.h"
#include "moongate/breaker.h"
#include "moongate/credentials.h"
#include "moongate/digest.h"
#include "moongate/proxy.h"
#include "moongate/redact.h"
#include "moongate/token_state.h"
#include "moongate/webhook_signature.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], log_path[128], profile_path[128];

static void put_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int setup(void **state) {
    (void)state;
    ERR_clear_error(); /* makes this thread's error state, which stays */
    snprintf(dir, sizeof dir, "/tmp/moongate-oom-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(log_path, sizeof log_path, "%s/audit.jsonl", dir);
    snprintf(profile_path, sizeof profile_path, "%s/config.toml", dir);
    put_file(profile_path, "[DEFAULT]\nenvironment = \"mypurecloud.de\"\nclient_credentials = \"an-id\"\n"
                           "client_secret = \"a-secret-value\"\nlist = [\"x\"]\n");
    return 0;
}

static int teardown(void **state) {
    char command[200];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static const char *fake_getenv(void *ud, const char *name) {
    (void)ud;
    return strcmp(name, "GENESYSCLOUD_PROXY_HOST") == 0            ? "proxy"
           : strcmp(name, "GENESYSCLOUD_PROXY_AUTH_USERNAME") == 0 ? "me"
           : strcmp(name, "GENESYSCLOUD_PROXY_AUTH_PASSWORD") == 0 ? "pass word"
                                                                   : NULL;
}

static int read_proxies(void) {
    struct moon_proxies p = {.no_proxy = NULL};
    struct moon_redact *redact = NULL;
    struct moon_err err;
    int rc = moon_redact_new(&redact);
    if (rc == 0)
        rc = moon_proxies_read(&p, fake_getenv, NULL, redact, &err);
    assert_true(rc == 0 || rc == MOON_ENOMEM);
    assert_true(rc != 0 || p.plain.url);
    moon_proxies_release(&p);
    moon_redact_free(redact);
    return rc;
}

static int resolve_credentials(void) {
    struct moon_credentials c = {.nwarnings = 0};
    struct moon_redact *redact = NULL;
    struct moon_err err;
    struct moon_cred_input in = {.getenv = fake_getenv, .profile_path = profile_path};
    int rc = moon_redact_new(&redact);
    in.redact = redact;
    if (rc == 0)
        rc = moon_credentials_resolve(&c, &in, &err);
    if (rc == 0 && moon_credentials_auth(&c) != MOON_AUTH_CLIENT)
        rc = MOON_EBUG;
    assert_true(rc == 0 || rc == MOON_ENOMEM);
    moon_credentials_release(&c);
    moon_redact_free(redact);
    return rc;
}

static int sign_and_verify(void) {
    const struct moon_bytes keys[] = {{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 38}, {"raw", 3}};
    const struct moon_bytes id = {"msg_1", 5}, body = {"{}", 2}, ts = {"100", 3};
    struct moon_hasher *h = NULL;
    struct moon_buf out = MOON_BUF_INIT;
    struct moon_err err;
    int rc = moon_hasher_new(&h);
    if (rc == 0)
        rc = moon_webhook_sign(h, keys, 2, id, 100, body, &out, &err);
    if (rc == 0)
        rc = moon_webhook_verify(h, &keys[1], 1, id, ts, (struct moon_bytes){out.data, out.len}, body, 300, 100, &err);
    assert_true(rc == 0 || rc == MOON_ENOMEM);
    moon_buf_release(&out);
    moon_hasher_free(h);
    return rc;
}

static int breakers_and_tokens(void) {
    struct moon_vclock v;
    struct moon_clock clock;
    struct moon_breakers *set = NULL;
    struct moon_token token;
    moon_vclock_init(&v, 0);
    clock = moon_clock_virtual(&v);
    moon_token_init(&token);
    int rc = moon_breakers_new(&set, NULL, NULL, &clock);
    if (rc == 0 && !moon_breakers_get(set, "h:1", "f", NULL))
        rc = MOON_ENOMEM;
    if (rc == 0)
        rc = moon_token_minted(&token, "abc", 3, 100, 0);
    moon_breakers_free(set);
    moon_token_release(&token);
    return rc;
}

/* A log with a torn end: opened, mended, appended to, checked, read. */
static int use_audit_log(void) {
    struct moon_audit_log *log = NULL;
    struct moon_audit_report report = {.lines = 0};
    struct moon_audit_filter filter = {.last = 5};
    struct moon_buf out = MOON_BUF_INIT, fields = MOON_BUF_INIT;
    struct moon_err err;
    uint64_t skipped;
    char head_path[sizeof log_path + 8];
    snprintf(head_path, sizeof head_path, "%s.head", log_path);
    unlink(head_path); /* another log than the last one */
    int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "{\"torn", 6) != 6)
        return MOON_EIO;
    close(fd);
    static const char event[] = "{\"action\":\"x\",\"password\":\"y\",\"list\":[1,{\"a\":\"access_token=abcdef\"}]}";
    int rc = moon_audit_redact(NULL, event, sizeof event - 1, &fields, &err);
    struct moon_audit_record r[2] = {
        {.phase = MOON_AUDIT_INTENT, .fields = fields.data, .fields_len = fields.len},
        {.phase = MOON_AUDIT_OUTCOME, .intent = 1, .fields = fields.data, .fields_len = fields.len}};
    if (rc == 0)
        rc = moon_audit_open(&log, log_path, NULL, &err);
    if (rc == 0)
        rc = moon_audit_append(log, r, 2, false, &err);
    if (rc == 0) {
        rc = moon_audit_verify(log_path, &report, &err);
        moon_audit_report_release(&report);
    }
    if (rc == 0)
        rc = moon_audit_read(log_path, &filter, 100000, &out, &skipped, &err);
    assert_true(rc == 0 || rc == MOON_ENOMEM);
    if (log && rc != 0) { /* whatever failed, what is there is whole or torn */
        bool on = oom.on;
        oom.on = false;
        int verdict = moon_audit_verify(log_path, &report, &err);
        assert_true(verdict == 0 || report.torn);
        moon_audit_report_release(&report);
        oom.on = on;
    }
    moon_audit_close(log);
    moon_buf_release(&out);
    moon_buf_release(&fields);
    return rc;
}

static void sweep_credentials(void **state) {
    (void)state;
    oom_sweep("credentials", resolve_credentials);
    oom_sweep("proxies", read_proxies);
}

static void sweep_webhook(void **state) {
    (void)state;
    oom_sweep("webhook", sign_and_verify);
}

static void sweep_breakers(void **state) {
    (void)state;
    oom_sweep("breakers", breakers_and_tokens);
}

static void sweep_audit_log(void **state) {
    (void)state;
    oom_sweep("audit log", use_audit_log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sweep_credentials),
        cmocka_unit_test(sweep_webhook),
        cmocka_unit_test(sweep_breakers),
        cmocka_unit_test(sweep_audit_log),
    };
    return cmocka_run_group_tests_name("core_torture", tests, setup, teardown);
}
