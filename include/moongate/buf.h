/* buf.h - a growable byte buffer. Embedded NULs are data. data is NUL-terminated after every successful append. */
#ifndef MOONGATE_BUF_H
#define MOONGATE_BUF_H

#include <stddef.h>

struct moon_buf {
    char *data; /* NULL until the first append */
    size_t len; /* bytes in use, without the terminating NUL */
    size_t cap;
};

#define MOON_BUF_INIT                                                                                                  \
    { NULL, 0, 0 }

void moon_buf_init(struct moon_buf *b);
void moon_buf_release(struct moon_buf *b); /* frees; b is as after _init */
void moon_buf_clear(struct moon_buf *b);   /* len = 0, keeps the memory */
/* All return 0 or MOON_ENOMEM, and leave b unchanged when they fail. */
int moon_buf_reserve(struct moon_buf *b, size_t extra);
int moon_buf_append(struct moon_buf *b, const void *data, size_t len);
int moon_buf_puts(struct moon_buf *b, const char *s);
int moon_buf_putc(struct moon_buf *b, char c);
int moon_buf_printf(struct moon_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Overwrites len bytes in a way the compiler keeps. For memory that held a secret. */
void moon_wipe(void *p, size_t len);

#endif
