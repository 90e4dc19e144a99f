/* l_auth.h - what other bindings may know of a credential handle. Its secrets never go to Lua. */
#ifndef MOONGATE_L_AUTH_H
#define MOONGATE_L_AUTH_H

#include "moongate/auth.h"
#include "moongate/host.h"

#define L_AUTH "moongate.auth"

struct l_auth {
    struct moon_auth *a; /* NULL: empty handle, never seen by a script */
    bool session;        /* the session's own for its gateway: scripts write with it through the gateway only */
};

/* NULL unless the value at idx is a handle. */
static inline struct l_auth *l_auth_test(lua_State *L, int idx) {
    return luaL_testudata(L, idx, L_AUTH);
}

#endif
