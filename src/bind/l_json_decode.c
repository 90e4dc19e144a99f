/* l_json_decode.c - JSON text straight into Lua values.
 *
 * The reader runs raw and so owns no memory; everything else lies on the Lua stack: a memory error can unwind through
 * here. Members are held on the stack until their table's size is known (up to BATCH of them), so that small tables are
 * made in one piece. */
#include "l_json.h"

#include "moongate/json.h"

#include <stdio.h>
#include <string.h>

#define BATCH 32
#define ROOM  8 /* stack is asked for by this number of members: a task waits with the stack it has grown */
#define SHORT_LEN                                                                                                      \
    40 /* Lua interns strings up to here (LUAI_MAXSHORTLEN): equal ones share an address. Longer keys are compared. */

struct decoder {
    lua_State *L;
    struct moon_json_reader reader;
    struct moon_json_token token;
    struct moon_lua_json_decoding *how;
    struct moon_err *err;
    int array_mt; /* stack index */
};

struct key {
    const char *text; /* Lua's copy */
    size_t len;
};

static int decode_value(struct decoder *d);

static int fail_here(struct decoder *d, int code, const char *what) {
    size_t line, column;
    moon_json_where(&d->reader, &line, &column);
    return moon_err_set(d->err, code, "line %zu, column %zu: %s", line, column, what);
}

static int next(struct decoder *d) {
    return moon_json_next(&d->reader, &d->token, d->err);
}

/* [-0, +1, m] */
static const char *push_string(struct decoder *d, size_t *len) {
    lua_State *L = d->L;
    const struct moon_json_token *t = &d->token;
    char small[512], *buf = small;
    const char *text;
    if (!t->escaped) {
        *len = t->len;
        return lua_pushlstring(L, t->text, t->len);
    }
    if (t->len > sizeof small)
        buf = lua_newuserdatauv(L, t->len, 0);
    *len = moon_json_unescape(t->text, t->len, buf);
    text = lua_pushlstring(L, buf, *len);
    if (buf != small)
        lua_remove(L, -2);
    return text;
}

static bool same_key(const struct key *a, const struct key *b) {
    return a->text == b->text || (a->len > SHORT_LEN && a->len == b->len && memcmp(a->text, b->text, a->len) == 0);
}

/* The table at `table` has the key at the top. */
static bool has_key(lua_State *L, int table) {
    lua_pushvalue(L, -1);
    bool found = lua_rawget(L, table) != LUA_TNIL;
    lua_pop(L, 1);
    return found;
}

/* n pairs at the top become members of the table at `table`, which is made below them first unless `made`.  [-2n (+1),
 * +0, m] */
static void store_members(lua_State *L, int table, int n, bool made, int hint) {
    if (!made) {
        lua_createtable(L, 0, hint);
        lua_insert(L, table);
    }
    while (n-- > 0)
        lua_rawset(L, table);
}

/* After '{'. [-0, +1, m] */
static int decode_object(struct decoder *d) {
    lua_State *L = d->L;
    struct key keys[BATCH];
    int n = 0, rc, table = lua_gettop(L) + 1;
    bool made = false;
    for (;;) {
        if (n % ROOM == 0 && !lua_checkstack(L, 2 * ROOM + 6))
            return fail_here(d, MOON_ENOMEM, "out of memory");
        if ((rc = next(d)) != 0)
            return rc;
        if (d->token.type == MOON_JSON_OBJECT_END)
            break;
        if (n == BATCH) {
            store_members(L, table, n, made, 2 * BATCH);
            made = true;
            n = 0;
        }
        keys[n].text = push_string(d, &keys[n].len);
        bool twice = made && has_key(L, table);
        int before = 0;
        while (before < n && !same_key(&keys[before], &keys[n]))
            before++;
        if ((twice || before < n) && !d->how->lenient) {
            char what[160];
            snprintf(what, sizeof what, "the key \"%.100s\" comes twice in this object", keys[n].text);
            return fail_here(d, MOON_EPARSE, what);
        }
        if ((rc = next(d)) != 0 || (rc = decode_value(d)) != 0)
            return rc;
        if (before < n) { /* the last one counts */
            lua_replace(L, -2 * (n - before) - 1);
            lua_pop(L, 1);
            continue;
        }
        n++;
    }
    store_members(L, table, n, made, n);
    return 0;
}

/* After '['. [-0, +1, m] */
static int decode_array(struct decoder *d) {
    lua_State *L = d->L;
    int n = 0, rc, table = lua_gettop(L) + 1;
    lua_Integer stored = 0;
    bool made = false;
    for (;;) {
        if (n % ROOM == 0 && !lua_checkstack(L, ROOM + 6))
            return fail_here(d, MOON_ENOMEM, "out of memory");
        if ((rc = next(d)) != 0)
            return rc;
        bool end = d->token.type == MOON_JSON_ARRAY_END;
        if (end || n == BATCH) {
            if (!made) {
                lua_createtable(L, end ? n : 2 * BATCH, 0);
                lua_insert(L, table);
                made = true;
            }
            for (int i = n; i > 0; i--)
                lua_rawseti(L, table, stored + i);
            stored += n;
            n = 0;
        }
        if (end)
            break;
        if ((rc = decode_value(d)) != 0)
            return rc;
        n++;
    }
    lua_pushvalue(L, d->array_mt);
    lua_setmetatable(L, table);
    return 0;
}

/* The value whose first token is d->token. [-0, +1, m] */
static int decode_value(struct decoder *d) {
    lua_State *L = d->L;
    size_t len;
    switch (d->token.type) {
    case MOON_JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        return 0;
    case MOON_JSON_TRUE:
    case MOON_JSON_FALSE:
        lua_pushboolean(L, d->token.type == MOON_JSON_TRUE);
        return 0;
    case MOON_JSON_INT:
        if (d->how->safe_integers && (d->token.integer > MOON_JSON_SAFE_INT || d->token.integer < -MOON_JSON_SAFE_INT))
            return fail_here(d, MOON_ERANGE, "this integer is beyond 2^53-1, where JSON numbers stop being exact");
        lua_pushinteger(L, d->token.integer);
        return 0;
    case MOON_JSON_NUMBER:
        lua_pushnumber(L, d->token.number);
        return 0;
    case MOON_JSON_STRING:
        push_string(d, &len);
        return 0;
    case MOON_JSON_ARRAY:
        return decode_array(d);
    case MOON_JSON_OBJECT:
        return decode_object(d);
    default:
        return fail_here(d, MOON_EBUG, "no value begins with this token");
    }
}

static int decode(lua_State *L, const char *text, size_t len, struct moon_lua_json_decoding *how,
                  struct moon_err *err) {
    struct decoder d;
    int top = lua_gettop(L), rc;
    d.L = L;
    d.how = how;
    d.err = err;
    d.array_mt = top + 1;
    moon_json_reader_init(&d.reader, text, len, how->max_depth);
    d.reader.raw = true;
    if (!lua_checkstack(L, 8))
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    moon_lua_json_push_array_mt(L);
    rc = next(&d);
    if (rc == 0)
        rc = decode_value(&d);
    if (rc == 0)
        rc = next(&d); /* nothing may follow */
    if (rc != 0) {
        moon_json_where(&d.reader, &how->line, &how->column);
        lua_settop(L, top);
        return rc;
    }
    lua_remove(L, d.array_mt);
    return 0;
}

/* Most of what others write is strict JSON: the repair comes when it is not. */
int moon_lua_json_decode_as(lua_State *L, const char *text, size_t len, struct moon_lua_json_decoding *how,
                            struct moon_err *err) {
    int depth = how->max_depth != 0 ? how->max_depth : MOON_JSON_LENIENT_DEPTH;
    if (!how->lenient)
        return decode(L, text, len, how, err);
    struct moon_lua_json_decoding first = {.max_depth = depth, .safe_integers = how->safe_integers, .lenient = true};
    int rc = decode(L, text, len, &first, err);
    if (rc == 0 || rc == MOON_ENOMEM)
        return rc;
    size_t n = moon_json_repair(text, len, depth, NULL);
    char *repaired = lua_newuserdatauv(L, n + 1, 0);
    moon_json_repair(text, len, depth, repaired);
    rc = decode(L, repaired, n, &first, err);
    how->line = first.line;
    how->column = first.column;
    lua_remove(L, rc == 0 ? -2 : -1);
    return rc;
}

int moon_lua_json_decode_lenient(lua_State *L, const char *text, size_t len, struct moon_err *err) {
    struct moon_lua_json_decoding how = {.lenient = true};
    return moon_lua_json_decode_as(L, text, len, &how, err);
}

int moon_lua_json_decode(lua_State *L, const char *text, size_t len, int max_depth, struct moon_err *err) {
    struct moon_lua_json_decoding how = {.max_depth = max_depth};
    return moon_lua_json_decode_as(L, text, len, &how, err);
}
