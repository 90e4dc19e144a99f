/* l_audit.h - the parts of module "audit": l_audit.c (writing), l_audit_file.c (what reads files whole). */
#ifndef MOONGATE_L_AUDIT_H
#define MOONGATE_L_AUDIT_H

#include "moongate/host.h"

int l_audit_verify(lua_State *L);
int l_audit_read(lua_State *L);
int l_audit_tree(lua_State *L);   /* upvalue 1, where there is one: true: any file, whatever scripts may read */
int l_audit_rotate(lua_State *L); /* host.rotate_audit(keep_open_intents) -> true | nil, err: not for scripts */
int l_audit_keep_checkpoint(lua_State *L); /* host.keep_checkpoint(path, note) -> true | nil, err */
int l_audit_written(lua_State *L);         /* host.audit_written() -> number of events of this process */
int l_audit_reopen(lua_State *L);          /* needs the module to be open */
void l_audit_file_setup(lua_State *L);

#endif
