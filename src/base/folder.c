/* folder.c - a folder of our own for what is only needed for a while. */
#include "moongate/folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTORS 16 /* that walking the folder may hold open */

int moon_folder_temporary(struct moon_buf *path, const char *prefix, struct moon_err *err) {
    const char *below = getenv("TMPDIR");
    size_t len = strlen(below && *below ? below : (below = "/tmp"));
    moon_buf_clear(path);
    while (len > 1 && below[len - 1] == '/')
        len--;
    if (moon_buf_printf(path, "%.*s/%s-XXXXXX", (int)len, below, prefix) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (!mkdtemp(path->data))
        return moon_err_errno(err, MOON_EIO, errno, "can't make a folder in %.*s", (int)len, below);
    return 0;
}

/* What can't be removed stays; so does the folder around it. */
static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

void moon_folder_remove(const char *path) {
    (void)nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
