/* torture.h - torture: the Nth allocation fails, N = 0, 1, 2, ... until everything goes well, once and for good, and
 * nothing may leak.
 *
 * It replaces malloc for the whole program, so that allocations inside libc and OpenSSL fail too. (Tests named *_oom
 * wrap only our own calls, and so work under a sanitizer as well; under one, this sweep runs without failures.)
 */
#ifndef MOONGATE_TESTS_TORTURE_H
#define MOONGATE_TESTS_TORTURE_H

#include "unit.h"

#include <errno.h>
#include <stdbool.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define OOM_REPLACED 0
#endif
#endif
#ifdef OOM_REPLACED
#elif defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define OOM_REPLACED 0
#else
#define OOM_REPLACED 1
#endif

static struct {
    bool on, for_good;
    long countdown; /* allocations until one fails */
    long live;      /* blocks that were allocated while on, less those freed */
    bool failed;
} oom;

#if OOM_REPLACED
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static bool oom_strikes(void) {
    if (!oom.on)
        return false;
    if (oom.countdown > 0) {
        oom.countdown--;
        return false;
    }
    if (oom.failed && !oom.for_good)
        return false;
    oom.failed = true;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n) {
    void *p = oom_strikes() ? NULL : __libc_malloc(n);
    oom.live += oom.on && p;
    return p;
}
void *calloc(size_t n, size_t size) {
    void *p = oom_strikes() ? NULL : __libc_calloc(n, size);
    oom.live += oom.on && p;
    return p;
}
void *realloc(void *old, size_t n) {
    void *p = oom_strikes() ? NULL : __libc_realloc(old, n);
    oom.live += oom.on && p && !old;
    return p;
}
void free(void *p) {
    oom.live -= oom.on && p;
    __libc_free(p);
}
#endif

/* Runs task until it passes with no allocation failed. task returns 0 for success, and must clean up after itself
 * either way. */
static inline void oom_sweep(const char *what, int (*task)(void)) {
    if (task() != 0) /* warm: what libraries keep for ever is allocated here */
        fail_msg("%s fails with all the memory in the world", what);
    for (int for_good = 0; for_good <= 1; for_good++) {
        for (long n = 0;; n++) {
            oom.countdown = n;
            oom.for_good = for_good;
            oom.failed = false;
            oom.live = 0;
            oom.on = true;
            int rc = task();
            oom.on = false;
            if (oom.live != 0)
                fail_msg("%s: %ld blocks leak when allocation %ld fails%s", what, oom.live, n,
                         for_good ? " for good" : "");
            if (!oom.failed) {
                assert_int_equal(rc, 0);
                break;
            }
            if (n > 100000)
                fail_msg("%s: no end in sight", what);
        }
    }
}

#endif
