/* file.c - whole files, read and replaced atomically. */
#include "moongate/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

int moon_file_read(const char *path, size_t max, struct moon_buf *out, struct moon_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hang us */
    if (fd < 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't open %s", path);
    return moon_file_read_opened(fd, path, max, out, err);
}

int moon_file_read_opened(int fd, const char *path, size_t max, struct moon_buf *out, struct moon_err *err) {
    size_t before = out->len;
    int rc = 0;
    struct stat st;
    if (fstat(fd, &st) != 0) {
        rc = moon_err_errno(err, MOON_EIO, errno, "can't read %s", path);
        goto out;
    }
    if (S_ISDIR(st.st_mode)) {
        rc = moon_err_set(err, MOON_EINVAL, "%s is a directory, not a file", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = moon_err_set(err, MOON_EINVAL, "%s is not a regular file", path);
        goto out;
    }
    if (st.st_size > 0 && (size_t)st.st_size > max) {
        rc = moon_err_set(err, MOON_ETOOBIG, "%s has %lld bytes, the limit is %zu", path, (long long)st.st_size, max);
        goto out;
    }
    for (;;) {
        size_t room = st.st_size > 0 && out->len == before ? (size_t)st.st_size + 1 : 65536;
        if (moon_buf_reserve(out, room) != 0) {
            rc = moon_err_set(err, MOON_ENOMEM, "out of memory reading %s", path);
            goto out;
        }
        ssize_t n = read(fd, out->data + out->len, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = moon_err_errno(err, MOON_EIO, errno, "can't read %s", path);
            goto out;
        }
        out->len += (size_t)n;
        out->data[out->len] = '\0';
        if (out->len - before > max) {
            rc = moon_err_set(err, MOON_ETOOBIG, "%s is larger than the limit of %zu bytes", path, max);
            goto out;
        }
        if (n == 0)
            break;
    }
out:
    close(fd);
    if (rc != 0 && out->data) {
        out->len = before;
        out->data[before] = '\0';
    }
    return rc;
}

/* Looks at *stop ten times a second while nothing comes. */
int moon_file_read_fd(int fd, size_t max, const atomic_bool *stop, struct moon_buf *out, struct moon_err *err) {
    size_t before = out->len;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n = -1;
        if (atomic_load(stop))
            return moon_err_set(err, MOON_ECANCELLED, "cancelled");
        if (moon_buf_reserve(out, 4096) != 0)
            return moon_err_set(err, MOON_ENOMEM, "out of memory");
        if (poll(&p, 1, 100) == 0)
            continue;
        n = read(fd, out->data + out->len, 4096);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return moon_err_errno(err, MOON_EIO, errno, "can't read");
        out->len += n > 0 ? (size_t)n : 0;
        if (out->len - before > max)
            return moon_err_set(err, MOON_ETOOBIG, "more than the limit of %zu bytes", max);
    }
    out->data[out->len] = '\0';
    return 0;
}

#define SECRET_MAX 4096

static int check_secret_file(int fd, const char *path, struct moon_err *err) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't read %s", path);
    if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
        return moon_err_set(err, MOON_EDENIED, "%s holds a secret and is open to other users (mode %o): chmod 600 it",
                            path, (unsigned)(st.st_mode & 07777));
    if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
        return moon_err_set(err, MOON_EINVAL, "%s is neither a file nor a pipe", path);
    return 0;
}

int moon_file_read_secret(const char *path, const atomic_bool *stop, struct moon_buf *out, struct moon_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe without a writer must not hang us */
    if (fd < 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't open %s", path);
    return moon_file_read_secret_opened(fd, path, stop, out, err);
}

int moon_file_read_secret_opened(int fd, const char *path, const atomic_bool *stop, struct moon_buf *out,
                                 struct moon_err *err) {
    size_t before = out->len;
    int rc = check_secret_file(fd, path, err);
    if (rc == 0)
        rc = moon_file_read_fd(fd, SECRET_MAX, stop, out, err);
    close(fd);
    if (rc == 0 && out->len > before && out->data[out->len - 1] == '\n')
        out->data[--out->len] = '\0';
    if (rc == 0 && out->len > before && out->data[out->len - 1] == '\r')
        out->data[--out->len] = '\0';
    if (rc == 0 && out->len == before)
        rc = moon_err_set(err, MOON_EINVAL, "%s is empty: a secret is expected in it", path);
    return rc;
}

static int write_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The folder that path is in, opened; *name: the rest of path. */
static int open_folder_of(const char *path, const char **name) {
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    char *dir = slash ? strndup(path, len ? len : 1) : strdup(".");
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int saved = dir ? errno : ENOMEM;
    free(dir);
    *name = slash ? slash + 1 : path;
    errno = saved;
    return fd;
}

int moon_file_replace(const char *path, const void *data, size_t len, unsigned mode, struct moon_err *err) {
    const char *name;
    int dir = open_folder_of(path, &name);
    if (dir < 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't write %s", path);
    int rc = moon_file_replace_in(dir, name, path, data, len, mode, err);
    close(dir);
    return rc;
}

/* A new file beside name; its name is in temp. */
static int open_temp(int dir, const char *name, struct moon_buf *temp) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (int tries = 0; tries < 100; tries++) {
        unsigned char r[6];
        if (getrandom(r, sizeof r, 0) != sizeof r)
            return -1;
        for (size_t i = 0; i < sizeof r; i++)
            r[i] = (unsigned char)letters[r[i] % (sizeof letters - 1)];
        moon_buf_clear(temp);
        if (moon_buf_printf(temp, "%s.%.6s", name, (const char *)r) != 0) {
            errno = ENOMEM;
            return -1;
        }
        int fd = openat(dir, temp->data, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

int moon_file_replace_in(int dir, const char *name, const char *path, const void *data, size_t len, unsigned mode,
                         struct moon_err *err) {
    struct moon_buf temp = MOON_BUF_INIT;
    int rc = 0, made = 0;
    int fd = open_temp(dir, name, &temp);
    if (fd < 0) {
        rc = moon_err_errno(err, MOON_EIO, errno, "can't write %s", path);
        goto out;
    }
    made = 1;
    if (fchmod(fd, (mode_t)mode) != 0 || write_all(fd, data, len) != 0 || fsync(fd) != 0) {
        rc = moon_err_errno(err, MOON_EIO, errno, "can't write %s", path);
        goto out;
    }
    if (renameat(dir, temp.data, dir, name) != 0) {
        rc = moon_err_errno(err, MOON_EIO, errno, "can't replace %s", path);
        goto out;
    }
    made = 0;
    /* The folder's own sync makes the rename itself durable; some file systems can't sync a folder. */
    if (fsync(dir) != 0 && errno != EINVAL)
        rc = moon_err_errno(err, MOON_EIO, errno, "can't sync the folder of %s", path);
out:
    if (fd >= 0)
        close(fd);
    if (made)
        unlinkat(dir, temp.data, 0);
    moon_buf_release(&temp);
    return rc;
}

int moon_file_mkdirs(const char *path, unsigned mode, struct moon_err *err) {
    struct moon_buf p = MOON_BUF_INIT;
    int rc = 0;
    if (moon_buf_puts(&p, path) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory making %s", path);
    for (char *s = p.data + 1; p.len > 0; s++) {
        if (*s != '/' && *s != '\0')
            continue;
        char kept = *s;
        *s = '\0';
        struct stat st;
        if (mkdir(p.data, (mode_t)mode) != 0 && !(errno == EEXIST && stat(p.data, &st) == 0 && S_ISDIR(st.st_mode))) {
            rc = moon_err_errno(err, MOON_EIO, errno, "can't make the folder %s", p.data);
            break;
        }
        *s = kept;
        if (kept == '\0')
            break;
    }
    moon_buf_release(&p);
    return rc;
}
