/* roots.c - paths that are allowed, and where a path leads. See beneath.h. */
#include "beneath_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- paths ---- */

/* dir + "/" + name[0..len); frees dir. NULL: out of memory. */
static char *join(char *dir, const char *name, size_t len) {
    size_t n = dir ? strlen(dir) : 0;
    char *p = dir ? realloc(dir, n + len + 2) : NULL;
    if (!p) {
        free(dir);
        return NULL;
    }
    if (n && p[n - 1] != '/')
        p[n++] = '/';
    memcpy(p + n, name, len);
    p[n + len] = '\0';
    return p;
}

/* Where the last part begins and ends, slashes after it left out; *end 0 for "" and "/". */
static size_t last_part(const char *path, size_t *end) {
    size_t e = strlen(path), s;
    while (e && path[e - 1] == '/')
        e--;
    for (s = e; s && path[s - 1] != '/'; s--) {
    }
    *end = e;
    return s;
}

static bool is_dots(const char *part, size_t len) {
    return (len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.');
}

char *moon_roots_resolve(const char *path, bool keep_last) {
    size_t end, start = last_part(path, &end);
    bool dots = is_dots(path + start, end - start);
    if (!keep_last || dots || end == 0) {
        char *real = realpath(path, NULL);
        if (real || errno == ENOMEM || dots || end == 0)
            return real;
    }
    char *parent = start ? strndup(path, start) : strdup(".");
    char *dir = parent ? moon_roots_resolve(parent, false) : NULL;
    free(parent);
    return dir ? join(dir, path + start, end - start) : NULL;
}

char *moon_roots_known_part(const char *path) {
    char *part = strdup(path), *real = NULL;
    while (part && !(real = realpath(*part ? part : ".", NULL)) && errno != ENOMEM && *part) {
        size_t end;
        part[last_part(part, &end)] = '\0';
    }
    free(part);
    return real;
}

static bool is_at_or_below(const char *path, const char *dir) {
    size_t n = strlen(dir);
    if (n == 1)
        return true; /* "/" */
    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* ---- what is allowed ---- */

/* Opens the deepest folder of root->whole that exists. */
static int open_known(struct moon_root *root) {
    char *p = strdup(root->whole);
    int fd = -1;
    while (p && fd < 0) {
        fd = open(p, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            break;
        if (fd < 0) {
            size_t end, start = last_part(p, &end);
            if (end == 0)
                break;
            p[start > 1 ? start - 1 : start] = '\0';
        }
    }
    root->known = p ? strlen(p) : 0;
    free(p);
    return root->fd = fd;
}

static int add(struct moon_root list[MOON_ROOTS_MAX], size_t *n, const char *path, bool with_fd, struct moon_err *err) {
    struct moon_root root = {.fd = -1};
    if (*n == MOON_ROOTS_MAX)
        return moon_err_set(err, MOON_ERANGE, "more than %d folders", MOON_ROOTS_MAX);
    root.whole = moon_roots_resolve(path, false);
    if (!root.whole || (with_fd && open_known(&root) < 0)) {
        int rc = moon_err_errno(err, MOON_EIO, errno, "%s", path);
        free(root.whole);
        return rc;
    }
    list[(*n)++] = root;
    return 0;
}

int moon_roots_allow(struct moon_roots *r, const char *path, struct moon_err *err) {
    return add(r->allowed, &r->n_allowed, path, true, err);
}

int moon_roots_keep(struct moon_roots *r, const char *path, struct moon_err *err) {
    return add(r->kept, &r->n_kept, path, false, err);
}

void moon_roots_release(struct moon_roots *r) {
    for (size_t i = 0; i < r->n_allowed; i++) {
        close(r->allowed[i].fd);
        free(r->allowed[i].whole);
    }
    for (size_t i = 0; i < r->n_kept; i++)
        free(r->kept[i].whole);
    r->n_allowed = r->n_kept = 0;
}

bool moon_roots_keeps(const struct moon_roots *r, const char *real) {
    for (size_t i = 0; i < r->n_kept; i++)
        if (is_at_or_below(real, r->kept[i].whole))
            return true;
    return false;
}

const struct moon_root *moon_roots_find(const struct moon_roots *r, const char *real) {
    const struct moon_root *best = NULL;
    if (moon_roots_keeps(r, real))
        return NULL;
    for (size_t i = 0; i < r->n_allowed; i++)
        if (is_at_or_below(real, r->allowed[i].whole) && (!best || r->allowed[i].known > best->known))
            best = &r->allowed[i];
    return best;
}

bool moon_roots_hold(const struct moon_roots *r, const char *path) {
    char *real = moon_roots_resolve(path, false);
    bool held = real && moon_roots_find(r, real);
    free(real);
    return held;
}
