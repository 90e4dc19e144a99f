/* l_http_error.c - the error object of a call: what the client knows of it, and what the gateway's error body says. */
#include "l_http.h"

#include "moongate/reason.h"

#include <string.h>

#define ERROR_BODY_MAX ((size_t)64 << 10) /* of a body that is kept in the error */

static const char *reason_phrase(int status) {
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

static void put_string(lua_State *L, int t, const char *name, const char *s, size_t len) {
    if (!s || len == 0)
        return;
    lua_pushlstring(L, s, len);
    lua_setfield(L, t, name);
}

/* ---- what the server says ---- */

static const char reason_key = 0; /* registry: the metatable of a struct moon_reason, which is freed by the collector */

static int free_reason(lua_State *L) {
    moon_reason_release(lua_touserdata(L, 1));
    return 0;
}

static struct moon_reason *push_reason(lua_State *L) {
    struct moon_reason *r = lua_newuserdatauv(L, sizeof *r, 0);
    r->text = (struct moon_buf)MOON_BUF_INIT;
    r->n = 0;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &reason_key) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, free_reason);
        lua_setfield(L, -2, "__gc");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &reason_key);
    }
    lua_setmetatable(L, -2);
    return r;
}

static void put_text(lua_State *L, int t, const char *name, const struct moon_reason *r, size_t at) {
    const char *s = moon_reason_text(r, at);
    put_string(L, t, name, s, strlen(s));
}

/* Sets code (under the name `code`) and details in the table at t. */
static void put_reason(lua_State *L, int t, const char *code, const struct moon_reason *r) {
    put_text(L, t, code, r, r->code);
    if (r->n == 0)
        return;
    lua_createtable(L, (int)r->n, 0);
    for (size_t i = 0; i < r->n; i++) {
        lua_createtable(L, 0, 4);
        int item = lua_gettop(L);
        put_text(L, item, "field", r, r->items[i].field);
        put_text(L, item, "code", r, r->items[i].code);
        put_text(L, item, "message", r, r->items[i].message);
        put_text(L, item, "entity", r, r->items[i].entity);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, t, "details");
}

int l_http_reason(lua_State *L) {
    size_t len, tlen = 0;
    const char *body = luaL_checklstring(L, 1, &len);
    const char *type = luaL_optlstring(L, 2, NULL, &tlen);
    struct moon_reason *r = push_reason(L);
    if (moon_reason_read(r, type, tlen, body, len) != 0)
        return luaL_error(L, "not enough memory");
    lua_createtable(L, 0, 4);
    int t = lua_gettop(L);
    put_text(L, t, "message", r, r->message);
    put_reason(L, t, "code", r);
    if (r->excerpt) {
        lua_pushboolean(L, 1);
        lua_setfield(L, t, "excerpt");
    }
    return 1;
}

static const struct moon_reason *read_reason(lua_State *L, const struct moon_http_result *r) {
    size_t tlen = 0;
    const char *type = moon_http_result_header(r, "content-type", 12, &tlen);
    struct moon_reason *reason = push_reason(L);
    if (moon_reason_read(reason, type, tlen, r->body.len ? r->body.data : "", r->body.len) != 0)
        luaL_error(L, "not enough memory");
    return reason;
}

static bool says(const struct moon_reason *r, const char *const *words) {
    for (; *words; words++)
        if (strcasestr(moon_reason_text(r, r->message), *words) || strcasestr(moon_reason_text(r, r->code), *words))
            return true;
    return false;
}

/* What to do next, where the reason does not say something else. */
static const char *hint_of(int status, const struct moon_reason *r) {
    static const char *const rights[] = {"scope", "permission", "privilege", "role", "authoriz", "authoris", NULL};
    static const char *const versions[] = {"etag", "if-match", "precondition", "version", "modified", "changed", NULL};
    bool silent = !r->message && r->n == 0;
    switch (status) {
    case 400:
    case 422:
        return r->n > 0 ? "Fix the fields listed above." : "";
    case 401:
        return "Check the credentials, and that they belong to this region.";
    case 403:
        return silent || r->excerpt || says(r, rights) ? "The credentials lack a scope or permission for this."
                                                       : "Ask the administrator of the gateway for access.";
    case 404:
        return "Check the ids in the path.";
    case 409:
    case 412:
        return silent || says(r, versions) ? "Another client has written: read it again and compare." : "";
    case 413:
        return "The body is larger than the server takes: send less.";
    case 429:
        return "Lower the rate or the concurrency.";
    case 502:
    case 503:
    case 504:
        return "The service is unavailable: try again later.";
    default:
        return "";
    }
}

static void put_message(lua_State *L, int err, const struct moon_http_result *r, const struct moon_reason *reason) {
    if (r->code)
        lua_pushliteral(L, "");
    else if (!reason->message)
        lua_pushfstring(L, "answered %d %s", r->status, reason_phrase(r->status));
    else if (reason->excerpt)
        lua_pushfstring(L, "answered %d %s: %s", r->status, reason_phrase(r->status),
                        moon_reason_text(reason, reason->message));
    else
        lua_pushstring(L, moon_reason_text(reason, reason->message));
    if (r->message.len) {
        bool sentence = r->message.data[0] >= 'A' && r->message.data[0] <= 'Z';
        lua_pushstring(L, lua_rawlen(L, -1) == 0 ? "" : sentence ? ". " : "; ");
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

void l_http_error_push(lua_State *L, const struct moon_http_result *r) {
    size_t len = 0;
    luaL_checkstack(L, 20, NULL);
    moon_error_new(L, r->code ? moon_code_name(r->code) : "http", "", 0);
    int err = lua_gettop(L);
    const struct moon_reason *reason = NULL;
    if (r->code == 0) {
        reason = read_reason(L, r);
        put_reason(L, err, "gateway_code", reason);
        put_string(L, err, "body", r->body.data, r->body.len < ERROR_BODY_MAX ? r->body.len : ERROR_BODY_MAX);
    }
    put_message(L, err, r, reason);
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
    const char *hint = r->hint.len || !reason ? r->hint.data : hint_of(r->status, reason);
    put_string(L, err, "hint", hint, hint ? strlen(hint) : 0);
    if (r->hopeless) {
        lua_pushboolean(L, 1);
        lua_setfield(L, err, "hopeless");
    }
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
    lua_settop(L, err);
}
