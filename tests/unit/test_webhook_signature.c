/* test_webhook_signature.c - Standard Webhooks' published vector, rotation, and every reason to refuse. */
#include "unit.h"

#include "moongate/webhook_signature.h"

#define STR(s) ((struct moon_bytes){(s), sizeof(s) - 1})

static const struct moon_bytes secret = STR("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
static const struct moon_bytes id = STR("msg_p5jXN8AQM9LWM0D4loKWxJek");
static const struct moon_bytes body = STR("{\"test\": 2432232314}");
static const char signature[] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
#define SENT 1614265330

static struct moon_hasher *hasher;

static int make_hasher(void **state) {
    (void)state;
    return moon_hasher_new(&hasher);
}

static int free_hasher(void **state) {
    (void)state;
    moon_hasher_free(hasher);
    return 0;
}

static struct moon_bytes bytes(const char *s) {
    return (struct moon_bytes){s, strlen(s)};
}

static int verify(const char *msg_id, const char *ts, const char *sig, struct moon_bytes text, int64_t now,
                  struct moon_err *err) {
    return moon_webhook_verify(hasher, &secret, 1, bytes(msg_id), bytes(ts), bytes(sig), text, MOON_WEBHOOK_TOLERANCE_S,
                               now, err);
}

static void the_published_vector(void **state) {
    (void)state;
    struct moon_buf out = MOON_BUF_INIT;
    struct moon_err err;
    assert_int_equal(moon_webhook_sign(hasher, &secret, 1, id, SENT, body, &out, &err), 0);
    assert_string_equal(out.data, signature);
    assert_int_equal(verify(id.data, "1614265330", signature, body, SENT, &err), 0);
    moon_buf_release(&out);
}

static void keys_rotate(void **state) {
    (void)state;
    const struct moon_bytes keys[] = {STR("a raw key, not base64"), secret, STR("whsec_AAAA")};
    struct moon_buf out = MOON_BUF_INIT;
    struct moon_err err;
    assert_int_equal(moon_webhook_sign(hasher, keys, 3, id, SENT, body, &out, &err), 0);
    assert_non_null(strstr(out.data, signature));
    assert_int_equal(out.len, 3 * (3 + 44) + 2);
    const struct moon_bytes header = {out.data, out.len};
    for (size_t i = 0; i < 3; i++) /* a receiver that has only one of them */
        assert_int_equal(moon_webhook_verify(hasher, &keys[i], 1, id, STR("1614265330"), header, body, 300, SENT, &err),
                         0);
    const struct moon_bytes other[] = {STR("unrelated"), STR("whsec_BBBB")};
    assert_int_equal(moon_webhook_verify(hasher, other, 2, id, STR("1614265330"), header, body, 300, SENT, &err),
                     MOON_EVERIFY);
    const struct moon_bytes both[] = {STR("unrelated"), secret};
    assert_int_equal(
        moon_webhook_verify(hasher, both, 2, id, STR("1614265330"), bytes(signature), body, 300, SENT, &err), 0);
    moon_buf_release(&out);
}

static void what_is_refused_and_why(void **state) {
    (void)state;
    static const struct {
        const char *id, *ts, *sig, *says;
        int64_t now;
    } rows[] = {
        {"", "1614265330", signature, "no webhook-id", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "", signature, "no webhook-timestamp", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "", "no webhook-signature", SENT},
        {"msg_other", "1614265330", signature, "no signature matches", SENT},
        {"msg.p5", "1614265330", signature, "id is malformed", SENT},
        {"msg p5", "1614265330", signature, "id is malformed", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265331", signature, "no signature matches", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "16142653x0", signature, "not a number", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "-1614265330", signature, "not a number", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330.0", signature, "not a number", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "99999999999999999999", signature, "not a number", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signature, "301 s old", SENT + 301},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signature, "301 s in the future", SENT - 301},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
         "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=", "no signature matches", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "v1,g0hM9SsE", "no signature matches", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
         "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "no signature of version v1", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
         "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "no signature of version v1", SENT},
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "   v1,   ", "no signature of version v1", SENT},
    };
    struct moon_err err;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(verify(rows[i].id, rows[i].ts, rows[i].sig, body, rows[i].now, &err), MOON_EVERIFY);
        if (!strstr(err.message, rows[i].says))
            fail_msg("row %zu: %s", i, err.message);
    }
    assert_int_equal(verify(id.data, "1614265330", signature, STR("{\"test\":2432232314}"), SENT, &err), MOON_EVERIFY);
    assert_int_equal(verify(id.data, "1614265330", signature, body, SENT + 300, &err), 0);
    assert_int_equal(verify(id.data, "1614265330", signature, body, SENT - 300, &err), 0);
    assert_int_equal(verify(id.data, "1614265330",
                            "v1a,xx v2,yy v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= ", body, SENT, &err),
                     0);
}

static void callers_mistakes(void **state) {
    (void)state;
    struct moon_buf out = MOON_BUF_INIT;
    struct moon_err err;
    const struct moon_bytes bad_keys[] = {STR("whsec_"), STR("whsec_not base64"), STR("whsec_abc"), {NULL, 0}};
    for (size_t i = 0; i < sizeof bad_keys / sizeof bad_keys[0]; i++) {
        assert_int_equal(moon_webhook_sign(hasher, &bad_keys[i], 1, id, SENT, body, &out, &err), MOON_EINVAL);
        assert_int_equal(out.len, 0);
    }
    const struct moon_bytes second_bad[] = {secret, STR("whsec_")};
    assert_int_equal(moon_webhook_sign(hasher, second_bad, 2, id, SENT, body, &out, &err), MOON_EINVAL);
    assert_int_equal(out.len, 0);
    struct moon_bytes many[MOON_WEBHOOK_MAX_KEYS + 1];
    for (size_t i = 0; i <= MOON_WEBHOOK_MAX_KEYS; i++)
        many[i] = secret;
    assert_int_equal(moon_webhook_sign(hasher, many, MOON_WEBHOOK_MAX_KEYS + 1, id, SENT, body, &out, &err),
                     MOON_EINVAL);
    assert_int_equal(moon_webhook_sign(hasher, many, 0, id, SENT, body, &out, &err), MOON_EINVAL);
    const struct moon_bytes bad_ids[] = {STR(""), STR("a.b"), STR("a b"), STR("a\r\nb"), STR("a\0b"), STR("\xC3\xA4")};
    for (size_t i = 0; i < sizeof bad_ids / sizeof bad_ids[0]; i++)
        assert_int_equal(moon_webhook_sign(hasher, &secret, 1, bad_ids[i], SENT, body, &out, &err), MOON_EINVAL);
    assert_int_equal(moon_webhook_sign(hasher, &secret, 1, id, -1, body, &out, &err), MOON_EINVAL);
    moon_buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vector),
        cmocka_unit_test(keys_rotate),
        cmocka_unit_test(what_is_refused_and_why),
        cmocka_unit_test(callers_mistakes),
    };
    return cmocka_run_group_tests_name("webhook_signature", tests, make_hasher, free_hasher);
}
