/* audit_merge.c - who, where and for which run an event was written: the members that the session adds to each, merged
 * into its text so that it stays in canonical form. */
#include "moongate/audit_log.h"

#include "audit_fields.h"

#include "moongate/json_value.h"

#include <string.h>

static int compare(const struct audit_field *a, const struct audit_field *b) {
    int d = memcmp(a->text + 1, b->text + 1, a->key_len < b->key_len ? a->key_len : b->key_len);
    return d != 0 ? d : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static bool is_run(const struct audit_field *f) {
    return f->key_len == 3 && memcmp(f->text + 1, "run", 3) == 0;
}

static int taken(struct moon_err *err, const char *key, size_t len) {
    return moon_err_set(err, MOON_EINVAL, "an audit event can't have a member '%.*s': the log sets it", (int)len, key);
}

/* Both lists are in order, and so is what comes out. */
static int merge_plain(const struct audit_field *f, int n, const struct audit_field *own, int n_own,
                       struct moon_buf *out, struct moon_err *err) {
    int i = 0, k = 0, rc = 0;
    char before = '{';
    while ((i < n || k < n_own) && rc == 0) {
        int d = i == n ? 1 : k == n_own ? -1 : compare(&f[i], &own[k]);
        if (d == 0 && !is_run(&f[i]))
            return taken(err, f[i].text + 1, f[i].key_len);
        const struct audit_field *next = d <= 0 ? &f[i] : &own[k];
        rc = moon_buf_putc(out, before);
        if (rc == 0)
            rc = moon_buf_append(out, next->text, next->len);
        before = ',';
        i += d <= 0;
        k += d >= 0; /* an event's own run counts: it may tell of another one's message */
    }
    return rc == 0 ? moon_buf_putc(out, '}') : rc;
}

/* The event is of any form; what comes out is brought into order when its line is made. */
static int merge_parsed(const char *fields, size_t len, const struct audit_field *own, int n_own, struct moon_buf *out,
                        struct moon_err *err) {
    struct moon_json_doc doc = {.arena = NULL};
    int rc = moon_json_parse(&doc, fields, len, err);
    if (rc != 0)
        return rc;
    size_t end = len;
    while (end > 0 && fields[end - 1] != '}')
        end--;
    rc = moon_buf_append(out, fields, end - 1);
    for (int i = 0; i < n_own && rc == 0; i++) {
        char key[32];
        size_t n = own[i].key_len < sizeof key ? own[i].key_len : sizeof key - 1;
        memcpy(key, own[i].text + 1, n);
        key[n] = '\0';
        bool has = moon_json_get(&doc.root, key) != NULL;
        if (has && !is_run(&own[i])) {
            rc = taken(err, key, n);
            goto out;
        }
        if (!has && (rc = moon_buf_putc(out, ',')) == 0) /* an event has at least its action */
            rc = moon_buf_append(out, own[i].text, own[i].len);
    }
    if (rc == 0)
        rc = moon_buf_putc(out, '}');
out:
    moon_json_doc_release(&doc);
    return rc;
}

int moon_audit_merge(const char *fields, size_t len, const char *identity, size_t identity_len, struct moon_buf *out,
                     struct moon_err *err) {
    struct audit_field f[AUDIT_FIELDS_MAX], own[AUDIT_FIELDS_MAX];
    int n = audit_fields_split(fields, len, f), n_own = audit_fields_split_any(identity, identity_len, own), rc;
    size_t before = out->len;
    if (n_own < 0)
        return moon_err_set(err, MOON_EINVAL, "an audit log's identity has to be in canonical form");
    rc = n >= 0 ? merge_plain(f, n, own, n_own, out, err) : merge_parsed(fields, len, own, n_own, out, err);
    if (rc != 0 && out->data)
        out->data[out->len = before] = '\0';
    return rc == MOON_ENOMEM ? moon_err_set(err, rc, "out of memory") : rc;
}
