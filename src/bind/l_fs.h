/* l_fs.h - the parts of module "fs" to each other. Private to src/bind. */
#ifndef MOON_BIND_L_FS_H
#define MOON_BIND_L_FS_H

#include <lua.h>

int l_fs_lines(lua_State *L);        /* fs.lines */
void l_fs_lines_setup(lua_State *L); /* its reader's metatable  [-0, +0, m] */

#endif
