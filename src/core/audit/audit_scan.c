/* audit_scan.c - an audit file's lines, read in blocks, and its lock. */
#include "audit_line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define BLOCK       65536
#define STEP_MAX_US 20000
#define STOP_US     1000000 /* once it is to stop */
#define LOOK_US     1500000 /* then it is of interest who has the lock */

void audit_scan_init(struct audit_scan *s, int fd, off_t start, off_t end) {
    memset(s, 0, sizeof *s);
    s->fd = fd;
    s->read_at = s->line_start = s->line_end = start;
    s->end = end;
}

void audit_scan_release(struct audit_scan *s) {
    moon_buf_release(&s->buf);
}

/* Moves what is left to the front and reads a block behind it. 0 also at the end. */
static int fill(struct audit_scan *s, struct moon_err *err) {
    size_t left = s->buf.len - s->used;
    if (left > 0 && s->buf.data)
        memmove(s->buf.data, s->buf.data + s->used, left);
    s->buf.len = left;
    s->used = 0;
    size_t want = s->end - s->read_at < BLOCK ? (size_t)(s->end - s->read_at) : BLOCK;
    if (moon_buf_reserve(&s->buf, want) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    ssize_t n;
    do
        n = pread(s->fd, s->buf.data + s->buf.len, want, s->read_at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't read the audit log");
    if (n == 0)
        s->end = s->read_at; /* it became shorter */
    s->buf.len += (size_t)n;
    s->read_at += n;
    return 0;
}

static int hand_out(struct audit_scan *s, size_t len, bool terminated, const char **line, size_t *line_len) {
    *line = s->buf.data + s->used;
    *line_len = len;
    s->terminated = terminated;
    s->used += len + terminated;
    s->line_start = s->line_end;
    s->line_end += (off_t)(len + terminated);
    return 1;
}

int audit_scan_next(struct audit_scan *s, const char **line, size_t *len, struct moon_err *err) {
    size_t searched = 0;
    s->overlong = false;
    for (;;) {
        size_t have = s->buf.len - s->used;
        const char *from = s->buf.data ? s->buf.data + s->used : "";
        const char *nl = have > searched ? memchr(from + searched, '\n', have - searched) : NULL;
        if (nl)
            return hand_out(s, (size_t)(nl - from), true, line, len);
        searched = have;
        if (have >= AUDIT_SCAN_MAX) {
            s->overlong = true;
            return hand_out(s, have, false, line, len);
        }
        if (s->read_at >= s->end)
            return have > 0 ? hand_out(s, have, false, line, len) : 0;
        int rc = fill(s, err);
        if (rc != 0)
            return rc;
    }
}

/* The process that has an flock on the file: its pid, 0: not to be seen from here (another container, or none). */
static long holder_of(int fd) {
    struct stat st;
    char line[256];
    long found = 0;
    FILE *f = fstat(fd, &st) == 0 ? fopen("/proc/locks", "re") : NULL;
    while (f && found == 0 && fgets(line, sizeof line, f)) {
        /* "1: FLOCK  ADVISORY  WRITE 7423 fe:01:1835 0 EOF"; "1: -> FLOCK" waits */
        char *at = strstr(line, ": FLOCK ");
        for (int word = 0; at && word < 3; word++) { /* ":", "FLOCK", "ADVISORY"; the mode is next */
            at = strchr(at, ' ');
            at += at ? strspn(at, " ") : 0;
        }
        if (!at)
            continue;
        at += strcspn(at, " ");
        long pid = strtol(at, &at, 10);
        unsigned long dev_major = strtoul(at, &at, 16), dev_minor = *at == ':' ? strtoul(at + 1, &at, 16) : 0;
        unsigned long long inode = *at == ':' ? strtoull(at + 1, NULL, 10) : 0;
        if (inode == (unsigned long long)st.st_ino && pid > 0 && dev_major == major(st.st_dev) &&
            dev_minor == minor(st.st_dev))
            found = pid;
    }
    if (f)
        fclose(f);
    return found;
}

/* Stopped by Ctrl-Z or SIGSTOP: its state is the first field after the name in brackets. */
static bool is_stopped(long pid) {
    char path[40], text[256];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    const char *state = strrchr(text, ')');
    return state && (strncmp(state, ") T", 3) == 0 || strncmp(state, ") t", 3) == 0);
}

static int still_held(int fd, const char *path, int64_t waited_us, struct moon_err *err) {
    long pid = holder_of(fd), seconds = (long)(waited_us / 1000000);
    if (pid == 0)
        return moon_err_set(err, MOON_ETIMEOUT, "%s: another process has held its lock for %ld s", path, seconds);
    if (is_stopped(pid))
        return moon_err_set(
            err, MOON_ETIMEOUT,
            "%s: process %ld has held its lock for %ld s and is stopped: resume it with kill -CONT %ld, "
            "or end it",
            path, pid, seconds, pid);
    return moon_err_set(err, MOON_ETIMEOUT, "%s: process %ld has held its lock for %ld s", path, pid, seconds);
}

/* flock has no deadline of its own, and a stopped process may hold it for ever. Runs on a pool thread or in a command
 * that has nothing else to do. */
int audit_lock(int fd, int how, const char *path, const struct moon_audit_ops *ops, struct moon_err *err) {
    int64_t slept_us = 0, step_us = 200, since_stop_us = 0;
    int64_t wait_us = (ops->wait_s > 0 ? ops->wait_s : MOON_AUDIT_LOCK_S) * INT64_C(1000000);
    while (flock(fd, how | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            return moon_err_errno(err, MOON_EIO, errno, "can't lock %s", path);
        if (slept_us >= wait_us || since_stop_us >= STOP_US)
            return still_held(fd, path, slept_us, err);
        if (ops->holder && step_us == STEP_MAX_US && slept_us < LOOK_US && slept_us + step_us >= LOOK_US) {
            long pid = holder_of(fd);
            atomic_store(ops->holder, is_stopped(pid) ? -pid : pid);
        }
        struct timespec t = {0, (long)step_us * 1000};
        nanosleep(&t, NULL); /* allow: nanosleep, because this is never the loop's thread */
        slept_us += step_us;
        since_stop_us += ops->stop && atomic_load(ops->stop) ? step_us : 0;
        step_us = step_us < STEP_MAX_US ? step_us * 2 : STEP_MAX_US;
        step_us = step_us > STEP_MAX_US ? STEP_MAX_US : step_us;
    }
    return 0;
}

void audit_unlock(int fd) {
    flock(fd, LOCK_UN);
}

int audit_open_read(const char *path, off_t *end, struct moon_err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hang us */
    if (fd < 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't open %s", path);
    int rc = fstat(fd, &st) != 0    ? moon_err_errno(err, MOON_EIO, errno, "can't read %s", path)
             : !S_ISREG(st.st_mode) ? moon_err_set(err, MOON_EINVAL, "%s is not a regular file", path)
                                    : audit_lock(fd, LOCK_SH, path, &(const struct moon_audit_ops){0}, err);
    if (rc == 0 && fstat(fd, &st) != 0)
        rc = moon_err_errno(err, MOON_EIO, errno, "can't read %s", path);
    audit_unlock(fd);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    *end = st.st_size;
    return fd;
}
