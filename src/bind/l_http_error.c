/* l_http_error.c - the error object of a call: what the client knows of it, and what the gateway's error body says. */
#include "l_http.h"

#include "l_json.h"

#include <string.h>

#define ERROR_BODY_MAX ((size_t)256 << 10)

static const char *reason(int status) {
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {400, "bad request"},
        {401, "not authorised"},
        {403, "forbidden"},
        {404, "not found"},
        {405, "method not allowed"},
        {408, "request timeout"},
        {409, "conflict"},
        {410, "gone"},
        {412, "precondition failed"},
        {413, "body too large"},
        {415, "unsupported media type"},
        {422, "not accepted"},
        {428, "precondition required"},
        {429, "too many requests"},
        {500, "internal server error"},
        {501, "not implemented"},
        {502, "bad gateway"},
        {503, "service unavailable"},
        {504, "gateway timeout"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "unexpected status";
}

/* Sets field `to` of the error at err from string or number field `from` of the table at t, if it has one. */
static bool copy(lua_State *L, int err, const char *to, int t, const char *from) {
    lua_pushstring(L, from);
    int type = lua_rawget(L, t);
    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        lua_setfield(L, err, to);
        return true;
    }
    lua_pop(L, 1);
    return false;
}

/* details of the table at t: [{errorCode, fieldName, entityId, entityName}], or errors, the same -> [{field, code,
 * message}] */
static void put_details(lua_State *L, int err, int t) {
    static const char *const names[] = {"details", "errors"};
    for (int k = 0; k < 2; k++) {
        lua_pushstring(L, names[k]);
        if (lua_rawget(L, t) == LUA_TTABLE && lua_rawlen(L, -1) > 0) {
            int list = lua_gettop(L), n = 0;
            lua_newtable(L);
            for (lua_Integer i = 1; i <= 100 && lua_rawgeti(L, list, i) != LUA_TNIL; i++) {
                int item = lua_gettop(L);
                if (lua_istable(L, item)) {
                    lua_createtable(L, 0, 3);
                    copy(L, item + 1, "field", item, "fieldName");
                    copy(L, item + 1, "entity", item, "entityName");
                    if (!copy(L, item + 1, "code", item, "errorCode"))
                        copy(L, item + 1, "code", item, "code");
                    if (!copy(L, item + 1, "message", item, "message"))
                        copy(L, item + 1, "message", item, "errorCode");
                    lua_rawseti(L, list + 1, ++n);
                }
                lua_settop(L, list + 1);
            }
            lua_settop(L, list + 1);
            lua_setfield(L, err, "details");
            lua_settop(L, list - 1);
            return;
        }
        lua_pop(L, 1);
    }
}

/* {message, code, status, contextId, details}, or OAuth's {error, error_description}. Anything else is passed over: a
 * proxy's 502 is HTML. */
static bool put_body(lua_State *L, int err, const struct moon_http_result *r) {
    const char *b = r->body.data;
    size_t len = r->body.len, i = 0;
    while (i < len && strchr(" \t\r\n", b[i]) && b[i])
        i++;
    if (i == len || b[i] != '{' || len > ERROR_BODY_MAX || moon_lua_json_decode_lenient(L, b, len, NULL) != 0)
        return false;
    int t = lua_gettop(L);
    bool said = copy(L, err, "message", t, "message") || copy(L, err, "message", t, "error_description") ||
                copy(L, err, "message", t, "description");
    if (!copy(L, err, "gateway_code", t, "code"))
        copy(L, err, "gateway_code", t, "error");
    put_details(L, err, t);
    lua_settop(L, t - 1);
    return said;
}

static void put_message(lua_State *L, int err, const struct moon_http_result *r) {
    bool said = r->code == 0 && put_body(L, err, r);
    if (said) {
        lua_getfield(L, err, "message");
        luaL_tolstring(L, -1, NULL);
        lua_remove(L, -2);
    } else if (r->code == 0) {
        lua_pushfstring(L, "answered %d %s", r->status, reason(r->status));
    } else {
        lua_pushliteral(L, "");
    }
    if (r->message.len) {
        if (lua_rawlen(L, -1) > 0)
            lua_pushliteral(L, "; ");
        else
            lua_pushliteral(L, "");
        lua_pushlstring(L, r->message.data, r->message.len);
        lua_concat(L, 3);
    }
    lua_setfield(L, err, "message");
}

/* The path, without origin and query: those may hold what belongs to nobody's eyes. */
static void put_path(lua_State *L, int err, const struct moon_http_result *r) {
    const char *url = r->url.len ? r->url.data : "", *p = strstr(url, "://");
    p = p ? p + 3 : url;
    p += strcspn(p, "/?");
    size_t n = strcspn(p, "?");
    lua_pushlstring(L, n ? p : "/", n ? n : 1);
    lua_setfield(L, err, "path");
}

static void put_string(lua_State *L, int err, const char *name, const char *s, size_t len) {
    if (!s || len == 0)
        return;
    lua_pushlstring(L, s, len);
    lua_setfield(L, err, name);
}

void l_http_error_push(lua_State *L, const struct moon_http_result *r) {
    size_t len = 0;
    luaL_checkstack(L, 20, NULL);
    moon_error_new(L, r->code ? moon_code_name(r->code) : "http", "", 0);
    int err = lua_gettop(L);
    put_message(L, err, r);
    lua_pushstring(L, r->method);
    lua_setfield(L, err, "method");
    put_path(L, err, r);
    if (r->status) {
        lua_pushinteger(L, r->status);
        lua_setfield(L, err, "status");
    }
    lua_pushinteger(L, r->n_attempts);
    lua_setfield(L, err, "attempts");
    lua_pushstring(L, r->outcome);
    lua_setfield(L, err, "outcome");
    const char *id = moon_http_correlation_id(r, &len);
    put_string(L, err, "correlation_id", id, len);
    put_string(L, err, "hint", r->hint.data, r->hint.len);
    if (r->after_ambiguous) {
        lua_pushboolean(L, 1);
        lua_setfield(L, err, "after_ambiguous");
    }
    if (r->retry_after_ns >= 0) {
        lua_pushnumber(L, (double)r->retry_after_ns / 1e9);
        lua_setfield(L, err, "retry_after");
    }
    l_http_attempts_push(L, r);
    lua_setfield(L, err, "attempt_list");
}
