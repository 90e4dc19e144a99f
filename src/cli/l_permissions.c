/* l_permissions.c - what the Lua command line asks of the permissions: functions of the private module "moongate.host".
 * Types: lua/meta/host.lua */
#include "permissions.h"

#include "session.h"

#include "moongate/host.h"
#include "moongate/landlock.h"

#include <string.h>

static struct moon_session *session_of(lua_State *L) {
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* host.restrict([folder]): a script of this folder is about to be loaded. From here on, for good, all code of the
 * process keeps to the permissions. Raises what is wrong with them. */
static int l_restrict(lua_State *L) {
    struct moon_err err;
    struct moon_session *s = session_of(L);
    if (moon_permissions_enforce(s, luaL_optstring(L, 1, NULL), &err) == 0 &&
        (s->watchdog || moon_watchdog_start(&s->watchdog, s->host, 0, s->options->json, &err) == 0))
        return 0;
    moon_error_push(L, &err);
    return lua_error(L);
}

/* host.restricted() -> boolean: whether a script has been loaded. Also with --allow-all. */
static int l_restricted(lua_State *L) {
    lua_pushboolean(L, session_of(L)->permit_filled);
    return 1;
}

/* host.read_only_definitions(folder): the script of this folder that is about to be loaded is only asked what it is.
 * From here on, for good, scripts reach nothing but the files below it. No-op in tests. */
static int l_close(lua_State *L) {
    struct moon_err err;
    struct moon_session *s = session_of(L);
    if (s->tests || moon_permit_close(s->permit, luaL_checkstring(L, 1), &err) == 0)
        return 0;
    moon_error_push(L, &err);
    return lua_error(L);
}

/* host.allow_all(): what follows runs with everything allowed: tests */
static int l_allow_all(lua_State *L) {
    moon_permit_allow_all(session_of(L)->permit);
    session_of(L)->tests = true;
    return 0;
}

/* host.refuse(url): no request goes to its origin: of a test. Raises for what is not a URL. */
static int l_refuse(lua_State *L) {
    struct moon_err err;
    if (moon_permit_refuse_url(session_of(L)->permit, luaL_checkstring(L, 1), &err) == 0)
        return 0;
    moon_error_push(L, &err);
    return lua_error(L);
}

/* host.allows(kind, what) -> boolean | nil, err: whether all that this rule would allow is allowed */
static int l_allows(lua_State *L) {
    struct moon_session *s = session_of(L);
    size_t len;
    int kind = luaL_checkoption(L, 1, NULL, moon_permission_names);
    const char *what = luaL_checklstring(L, 2, &len);
    struct moon_err err;
    bool covered;
    luaL_argcheck(L, strlen(what) == len, 2, "a NUL in it");
    if (moon_permit_covers(s->permit, (enum moon_permission)kind, what, &covered, &err) != 0)
        return moon_fail(L, &err);
    lua_pushboolean(L, covered);
    return 1;
}

/* host.note_access(kind, what, allowed): an access that was not asked for one by one, for the record */
static int l_note_access(lua_State *L) {
    int kind = luaL_checkoption(L, 1, NULL, moon_permission_names);
    luaL_checktype(L, 3, LUA_TBOOLEAN);
    moon_permit_note(session_of(L)->permit, (enum moon_permission)kind, luaL_checkstring(L, 2), lua_toboolean(L, 3));
    return 0;
}

/* host.seal() -> boolean: whether the kernel holds the process to the file rules from now on */
static int l_seal(lua_State *L) {
    lua_pushboolean(L, moon_permissions_seal(session_of(L)));
    return 1;
}

/* host.landlock() -> the version of the kernel's, 0: none */
static int l_landlock(lua_State *L) {
    lua_pushinteger(L, moon_landlock_abi());
    return 1;
}

const luaL_Reg moon_permission_funcs[] = {{"allow_all", l_allow_all},
                                          {"allows", l_allows},
                                          {"landlock", l_landlock},
                                          {"note_access", l_note_access},
                                          {"read_only_definitions", l_close},
                                          {"restrict", l_restrict},
                                          {"refuse", l_refuse},
                                          {"restricted", l_restricted},
                                          {"seal", l_seal},
                                          {NULL, NULL}};
