/* audit_checkpoint.c - <log>.checkpoint: the largest checkpoint of a log that was signed here. */
#include "moongate/audit_log.h"

#include "audit_line.h"
#include "moongate/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_MAX ((size_t)1 << 20)

/* The second line of a checkpoint; -1: it is not one. */
static int64_t size_of(const char *note, size_t len) {
    const char *at = memchr(note, '\n', len);
    size_t left = at ? len - (size_t)(++at - note) : 0, digits = 0;
    int64_t size = 0;
    while (digits < left && digits < 16 && at[digits] >= '0' && at[digits] <= '9')
        size = size * 10 + (at[digits++] - '0');
    return digits > 0 && digits < 16 && digits < left && at[digits] == '\n' ? size : -1;
}

/* The log under its lock, as long as it has its name: fd or a negative code. */
static int lock_log(const char *path, struct moon_err *err) {
    for (int tries = 0; tries < 100; tries++) {
        struct stat have, named;
        off_t end;
        int fd = audit_open_read(path, &end, err);
        if (fd < 0)
            return fd;
        int rc = audit_lock(fd, LOCK_EX, path, &(const struct moon_audit_ops){0}, err);
        if (rc == 0 && fstat(fd, &have) == 0 && stat(path, &named) == 0 && have.st_dev == named.st_dev &&
            have.st_ino == named.st_ino)
            return fd;
        close(fd);
        if (rc != 0)
            return rc;
    }
    return moon_err_set(err, MOON_EIO, "the audit log %s is being replaced all the time", path);
}

static int keep(const char *name, const char *note, size_t len, struct moon_err *err) {
    struct moon_buf old = MOON_BUF_INIT;
    int64_t size = size_of(note, len);
    int rc = moon_file_read(name, NOTE_MAX, NULL, &old, err);
    int64_t before = rc == 0 ? size_of(old.data ? old.data : "", old.len) : 0;
    if (rc == MOON_ENOENT)
        rc = 0;
    if (rc == 0 && size < 0)
        rc = moon_err_set(err, MOON_EINVAL, "not a checkpoint: its second line is not a number of lines");
    else if (rc == 0 && before < 0)
        rc = moon_err_set(err, MOON_EVERIFY, "%s is not a checkpoint", name);
    else if (rc == 0 && before == size && old.data && (old.len != len || memcmp(old.data, note, len) != 0))
        rc = moon_err_set(err, MOON_EVERIFY, "%s: another checkpoint of %lld lines was signed", name, (long long)size);
    else if (rc == 0 && (size > before || !old.data))
        rc = moon_file_replace(name, note, len, 0600, err);
    moon_buf_release(&old);
    return rc;
}

int moon_audit_keep_checkpoint(const char *path, const char *note, size_t len, struct moon_err *err) {
    struct moon_buf name = MOON_BUF_INIT;
    int fd = lock_log(path, err);
    if (fd < 0)
        return fd;
    int rc = moon_buf_printf(&name, "%s.checkpoint", path) != 0 ? moon_err_set(err, MOON_ENOMEM, "out of memory")
                                                                : keep(name.data, note, len, err);
    audit_unlock(fd);
    close(fd);
    moon_buf_release(&name);
    return rc;
}
