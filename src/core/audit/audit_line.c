/* audit_line.c - one line of the audit log: made, and checked. The form is described in moongate/audit_log.h. */
#include "audit_line.h"

#include "../json/json_canonical.h"

#include "moongate/clock.h"

#include <stdlib.h>
#include <string.h>

/* The members that the log adds, in canonical order. */
enum own { OWN_HASH, OWN_INTENT, OWN_PHASE, OWN_PREV, OWN_SEQ, OWN_TIME, OWN };
static const struct name {
    const char *text;
    size_t len;
} own_names[OWN] = {{"hash", 4}, {"intent", 6}, {"phase", 5}, {"prev", 4}, {"seq", 3}, {"time", 4}};
static const char *const phases[] = {"\"event\"", "\"intent\"", "\"outcome\""}; /* by enum moon_audit_phase */

void audit_chain_init(struct audit_chain *c) {
    memset(c, 0, sizeof *c);
    memset(c->hash, '0', sizeof c->hash - 1);
}

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

static inline bool key_is(const struct json_members *m, const char *name, size_t len) {
    return m->key_len == len && memcmp(m->key, name, len) == 0;
}

/* OWN: none of them. */
static int own_of(const struct json_members *m) {
    int i = 0;
    while (i < OWN && !key_is(m, own_names[i].text, own_names[i].len))
        i++;
    return i;
}

/* text: with its quotes, where it is a string */
static bool value_is(const struct json_members *m, const char *text) {
    return m->value_len == strlen(text) && memcmp(m->value, text, m->value_len) == 0;
}

static bool is_text(const struct json_members *m, size_t min) {
    return m->value_len >= min + 2 && m->value[0] == '"';
}

/* ---- an event's own members ---- */

/* 0; 1: not in canonical form; MOON_EINVAL. */
static int check_members(const char *text, size_t len, struct moon_err *err) {
    struct json_members m;
    bool action = false;
    int rc;
    json_members_init(&m, text, len);
    while ((rc = json_members_next(&m)) == 1) {
        int own = own_of(&m);
        if (own < OWN)
            return moon_err_set(err, MOON_EINVAL, "an audit event can't have a member '%s': the log sets it",
                                own_names[own].text);
        action |= key_is(&m, "action", 6) && is_text(&m, 1);
    }
    if (rc < 0)
        return 1;
    return action ? 0 : moon_err_set(err, MOON_EINVAL, "an audit event needs 'action', a string");
}

/* Appends the canonical form of JSON of any form. */
static int canonicalise(const char *text, size_t len, struct moon_buf *out, struct moon_err *err) {
    struct moon_json_doc doc;
    struct moon_err why;
    int rc = moon_json_parse(&doc, text, len, &why);
    if (rc == MOON_ENOMEM)
        return no_memory(err);
    if (rc != 0)
        return moon_err_set(err, MOON_EINVAL, "an audit event must be JSON: %s", why.message);
    if (doc.root.type != MOON_JSON_OBJECT)
        rc = moon_err_set(err, MOON_EINVAL, "an audit event is an object");
    else if ((rc = moon_json_write(out, &doc.root)) == MOON_ENOMEM)
        no_memory(err);
    else if (rc != 0)
        rc = moon_err_set(err, MOON_EINVAL, "an audit event contains a number that has no exact JSON form");
    moon_json_doc_release(&doc);
    return rc;
}

int audit_fields(const char **text, size_t *len, struct moon_buf *scratch, struct moon_err *err) {
    if (*len > MOON_AUDIT_LINE_MAX)
        return moon_err_set(err, MOON_ETOOBIG, "an audit event of %zu bytes: the limit is %d", *len,
                            MOON_AUDIT_LINE_MAX);
    int rc = check_members(*text, *len, err);
    if (rc != 1)
        return rc;
    moon_buf_clear(scratch);
    rc = canonicalise(*text, *len, scratch, err);
    if (rc != 0)
        return rc;
    *text = scratch->data;
    *len = scratch->len;
    rc = check_members(*text, *len, err);
    return rc == 1 ? no_memory(err) : rc; /* it is canonical: looking at a number failed */
}

int moon_audit_check_fields(const char *fields, size_t len, struct moon_err *err) {
    struct moon_buf scratch = MOON_BUF_INIT;
    int rc = audit_fields(&fields, &len, &scratch, err);
    moon_buf_release(&scratch);
    return rc;
}

/* ---- making ---- */

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
    int rc;
    switch (which) {
    case OWN_INTENT:
        return r->phase == MOON_AUDIT_OUTCOME ? put_number(out, ",\"intent\":", r->intent) : 0;
    case OWN_PHASE:
        rc = moon_buf_puts(out, ",\"phase\":");
        return rc != 0 ? rc : moon_buf_puts(out, phases[r->phase]);
    case OWN_PREV:
        return put_text(out, ",\"prev\":\"", chain->hash);
    case OWN_SEQ:
        return put_number(out, ",\"seq\":", chain->seq + 1);
    case OWN_TIME:
        moon_time_format(r->wall_ns, time);
        return put_text(out, ",\"time\":\"", time);
    default: /* the hash is put in when all else is there */
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

/* The event's members, checked by audit_fields, and the log's, in order. */
static int put_line(struct moon_hasher *h, const struct moon_audit_record *r, const char *fields, size_t len,
                    const struct audit_chain *chain, struct moon_buf *out, char hash[MOON_SHA256_HEX]) {
    struct json_members m;
    size_t begin = out->len, hash_at = 0;
    int more, rc = moon_buf_reserve(out, len + 512); /* our own members are shorter */
    json_members_init(&m, fields, len);
    more = json_members_next(&m);
    for (int own = 0; own <= OWN && rc == 0; own++) {
        for (; more == 1 && rc == 0; more = json_members_next(&m)) {
            if (own < OWN && json_canonical_key_cmp(m.key, m.key_len, own_names[own].text, own_names[own].len) > 0)
                break;
            rc = moon_buf_putc(out, out->len == begin ? '{' : ','); /* "action" comes before all of ours */
            if (rc == 0)
                rc = moon_buf_append(out, m.text, (size_t)(m.p - m.text));
        }
        if (own == OWN_HASH)
            hash_at = out->len;
        if (rc == 0)
            rc = put_own(out, (enum own)own, r, chain);
    }
    if (rc == 0)
        rc = more != 0 ? MOON_ENOMEM : moon_buf_putc(out, '}');
    if (rc == 0)
        rc = insert_hash(h, out, begin, hash_at, hash);
    return rc != 0 ? rc : moon_buf_putc(out, '\n');
}

int audit_line_make(struct moon_hasher *h, const struct moon_audit_record *r, struct audit_chain *chain,
                    struct moon_buf *out, struct moon_err *err) {
    struct moon_buf scratch = MOON_BUF_INIT;
    const char *fields = r->fields;
    size_t before = out->len, len = r->fields_len;
    char hash[MOON_SHA256_HEX];
    int rc = audit_fields(&fields, &len, &scratch, err);
    if (rc == 0 && (rc = put_line(h, r, fields, len, chain, out, hash)) != 0)
        rc = no_memory(err);
    if (rc == 0 && out->len - before > MOON_AUDIT_LINE_MAX)
        rc = moon_err_set(err, MOON_ETOOBIG, "an audit line of %zu bytes: the limit is %d", out->len - before,
                          MOON_AUDIT_LINE_MAX);
    if (rc == 0) {
        chain->seq++;
        memcpy(chain->hash, hash, sizeof hash);
    } else if (out->data) {
        out->data[out->len = before] = '\0';
    }
    moon_buf_release(&scratch);
    return rc;
}

/* ---- checking ---- */

static int bad(struct moon_err *err, const char *why) {
    return moon_err_set(err, MOON_EVERIFY, "%s", why);
}

/* What a line says of itself; key NULL: it has no such member. */
struct said {
    struct json_members own[OWN], action, previous_seq, previous_hash;
};

static void keep_said(struct said *s, const struct json_members *m) {
    int own = own_of(m);
    if (own < OWN)
        s->own[own] = *m;
    else if (key_is(m, "action", 6))
        s->action = *m;
    else if (key_is(m, "previous_seq", 12))
        s->previous_seq = *m;
    else if (key_is(m, "previous_hash", 13))
        s->previous_hash = *m;
}

/* Why text is refused that json_members_next does not take. */
static int explain(const char *line, size_t len, struct moon_err *err) {
    struct moon_json_doc doc;
    struct moon_buf again = MOON_BUF_INIT;
    struct moon_err why;
    int rc = moon_json_parse(&doc, line, len, &why);
    if (rc != 0)
        return rc == MOON_ENOMEM ? no_memory(err)
                                 : moon_err_set(err, MOON_EPARSE, "it is not JSON (%.120s)", why.message);
    if (doc.root.type != MOON_JSON_OBJECT)
        rc = moon_err_set(err, MOON_EPARSE, "it is not a JSON object");
    else if ((rc = moon_json_write(&again, &doc.root)) == MOON_ENOMEM ||
             (rc == 0 && again.len == len && memcmp(again.data, line, len) == 0))
        rc = no_memory(err); /* it is canonical: looking at a number failed */
    else
        rc = bad(err, "it is not in canonical form");
    moon_buf_release(&again);
    moon_json_doc_release(&doc);
    return rc;
}

static int read_said(const char *line, size_t len, struct said *s, struct moon_err *err) {
    struct json_members m;
    int rc;
    memset(s, 0, sizeof *s);
    json_members_init(&m, line, len);
    while ((rc = json_members_next(&m)) == 1)
        keep_said(s, &m);
    return rc == 0 ? 0 : explain(line, len, err);
}

/* A canonical integer that is not negative; -1: another value. */
static int64_t count_of(const struct json_members *m) {
    int64_t n = 0;
    for (size_t i = 0; i < m->value_len; i++) {
        if (m->value[i] < '0' || m->value[i] > '9' || i > 15)
            return -1;
        n = n * 10 + (m->value[i] - '0');
    }
    return m->value_len > 0 ? n : -1;
}

static bool is_integer(const struct json_members *m) {
    struct json_members digits = *m;
    if (digits.value_len > 1 && digits.value[0] == '-') {
        digits.value++;
        digits.value_len--;
    }
    return count_of(&digits) >= 0;
}

/* The 64 digits, or NULL. */
static const char *hash_of(const struct json_members *m) {
    const size_t len = MOON_SHA256_HEX - 1;
    return m->value_len == len + 2 && is_text(m, len) && strspn(m->value + 1, "0123456789abcdef") == len ? m->value + 1
                                                                                                         : NULL;
}

static int phase_of(const struct json_members *m) {
    for (int i = 0; i < 3; i++)
        if (value_is(m, phases[i]))
            return i;
    return -1;
}

static void copy_hash(char out[MOON_SHA256_HEX], const char *hash) {
    memcpy(out, hash, MOON_SHA256_HEX - 1);
    out[MOON_SHA256_HEX - 1] = '\0';
}

static int check_said(const struct said *s, const struct audit_chain *chain, struct audit_facts *facts,
                      struct moon_err *err) {
    int64_t seq = count_of(&s->own[OWN_SEQ]), intent = count_of(&s->own[OWN_INTENT]);
    const char *prev = hash_of(&s->own[OWN_PREV]), *previous = hash_of(&s->previous_hash);
    int phase = phase_of(&s->own[OWN_PHASE]);
    if (seq < 1)
        return bad(err, "it has no 'seq'");
    if (!prev || !hash_of(&s->own[OWN_HASH]))
        return bad(err, "it has no 'prev' or no 'hash'");
    if (phase < 0 || !is_text(&s->action, 0) || !is_text(&s->own[OWN_TIME], 0))
        return bad(err, "it has no 'phase', no 'action' or no 'time'");
    if (phase == MOON_AUDIT_OUTCOME && !is_integer(&s->own[OWN_INTENT]))
        return bad(err, "it is an outcome without 'intent'");
    if (!chain->open && (uint64_t)seq != chain->seq + 1)
        return moon_err_set(err, MOON_EVERIFY, "its seq is %lld, not %llu", (long long)seq,
                            (unsigned long long)chain->seq + 1);
    if (!chain->open && memcmp(prev, chain->hash, MOON_SHA256_HEX - 1) != 0)
        return bad(err, chain->seq == 0 ? "its prev is not the 64 zeros of a first line"
                                        : "its prev is not the hash of the line before");
    copy_hash(facts->prev, prev);
    facts->phase = (enum moon_audit_phase)phase;
    facts->intent = phase == MOON_AUDIT_OUTCOME && intent > 0 ? (uint64_t)intent : 0;
    facts->set_aside = value_is(&s->action, "\"torn_line_set_aside\"");
    facts->previous = 0;
    if (value_is(&s->action, "\"log_replaced\"") && count_of(&s->previous_seq) > 0 && previous) {
        facts->previous = (uint64_t)count_of(&s->previous_seq);
        copy_hash(facts->previous_hash, previous);
    }
    return 0;
}

/* The hash is of the line without the member and the comma before it. */
static int check_hash(struct moon_hasher *h, const char *line, size_t len, const struct json_members *hash,
                      struct moon_err *err) {
    unsigned char raw[MOON_SHA256_SIZE];
    char computed[MOON_SHA256_HEX];
    const void *parts[] = {line, hash->p};
    const size_t lens[] = {(size_t)(hash->text - line) - 1, (size_t)(line + len - hash->p)};
    if (moon_sha256_parts(h, parts, lens, 2, raw) != 0)
        return no_memory(err);
    moon_hex(raw, sizeof raw, computed);
    return memcmp(computed, hash_of(hash), MOON_SHA256_HEX - 1) == 0 ? 0
                                                                     : bad(err, "its hash does not match its content");
}

int audit_line_check(struct moon_hasher *h, const char *line, size_t len, struct audit_chain *chain,
                     struct audit_facts *facts, struct moon_err *err) {
    struct said said;
    struct audit_facts unused;
    if (len + 1 > MOON_AUDIT_LINE_MAX)
        return bad(err, "it is longer than a line may be");
    int rc = read_said(line, len, &said, err);
    if (rc == 0)
        rc = check_said(&said, chain, facts ? facts : &unused, err);
    if (rc == 0) /* there is an "action" before it */
        rc = check_hash(h, line, len, &said.own[OWN_HASH], err);
    if (rc == 0) {
        chain->seq = (uint64_t)count_of(&said.own[OWN_SEQ]);
        copy_hash(chain->hash, hash_of(&said.own[OWN_HASH]));
        chain->open = false;
    }
    return rc;
}

bool audit_line_is(const char *line, size_t len, const char *action) {
    struct json_members m;
    size_t n = strlen(action);
    json_members_init(&m, line, len);
    while (json_members_next(&m) == 1)
        if (key_is(&m, "action", 6))
            return m.value_len == n + 2 && memcmp(m.value + 1, action, n) == 0;
    return false;
}

/* The length of the JSON document that line begins with; 0: none. */
static size_t first_document(const char *line, size_t len) {
    struct moon_json_reader r;
    struct moon_json_token t;
    int depth = 0;
    size_t n = 0;
    moon_json_reader_init(&r, line, len, 0);
    while (moon_json_next(&r, &t, NULL) == 0) {
        depth += (t.type == MOON_JSON_OBJECT || t.type == MOON_JSON_ARRAY);
        depth -= (t.type == MOON_JSON_OBJECT_END || t.type == MOON_JSON_ARRAY_END);
        if (depth == 0) {
            n = (size_t)(r.p - line);
            break;
        }
    }
    moon_json_reader_release(&r);
    return n;
}

/* A crash cuts a line short, and a block that never reached the disk reads as zeros. It adds nothing: a whole good line
 * with something behind it was damaged in another way. */
bool audit_line_torn(struct moon_hasher *h, const char *line, size_t len, bool terminated,
                     const struct audit_chain *chain) {
    struct audit_chain copy = *chain;
    struct moon_err err;
    size_t text = len;
    while (text > 0 && line[text - 1] == '\0')
        text--;
    size_t doc = first_document(line, text);
    if (doc == text) /* whole, or nothing but zeros */
        return !terminated || (text == 0 && len > 0);
    return doc == 0 || audit_line_check(h, line, doc, &copy, NULL, &err) != 0;
}
