/* l_editor.c - host.editor: the line editor as an object of Lua. Part of module "moongate.host".  Types:
 * lua/meta/host.lua
 *
 * The pool reads. What it works on is the source of a handle: one that is closed in between is asked to stop, and its
 * end frees it. */
#include "editor.h"

#include "moongate/host.h"
#include "moongate/loop.h"
#include "moongate/repl.h"
#include "moongate/screen.h"

#include <stdlib.h>
#include <string.h>

#define L_EDITOR "moongate.host.editor"

struct editor {
    struct moon_editor *editor;
    struct moon_loop *loop;
    struct moon_screen *screen;
    struct moon_hook hook; /* looks for questions of the reading thread */
    struct moon_work work;
    struct moon_wake reader, completer;
    char *prompt;
    struct moon_buf line;
    enum moon_editor_result result;
    bool busy, orphan;
    struct moon_buf text; /* to be completed */
    size_t cursor;
    bool asked;
};

struct l_editor {
    struct editor *e; /* NULL: closed */
};

static void editor_free(struct editor *e) {
    moon_editor_free(e->editor);
    moon_buf_release(&e->line);
    moon_buf_release(&e->text);
    free(e->prompt);
    free(e);
}

static struct editor *editor_arg(lua_State *L) {
    struct l_editor *h = luaL_checkudata(L, 1, L_EDITOR);
    if (!h->e)
        luaL_error(L, "the editor is closed");
    return h->e;
}

/* ---- reading ---- */

static void run(void *ud) {
    struct editor *e = ud;
    e->result = moon_editor_read(e->editor, e->prompt, &e->line);
}

static void done(void *ud, bool cancelled) {
    struct editor *e = ud;
    e->busy = false;
    if (cancelled)
        e->result = MOON_EDITOR_STOPPED;
    if (e->orphan)
        editor_free(e);
    else
        moon_task_wake(e->reader);
}

static int read_k(lua_State *L, int status, lua_KContext ctx) {
    struct editor *e = editor_arg(L);
    (void)status;
    (void)ctx;
    switch (e->result) {
    case MOON_EDITOR_LINE:
        lua_pushlstring(L, e->line.data ? e->line.data : "", e->line.len);
        return 1;
    case MOON_EDITOR_INTERRUPTED:
        lua_pushboolean(L, 0);
        return 1;
    default:
        return 0;
    }
}

/* editor:read(prompt) -> line | false: Ctrl-C | nil: the end. Waits; one at a time */
static int l_read(lua_State *L) {
    struct editor *e = editor_arg(L);
    const char *prompt = luaL_checkstring(L, 2);
    struct moon_err err;
    moon_task_check(L, "editor:read");
    luaL_argcheck(L, !e->busy, 1, "it reads already");
    free(e->prompt);
    e->prompt = strdup(prompt);
    moon_buf_clear(&e->line);
    if (!e->prompt)
        return luaL_error(L, "not enough memory");
    if (moon_work_start(e->loop, &e->work, run, done, e, &err) != 0)
        return luaL_error(L, "%s", err.message);
    e->busy = true;
    e->reader = moon_task_park(L);
    return lua_yieldk(L, 0, 0, read_k);
}

static int interrupt_k(lua_State *L, int status, lua_KContext ctx) {
    (void)L;
    (void)status;
    (void)ctx;
    return 0;
}

/* editor:interrupt(): ends a read whose task was cancelled; waits for that */
static int l_interrupt(lua_State *L) {
    struct editor *e = editor_arg(L);
    if (!e->busy)
        return 0;
    moon_task_check(L, "editor:interrupt");
    moon_editor_interrupt(e->editor);
    e->reader = moon_task_park(L);
    return lua_yieldk(L, 0, 0, interrupt_k);
}

/* editor:add(line): to the history */
static int l_add(lua_State *L) {
    moon_editor_remember(editor_arg(L)->editor, luaL_checkstring(L, 2));
    return 0;
}

/* ---- completion ---- */

/* On the reading thread. */
static void wanted(void *ud) {
    moon_loop_wake(((struct editor *)ud)->loop);
}

/* In every turn. */
static void look(void *ud) {
    struct editor *e = ud;
    if (e->asked || !e->busy)
        return;
    moon_buf_clear(&e->text);
    if (!moon_editor_wanted(e->editor, &e->text, &e->cursor))
        return;
    e->asked = true;
    moon_task_wake(e->completer);
}

static int wanted_k(lua_State *L, int status, lua_KContext ctx) {
    struct editor *e = editor_arg(L);
    (void)status;
    (void)ctx;
    if (!e->asked)
        return 0;
    lua_pushlstring(L, e->text.data ? e->text.data : "", e->text.len);
    lua_pushinteger(L, (lua_Integer)e->cursor);
    return 2;
}

/* editor:wanted() -> text, cursor: waits until Tab was pressed; an offer must follow */
static int l_wanted(lua_State *L) {
    struct editor *e = editor_arg(L);
    moon_task_check(L, "editor:wanted");
    if (e->asked)
        return wanted_k(L, LUA_OK, 0);
    e->completer = moon_task_park(L);
    return lua_yieldk(L, 0, 0, wanted_k);
}

/* editor:offer(erase, insert [, list]): what Tab does */
static int l_offer(lua_State *L) {
    struct editor *e = editor_arg(L);
    lua_Integer erase = luaL_checkinteger(L, 2);
    const char *insert = luaL_checkstring(L, 3), *list = luaL_optstring(L, 4, "");
    luaL_argcheck(L, erase >= 0 && erase < 1 << 20, 2, "characters");
    e->asked = false;
    moon_editor_offer(e->editor, (int)erase, insert, list);
    return 0;
}

/* ---- life ---- */

/* __gc, __close and :close() */
static int l_close(lua_State *L) {
    struct l_editor *h = luaL_checkudata(L, 1, L_EDITOR);
    struct editor *e = h->e;
    h->e = NULL;
    if (!e)
        return 0;
    moon_loop_unhook(e->loop, &e->hook);
    memset(e->screen, 0, sizeof *e->screen);
    if (e->busy) {
        e->orphan = true;
        moon_editor_stop(e->editor);
    } else {
        editor_free(e);
    }
    return 0;
}

/* host.editor() -> editor | nil, err: there is no terminal, or no libedit */
static int l_editor(lua_State *L) {
    const struct moon_services *services = moon_host_services(moon_host_of(L));
    struct moon_err err;
    luaL_argcheck(L, services->screen && !services->screen->hide, 1, "there is one already");
    struct l_editor *h = lua_newuserdatauv(L, sizeof *h, 0);
    h->e = NULL;
    luaL_setmetatable(L, L_EDITOR);
    struct editor *e = calloc(1, sizeof *e);
    if (!e)
        return luaL_error(L, "not enough memory");
    e->loop = services->loop;
    e->screen = services->screen;
    if (moon_editor_new(&e->editor, moon_loop_clock(e->loop), wanted, e, &err) != 0) {
        editor_free(e);
        return moon_fail(L, &err);
    }
    h->e = e;
    moon_loop_hook(e->loop, &e->hook, look, e);
    *e->screen = (struct moon_screen){moon_editor_hide, moon_editor_show, e->editor};
    return 1;
}

static const luaL_Reg methods[] = {{"read", l_read},   {"interrupt", l_interrupt}, {"add", l_add}, {"wanted", l_wanted},
                                   {"offer", l_offer}, {"close", l_close},         {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};

void moon_repl_extend(lua_State *L) {
    if (luaL_newmetatable(L, L_EDITOR)) {
        luaL_setfuncs(L, meta, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moongate.host");
    lua_call(L, 1, 1);
    lua_pushcfunction(L, l_editor);
    lua_setfield(L, -2, "editor");
    lua_pop(L, 1);
}
