/* loader.c - embedded files, and the `require` of trusted code: native modules, then --lua-dir, then what is embedded.
 */
#include "host_private.h"

#include "moongate/file.h"
#include "moongate/text.h"

#include <stdio.h>
#include <string.h>

#define FILE_MAX ((size_t)16 << 20)

const struct moon_embedded *moon_embedded_find(const char *name) {
    for (const struct moon_embedded *f = moon_embedded_files; f->name; f++) {
        int c = strcmp(f->name, name);
        if (c == 0)
            return f;
        if (c > 0)
            break;
    }
    return NULL;
}

/* Text only. A byte order mark and a first line "#!..." are passed over; the line break stays. Pushes the function or
 * an error message. */
int moon_host_load_text(lua_State *L, const char *text, size_t len, const char *chunkname) {
    const char *foreign = moon_text_foreign(text, len);
    size_t mark = moon_text_mark(text, len);
    if (foreign) {
        lua_pushfstring(L, "%s:1: is in %s: save it as UTF-8", chunkname + (*chunkname == '@' || *chunkname == '='),
                        foreign);
        return LUA_ERRSYNTAX;
    }
    text += mark;
    len -= mark;
    if (len && text[0] == '#')
        while (len && *text != '\n') {
            text++;
            len--;
        }
    return luaL_loadbufferx(L, text, len, chunkname, "t");
}

/* Pushes the chunk of a file below dir, or nil when not found; raises when it can't be read or does not compile. */
static void load_disk(lua_State *L, const char *dir, const char *path) {
    struct moon_buf buf = MOON_BUF_INIT;
    struct moon_err err;
    const char *full = lua_pushfstring(L, "%s/%s", dir, path);
    const char *chunk = lua_pushfstring(L, "@%s", full);
    int rc = moon_file_read(full, FILE_MAX, NULL, &buf, &err);
    if (rc == 0)
        rc = moon_host_load_text(L, buf.data ? buf.data : "", buf.len, chunk); /* does not raise; > 0: a message */
    moon_buf_release(&buf);
    if (rc == MOON_ENOENT)
        lua_pushnil(L);
    else if (rc < 0)
        luaL_error(L, "%s", err.message);
    else if (rc > 0)
        lua_error(L);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static void load_embedded(lua_State *L, const char *path) {
    const struct moon_embedded *f = moon_embedded_find(path);
    if (!f) {
        lua_pushnil(L);
        return;
    }
    if (moon_host_load_text(L, (const char *)f->data, f->len, lua_pushfstring(L, "@%s", path)) != LUA_OK)
        lua_error(L);
    lua_remove(L, -2);
}

/* Pushes the loader of module name at 1, or raises. */
static void find_loader(lua_State *L) {
    struct moon_host *host = moon_host_of(L);
    const char *name = lua_tostring(L, 1), *base;
    static const char *const forms[] = {"%s.lua", "%s/init.lua"};
    for (const luaL_Reg *m = host->modules; m && m->name; m++)
        if (m->func && strcmp(m->name, name) == 0) {
            lua_pushcfunction(L, m->func);
            return;
        }
    base = luaL_gsub(L, name, ".", "/");
    for (int disk = host->lua_dir != NULL; disk >= 0; disk--)
        for (int i = 0; i < 2; i++) {
            const char *path = lua_pushfstring(L, forms[i], base);
            if (disk)
                load_disk(L, host->lua_dir, path);
            else
                load_embedded(L, path);
            if (!lua_isnil(L, -1))
                return;
            lua_pop(L, 2);
        }
    luaL_error(L, "module '%s' not found", name);
}

static int require_k(lua_State *L, int status, lua_KContext ctx) {
    (void)ctx;
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (status != LUA_OK && status != LUA_YIELD) { /* not loaded; the next require tries again */
        lua_pushnil(L);
        lua_setfield(L, -2, lua_tostring(L, 1));
        lua_pop(L, 1);
        return lua_error(L);
    }
    lua_insert(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, lua_tostring(L, 1));
    return 1;
}

/* require(name). The chunk may wait. */
int host_require(lua_State *L) {
    void *loading = moon_host_of(L); /* any address will do to mark a module whose chunk runs */
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL) {
        if (lua_touserdata(L, 3) == loading)
            return luaL_error(L, "module '%s' requires itself, or another task is loading it", lua_tostring(L, 1));
        return 1;
    }
    find_loader(L);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, loading);
    lua_rawset(L, 2);
    lua_pushvalue(L, 1);
    return require_k(L, lua_pcallk(L, 1, 1, 0, 0, require_k), 0);
}
