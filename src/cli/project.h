/* project.h - the project file moongate.lua: data, evaluated in a Lua state of its own with nothing in reach but env()
 * and secret(). What it may hold is written in lua/moongate/cli/project.lua. */
#ifndef MOONGATE_CLI_PROJECT_H
#define MOONGATE_CLI_PROJECT_H

#include "moongate/buf.h"
#include "moongate/err.h"

#include <lua.h>

#include <stdbool.h>
#include <stddef.h>

struct moon_project;

#define MOON_PROJECT_FILE "moongate.lua"

/* Appends the path of the project file in dir or the nearest folder above it; true when there is one. */
bool moon_project_find(const char *dir, struct moon_buf *path);

/* Reads the file. Errors in the file itself do not fail the call: see moon_project_ok. MOON_ENOENT, MOON_EIO,
 * MOON_ENOMEM,
 * ... */
int moon_project_open(struct moon_project **out, const char *path, struct moon_err *err);
void moon_project_free(struct moon_project *p); /* NULL-safe; wipes its secrets */

bool moon_project_ok(const struct moon_project *p);          /* no faults */
const char *moon_project_path(const struct moon_project *p); /* as it was opened */
const char *moon_project_hash(const struct moon_project *p); /* SHA-256 of what was read, in hex */
const char *moon_project_dir(const struct moon_project *p);  /* its folder, "." for a bare name */

/* The string at section.key, section NULL for the top; NULL when absent. Lives as long as p. */
const char *moon_project_string(struct moon_project *p, const char *section, const char *key);

/* fn for each string of the list at section.key, and for the URL of each webhook. */
void moon_project_list(struct moon_project *p, const char *section, const char *key,
                       void (*fn)(void *ud, const char *text), void *ud);
void moon_project_urls(struct moon_project *p, void (*fn)(void *ud, const char *text), void *ud);

struct moon_project_secret {
    const char *name;  /* of the environment variable */
    const char *value; /* NULL: the variable is not set, or empty */
    size_t len;
};
/* The secret at section.key; false when absent. */
bool moon_project_secret(struct moon_project *p, const char *section, const char *key, struct moon_project_secret *out);

/* Pushes a copy of the whole onto L, each secret by push_secret (one value); an empty table when there are faults.
 * [-0, +1, m] */
void moon_project_push(struct moon_project *p, lua_State *L,
                       void (*push_secret)(lua_State *L, const struct moon_project_secret *secret));
/* Pushes the list of faults: {file, line, path, message} each. [-0, +1, m] */
void moon_project_push_faults(struct moon_project *p, lua_State *L);

#endif
