/* test_digest.c - published vectors of SHA-256, HMAC-SHA-256 (RFC 4231) and base64 (RFC 4648); UUIDs. */
#include "unit.h"

#include "moongate/clock.h"
#include "moongate/digest.h"
#include "moongate/uuid.h"

static struct moon_hasher *hasher;

static int make_hasher(void **state) {
    (void)state;
    return moon_hasher_new(&hasher);
}

static int free_hasher(void **state) {
    (void)state;
    moon_hasher_free(hasher);
    moon_hasher_free(NULL);
    return 0;
}

static void sha256_vectors(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char hex[MOON_SHA256_HEX];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(moon_sha256_hex(hasher, rows[i][0], strlen(rows[i][0]), hex), 0);
        assert_string_equal(hex, rows[i][1]);
    }
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    assert_int_equal(moon_sha256_hex(hasher, million, 1000000, hex), 0);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

static void hmac_vectors(void **state) {
    (void)state;
    unsigned char key[131], out[32];
    char hex[65];
    const void *data[2] = {"Hi ", "There"};
    size_t len[2] = {3, 5};
    memset(key, 0x0b, sizeof key);
    assert_int_equal(moon_hmac_sha256(hasher, key, 20, data, len, 2, out), 0);
    moon_hex(out, 32, hex);
    assert_string_equal(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    data[0] = "what do ya want for nothing?", len[0] = 28;
    assert_int_equal(moon_hmac_sha256(hasher, "Jefe", 4, data, len, 1, out), 0);
    moon_hex(out, 32, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    data[0] = "Test Using Larger Than Block-Size Key - Hash Key First", len[0] = 54;
    assert_int_equal(moon_hmac_sha256(hasher, key, 131, data, len, 1, out), 0);
    moon_hex(out, 32, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_int_equal(moon_hmac_sha256(hasher, NULL, 0, data, len, 0, out), 0);
    moon_hex(out, 32, hex);
    assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void base64_goes_round(void **state) {
    (void)state;
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    struct moon_buf b = MOON_BUF_INIT;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        moon_buf_clear(&b);
        assert_int_equal(moon_base64_encode(&b, rows[i][0], strlen(rows[i][0])), 0);
        assert_int_equal(b.len, strlen(rows[i][1]));
        assert_memory_equal(b.data ? b.data : "", rows[i][1], b.len);
        moon_buf_clear(&b);
        assert_int_equal(moon_base64_decode(&b, rows[i][1], strlen(rows[i][1])), 0);
        assert_int_equal(b.len, strlen(rows[i][0]));
        assert_memory_equal(b.data ? b.data : "", rows[i][0], b.len);
    }
    static const char *const bad[] = {"Z",      "Zg",   "Zg=",  "Zg===", "Zh==",     "Zm9=",      "Zm 9v",
                                      "Zm9v\n", "Z-_v", "====", "=Zm9",  "Zg==Zg==", "\xC3\xA4zz"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(moon_base64_decode(&b, bad[i], strlen(bad[i])), MOON_EPARSE);
    size_t big = 1000001;
    char *data = malloc(big);
    for (size_t i = 0; i < big; i++)
        data[i] = (char)(i * 7);
    struct moon_buf text = MOON_BUF_INIT;
    moon_buf_clear(&b);
    assert_int_equal(moon_base64_encode(&text, data, big), 0);
    assert_int_equal(moon_base64_decode(&b, text.data, text.len), 0);
    assert_int_equal(b.len, big);
    assert_memory_equal(b.data, data, big);
    free(data);
    moon_buf_release(&text);
    moon_buf_release(&b);
}

static void equality(void **state) {
    (void)state;
    assert_true(moon_equal_ct("abc", 3, "abc", 3));
    assert_false(moon_equal_ct("abc", 3, "abd", 3));
    assert_false(moon_equal_ct("abc", 3, "ab", 2));
    assert_true(moon_equal_ct(NULL, 0, NULL, 0));
}

static void uuids_have_their_version(void **state) {
    (void)state;
    struct moon_rng rng;
    char a[MOON_UUID_SIZE], b[MOON_UUID_SIZE];
    moon_rng_init_seed(&rng, 5);
    for (int i = 0; i < 1000; i++) {
        moon_uuid_v4(&rng, a);
        assert_int_equal(strlen(a), 36);
        assert_true(a[14] == '4' && strchr("89ab", a[19]) && moon_uuid_is(a, 36));
        moon_uuid_v4(&rng, b);
        assert_string_not_equal(a, b);
    }
}

static void version_7_sorts_by_time(void **state) {
    (void)state;
    struct moon_rng rng;
    struct moon_uuid_clock clock = {0};
    char last[MOON_UUID_SIZE] = "", next[MOON_UUID_SIZE];
    int64_t now = INT64_C(1645557742000) * MOON_NS_PER_MS; /* RFC 9562's example: 017F22E2-79B0-7... */
    moon_rng_init_seed(&rng, 6);
    moon_uuid_v7(&clock, &rng, now, last);
    assert_memory_equal(last, "017f22e2-79b0-7000-", 19);
    for (int i = 0; i < 20000; i++) {
        if (i % 3 == 0)
            now += 1000;
        if (i % 1000 == 0)
            now -= MOON_NS_PER_S; /* the clock was set back */
        moon_uuid_v7(&clock, &rng, now, next);
        assert_true(strcmp(last, next) < 0);
        assert_true(next[14] == '7' && moon_uuid_is(next, 36));
        memcpy(last, next, sizeof last);
    }
}

static void uuids_are_parsed(void **state) {
    (void)state;
    unsigned char bytes[16];
    char text[MOON_UUID_SIZE];
    const char *good = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F";
    assert_int_equal(moon_uuid_parse(good, 36, bytes), 0);
    moon_uuid_format(bytes, text);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    static const char *const bad[] = {"",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
                                      "017f22e279b07cc398c4dc0c0c07398f",
                                      "{017f22e2-79b0-7cc3-98c4-dc0c0c07398}",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398f "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(moon_uuid_is(bad[i], strlen(bad[i])));
    assert_false(moon_uuid_is("017f22e2-79b0-7cc3-98c4-dc0c0c0739\0f", 36));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_vectors),           cmocka_unit_test(hmac_vectors),
        cmocka_unit_test(base64_goes_round),        cmocka_unit_test(equality),
        cmocka_unit_test(uuids_have_their_version), cmocka_unit_test(version_7_sorts_by_time),
        cmocka_unit_test(uuids_are_parsed),
    };
    return cmocka_run_group_tests_name("digest", tests, make_hasher, free_hasher);
}
