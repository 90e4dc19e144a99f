/* lines.c - lines out of pieces, and descriptors that can be let go of. */
#include "moongate/lines.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_MAX ((size_t)256 << 10) /* a longer line's memory is given back */

void moon_lines_init(struct moon_lines *l, size_t max) {
    memset(l, 0, sizeof *l);
    l->max = max;
}

void moon_lines_release(struct moon_lines *l) {
    moon_buf_release(&l->buf);
    l->at = l->scanned = 0;
}

/* Moves what is left to the front. */
static void compact(struct moon_lines *l) {
    size_t left = l->buf.len - l->at;
    if (left == 0 && l->buf.cap > KEEP_MAX)
        moon_buf_release(&l->buf);
    else if (l->at > 0)
        memmove(l->buf.data, l->buf.data + l->at, left);
    l->buf.len = left;
    l->scanned -= l->at;
    l->at = 0;
}

int moon_lines_feed(struct moon_lines *l, const char *data, size_t len) {
    if (l->skipping) {
        const char *end = len > 0 ? memchr(data, '\n', len) : NULL;
        if (!end)
            return 0;
        l->skipping = false;
        len -= (size_t)(end + 1 - data);
        data = end + 1;
    }
    if (l->at > 0)
        compact(l);
    return moon_buf_append(&l->buf, data, len);
}

void moon_lines_end(struct moon_lines *l) {
    l->ended = true;
}

static enum moon_lines_result take(struct moon_lines *l, size_t len, size_t with_break, const char **line,
                                   size_t *line_len) {
    *line = l->buf.data + l->at;
    *line_len = len > 0 && with_break > len && (*line)[len - 1] == '\r' ? len - 1 : len;
    l->at += with_break;
    l->scanned = l->at;
    l->number++;
    return *line_len > l->max ? MOON_LINES_TOO_LONG : MOON_LINES_LINE;
}

enum moon_lines_result moon_lines_next(struct moon_lines *l, const char **line, size_t *len) {
    size_t left = l->buf.len - l->at;
    const char *from = left > 0 ? l->buf.data + l->scanned : NULL;
    const char *end = from ? memchr(from, '\n', l->buf.len - l->scanned) : NULL;
    if (end) {
        size_t n = (size_t)(end - (l->buf.data + l->at));
        return take(l, n, n + 1, line, len);
    }
    l->scanned = l->buf.len;
    if (left > l->max + 1) { /* 1: it could be the \r of a line break */
        l->skipping = !l->ended;
        return take(l, left, left, line, len);
    }
    if (!l->ended)
        return MOON_LINES_MORE;
    return left > 0 ? take(l, left, left, line, len) : MOON_LINES_END;
}

/* ---- descriptors ---- */

/* 0 when fd is ready for what is asked. */
static int wait_for(int fd, short what, int stop, struct moon_err *err) {
    struct pollfd p[2] = {{.fd = stop, .events = POLLIN}, {.fd = fd, .events = what}};
    for (;;) {
        int n = poll(p, 2, -1);
        if (n < 0 && errno != EINTR)
            return moon_err_errno(err, MOON_EIO, errno, "poll");
        if (n > 0 && p[0].revents)
            return moon_err_set(err, MOON_ECANCELLED, "cancelled");
        if (n > 0 && p[1].revents)
            return 0;
    }
}

ssize_t moon_fd_read(int fd, int stop, void *buf, size_t size, struct moon_err *err) {
    for (;;) {
        int rc = wait_for(fd, POLLIN, stop, err);
        if (rc != 0)
            return rc;
        ssize_t n = read(fd, buf, size);
        if (n >= 0)
            return n;
        if (errno != EINTR && errno != EAGAIN)
            return moon_err_errno(err, MOON_EIO, errno, "can't read");
    }
}

int moon_fd_write(int fd, int stop, const void *data, size_t len, struct moon_err *err) {
    const char *p = data;
    struct stat st;
    bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    while (len > 0) {
        int rc = is_file ? 0 : wait_for(fd, POLLOUT, stop, err);
        if (rc != 0)
            return rc;
        ssize_t n = write(fd, p, is_file || len < PIPE_BUF ? len : PIPE_BUF);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return moon_err_errno(err, MOON_EIO, errno, "can't write");
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return 0;
}
