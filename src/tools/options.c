/* options.c - build-time tool: `options OUT.c lua/moongate/global_flags.lua` writes the flags that it declares as the
 * table of cli/options.h. A flag without a field of its name in struct moon_options does not compile. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The field `key` of the flag on the top of the stack, as text; NULL when it has none. */
static const char *text(lua_State *L, const char *key) {
    lua_getfield(L, -1, key);
    const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 1); /* the table keeps it */
    return s;
}

static int is_true(lua_State *L, const char *key) {
    lua_getfield(L, -1, key);
    int v = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return v;
}

static const char *kind(lua_State *L) {
    static const char *const kinds[][2] = {
        {"boolean", "BOOL"}, {"duration", "DURATION"}, {"integer", "UINT"}, {"size", "SIZE"}};
    const char *type = text(L, "type");
    if (is_true(L, "counted"))
        return "COUNT";
    if (is_true(L, "repeated"))
        return "LIST";
    if (!type)
        return "STRING";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i][0]) == 0)
            return kinds[i][1];
    return NULL;
}

/* Writes the flag on the top of the stack. False: it is not one. */
static int write_flag(lua_State *L, FILE *out) {
    lua_rawgeti(L, -1, 1);
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 1);
    const char *letter = text(L, "letter"), *env = text(L, "env"), *of_kind = kind(L);
    if (!name || !of_kind)
        return 0;
    fprintf(out, "    {\"%s\", ", name);
    fprintf(out, letter ? "'%c'" : "0", letter ? *letter : 0);
    fprintf(out, ", MOON_OPTION_%s, offsetof(struct moon_options, ", of_kind);
    for (const char *c = name; *c; c++)
        fputc(*c == '-' ? '_' : *c, out);
    fprintf(out, env ? "), \"%s\"},\n" : "), NULL},\n", env);
    return 1;
}

static int write_table(lua_State *L, FILE *out) {
    fprintf(out, "/* Made by src/tools/options.c. */\n#include \"cli/options.h\"\n\n");
    fprintf(out, "const struct moon_option moon_options_table[] = {\n");
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        if (!write_flag(L, out)) {
            fprintf(stderr, "options: flag %d has no name, or a type that is unknown here\n", (int)i);
            return 0;
        }
        lua_pop(L, 1);
    }
    fprintf(out, "    {NULL, 0, MOON_OPTION_BOOL, 0, NULL},\n};\n");
    return n > 0;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: options OUT.c FLAGS.lua\n");
        return 2;
    }
    lua_State *L = luaL_newstate();
    FILE *out = fopen(argv[1], "w");
    int ok = 0;
    if (!L || !out) {
        fprintf(stderr, "options: can't write %s: %s\n", argv[1], strerror(errno));
    } else {
        luaL_openlibs(L);
        if (luaL_dofile(L, argv[2]) != LUA_OK || !lua_istable(L, -1))
            fprintf(stderr, "options: %s\n", lua_isstring(L, -1) ? lua_tostring(L, -1) : "not a table of flags");
        else
            ok = write_table(L, out);
    }
    if (out && fclose(out) != 0)
        ok = 0;
    if (!ok)
        remove(argv[1]);
    if (L)
        lua_close(L);
    return ok ? 0 : 1;
}
