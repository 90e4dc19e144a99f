/* modules.c - the list of the native modules: name and opener. A new module is one line in each block. */
#include "moongate/modules.h"

#define MODULE(name) int luaopen_moongate_##name(lua_State *L);

MODULE(audit)
MODULE(auth)
MODULE(child)
MODULE(error)
MODULE(fs)
MODULE(hash)
MODULE(host)
MODULE(http)
MODULE(httpd)
MODULE(json)
MODULE(log)
MODULE(note)
MODULE(scope)
MODULE(secret)
MODULE(span)
MODULE(store)
MODULE(task)
MODULE(time)
MODULE(uuid)
MODULE(validate)
MODULE(webhook)
int luaopen_moongate_cjson(lua_State *L);

const luaL_Reg moon_modules[] = {
    {"cjson", luaopen_moongate_cjson},
    {"moongate.audit", luaopen_moongate_audit},
    {"moongate.auth", luaopen_moongate_auth},
    {"moongate.child", luaopen_moongate_child},
    {"moongate.error", luaopen_moongate_error},
    {"moongate.fs", luaopen_moongate_fs},
    {"moongate.hash", luaopen_moongate_hash},
    {"moongate.host", luaopen_moongate_host},
    {"moongate.http", luaopen_moongate_http},
    {"moongate.httpd", luaopen_moongate_httpd},
    {"moongate.json", luaopen_moongate_json},
    {"moongate.log", luaopen_moongate_log},
    {"moongate.note", luaopen_moongate_note},
    {"moongate.scope", luaopen_moongate_scope},
    {"moongate.secret", luaopen_moongate_secret},
    {"moongate.span", luaopen_moongate_span},
    {"moongate.store", luaopen_moongate_store},
    {"moongate.task", luaopen_moongate_task},
    {"moongate.time", luaopen_moongate_time},
    {"moongate.uuid", luaopen_moongate_uuid},
    {"moongate.validate", luaopen_moongate_validate},
    {"moongate.webhook", luaopen_moongate_webhook},
    {NULL, NULL},
};
