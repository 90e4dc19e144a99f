/* test_auth.c - credentials: one mint however many wait, one origin, and nothing that gets out. */
#include "http_fixture.h"

static int mints, calls_ok, rejected, mint_status, expires_in, limited;
static const char *mint_error = "";
static char last_body[200], last_auth[1100];
static char valid[40]; /* the token that calls need */

/* Login host and API in one: POST /oauth/token mints t-1, t-2, ...; everything else wants the valid one. */
static void gateway(struct raw_conn *c) {
    const char *auth = raw_header(c, "Authorization");
    if (strncmp(c->in.data, "POST /oauth/token", 17) == 0) {
        snprintf(last_body, sizeof last_body, "%.*s", (int)c->body_len, raw_body(c));
        snprintf(last_auth, sizeof last_auth, "%s", auth);
        if (limited-- > 0) {
            raw_answer(c, 400, "", "{\"error\":\"invalid_request\",\"error_description\":\"rate limit exceeded\"}");
            return;
        }
        if (mint_status != 200) {
            raw_answer(c, mint_status, "", "%s", mint_error);
            return;
        }
        snprintf(valid, sizeof valid, "t-%d", ++mints);
        raw_answer(c, 200, "", "{\"access_token\":\"%s\",\"token_type\":\"bearer\",\"expires_in\":%d}", valid,
                   expires_in);
    } else if (strncmp(auth, "Bearer ", 7) == 0 && strcmp(auth + 7, valid) == 0) {
        calls_ok++;
        raw_answer(c, 200, "", "{}");
    } else {
        snprintf(last_auth, sizeof last_auth, "%s", auth);
        rejected++;
        raw_answer(c, 401, "", "{}");
    }
}

static void open_gateway(struct fix *f) {
    mints = calls_ok = rejected = limited = 0;
    mint_status = 200;
    expires_in = 3600;
    valid[0] = last_auth[0] = last_body[0] = '\0';
    fix_open(f, 1, gateway);
}

static struct moon_auth *client_of(struct fix *f, const char *scopes) {
    struct moon_auth *a;
    struct moon_err err;
    struct moon_auth_client c = {.origin = f->server.url,
                                 .login_url = f->server.url,
                                 .client_id = "the-id",
                                 .client_secret = "canary-secret",
                                 .client_secret_len = 13,
                                 .scopes = scopes};
    assert_int_equal(moon_auth_client_credentials(&a, f->http, &c, f->redact, &err), 0);
    return a;
}

static void use(struct fix *f, struct moon_auth *a) {
    fix_client(f, &(struct moon_http_client_opts){.auth = a});
}

static void test_token_request(void **state) {
    struct fix f;
    struct ask a;
    struct moon_auth_info info;
    (void)state;
    open_gateway(&f);
    struct moon_auth *auth = client_of(&f, "a:b c");
    use(&f, auth);
    assert_int_equal(ask(&f, &a, "GET", "/x", NULL)->status, 200);
    assert_string_equal(last_body, "grant_type=client_credentials&scope=a%3Ab%20c");
    assert_string_equal(last_auth, "Basic dGhlLWlkOmNhbmFyeS1zZWNyZXQ=");
    moon_auth_info(auth, &info);
    assert_int_equal(info.mints, 1);
    assert_true(info.expires_at_ns > moon_wall_ns(&f.clock));
    ask_end(&a);
    moon_auth_unref(auth);
    fix_close(&f);
}

static void test_single_flight(void **state) {
    enum { N = 200 };
    static struct ask a[N];
    struct fix f;
    (void)state;
    open_gateway(&f);
    struct moon_auth *auth = client_of(&f, NULL);
    use(&f, auth);
    for (int i = 0; i < N; i++) {
        ask_new(&f, &a[i], "POST", "/x", "{}");
        ask_go(&a[i]);
    }
    moon_http_call_free(a[7].call); /* one leaves while it waits */
    for (int i = 0; i < N; i++)
        if (i != 7) {
            assert_int_equal(ask_wait(&f, &a[i])->status, 200);
            ask_end(&a[i]);
        }
    assert_int_equal(mints, 1);
    assert_int_equal(calls_ok, N - 1);
    assert_int_equal(rejected, 0);
    /* The token is revoked under way: one more mint, each call replayed once, also the POSTs without a key. */
    strcpy(valid, "revoked");
    calls_ok = 0;
    for (int i = 0; i < N; i++) {
        ask_new(&f, &a[i], "POST", "/x", "{}");
        ask_go(&a[i]);
    }
    for (int i = 0; i < N; i++) {
        struct moon_http_result *r = ask_wait(&f, &a[i]);
        assert_int_equal(r->status, 200);
        assert_true(r->n_attempts <= 2);
        ask_end(&a[i]);
    }
    assert_int_equal(mints, 2);
    assert_int_equal(calls_ok, N);
    assert_true(rejected <= N);
    moon_auth_unref(auth);
    fix_close(&f);
}

static void test_expiry(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_gateway(&f);
    expires_in = 100;
    struct moon_auth *auth = client_of(&f, NULL);
    use(&f, auth);
    for (int i = 0; i < 3; i++) { /* good for 40 s */
        assert_int_equal(ask(&f, &a, "GET", "/x", NULL)->status, 200);
        ask_end(&a);
        moon_vclock_advance(&f.vclock, 15 * MOON_NS_PER_S);
    }
    assert_int_equal(mints, 1);
    assert_int_equal(ask(&f, &a, "GET", "/x", NULL)->status, 200);
    assert_int_equal(mints, 2);
    assert_int_equal(rejected, 0);
    ask_end(&a);
    moon_auth_unref(auth);
    fix_close(&f);
}

static void test_still_unauthorized(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_gateway(&f);
    struct moon_auth *auth = client_of(&f, NULL);
    use(&f, auth);
    assert_int_equal(ask(&f, &a, "GET", "/x", NULL)->status, 200);
    ask_end(&a);
    for (int i = 0; i < 5; i++) {
        strcpy(valid, "nothing is");
        ask_new(&f, &a, "GET", "/x", NULL);
        ask_go(&a);
        while (!a.done) {
            moon_loop_turn(f.loop, true);
            strcpy(valid, "nothing is");
        }
        assert_int_equal(a.result->status, 401);
        assert_true(a.result->n_attempts <= 2);
        ask_end(&a);
    }
    assert_true(mints <= 6);
    moon_auth_unref(auth);
    fix_close(&f);
}

static void test_given_token_is_never_minted(void **state) {
    struct fix f;
    struct ask a;
    struct moon_auth *auth;
    struct moon_err err;
    (void)state;
    open_gateway(&f);
    assert_int_equal(moon_auth_bearer(&auth, f.server.url, "mine", 4, f.redact, &err), 0);
    use(&f, auth);
    assert_int_equal(ask(&f, &a, "GET", "/x", NULL)->status, 401);
    assert_string_equal(last_auth, "Bearer mine");
    assert_int_equal(a.result->n_attempts, 1);
    assert_int_equal(mints, 0);
    ask_end(&a);
    moon_auth_unref(auth);
    assert_int_equal(moon_auth_bearer(&auth, f.server.url, "a\r\nb", 4, f.redact, &err), MOON_EINVAL);
    assert_int_equal(moon_auth_bearer(&auth, "ftp://x", "ab", 2, f.redact, &err), MOON_EINVAL);
    fix_close(&f);
}

static void test_other_origin_gets_nothing(void **state) {
    struct fix f;
    struct ask a;
    struct moon_auth *auth;
    struct moon_err err;
    char url[100];
    (void)state;
    open_gateway(&f);
    assert_int_equal(moon_auth_bearer(&auth, f.server.url, "mine", 4, f.redact, &err), 0);
    use(&f, auth);
    snprintf(url, sizeof url, "http://localhost:%d/x", f.server.port); /* the same server, another origin */
    strcpy(last_auth, "untouched");
    assert_int_equal(ask(&f, &a, "GET", url, NULL)->status, 401);
    assert_string_equal(last_auth, "");
    ask_end(&a);
    ask_new(&f, &a, "GET", "/x", NULL); /* nor can a caller put its own beside it */
    ask_header(&a, "authorization", "Bearer other");
    assert_int_equal(moon_http_start(a.call, ask_done, &a, &err), MOON_EINVAL);
    moon_http_call_free(a.call);
    moon_auth_unref(auth);
    fix_close(&f);
}

static void expect_failure(int status, const char *body, int code, const char *says) {
    struct fix f;
    struct ask a;
    open_gateway(&f);
    mint_status = status;
    mint_error = body;
    struct moon_auth *auth = client_of(&f, NULL);
    use(&f, auth);
    struct moon_http_result *r = ask(&f, &a, "PUT", "/x", "{}");
    if (r->code != code)
        fail_msg("%d: %s", r->code, r->message.data);
    assert_string_equal(r->outcome, "not_sent");
    assert_non_null(strstr(r->message.data, says));
    assert_null(strstr(r->message.data, "canary"));
    assert_int_equal(calls_ok + rejected, 0);
    ask_end(&a);
    moon_auth_unref(auth);
    fix_close(&f);
}

static void test_mint_failures(void **state) {
    (void)state;
    expect_failure(400, "{\"error\":\"invalid_client\"}", MOON_EAUTH, "region");
    expect_failure(401, "{\"error\":\"invalid_client\",\"description\":\"no such client\"}", MOON_EAUTH, "127.0.0.1");
    expect_failure(400, "{\"error\":\"invalid_scope\",\"error_description\":\"not yours\"}", MOON_EAUTH, "not yours");
    expect_failure(500, "oops", MOON_ENETWORK, "500");
    expect_failure(200 + 2, "{}", MOON_EHTTP, "202");
    expect_failure(404, "<html>", MOON_EHTTP, "404");
}

static void test_login_rate_limit(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    open_gateway(&f);
    limited = 3;
    struct moon_auth *auth = client_of(&f, NULL);
    use(&f, auth);
    assert_int_equal(ask(&f, &a, "GET", "/x", NULL)->status, 200);
    assert_int_equal(mints, 1);
    ask_end(&a);
    moon_auth_unref(auth);
    fix_close(&f);
}

static void silent(struct raw_conn *c) {
    (void)c;
}

static void test_deadline_while_minting(void **state) {
    struct fix f;
    struct ask a;
    (void)state;
    fix_open(&f, 1, silent);
    struct moon_auth *auth = client_of(&f, NULL);
    use(&f, auth);
    int64_t began = f.vclock.mono;
    ask_new(&f, &a, "GET", "/x", NULL)->deadline_ns = 2 * MOON_NS_PER_S;
    ask_go(&a);
    struct moon_http_result *r = ask_wait(&f, &a);
    assert_int_equal(r->code, MOON_ETIMEOUT);
    assert_string_equal(r->outcome, "not_sent");
    assert_true(f.vclock.mono - began <= 2100 * MOON_NS_PER_MS);
    ask_end(&a);
    moon_auth_unref(auth); /* with the mint under way */
    fix_close(&f);
}

static void test_secrets_are_redacted(void **state) {
    struct fix f;
    struct ask a;
    struct moon_buf out = MOON_BUF_INIT;
    const char *text = "canary-secret dGhlLWlkOmNhbmFyeS1zZWNyZXQ= long-token-value-1";
    struct moon_auth *bearer;
    struct moon_err err;
    (void)state;
    open_gateway(&f);
    struct moon_auth *auth = client_of(&f, NULL);
    assert_int_equal(moon_auth_bearer(&bearer, f.server.url, "long-token-value-1", 18, f.redact, &err), 0);
    use(&f, auth);
    ask(&f, &a, "GET", "/x", NULL);
    assert_int_equal(moon_redact_append(f.redact, &out, text, strlen(text)), 0);
    assert_string_equal(out.data, "*** *** ***");
    moon_buf_release(&out);
    ask_end(&a);
    moon_auth_unref(auth);
    moon_auth_unref(bearer);
    fix_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_request),
        cmocka_unit_test(test_single_flight),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_still_unauthorized),
        cmocka_unit_test(test_given_token_is_never_minted),
        cmocka_unit_test(test_other_origin_gets_nothing),
        cmocka_unit_test(test_mint_failures),
        cmocka_unit_test(test_login_rate_limit),
        cmocka_unit_test(test_deadline_while_minting),
        cmocka_unit_test(test_secrets_are_redacted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
