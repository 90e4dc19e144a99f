/* audit_merge.c - who, where and for which run an event was written: the members that the session adds to each, merged
 * into its text so that it stays in canonical form. */
#include "moongate/audit_log.h"

#include "../json/json_canonical.h"
#include "audit_line.h"

#include <string.h>

static int put_member(struct moon_buf *out, const struct json_members *m, size_t begin) {
    int rc = moon_buf_putc(out, out->len == begin ? '{' : ',');
    return rc == 0 ? moon_buf_append(out, m->text, (size_t)(m->p - m->text)) : rc;
}

/* Both are in order, and so is what comes out. */
static int merge(struct json_members *event, struct json_members *own, struct moon_buf *out, struct moon_err *err) {
    size_t begin = out->len;
    int have = json_members_next(event), adds = json_members_next(own), rc = 0;
    while ((have == 1 || adds == 1) && rc == 0) {
        int d = have != 1   ? 1
                : adds != 1 ? -1
                            : json_canonical_key_cmp(event->key, event->key_len, own->key, own->key_len);
        if (d == 0 && (own->key_len != 3 || memcmp(own->key, "run", 3) != 0))
            return moon_err_set(err, MOON_EINVAL, "an audit event can't have a member '%.*s': the log sets it",
                                (int)own->key_len, own->key);
        rc = put_member(out, d <= 0 ? event : own, begin);
        if (d <= 0)
            have = json_members_next(event);
        if (d >= 0) /* an event's own run counts: it may tell of another one's message */
            adds = json_members_next(own);
    }
    if (rc == 0 && adds < 0)
        return moon_err_set(err, MOON_EINVAL, "an audit log's identity has to be in canonical form");
    if (rc == 0)
        rc = have < 0 ? MOON_ENOMEM : moon_buf_putc(out, '}'); /* audit_fields has looked at it */
    return rc == MOON_ENOMEM ? moon_err_set(err, rc, "out of memory") : rc;
}

int moon_audit_merge(const char *fields, size_t len, const char *identity, size_t identity_len, struct moon_buf *out,
                     struct moon_err *err) {
    struct json_members event, own;
    struct moon_buf scratch = MOON_BUF_INIT;
    size_t before = out->len;
    int rc = audit_fields(&fields, &len, &scratch, err);
    if (rc == 0) {
        json_members_init(&event, fields, len);
        json_members_init(&own, identity, identity_len);
        rc = merge(&event, &own, out, err);
    }
    if (rc != 0 && out->data)
        out->data[out->len = before] = '\0';
    moon_buf_release(&scratch);
    return rc;
}
