/* audit_redact.c - secrets leave an event before it is queued. Strings are looked at one by one, so that what comes out
 * is JSON still. */
#include "moongate/audit_log.h"

#include "audit_line.h"
#include "moongate/redact.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Texts that took the place of others; they live as long as the tree. */
struct kept {
    struct kept *next;
    size_t len;
    char text[];
};

struct redaction {
    const struct moon_redact *redact;
    bool scripts; /* what scripts have registered is blanked, too */
    struct kept *kept;
    struct moon_buf scratch;
};

static int keep(struct redaction *x, const char *text, size_t len, const char **data, size_t *data_len) {
    struct kept *k = malloc(sizeof *k + len + 1);
    if (!k)
        return MOON_ENOMEM;
    memcpy(k->text, text, len);
    k->text[len] = '\0';
    k->len = len;
    k->next = x->kept;
    x->kept = k;
    *data = k->text;
    *data_len = len;
    return 0;
}

static int redact_text(struct redaction *x, const char **data, size_t *len) {
    moon_buf_clear(&x->scratch);
    if (*len == 0)
        return 0;
    int (*redact)(const struct moon_redact *, struct moon_buf *, const char *, size_t) =
        x->scripts ? moon_redact_append : moon_redact_own;
    if (redact(x->redact, &x->scratch, *data, *len) != 0)
        return MOON_ENOMEM;
    if (x->scratch.len == *len && memcmp(x->scratch.data, *data, *len) == 0)
        return 0;
    return keep(x, x->scratch.data, x->scratch.len, data, len);
}

/* Is what stands under this name a secret, whatever it is? Asked of the filter itself: "name=x" comes out as
 * "name=***". */
static int secret_name(struct redaction *x, const struct moon_json_member *m, bool *yes) {
    struct moon_buf probe = MOON_BUF_INIT;
    moon_buf_clear(&x->scratch);
    int rc = moon_buf_append(&probe, m->key, m->key_len);
    if (rc == 0)
        rc = moon_buf_puts(&probe, "=x");
    if (rc == 0)
        rc = moon_redact_append(x->redact, &x->scratch, probe.data, probe.len);
    *yes = rc == 0 && x->scratch.len >= 4 && memcmp(x->scratch.data + x->scratch.len - 4, "=***", 4) == 0;
    moon_buf_release(&probe);
    return rc;
}

static int redact_value(struct redaction *x, struct moon_json_value *v);

/* Members that repeat what another system has said: a script's secret may be in it. */
static bool is_foreign(const struct moon_json_member *m) {
    static const char *const names[] = {"error_message", "message", "reason", "body", "details_error"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == m->key_len && memcmp(names[i], m->key, m->key_len) == 0)
            return true;
    return false;
}

static int redact_member(struct redaction *x, struct moon_json_member *m) {
    bool secret = false, scripts = x->scripts;
    int rc = secret_name(x, m, &secret);
    if (rc != 0)
        return rc;
    bool scalar =
        m->value.type == MOON_JSON_STRING || m->value.type == MOON_JSON_INT || m->value.type == MOON_JSON_NUMBER;
    if (secret && scalar) {
        m->value.type = MOON_JSON_STRING;
        m->value.u.string.data = "***";
        m->value.u.string.len = 3;
    } else {
        x->scripts |= is_foreign(m);
        rc = redact_value(x, &m->value);
        x->scripts = scripts;
    }
    return rc != 0 ? rc : redact_text(x, &m->key, &m->key_len);
}

/* Recursion is bounded by the JSON reader's depth. */
static int redact_value(struct redaction *x, struct moon_json_value *v) {
    int rc = 0;
    if (v->type == MOON_JSON_STRING)
        rc = redact_text(x, &v->u.string.data, &v->u.string.len);
    else if (v->type == MOON_JSON_ARRAY)
        for (size_t i = 0; i < v->u.array.len && rc == 0; i++)
            rc = redact_value(x, &v->u.array.items[i]);
    else if (v->type == MOON_JSON_OBJECT)
        for (size_t i = 0; i < v->u.object.len && rc == 0; i++)
            rc = redact_member(x, &v->u.object.members[i]);
    return rc;
}

/* Text without an escape is what its strings are. When the filter finds nothing in the whole of it, there is nothing in
 * its parts: the common case, at a fraction of the price. True: *out has it. */
static bool nothing_to_hide(const struct moon_redact *redact, const char *fields, size_t len, struct moon_buf *out) {
    size_t before = out->len;
    if (memchr(fields, '\\', len))
        return false;
    if (moon_redact_append(redact, out, fields, len) == 0 && out->len - before == len &&
        memcmp(out->data + before, fields, len) == 0)
        return true;
    out->len = before;
    return false;
}

static int redact_fields(const struct moon_redact *redact, const char *fields, size_t len, struct moon_buf *out,
                         struct moon_err *err) {
    struct redaction x = {.redact = redact};
    struct moon_json_doc doc = {.arena = NULL};
    int rc = moon_json_parse(&doc, fields, len, err);
    if (rc != 0)
        return rc;
    const char *source = moon_json_get_string(&doc.root, "source", NULL);
    x.scripts = source && strcmp(source, "script") == 0;
    rc = redact_value(&x, &doc.root);
    if (rc == 0)
        rc = moon_json_write(out, &doc.root);
    if (rc == MOON_ENOMEM)
        moon_err_set(err, rc, "out of memory");
    else if (rc != 0)
        rc = moon_err_set(err, MOON_EINVAL, "an audit event contains a number that has no exact JSON form");
    for (struct kept *k = x.kept, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    moon_wipe(x.scratch.data, x.scratch.cap);
    moon_buf_release(&x.scratch);
    moon_json_doc_release(&doc);
    return rc;
}

int moon_audit_redact(const struct moon_redact *redact, const char *fields, size_t len, struct moon_buf *out,
                      struct moon_err *err) {
    struct moon_buf scratch = MOON_BUF_INIT;
    int rc = audit_fields(&fields, &len, &scratch, err);
    if (rc == 0 && !nothing_to_hide(redact, fields, len, out))
        rc = redact_fields(redact, fields, len, out, err);
    moon_buf_release(&scratch);
    return rc;
}
