/* l_session.c - what the Lua command line asks of the session: functions added to the private module "moongate.host".
 * Their upvalue is the session, which outlives the VM. */
#include "permissions.h"
#include "session.h"
#include "trust.h"

#include "moongate/http.h"
#include "moongate/http_server.h"
#include "moongate/net_rule.h"
#include "moongate/repl.h"

#include <lauxlib.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct moon_session *session_of(lua_State *L) {
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* ---- flags ---- */

static void push_option(lua_State *L, const struct moon_options *o, const struct moon_option *opt) {
    const void *field = (const char *)o + opt->offset;
    switch (opt->kind) {
    case MOON_OPTION_BOOL:
        lua_pushboolean(L, *(const bool *)field);
        break;
    case MOON_OPTION_COUNT:
        lua_pushinteger(L, *(const int *)field);
        break;
    case MOON_OPTION_STRING:
        lua_pushstring(L, *(const char *const *)field); /* nil for NULL */
        break;
    case MOON_OPTION_LIST: {
        const struct moon_options_list *list = field;
        lua_createtable(L, (int)list->len, 0);
        for (size_t i = 0; i < list->len; i++) {
            lua_pushstring(L, list->items[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    }
    case MOON_OPTION_DURATION:
        if (*(const double *)field > 0)
            lua_pushnumber(L, *(const double *)field);
        else
            lua_pushnil(L);
        break;
    case MOON_OPTION_UINT:
        if (field == &o->seed ? o->has_seed : o->has_retries)
            lua_pushinteger(L, (lua_Integer) * (const uint64_t *)field);
        else
            lua_pushnil(L);
        break;
    case MOON_OPTION_SIZE:
        if (*(const uint64_t *)field)
            lua_pushinteger(L, (lua_Integer) * (const uint64_t *)field);
        else
            lua_pushnil(L);
        break;
    case MOON_OPTION_REFUSED:
        lua_pushnil(L);
        break;
    }
}

/* host.options() -> {dry_run = , sim_fault = {...}, ..., error = what is wrong with the command line} */
static int l_options(lua_State *L) {
    const struct moon_options *o = session_of(L)->options;
    lua_newtable(L);
    for (const struct moon_option *opt = moon_options_table; opt->name; opt++) {
        if (opt->kind == MOON_OPTION_REFUSED)
            continue;
        luaL_gsub(L, opt->name, "-", "_");
        push_option(L, o, opt);
        lua_rawset(L, -3);
    }
    const char *of_permissions = session_of(L)->permit_err.code ? session_of(L)->permit_err.message : "";
    const char *error = o->error[0] || *of_permissions != '-' ? o->error : of_permissions; /* of a flag */
    if (*error) {
        lua_pushstring(L, error);
        lua_setfield(L, -2, "error");
    }
    return 1;
}

/* ---- project, state, credentials ---- */

/* A secret whose variable is set is a handle; else {unset = NAME}, which its user reports. */
static void push_secret(lua_State *L, const struct moon_project_secret *secret) {
    luaL_checkstack(L, 6, NULL);
    if (!secret->value) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, secret->name);
        lua_setfield(L, -2, "unset");
        return;
    }
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moongate.secret");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "env");
    lua_remove(L, -2);
    lua_pushstring(L, secret->name);
    lua_pushlightuserdata(L, moon_host_of(L)); /* the project file asks, not a script */
    lua_call(L, 2, 1);
}

static void set_error(lua_State *L, const char *key, const struct moon_err *err) {
    if (!err->code)
        return;
    moon_error_push(L, err);
    lua_setfield(L, -2, key);
}

/* host.project() -> {path, dir, data, faults, error}; no path: there is no project file. error: it can't be read */
static int l_project(lua_State *L) {
    struct moon_session *s = session_of(L);
    lua_newtable(L);
    set_error(L, "error", &s->project_err);
    if (!s->project) {
        lua_newtable(L);
        lua_setfield(L, -2, "data");
        lua_newtable(L);
        lua_setfield(L, -2, "faults");
        return 1;
    }
    lua_pushstring(L, moon_project_path(s->project));
    lua_setfield(L, -2, "path");
    lua_pushboolean(L, s->project_allowed);
    lua_setfield(L, -2, "allowed");
    lua_pushboolean(L, s->project_changed);
    lua_setfield(L, -2, "changed");
    lua_pushstring(L, moon_project_dir(s->project));
    lua_setfield(L, -2, "dir");
    moon_project_push(s->project, L, push_secret);
    lua_setfield(L, -2, "data");
    moon_project_push_faults(s->project, L);
    lua_setfield(L, -2, "faults");
    return 1;
}

/* host.folder_allowed() -> whether what lies in the working directory may run: it was allowed, or lies below the folder
 * of the project file, which was */
static int l_folder_allowed(lua_State *L) {
    const struct moon_session *s = session_of(L);
    char here[PATH_MAX];
    const char *dir = s->project ? moon_project_dir(s->project) : NULL;
    size_t len = dir ? strlen(dir) : 0;
    bool changed, allowed = false;
    if (!realpath(".", here)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (access(MOON_PROJECT_FILE, F_OK) != 0) /* else its hash counts */
        allowed = moon_trust_allowed(s->options, here, "", &changed);
    if (dir && s->project_allowed && strncmp(here, dir, len) == 0)
        allowed |= here[len] == '\0' || here[len] == '/' || len == 1;
    lua_pushboolean(L, allowed);
    return 1;
}

/* host.allow_folder(folder, hash, allow) -> its path | nil, err */
static int l_allow_folder(lua_State *L) {
    char folder[PATH_MAX];
    struct moon_err err;
    const char *path = luaL_checkstring(L, 1), *hash = luaL_checkstring(L, 2);
    if (!realpath(path, folder)) {
        moon_err_errno(&err, errno == ENOENT ? MOON_ENOENT : MOON_EIO, errno, "%.600s", path);
        return moon_fail(L, &err);
    }
    if (moon_trust_keep(folder, hash, lua_toboolean(L, 3), &err) != 0)
        return moon_fail(L, &err);
    lua_pushstring(L, folder);
    return 1;
}

/* host.own(path) -> true | nil, err: whether nobody but the user could have written the file */
static int l_own(lua_State *L) {
    struct moon_err err;
    if (moon_trust_own(luaL_checkstring(L, 1), &err) != 0)
        return moon_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* host.trusts(path) -> whether --trust names the folder that the file is in, or one above it */
static int l_trusts(lua_State *L) {
    char place[PATH_MAX];
    bool changed;
    const char *path = luaL_checkstring(L, 1);
    struct moon_options only = {.trust = session_of(L)->options->trust};
    lua_pushboolean(L, only.trust.len > 0 && realpath(path, place) && moon_trust_allowed(&only, place, "-", &changed));
    return 1;
}

/* A project file that is only checked: closed by the collector if pushing its faults raises. */
static int project_gc(lua_State *L) {
    struct moon_project **p = lua_touserdata(L, 1);
    moon_project_free(*p);
    *p = NULL;
    return 0;
}

/* host.check_project(path) -> faults {file, line, path, message} | nil, err */
static int l_check_project(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct moon_err err;
    struct moon_project **p = lua_newuserdatauv(L, sizeof(struct moon_project *), 0);
    *p = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, project_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    if (moon_project_open(p, path, &err) != 0)
        return moon_fail(L, &err);
    moon_project_push_faults(*p, L);
    moon_project_free(*p);
    *p = NULL;
    return 1;
}

/* host.state() -> {dir, store, audit, error}; store: its URL, without a password */
static int l_state(lua_State *L) {
    const struct moon_session *s = session_of(L);
    lua_newtable(L);
    set_error(L, "error", &s->state_err);
    if (!s->state_err.code) {
        lua_pushlstring(L, s->state.data, s->state.len);
        lua_setfield(L, -2, "dir");
        lua_pushstring(L, moon_store_queue_url(s->store));
        lua_setfield(L, -2, "store");
    }
    lua_pushlstring(L, s->audit_path.data, s->audit_path.len);
    lua_setfield(L, -2, "audit");
    return 1;
}

/* host.access(path) -> {mode, writable, folder} of what is there | nil */
static int l_access(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, st.st_mode & 07777);
    lua_setfield(L, -2, "mode");
    lua_pushboolean(L, access(path, W_OK) == 0);
    lua_setfield(L, -2, "writable");
    lua_pushboolean(L, S_ISDIR(st.st_mode));
    lua_setfield(L, -2, "folder");
    return 1;
}

/* host.credentials() -> {error, warnings, fields = {{name, source, origin, shown}, ...}} */
static int l_credentials(lua_State *L) {
    const struct moon_session *s = session_of(L);
    const struct moon_credentials *c = &s->credentials;
    char shown[MOON_CRED_MASK_SIZE];
    lua_newtable(L);
    set_error(L, "error", &s->credentials_err);
    lua_newtable(L);
    for (int i = 0; i < c->nwarnings; i++) {
        lua_pushstring(L, c->warnings[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "warnings");
    lua_newtable(L);
    for (int f = 0; f < MOON_CRED_COUNT; f++) {
        if (!c->field[f].data)
            continue;
        moon_credentials_mask(c, (enum moon_cred_field)f, shown);
        bool open = f == MOON_CRED_REGION || f == MOON_CRED_LOGIN_URL || f == MOON_CRED_CLIENT_ID;
        lua_createtable(L, 0, 4);
        lua_pushstring(L, moon_cred_field_name((enum moon_cred_field)f));
        lua_setfield(L, -2, "name");
        lua_pushstring(L, moon_cred_source_name(c->field[f].source));
        lua_setfield(L, -2, "source");
        lua_pushstring(L, s->simulated ? "the simulated gateway" : c->field[f].origin);
        lua_setfield(L, -2, "origin");
        lua_pushstring(L, open ? c->field[f].data : shown);
        lua_setfield(L, -2, "shown");
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    }
    lua_setfield(L, -2, "fields");
    return 1;
}

/* host.use_gateway(url, client_id, client_secret) -> true | nil, err: the simulated gateway instead of the user's */
static int l_use_gateway(lua_State *L) {
    struct moon_session *s = session_of(L);
    struct moon_err err;
    moon_session_credentials(s, luaL_checkstring(L, 1), luaL_checkstring(L, 2), luaL_checkstring(L, 3));
    if (s->credentials_err.code)
        return moon_fail(L, &s->credentials_err);
    if (moon_session_identify(s, s->run, &err) != 0)
        return moon_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* host.audit_run(id | nil) -> true | nil, err: the run that audit events are of from here on */
static int l_audit_run(lua_State *L) {
    struct moon_err err;
    if (moon_session_identify(session_of(L), luaL_optstring(L, 1, NULL), &err) != 0)
        return moon_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* host.route(url) -> {proxy = "http://host:port" | nil, why = , error = } : how a request to it would leave this
 * machine
 */
static int l_route(lua_State *L) {
    const struct moon_session *s = session_of(L);
    const char *url = luaL_checkstring(L, 1);
    char origin[MOON_HTTP_ORIGIN_SIZE], why[MOON_PROXY_WHY] = "";
    struct moon_err err;
    if (moon_http_origin(url, strlen(url), origin, &err) != 0)
        return moon_fail(L, &err);
    bool loopback = moon_net_is_loopback(origin);
    const struct moon_proxy *proxy = moon_proxies_for(&s->proxies, origin, loopback, why);
    lua_newtable(L);
    if (proxy) {
        lua_pushstring(L, proxy->shown);
        lua_setfield(L, -2, "proxy");
    }
    lua_pushstring(L, why);
    lua_setfield(L, -2, "why");
    if (!loopback)
        set_error(L, "error", &s->proxies.wrong);
    return 1;
}

/* host.plain_http(url) -> whether it is plain HTTP to another machine, which nobody has allowed */
static int l_plain_http(lua_State *L) {
    lua_pushboolean(L, moon_session_plain_http(session_of(L), luaL_checkstring(L, 1)));
    return 1;
}

/* host.duration("800ms") -> seconds | nil */
static int l_duration(lua_State *L) {
    double seconds;
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    if (strlen(text) != len || moon_duration_parse(text, &seconds) != 0)
        return 0;
    lua_pushnumber(L, seconds);
    return 1;
}

/* host.is_loopback(host or URL) -> whether it is this machine */
static int l_is_loopback(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_pushboolean(L, strlen(text) == len && moon_net_is_loopback(text));
    return 1;
}

/* ---- the rest ---- */

/* host.cwd() -> the working directory | nil */
static int l_cwd(lua_State *L) {
    char path[4096];
    if (!getcwd(path, sizeof path))
        return 0;
    lua_pushstring(L, path);
    return 1;
}

/* host.chdir(path) -> whether it could be done */
static int l_chdir(lua_State *L) {
    lua_pushboolean(L, chdir(luaL_checkstring(L, 1)) == 0);
    return 1;
}

/* host.getenv(name) -> string | nil */
static int l_getenv(lua_State *L) {
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

/* host.version() -> {moongate, lua, libcurl, ...} */
static int l_version(lua_State *L) {
    lua_newtable(L);
    lua_pushliteral(L, MOON_VERSION);
    lua_setfield(L, -2, "moongate");
    lua_pushliteral(L, LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE);
    lua_setfield(L, -2, "lua");
    lua_pushstring(L, moon_http_version());
    lua_setfield(L, -2, "libcurl");
    lua_pushstring(L, moon_loop_version());
    lua_setfield(L, -2, "libuv");
    lua_pushstring(L, moon_store_version());
    lua_setfield(L, -2, "sqlite");
    lua_pushstring(L, moon_http_server_version());
    lua_setfield(L, -2, "libmicrohttpd");
    lua_pushstring(L, moon_http_known_bugs());
    lua_setfield(L, -2, "libcurl_bugs");
    return 1;
}

/* host.progress(line | nil): the terminal's last line, rewritten; nil takes it away */
static int l_progress(lua_State *L) {
    struct moon_session *s = session_of(L);
    size_t len;
    const char *line = luaL_optlstring(L, 1, "", &len);
    struct moon_buf out = MOON_BUF_INIT;
    if ((len == 0 && !s->line_shown) || s->screen.hide) /* a prompt stands there */
        return 0;
    if (moon_buf_puts(&out, "\r\033[K") == 0 && moon_redact_values(s->redact, &out, line, len) == 0 &&
        write(STDERR_FILENO, out.data, out.len) >= 0)
        s->line_shown = len > 0;
    moon_buf_release(&out);
    return 0;
}

/* host.why_stopped() -> "timeout": --max-time; "expected": a signal after may_interrupt; "signal" */
static int l_why_stopped(lua_State *L) {
    const struct moon_session *s = session_of(L);
    lua_pushstring(L, moon_host_timed_out(s->host) ? "timeout" : s->may_interrupt ? "expected" : "signal");
    return 1;
}

/* host.may_interrupt(): from here on Ctrl-C is the command's expected end, with status 0 */
static int l_may_interrupt(lua_State *L) {
    session_of(L)->may_interrupt = true;
    return 0;
}

static const luaL_Reg funcs[] = {{"access", l_access},
                                 {"audit_run", l_audit_run},
                                 {"allow_folder", l_allow_folder},
                                 {"chdir", l_chdir},
                                 {"folder_allowed", l_folder_allowed},
                                 {"own", l_own},
                                 {"trusts", l_trusts},
                                 {"check_project", l_check_project},
                                 {"credentials", l_credentials},
                                 {"cwd", l_cwd},
                                 {"getenv", l_getenv},
                                 {"may_interrupt", l_may_interrupt},
                                 {"options", l_options},
                                 {"plain_http", l_plain_http},
                                 {"is_loopback", l_is_loopback},
                                 {"duration", l_duration},
                                 {"progress", l_progress},
                                 {"project", l_project},
                                 {"route", l_route},
                                 {"state", l_state},
                                 {"use_gateway", l_use_gateway},
                                 {"version", l_version},
                                 {"why_stopped", l_why_stopped},
                                 {NULL, NULL}};

int moon_session_extend(lua_State *L) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moongate.host");
    lua_call(L, 1, 1);
    lua_pushvalue(L, 1);
    luaL_setfuncs(L, funcs, 1);
    lua_pushvalue(L, 1);
    luaL_setfuncs(L, moon_permission_funcs, 1);
    moon_repl_extend(L);
    return 0;
}
