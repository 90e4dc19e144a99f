/* embed.c - build-time tool: `embed OUT.c FILE...` writes the files, byte for byte, as C data sorted by name.
 *
 * A name is the path without a leading "lua/". Every .lua file is compiled first, as text; a syntax error ends the
 * build with its file:line. */
#include <lauxlib.h>
#include <lua.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct file {
    const char *path, *name;
    char *data;
    size_t len;
};

static int die(const char *what, const char *path) {
    fprintf(stderr, "embed: %s %s: %s\n", what, path, strerror(errno));
    return 1;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static int slurp(struct file *f) {
    FILE *in = fopen(f->path, "rb");
    size_t cap = 1 << 16, n;
    if (!in)
        return -1;
    f->data = malloc(cap);
    f->len = 0;
    while (f->data && (n = fread(f->data + f->len, 1, cap - f->len, in)) > 0) {
        f->len += n;
        if (f->len == cap)
            f->data = realloc(f->data, cap *= 2);
    }
    n = (size_t)ferror(in);
    fclose(in);
    return f->data && !n ? 0 : -1;
}

static int ends_with(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* 0, or 1 after saying what is wrong with a Lua file. */
static int check_syntax(const struct file *f) {
    lua_State *L = luaL_newstate();
    char chunkname[1024];
    const char *text = f->data;
    size_t len = f->len;
    int bad;
    if (!L)
        return die("out of memory for", f->path);
    if (len && text[0] == '#') /* "#!..." is not Lua; its line break stays, so that lines keep their numbers */
        while (len && *text != '\n') {
            text++;
            len--;
        }
    snprintf(chunkname, sizeof chunkname, "@%s", f->path);
    bad = luaL_loadbufferx(L, text, len, chunkname, "t") != LUA_OK;
    if (bad)
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_close(L);
    return bad;
}

static void write_data(FILE *out, size_t i, const struct file *f) {
    fprintf(out, "static const unsigned char f%zu[] = {", i);
    for (size_t k = 0; k < f->len; k++)
        fprintf(out, "%s%u,", k % 32 ? "" : "\n", (unsigned char)f->data[k]);
    fprintf(out, "0};\n");
}

int main(int argc, char **argv) {
    size_t n = argc > 2 ? (size_t)argc - 2 : 0;
    struct file *files;
    char *tmp;
    FILE *out;
    int bad = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: embed OUT.c FILE...\n");
        return 2;
    }
    files = calloc(n + 1, sizeof *files);
    tmp = malloc(strlen(argv[1]) + 5);
    if (!files || !tmp)
        return die("out of memory for", argv[1]);
    for (size_t i = 0; i < n; i++) {
        files[i].path = argv[i + 2];
        files[i].name = strncmp(files[i].path, "lua/", 4) == 0 ? files[i].path + 4 : files[i].path;
        if (slurp(&files[i]) != 0)
            return die("can't read", files[i].path);
        if (ends_with(files[i].name, ".lua"))
            bad |= check_syntax(&files[i]);
    }
    if (bad)
        return 1;
    qsort(files, n, sizeof *files, by_name);
    sprintf(tmp, "%s.tmp", argv[1]);
    out = fopen(tmp, "w");
    if (!out)
        return die("can't write", tmp);
    fprintf(out, "/* Made by src/tools/embed.c. */\n#include \"moongate/host.h\"\n\n");
    for (size_t i = 0; i < n; i++)
        write_data(out, i, &files[i]);
    fprintf(out, "\nconst struct moon_embedded moon_embedded_files[] = {\n");
    for (size_t i = 0; i < n; i++)
        fprintf(out, "    {\"%s\", f%zu, %zu},\n", files[i].name, i, files[i].len);
    fprintf(out, "    {NULL, NULL, 0},\n};\n");
    if (fclose(out) != 0 || rename(tmp, argv[1]) != 0)
        return die("can't write", argv[1]);
    for (size_t i = 0; i < n; i++)
        free(files[i].data);
    free(files);
    free(tmp);
    return 0;
}
