/* l_validate.c - Lua module "validate" over moongate/schema.h.  Types: lua/meta/validate.lua */
#include "bind_udata.h"
#include "l_json.h"
#include "l_validate_lua.h"

#include "moongate/host.h"

#include <stdlib.h>
#include <string.h>

#define L_SCHEMA  "moongate.schema"
#define L_REPORT  "moongate.schema.report"
#define L_SOURCES "moongate.schema.sources"

int luaopen_moongate_validate(lua_State *L);

static const char schema_key = 0;

struct l_schema {
    struct moon_schema *schema; /* NULL = closed */
};

/* ---- reports: kept with the schema (user value 1), for one check at a time ---- */

struct l_report {
    struct moon_schema_report report;
    bool busy;
};

static int l_report_gc(lua_State *L) {
    struct l_report *r = luaL_checkudata(L, 1, L_REPORT);
    moon_schema_report_release(&r->report);
    return 0;
}

static void report_new(lua_State *L) {
    struct l_report *r = lua_newuserdatauv(L, sizeof *r, 0);
    moon_schema_report_init(&r->report);
    r->busy = false;
    luaL_setmetatable(L, L_REPORT);
}

/* The schema's report, anchored at the top; a new one when a finalizer checks while we do. [-0, +1, m] */
static struct l_report *report_take(lua_State *L, int schema) {
    lua_getiuservalue(L, schema, 1);
    struct l_report *r = lua_touserdata(L, -1);
    if (r->busy) {
        lua_pop(L, 1);
        report_new(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, schema, 1);
        r = lua_touserdata(L, -1);
    }
    r->busy = true;
    return r;
}

/* ---- compile ---- */

/* The documents of a compilation. */
struct l_sources {
    struct moon_buf text;
    struct moon_json_doc *docs; /* [0] the schema, the others resources */
    struct moon_schema_resource *resources;
    size_t count;
};

static int l_sources_gc(lua_State *L) {
    struct l_sources *s = luaL_checkudata(L, 1, L_SOURCES);
    for (size_t i = 0; i < s->count; i++)
        moon_json_doc_release(&s->docs[i]);
    free(s->docs);
    free(s->resources);
    moon_buf_release(&s->text);
    memset(s, 0, sizeof *s);
    return 0;
}

/* Parses the JSON text, or the table, at idx into the next of s->docs. */
static int add_source(lua_State *L, struct l_sources *s, int idx, struct moon_err *err) {
    size_t len;
    const char *text;
    if (lua_type(L, idx) == LUA_TSTRING) {
        text = lua_tolstring(L, idx, &len);
    } else {
        moon_buf_clear(&s->text);
        int rc = moon_lua_json_encode(L, idx, &s->text, err);
        if (rc != 0)
            return rc;
        text = s->text.data;
        len = s->text.len;
    }
    int rc = moon_json_parse(&s->docs[s->count], text, len, err);
    s->count += rc == 0;
    return rc;
}

struct compile_args {
    struct moon_schema_opts opts;
    int resources; /* stack index of the table, 0: none */
    size_t resource_count;
};

static void check_source(lua_State *L, int idx, int arg, const char *what) {
    int type = lua_type(L, idx);
    if (type != LUA_TTABLE && type != LUA_TSTRING && type != LUA_TBOOLEAN)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s: a table or JSON text is wanted", what));
}

static void args_decode(lua_State *L, struct compile_args *a) {
    static const char *const names[] = {"formats", "id", "resources", NULL};
    memset(a, 0, sizeof *a);
    check_source(L, 1, 1, "schema");
    if (lua_isnoneornil(L, 2))
        return;
    luaL_checktype(L, 2, LUA_TTABLE);
    moon_check_options(L, 2, names);
    lua_getfield(L, 2, "formats");
    a->opts.formats = lua_toboolean(L, -1);
    if (lua_getfield(L, 2, "id") != LUA_TNIL) {
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 2, "id: a string is wanted");
        a->opts.base_uri = lua_tostring(L, -1); /* stays on the stack */
    }
    if (lua_getfield(L, 2, "resources") == LUA_TNIL)
        return;
    luaL_argcheck(L, lua_istable(L, -1), 2, "resources: a table is wanted");
    a->resources = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, a->resources) != 0; lua_pop(L, 1)) {
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING, 2, "resources: the keys are URIs");
        check_source(L, -1, 2, "resources");
        a->resource_count++;
    }
}

static int load_sources(lua_State *L, struct l_sources *s, const struct compile_args *a, struct moon_err *err) {
    s->docs = calloc(a->resource_count + 1, sizeof *s->docs);
    s->resources = calloc(a->resource_count + 1, sizeof *s->resources);
    if (s->docs == NULL || s->resources == NULL)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    int rc = add_source(L, s, 1, err);
    if (rc != 0 || a->resources == 0)
        return rc;
    for (lua_pushnil(L); lua_next(L, a->resources) != 0 && s->count <= a->resource_count; lua_pop(L, 1)) {
        struct moon_err why;
        s->resources[s->count - 1].uri = lua_tostring(L, -2); /* the table holds it */
        if ((rc = add_source(L, s, lua_gettop(L), &why)) != 0)
            return moon_err_set(err, rc, "%.100s: %s", lua_tostring(L, -2), why.message);
        s->resources[s->count - 2].document = &s->docs[s->count - 1].root;
    }
    return 0;
}

/* validate.compile(schema [, {formats=, id=, resources=}]) -> schema | nil, err */
static int l_compile(lua_State *L) {
    struct compile_args a;
    struct moon_err err;
    lua_settop(L, 2);
    args_decode(L, &a);
    struct l_schema *h = lua_newuserdatauv(L, sizeof *h, 1);
    int self = lua_gettop(L);
    h->schema = NULL;
    luaL_setmetatable(L, L_SCHEMA);
    report_new(L);
    lua_setiuservalue(L, self, 1);
    struct l_sources *s = lua_newuserdatauv(L, sizeof *s, 0);
    int sources = lua_gettop(L);
    memset(s, 0, sizeof *s);
    luaL_setmetatable(L, L_SOURCES);
    int rc = load_sources(L, s, &a, &err);
    if (rc == 0) {
        a.opts.resources = s->resources;
        a.opts.resource_count = s->count - 1;
        rc = moon_schema_compile(&h->schema, &s->docs[0].root, &a.opts, &err);
    }
    lua_settop(L, sources);
    lua_pushcfunction(L, l_sources_gc); /* the documents are not needed any more: don't wait for the collector */
    lua_pushvalue(L, sources);
    lua_call(L, 1, 0);
    if (rc != 0)
        return moon_fail(L, &err);
    lua_pushvalue(L, self);
    return 1;
}

/* ---- check ---- */

static void push_fault(lua_State *L, const struct moon_schema_fault *f) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, f->pointer);
    lua_setfield(L, -2, "pointer");
    lua_pushstring(L, f->keyword);
    lua_setfield(L, -2, "keyword");
    lua_pushstring(L, f->message);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, f->schema_pointer);
    lua_setfield(L, -2, "schema_pointer");
    if (f->property != NULL) {
        lua_pushlstring(L, f->property, f->property_len);
        lua_setfield(L, -2, "property");
    }
    if (f->near != NULL) {
        lua_pushstring(L, f->near);
        lua_setfield(L, -2, "near");
    }
}

static void push_faults(lua_State *L, const struct moon_schema_report *r) {
    lua_createtable(L, (int)r->count, 0);
    for (size_t i = 0; i < r->count; i++) {
        push_fault(L, &r->faults[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    moon_lua_json_push_array_mt(L);
    lua_setmetatable(L, -2);
}

/* The check itself failed: one fault that says so, at the root. */
static void push_failure(lua_State *L, const struct moon_err *err) {
    struct moon_schema_fault f = {.pointer = "", .keyword = "", .message = err->message, .schema_pointer = ""};
    struct moon_schema_report r = {.faults = &f, .count = 1};
    push_faults(L, &r);
}

/* schema:check(value) -> true | nil, faults */
static int l_check(lua_State *L) {
    struct l_schema *h = bind_udata(L, 1, L_SCHEMA, &schema_key);
    struct moon_err err;
    luaL_argcheck(L, h->schema != NULL, 1, "the schema is closed");
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    struct l_report *r = report_take(L, 1);
    struct moon_lua_values values = {L, moon_lua_json_array_id(L)};
    int rc = moon_schema_check(h->schema, &moon_lua_schema_ops, &values, (struct moon_schema_node){.index = 2},
                               &r->report, &err);
    if (rc == 0) {
        r->busy = false;
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_settop(L, 3);
    lua_pushnil(L);
    if (rc == MOON_EINVAL)
        push_faults(L, &r->report);
    else
        push_failure(L, &err);
    moon_schema_report_release(&r->report);
    r->busy = false;
    return 2;
}

/* __gc, __close */
static int l_close(lua_State *L) {
    struct l_schema *h = bind_udata(L, 1, L_SCHEMA, &schema_key);
    moon_schema_free(h->schema);
    h->schema = NULL;
    return 0;
}

static int l_str(lua_State *L) {
    luaL_checkudata(L, 1, L_SCHEMA);
    lua_pushliteral(L, "schema");
    return 1;
}

static const luaL_Reg methods[] = {{"check", l_check}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {"__tostring", l_str}, {NULL, NULL}};
static const luaL_Reg funcs[] = {{"compile", l_compile}, {NULL, NULL}};

static void createmeta(lua_State *L) {
    luaL_newmetatable(L, L_SCHEMA);
    bind_udata_setup(L, L_SCHEMA, &schema_key);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    luaL_newmetatable(L, L_REPORT);
    lua_pushcfunction(L, l_report_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newmetatable(L, L_SOURCES);
    lua_pushcfunction(L, l_sources_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 3);
}

int luaopen_moongate_validate(lua_State *L) {
    createmeta(L);
    luaL_newlib(L, funcs);
    return 1;
}
