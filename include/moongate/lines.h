/* lines.h - bytes that come in pieces, taken out as lines of bounded length. And reading and writing a descriptor in a
 * way that another thread can end.
 *
 * Memory: what was fed and not taken, at most one piece and one line. A line longer than the limit is passed over, and
 * told once. Not for two threads at once. */
#ifndef MOONGATE_LINES_H
#define MOONGATE_LINES_H

#include "moongate/buf.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct moon_lines {
    struct moon_buf buf;
    size_t at;       /* the first byte that was not taken */
    size_t scanned;  /* up to here there is no line break */
    size_t max;      /* bytes of a line, without its line break */
    uint64_t number; /* of the line that _next gave last, from 1 */
    bool skipping;   /* in the rest of a line that is too long */
    bool ended;
};

enum moon_lines_result {
    MOON_LINES_MORE, /* feed it, or end it */
    MOON_LINES_LINE,
    MOON_LINES_TOO_LONG, /* a line that is longer than max: its number counts, its bytes are gone */
    MOON_LINES_END
};

void moon_lines_init(struct moon_lines *l, size_t max);
void moon_lines_release(struct moon_lines *l);
/* Copies. Invalidates what _next gave. 0 or MOON_ENOMEM. */
int moon_lines_feed(struct moon_lines *l, const char *data, size_t len);
void moon_lines_end(struct moon_lines *l); /* what is left is the last line, unless it is empty */
/* LINE: *line has *len bytes, without "\n" or "\r\n"; valid until the next _feed or _release. */
enum moon_lines_result moon_lines_next(struct moon_lines *l, const char **line, size_t *len);

/* Waits until fd can be read, then reads once, so that it does not block. stop: a descriptor that becomes readable when
 * the wait is to end. >= 0: bytes, 0 at the end; MOON_ECANCELLED; MOON_EIO. */
ssize_t moon_fd_read(int fd, int stop, void *buf, size_t size, struct moon_err *err);
/* Writes all of it, and never so much at once to a pipe that it would block. 0, MOON_ECANCELLED, MOON_EIO. */
int moon_fd_write(int fd, int stop, const void *data, size_t len, struct moon_err *err);

#endif
