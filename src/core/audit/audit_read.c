/* audit_read.c - the lines that a filter lets through, for people to look at. Checks no hashes. */
#include "moongate/audit_log.h"

#include "audit_line.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool member_is(const struct moon_json_value *v, const char *name, const char *wanted) {
    size_t len;
    const char *s = moon_json_get_string(v, name, &len);
    return s && strlen(wanted) == len && memcmp(s, wanted, len) == 0;
}

/* Both bounds may be the beginning of a time; the 'Z' of one that isn't whole would sort behind the milliseconds. */
static size_t bound_len(const char *bound) {
    size_t n = strlen(bound);
    return n > 0 && n < 24 && bound[n - 1] == 'Z' ? n - 1 : n;
}

static bool in_time(const struct moon_json_value *v, const struct moon_audit_filter *f) {
    const char *time = moon_json_get_string(v, "time", NULL);
    if (!time)
        return !f->since && !f->until;
    if (f->since && strncmp(time, f->since, bound_len(f->since)) < 0)
        return false;
    return !f->until || strncmp(time, f->until, bound_len(f->until)) <= 0;
}

static bool matches(const struct moon_json_value *v, const struct moon_audit_filter *f) {
    return (!f->action || member_is(v, "action", f->action)) && (!f->phase || member_is(v, "phase", f->phase)) &&
           (!f->run || member_is(v, "run", f->run)) && (!f->plan || member_is(v, "plan", f->plan)) &&
           (!f->outcome || member_is(v, "outcome", f->outcome) || member_is(v, "status", f->outcome)) &&
           (!f->correlation_id || member_is(v, "correlation_id", f->correlation_id) ||
            member_is(v, "correlationId", f->correlation_id)) &&
           in_time(v, f);
}

/* The lengths of the last lines kept, in a ring, so that the oldest can go. */
struct keep {
    size_t *len;
    size_t first, count, max;
    size_t dropped; /* bytes at the front of out that no longer count */
};

static int keep_line(struct keep *k, struct moon_buf *out, size_t before, const char *line, size_t len) {
    if (moon_buf_append(out, line, len) != 0 || moon_buf_putc(out, '\n') != 0)
        return MOON_ENOMEM;
    if (!k->len)
        return 0;
    if (k->count == k->max) {
        k->dropped += k->len[k->first];
        k->first = (k->first + 1) % k->max;
        k->count--;
    }
    k->len[(k->first + k->count++) % k->max] = len + 1;
    if (k->dropped > 1024 * 1024) {
        memmove(out->data + before, out->data + before + k->dropped, out->len - before - k->dropped);
        out->len -= k->dropped;
        k->dropped = 0;
    }
    return 0;
}

static int read_lines(int fd, off_t end, const struct moon_audit_filter *f, size_t max_bytes, struct keep *k,
                      struct moon_buf *out, uint64_t *skipped, struct moon_err *err) {
    struct audit_scan scan;
    size_t before = out->len, len;
    const char *line;
    int rc;
    bool in_overlong = false;
    audit_scan_init(&scan, fd, 0, end);
    while ((rc = audit_scan_next(&scan, &line, &len, err)) == 1) {
        struct moon_json_doc doc;
        bool rest = in_overlong;
        in_overlong = scan.overlong;
        int bad = rest || scan.overlong ? MOON_EPARSE : moon_json_parse(&doc, line, len, NULL);
        if (bad == MOON_ENOMEM) {
            rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
            break;
        }
        if (bad != 0) {
            *skipped += !rest;
            continue;
        }
        bool wanted = matches(&doc.root, f);
        moon_json_doc_release(&doc);
        rc = wanted ? keep_line(k, out, before, line, len) : 0;
        if (rc != 0) {
            rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
            break;
        }
        if (out->len - before - k->dropped > max_bytes) {
            rc = moon_err_set(err, MOON_ETOOBIG, "more than %zu bytes match: narrow the filter", max_bytes);
            break;
        }
    }
    audit_scan_release(&scan);
    if (rc == 0 && k->dropped > 0) {
        memmove(out->data + before, out->data + before + k->dropped, out->len - before - k->dropped);
        out->data[out->len -= k->dropped] = '\0';
    }
    return rc;
}

int moon_audit_read(const char *path, const struct moon_audit_filter *filter, size_t max_bytes, struct moon_buf *out,
                    uint64_t *skipped, struct moon_err *err) {
    struct keep keep = {.max = filter->last < 1000000 ? filter->last : 1000000};
    off_t end;
    *skipped = 0;
    int rc = 0, fd = audit_open_read(path, &end, err);
    if (fd < 0)
        return fd;
    if (keep.max > 0) {
        keep.len = calloc(keep.max, sizeof *keep.len);
        if (!keep.len)
            rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    if (rc == 0)
        rc = read_lines(fd, end, filter, max_bytes, &keep, out, skipped, err);
    free(keep.len);
    close(fd);
    return rc;
}
