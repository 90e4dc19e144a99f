/* error_object.c - the error objects that scripts see: a table with fields, and tostring() in one line. */
#include "host_private.h"

#include "moongate/buf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int moon_error_is(lua_State *L, int idx) {
    int same;
    if (lua_type(L, idx) != LUA_TTABLE || !lua_getmetatable(L, idx))
        return 0;
    luaL_getmetatable(L, MOON_ERROR_MT);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

void moon_error_new(lua_State *L, const char *code, const char *message, size_t len) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushlstring(L, message, len);
    lua_setfield(L, -2, "message");
    luaL_setmetatable(L, MOON_ERROR_MT);
}

void moon_error_push(lua_State *L, const struct moon_err *err) {
    moon_error_new(L, moon_code_name(err->code), err->message, strlen(err->message));
}

int moon_fail(lua_State *L, const struct moon_err *err) {
    lua_pushnil(L);
    moon_error_push(L, err);
    return 2;
}

/* ---- tostring ---- */

/* Pushes the field of the error at 1 when it is a string or a number, else nothing. */
static bool field(lua_State *L, const char *name) {
    int type;
    lua_pushstring(L, name);
    type = lua_rawget(L, 1);
    if (type == LUA_TSTRING || type == LUA_TNUMBER)
        return true;
    lua_pop(L, 1);
    return false;
}

static void part(lua_State *L, luaL_Buffer *b, bool *open, const char *before, const char *name) {
    if (!field(L, name))
        return;
    lua_tostring(L, -1);
    lua_pushfstring(L, "%s%s%s", *open ? ", " : " (", before, lua_tostring(L, -1));
    lua_remove(L, -2);
    luaL_addvalue(b);
    *open = true;
}

/* "message (METHOD path, status 409, correlation abc, 3 attempts)"; one attempt goes without saying */
static int error_tostring(lua_State *L) {
    luaL_Buffer b;
    bool open = false;
    lua_settop(L, 1);
    if (!moon_error_is(L, 1))
        return luaL_error(L, "not an error object");
    luaL_buffinit(L, &b);
    if (field(L, "message") || field(L, "code"))
        luaL_addvalue(&b);
    if (field(L, "method")) {
        lua_pop(L, 1);
        part(L, &b, &open, "", "method");
        if (field(L, "path")) {
            lua_pushliteral(L, " ");
            lua_insert(L, -2);
            lua_concat(L, 2);
            luaL_addvalue(&b);
        }
    } else {
        part(L, &b, &open, "", "path");
    }
    part(L, &b, &open, "status ", "status");
    part(L, &b, &open, "correlation ", "correlation_id");
    lua_pushliteral(L, "attempts");
    lua_rawget(L, 1);
    if (lua_type(L, -1) == LUA_TNUMBER && lua_tointeger(L, -1) > 1) {
        lua_pushfstring(L, "%s%I attempts", open ? ", " : " (", (LUAI_UACINT)lua_tointeger(L, -1));
        lua_remove(L, -2);
        luaL_addvalue(&b);
        open = true;
    } else {
        lua_pop(L, 1);
    }
    if (open)
        luaL_addchar(&b, ')');
    luaL_pushresult(&b);
    return 1;
}

static int error_concat(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    luaL_tolstring(L, 2, NULL);
    lua_concat(L, 2);
    return 1;
}

int host_error_setup(lua_State *L) {
    luaL_newmetatable(L, MOON_ERROR_MT);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushcfunction(L, error_concat);
    lua_setfield(L, -2, "__concat");
    lua_pushliteral(L, MOON_ERROR_MT);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    return 0;
}

/* ---- any error value -> error object ---- */

/* The length of "file:line" when s begins "file:line: ", else 0. */
static size_t position_len(const char *s, size_t len) {
    for (size_t i = 1; i + 3 < len && s[i] != '\n'; i++) {
        size_t k = i + 1;
        if (s[i] != ':')
            continue;
        while (k < len && isdigit((unsigned char)s[k]))
            k++;
        if (k > i + 1 && k + 1 < len && s[k] == ':' && s[k + 1] == ' ')
            return k;
    }
    return 0;
}

static void set_if_absent(lua_State *L, const char *name, const char *value, size_t len) {
    lua_pushstring(L, name);
    if (lua_rawget(L, -2) == LUA_TNIL && len) {
        lua_pushstring(L, name);
        lua_pushlstring(L, value, len);
        lua_rawset(L, -4);
    }
    lua_pop(L, 1);
}

static void convert_string(lua_State *L, const char *where) {
    struct moon_host *host = moon_host_of(L);
    size_t len, pos;
    const char *s = lua_tolstring(L, -1, &len);
    if (strcmp(s, "not enough memory") == 0) {
        struct moon_err err;
        if (host->memory.limit_hit)
            moon_err_set(&err, MOON_ENOMEM, "memory limit of %zu MiB reached", host->memory.limit >> 20);
        else
            moon_err_set(&err, MOON_ENOMEM, "out of memory");
        moon_error_push(L, &err);
        pos = 0;
    } else {
        pos = position_len(s, len);
        size_t skip = pos ? pos + 2 : 0;
        moon_error_new(L, moon_code_name(MOON_ESCRIPT), s + skip, len - skip);
    }
    static const char own[] = "moongate/";
    if (pos && strncmp(s, own, sizeof own - 1) == 0 && where[0] && strncmp(where, own, sizeof own - 1) != 0) {
        set_if_absent(L, "where", where, strlen(where)); /* a script called it: its line is what has to change */
        set_if_absent(L, "raised_at", s, pos);
    } else if (pos)
        set_if_absent(L, "where", s, pos);
    else
        set_if_absent(L, "where", where, strlen(where));
    lua_remove(L, -2);
}

/* Pushes what is to be reported of the raised value on top: a plain table's own message, as of {code=, message=},
 * rather than its address. */
static const char *value_text(lua_State *L, size_t *len) {
    bool plain = lua_type(L, -1) == LUA_TTABLE;
    if (plain && luaL_getmetafield(L, -1, "__tostring") != LUA_TNIL) {
        plain = false;
        lua_pop(L, 1);
    }
    if (!plain)
        return luaL_tolstring(L, -1, len);
    lua_pushliteral(L, "message");
    if (lua_rawget(L, -2) != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_pushliteral(L, "a table without a message was raised (moongate.error.new makes an error of one)");
    }
    return lua_tolstring(L, -1, len);
}

void host_error_convert(lua_State *L, const char *where) {
    if (moon_error_is(L, -1)) {
        set_if_absent(L, "where", where, strlen(where));
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        convert_string(L, where);
    } else {
        size_t len;
        const char *s = value_text(L, &len);
        moon_error_new(L, moon_code_name(MOON_ESCRIPT), s, len);
        set_if_absent(L, "where", where, strlen(where));
        lua_pushliteral(L, "value");
        lua_pushvalue(L, -4);
        lua_rawset(L, -3);
        lua_replace(L, -3);
        lua_pop(L, 1);
    }
}

/* ---- options ---- */

/* Edit distance, given up beyond 2. */
static int distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    int row[40];
    if (n >= 40 || m >= 40)
        return 99;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

static const char *nearest(const char *name, const char *const names[]) {
    const char *best = NULL;
    int least = 3;
    for (int i = 0; names[i]; i++) {
        int d = distance(name, names[i]);
        if (d < least && (size_t)d < strlen(names[i])) {
            least = d;
            best = names[i];
        }
    }
    return best;
}

static bool known(const char *name, const char *const names[]) {
    for (int i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

void moon_check_options(lua_State *L, int idx, const char *const names[]) {
    idx = lua_absindex(L, idx);
    luaL_checkstack(L, 4, NULL);
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        const char *name, *near;
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_argerror(L, idx,
                          lua_pushfstring(L, "options are named, found a key that is a %s", luaL_typename(L, -1)));
        name = lua_tostring(L, -1);
        if (known(name, names))
            continue;
        near = nearest(name, names);
        luaL_argerror(L, idx,
                      near ? lua_pushfstring(L, "unknown option '%s'; did you mean '%s'?", name, near)
                           : lua_pushfstring(L, "unknown option '%s'", name));
    }
}
