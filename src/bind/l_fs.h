/* l_fs.h - the parts of module "fs" to each other, and what other modules read off the loop's thread as it does.
 * Private to src/bind. */
#ifndef MOON_BIND_L_FS_H
#define MOON_BIND_L_FS_H

#include <lua.h>

#include <stdbool.h>

/* The module; of_user: for what the user has named, whatever scripts may do. [-0, +1, m] */
void l_fs_push(lua_State *L, bool of_user);

int l_fs_lines(lua_State *L);        /* fs.lines */
void l_fs_lines_setup(lua_State *L); /* its reader's metatable  [-0, +0, m] */

void l_fs_setup(lua_State *L);       /* the metatable of what the next ones wait on; again is harmless  [-0, +0, m] */
int l_fs_write_secret(lua_State *L); /* host.write_secret(path, handle) -> true | nil, err */
int l_secret_file(lua_State *L);     /* secret.file(path) -> handle | nil, err */
int l_host_read_stdin(lua_State *L); /* host.read_stdin() -> bytes | nil, err */

#endif
