/* l_json.h - Lua values to canonical JSON and back, for every binding that sends or receives JSON. Private to bind. */
#ifndef MOONGATE_BIND_L_JSON_H
#define MOONGATE_BIND_L_JSON_H

#include "moongate/buf.h"
#include "moongate/err.h"

#include <lua.h>

#include <stdbool.h>
#include <stddef.h>

/* Appends the canonical JSON (RFC 8785) of the value at idx to out. 0, or MOON_EINVAL (no JSON form), MOON_ERANGE (an
 * integer beyond 2^53-1), MOON_ENOMEM; the message names the place as a JSON Pointer, and out may hold a part. Runs no
 * Lua code and ignores metatables but the marks of arrays and records. Raises only on Lua memory errors, so out must
 * belong to something that is collected (a userdata).  [-0, +0, m] */
int moon_lua_json_encode(lua_State *L, int idx, struct moon_buf *out, struct moon_err *err);

/* The same, for keeping, audit and printing: never fails but for memory. Integers beyond 2^53-1 become strings of their
 * digits. max_string, max_items: as in moon_lua_json_encoding. */
int moon_lua_json_encode_any(lua_State *L, int idx, struct moon_buf *out, size_t max_string, int max_items);

/* Pushes the value of a JSON text. max_depth as for moon_json_reader_init, 0: the default. text must stay put
 * until it returns; nothing else is held, so a Lua memory error leaks nothing.  [-0, +1, m]; [-0, +0, m] and
 * MOON_EPARSE, MOON_ERANGE, MOON_ENOMEM when it fails */
int moon_lua_json_decode(lua_State *L, const char *text, size_t len, int max_depth, struct moon_err *err);

/* The same, leniently: what a peer answered.  [-0, +(0|1), m] */
int moon_lua_json_decode_lenient(lua_State *L, const char *text, size_t len, struct moon_err *err);

/* ---- with more to ask ---- */

struct moon_lua_json_encoding {
    bool wide_integers; /* integers of 64 bits are written; not JCS, for comparing and keeping values only */
    bool lenient; /* never fails but for memory: what has no JSON form is written as a string that says what it is */
    size_t max_string; /* lenient: strings are cut after this number of bytes; 0: never */
    int max_items;     /* lenient: limit of the arrays and objects inside; 0: all */
    char pointer[256]; /* out: after a failure, where (may be cut) */
};
int moon_lua_json_encode_as(lua_State *L, int idx, struct moon_buf *out, struct moon_lua_json_encoding *how,
                            struct moon_err *err);

struct moon_lua_json_decoding {
    int max_depth;
    bool safe_integers;  /* integers beyond +-(2^53-1) are MOON_ERANGE */
    bool lenient;        /* what others wrote, see moon_json_repair; of a key that comes twice the last */
    size_t line, column; /* out: after a failure, where */
};
int moon_lua_json_decode_as(lua_State *L, const char *text, size_t len, struct moon_lua_json_decoding *how,
                            struct moon_err *err);

/* ---- arrays: a table marked by its metatable is an array, also when empty ---- */
void moon_lua_json_push_array_mt(lua_State *L);   /* [-0, +1, m] the one metatable, made at first use */
const void *moon_lua_json_array_id(lua_State *L); /* [-0, +0, -] its identity, NULL before it exists */
bool moon_lua_json_marked(lua_State *L, int idx, const void *array_id); /* [-0, +0, -] idx is a table with the mark */

/* ---- records: tables whose metatable knows the keys ---- */

/* json.record({keys}) -> a function that marks a table as such a record, and returns it. b: to work with */
int moon_lua_json_record_new(lua_State *L, struct moon_buf *b);
/* Pushes the list of the keys of a record with this metatable, in canonical order: key, its text ,"key": and so on.
 * [-0, +(0|1), -] false: it is another's metatable */
bool moon_lua_json_push_record(lua_State *L, int metatable);

#endif
