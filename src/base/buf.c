/* buf.c - a growable byte buffer. */
#include "moongate/buf.h"

#include "moongate/err.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void moon_buf_init(struct moon_buf *b) {
    b->data = NULL;
    b->len = b->cap = 0;
}

void moon_buf_release(struct moon_buf *b) {
    free(b->data);
    moon_buf_init(b);
}

void moon_buf_clear(struct moon_buf *b) {
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

int moon_buf_reserve(struct moon_buf *b, size_t extra) {
    if (extra >= SIZE_MAX / 2 - b->len)
        return MOON_ENOMEM;
    size_t need = b->len + extra + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need)
        cap += cap / 2 + 16;
    char *data = realloc(b->data, cap);
    if (!data)
        return MOON_ENOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

int moon_buf_append(struct moon_buf *b, const void *data, size_t len) {
    if (moon_buf_reserve(b, len) != 0)
        return MOON_ENOMEM;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int moon_buf_puts(struct moon_buf *b, const char *s) {
    return moon_buf_append(b, s, strlen(s));
}

int moon_buf_putc(struct moon_buf *b, char c) {
    return moon_buf_append(b, &c, 1);
}

int moon_buf_printf(struct moon_buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || moon_buf_reserve(b, (size_t)n) != 0)
        return MOON_ENOMEM;
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return 0;
}

void moon_wipe(void *p, size_t len) {
    if (p && len > 0)
        explicit_bzero(p, len);
}
