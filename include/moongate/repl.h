/* repl.h - what a prompt needs that is no Lua: the line editor. Layer: repl */
#ifndef MOONGATE_REPL_H
#define MOONGATE_REPL_H

#include <lua.h>

/* Adds host.editor to the private module "moongate.host", which is required. Protected by the caller. [-0, +0, e] */
void moon_repl_extend(lua_State *L);

#endif
