/* file.c - whole files, read and replaced atomically. */
#include "moongate/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* The number N of a path that names a descriptor of this process (/dev/fd/N, /proc/self/fd/N), or -1. /dev/stdin and
 * its like are links to such a path. */
static int descriptor_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char own[48], *end;
    if (!slash || slash == path || slash[1] < '0' || slash[1] > '9')
        return -1;
    long n = strtol(slash + 1, &end, 10);
    char *dir = strndup(path, (size_t)(slash - path));
    char *real = dir ? realpath(dir, NULL) : NULL;
    snprintf(own, sizeof own, "/proc/%ld/fd", (long)getpid());
    bool is_own = real && strcmp(real, own) == 0;
    free(dir);
    free(real);
    return is_own && *end == '\0' && n <= INT_MAX ? (int)n : -1;
}

/* A link in a folder that everybody may write to is followed for its owner and the folder's owner only, as the kernel
 * does it (protected_symlinks): else anybody could choose what root writes to. */
static int check_link(const char *path, const struct stat *link, struct moon_err *err) {
    const char *slash = strrchr(path, '/');
    struct stat dir;
    char *name = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!name)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    int rc = stat(name, &dir);
    free(name);
    if (rc == 0 && (dir.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH) && link->st_uid != geteuid() &&
        link->st_uid != dir.st_uid)
        return moon_err_set(err, MOON_EDENIED, "can't write %s: it is a symbolic link of another user", path);
    return 0;
}

#define LINKS_MAX 40

/* Follows path's last part while it is a link. *fd: the descriptor of this process it names, or -1, and then *st says
 * what is there (st_mode 0: nothing). */
static int follow(const char *path, struct moon_buf *real, int *fd, struct stat *st, struct moon_err *err) {
    char target[PATH_MAX];
    int rc = moon_buf_puts(real, path);
    for (int links = 0; rc == 0 && links <= LINKS_MAX; links++) {
        memset(st, 0, sizeof *st);
        if ((*fd = descriptor_of(real->data)) >= 0 || lstat(real->data, st) != 0 || !S_ISLNK(st->st_mode))
            return 0;
        ssize_t n = readlink(real->data, target, sizeof target - 1);
        if ((rc = check_link(real->data, st, err)) != 0)
            return rc;
        if (n < 0)
            return moon_err_errno(err, MOON_EIO, errno, "can't read the link %s", path);
        target[n] = '\0';
        const char *slash = strrchr(real->data, '/');
        size_t kept = target[0] == '/' || !slash ? 0 : (size_t)(slash - real->data) + 1;
        real->len = kept;
        rc = moon_buf_puts(real, target);
    }
    return rc != 0 ? moon_err_set(err, MOON_ENOMEM, "out of memory")
                   : moon_err_errno(err, MOON_EIO, ELOOP, "can't write %s", path);
}

static int not_usable(const char *path, mode_t mode, struct moon_err *err) {
    return moon_err_set(err, MOON_EINVAL, "%s is a %s, not a file", path,
                        S_ISDIR(mode)    ? "directory"
                        : S_ISSOCK(mode) ? "socket"
                        : S_ISBLK(mode)  ? "block device"
                                         : "special file");
}

/* A pipe or a device is read to its end, which can take for ever. */
static int read_stream(int fd, const char *path, mode_t mode, size_t max, const atomic_bool *stop, struct moon_buf *out,
                       struct moon_err *err) {
    size_t before = out->len;
    int rc = S_ISDIR(mode) || S_ISBLK(mode) ? not_usable(path, mode, err) : moon_file_read_fd(fd, max, stop, out, err);
    close(fd);
    if (rc != 0 && out->data)
        out->data[out->len = before] = '\0';
    return rc;
}

int moon_file_read(const char *path, size_t max, const atomic_bool *stop, struct moon_buf *out, struct moon_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), own = -1; /* the open must not wait */
    struct moon_buf real = MOON_BUF_INIT;
    struct stat st;
    if (fd < 0 && errno == ENXIO && follow(path, &real, &own, &st, NULL) == 0 && own >= 0) /* a socket: /dev/stdin */
        fd = fcntl(own, F_DUPFD_CLOEXEC, 3);
    moon_buf_release(&real);
    if (fd < 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't open %s", path);
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        return read_stream(fd, path, st.st_mode, max, stop, out, err);
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
        if (stop && atomic_load(stop))
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
        return moon_err_set(err, MOON_EDENIED,
                            "%s contains a secret and is readable by other users (mode %o): chmod 600 it", path,
                            (unsigned)(st.st_mode & 07777));
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

#define CHUNK     4096  /* so much is taken without waiting when poll(2) says that something is (PIPE_BUF) */
#define READER_MS 2000  /* how long a FIFO's reader may be late */
#define STANDS_MS 10000 /* a reader that takes nothing for so long has stopped */
#define PAUSE_MS  20

/* Into a descriptor whose other end may be slow. */
static int write_stream(int fd, const char *data, size_t len) {
    while (len > 0) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int ready = poll(&p, 1, STANDS_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0)
            errno = ETIMEDOUT;
        if (ready <= 0)
            return -1;
        ssize_t n = write(fd, data, len < CHUNK ? len : CHUNK);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* ENXIO: nobody reads the FIFO. */
static int open_stream(const char *path) {
    for (int waited = 0;; waited += PAUSE_MS) {
        int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0 || errno != ENXIO || waited >= READER_MS)
            return fd;
        poll(NULL, 0, PAUSE_MS); /* on the pool's thread */
    }
}

/* What is not a regular file stays what it is: path, or the descriptor `own`, is written into. */
static int write_into(const char *path, const char *shown, int own, mode_t mode, const void *data, size_t len,
                      struct moon_err *err) {
    struct stat st;
    if (own < 0 && !S_ISFIFO(mode) && !S_ISCHR(mode))
        return not_usable(shown, mode, err);
    int fd = own >= 0 ? fcntl(own, F_DUPFD_CLOEXEC, 3) : open_stream(path), rc = 0;
    if (fd < 0 && errno == ENXIO)
        return moon_err_set(err, MOON_EIO, "can't write %s: no process reads from it", shown);
    if (fd < 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't write %s", shown);
    if (own < 0 && (fstat(fd, &st) != 0 || (st.st_mode & S_IFMT) != (mode & S_IFMT)))
        rc = moon_err_set(err, MOON_EIO, "can't write %s: it was replaced by another process", shown);
    else if (write_stream(fd, data, len) != 0)
        rc = moon_err_errno(err, MOON_EIO, errno, "can't write %s", shown);
    close(fd);
    return rc;
}

/* The standard stream that is open on the same file, or -1: replacing that file would take the stream's text away. */
static int standard_stream(const struct stat *st) {
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        struct stat other;
        if (fstat(fd, &other) == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino)
            return fd;
    }
    return -1;
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
    struct moon_buf real = MOON_BUF_INIT;
    struct stat st = {0};
    const char *name;
    int own = -1, dir = -1, rc = follow(path, &real, &own, &st, err);
    if (rc != 0)
        goto out;
    if (own < 0 && S_ISREG(st.st_mode))
        own = standard_stream(&st);
    if (mode & MOON_FILE_NEW && st.st_mode != 0) {
        rc = moon_err_set(err, MOON_EEXIST, "%s exists: it is not replaced", path);
        goto out;
    }
    if (own >= 0 || (st.st_mode != 0 && !S_ISREG(st.st_mode))) {
        rc = write_into(real.data, path, own, st.st_mode, data, len, err);
        goto out;
    }
    dir = open_folder_of(real.data, &name);
    if (dir < 0)
        rc = moon_err_errno(err, MOON_EIO, errno, "can't write %s", path);
    else
        rc = moon_file_replace_in(dir, name, path, data, len, mode, err);
out:
    if (dir >= 0)
        close(dir);
    moon_buf_release(&real);
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
    struct stat old;
    int rc = 0, made = 0, fd = -1;
    bool new = (mode & MOON_FILE_NEW) != 0;
    bool exists = fstatat(dir, name, &old, AT_SYMLINK_NOFOLLOW) == 0;
    if (exists && !S_ISREG(old.st_mode))
        return moon_err_set(err, MOON_EINVAL, "%s is not a regular file: it is not replaced", path);
    if (exists && mode & MOON_FILE_KEEP)
        mode &= old.st_mode;
    mode &= 07777;
    fd = open_temp(dir, name, &temp);
    if (fd < 0) {
        rc = moon_err_errno(err, MOON_EIO, errno, "can't write %s", path);
        goto out;
    }
    made = 1;
    if (fchmod(fd, (mode_t)mode) != 0 || write_all(fd, data, len) != 0 || fsync(fd) != 0) {
        rc = moon_err_errno(err, MOON_EIO, errno, "can't write %s", path);
        goto out;
    }
    if (new &&linkat(dir, temp.data, dir, name, 0) != 0) {
        rc = errno == EEXIST ? moon_err_set(err, MOON_EEXIST, "%s exists: it is not replaced", path)
                             : moon_err_errno(err, MOON_EIO, errno, "can't write %s", path);
        goto out;
    }
    if (!new &&renameat(dir, temp.data, dir, name) != 0) {
        rc = moon_err_errno(err, MOON_EIO, errno, "can't replace %s", path);
        goto out;
    }
    made = new;
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
