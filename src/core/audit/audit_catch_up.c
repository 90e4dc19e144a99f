/* audit_catch_up.c - what is in an audit log beyond what we know of it: others' lines, damage, a torn end. */
#include "audit_log_private.h"
#include "moongate/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

static int damaged(struct moon_audit_log *log, const char *why, struct moon_err *err) {
    char where[40] = "a line near its end";
    if (!log->chain.open)
        snprintf(where, sizeof where, "line %llu", (unsigned long long)log->chain.seq + 1);
    return moon_err_set(err, MOON_ECORRUPT, "the audit log %s is damaged: %s: %s; nothing is appended to it", log->path,
                        where, why);
}

/* The line that was just read: is it the one that the head is of? */
static void compare_head(struct moon_audit_log *log) {
    if (log->head.seq > 0 && log->chain.seq == log->head.seq)
        log->head_differs = memcmp(log->chain.hash, log->head.hash, sizeof log->head.hash) != 0;
}

static void took_line(struct moon_audit_log *log, const struct audit_scan *scan, off_t size, const char *line,
                      size_t len) {
    compare_head(log);
    log->good_end = scan->line_end;
    log->rotated = scan->line_end >= size && audit_line_is(line, len, "audit_rotated");
}

/* A log that continues a segment starts with a number and a hash of its own. */
static int look_at_start(struct moon_audit_log *log, off_t size, struct moon_err *err) {
    struct audit_scan scan;
    const char *line;
    size_t len;
    audit_scan_init(&scan, log->fd, 0, size);
    int rc = audit_scan_next(&scan, &line, &len, err);
    if (rc == 1 && scan.terminated)
        log->chain.open = audit_line_is(line, len, "audit_continued");
    audit_scan_release(&scan);
    return rc < 0 ? rc : 0;
}

/* Checks the lines from good_end to size and moves good_end on. A torn last line stays beyond it. */
static int check_new_lines(struct moon_audit_log *log, off_t size, struct moon_err *err) {
    struct audit_scan scan;
    struct moon_err why;
    const char *line;
    size_t len;
    int rc;
    audit_scan_init(&scan, log->fd, log->good_end, size);
    while ((rc = audit_scan_next(&scan, &line, &len, err)) == 1) {
        struct audit_chain before = log->chain;
        int bad = audit_line_check(log->hasher, line, len, &log->chain, NULL, &why);
        bool last = scan.line_end >= size;
        if (bad == MOON_ENOMEM) {
            rc = no_memory(err);
            break;
        }
        if (bad == 0 && scan.terminated) {
            took_line(log, &scan, size, line, len);
            continue;
        }
        log->chain = before;
        bool torn = last && !scan.overlong && !before.open && (bad == 0 || bad == MOON_EPARSE || !scan.terminated) &&
                    audit_line_torn(log->hasher, line, len, scan.terminated, &before);
        rc = torn ? 0 : damaged(log, bad == 0 ? "it has no line break" : why.message, err);
        break;
    }
    audit_scan_release(&scan);
    log->torn_end = size;
    return rc;
}

/* A long log is read from a line break near its end. */
static int start_near_end(struct moon_audit_log *log, off_t size, struct moon_err *err) {
    struct audit_scan scan;
    const char *line;
    size_t len;
    off_t start = size - MOON_AUDIT_TAIL_CHECK;
    audit_scan_init(&scan, log->fd, start, size);
    int rc = audit_scan_next(&scan, &line, &len, err); /* the rest of a line that began before */
    log->good_end = scan.line_end;
    log->chain.open = true;
    bool found = rc == 1 && scan.terminated;
    audit_scan_release(&scan);
    if (rc < 0)
        return rc;
    return found ? 0 : damaged(log, "no line break in its last part", err);
}

int audit_catch_up(struct moon_audit_log *log, struct moon_err *err) {
    struct stat st;
    int rc = 0;
    if (fstat(log->fd, &st) != 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't read the audit log %s", log->path);
    if (st.st_size == 0 && log->good_end > 0) { /* emptied, as logrotate's copytruncate does: it starts again */
        log->replaced = log->chain;
        log->good_end = 0;
        audit_chain_init(&log->chain);
    }
    if (st.st_size < log->good_end)
        return moon_err_set(err, MOON_ECORRUPT, "the audit log %s was truncated: it ends before line %llu", log->path,
                            (unsigned long long)log->chain.seq);
    if (st.st_size == log->good_end) {
        log->torn_end = log->good_end;
        return 0;
    }
    off_t all = log->ops.full_check > 0 ? log->ops.full_check : MOON_AUDIT_FULL_CHECK;
    if (log->good_end == 0 && st.st_size > all && st.st_size > MOON_AUDIT_TAIL_CHECK)
        rc = start_near_end(log, st.st_size, err);
    else if (log->good_end == 0)
        rc = look_at_start(log, st.st_size, err);
    return rc != 0 ? rc : check_new_lines(log, st.st_size, err);
}

/* ---- a torn last line ---- */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int read_range(int fd, off_t from, off_t to, struct moon_buf *out, struct moon_err *err) {
    if (moon_buf_reserve(out, (size_t)(to - from)) != 0)
        return no_memory(err);
    while (from < to) {
        ssize_t n = pread(fd, out->data + out->len, (size_t)(to - from), from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return moon_err_errno(err, MOON_EIO, n < 0 ? errno : EIO, "can't read the audit log");
        out->len += (size_t)n;
        from += n;
    }
    return 0;
}

/* Its bytes are safe in the side file before they leave the log. The name comes from the content, so that a crash
 * between the two steps is resumed where it was. */
int audit_set_torn_aside(struct moon_audit_log *log, struct moon_err *err) {
    struct moon_buf bytes = MOON_BUF_INIT, path = MOON_BUF_INIT;
    int rc = read_range(log->fd, log->good_end, log->torn_end, &bytes, err);
    if (rc == 0 && moon_sha256_hex(log->hasher, bytes.data, bytes.len, log->torn_hash) != 0)
        rc = no_memory(err);
    if (rc != 0)
        goto out;
    snprintf(log->torn_file, sizeof log->torn_file, ".torn-%llu-%.8s", (unsigned long long)log->chain.seq + 1,
             log->torn_hash);
    log->torn_bytes = bytes.len;
    if (moon_buf_puts(&path, log->path) != 0 || moon_buf_puts(&path, log->torn_file) != 0)
        rc = no_memory(err);
    if (rc == 0)
        rc = moon_file_replace(path.data, bytes.data, bytes.len, 0600, err);
    if (rc == 0 && log->ops.ftruncate(log->fd, log->good_end) != 0)
        rc = moon_err_errno(err, MOON_EIO, errno, "can't cut the torn line off the audit log %s", log->path);
    if (rc == 0)
        log->torn_end = log->good_end;
    else
        log->torn_file[0] = '\0';
out:
    moon_buf_release(&bytes);
    moon_buf_release(&path);
    return rc;
}

int audit_put_torn_event(struct moon_audit_log *log, int64_t wall_ns, struct audit_chain *chain, struct moon_buf *out,
                         struct moon_err *err) {
    struct moon_buf fields = MOON_BUF_INIT, file = MOON_BUF_INIT;
    int rc = moon_buf_puts(&file, base_name(log->path));
    if (rc == 0)
        rc = moon_buf_puts(&file, log->torn_file);
    if (rc == 0)
        rc = moon_buf_printf(&fields, "{\"action\":\"torn_line_set_aside\",\"bytes\":%zu,\"sha256\":\"%s\",\"file\":",
                             log->torn_bytes, log->torn_hash);
    if (rc == 0)
        rc = moon_json_put_string(&fields, file.data, file.len);
    if (rc == MOON_EINVAL) /* a path that is not UTF-8 */
        rc = moon_json_put_string(&fields, log->torn_file, strlen(log->torn_file));
    if (rc == 0)
        rc = moon_buf_putc(&fields, '}');
    if (rc != 0) {
        rc = no_memory(err);
    } else {
        rc = audit_put_event(log, &fields, wall_ns, chain, out, err);
    }
    moon_buf_release(&fields);
    moon_buf_release(&file);
    return rc;
}
