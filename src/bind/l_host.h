/* l_host.h - the parts of module "moongate.host" to each other. Private to src/bind. */
#ifndef MOON_BIND_L_HOST_H
#define MOON_BIND_L_HOST_H

#include <lua.h>

int l_host_adopt(lua_State *L);
int l_host_background(lua_State *L);
int l_host_foreground(lua_State *L);
int l_host_has_children(lua_State *L);
int l_host_process(lua_State *L);
int l_host_process_life(lua_State *L);
int l_host_shared(lua_State *L);
int l_host_shared_changes(lua_State *L);
int l_host_write_out(lua_State *L);
void l_host_out_setup(lua_State *L); /* what write_out waits with  [-0, +0, m] */

#endif
