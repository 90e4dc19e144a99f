/* l_json_encode.c - a Lua value straight into canonical JSON.
 *
 * Objects of up to BATCH keys keep keys and values on the Lua stack while they are sorted, and cost no allocation.
 * Larger ones sort in a userdata. No Lua code runs, unless a finalizer does during that allocation; so a table is
 * counted before and collected after it. */
#include "l_json.h"

#include "moongate/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BATCH 32
#define ROOM  8 /* stack is asked for by so many members: a task waits with the stack it has grown */

struct encoder {
    lua_State *L;
    struct moon_buf *out;
    struct moon_err *err;
    struct moon_lua_json_encoding *how;
    const void *array_id;
};

/* One step down; the chain of them is the place. */
struct level {
    const struct level *up;
    const void *table; /* that the step was taken in */
    const char *key;   /* NULL: index */
    size_t len;
    lua_Integer index; /* 1-based */
    int depth;
};

static int encode_value(struct encoder *e, int idx, const struct level *up);

/* ---- failures ---- */

struct pointer {
    char *text;
    size_t len, size;
};

static void pointer_putc(struct pointer *p, char c) {
    if (p->len + 1 < p->size)
        p->text[p->len++] = c;
}

static void pointer_put(struct pointer *p, const struct level *at) {
    if (at == NULL)
        return;
    pointer_put(p, at->up);
    pointer_putc(p, '/');
    if (at->key == NULL) {
        char digits[24];
        snprintf(digits, sizeof digits, "%lld", (long long)at->index - 1);
        for (const char *d = digits; *d != '\0'; d++)
            pointer_putc(p, *d);
        return;
    }
    for (size_t i = 0; i < at->len; i++) {
        if (at->key[i] == '~' || at->key[i] == '/') {
            pointer_putc(p, '~');
            pointer_putc(p, at->key[i] == '~' ? '0' : '1');
        } else {
            pointer_putc(p, at->key[i]);
        }
    }
}

__attribute__((format(printf, 4, 5))) static int fail(struct encoder *e, const struct level *at, int code,
                                                      const char *fmt, ...) {
    char what[200];
    struct pointer p = {e->how->pointer, 0, sizeof e->how->pointer};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    pointer_put(&p, at);
    p.text[p.len] = '\0';
    return moon_err_set(e->err, code, "%s%s%s", p.text, p.len != 0 ? ": " : "", what);
}

static int no_memory(struct encoder *e) {
    return moon_err_set(e->err, MOON_ENOMEM, "out of memory");
}

/* ---- scalars ---- */

static inline int put(struct encoder *e, char c) {
    struct moon_buf *b = e->out;
    if (b->len + 1 >= b->cap && moon_buf_reserve(b, 64) != 0)
        return no_memory(e);
    b->data[b->len++] = c;
    b->data[b->len] = '\0';
    return 0;
}

static int put_string(struct encoder *e, const char *s, size_t len, const struct level *at, const char *what) {
    int rc = moon_json_put_string(e->out, s, len);
    if (rc == 0)
        return 0;
    if (rc == MOON_ENOMEM)
        return no_memory(e);
    return fail(e, at, rc, "%s is not valid UTF-8 (byte %zu)", what, moon_utf8_valid(s, len) + 1);
}

static int put_number(struct encoder *e, int idx, const struct level *up) {
    int rc;
    if (lua_isinteger(e->L, idx)) {
        lua_Integer v = lua_tointeger(e->L, idx);
        rc = moon_json_put_int(e->out, v);
        if (rc == MOON_ERANGE && e->how->wide_integers)
            rc = moon_buf_printf(e->out, "%lld", (long long)v);
        if (rc == MOON_ERANGE)
            return fail(e, up, rc,
                        "the integer %lld is beyond 2^53-1, where JSON numbers stop being exact; send a string",
                        (long long)v);
    } else {
        double v = lua_tonumber(e->L, idx);
        rc = moon_json_put_number(e->out, v);
        if (rc == MOON_EINVAL)
            return fail(e, up, rc, "%s has no JSON form", isnan(v) ? "nan" : "an infinite number");
    }
    return rc == 0 ? 0 : no_memory(e);
}

/* ---- arrays ---- */

/* Why the key at the top makes its table neither array nor object. */
static int fail_key(struct encoder *e, const struct level *up, bool array) {
    lua_State *L = e->L;
    if (lua_type(L, -1) == LUA_TSTRING)
        return fail(e, up, MOON_EINVAL, "a table with items and the key \"%.60s\" has no JSON form",
                    lua_tostring(L, -1));
    if (!lua_isinteger(L, -1))
        return fail(e, up, MOON_EINVAL, "a table with a %s as a key has no JSON form",
                    lua_type(L, -1) == LUA_TNUMBER ? "fraction" : lua_typename(L, lua_type(L, -1)));
    long long i = (long long)lua_tointeger(L, -1);
    if (array)
        return fail(e, up, MOON_EINVAL, "an array with a gap has no JSON form (its index %lld is out of line)", i);
    return fail(e, up, MOON_EINVAL, "an object's keys must be strings, and %lld is a number", i);
}

/* The number of items when the keys are exactly 1..n, or a failure. */
static int count_items(struct encoder *e, int idx, const struct level *up, lua_Integer *count) {
    lua_State *L = e->L;
    lua_Integer n = 0;
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1))
        n++;
    for (lua_pushnil(L); lua_next(L, idx) != 0;) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > n) {
            int rc = fail_key(e, up, true);
            lua_pop(L, 1);
            return rc;
        }
    }
    *count = n;
    return 0;
}

static int encode_item(struct encoder *e, struct level *at) {
    int rc = at->index > 1 ? put(e, ',') : 0;
    if (rc == 0)
        rc = encode_value(e, lua_gettop(e->L), at);
    lua_pop(e->L, 1);
    return rc;
}

static int encode_array(struct encoder *e, int idx, const struct level *up) {
    lua_State *L = e->L;
    struct level at = {up, lua_topointer(L, idx), NULL, 0, 0, up != NULL ? up->depth + 1 : 1};
    lua_Integer n = 0;
    int rc = put(e, '[');
    if (rc != 0)
        return rc;
    for (lua_pushnil(L); lua_next(L, idx) != 0;) { /* as a rule the keys come in order */
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != at.index + 1) {
            lua_pop(L, 2);
            if ((rc = count_items(e, idx, up, &n)) != 0)
                return rc;
            while (at.index < n) {
                lua_rawgeti(L, idx, ++at.index);
                if ((rc = encode_item(e, &at)) != 0)
                    return rc;
            }
            break;
        }
        at.index++;
        if ((rc = encode_item(e, &at)) != 0)
            return rc;
    }
    return put(e, ']');
}

/* ---- objects ---- */

/* {"key": or ,"key": */
static int put_key(struct encoder *e, const struct moon_json_entry *key, char before, const struct level *at) {
    struct moon_buf *b = e->out;
    if (moon_buf_reserve(b, key->len + 4) != 0)
        return no_memory(e);
    b->data[b->len++] = before;
    int rc = put_string(e, key->key, key->len, at, "the key");
    return rc != 0 ? rc : put(e, ':');
}

static int encode_members(struct encoder *e, struct moon_json_entry *entries, size_t n, int idx, struct level *at) {
    lua_State *L = e->L;
    int rc = n == 0 ? put(e, '{') : 0;
    moon_json_sort(entries, n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        at->key = entries[i].key;
        at->len = entries[i].len;
        if ((rc = put_key(e, &entries[i], i == 0 ? '{' : ',', at)) != 0)
            return rc;
        if (idx == 0) { /* the value itself lies at the slot */
            rc = encode_value(e, entries[i].slot, at);
        } else { /* the slot is the key's place in the table at idx + 1 */
            lua_rawgeti(L, idx + 1, entries[i].slot);
            lua_rawget(L, idx);
            rc = encode_value(e, lua_gettop(L), at);
            lua_pop(L, 1);
        }
    }
    return rc != 0 ? rc : put(e, '}');
}

/* More than BATCH keys: they go to a table, and their entries to a userdata. */
static int encode_large(struct encoder *e, int idx, const struct level *up, struct level *at) {
    lua_State *L = e->L;
    size_t count = 0, n = 0;
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1))
        count++;
    if (count > INT32_MAX / sizeof(struct moon_json_entry))
        return fail(e, up, MOON_ETOOBIG, "an object with %zu keys is too large", count);
    lua_pushvalue(L, idx); /* idx + 1 must hold the keys: work on a copy of the reference */
    idx = lua_gettop(L);
    lua_createtable(L, (int)count, 0);
    struct moon_json_entry *entries = lua_newuserdatauv(L, count * sizeof *entries, 0);
    for (lua_pushnil(L); lua_next(L, idx) != 0; n++) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            return fail_key(e, up, false);
        if (n == count)
            return fail(e, up, MOON_EINVAL, "the table changed while it was encoded");
        entries[n].key = lua_tolstring(L, -1, &entries[n].len);
        entries[n].slot = (int)n + 1;
        lua_pushvalue(L, -1);
        lua_rawseti(L, idx + 1, (lua_Integer)n + 1);
    }
    int rc = encode_members(e, entries, n, idx, at);
    if (rc == 0)
        lua_settop(L, idx - 1);
    return rc;
}

static int encode_object(struct encoder *e, int idx, const struct level *up) {
    lua_State *L = e->L;
    struct level at = {up, lua_topointer(L, idx), "", 0, 0, up != NULL ? up->depth + 1 : 1};
    struct moon_json_entry entries[BATCH];
    size_t n = 0;
    int top = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, idx) != 0; n++) {
        if (n % ROOM == 0 && !lua_checkstack(L, 2 * ROOM + 12))
            return no_memory(e);
        if (lua_type(L, -2) != LUA_TSTRING) {
            lua_pop(L, 1);
            return fail_key(e, up, false);
        }
        if (n == BATCH) {
            lua_settop(L, top);
            return encode_large(e, idx, up, &at);
        }
        entries[n].key = lua_tolstring(L, -2, &entries[n].len);
        entries[n].slot = top + 2 * (int)n + 2;
        lua_pushvalue(L, -2); /* key and value stay; the copy is lua_next's */
    }
    int rc = encode_members(e, entries, n, 0, &at);
    lua_settop(L, top);
    return rc;
}

/* The list of the record's keys is at the top. */
static int encode_record(struct encoder *e, int idx, const struct level *up) {
    lua_State *L = e->L;
    struct level at = {up, lua_topointer(L, idx), "", 0, 0, up != NULL ? up->depth + 1 : 1};
    int list = lua_gettop(L), rc = 0;
    size_t begin = e->out->len, len;
    for (lua_Integer i = 1; rc == 0 && lua_rawgeti(L, list, i) == LUA_TSTRING; i += 2, lua_settop(L, list)) {
        at.key = lua_tolstring(L, -1, &at.len);
        if (lua_rawget(L, idx) == LUA_TNIL)
            continue;
        lua_rawgeti(L, list, i + 1);
        const char *text = lua_tolstring(L, -1, &len);
        if (moon_buf_append(e->out, text, len) != 0)
            return no_memory(e);
        rc = encode_value(e, list + 1, &at);
    }
    if (rc != 0)
        return rc;
    if (e->out->len == begin && put(e, ',') != 0)
        return MOON_ENOMEM;
    e->out->data[begin] = '{'; /* in the place of the first comma */
    return put(e, '}');
}

/* ---- values ---- */

static int encode_marked(struct encoder *e, int idx, const struct level *up, bool *done) {
    lua_State *L = e->L;
    int top = lua_gettop(L), rc = 0;
    if (!lua_getmetatable(L, idx))
        return 0;
    if ((*done = lua_topointer(L, -1) == e->array_id))
        rc = encode_array(e, idx, up);
    else if ((*done = moon_lua_json_push_record(L, top + 1)))
        rc = encode_record(e, idx, up);
    lua_settop(L, top);
    return rc;
}

static int encode_table(struct encoder *e, int idx, const struct level *up) {
    lua_State *L = e->L;
    const void *self = lua_topointer(L, idx);
    for (const struct level *at = up; at != NULL; at = at->up) {
        if (at->table == self)
            return fail(e, up, MOON_EINVAL, "this table contains itself");
    }
    if (up != NULL && up->depth >= MOON_JSON_DEPTH)
        return fail(e, up, MOON_EINVAL, "nested deeper than %d levels", MOON_JSON_DEPTH);
    if (!lua_checkstack(L, 12))
        return no_memory(e);
    bool done = false;
    int rc = encode_marked(e, idx, up, &done);
    if (done)
        return rc;
    lua_pushnil(L);
    if (lua_next(L, idx) == 0)
        return put(e, '{') != 0 ? MOON_ENOMEM : put(e, '}');
    bool array = lua_type(L, -2) == LUA_TNUMBER;
    lua_pop(L, 2);
    return array ? encode_array(e, idx, up) : encode_object(e, idx, up);
}

/* The value at the absolute index idx, found by the step `up`. */
static int encode_value(struct encoder *e, int idx, const struct level *up) {
    lua_State *L = e->L;
    const char *s;
    size_t len;
    int type = lua_type(L, idx);
    switch (type) {
    case LUA_TSTRING:
        s = lua_tolstring(L, idx, &len);
        return put_string(e, s, len, up, "the string");
    case LUA_TNUMBER:
        return put_number(e, idx, up);
    case LUA_TTABLE:
        return encode_table(e, idx, up);
    case LUA_TBOOLEAN:
        return moon_buf_puts(e->out, lua_toboolean(L, idx) ? "true" : "false") != 0 ? no_memory(e) : 0;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, idx) == NULL)
            return moon_buf_append(e->out, "null", 4) != 0 ? no_memory(e) : 0;
        break;
    default:
        break;
    }
    return fail(e, up, MOON_EINVAL, "%s %s has no JSON form%s", strchr("aeiou", lua_typename(L, type)[0]) ? "an" : "a",
                lua_typename(L, type), type == LUA_TNIL ? " (json.null has)" : "");
}

int moon_lua_json_encode_as(lua_State *L, int idx, struct moon_buf *out, struct moon_lua_json_encoding *how,
                            struct moon_err *err) {
    struct encoder e = {L, out, err, how, moon_lua_json_array_id(L)};
    int top = lua_gettop(L);
    how->pointer[0] = '\0';
    int rc = encode_value(&e, lua_absindex(L, idx), NULL);
    lua_settop(L, top);
    return rc;
}

int moon_lua_json_encode(lua_State *L, int idx, struct moon_buf *out, struct moon_err *err) {
    struct moon_lua_json_encoding how = {.wide_integers = false};
    return moon_lua_json_encode_as(L, idx, out, &how, err);
}
