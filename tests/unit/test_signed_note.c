/* test_signed_note.c - Ed25519 keys and signed notes: the example of C2SP's document, RFC 8032's vectors, our own
 * notes, and each single bit of them turned. */
#include "unit.h"

#include "moongate/signed_note.h"

#include <stdio.h>

static const char c2sp_vkey[] = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
static const char our_name[] = "moongate.example/audit";
static const char our_vkey[] = "moongate.example/audit+fac90420+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";

static struct moon_ed25519 *our_key(void) {
    unsigned char seed[MOON_ED25519_SEED];
    struct moon_ed25519 *key = NULL;
    for (unsigned i = 0; i < sizeof seed; i++)
        seed[i] = (unsigned char)i;
    assert_int_equal(moon_ed25519_from_seed(seed, &key, NULL), 0);
    return key;
}

static void unhex(const char *hex, unsigned char *out) {
    for (size_t i = 0; hex[2 * i]; i++) {
        unsigned v;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
        out[i] = (unsigned char)v;
    }
}

static void rfc_8032(void **state) {
    (void)state;
    unsigned char seed[32], public[32], want[64], got[64];
    struct moon_ed25519 *key = NULL;
    unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", seed);
    unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb430"
          "2aee"
          "b00d291612bb0c00",
          want);
    assert_int_equal(moon_ed25519_from_seed(seed, &key, NULL), 0);
    moon_ed25519_public(key, public);
    assert_int_equal(moon_ed25519_sign(key, "\x72", 1, got), 0);
    assert_memory_equal(got, want, 64);
    assert_true(moon_ed25519_verify(public, "\x72", 1, want));
    assert_false(moon_ed25519_verify(public, "\x73", 1, want));
    moon_ed25519_free(key);
    moon_ed25519_free(NULL);
}

static void keys_are_pem(void **state) {
    (void)state;
    struct moon_ed25519 *key = NULL, *again = NULL;
    struct moon_buf pem = MOON_BUF_INIT;
    struct moon_err err;
    unsigned char a[32], b[32];
    assert_int_equal(moon_ed25519_generate(&key, NULL), 0);
    assert_int_equal(moon_buf_puts(&pem, "moongate key alice@example.com\n"),
                     0); /* what stands before is passed over */
    assert_int_equal(moon_ed25519_pem(key, &pem), 0);
    assert_int_equal(moon_ed25519_read(pem.data, pem.len, &again, NULL), 0);
    moon_ed25519_public(key, a);
    moon_ed25519_public(again, b);
    assert_memory_equal(a, b, sizeof a);
    moon_ed25519_free(key);
    moon_ed25519_free(again);
    again = NULL;
    assert_int_equal(moon_ed25519_read(pem.data, pem.len / 2, &again, &err), MOON_EPARSE);
    assert_int_equal(moon_ed25519_read("", 0, &again, &err), MOON_EPARSE);
    assert_null(again);
    moon_buf_release(&pem);
}

static void the_example_of_the_document(void **state) {
    (void)state;
    static const char note[] =
        "This is an example message.\n\n\xe2\x80\x94 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6T"
        "fXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    struct moon_note_verifier v;
    struct moon_note found;
    struct moon_buf text = MOON_BUF_INIT;
    assert_int_equal(moon_note_verifier_read(c2sp_vkey, strlen(c2sp_vkey), &v, NULL), 0);
    assert_string_equal(v.name, "example.com/foo");
    assert_int_equal(v.id, 0x530d903a);
    assert_int_equal(moon_note_verifier_write(&v, &text), 0);
    assert_string_equal(text.data, c2sp_vkey);
    assert_int_equal(moon_note_open(note, sizeof note - 1, &v, 1, &found, NULL), 0);
    assert_int_equal(found.text_len, strlen("This is an example message.\n"));
    moon_buf_release(&text);
}

static void our_notes_are_opened(void **state) {
    (void)state;
    static const char text[] = "moongate plan\nsha256:9f2c\n";
    struct moon_ed25519 *key = our_key();
    struct moon_note_verifier v[2];
    struct moon_buf note = MOON_BUF_INIT, vkey = MOON_BUF_INIT;
    struct moon_note found;
    struct moon_err err;
    assert_int_equal(moon_note_verifier_of(key, our_name, &v[1], NULL), 0);
    assert_int_equal(moon_note_verifier_write(&v[1], &vkey), 0);
    assert_string_equal(vkey.data, our_vkey);
    assert_int_equal(moon_note_verifier_read(c2sp_vkey, strlen(c2sp_vkey), &v[0], NULL), 0);
    assert_int_equal(moon_note_sign(key, our_name, text, strlen(text), &note, NULL), 0);
    assert_int_equal(moon_note_open(note.data, note.len, v, 2, &found, NULL), 0);
    assert_int_equal(found.text_len, strlen(text));
    assert_int_equal(found.signatures, 1);
    assert_false(found.signed_by[0]);
    assert_true(found.signed_by[1]);
    assert_int_equal(moon_note_open(note.data, note.len, v, 1, &found, &err), MOON_EVERIFY);
    for (size_t bit = 0; bit < 8 * note.len; bit++) { /* wherever it is turned, the note is not accepted as it was */
        note.data[bit / 8] ^= (char)(1 << bit % 8);
        int rc = moon_note_open(note.data, note.len, v, 2, &found, &err);
        if (rc == 0)
            fail_msg("bit %zu turned, and the note is accepted", bit);
        note.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t len = 0; len < note.len; len++)
        assert_int_not_equal(moon_note_open(note.data, len, v, 2, &found, &err), 0);
    moon_buf_release(&note);
    moon_buf_release(&vkey);
    moon_ed25519_free(key);
}

static void what_is_not_valid_is_refused(void **state) {
    (void)state;
    struct moon_ed25519 *key = our_key();
    struct moon_buf note = MOON_BUF_INIT;
    struct moon_note_verifier v;
    struct moon_err err;
    static const char *const names[] = {"",
                                        "a b",
                                        "a+b",
                                        "a\xc2\xa0"
                                        "b",
                                        "a\xe2\x80\x83"
                                        "b",
                                        "\xff",
                                        "a\n"};
    static const char *const texts[] = {"", "no line break", "a tab\t\n", "\xff\n"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(moon_note_sign(key, names[i], "x\n", 2, &note, &err), MOON_EINVAL);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(moon_note_sign(key, our_name, texts[i], strlen(texts[i]), &note, &err), MOON_EINVAL);
    assert_int_equal(note.len, 0);
    char vkey[sizeof our_vkey];
    for (size_t i = 0; i + 1 < sizeof vkey; i++) { /* a vkey with one character changed belongs to nobody */
        memcpy(vkey, our_vkey, sizeof vkey);
        vkey[i] = vkey[i] == 'x' ? 'y' : 'x';
        assert_int_equal(moon_note_verifier_read(vkey, sizeof vkey - 1, &v, &err), MOON_EPARSE);
    }
    moon_buf_release(&note);
    moon_ed25519_free(key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_8032),
        cmocka_unit_test(keys_are_pem),
        cmocka_unit_test(the_example_of_the_document),
        cmocka_unit_test(our_notes_are_opened),
        cmocka_unit_test(what_is_not_valid_is_refused),
    };
    return cmocka_run_group_tests_name("signed_note", tests, NULL, NULL);
}
