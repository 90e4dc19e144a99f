/* log.c - one redacted line per message, written with a single write(2) so that lines of several processes don't mix.
 */
#include "moongate/log.h"

#include "moongate/buf.h"
#include "moongate/err.h"
#include "moongate/visible.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

const char *moon_log_level_name(enum moon_log_level level) {
    return level <= MOON_LOG_TRACE ? level_names[level] : "trace";
}

int moon_log_level_parse(const char *name, enum moon_log_level *out) {
    for (int i = MOON_LOG_ERROR; i <= MOON_LOG_TRACE; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum moon_log_level)i;
            return 0;
        }
    }
    return MOON_EINVAL;
}

void moon_log_init(struct moon_log *log, int fd, enum moon_log_level level) {
    memset(log, 0, sizeof *log);
    log->fd = fd;
    log->level = level;
}

/* A peer's text can't forge a line or move the cursor. */
static int append_visible(struct moon_buf *line, const struct moon_buf *text) {
    if (text->len == 0)
        return 0;
    size_t n = moon_visible(text->data, text->len, false, NULL);
    if (moon_buf_reserve(line, n + 1) != 0)
        return MOON_ENOMEM;
    line->len += moon_visible(text->data, text->len, false, line->data + line->len);
    line->data[line->len] = '\0';
    return 0;
}

static void write_line(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere left to report it */
        data += n;
        len -= (size_t)n;
    }
}

void moon_log_text(struct moon_log *log, enum moon_log_level level, const char *text, size_t len) {
    if (!log || level > log->level)
        return;
    struct moon_buf clean = MOON_BUF_INIT, line = MOON_BUF_INIT;
    char stamp[MOON_TIME_SIZE] = "";
    if (log->clock) {
        moon_time_format(moon_wall_ns(log->clock), stamp);
        if (moon_buf_printf(&line, "%s ", stamp) != 0)
            goto out;
    }
    if (moon_redact_append(log->redact, &clean, text, len) != 0 ||
        moon_buf_printf(&line, "%s: ", moon_log_level_name(level)) != 0 || append_visible(&line, &clean) != 0 ||
        moon_buf_putc(&line, '\n') != 0)
        goto out; /* out of memory: an unredacted line is worse than none */
    if (log->before_line)
        log->before_line(log->ud);
    moon_screen_hide(log->screen);
    write_line(log->fd, line.data, line.len);
    moon_screen_show(log->screen);
out:
    moon_buf_release(&clean);
    moon_buf_release(&line);
}

void moon_log_write(struct moon_log *log, enum moon_log_level level, const char *fmt, ...) {
    if (!log || level > log->level)
        return;
    char small[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if ((size_t)n < sizeof small) {
        moon_log_text(log, level, small, (size_t)n);
        return;
    }
    struct moon_buf big = MOON_BUF_INIT;
    if (moon_buf_reserve(&big, (size_t)n) == 0) {
        va_start(ap, fmt);
        vsnprintf(big.data, (size_t)n + 1, fmt, ap);
        va_end(ap);
        moon_log_text(log, level, big.data, (size_t)n);
    }
    moon_buf_release(&big);
}
