/* l_log.c - Lua module "log": the diagnostic log on stderr, redacted.  Types: lua/meta/log.lua */
#include "moongate/host.h"
#include "moongate/log.h"

static struct moon_log *log_of(lua_State *L) {
    return moon_host_services(moon_host_of(L))->log;
}

/* A message that is not wanted is not formatted. Without arguments the text is taken as it is. */
static int write_line(lua_State *L, enum moon_log_level level) {
    struct moon_log *log = log_of(L);
    size_t len;
    const char *text;
    luaL_checkany(L, 1);
    if (level > log->level)
        return 0;
    if (lua_gettop(L) > 1) {
        luaL_checkstring(L, 1);
        lua_getglobal(L, "string"); /* the trusted one: scripts have copies */
        lua_getfield(L, -1, "format");
        lua_replace(L, -2);
        lua_insert(L, 1);
        lua_call(L, lua_gettop(L) - 1, 1);
    }
    text = luaL_tolstring(L, 1, &len);
    moon_log_text(log, level, text, len);
    return 0;
}

/* log.error(format, ...) and the same for warn, info, debug */
static int l_error(lua_State *L) {
    return write_line(L, MOON_LOG_ERROR);
}
static int l_warn(lua_State *L) {
    return write_line(L, MOON_LOG_WARN);
}
static int l_info(lua_State *L) {
    return write_line(L, MOON_LOG_INFO);
}
static int l_debug(lua_State *L) {
    return write_line(L, MOON_LOG_DEBUG);
}

/* log.level([name]) -> the level until now */
static int l_level(lua_State *L) {
    struct moon_log *log = log_of(L);
    enum moon_log_level level = log->level;
    if (!lua_isnoneornil(L, 1) && moon_log_level_parse(luaL_checkstring(L, 1), &level) != 0)
        return luaL_argerror(L, 1, "error, warn, info, debug or trace");
    lua_pushstring(L, moon_log_level_name(log->level));
    log->level = level;
    return 1;
}

static const luaL_Reg funcs[] = {{"error", l_error}, {"warn", l_warn},   {"info", l_info},
                                 {"debug", l_debug}, {"level", l_level}, {NULL, NULL}};

int luaopen_moongate_log(lua_State *L);
int luaopen_moongate_log(lua_State *L) {
    luaL_newlib(L, funcs);
    return 1;
}
