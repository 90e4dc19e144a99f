/* l_httpd_request.c - the request table that a handler gets. */
#include "l_httpd.h"
#include "moongate/text.h"

#include <ctype.h>
#include <string.h>

#define L_REQUEST "moongate.httpd.request"
#define L_HEADERS "moongate.httpd.headers"

int luaopen_moongate_json(lua_State *L);

bool l_push_unescaped(lua_State *L, const char *s, size_t len, bool query) {
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, len);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '%') {
            if (len - i < 3 || moon_hex_digit(s[i + 1]) < 0 || moon_hex_digit(s[i + 2]) < 0) {
                luaL_pushresultsize(&b, 0);
                lua_pop(L, 1);
                return false;
            }
            out[n++] = (char)(moon_hex_digit(s[i + 1]) * 16 + moon_hex_digit(s[i + 2]));
            i += 2;
        } else {
            out[n++] = s[i] == '+' && query ? ' ' : s[i];
        }
    }
    luaL_pushresultsize(&b, n);
    return true;
}

static void push_unescaped_or_raw(lua_State *L, const char *s, size_t len) {
    if (!l_push_unescaped(L, s, len, true))
        lua_pushlstring(L, s, len);
}

void l_push_query(lua_State *L, const char *query) {
    lua_newtable(L);
    while (query && *query) {
        size_t len = strcspn(query, "&"), name = strcspn(query, "=&");
        if (name > 0) {
            push_unescaped_or_raw(L, query, name);
            push_unescaped_or_raw(L, query + name + (name < len), len - name - (name < len));
            lua_rawset(L, -3);
        }
        query += len + (query[len] == '&');
    }
}

static void push_lower(lua_State *L, const char *s, size_t len) {
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, len);
    for (size_t i = 0; i < len; i++)
        out[i] = (char)tolower((unsigned char)s[i]);
    luaL_pushresultsize(&b, len);
}

/* Names in lower case; lines of the same name joined by ", ". [-0, +1, m] */
static void push_headers(lua_State *L, const struct moon_http_exchange *x) {
    lua_createtable(L, 0, (int)x->field_count);
    for (size_t i = 0; i < x->field_count; i++) {
        const struct moon_http_field *f = &x->fields[i];
        push_lower(L, f->name, f->name_len);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TSTRING) {
            lua_pushliteral(L, ", ");
            lua_pushlstring(L, f->value, f->value_len);
            lua_concat(L, 3);
        } else {
            lua_pop(L, 1);
            lua_pushlstring(L, f->value, f->value_len);
        }
        lua_rawset(L, -3);
    }
    luaL_setmetatable(L, L_HEADERS);
}

/* headers["Content-Type"]: any case finds it */
static int l_headers_index(lua_State *L) {
    size_t len;
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    const char *name = lua_tolstring(L, 2, &len);
    push_lower(L, name, len);
    lua_rawget(L, 1);
    return 1;
}

static void set_string(lua_State *L, const char *name, const char *value, size_t len) {
    lua_pushlstring(L, value, len);
    lua_setfield(L, -2, name);
}

void l_push_request(lua_State *L, const struct moon_http_exchange *x) {
    size_t path = strcspn(x->target, "?");
    lua_createtable(L, 0, 10);
    set_string(L, "method", x->method, strlen(x->method));
    set_string(L, "target", x->target, strlen(x->target));
    set_string(L, "path", x->target, path);
    set_string(L, "remote", x->remote, strlen(x->remote));
    lua_pushinteger(L, x->remote_port);
    lua_setfield(L, -2, "remote_port");
    l_push_query(L, x->target[path] ? x->target + path + 1 : NULL);
    lua_setfield(L, -2, "query");
    push_headers(L, x);
    lua_setfield(L, -2, "headers");
    if (x->body)
        set_string(L, "body", x->body, x->body_len);
    luaL_setmetatable(L, L_REQUEST);
}

void l_push_json_function(lua_State *L, const char *name) {
    luaL_requiref(L, "moongate.json", luaopen_moongate_json, 0);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

/* req:json() -> value | nil, err */
static int l_json(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    l_push_json_function(L, "decode");
    if (lua_getfield(L, 1, "body") == LUA_TNIL)
        return luaL_error(L, "req:json: the body has not been read");
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L) - 1;
}

void l_request_setup(lua_State *L) {
    static const luaL_Reg request[] = {{"json", l_json}, {NULL, NULL}};
    static const luaL_Reg headers[] = {{"__index", l_headers_index}, {NULL, NULL}};
    luaL_newmetatable(L, L_REQUEST);
    luaL_newlib(L, request);
    lua_setfield(L, -2, "__index");
    luaL_newmetatable(L, L_HEADERS);
    luaL_setfuncs(L, headers, 0);
    lua_pop(L, 2);
}
