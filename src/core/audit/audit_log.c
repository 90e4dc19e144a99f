/* audit_log.c - appending: under the lock, after a look at what others have added, one write and one sync a batch. */
#include "moongate/audit_log.h"

#include "audit_log_private.h"
#include "moongate/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

/* ---- the file and its folder ---- */

static int folder_of(const char *path, struct moon_buf *dir, struct moon_err *err) {
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    int rc = !slash ? moon_buf_puts(dir, ".") : moon_buf_append(dir, path, len == 0 ? 1 : len);
    return rc != 0 ? no_memory(err) : 0;
}

int audit_sync_folder(struct moon_audit_log *log, struct moon_err *err) {
    struct moon_buf dir = MOON_BUF_INIT;
    int rc = folder_of(log->path, &dir, err);
    if (rc == 0) {
        int fd = open(dir.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) /* EINVAL: a file system that can't sync folders */
            rc = moon_err_errno(err, MOON_EIO, errno, "can't sync the folder %s", dir.data);
        if (fd >= 0)
            close(fd);
    }
    moon_buf_release(&dir);
    return rc;
}

static int open_file(struct moon_audit_log *log, struct moon_err *err) {
    struct stat st;
    log->fd = open(log->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (log->fd < 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't open the audit log %s", log->path);
    if (fstat(log->fd, &st) != 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't read the audit log %s", log->path);
    if (!S_ISREG(st.st_mode))
        return moon_err_set(err, MOON_EINVAL, "the audit log %s is not a regular file", log->path);
    log->dev = st.st_dev;
    log->ino = st.st_ino;
    log->folder_unsynced = true;
    log->good_end = log->torn_end = 0;
    audit_chain_init(&log->chain);
    audit_chain_init(&log->synced);
    log->head_differs = log->rotated = false;
    if (!audit_head_read(log->path, &log->head))
        log->head.seq = 0;
    return 0;
}

/* Locks the file that has the name now: somebody may have moved or removed the one we hold. */
int audit_lock_current(struct moon_audit_log *log, struct moon_err *err) {
    struct stat st;
    for (int tries = 0; tries < 100; tries++) {
        int rc = audit_lock(log->fd, LOCK_EX, log->path, &log->ops, err);
        if (rc != 0)
            return rc;
        if (stat(log->path, &st) == 0 && st.st_dev == log->dev && st.st_ino == log->ino)
            return 0;
        close(log->fd);
        rc = open_file(log, err);
        if (rc != 0)
            return rc;
    }
    return moon_err_set(err, MOON_EIO, "the audit log %s is being replaced all the time", log->path);
}

void moon_audit_identify(struct moon_audit_log *log, const char *identity) {
    log->identity = identity;
}

/* ---- appending ---- */

static int write_all(struct moon_audit_log *log, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = log->ops.write(log->fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ENOSPC;
            return -1;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Refuses everything from here on: the file's state is not known any more. */
static int give_up(struct moon_audit_log *log, int errnum, const char *what, struct moon_err *err) {
    log->refused = true;
    return moon_err_errno(err, MOON_EIO, errnum,
                          "can't %s the audit log %s: nothing is appended until it is opened again", what, log->path);
}

static int put_batch(struct moon_audit_log *log, const struct moon_buf *text, struct moon_err *err) {
    if (write_all(log, text->data, text->len) != 0) {
        int why = errno;
        if (log->ops.ftruncate(log->fd, log->good_end) != 0)
            return give_up(log, why, "write or repair", err);
        return moon_err_errno(err, MOON_EIO, why, "can't write the audit log %s", log->path);
    }
    return 0;
}

/* Without the lock: what others append during this comes behind what is synced here. */
static int sync_batch(struct moon_audit_log *log, struct moon_err *err) {
    if (log->ops.fdatasync(log->fd) != 0)
        return give_up(log, errno, "sync", err);
    if (log->folder_unsynced) {
        int rc = audit_sync_folder(log, err);
        if (rc != 0) {
            log->refused = true;
            return rc;
        }
        log->folder_unsynced = false;
    }
    return 0;
}

/* The lines of all records that can be written; the first error of one that can't is kept in *first. */
static int make_lines(struct moon_audit_log *log, struct moon_audit_record *records, size_t n, int64_t wall_ns,
                      struct audit_chain *chain, struct moon_buf *text, struct moon_err *first, struct moon_err *err) {
    int rc = 0;
    if (log->replaced.seq > 0)
        rc = audit_put_replaced_event(log, wall_ns, chain, text, err);
    if (rc == 0 && log->torn_file[0])
        rc = audit_put_torn_event(log, wall_ns, chain, text, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct moon_err why;
        records[i].status = audit_line_make(log->hasher, &records[i], chain, text, &why);
        if (records[i].status == 0)
            records[i].seq = chain->seq;
        else if (records[i].status == MOON_ENOMEM)
            rc = no_memory(err);
        else if (first->code == 0)
            *first = why;
    }
    return rc;
}

int audit_put_event(struct moon_audit_log *log, const struct moon_buf *fields, int64_t wall_ns,
                    struct audit_chain *chain, struct moon_buf *out, struct moon_err *err) {
    struct moon_buf merged = MOON_BUF_INIT;
    if (log->identity)
        moon_audit_merge(fields->data, fields->len, log->identity, strlen(log->identity), &merged, NULL);
    const struct moon_buf *text = merged.len ? &merged : fields;
    const struct moon_audit_record r = {
        .phase = MOON_AUDIT_EVENT, .wall_ns = wall_ns, .fields = text->data, .fields_len = text->len};
    int rc = audit_line_make(log->hasher, &r, chain, out, err);
    moon_buf_release(&merged);
    return rc;
}

int audit_put_text(struct moon_audit_log *log, const struct moon_buf *text, const struct audit_chain *chain,
                   struct moon_err *err) {
    int rc = text->len > 0 ? put_batch(log, text, err) : 0;
    if (rc != 0)
        return rc;
    log->chain = *chain;
    log->good_end += (off_t)text->len;
    log->torn_end = log->good_end;
    if (text->len > 0)
        audit_head_write(log);
    return 0;
}

int audit_append_locked(struct moon_audit_log *log, struct moon_audit_record *records, size_t n, int64_t wall_ns,
                        struct moon_err *first, struct moon_err *err) {
    struct moon_buf text = MOON_BUF_INIT;
    int rc = audit_catch_up(log, err);
    if (rc == 0)
        rc = audit_head_check(log, err);
    if (rc == 0 && log->torn_end > log->good_end)
        rc = audit_set_torn_aside(log, err);
    if (rc == 0 && log->rotated)
        rc = audit_finish_rotation(log, wall_ns, err);
    struct audit_chain chain = log->chain;
    if (rc == 0)
        rc = make_lines(log, records, n, wall_ns, &chain, &text, first, err);
    if (rc == 0)
        rc = audit_put_text(log, &text, &chain, err);
    if (rc == 0) {
        log->torn_file[0] = '\0';
        log->times_replaced += log->replaced.seq > 0;
        log->replaced.seq = 0;
    }
    moon_buf_release(&text);
    return rc;
}

int moon_audit_append(struct moon_audit_log *log, struct moon_audit_record *records, size_t n, bool sync,
                      struct moon_err *err) {
    struct moon_err first = {0, ""};
    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        records[i].seq = 0;
        records[i].status = 0;
    }
    if (log->refused)
        return moon_err_set(err, MOON_EIO,
                            "the audit log %s failed before: nothing is appended until it is opened again", log->path);
    int rc = audit_lock_current(log, err);
    if (rc == 0)
        rc = audit_append_locked(log, records, n, records[0].wall_ns, &first, err);
    if (log->fd >= 0)
        audit_unlock(log->fd);
    else
        log->refused = true;
    for (size_t i = 0; rc == 0 && sync && i < n; i++)
        if (records[i].seq > 0) {
            rc = sync_batch(log, err);
            if (rc == 0)
                log->synced = log->chain;
            break;
        }
    if (rc != 0)
        for (size_t i = 0; i < n; i++)
            records[i].seq = 0;
    else if (err)
        *err = first;
    return rc;
}

/* ---- opening ---- */

static ssize_t system_write(int fd, const void *data, size_t len) {
    return write(fd, data, len);
}

static int make_folder(const char *path, struct moon_err *err) {
    struct moon_buf dir = MOON_BUF_INIT;
    int rc = folder_of(path, &dir, err);
    if (rc == 0)
        rc = moon_file_mkdirs(dir.data, 0700, err);
    moon_buf_release(&dir);
    return rc;
}

static int open_and_check(struct moon_audit_log *log, const char *path, struct moon_err *err) {
    int rc = 0;
    log->path = strdup(path);
    if (!log->path || moon_hasher_new(&log->hasher) != 0)
        return no_memory(err);
    rc = make_folder(path, err);
    if (rc == 0)
        rc = open_file(log, err);
    if (rc == 0)
        rc = audit_lock_current(log, err);
    if (rc == 0)
        rc = audit_catch_up(log, err);
    if (rc == 0)
        rc = audit_head_check(log, err);
    if (log->fd >= 0)
        audit_unlock(log->fd);
    return rc;
}

int moon_audit_open(struct moon_audit_log **out, const char *path, const struct moon_audit_ops *ops,
                    struct moon_err *err) {
    struct moon_audit_log *log = calloc(1, sizeof *log);
    if (!log)
        return no_memory(err);
    log->fd = log->head_fd = -1;
    if (ops)
        log->ops = *ops;
    log->ops.write = log->ops.write ? log->ops.write : system_write;
    log->ops.fdatasync = log->ops.fdatasync ? log->ops.fdatasync : fdatasync;
    log->ops.ftruncate = log->ops.ftruncate ? log->ops.ftruncate : ftruncate;
    int rc = open_and_check(log, path, err);
    if (rc != 0) {
        moon_audit_close(log);
        return rc;
    }
    *out = log;
    return 0;
}

unsigned moon_audit_replaced(const struct moon_audit_log *log) {
    return log->times_replaced;
}

void moon_audit_close(struct moon_audit_log *log) {
    if (!log)
        return;
    if (log->fd >= 0)
        close(log->fd);
    if (log->head_fd >= 0)
        close(log->head_fd);
    moon_hasher_free(log->hasher);
    free(log->path);
    free(log);
}
