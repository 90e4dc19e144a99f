/* child.h - a process started by this one, on the loop: its output as it comes, its end, a way to end it.
 *
 * Standard output and error of the child are one stream, in the order in which they were written; its standard input is
 * empty. The child is killed when its owner lets go of it. */
#ifndef MOONGATE_CHILD_H
#define MOONGATE_CHILD_H

#include "moongate/buf.h"
#include "moongate/err.h"

#include <stdbool.h>

struct moon_child;
struct moon_loop;

struct moon_child_opts {
    const char *file;          /* a path, or a name that is looked for in PATH */
    char *const *argv;         /* from argv[0], NULL-ended */
    char *const *env;          /* NULL-ended "NAME=value"; NULL: ours */
    const char *folder;        /* that it starts in; NULL: ours */
    void (*changed)(void *ud); /* output has come, or it has ended; in loop context */
    void *ud;
};

/* MOON_ENOENT, MOON_EDENIED, MOON_EIO, MOON_ENOMEM */
int moon_child_start(struct moon_child **out, struct moon_loop *loop, const struct moon_child_opts *opts,
                     struct moon_err *err);
/* Output that has come and nobody has taken: the caller empties it. */
struct moon_buf *moon_child_output(struct moon_child *c);
/* Nothing more will come: the process has ended, and everybody who could still write has gone. */
bool moon_child_ended(const struct moon_child *c);
/* Valid once it has ended: exit status, and the signal that ended it or 0. */
int moon_child_status(const struct moon_child *c, int *signal);
void moon_child_kill(struct moon_child *c, int signal); /* no-op when it has ended */
/* Kills what still runs; `changed` is not called any more. NULL-safe. */
void moon_child_free(struct moon_child *c);

/* Path of the program that runs, into path. 0 or MOON_EIO. */
int moon_child_self(char *path, size_t size, struct moon_err *err);
/* How many threads can run at once. At least 1. */
unsigned moon_child_parallelism(void);

#endif
