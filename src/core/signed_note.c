/* signed_note.c - C2SP signed notes: writing, reading, names and key ids. Keys' bytes stay in ed25519.c. */
#include "moongate/signed_note.h"

#include "moongate/digest.h"
#include "moongate/json.h"

#include <string.h>

#define ALG_ED25519 1
#define DASH        "\xe2\x80\x94 " /* U+2014 and a space */
#define DASH_LEN    4
#define BLOB        (4 + MOON_ED25519_SIGNATURE)

bool moon_note_name_valid(const char *name, size_t len) {
    if (len == 0 || len > MOON_NOTE_NAME_MAX || moon_utf8_valid(name, len) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f || name[i] == '+')
            return false;
    /* White space beyond ASCII: U+0085, U+00A0, U+1680, U+2000-U+200A, U+2028, U+2029, U+202F, U+205F, U+3000. */
    static const char *const spaces[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                         "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++)
        if (memmem(name, len, spaces[i], strlen(spaces[i])))
            return false;
    for (size_t i = 0; i + 2 < len; i++)
        if (memcmp(name + i, "\xe2\x80", 2) == 0 && (unsigned char)name[i + 2] >= 0x80 &&
            (unsigned char)name[i + 2] <= 0x8a)
            return false;
    return true;
}

/* The first four bytes of SHA-256(name || "\n" || algorithm || key), as a number. */
static int key_id(const char *name, const unsigned char key[MOON_ED25519_PUBLIC], uint32_t *out) {
    struct moon_hasher *h = NULL;
    const unsigned char alg[] = {'\n', ALG_ED25519};
    const void *const parts[] = {name, alg, key};
    const size_t lens[] = {strlen(name), sizeof alg, MOON_ED25519_PUBLIC};
    unsigned char sum[MOON_SHA256_SIZE];
    int rc = moon_hasher_new(&h);
    if (rc == 0)
        rc = moon_sha256_parts(h, parts, lens, 3, sum);
    moon_hasher_free(h);
    if (rc == 0)
        *out = (uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3];
    return rc;
}

static void put_id(uint32_t id, unsigned char out[4]) {
    for (int i = 0; i < 4; i++)
        out[i] = (unsigned char)(id >> (24 - 8 * i));
}

int moon_note_verifier_of(const struct moon_ed25519 *key, const char *name, struct moon_note_verifier *out,
                          struct moon_err *err) {
    size_t len = strlen(name);
    if (!moon_note_name_valid(name, len))
        return moon_err_set(err, MOON_EINVAL, "the key's name must have 1 to %d characters, no white space and no '+'",
                            MOON_NOTE_NAME_MAX);
    memcpy(out->name, name, len + 1);
    moon_ed25519_public(key, out->key);
    int rc = key_id(out->name, out->key, &out->id);
    return rc == 0 ? 0 : moon_err_set(err, rc, "out of memory");
}

static int hex_id(const char *p, uint32_t *out) {
    unsigned char b[4];
    if (!moon_unhex(p, b, sizeof b))
        return MOON_EPARSE;
    *out = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return 0;
}

int moon_note_verifier_read(const char *vkey, size_t len, struct moon_note_verifier *out, struct moon_err *err) {
    struct moon_buf blob = MOON_BUF_INIT;
    const char *plus = memchr(vkey, '+', len);
    size_t name_len = plus ? (size_t)(plus - vkey) : 0;
    uint32_t id = 0;
    int rc = 0;
    if (!plus || len - name_len < 10 || plus[9] != '+' || !moon_note_name_valid(vkey, name_len) ||
        hex_id(plus + 1, &id) != 0)
        rc = moon_err_set(err, MOON_EPARSE, "not a verifier key: NAME+ID+KEY, with ID 8 hexadecimal digits");
    if (rc == 0) {
        rc = moon_base64_decode(&blob, plus + 10, len - name_len - 10);
        if (rc == MOON_ENOMEM)
            moon_err_set(err, rc, "out of memory");
        else if (rc != 0 || blob.len != 1 + MOON_ED25519_PUBLIC || blob.data[0] != ALG_ED25519)
            rc = moon_err_set(err, MOON_EPARSE, "not a verifier key: KEY must be the base64 form of an Ed25519 key");
    }
    if (rc == 0) {
        memcpy(out->name, vkey, name_len);
        out->name[name_len] = '\0';
        memcpy(out->key, blob.data + 1, MOON_ED25519_PUBLIC);
        rc = key_id(out->name, out->key, &out->id);
        if (rc != 0)
            moon_err_set(err, rc, "out of memory");
        else if (out->id != id)
            rc = moon_err_set(err, MOON_EPARSE, "not a verifier key: ID does not belong to NAME and KEY");
    }
    moon_buf_release(&blob);
    return rc;
}

int moon_note_verifier_write(const struct moon_note_verifier *v, struct moon_buf *out) {
    unsigned char blob[1 + MOON_ED25519_PUBLIC] = {ALG_ED25519};
    memcpy(blob + 1, v->key, MOON_ED25519_PUBLIC);
    int rc = moon_buf_printf(out, "%s+%08x+", v->name, (unsigned)v->id);
    return rc == 0 ? moon_base64_encode(out, blob, sizeof blob) : rc;
}

static bool text_valid(const char *text, size_t len) {
    if (len == 0 || text[len - 1] != '\n' || moon_utf8_valid(text, len) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' && text[i] != '\n')
            return false;
    return true;
}

int moon_note_sign(const struct moon_ed25519 *key, const char *name, const char *text, size_t len, struct moon_buf *out,
                   struct moon_err *err) {
    struct moon_note_verifier self = {.id = 0};
    unsigned char blob[BLOB] = {0};
    size_t before = out->len;
    int rc = moon_note_verifier_of(key, name, &self, err);
    if (rc != 0)
        return rc;
    if (!text_valid(text, len))
        return moon_err_set(err, MOON_EINVAL,
                            "a note's text must be UTF-8, end with a line break and have no other control characters");
    put_id(self.id, blob);
    rc = moon_ed25519_sign(key, text, len, blob + 4);
    if (rc == 0)
        rc = moon_buf_append(out, text, len);
    if (rc == 0)
        rc = moon_buf_printf(out, "\n" DASH "%s ", name);
    if (rc == 0)
        rc = moon_base64_encode(out, blob, sizeof blob);
    if (rc == 0)
        rc = moon_buf_putc(out, '\n');
    if (rc != 0) {
        moon_err_set(err, rc, "out of memory");
        if (out->data)
            out->data[out->len = before] = '\0';
    }
    return rc;
}

/* One line "— NAME BASE64", without its line break. */
struct signature {
    const char *name;
    size_t name_len;
    uint32_t id;
    const unsigned char *bytes; /* in blob */
    size_t len;
};

static int read_signature(const char *line, size_t len, struct moon_buf *blob, struct signature *s) {
    const char *name = line + DASH_LEN, *end = line + len, *space;
    if (len < DASH_LEN || memcmp(line, DASH, DASH_LEN) != 0)
        return MOON_EPARSE;
    space = memchr(name, ' ', (size_t)(end - name));
    if (!space || !moon_note_name_valid(name, (size_t)(space - name)))
        return MOON_EPARSE;
    moon_buf_clear(blob);
    int rc = moon_base64_decode(blob, space + 1, (size_t)(end - space) - 1);
    if (rc != 0)
        return rc;
    if (blob->len < 5)
        return MOON_EPARSE;
    s->name = name;
    s->name_len = (size_t)(space - name);
    const unsigned char *b = (const unsigned char *)blob->data;
    s->id = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    s->bytes = b + 4;
    s->len = blob->len - 4;
    return 0;
}

/* Holds one signature against the verifiers: a known name and id with bytes that do not fit is a forgery. */
static int check_signature(const struct signature *s, const char *text, size_t len,
                           const struct moon_note_verifier *verifiers, size_t n, struct moon_note *out,
                           struct moon_err *err) {
    for (size_t i = 0; i < n; i++) {
        const struct moon_note_verifier *v = &verifiers[i];
        if (v->id != s->id || strlen(v->name) != s->name_len || memcmp(v->name, s->name, s->name_len) != 0)
            continue;
        if (out->signed_by[i])
            return 0;
        if (s->len != MOON_ED25519_SIGNATURE || !moon_ed25519_verify(v->key, text, len, s->bytes))
            return moon_err_set(err, MOON_EVERIFY, "the signature of %s does not match the text", v->name);
        out->signed_by[i] = true;
        out->signatures++;
        return 0;
    }
    return 0;
}

/* Where the text ends: behind the line break in front of the last empty line. 0: not found. */
static size_t text_end(const char *note, size_t len) {
    for (size_t i = len; i > 1; i--)
        if (note[i - 1] == '\n' && note[i - 2] == '\n')
            return i - 1;
    return 0;
}

int moon_note_open(const char *note, size_t len, const struct moon_note_verifier *verifiers, size_t n,
                   struct moon_note *out, struct moon_err *err) {
    struct moon_buf blob = MOON_BUF_INIT;
    unsigned lines = 0;
    memset(out, 0, sizeof *out);
    if (n > MOON_NOTE_VKEYS_MAX)
        return moon_err_set(err, MOON_EINVAL, "more than %d verifier keys", MOON_NOTE_VKEYS_MAX);
    out->text_len = text_end(note, len);
    int rc = out->text_len > 0 && text_valid(note, len) ? 0 : MOON_EPARSE;
    for (size_t at = out->text_len + 1; rc == 0 && at < len; lines++) {
        struct signature s;
        const char *end = memchr(note + at, '\n', len - at); /* there is one: the note ends with it */
        size_t line = (size_t)(end - (note + at));
        rc = lines < MOON_NOTE_SIGNATURES_MAX ? read_signature(note + at, line, &blob, &s) : MOON_EPARSE;
        if (rc == 0) {
            rc = check_signature(&s, note, out->text_len, verifiers, n, out, err);
            if (rc != 0)
                goto out;
        }
        at += line + 1;
    }
    if (rc == MOON_ENOMEM)
        moon_err_set(err, rc, "out of memory");
    else if (rc != 0 || lines == 0)
        rc = moon_err_set(err, MOON_EPARSE, "not a signed note: a text, an empty line and a line for each signature");
    else if (out->signatures == 0)
        rc = moon_err_set(err, MOON_EVERIFY, "the note has no signature of a known key");
out:
    moon_buf_release(&blob);
    return rc;
}
