/* embed.c - build tool: writes the given files as C data, byte for byte, sorted by name. Lua files are compiled first,
 * so that a syntax error ends the build. Usage: embed OUT.c FILE... */
#include <lauxlib.h>
#include <lua.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "lua/moongate/x.lua" is known as "moongate/x.lua"; "scripts/x.lua" keeps its name. */
static const char *name_of(const char *path) {
    return strncmp(path, "lua/", 4) == 0 ? path + 4 : path;
}

static int by_name(const void *a, const void *b) {
    return strcmp(name_of(*(char *const *)a), name_of(*(char *const *)b));
}

static unsigned char *slurp(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    unsigned char *data = NULL;
    if (!f)
        return NULL;
    if (fseek(f, 0, SEEK_END) == 0) {
        long size = ftell(f);
        rewind(f);
        data = size >= 0 ? malloc((size_t)size + 1) : NULL;
        *len = data ? fread(data, 1, (size_t)size, f) : 0;
        if (data && *len != (size_t)size) {
            free(data);
            data = NULL;
        }
    }
    fclose(f);
    return data;
}

static int compiles(const char *path, const unsigned char *data, size_t len) {
    size_t n = strlen(path);
    if (n < 4 || strcmp(path + n - 4, ".lua") != 0)
        return 1;
    lua_State *L = luaL_newstate();
    char chunk[512];
    snprintf(chunk, sizeof chunk, "@%s", path);
    int ok = L && luaL_loadbufferx(L, (const char *)data, len, chunk, "t") == LUA_OK;
    if (!ok)
        fprintf(stderr, "%s\n", L ? lua_tostring(L, -1) : "out of memory");
    if (L)
        lua_close(L);
    return ok;
}

static int embed(FILE *out, int i, const char *path, size_t *len) {
    unsigned char *data = slurp(path, len);
    if (!data) {
        fprintf(stderr, "%s: can't be read\n", path);
        return 0;
    }
    int ok = compiles(path, data, *len);
    fprintf(out, "static const unsigned char file%d[] = {", i);
    for (size_t j = 0; j < *len; j++)
        fprintf(out, "%s%u,", j % 24 == 0 ? "\n" : "", data[j]);
    fprintf(out, "0};\n");
    free(data);
    return ok;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    int n = argc - 2, ok = 1;
    char **files = argv + 2;
    size_t *lens = calloc((size_t)n + 1, sizeof *lens);
    FILE *out = fopen(argv[1], "wb");
    if (!out || !lens)
        return 1;
    qsort(files, (size_t)n, sizeof *files, by_name);
    fprintf(out, "#include \"moongate/host.h\"\n\n");
    for (int i = 0; i < n; i++)
        ok &= embed(out, i, files[i], &lens[i]);
    fprintf(out, "\nconst struct moon_embedded moon_embedded_files[] = {\n");
    for (int i = 0; i < n; i++)
        fprintf(out, "    {\"%s\", file%d, %zu},\n", name_of(files[i]), i, lens[i]);
    fprintf(out, "    {NULL, NULL, 0},\n};\n");
    free(lens);
    if (fclose(out) != 0 || !ok) {
        remove(argv[1]);
        return 1;
    }
    return 0;
}
