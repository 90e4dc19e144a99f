/* trust.c - see trust.h. The allowed folders are lines "HASH FOLDER" in a file of the user's own state. */
#include "trust.h"

#include "moongate/buf.h"
#include "moongate/file.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST_MAX ((size_t)4 << 20)
#define NO_HASH  "-"
#define NAMES    4096 /* bytes for one entry of passwd or group */

/* ---- who could have written it ---- */

static bool is_ours(uid_t owner) {
    return owner == 0 || owner == geteuid();
}

/* A group of the user's own, which nobody else is in: what Debian and others make for each user. */
static bool is_private_group(gid_t gid) {
    struct passwd user, *found_user = NULL;
    struct group group, *found_group = NULL;
    char names[NAMES], members[NAMES];
    if (getpwuid_r(geteuid(), &user, names, sizeof names, &found_user) != 0 || !found_user || user.pw_gid != gid ||
        getgrgid_r(gid, &group, members, sizeof members, &found_group) != 0 || !found_group ||
        strcmp(group.gr_name, user.pw_name) != 0)
        return false;
    for (char **m = group.gr_mem; *m; m++)
        if (strcmp(*m, user.pw_name) != 0)
            return false;
    return true;
}

static int check_owner(const struct stat *st, const char *path, struct moon_err *err) {
    struct passwd user, *found = NULL;
    char names[NAMES];
    if (is_ours(st->st_uid))
        return 0;
    bool named = getpwuid_r(st->st_uid, &user, names, sizeof names, &found) == 0 && found;
    return moon_err_set(err, MOON_EDENIED, "%.600s belongs to another user (%.60s)", path,
                        named ? user.pw_name : "unknown");
}

static int check_mode(const struct stat *st, const char *path, struct moon_err *err) {
    if (S_ISLNK(st->st_mode) || (S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX))
        return 0;
    if (st->st_mode & S_IWOTH)
        return moon_err_set(err, MOON_EDENIED, "every user may write %.600s", path);
    if (st->st_mode & S_IWGRP && !is_private_group(st->st_gid))
        return moon_err_set(err, MOON_EDENIED, "other users of its group may write %.600s", path);
    return 0;
}

static int check_one(const char *path, struct moon_err *err) {
    struct stat st;
    if (lstat(path, &st) != 0)
        return moon_err_errno(err, errno == ENOENT ? MOON_ENOENT : MOON_EIO, errno, "%.600s", path);
    int rc = check_owner(&st, path, err);
    return rc != 0 ? rc : check_mode(&st, path, err);
}

/* A path without links in it, and every folder above it. */
static int check_chain(char path[PATH_MAX], struct moon_err *err) {
    for (;;) {
        int rc = check_one(path, err);
        char *slash = strrchr(path, '/');
        if (rc != 0 || (slash == path && path[1] == '\0'))
            return rc;
        slash[slash == path] = '\0'; /* "/a" becomes "/" */
    }
}

/* The folder that the last name of path stands in, without links. */
static bool folder_of(const char *path, char out[PATH_MAX]) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (len >= sizeof folder)
        return false;
    memcpy(folder, path, len);
    folder[len] = '\0';
    return realpath(!slash ? "." : len ? folder : "/", out) != NULL;
}

int moon_trust_own(const char *path, struct moon_err *err) {
    char place[PATH_MAX], target[PATH_MAX];
    if (!folder_of(path, place) || !realpath(path, target))
        return moon_err_errno(err, errno == ENOENT ? MOON_ENOENT : MOON_EIO, errno, "%.600s", path);
    int rc = check_one(path, err); /* a link may be another user's, too */
    if (rc == 0)
        rc = check_chain(place, err);
    return rc == 0 ? check_chain(target, err) : rc;
}

/* ---- what the user has allowed ---- */

static int list_path(struct moon_buf *out, struct moon_err *err) {
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int rc;
    if (xdg && *xdg == '/')
        rc = moon_buf_printf(out, "%s/moongate/allowed", xdg);
    else if (home && *home == '/')
        rc = moon_buf_printf(out, "%s/.local/state/moongate/allowed", home);
    else
        return moon_err_set(err, MOON_ENOENT, "the allowed folders can't be kept: set HOME or XDG_STATE_HOME");
    return rc == 0 ? 0 : moon_err_set(err, MOON_ENOMEM, "out of memory");
}

/* The list; empty if it does not exist, or if others could have written it. */
static int read_list(const char *path, struct moon_buf *list, struct moon_err *err) {
    struct stat st;
    if (lstat(path, &st) != 0)
        return 0;
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
        return moon_err_set(err, MOON_EDENIED, "%s is not a file that only its user may write", path);
    return moon_file_read(path, LIST_MAX, NULL, list, err);
}

/* The line of folder: its hash's start, and in *end where the line ends, its line break included. NULL: none. */
static char *find_line(const struct moon_buf *list, const char *folder, char **end) {
    size_t len = strlen(folder);
    for (char *at = list->data, *stop = at ? at + list->len : NULL; at && at < stop; at = *end) {
        char *line_end = memchr(at, '\n', (size_t)(stop - at)), *space;
        if (!line_end)
            return NULL;
        *end = line_end + 1;
        space = memchr(at, ' ', (size_t)(line_end - at));
        if (space && (size_t)(line_end - space - 1) == len && memcmp(space + 1, folder, len) == 0)
            return at;
    }
    return NULL;
}

/* "a,b" of --trust: whether folder is one of them or below one. */
static bool is_trusted(const struct moon_options *o, const char *folder) {
    char one[PATH_MAX], real[PATH_MAX];
    for (size_t i = 0; i < o->trust.len; i++)
        for (const char *at = o->trust.items[i], *end; at; at = *end ? end + 1 : NULL) {
            size_t len = strcspn(at, ",");
            end = at + len;
            if (len == 0 || len >= sizeof one)
                continue;
            memcpy(one, at, len);
            one[len] = '\0';
            size_t n = realpath(one, real) ? strlen(real) : 0;
            if (n > 0 && strncmp(folder, real, n) == 0 && (folder[n] == '\0' || folder[n] == '/' || n == 1))
                return true;
        }
    return false;
}

bool moon_trust_allowed(const struct moon_options *o, const char *folder, const char *hash, bool *changed) {
    struct moon_buf path = MOON_BUF_INIT, list = MOON_BUF_INIT;
    struct moon_err err;
    bool allowed = false;
    char *end;
    *changed = false;
    if (is_trusted(o, folder))
        return true;
    if (list_path(&path, &err) == 0 && path.data && read_list(path.data, &list, &err) == 0) {
        const char *line = find_line(&list, folder, &end), *want = *hash ? hash : NO_HASH;
        allowed = line && strncmp(line, want, strlen(want)) == 0 && line[strlen(want)] == ' ';
        *changed = line && !allowed;
    }
    moon_buf_release(&path);
    moon_buf_release(&list);
    return allowed;
}

int moon_trust_keep(const char *folder, const char *hash, bool allow, struct moon_err *err) {
    struct moon_buf path = MOON_BUF_INIT, list = MOON_BUF_INIT, dir = MOON_BUF_INIT;
    char *line, *end;
    int rc = strchr(folder, '\n') ? moon_err_set(err, MOON_EINVAL, "the folder's name has a line break in it")
                                  : list_path(&path, err);
    if (rc == 0 && (moon_buf_puts(&dir, path.data) != 0))
        rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (rc == 0) {
        *strrchr(dir.data, '/') = '\0';
        rc = moon_file_mkdirs(dir.data, 0700, err);
    }
    if (rc == 0 && path.data)
        rc = read_list(path.data, &list, err);
    while (rc == 0 && (line = find_line(&list, folder, &end))) {
        memmove(line, end, (size_t)(list.data + list.len - end));
        list.len -= (size_t)(end - line);
    }
    if (rc == 0 && allow && moon_buf_printf(&list, "%s %s\n", *hash ? hash : NO_HASH, folder) != 0)
        rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (rc == 0)
        rc = moon_file_replace(path.data, list.data ? list.data : "", list.len, 0600, err);
    moon_buf_release(&dir);
    moon_buf_release(&path);
    moon_buf_release(&list);
    return rc;
}
