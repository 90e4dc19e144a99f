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

#define BATCH         32
#define LENIENT_DEPTH 400 /* leaves room for what a document is kept in */
#define ROOM          8   /* stack is asked for by this number of members: a task waits with the stack it has grown */

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
        char token[2];
        size_t n = moon_json_pointer_token(&at->key[i], 1, token);
        for (size_t k = 0; k < n; k++)
            pointer_putc(p, token[k]);
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
    if (e->how->lenient) {
        size_t max = e->how->max_string;
        return moon_json_put_text(e->out, s, len, max != 0 ? max : len) != 0 ? no_memory(e) : 0;
    }
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
        if (rc == MOON_ERANGE && e->how->lenient)
            rc = moon_buf_printf(e->out, "\"%lld\"", (long long)v);
        if (rc == MOON_ERANGE)
            return fail(e, up, rc,
                        "the integer %lld is beyond 2^53-1, where JSON numbers stop being exact; send a string",
                        (long long)v);
    } else {
        double v = lua_tonumber(e->L, idx);
        rc = moon_json_put_number(e->out, v);
        if (rc == MOON_EINVAL && e->how->lenient)
            rc = moon_buf_puts(e->out, isnan(v) ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
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

static int encode_odd(struct encoder *e, int idx, const struct level *up);

/* Whether no more than n items of this table are written. */
static bool is_full(const struct encoder *e, const struct level *at, lua_Integer n) {
    return e->how->max_items != 0 && at->depth > 1 && n >= e->how->max_items;
}

static int encode_array(struct encoder *e, int idx, const struct level *up) {
    lua_State *L = e->L;
    struct level at = {up, lua_topointer(L, idx), NULL, 0, 0, up != NULL ? up->depth + 1 : 1};
    lua_Integer n = 0;
    size_t begin = e->out->len;
    int rc = put(e, '[');
    if (rc != 0)
        return rc;
    for (lua_pushnil(L); lua_next(L, idx) != 0;) { /* as a rule the keys come in order */
        if (is_full(e, &at, at.index)) {
            lua_pop(L, 2);
            break;
        }
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != at.index + 1) {
            lua_pop(L, 2);
            if ((rc = count_items(e, idx, up, &n)) != 0) {
                e->out->len = begin;
                return e->how->lenient ? encode_odd(e, idx, up) : rc;
            }
            if (is_full(e, &at, n))
                n = e->how->max_items;
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
    if (is_full(e, at, (lua_Integer)n))
        n = (size_t)e->how->max_items;
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

/* A key that can be sorted and written. A strict encoder finds bad UTF-8 when it writes it. */
static bool is_name(const struct encoder *e, int key) {
    size_t len;
    if (lua_type(e->L, key) != LUA_TSTRING)
        return false;
    if (!e->how->lenient)
        return true;
    const char *s = lua_tolstring(e->L, key, &len);
    return moon_utf8_valid(s, len) == len;
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
        if (!is_name(e, -1))
            return e->how->lenient ? encode_odd(e, idx, up) : fail_key(e, up, false);
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
        if (!is_name(e, -2)) {
            lua_pop(L, 1);
            return e->how->lenient ? encode_odd(e, idx, up) : fail_key(e, up, false);
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

/* Pushes the name that a lenient encoder writes for the key at `key`. [-0, +1, m] */
static void push_name(lua_State *L, int key) {
    size_t len;
    if (lua_type(L, key) == LUA_TBOOLEAN) {
        lua_pushstring(L, lua_toboolean(L, key) ? "true" : "false");
    } else if (lua_type(L, key) != LUA_TSTRING && lua_type(L, key) != LUA_TNUMBER) {
        lua_pushfstring(L, "(%s)", lua_typename(L, lua_type(L, key)));
    } else {
        lua_pushvalue(L, key); /* lua_tolstring changes a number in its place */
        const char *s = lua_tolstring(L, -1, &len);
        size_t n = moon_utf8_repair(s, len, NULL);
        char *name = lua_newuserdatauv(L, n + 1, 0);
        moon_utf8_repair(s, len, name);
        lua_pushlstring(L, name, n);
        lua_replace(L, -3);
        lua_pop(L, 1);
    }
}

/* A table with keys of any kind, as an object. */
static int encode_odd(struct encoder *e, int idx, const struct level *up) {
    lua_State *L = e->L;
    struct level self = {up, lua_topointer(L, idx), "", 0, 0, up != NULL ? up->depth + 1 : 1}; /* the copy is another */
    int top = lua_gettop(L);
    if (!lua_checkstack(L, 12))
        return no_memory(e);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
        push_name(L, lua_gettop(L) - 1);
        lua_pushvalue(L, -2);
        lua_rawset(L, top + 1);
    }
    int rc = encode_object(e, top + 1, &self);
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

/* What stands for a value that has no JSON form. */
static int put_words(struct encoder *e, const char *words) {
    return moon_buf_printf(e->out, "\"%s\"", words) != 0 ? no_memory(e) : 0;
}

static int encode_table(struct encoder *e, int idx, const struct level *up) {
    lua_State *L = e->L;
    const void *self = lua_topointer(L, idx);
    for (const struct level *at = up; at != NULL; at = at->up) {
        if (at->table == self && e->how->lenient)
            return put_words(e, "(a table that contains itself)");
        if (at->table == self)
            return fail(e, up, MOON_EINVAL, "this table contains itself");
    }
    if (up != NULL && up->depth >= LENIENT_DEPTH && e->how->lenient)
        return put_words(e, "(nested too deep)");
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
    if (e->how->lenient) {
        char words[40];
        snprintf(words, sizeof words, "(%s)", lua_typename(L, type));
        return put_words(e, words);
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

int moon_lua_json_encode_any(lua_State *L, int idx, struct moon_buf *out, size_t max_string, int max_items) {
    struct moon_lua_json_encoding how = {.lenient = true, .max_string = max_string, .max_items = max_items};
    struct moon_err err;
    return moon_lua_json_encode_as(L, idx, out, &how, &err);
}
