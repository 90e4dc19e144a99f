/* landlock.h - Linux' Landlock: from a moment on, the kernel itself opens only files below named paths for this thread
 * and those that it starts. A second wall behind beneath.h, for what that one does not see. */
#ifndef MOONGATE_LANDLOCK_H
#define MOONGATE_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* The version of the kernel's Landlock, from 1; 0: it has none, or it is switched off. */
int moon_landlock_abi(void);

struct moon_landlock {
    int fd;
    uint64_t handled; /* what is forbidden unless it is allowed */
};
/* False: there is no Landlock. */
bool moon_landlock_begin(struct moon_landlock *l);
/* Reading below the path, or reading, writing, making and removing; a file or a folder. One that is not there is passed
 * over. */
void moon_landlock_read(struct moon_landlock *l, const char *path);
void moon_landlock_write(struct moon_landlock *l, const char *path);
/* The same of an open folder. */
void moon_landlock_read_at(struct moon_landlock *l, int fd);
void moon_landlock_write_at(struct moon_landlock *l, int fd);
/* From here on, for good. False: it did not work, and nothing has changed. */
bool moon_landlock_enforce(struct moon_landlock *l);

#endif
