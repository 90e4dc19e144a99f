/* audit_log.c - appending: under the lock, after a look at what others have added, one write and one sync a batch. */
#include "moongate/audit_log.h"

#include "audit_line.h"
#include "moongate/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct moon_audit_log {
    char *path;
    int fd;
    dev_t dev;
    ino_t ino;
    off_t good_end; /* where the last good line ends */
    struct audit_chain chain;
    struct moon_hasher *hasher;
    struct moon_audit_ops ops;
    bool refused;         /* a sync failed, or a partial line could not be cut off: nothing is known any more */
    bool folder_unsynced; /* the file's name is not safely in its folder yet */
    off_t torn_end;       /* > good_end: there is a torn line up to here */
    char torn_file[64];   /* base name of the side file that is not recorded yet; "" */
    size_t torn_bytes;
    char torn_hash[MOON_SHA256_HEX];
};

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- the file and its folder ---- */

static int folder_of(const char *path, struct moon_buf *dir, struct moon_err *err) {
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    int rc = !slash ? moon_buf_puts(dir, ".") : moon_buf_append(dir, path, len == 0 ? 1 : len);
    return rc != 0 ? no_memory(err) : 0;
}

static int sync_folder(struct moon_audit_log *log, struct moon_err *err) {
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
        return moon_err_set(err, MOON_EINVAL, "the audit log %s is no regular file", log->path);
    log->dev = st.st_dev;
    log->ino = st.st_ino;
    log->folder_unsynced = true;
    log->good_end = log->torn_end = 0;
    audit_chain_init(&log->chain);
    return 0;
}

/* Locks the file that has the name now: somebody may have moved or removed the one we hold. */
static int lock_current(struct moon_audit_log *log, struct moon_err *err) {
    struct stat st;
    for (int tries = 0; tries < 100; tries++) {
        int rc = audit_lock(log->fd, LOCK_EX, log->path, err);
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

/* ---- what is in the file beyond what we know ---- */

static int damaged(struct moon_audit_log *log, const char *why, struct moon_err *err) {
    char where[40] = "a line near its end";
    if (!log->chain.open)
        snprintf(where, sizeof where, "line %llu", (unsigned long long)log->chain.seq + 1);
    return moon_err_set(err, MOON_ECORRUPT, "the audit log %s is damaged: %s: %s; nothing is appended to it", log->path,
                        where, why);
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
            log->good_end = scan.line_end;
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

/* A long log is taken up at a line break near its end. */
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
    return found ? 0 : damaged(log, "there is no line break in the last part of it", err);
}

static int catch_up(struct moon_audit_log *log, struct moon_err *err) {
    struct stat st;
    int rc = 0;
    if (fstat(log->fd, &st) != 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't read the audit log %s", log->path);
    if (st.st_size < log->good_end)
        return moon_err_set(err, MOON_ECORRUPT, "the audit log %s was cut short by somebody: it ends before line %llu",
                            log->path, (unsigned long long)log->chain.seq);
    if (st.st_size == log->good_end) {
        log->torn_end = log->good_end;
        return 0;
    }
    if (log->good_end == 0 && st.st_size > MOON_AUDIT_FULL_CHECK)
        rc = start_near_end(log, st.st_size, err);
    return rc != 0 ? rc : check_new_lines(log, st.st_size, err);
}

/* ---- a torn last line ---- */

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
 * between the two steps is taken up where it was. */
static int set_torn_aside(struct moon_audit_log *log, struct moon_err *err) {
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

static int put_torn_event(struct moon_audit_log *log, int64_t wall_ns, struct audit_chain *chain, struct moon_buf *out,
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
    if (rc == MOON_EINVAL) /* a path that is no UTF-8 */
        rc = moon_json_put_string(&fields, log->torn_file, strlen(log->torn_file));
    if (rc == 0)
        rc = moon_buf_putc(&fields, '}');
    if (rc != 0) {
        rc = no_memory(err);
    } else {
        const struct moon_audit_record r = {
            .phase = MOON_AUDIT_EVENT, .wall_ns = wall_ns, .fields = fields.data, .fields_len = fields.len};
        rc = audit_line_make(log->hasher, &r, chain, out, err);
    }
    moon_buf_release(&fields);
    moon_buf_release(&file);
    return rc;
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

static int put_batch(struct moon_audit_log *log, const struct moon_buf *text, bool sync, struct moon_err *err) {
    if (write_all(log, text->data, text->len) != 0) {
        int why = errno;
        if (log->ops.ftruncate(log->fd, log->good_end) != 0)
            return give_up(log, why, "write or repair", err);
        return moon_err_errno(err, MOON_EIO, why, "can't write the audit log %s", log->path);
    }
    if (sync && log->ops.fdatasync(log->fd) != 0)
        return give_up(log, errno, "sync", err);
    if (sync && log->folder_unsynced) {
        int rc = sync_folder(log, err);
        if (rc != 0) {
            log->refused = true;
            return rc;
        }
        log->folder_unsynced = false;
    }
    return 0;
}

/* The lines of all records that can be written; the first error of one that can't is kept in *first. */
static int make_lines(struct moon_audit_log *log, struct moon_audit_record *records, size_t n,
                      struct audit_chain *chain, struct moon_buf *text, struct moon_err *first, struct moon_err *err) {
    int rc = 0;
    if (log->torn_file[0])
        rc = put_torn_event(log, records[0].wall_ns, chain, text, err);
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

static int append_locked(struct moon_audit_log *log, struct moon_audit_record *records, size_t n, bool sync,
                         struct moon_err *first, struct moon_err *err) {
    struct moon_buf text = MOON_BUF_INIT;
    int rc = catch_up(log, err);
    if (rc == 0 && log->torn_end > log->good_end)
        rc = set_torn_aside(log, err);
    struct audit_chain chain = log->chain;
    if (rc == 0)
        rc = make_lines(log, records, n, &chain, &text, first, err);
    if (rc == 0 && text.len > 0)
        rc = put_batch(log, &text, sync, err);
    if (rc == 0) {
        log->chain = chain;
        log->good_end += (off_t)text.len;
        log->torn_end = log->good_end;
        log->torn_file[0] = '\0';
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
    int rc = lock_current(log, err);
    if (rc == 0)
        rc = append_locked(log, records, n, sync, &first, err);
    if (log->fd >= 0)
        audit_unlock(log->fd);
    else
        log->refused = true;
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
        rc = lock_current(log, err);
    if (rc == 0)
        rc = catch_up(log, err);
    if (log->fd >= 0)
        audit_unlock(log->fd);
    return rc;
}

int moon_audit_open(struct moon_audit_log **out, const char *path, const struct moon_audit_ops *ops,
                    struct moon_err *err) {
    const struct moon_audit_ops defaults = {system_write, fdatasync, ftruncate};
    struct moon_audit_log *log = calloc(1, sizeof *log);
    if (!log)
        return no_memory(err);
    log->fd = -1;
    log->ops = ops ? *ops : defaults;
    int rc = open_and_check(log, path, err);
    if (rc != 0) {
        moon_audit_close(log);
        return rc;
    }
    *out = log;
    return 0;
}

void moon_audit_close(struct moon_audit_log *log) {
    if (!log)
        return;
    if (log->fd >= 0)
        close(log->fd);
    moon_hasher_free(log->hasher);
    free(log->path);
    free(log);
}
