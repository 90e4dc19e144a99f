/* audit_line.c - one line of the audit log: made, and checked. The form is told in moongate/audit_log.h. */
#include "audit_line.h"

#include "audit_fields.h"

#include "moongate/clock.h"

#include <stdlib.h>
#include <string.h>

static const char *const own_names[] = {"hash", "intent", "phase", "prev", "seq", "time"};
#define OWN 6

const char *const audit_phases[3] = {"event", "intent", "outcome"};

void audit_chain_init(struct audit_chain *c) {
    memset(c, 0, sizeof *c);
    memset(c->hash, '0', sizeof c->hash - 1);
}

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

/* ---- making ---- */

static int check_object(const struct moon_json_value *v, struct moon_err *err) {
    size_t len;
    if (v->type != MOON_JSON_OBJECT)
        return moon_err_set(err, MOON_EINVAL, "an audit event is an object");
    for (size_t i = 0; i < OWN; i++)
        if (moon_json_get(v, own_names[i]))
            return moon_err_set(err, MOON_EINVAL, "an audit event can't have a member '%s': the log sets it",
                                own_names[i]);
    if (!moon_json_get_string(v, "action", &len) || len == 0)
        return moon_err_set(err, MOON_EINVAL, "an audit event needs 'action', a string");
    return 0;
}

static int parse_fields(const char *fields, size_t len, struct moon_json_doc *doc, struct moon_err *err) {
    struct moon_err why;
    if (len > MOON_AUDIT_LINE_MAX)
        return moon_err_set(err, MOON_ETOOBIG, "an audit event of %zu bytes: the limit is %d", len,
                            MOON_AUDIT_LINE_MAX);
    int rc = moon_json_parse(doc, fields, len, &why);
    if (rc == MOON_ENOMEM)
        return no_memory(err);
    if (rc != 0)
        return moon_err_set(err, MOON_EINVAL, "an audit event must be JSON: %s", why.message);
    rc = check_object(&doc->root, err);
    if (rc != 0)
        moon_json_doc_release(doc);
    return rc;
}

int moon_audit_check_fields(const char *fields, size_t len, struct moon_err *err) {
    struct moon_json_doc doc = {.arena = NULL};
    struct audit_field plain[AUDIT_FIELDS_MAX];
    if (len <= MOON_AUDIT_LINE_MAX && audit_fields_split(fields, len, plain) >= 0)
        return 0;
    int rc = parse_fields(fields, len, &doc, err);
    if (rc == 0)
        moon_json_doc_release(&doc);
    return rc;
}

static void add_text(struct moon_json_value *object, const char *key, const char *text) {
    struct moon_json_member *m = &object->u.object.members[object->u.object.len++];
    *m = (struct moon_json_member){key, strlen(key), {.type = MOON_JSON_STRING}};
    m->value.u.string.data = text;
    m->value.u.string.len = strlen(text);
}

static void add_number(struct moon_json_value *object, const char *key, uint64_t n) {
    struct moon_json_member *m = &object->u.object.members[object->u.object.len++];
    *m = (struct moon_json_member){key, strlen(key), {.type = MOON_JSON_INT}};
    m->value.u.integer = (int64_t)n;
}

/* Writes the object without its hash, hashes that, and writes it again with the hash. */
static int write_line(struct moon_hasher *h, struct moon_json_value *line, struct moon_buf *out,
                      char hash[MOON_SHA256_HEX]) {
    size_t before = out->len;
    int rc = moon_json_write(out, line);
    if (rc == 0)
        rc = moon_sha256_hex(h, out->data + before, out->len - before, hash);
    if (rc != 0)
        return rc;
    out->len = before;
    add_text(line, "hash", hash);
    rc = moon_json_write(out, line);
    return rc != 0 ? rc : moon_buf_putc(out, '\n');
}

/* The same for fields of any form. */
static int make_parsed(struct moon_hasher *h, const struct moon_audit_record *r, const struct audit_chain *chain,
                       struct moon_buf *out, char hash[MOON_SHA256_HEX], struct moon_err *err) {
    struct moon_json_doc doc = {.arena = NULL};
    char time[MOON_TIME_SIZE];
    int rc = parse_fields(r->fields, r->fields_len, &doc, err);
    if (rc != 0)
        return rc;
    size_t n = doc.root.u.object.len;
    struct moon_json_value line = {.type = MOON_JSON_OBJECT};
    line.u.object.members = malloc((n + OWN) * sizeof *line.u.object.members);
    if (!line.u.object.members) {
        rc = no_memory(err);
        goto out;
    }
    if (n > 0)
        memcpy(line.u.object.members, doc.root.u.object.members, n * sizeof *line.u.object.members);
    line.u.object.len = n;
    moon_time_format(r->wall_ns, time);
    add_number(&line, "seq", chain->seq + 1);
    add_text(&line, "time", time);
    add_text(&line, "phase", audit_phases[r->phase]);
    if (r->phase == MOON_AUDIT_OUTCOME)
        add_number(&line, "intent", r->intent);
    add_text(&line, "prev", chain->hash);
    rc = write_line(h, &line, out, hash);
    if (rc == MOON_ENOMEM)
        no_memory(err);
    else if (rc != 0)
        rc = moon_err_set(err, MOON_EINVAL, "an audit event holds a number that has no exact JSON form");
out:
    free(line.u.object.members);
    moon_json_doc_release(&doc);
    return rc;
}

int audit_line_make(struct moon_hasher *h, const struct moon_audit_record *r, struct audit_chain *chain,
                    struct moon_buf *out, struct moon_err *err) {
    struct audit_field fields[AUDIT_FIELDS_MAX];
    size_t before = out->len;
    char hash[MOON_SHA256_HEX];
    int n = r->fields_len <= MOON_AUDIT_LINE_MAX ? audit_fields_split(r->fields, r->fields_len, fields) : -1, rc;
    if (n < 0)
        rc = make_parsed(h, r, chain, out, hash, err);
    else if ((rc = audit_fields_line(h, r, fields, n, chain, out, hash)) != 0)
        no_memory(err);
    if (rc == 0 && out->len - before > MOON_AUDIT_LINE_MAX)
        rc = moon_err_set(err, MOON_ETOOBIG, "an audit line of %zu bytes: the limit is %d", out->len - before,
                          MOON_AUDIT_LINE_MAX);
    if (rc == 0) {
        chain->seq++;
        memcpy(chain->hash, hash, sizeof hash);
    } else if (out->data) {
        out->data[out->len = before] = '\0';
    }
    return rc;
}

/* ---- checking ---- */

static int bad(struct moon_err *err, const char *why) {
    return moon_err_set(err, MOON_EVERIFY, "%s", why);
}

/* The canonical text must be the line itself; its hash is taken over the same object without "hash". */
static int check_text(struct moon_hasher *h, const struct moon_json_value *v, const char *line, size_t len,
                      const char *hash, struct moon_err *err) {
    struct moon_buf text = MOON_BUF_INIT;
    struct moon_json_value rest = {.type = MOON_JSON_OBJECT};
    char computed[MOON_SHA256_HEX];
    int rc = moon_json_write(&text, v);
    if (rc == MOON_ENOMEM)
        goto out;
    if (rc != 0 || text.len != len || memcmp(text.data, line, len) != 0) {
        rc = bad(err, "it is not in canonical form");
        goto out;
    }
    rest.u.object.members = malloc(v->u.object.len * sizeof *rest.u.object.members);
    if (!rest.u.object.members) {
        rc = MOON_ENOMEM;
        goto out;
    }
    for (size_t i = 0; i < v->u.object.len; i++)
        if (v->u.object.members[i].key_len != 4 || memcmp(v->u.object.members[i].key, "hash", 4) != 0)
            rest.u.object.members[rest.u.object.len++] = v->u.object.members[i];
    moon_buf_clear(&text);
    rc = moon_json_write(&text, &rest);
    if (rc == 0)
        rc = moon_sha256_hex(h, text.data, text.len, computed);
    if (rc == 0 && strcmp(computed, hash) != 0)
        rc = bad(err, "its hash does not match its content");
out:
    if (rc == MOON_ENOMEM)
        no_memory(err);
    free(rest.u.object.members);
    moon_buf_release(&text);
    return rc;
}

static const char *hash_member(const struct moon_json_value *v, const char *name) {
    size_t len;
    const char *s = moon_json_get_string(v, name, &len);
    return s && len == MOON_SHA256_HEX - 1 && strspn(s, "0123456789abcdef") == len ? s : NULL;
}

static int phase_of(const struct moon_json_value *v) {
    size_t len;
    const char *s = moon_json_get_string(v, "phase", &len);
    for (int i = 0; s && i < 3; i++)
        if (strcmp(s, audit_phases[i]) == 0 && strlen(s) == len)
            return i;
    return -1;
}

static int check_members(const struct moon_json_value *v, const struct audit_chain *chain, struct audit_facts *facts,
                         struct moon_err *err) {
    const struct moon_json_value *seq = moon_json_get(v, "seq"), *intent = moon_json_get(v, "intent");
    const char *prev = hash_member(v, "prev");
    const char *action = moon_json_get_string(v, "action", NULL);
    int phase = phase_of(v);
    if (!seq || seq->type != MOON_JSON_INT || seq->u.integer < 1)
        return bad(err, "it has no 'seq'");
    if (!prev || !hash_member(v, "hash"))
        return bad(err, "it has no 'prev' or no 'hash'");
    if (phase < 0 || !action || !moon_json_get_string(v, "time", NULL))
        return bad(err, "it has no 'phase', no 'action' or no 'time'");
    if (phase == MOON_AUDIT_OUTCOME && (!intent || intent->type != MOON_JSON_INT))
        return bad(err, "it is an outcome without 'intent'");
    if (!chain->open && (uint64_t)seq->u.integer != chain->seq + 1)
        return moon_err_set(err, MOON_EVERIFY, "its seq is %lld, not %llu", (long long)seq->u.integer,
                            (unsigned long long)chain->seq + 1);
    if (!chain->open && strcmp(prev, chain->hash) != 0)
        return bad(err, chain->seq == 0 ? "its prev is not the 64 zeros of a first line"
                                        : "its prev is not the hash of the line before");
    memcpy(facts->prev, prev, MOON_SHA256_HEX); /* with its NUL: hash_member has checked its length */
    facts->phase = (enum moon_audit_phase)phase;
    facts->intent = phase == MOON_AUDIT_OUTCOME ? (uint64_t)intent->u.integer : 0;
    facts->set_aside = strcmp(action, "torn_line_set_aside") == 0;
    facts->previous = 0;
    const struct moon_json_value *previous = moon_json_get(v, "previous_seq");
    if (strcmp(action, "log_replaced") == 0 && previous && previous->type == MOON_JSON_INT &&
        hash_member(v, "previous_hash")) {
        facts->previous = (uint64_t)previous->u.integer;
        memcpy(facts->previous_hash, hash_member(v, "previous_hash"), MOON_SHA256_HEX - 1);
        facts->previous_hash[MOON_SHA256_HEX - 1] = '\0';
    }
    return 0;
}

int audit_line_check(struct moon_hasher *h, const char *line, size_t len, struct audit_chain *chain,
                     struct audit_facts *facts, struct moon_err *err) {
    struct moon_json_doc doc = {.arena = NULL};
    struct moon_err why;
    struct audit_facts unused;
    if (len + 1 > MOON_AUDIT_LINE_MAX)
        return bad(err, "it is longer than a line may be");
    int rc = moon_json_parse(&doc, line, len, &why);
    if (rc == MOON_ENOMEM)
        return no_memory(err);
    if (rc != 0)
        return moon_err_set(err, MOON_EPARSE, "it is no JSON (%.120s)", why.message);
    if (doc.root.type != MOON_JSON_OBJECT)
        rc = moon_err_set(err, MOON_EPARSE, "it is no JSON object");
    if (rc == 0)
        rc = check_members(&doc.root, chain, facts ? facts : &unused, err);
    if (rc == 0)
        rc = check_text(h, &doc.root, line, len, hash_member(&doc.root, "hash"), err);
    if (rc == 0) {
        chain->seq = (uint64_t)moon_json_get(&doc.root, "seq")->u.integer;
        memcpy(chain->hash, hash_member(&doc.root, "hash"), sizeof chain->hash);
        chain->open = false;
    }
    moon_json_doc_release(&doc);
    return rc;
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
