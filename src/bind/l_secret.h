/* l_secret.h - what other bindings may know of a secret handle. Its bytes never go to Lua. */
#ifndef MOONGATE_L_SECRET_H
#define MOONGATE_L_SECRET_H

#include "moongate/host.h"

#define L_SECRET "moongate.secret"

struct l_secret {
    char *data; /* NUL-terminated; NULL: empty handle, never seen by a script */
    size_t len;
};

/* Pushes a handle with a copy of the bytes, and has them redacted everywhere from now on. 1, or 2 with nil, err. */
int l_secret_push(lua_State *L, const char *data, size_t len);
/* Warns, once for each value, when the secret of that name is one that is not redacted (moon_redact_weak). */
void l_secret_warn(lua_State *L, const char *from, const char *value, size_t len);
/* NULL unless the value at idx is a handle. */
static inline const struct l_secret *l_secret_test(lua_State *L, int idx) {
    return luaL_testudata(L, idx, L_SECRET);
}

#endif
