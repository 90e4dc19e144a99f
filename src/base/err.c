/* err.c - codes, their names, and bounded messages. */
#include "moongate/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    "ok",           "out_of_memory",   "invalid",   "parse",        "range",    "io",
    "not_found",    "exists",          "denied",    "unauthorized", "connect",  "network",
    "tls",          "timeout",         "cancelled", "http",         "conflict", "breaker_open",
    "retry_budget", "unknown_outcome", "too_large", "corrupt",      "closed",   "interrupted",
    "protocol",     "verify",          "script",    "bug",          "store",    "busy",
};
_Static_assert(sizeof names / sizeof names[0] == 1 - MOON_CODE_LAST, "every code has a name");

const char *moon_code_name(int code) {
    if (code > 0 || code < MOON_CODE_LAST)
        return "bug";
    return names[-code];
}

/* Drops a UTF-8 character that the bound has cut in two. */
static void trim_partial(char *s, size_t len) {
    size_t start = len;
    while (start > 0 && ((unsigned char)s[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)s[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (len - (start - 1) < need)
        s[start - 1] = '\0';
}

__attribute__((format(printf, 2, 0))) static void set_message(struct moon_err *err, const char *fmt, va_list ap) {
    int n = vsnprintf(err->message, sizeof err->message, fmt, ap);
    if (n < 0)
        err->message[0] = '\0';
    else if ((size_t)n >= sizeof err->message)
        trim_partial(err->message, sizeof err->message - 1);
}

int moon_err_set(struct moon_err *err, int code, const char *fmt, ...) {
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    set_message(err, fmt, ap);
    va_end(ap);
    err->code = code;
    return code;
}

/* strerror_r has two forms: XSI's fills the buffer, GNU's may return a string of its own. _Generic picks at compile
 * time. */
static const char *xsi_result(int rc, const char *buf) {
    return rc == 0 ? buf : "unknown error";
}
static const char *gnu_result(const char *s, const char *buf) {
    (void)buf;
    return s;
}
#define ERROR_TEXT(n, buf)                                                                                             \
    _Generic(strerror_r(n, buf, sizeof(buf)), int: xsi_result, char *: gnu_result)(strerror_r(n, buf, sizeof(buf)), buf)

static int code_of_errno(int code, int errnum) {
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return MOON_ENOENT;
    case EACCES:
    case EPERM:
        return MOON_EDENIED;
    case EEXIST:
        return MOON_EEXIST;
    case ENOMEM:
        return MOON_ENOMEM;
    default:
        return code;
    }
}

int moon_err_errno(struct moon_err *err, int code, int errnum, const char *fmt, ...) {
    code = code_of_errno(code, errnum);
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    set_message(err, fmt, ap);
    va_end(ap);
    char reason[128];
    const char *text = ERROR_TEXT(errnum, reason);
    size_t len = strlen(err->message);
    snprintf(err->message + len, sizeof err->message - len, ": %s", text);
    err->code = code;
    return code;
}
