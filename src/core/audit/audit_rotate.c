/* audit_rotate.c - closes a log as a segment and continues in a new file, in one chain, one numbering and one tree.
 *
 * The last line of a segment is the event "audit_rotated"; the file then gets the segment's name as a second one, and a
 * new file whose first line is "audit_continued" takes the log's name over by one rename: there is no moment without a
 * log. After a crash in between, the log ends with "audit_rotated", and the next program that opens it does what is
 * left. */
#include "audit_log_private.h"
#include "moongate/audit_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".jsonl"

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

/* The number of the first line of the file. */
static int first_seq(const struct moon_audit_log *log, uint64_t *out, struct moon_err *err) {
    struct audit_scan scan;
    struct moon_json_doc doc;
    const char *line;
    size_t len;
    audit_scan_init(&scan, log->fd, 0, log->good_end);
    int rc = audit_scan_next(&scan, &line, &len, err);
    if (rc == 1) {
        rc = moon_json_parse(&doc, line, len, err);
        if (rc == 0) {
            const struct moon_json_value *seq = moon_json_get(&doc.root, "seq");
            if (seq && seq->type == MOON_JSON_INT)
                *out = (uint64_t)seq->u.integer;
            else
                rc = moon_err_set(err, MOON_ECORRUPT, "the first line of the audit log %s has no seq", log->path);
            moon_json_doc_release(&doc);
        }
    } else if (rc == 0) {
        rc = moon_err_set(err, MOON_ENOENT, "the audit log %s is empty", log->path);
    }
    audit_scan_release(&scan);
    return rc;
}

/* "<folder>/audit-<first>-<last>.jsonl" for "<folder>/audit.jsonl". */
static int segment_name(const struct moon_audit_log *log, uint64_t last, struct moon_buf *out, struct moon_err *err) {
    uint64_t first = 0;
    int rc = first_seq(log, &first, err);
    if (rc != 0)
        return rc;
    size_t len = strlen(log->path), suffix = strlen(SUFFIX);
    if (len > suffix && strcmp(log->path + len - suffix, SUFFIX) == 0)
        len -= suffix;
    rc = moon_buf_printf(out, "%.*s-%" PRIu64 "-%" PRIu64 SUFFIX, (int)len, log->path, first, last);
    return rc != 0 ? no_memory(err) : 0;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int put_name(struct moon_buf *out, const char *path) {
    const char *name = base_name(path);
    return moon_json_put_text(out, name, strlen(name), NAME_MAX);
}

/* The tree of all lines up to the log's end. */
static int tree_of(struct moon_audit_log *log, struct moon_audit_tree *out, struct moon_err *err) {
    int rc = moon_audit_tree_of(log->fd, log->good_end, log->path, out, err);
    if (rc == 0 && (uint64_t)out->size != log->chain.seq)
        rc = moon_err_set(err, MOON_ECORRUPT, "the audit log %s has %lld lines, and its last one is number %llu",
                          log->path, (long long)out->size, (unsigned long long)log->chain.seq);
    return rc;
}

static int rotated_line(struct moon_audit_log *log, int64_t wall_ns, struct audit_chain *chain, struct moon_buf *out,
                        struct moon_err *err) {
    struct moon_buf fields = MOON_BUF_INIT;
    struct moon_audit_tree tree;
    char root[MOON_SHA256_HEX];
    int rc = tree_of(log, &tree, err);
    if (rc == 0) {
        moon_hex(tree.root, MOON_SHA256_SIZE, root);
        rc = moon_buf_puts(&fields, "{\"action\":\"audit_rotated\",\"next\":");
        if (rc == 0)
            rc = put_name(&fields, log->path);
        if (rc == 0)
            rc = moon_buf_printf(&fields, ",\"root\":\"%s\",\"size\":%lld}", root, (long long)tree.size);
        rc = rc != 0 ? no_memory(err) : audit_put_event(log, &fields, wall_ns, chain, out, err);
    }
    moon_audit_tree_release(&tree);
    moon_buf_release(&fields);
    return rc;
}

static int continued_line(struct moon_audit_log *log, const char *segment, int64_t wall_ns, struct audit_chain *chain,
                          struct moon_buf *out, struct moon_err *err) {
    struct moon_buf fields = MOON_BUF_INIT;
    struct moon_audit_tree tree;
    int rc = tree_of(log, &tree, err);
    if (rc == 0) {
        rc = moon_buf_puts(&fields, "{\"action\":\"audit_continued\",\"frontier\":[");
        for (unsigned i = 0; i < tree.frontier.subtrees && rc == 0; i++) {
            char hex[MOON_SHA256_HEX];
            moon_hex(tree.frontier.subtree[i], MOON_SHA256_SIZE, hex);
            rc = moon_buf_printf(&fields, "%s\"%s\"", i > 0 ? "," : "", hex);
        }
        if (rc == 0)
            rc = moon_buf_puts(&fields, "],\"previous\":");
        if (rc == 0)
            rc = put_name(&fields, segment);
        if (rc == 0)
            rc = moon_buf_printf(&fields, ",\"size\":%lld}", (long long)tree.size);
        rc = rc != 0 ? no_memory(err) : audit_put_event(log, &fields, wall_ns, chain, out, err);
    }
    moon_audit_tree_release(&tree);
    moon_buf_release(&fields);
    return rc;
}

/* A new file with this text, safe on the disk, under our lock and no name that others look at. fd or a negative code.
 */
static int make_next(const struct moon_audit_log *log, const char *path, const struct moon_buf *text,
                     struct moon_err *err) {
    unlink(path); /* of a rotation that a crash cut off; the log's lock is ours */
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't make %s", path);
    if (log->ops.write(fd, text->data, text->len) == (ssize_t)text->len && log->ops.fdatasync(fd) == 0 &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int why = errno ? errno : ENOSPC;
    close(fd);
    unlink(path);
    return moon_err_errno(err, MOON_EIO, why, "can't write %s", path);
}

/* Gives the log's file the segment's name, too; done already is as good. */
static int name_segment(const struct moon_audit_log *log, const char *segment, struct moon_err *err) {
    struct stat st;
    if (link(log->path, segment) == 0)
        return 0;
    int why = errno;
    if (why == EEXIST && stat(segment, &st) == 0 && st.st_dev == log->dev && st.st_ino == log->ino)
        return 0;
    return moon_err_errno(err, MOON_EIO, why, "can't give the audit log %s the name %s", log->path, segment);
}

int audit_finish_rotation(struct moon_audit_log *log, int64_t wall_ns, struct moon_err *err) {
    struct moon_buf segment = MOON_BUF_INIT, next = MOON_BUF_INIT, text = MOON_BUF_INIT;
    struct audit_chain chain = log->chain;
    int fd = -1, rc = segment_name(log, log->chain.seq, &segment, err);
    if (rc == 0 && moon_buf_printf(&next, "%s.next", log->path) != 0)
        rc = no_memory(err);
    if (rc == 0)
        rc = continued_line(log, segment.data, wall_ns, &chain, &text, err);
    if (rc == 0 && log->ops.fdatasync(log->fd) != 0)
        rc = moon_err_errno(err, MOON_EIO, errno, "can't sync the audit log %s", log->path);
    if (rc == 0 && (fd = make_next(log, next.data, &text, err)) < 0)
        rc = fd;
    if (rc == 0)
        rc = name_segment(log, segment.data, err);
    if (rc == 0)
        rc = audit_sync_folder(log, err);
    if (rc == 0 && rename(next.data, log->path) != 0)
        rc = moon_err_errno(err, MOON_EIO, errno, "can't rename %s to %s", next.data, log->path);
    if (rc == 0) { /* the new file is the log from here on */
        struct stat st;
        close(log->fd);
        log->fd = fd;
        fd = -1;
        log->dev = fstat(log->fd, &st) == 0 ? st.st_dev : 0;
        log->ino = st.st_ino;
        log->good_end = log->torn_end = (off_t)text.len;
        log->chain = log->synced = chain;
        log->rotated = false;
        audit_head_write(log);
        rc = audit_sync_folder(log, err);
    }
    if (fd >= 0) {
        close(fd);
        unlink(next.data);
    }
    moon_buf_release(&segment);
    moon_buf_release(&next);
    moon_buf_release(&text);
    return rc;
}

/* Found out before "audit_rotated" is written: from then on nothing can be appended until the name is free. */
static int check_name(const struct moon_audit_log *log, struct moon_err *err) {
    struct moon_buf name = MOON_BUF_INIT;
    int rc = segment_name(log, log->chain.seq + 1, &name, err);
    if (rc == 0 && access(name.data, F_OK) == 0)
        rc = moon_err_set(err, MOON_EEXIST, "%s exists: it is where the audit log's lines up to now would go",
                          name.data);
    moon_buf_release(&name);
    return rc;
}

static int rotate_locked(struct moon_audit_log *log, int64_t wall_ns, bool keep_open_intents, struct moon_err *err) {
    struct moon_buf text = MOON_BUF_INIT;
    int rc = audit_append_locked(log, NULL, 0, wall_ns, NULL, err); /* what others added, a torn end, a crash's rest */
    if (rc == 0 && log->chain.seq == 0)
        rc = moon_err_set(err, MOON_ENOENT, "the audit log %s is empty", log->path);
    if (rc == 0 && !keep_open_intents) {
        uint64_t first = 0, open = 0;
        rc = audit_open_intents(log->fd, log->good_end, log->hasher, &first, &open, err);
        if (rc == 0 && open > 0)
            rc = moon_err_set(err, MOON_EBUSY,
                              "the audit log %s has intents without an outcome: %llu, the first is seq %llu", log->path,
                              (unsigned long long)open, (unsigned long long)first);
    }
    if (rc == 0)
        rc = check_name(log, err);
    struct audit_chain chain = log->chain;
    if (rc == 0)
        rc = rotated_line(log, wall_ns, &chain, &text, err);
    if (rc == 0)
        rc = audit_put_text(log, &text, &chain, err);
    if (rc == 0) {
        log->rotated = true;
        rc = audit_finish_rotation(log, wall_ns, err);
    }
    moon_buf_release(&text);
    return rc;
}

int moon_audit_rotate(struct moon_audit_log *log, int64_t wall_ns, bool keep_open_intents, struct moon_err *err) {
    int rc = audit_lock_current(log, err);
    if (rc == 0)
        rc = rotate_locked(log, wall_ns, keep_open_intents, err);
    if (log->fd >= 0)
        audit_unlock(log->fd);
    return rc;
}
