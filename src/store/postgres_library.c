/* postgres_library.c - libpq, loaded when it is first needed, and then for good. */
#include "postgres_private.h"

#include <dlfcn.h>

#ifdef __APPLE__
#define LIBRARY "libpq.5.dylib"
#else
#define LIBRARY "libpq.so.5"
#endif

/* POSIX: what dlsym returns can be a function, which ISO C knows nothing about. */
#define LOAD(name) ok &= (*(void **)&pq->name = dlsym(handle, #name)) != NULL;

int pg_library_load(struct pg_library *pq, struct moon_err *err) {
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool ok = handle != NULL;
    if (ok) {
        PG_FUNCTIONS(LOAD)
    }
    if (ok)
        return 0;
    return moon_err_set(err, MOON_ESTORE,
                        "state: PostgreSQL needs " LIBRARY ", version 14 or later (Debian's package libpq5): %s",
                        handle ? "the one here is older" : "it is not here");
}
