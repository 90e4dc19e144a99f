/* audit_fields.c - see audit_fields.h. What is not seen to be plain is left to the parser. */
#include "audit_fields.h"

#include "../json/json_scan.h"

#include "moongate/clock.h"
#include "moongate/json.h"

#include <string.h>

#define DIGITS_MAX 15 /* a decimal of so many digits is its own shortest form, and an integer exact */
#define ZEROS_MAX  5  /* 0.000001 is written so, 1e-7 is not */

/* In canonical order, as the log writes them. */
enum own { OWN_HASH, OWN_INTENT, OWN_PHASE, OWN_PREV, OWN_SEQ, OWN_TIME, OWN };
static const char *const own_names[OWN] = {"hash", "intent", "phase", "prev", "seq", "time"};

/* ---- splitting ---- */

/* Each returns where the value that begins at p ends; NULL: not plain. */

static const char *skip_string(const char *p, const char *end) {
    for (p++;;) {
        p = json_skip_plain(p, end);
        if (p == end)
            return NULL;
        if (*p == '"')
            return p + 1;
        size_t n = (unsigned char)*p >= 0x80 ? json_utf8_sequence(p, end) : 0;
        if (n == 0)
            return NULL;
        p += n;
    }
}

static const char *skip_digits(const char *p, const char *end) {
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static const char *skip_number(const char *p, const char *end) {
    const char *whole = p + (*p == '-'), *dot = skip_digits(whole, end);
    if (dot == whole || (*whole == '0' && dot - whole > 1) || dot - whole > DIGITS_MAX)
        return NULL;
    if (dot == end || *dot != '.')
        return *whole == '0' && *p == '-' ? NULL : dot;
    const char *fraction = dot + 1, *stop = skip_digits(fraction, end), *first = fraction;
    while (first < stop && *first == '0')
        first++;
    if (stop == fraction || stop[-1] == '0' || stop - whole - 1 > DIGITS_MAX)
        return NULL;
    return *whole == '0' && first - fraction > ZEROS_MAX ? NULL : stop;
}

static const char *skip_word(const char *p, const char *end) {
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0)
            return p + n;
    }
    return NULL;
}

static const char *skip_value(const char *p, const char *end) {
    if (*p == '"')
        return skip_string(p, end);
    if (*p == '-' || (*p >= '0' && *p <= '9'))
        return skip_number(p, end);
    return skip_word(p, end);
}

/* Keys of ASCII are in canonical order when their bytes are. */
static int compare(const struct audit_field *f, const char *key, size_t len) {
    int d = memcmp(f->text + 1, key, f->key_len < len ? f->key_len : len);
    return d != 0 ? d : (f->key_len > len) - (f->key_len < len);
}

/* The member that begins at p. */
static const char *split_one(const char *p, const char *end, struct audit_field *f) {
    if (p == end || *p != '"')
        return NULL;
    const char *quote = json_skip_plain(p + 1, end);
    if (end - quote < 3 || quote[0] != '"' || quote[1] != ':')
        return NULL;
    f->text = p;
    f->key_len = (size_t)(quote - p) - 1;
    p = skip_value(quote + 2, end);
    f->len = p ? (size_t)(p - f->text) : 0;
    return p;
}

static bool is_own(const struct audit_field *f) {
    const char *key = f->text + 1;
    switch (f->key_len) {
    case 3:
        return memcmp(key, "seq", 3) == 0;
    case 4:
        return memcmp(key, "hash", 4) == 0 || memcmp(key, "prev", 4) == 0 || memcmp(key, "time", 4) == 0;
    case 5:
        return memcmp(key, "phase", 5) == 0;
    case 6:
        return memcmp(key, "intent", 6) == 0;
    default:
        return false;
    }
}

static int split(const char *text, size_t len, bool action, struct audit_field fields[AUDIT_FIELDS_MAX]) {
    const char *p = text + 1, *end = text + len;
    int n = 0;
    if (len < 2 || text[0] != '{')
        return -1;
    for (; n < AUDIT_FIELDS_MAX; p++) {
        struct audit_field *f = &fields[n];
        p = split_one(p, end, f);
        if (!p || p == end || is_own(f) || (n > 0 && compare(f - 1, f->text + 1, f->key_len) >= 0))
            return -1;
        n++;
        if (f->key_len == 6 && memcmp(f->text, "\"action\":\"", 10) == 0)
            action = f->len > 11; /* the shortest is "action":"x" */
        if (*p == '}')
            return action && p + 1 == end ? n : -1;
        if (*p != ',')
            return -1;
    }
    return -1;
}

int audit_fields_split(const char *text, size_t len, struct audit_field fields[AUDIT_FIELDS_MAX]) {
    return split(text, len, false, fields);
}

int audit_fields_split_any(const char *text, size_t len, struct audit_field fields[AUDIT_FIELDS_MAX]) {
    return split(text, len, true, fields);
}

/* ---- the line ---- */

static int put_text(struct moon_buf *out, const char *before, const char *text) {
    int rc = moon_buf_puts(out, before);
    if (rc == 0)
        rc = moon_buf_puts(out, text);
    return rc != 0 ? rc : moon_buf_putc(out, '"');
}

static int put_number(struct moon_buf *out, const char *before, uint64_t n) {
    int rc = moon_buf_puts(out, before);
    return rc != 0 ? rc : moon_json_put_int(out, (int64_t)n);
}

static int put_own(struct moon_buf *out, enum own which, const struct moon_audit_record *r,
                   const struct audit_chain *chain) {
    char time[MOON_TIME_SIZE];
    switch (which) {
    case OWN_INTENT:
        return r->phase == MOON_AUDIT_OUTCOME ? put_number(out, ",\"intent\":", r->intent) : 0;
    case OWN_PHASE:
        return put_text(out, ",\"phase\":\"", audit_phases[r->phase]);
    case OWN_PREV:
        return put_text(out, ",\"prev\":\"", chain->hash);
    case OWN_SEQ:
        return put_number(out, ",\"seq\":", chain->seq + 1);
    case OWN_TIME:
        moon_time_format(r->wall_ns, time);
        return put_text(out, ",\"time\":\"", time);
    default:
        return 0;
    }
}

/* Puts the hash of the text from `begin` on into it, at `at`. */
static int insert_hash(struct moon_hasher *h, struct moon_buf *out, size_t begin, size_t at,
                       char hash[MOON_SHA256_HEX]) {
    static const char name[] = ",\"hash\":\"";
    const size_t name_len = sizeof name - 1, hash_len = MOON_SHA256_HEX - 1, n = name_len + hash_len + 1;
    int rc = moon_sha256_hex(h, out->data + begin, out->len - begin, hash);
    if (rc == 0)
        rc = moon_buf_reserve(out, n);
    if (rc != 0)
        return rc;
    char *to = out->data + at;
    memmove(to + n, to, out->len - at);
    memcpy(to, name, name_len);
    memcpy(to + name_len, hash, hash_len);
    to[n - 1] = '"';
    out->len += n;
    return 0;
}

int audit_fields_line(struct moon_hasher *h, const struct moon_audit_record *r, const struct audit_field *fields, int n,
                      const struct audit_chain *chain, struct moon_buf *out, char hash[MOON_SHA256_HEX]) {
    size_t begin = out->len, hash_at = 0;
    int i = 0, rc = moon_buf_reserve(out, r->fields_len + 512); /* our own members are shorter */
    for (int own = 0; own <= OWN && rc == 0; own++) {
        for (; i < n && rc == 0; i++) {
            if (own < OWN && compare(&fields[i], own_names[own], strlen(own_names[own])) > 0)
                break;
            rc = moon_buf_putc(out, i == 0 ? '{' : ','); /* "action" comes before all of ours */
            if (rc == 0)
                rc = moon_buf_append(out, fields[i].text, fields[i].len);
        }
        if (own == OWN_HASH)
            hash_at = out->len;
        if (rc == 0)
            rc = put_own(out, (enum own)own, r, chain);
    }
    if (rc == 0)
        rc = moon_buf_putc(out, '}');
    if (rc == 0)
        rc = insert_hash(h, out, begin, hash_at, hash);
    return rc != 0 ? rc : moon_buf_putc(out, '\n');
}
