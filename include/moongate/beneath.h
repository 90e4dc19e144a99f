/* beneath.h - files below folders that were allowed, and nothing else: symbolic links and ".." are followed first, and
 * what they lead to is opened from the allowed folder's own descriptor without following any, so that nobody who
 * changes the path meanwhile leads it elsewhere. Safe from any thread once it is filled. */
#ifndef MOONGATE_BENEATH_H
#define MOONGATE_BENEATH_H

#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>

struct stat;

#define MOON_ROOTS_MAX 64

struct moon_root {
    char *whole;  /* the allowed path, resolved */
    size_t known; /* so much of it is what fd stands for */
    int fd;       /* the deepest folder of it that existed; -1: protected, none is needed */
};
/* Zeroed: nothing is allowed. */
struct moon_roots {
    struct moon_root allowed[MOON_ROOTS_MAX], kept[MOON_ROOTS_MAX];
    size_t n_allowed, n_kept;
    bool walk; /* folder by folder, as where the kernel has no openat2 */
};
void moon_roots_release(struct moon_roots *r);
/* path and all below it; it need not exist yet. MOON_ERANGE: more than MOON_ROOTS_MAX; MOON_EIO, MOON_ENOMEM. */
int moon_roots_allow(struct moon_roots *r, const char *path, struct moon_err *err);
/* path and all below it are out of reach, whatever is allowed. */
int moon_roots_keep(struct moon_roots *r, const char *path, struct moon_err *err);
/* Whether path is allowed, as things stand now: for a word beforehand, not for a decision. */
bool moon_roots_hold(const struct moon_roots *r, const char *path);

/* All below: 0 or a descriptor, or a code. *outside: it was refused because it is not allowed (MOON_EDENIED), and not
 * by the system. Files of /proc, /sys and their like are refused that way, too, and so is what is neither a file nor a
 * folder. */

/* What err says then, behind the path; or more, for a path that a link or its kind puts out of reach. */
#define MOON_BENEATH_OUTSIDE "not allowed"
#define MOON_BENEATH_KEPT    "kept"

/* Opens what exists; flags of open(2). */
int moon_beneath_open(const struct moon_roots *r, const char *path, int flags, bool *outside, struct moon_err *err);
int moon_beneath_stat(const struct moon_roots *r, const char *path, struct stat *st, bool *outside,
                      struct moon_err *err);
/* The folder that path's last part is in, and that part in *name (allocated). A link there is not followed. */
int moon_beneath_parent(const struct moon_roots *r, const char *path, char **name, bool *outside, struct moon_err *err);
/* mkdir -p */
int moon_beneath_mkdirs(const struct moon_roots *r, const char *path, unsigned mode, bool *outside,
                        struct moon_err *err);
/* A file or an empty folder. */
int moon_beneath_remove(const struct moon_roots *r, const char *path, bool *outside, struct moon_err *err);

#endif
