/* landlock.c - see landlock.h. https://docs.kernel.org/userspace-api/landlock.html */
#include "moongate/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers may be. */
#define ACCESS_REFER    (UINT64_C(1) << 13) /* from version 2 on */
#define ACCESS_TRUNCATE (UINT64_C(1) << 14) /* 3 */

#define OF_A_FILE                                                                                                      \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | ACCESS_TRUNCATE)
#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITING                                                                                                        \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                  \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM | ACCESS_REFER |          \
     ACCESS_TRUNCATE)

int moon_landlock_abi(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

bool moon_landlock_begin(struct moon_landlock *l) {
    int abi = moon_landlock_abi();
    l->handled = READING | WRITING | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
    if (abi < 2)
        l->handled &= ~ACCESS_REFER;
    if (abi < 3)
        l->handled &= ~ACCESS_TRUNCATE;
    struct landlock_ruleset_attr attr = {.handled_access_fs = l->handled};
    l->fd = abi > 0 ? (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0) : -1;
    return l->fd >= 0;
}

static void allow(struct moon_landlock *l, int fd, uint64_t access) {
    struct stat st;
    struct landlock_path_beneath_attr rule = {.parent_fd = fd, .allowed_access = access & l->handled};
    if (fd < 0 || fstat(fd, &st) != 0)
        return;
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= OF_A_FILE;
    syscall(SYS_landlock_add_rule, l->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

static void allow_path(struct moon_landlock *l, const char *path, uint64_t access) {
    int fd = path && *path ? open(path, O_PATH | O_CLOEXEC) : -1;
    allow(l, fd, access);
    if (fd >= 0)
        close(fd);
}

void moon_landlock_read(struct moon_landlock *l, const char *path) {
    allow_path(l, path, READING);
}

void moon_landlock_write(struct moon_landlock *l, const char *path) {
    allow_path(l, path, READING | WRITING);
}

void moon_landlock_read_at(struct moon_landlock *l, int fd) {
    allow(l, fd, READING);
}

void moon_landlock_write_at(struct moon_landlock *l, int fd) {
    allow(l, fd, LANDLOCK_ACCESS_FS_READ_DIR | WRITING); /* a folder is opened to be synced */
}

bool moon_landlock_enforce(struct moon_landlock *l) {
    bool done = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, l->fd, 0) == 0;
    close(l->fd);
    l->fd = -1;
    return done;
}
