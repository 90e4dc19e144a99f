/* log.h - the diagnostic log: one redacted line per message to a file descriptor, stderr by default. Never the result.
 */
#ifndef MOONGATE_LOG_H
#define MOONGATE_LOG_H

#include "moongate/clock.h"
#include "moongate/redact.h"
#include "moongate/screen.h"

#include <stddef.h>

enum moon_log_level { MOON_LOG_ERROR, MOON_LOG_WARN, MOON_LOG_INFO, MOON_LOG_DEBUG, MOON_LOG_TRACE };

struct moon_log {
    int fd;
    enum moon_log_level level;        /* messages above it are dropped before they are formatted */
    const struct moon_redact *redact; /* borrowed; may be NULL */
    const struct moon_clock *clock;   /* borrowed; NULL: no time stamp */
    int (*before_line)(void *ud);     /* called before a line goes out (clears a progress bar); may be NULL */
    void *ud;
    struct moon_screen *screen; /* hidden while a line goes out; may be NULL */
};

void moon_log_init(struct moon_log *log, int fd, enum moon_log_level level);
/* One line: "[time] level: text". Line breaks and other control characters in text are escaped. log may be NULL. */
void moon_log_write(struct moon_log *log, enum moon_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void moon_log_text(struct moon_log *log, enum moon_log_level level, const char *text, size_t len);
const char *moon_log_level_name(enum moon_log_level level);
int moon_log_level_parse(const char *name, enum moon_log_level *out); /* 0 or MOON_EINVAL */

#endif
