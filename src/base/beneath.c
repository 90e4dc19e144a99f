/* beneath.c - see beneath.h. */
#include "beneath_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

/* ---- opening ---- */

/* Folder by folder, no links, no "..": what openat2 does at once. */
static int open_by_walk(int fd, const char *rel, int flags) {
    int at = dup(fd);
    while (at >= 0) {
        char part[NAME_MAX + 1];
        size_t n = strcspn(rel, "/");
        const char *next = rel + n + strspn(rel + n, "/");
        if (n > NAME_MAX || (n == 2 && memcmp(rel, "..", 2) == 0)) {
            close(at);
            errno = n > NAME_MAX ? ENAMETOOLONG : EXDEV;
            return -1;
        }
        memcpy(part, rel, n);
        part[n] = '\0';
        int how = *next ? O_PATH | O_DIRECTORY : flags;
        int got = openat(at, part, how | O_NOFOLLOW | O_CLOEXEC, 0);
        int saved = errno;
        struct stat st; /* O_PATH | O_NOFOLLOW opens the link itself */
        if (got >= 0 && (how & O_PATH) && fstat(got, &st) == 0 && S_ISLNK(st.st_mode)) {
            close(got);
            got = -1;
            saved = ELOOP;
        }
        close(at);
        errno = saved;
        if (!*next || got < 0)
            return got;
        at = got;
        rel = next;
    }
    return -1;
}

/* `real` beneath root. -1 and errno; ELOOP, EXDEV: a link was put there in between. */
static int open_in(const struct moon_roots *r, const struct moon_root *root, const char *real, int flags) {
    const char *rel = real + root->known;
    rel += strspn(rel, "/");
    if (!*rel)
        rel = ".";
    if (!r->walk) {
        struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
        int fd = (int)syscall(SYS_openat2, root->fd, rel, &how, sizeof how);
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) /* EPERM: some sandboxes say so */
            return fd;
    }
    return open_by_walk(root->fd, rel, flags);
}

static int refuse(const char *path, const char *why, bool *outside, struct moon_err *err) {
    *outside = true;
    return moon_err_set(err, MOON_EDENIED, "%s: %s", path, why);
}

static int refuse_place(const struct moon_roots *r, const char *real, const char *path, bool *outside,
                        struct moon_err *err) {
    return refuse(path, moon_roots_keeps(r, real) ? MOON_BENEATH_KEPT : MOON_BENEATH_OUTSIDE, outside, err);
}

/* A path that can't be resolved, "nothing/..". What there is outside of the roots is not told by why it can't be. */
static int leads_nowhere(const struct moon_roots *r, const char *path, bool *outside, struct moon_err *err) {
    int saved = errno;
    char *known = saved == ENOMEM ? NULL : moon_roots_known_part(path);
    bool is_ours = known && moon_roots_find(r, known);
    free(known);
    if (saved == ENOMEM)
        return no_memory(err);
    return is_ours ? moon_err_errno(err, MOON_EIO, saved, "%s", path)
                   : refuse(path, MOON_BENEATH_OUTSIDE, outside, err);
}

static int open_failed(const char *path, bool *outside, struct moon_err *err) {
    if (errno == ELOOP || errno == EXDEV)
        return refuse(path, "a symbolic link that leads out of what is allowed, or nowhere", outside, err);
    return moon_err_errno(err, MOON_EIO, errno, "%s", path);
}

/* Where the kernel shows itself: files of any size and effect, among them other processes' environments. */
static bool is_kernels(int fd) {
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return true;
    switch ((unsigned long)fs.f_type) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case BPF_FS_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case PSTOREFS_MAGIC:
    case EFIVARFS_MAGIC:
        return true;
    default:
        return false;
    }
}

/* A descriptor (O_PATH) of what path leads to. */
static int look(const struct moon_roots *r, const char *path, char **real, const struct moon_root **root, bool *outside,
                struct moon_err *err) {
    *real = moon_roots_resolve(path, false);
    if (!*real)
        return leads_nowhere(r, path, outside, err);
    *root = moon_roots_find(r, *real);
    if (!*root)
        return refuse_place(r, *real, path, outside, err);
    int fd = open_in(r, *root, *real, O_PATH);
    return fd >= 0 ? fd : open_failed(path, outside, err);
}

static int check_kind(int fd, const char *path, bool *outside, struct moon_err *err) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return moon_err_errno(err, MOON_EIO, errno, "%s", path);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return refuse(path, "neither a file nor a folder", outside, err);
    if (is_kernels(fd))
        return refuse(path, "a file of the kernel's, not of the disk", outside, err);
    return 0;
}

int moon_beneath_open(const struct moon_roots *r, const char *path, int flags, bool *outside, struct moon_err *err) {
    const struct moon_root *root = NULL;
    char *real = NULL;
    *outside = false;
    int fd = look(r, path, &real, &root, outside, err); /* opening a device or a pipe has effects: look first */
    int rc = fd < 0 ? fd : check_kind(fd, path, outside, err);
    if (fd >= 0)
        close(fd);
    if (rc == 0 && root) { /* found by look */
        rc = open_in(r, root, real, flags | O_NONBLOCK | O_NOCTTY);
        if (rc < 0) {
            rc = open_failed(path, outside, err);
        } else if (check_kind(rc, path, outside, err) != 0) { /* another one by now */
            close(rc);
            rc = err->code;
        }
    }
    free(real);
    return rc;
}

int moon_beneath_stat(const struct moon_roots *r, const char *path, struct stat *st, bool *outside,
                      struct moon_err *err) {
    const struct moon_root *root;
    char *real;
    int rc = 0;
    *outside = false;
    int fd = look(r, path, &real, &root, outside, err);
    free(real);
    if (fd < 0)
        return fd;
    if (fstat(fd, st) != 0)
        rc = moon_err_errno(err, MOON_EIO, errno, "%s", path);
    close(fd);
    return rc;
}

/* ---- changing ---- */

static int open_parent(const struct moon_roots *r, const char *path, char **real, bool *outside, struct moon_err *err) {
    *outside = false;
    *real = moon_roots_resolve(path, true);
    if (!*real)
        return leads_nowhere(r, path, outside, err);
    const struct moon_root *root = moon_roots_find(r, *real);
    if (!root)
        return refuse_place(r, *real, path, outside, err);
    char *slash = strrchr(*real, '/');
    if (slash[1] == '\0')
        return moon_err_set(err, MOON_EINVAL, "%s is a directory, not a file", path);
    size_t len = (size_t)(slash - *real);
    char *dir = strndup(*real, len ? len : 1);
    if (!dir)
        return no_memory(err);
    if (strlen(dir) < root->known) {
        free(dir);
        return refuse(path, "the allowed folder itself: only what is in it may be changed", outside, err);
    }
    int fd = open_in(r, root, dir, O_RDONLY | O_DIRECTORY);
    free(dir);
    return fd >= 0 ? fd : open_failed(path, outside, err);
}

int moon_beneath_parent(const struct moon_roots *r, const char *path, char **name, bool *outside,
                        struct moon_err *err) {
    char *real;
    int fd = open_parent(r, path, &real, outside, err);
    *name = fd >= 0 ? strdup(strrchr(real, '/') + 1) : NULL;
    free(real);
    if (fd >= 0 && !*name) {
        close(fd);
        return no_memory(err);
    }
    return fd;
}

int moon_beneath_remove(const struct moon_roots *r, const char *path, bool *outside, struct moon_err *err) {
    char *name;
    int dir = moon_beneath_parent(r, path, &name, outside, err), rc = 0;
    if (dir < 0)
        return dir;
    if (unlinkat(dir, name, 0) != 0 && (errno != EISDIR || unlinkat(dir, name, AT_REMOVEDIR) != 0))
        rc = moon_err_errno(err, MOON_EIO, errno, "can't remove %s", path);
    close(dir);
    free(name);
    return rc;
}

/* The folders of rel in and below fd, which is closed. */
static int make_each(int fd, const char *rel, unsigned mode, const char *path, bool *outside, struct moon_err *err) {
    while (*rel) {
        char part[NAME_MAX + 1];
        size_t n = strcspn(rel, "/");
        if (n > NAME_MAX || (n == 2 && memcmp(rel, "..", 2) == 0)) {
            close(fd);
            return moon_err_set(err, MOON_EINVAL, "can't make the folder %s", path);
        }
        memcpy(part, rel, n);
        part[n] = '\0';
        rel += n + strspn(rel + n, "/");
        int made = mkdirat(fd, part, (mode_t)mode) == 0 || errno == EEXIST ? 0 : -1;
        int next = made == 0 ? openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        int saved = errno;
        close(fd);
        errno = saved;
        if (next < 0)
            return errno == ELOOP ? open_failed(path, outside, err)
                                  : moon_err_errno(err, MOON_EIO, errno, "can't make the folder %s", path);
        fd = next;
    }
    close(fd);
    return 0;
}

int moon_beneath_mkdirs(const struct moon_roots *r, const char *path, unsigned mode, bool *outside,
                        struct moon_err *err) {
    *outside = false;
    char *real = moon_roots_resolve(path, false);
    if (!real)
        return leads_nowhere(r, path, outside, err);
    const struct moon_root *root = moon_roots_find(r, real);
    int fd = root ? dup(root->fd) : -1, rc;
    if (fd >= 0) {
        const char *rel = real + root->known;
        rc = make_each(fd, rel + strspn(rel, "/"), mode, path, outside, err);
    } else {
        rc = root ? moon_err_errno(err, MOON_EIO, errno, "%s", path) : refuse_place(r, real, path, outside, err);
    }
    free(real);
    return rc;
}
