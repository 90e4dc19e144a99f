/* l_host_out.c - host.write_out: standard output through the pool, so that a slow reader of it holds up nobody else.
 * Part of module "moongate.host".  Types: lua/meta/host.lua */
#include "l_host.h"

#include "moongate/buf.h"
#include "moongate/host.h"
#include "moongate/lines.h"
#include "moongate/loop.h"
#include "moongate/redact.h"
#include "moongate/screen.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define L_OUT "moongate.host.out"

struct out {
    struct moon_work work;
    struct moon_wake wake;
    struct moon_buf text;
    struct moon_screen *screen;
    int stop;
    bool busy, orphan;
    int rc;
    struct moon_err err;
};

static void out_free(struct out *o) {
    if (!o)
        return;
    if (o->stop >= 0)
        close(o->stop);
    moon_buf_release(&o->text);
    free(o);
}

static void run(void *ud) {
    struct out *o = ud;
    struct moon_screen screen = {0};
    if (o->screen)
        screen = *o->screen; /* as it is now: it may be gone when this is written */
    moon_screen_hide(&screen);
    o->rc = moon_fd_write(STDOUT_FILENO, o->stop, o->text.data ? o->text.data : "", o->text.len, &o->err);
    moon_screen_show(&screen);
}

static void done(void *ud, bool cancelled) {
    struct out *o = ud;
    o->busy = false;
    if (cancelled)
        o->rc = moon_err_set(&o->err, MOON_ECANCELLED, "cancelled");
    if (o->orphan)
        out_free(o);
    else
        moon_task_wake(o->wake);
}

/* __gc and __close */
static int l_close(lua_State *L) {
    struct out **h = luaL_checkudata(L, 1, L_OUT);
    struct out *o = *h;
    *h = NULL;
    if (o && o->busy) {
        uint64_t one = 1;
        o->orphan = true;
        if (write(o->stop, &one, sizeof one) < 0)
            moon_work_cancel(moon_host_services(moon_host_of(L))->loop, &o->work);
    } else {
        out_free(o);
    }
    return 0;
}

static int out_k(lua_State *L, int status, lua_KContext ctx) {
    struct out *o = *(struct out **)lua_touserdata(L, (int)ctx);
    (void)status;
    if (o->rc != 0)
        return moon_fail(L, &o->err);
    lua_pushboolean(L, 1);
    return 1;
}

/* host.write_out(text) -> true | nil, err: to stdout, redacted; waits. One at a time, or the texts mix. */
int l_host_write_out(lua_State *L) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    const struct moon_services *services = moon_host_services(moon_host_of(L));
    struct moon_err err;
    moon_task_check(L, "host.write_out");
    struct out **h = lua_newuserdatauv(L, sizeof *h, 0);
    *h = NULL;
    luaL_setmetatable(L, L_OUT);
    lua_toclose(L, -1);
    struct out *o = *h = calloc(1, sizeof *o);
    if (o)
        o->stop =
            eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); /* without one (no descriptor is left) it can't be cut short */
    if (!o || moon_redact_values(services->redact, &o->text, s, len) != 0) {
        moon_err_set(&err, MOON_ENOMEM, "out of memory");
        return moon_fail(L, &err);
    }
    o->screen = services->screen;
    if (moon_work_start(services->loop, &o->work, run, done, o, &err) != 0)
        return moon_fail(L, &err);
    o->busy = true;
    o->wake = moon_task_park(L);
    return lua_yieldk(L, 0, (lua_KContext)lua_gettop(L), out_k);
}

void l_host_out_setup(lua_State *L) {
    static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
    if (luaL_newmetatable(L, L_OUT))
        luaL_setfuncs(L, meta, 0);
    lua_pop(L, 1);
}
