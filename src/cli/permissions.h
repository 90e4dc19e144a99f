/* permissions.h - what scripts of this session may do: from its flags, its project file, and what it works with
 * anyway. */
#ifndef MOONGATE_CLI_PERMISSIONS_H
#define MOONGATE_CLI_PERMISSIONS_H

#include "moongate/err.h"

#include <lauxlib.h>

#include <stdbool.h>

struct moon_session;

/* Makes s->permit, with the rules of flags and project file. What is wrong with those is left in s->permit_err; a
 * failure is for want of memory, or a --permission-log that can't be written. */
int moon_permissions_open(struct moon_session *s, struct moon_err *err);
/* A script of this folder (NULL: it has none) is about to be loaded: from now on the rules hold. */
int moon_permissions_enforce(struct moon_session *s, const char *folder, struct moon_err *err);

/* seal.c: the kernel holds all of the process to the file rules, too. False: it has no Landlock, or threads run
 * already, or everything is allowed. */
bool moon_permissions_seal(struct moon_session *s);

/* l_permissions.c: for the module "moongate.host"; upvalue 1 is the session. */
extern const luaL_Reg moon_permission_funcs[];

#endif
