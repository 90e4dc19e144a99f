/* project.c - evaluates the project file in a small Lua state, capped in memory and instructions, and reads the result.
 * The state is the project's: strings that are handed out are anchored there. No script's VM ever sees it. */
#include "project.h"

#include "moongate/digest.h"
#include "moongate/file.h"
#include "moongate/host.h"
#include "moongate/text.h"

#include <lauxlib.h>
#include <lualib.h>

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_MAX       ((size_t)16 << 20)
#define FILE_MAX         ((size_t)1 << 20)
#define INSTRUCTIONS_MAX 1000000
#define SECRET_MT        "secret"

/* The registry's slots. */
#define VALUE  "project.value"
#define FAULTS "project.faults"

struct moon_project {
    lua_State *L;
    size_t memory, memory_max;
    char *path, *dir;
    char hash[MOON_SHA256_HEX];
    bool ok;
};

static void *capped_alloc(void *ud, void *ptr, size_t osize, size_t nsize) {
    struct moon_project *p = ud;
    size_t old = ptr ? osize : 0;
    if (nsize == 0) {
        free(ptr);
        p->memory -= old;
        return NULL;
    }
    if (nsize > old && p->memory + (nsize - old) > p->memory_max)
        return NULL;
    void *block = realloc(ptr, nsize);
    if (block)
        p->memory = p->memory - old + nsize;
    return block;
}

static void too_long(lua_State *L, lua_Debug *ar) {
    (void)ar;
    luaL_where(L, 0); /* in a hook, the function that runs */
    lua_pushliteral(L, "runs too long: a project file contains only data");
    lua_concat(L, 2);
    lua_error(L);
}

/* ---- what the file can call ---- */

/* env(name [, default]) -> string or the default */
static int l_env(lua_State *L) {
    const char *value = getenv(luaL_checkstring(L, 1));
    lua_settop(L, 2);
    if (value)
        lua_pushstring(L, value);
    return 1;
}

/* secret(name) -> a mark that stands for the variable's value. The value is read when it is needed, never into Lua. */
static int l_secret(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_newuserdatauv(L, 0, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, SECRET_MT);
    return 1;
}

static int l_is_secret(lua_State *L) {
    lua_pushboolean(L, luaL_testudata(L, 1, SECRET_MT) != NULL);
    return 1;
}

/* ---- evaluation ---- */

static void load_embedded(lua_State *L, const char *name) {
    const struct moon_embedded *file = moon_embedded_find(name);
    if (!file) {
        luaL_error(L, "%s is not embedded", name);
        return; /* not reached */
    }
    if (luaL_loadbufferx(L, (const char *)file->data, file->len, name, "t") != LUA_OK)
        lua_error(L);
    lua_call(L, 0, 1);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* evaluate(project, source): protected */
static int evaluate(lua_State *L) {
    struct moon_project *p = lua_touserdata(L, 1);
    static const luaL_Reg libs[] = {{LUA_GNAME, luaopen_base},
                                    {LUA_TABLIBNAME, luaopen_table},
                                    {LUA_STRLIBNAME, luaopen_string},
                                    {LUA_MATHLIBNAME, luaopen_math},
                                    {NULL, NULL}};
    for (const luaL_Reg *lib = libs; lib->name; lib++) {
        luaL_requiref(L, lib->name, lib->func, 1);
        lua_pop(L, 1);
    }
    lua_pushliteral(L, ""); /* no methods on strings: the file can't reach string.rep and its kind */
    lua_pushnil(L);
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
    luaL_newmetatable(L, SECRET_MT);
    lua_pushliteral(L, "secret"); /* what type errors call it */
    lua_setfield(L, -2, "__name");
    lua_pop(L, 1);
    load_embedded(L, "moongate/suggest.lua");     /* 3 */
    load_embedded(L, "moongate/cli/project.lua"); /* 4 */
    lua_getfield(L, 4, "load");
    lua_pushvalue(L, 2);
    lua_pushstring(L, base_name(p->path));
    lua_pushcfunction(L, l_env);
    lua_pushcfunction(L, l_secret);
    lua_pushcfunction(L, l_is_secret);
    lua_getfield(L, 3, "hint");
    lua_call(L, 6, 2);
    lua_setfield(L, LUA_REGISTRYINDEX, FAULTS);
    p->ok = lua_istable(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, VALUE);
    return 0;
}

static int run(struct moon_project *p, const struct moon_buf *source, struct moon_err *err) {
    lua_State *L = p->L;
    lua_pushcfunction(L, evaluate);
    lua_pushlightuserdata(L, p);
    size_t mark = source->data ? moon_text_mark(source->data, source->len) : 0;
    lua_pushlstring(L, source->data ? source->data + mark : "", source->len - mark);
    lua_sethook(L, too_long, LUA_MASKCOUNT, INSTRUCTIONS_MAX);
    int rc = lua_pcall(L, 2, 0, 0);
    lua_sethook(L, NULL, 0, 0);
    p->memory_max = SIZE_MAX; /* what follows is ours */
    if (rc != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        return moon_err_set(err, rc == LUA_ERRMEM ? MOON_ENOMEM : MOON_EBUG, "%s: %s", p->path,
                            message ? message : "?");
    }
    return 0;
}

static int fill(struct moon_project *p, const char *path, struct moon_err *err) {
    struct moon_buf source = MOON_BUF_INIT;
    struct moon_hasher *hasher = NULL;
    struct stat st; /* a pipe's folder, /dev/fd, is not a folder for state */
    const char *slash = stat(path, &st) == 0 && !S_ISREG(st.st_mode) ? NULL : strrchr(path, '/');
    p->path = strdup(path);
    p->dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    p->memory_max = MEMORY_MAX;
    p->L = lua_newstate(capped_alloc, p);
    int rc = p->path && p->dir && p->L ? moon_file_read(path, FILE_MAX, NULL, &source, err)
                                       : moon_err_set(err, MOON_ENOMEM, "out of memory");
    const char *foreign = rc == 0 && source.data ? moon_text_foreign(source.data, source.len) : NULL;
    if (foreign)
        rc = moon_err_set(err, MOON_EINVAL, "%s is in %s: save it as UTF-8", path, foreign);
    if (rc == 0 && (rc = moon_hasher_new(&hasher)) == 0)
        rc = moon_sha256_hex(hasher, source.data ? source.data : "", source.len, p->hash);
    if (rc == MOON_ENOMEM)
        moon_err_set(err, rc, "out of memory");
    if (rc == 0)
        rc = run(p, &source, err);
    moon_hasher_free(hasher);
    moon_buf_release(&source);
    return rc;
}

int moon_project_open(struct moon_project **out, const char *path, struct moon_err *err) {
    *out = NULL;
    struct moon_project *p = calloc(1, sizeof *p);
    if (!p)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    int rc = fill(p, path, err);
    if (rc == 0)
        *out = p;
    else
        moon_project_free(p);
    return rc;
}

void moon_project_free(struct moon_project *p) {
    if (!p)
        return;
    if (p->L)
        lua_close(p->L);
    free(p->path);
    free(p->dir);
    free(p);
}

bool moon_project_find(const char *dir, struct moon_buf *path) {
    char folder[PATH_MAX];
    size_t start = path->len;
    if (!realpath(dir, folder))
        return false;
    for (;;) {
        if (moon_buf_printf(path, "%s/" MOON_PROJECT_FILE, strcmp(folder, "/") == 0 ? "" : folder) != 0)
            return false;
        if (access(path->data + start, F_OK) == 0)
            return true;
        path->len = start;
        path->data[start] = '\0';
        char *slash = strrchr(folder, '/');
        if (slash == folder && folder[1] == '\0')
            return false;
        slash[slash == folder] = '\0'; /* "/a" becomes "/" */
    }
}

/* ---- reading it ---- */

bool moon_project_ok(const struct moon_project *p) {
    return p->ok;
}

const char *moon_project_path(const struct moon_project *p) {
    return p->path;
}

const char *moon_project_hash(const struct moon_project *p) {
    return p->hash;
}

const char *moon_project_dir(const struct moon_project *p) {
    return p->dir;
}

struct field {
    const char *section, *key;
};

/* get(field) -> value[section][key] or nil: protected, since a key that is not there takes memory to ask for */
static int get(lua_State *L) {
    const struct field *f = lua_touserdata(L, 1);
    int type = lua_getfield(L, LUA_REGISTRYINDEX, VALUE);
    if (type == LUA_TTABLE && f->section)
        type = lua_getfield(L, -1, f->section);
    if (type != LUA_TTABLE)
        return 0;
    lua_getfield(L, -1, f->key);
    return 1;
}

/* Pushes the field or nil; returns its type. */
static int push_field(lua_State *L, const char *section, const char *key) {
    struct field f = {section, key};
    lua_pushcfunction(L, get);
    lua_pushlightuserdata(L, &f);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK)
        return lua_type(L, -1);
    lua_pop(L, 1);
    lua_pushnil(L);
    return LUA_TNIL;
}

const char *moon_project_string(struct moon_project *p, const char *section, const char *key) {
    const char *s = push_field(p->L, section, key) == LUA_TSTRING ? lua_tostring(p->L, -1) : NULL;
    lua_pop(p->L, 1); /* anchored in its table */
    return s;
}

void moon_project_list(struct moon_project *p, const char *section, const char *key,
                       void (*fn)(void *ud, const char *text), void *ud) {
    lua_State *L = p->L;
    if (push_field(L, section, key) == LUA_TTABLE)
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
            fn(ud, lua_tostring(L, -1));
            lua_pop(L, 1);
        }
    lua_settop(L, 0);
}

void moon_project_urls(struct moon_project *p, void (*fn)(void *ud, const char *text), void *ud) {
    lua_State *L = p->L;
    if (push_field(L, NULL, "webhooks") == LUA_TTABLE)
        for (lua_pushnil(L); lua_next(L, 1); lua_settop(L, 2)) {
            lua_pushliteral(L, "url"); /* in the file already: takes no memory */
            if (lua_istable(L, 3) && lua_rawget(L, 3) == LUA_TSTRING)
                fn(ud, lua_tostring(L, -1));
        }
    lua_settop(L, 0);
}

/* The secret whose mark is at idx of the project's state; its name is anchored in the mark. */
static void secret_at(lua_State *L, int idx, struct moon_project_secret *out) {
    lua_getiuservalue(L, idx, 1);
    out->name = lua_tostring(L, -1);
    out->value = getenv(out->name);
    if (out->value && !*out->value) /* empty: as if it were not set */
        out->value = NULL;
    out->len = out->value ? strlen(out->value) : 0;
    lua_pop(L, 1);
}

bool moon_project_secret(struct moon_project *p, const char *section, const char *key,
                         struct moon_project_secret *out) {
    bool found = push_field(p->L, section, key) == LUA_TUSERDATA;
    if (found)
        secret_at(p->L, -1, out);
    lua_pop(p->L, 1);
    return found;
}

typedef void push_secret_fn(lua_State *L, const struct moon_project_secret *secret);

/* Copies the value on top of `from` onto `to`. Nothing here takes memory of `from`'s; an error of `to`'s leaves values
 * on its stack, which push_slot's next call tolerates. */
static void copy(lua_State *from, lua_State *to, push_secret_fn *push_secret, int depth) {
    struct moon_project_secret secret;
    size_t len;
    luaL_checkstack(to, 4, NULL);
    switch (lua_type(from, -1)) {
    case LUA_TSTRING: {
        const char *s = lua_tolstring(from, -1, &len);
        lua_pushlstring(to, s, len);
        return;
    }
    case LUA_TNUMBER:
        if (lua_isinteger(from, -1))
            lua_pushinteger(to, lua_tointeger(from, -1));
        else
            lua_pushnumber(to, lua_tonumber(from, -1));
        return;
    case LUA_TUSERDATA:
        secret_at(from, -1, &secret);
        if (push_secret) /* faults have none */
            push_secret(to, &secret);
        else
            lua_pushnil(to);
        return;
    case LUA_TTABLE:
        lua_newtable(to);
        if (depth == 0 || !lua_checkstack(from, 3))
            return;
        for (lua_pushnil(from); lua_next(from, -2); lua_pop(from, 1)) {
            if (lua_type(from, -2) == LUA_TSTRING)
                lua_pushstring(to, lua_tostring(from, -2));
            else
                lua_pushinteger(to, lua_tointeger(from, -2));
            copy(from, to, push_secret, depth - 1);
            lua_rawset(to, -3);
        }
        return;
    default:
        lua_pushboolean(to, lua_toboolean(from, -1));
    }
}

static void push_slot(struct moon_project *p, const char *slot, lua_State *L, push_secret_fn *push_secret) {
    int top = lua_gettop(p->L);
    if (lua_getfield(p->L, LUA_REGISTRYINDEX, slot) == LUA_TTABLE)
        copy(p->L, L, push_secret, 8);
    else
        lua_newtable(L);
    lua_settop(p->L, top);
}

void moon_project_push(struct moon_project *p, lua_State *L, push_secret_fn *push_secret) {
    push_slot(p, VALUE, L, push_secret);
}

void moon_project_push_faults(struct moon_project *p, lua_State *L) {
    push_slot(p, FAULTS, L, NULL);
}
