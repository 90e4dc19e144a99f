/* modules.h - the native modules that a VM can require. */
#ifndef MOONGATE_MODULES_H
#define MOONGATE_MODULES_H

#include <lauxlib.h>

extern const luaL_Reg moon_modules[]; /* ended by {NULL, NULL} */

#endif
