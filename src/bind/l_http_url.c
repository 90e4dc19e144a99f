/* l_http_url.c - a request's URL from a path template, its parameters and a query. Everything put in is
 * percent-encoded. */
#include "l_http.h"

#include <string.h>

#define QUERY_MAX 64 /* keys */

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

/* The text of the string, number or boolean at idx; integers without a point. Pushes it. Raises for anything else. */
static const char *push_text(lua_State *L, int idx, const char *what, const char *name, size_t *len) {
    int type = lua_type(L, idx);
    if (type == LUA_TBOOLEAN)
        lua_pushstring(L, lua_toboolean(L, idx) ? "true" : "false");
    else if (type == LUA_TSTRING || type == LUA_TNUMBER)
        lua_pushvalue(L, idx);
    else
        luaL_error(L, "%s '%s': a string, number or boolean", what, name);
    return lua_tolstring(L, -1, len);
}

/* "" and dots would change which resource the path means. */
static int put_param(lua_State *L, struct moon_buf *url, int params, const char *name, size_t len,
                     struct moon_err *err) {
    size_t n;
    lua_pushlstring(L, name, len);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, params) == LUA_TNIL)
        luaL_error(L, "path parameter '%s' is missing", lua_tostring(L, -2));
    const char *v = push_text(L, lua_gettop(L), "path parameter", lua_tostring(L, -2), &n);
    int rc = 0;
    if (n == 0 || (n == 1 && *v == '.') || (n == 2 && memcmp(v, "..", 2) == 0))
        rc = moon_err_set(err, MOON_EINVAL, "path parameter '%.*s' can't be '%s'", len > 60 ? 60 : (int)len, name, v);
    else if (moon_http_escape(url, v, n) != 0)
        rc = no_memory(err);
    lua_pop(L, 3);
    return rc;
}

static int put_path(lua_State *L, struct moon_buf *url, int path, int params, struct moon_err *err) {
    size_t len;
    const char *p = lua_tolstring(L, path, &len), *end = p + len;
    while (params && p < end) {
        const char *open = memchr(p, '{', (size_t)(end - p)),
                   *close = open ? memchr(open, '}', (size_t)(end - open)) : NULL;
        if (!close)
            break;
        if (moon_buf_append(url, p, (size_t)(open - p)) != 0)
            return no_memory(err);
        int rc = put_param(L, url, params, open + 1, (size_t)(close - open) - 1, err);
        if (rc != 0)
            return rc;
        p = close + 1;
    }
    return moon_buf_append(url, p, (size_t)(end - p)) != 0 ? no_memory(err) : 0;
}

static int put_pair(lua_State *L, struct moon_buf *url, char *sep, const char *key, size_t klen, int value,
                    struct moon_err *err) {
    size_t n;
    const char *v = push_text(L, value, "query", key, &n);
    int rc = moon_buf_putc(url, *sep) != 0 || moon_http_escape(url, key, klen) != 0 || moon_buf_putc(url, '=') != 0 ||
                     moon_http_escape(url, v, n) != 0
                 ? no_memory(err)
                 : 0;
    lua_pop(L, 1);
    *sep = '&';
    return rc;
}

/* The keys at base+1.. in order, so that the same call sends the same bytes. */
static void sort_keys(lua_State *L, int base, int n) {
    for (int i = 2; i <= n; i++)
        for (int k = i; k > 1 && lua_compare(L, base + k, base + k - 1, LUA_OPLT); k--) {
            lua_pushvalue(L, base + k);
            lua_pushvalue(L, base + k - 1);
            lua_replace(L, base + k);
            lua_replace(L, base + k - 1);
        }
}

/* {a = 1, b = {2, 3}} -> ?a=1&b=2&b=3 */
static int put_query(lua_State *L, struct moon_buf *url, int query, struct moon_err *err) {
    int base = lua_gettop(L), n = 0, rc = 0;
    char sep = url->len && memchr(url->data, '?', url->len) ? '&' : '?';
    luaL_checkstack(L, QUERY_MAX + 8, NULL);
    for (lua_pushnil(L); lua_next(L, query); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || n == QUERY_MAX)
            return luaL_error(L, "query: %s", n == QUERY_MAX ? "too many names" : "names are strings");
        lua_pushvalue(L, -2);
        lua_insert(L, base + ++n);
    }
    sort_keys(L, base, n);
    for (int i = 1; i <= n && rc == 0; i++) {
        size_t klen;
        const char *key = lua_tolstring(L, base + i, &klen);
        lua_pushvalue(L, base + i);
        if (lua_rawget(L, query) != LUA_TTABLE) {
            rc = put_pair(L, url, &sep, key, klen, lua_gettop(L), err);
        } else {
            int list = lua_gettop(L);
            for (lua_Integer k = 1; rc == 0 && lua_rawgeti(L, list, k) != LUA_TNIL; k++) {
                rc = put_pair(L, url, &sep, key, klen, lua_gettop(L), err);
                lua_settop(L, list);
            }
        }
        lua_settop(L, base + n);
    }
    lua_settop(L, base);
    return rc;
}

int l_http_put_url(lua_State *L, struct moon_buf *url, int path, int params, int query, struct moon_err *err) {
    int rc = path ? put_path(L, url, path, params, err) : 0;
    return rc == 0 && query ? put_query(L, url, query, err) : rc;
}
