/* schema_compile.c - from a JSON document to a graph of nodes: what each keyword means, one small function a keyword
 * and one line a keyword in the table. Keywords that are not there are annotations, as the specification wants it. A
 * work list instead of recursion: schemas refer to each other in circles. */
#include "schema_registry.h"

#include "../arena.h"
#include "../json/json_tree.h"
#include "schema_uri.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct schema_compiler {
    struct schema_registry registry;
    struct moon_schema *schema;
    struct moon_err *err;
    size_t *work; /* places whose nodes wait to be compiled */
    size_t work_count, work_cap;
    struct schema_anchor *names; /* $dynamicRef names in use; only name and len count */
    size_t name_count, name_cap;
    /* the node at hand */
    struct schema_node *node;
    const struct moon_json_value *value;
    const char *keyword;
    size_t resource;
};

typedef int keyword_fn(struct schema_compiler *c, const struct moon_json_value *v);

static int no_memory(struct schema_compiler *c) {
    return moon_err_set(c->err, MOON_ENOMEM, "out of memory");
}

/* MOON_EINVAL, the message beginning with the path of the keyword at hand. */
__attribute__((format(printf, 2, 3))) static int bad(struct schema_compiler *c, const char *fmt, ...) {
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return moon_err_set(c->err, MOON_EINVAL, "%s/%s: %s", c->node->where, c->keyword, what);
}

/* The node of a place, made and queued when it is new; NULL: out of memory. */
static struct schema_node *node_at(struct schema_compiler *c, size_t place) {
    struct schema_place *p = &c->registry.places[place];
    if (p->node != NULL)
        return p->node;
    if (schema_grow(&c->work, c->work_count, &c->work_cap, sizeof *c->work) != 0)
        return NULL;
    struct schema_node *n = moon_arena_zalloc(&c->schema->arena, 1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->where = p->where;
    n->resource = p->resource;
    n->max_length = n->max_items = n->max_properties = n->max_contains = NO_LIMIT;
    n->min_contains = 1;
    p->node = n;
    c->work[c->work_count++] = place;
    return n;
}

/* ---- subschemas ---- */

static int compile_child(struct schema_compiler *c, const struct moon_json_value *v, struct schema_node **out) {
    if (v->type != MOON_JSON_OBJECT && v->type != MOON_JSON_TRUE && v->type != MOON_JSON_FALSE)
        return bad(c, "must be a schema: an object or a boolean");
    *out = node_at(c, schema_registry_place(&c->registry, v));
    return *out != NULL ? 0 : no_memory(c);
}

static int child_list(struct schema_compiler *c, const struct moon_json_value *v, struct schema_list *out) {
    if (v->type != MOON_JSON_ARRAY || v->u.array.len == 0)
        return bad(c, "must be a list of at least one schema");
    out->items = moon_arena_zalloc(&c->schema->arena, v->u.array.len, sizeof *out->items);
    if (out->items == NULL)
        return no_memory(c);
    for (size_t i = 0; i < v->u.array.len; i++) {
        int rc = compile_child(c, &v->u.array.items[i], &out->items[i]);
        if (rc != 0)
            return rc;
    }
    out->count = v->u.array.len;
    return 0;
}

#define CHILD(field, kind)                                                                                             \
    static int compile_##field(struct schema_compiler *c, const struct moon_json_value *v) {                           \
        c->node->kind = true;                                                                                          \
        return compile_child(c, v, &c->node->field);                                                                   \
    }
#define CHILDREN(field, kind)                                                                                          \
    static int compile_##field(struct schema_compiler *c, const struct moon_json_value *v) {                           \
        c->node->kind = true;                                                                                          \
        return child_list(c, v, &c->node->field);                                                                      \
    }
CHILD(additional, about_objects)
CHILD(property_names, about_objects)
CHILD(unevaluated_properties, about_objects)
CHILD(items, about_arrays)
CHILD(contains, about_arrays)
CHILD(unevaluated_items, about_arrays)
CHILD(not_, in_place)
CHILD(if_, in_place)
CHILD(then, in_place)
CHILD(else_, in_place)
CHILDREN(prefix_items, about_arrays)
CHILDREN(all_of, in_place)
CHILDREN(any_of, in_place)
CHILDREN(one_of, in_place)

/* ---- limits ---- */

static int number(struct schema_compiler *c, const struct moon_json_value *v, struct schema_number *out) {
    if (v->type != MOON_JSON_INT && v->type != MOON_JSON_NUMBER)
        return bad(c, "must be a number");
    *out = v->type == MOON_JSON_INT ? schema_number_of(v->u.integer) : schema_number_of_double(v->u.number);
    return 0;
}

static int size(struct schema_compiler *c, const struct moon_json_value *v, size_t *out) {
    struct schema_number n = {.is_int = false};
    int rc = number(c, v, &n);
    if (rc != 0)
        return rc;
    if (n.d < 0 || !schema_number_integral(n))
        return bad(c, "must be an integer, 0 or more");
    *out = n.is_int && (uint64_t)n.i < NO_LIMIT ? (size_t)n.i : NO_LIMIT;
    return 0;
}

#define NUMBER(field)                                                                                                  \
    static int compile_##field(struct schema_compiler *c, const struct moon_json_value *v) {                           \
        c->node->has_##field = c->node->about_numbers = true;                                                          \
        return number(c, v, &c->node->field);                                                                          \
    }
#define SIZE(field, kind)                                                                                              \
    static int compile_##field(struct schema_compiler *c, const struct moon_json_value *v) {                           \
        c->node->kind = true;                                                                                          \
        return size(c, v, &c->node->field);                                                                            \
    }
NUMBER(minimum)
NUMBER(maximum)
NUMBER(more_than)
NUMBER(less_than)
SIZE(min_length, about_strings)
SIZE(max_length, about_strings)
SIZE(min_items, about_arrays)
SIZE(max_items, about_arrays)
SIZE(min_contains, about_arrays)
SIZE(max_contains, about_arrays)
SIZE(min_properties, about_objects)
SIZE(max_properties, about_objects)

static int compile_multiple(struct schema_compiler *c, const struct moon_json_value *v) {
    struct schema_node *n = c->node;
    n->has_multiple = n->about_numbers = true;
    int rc = number(c, v, &n->multiple);
    return rc == 0 && n->multiple.d <= 0 ? bad(c, "must be greater than 0") : rc;
}

static int compile_unique_items(struct schema_compiler *c, const struct moon_json_value *v) {
    c->node->about_arrays = true;
    c->node->unique_items = v->type == MOON_JSON_TRUE;
    return v->type == MOON_JSON_TRUE || v->type == MOON_JSON_FALSE ? 0 : bad(c, "must be a boolean");
}

/* ---- strings ---- */

static int regex(struct schema_compiler *c, const char *source, size_t len, struct moon_regex **out) {
    struct moon_schema *s = c->schema;
    struct moon_err why;
    if (schema_grow(&s->regexes, s->regex_count, &s->regex_cap, sizeof *s->regexes) != 0)
        return no_memory(c);
    int rc = moon_regex_new(out, source, len, &why);
    if (rc == MOON_ENOMEM)
        return no_memory(c);
    if (rc != 0)
        return bad(c, "\"%.80s\" is not a regular expression: %.120s", source, why.message);
    s->regexes[s->regex_count++] = *out;
    return 0;
}

static int compile_pattern(struct schema_compiler *c, const struct moon_json_value *v) {
    if (v->type != MOON_JSON_STRING)
        return bad(c, "must be a string");
    c->node->about_strings = true;
    c->node->pattern_source = moon_arena_copy(&c->schema->arena, v->u.string.data, v->u.string.len);
    if (c->node->pattern_source == NULL)
        return no_memory(c);
    return regex(c, v->u.string.data, v->u.string.len, &c->node->pattern);
}

static int compile_format(struct schema_compiler *c, const struct moon_json_value *v) {
    if (v->type != MOON_JSON_STRING)
        return bad(c, "must be a string");
    if (c->registry.resources[c->resource].formats)
        c->node->format = moon_format_find(v->u.string.data);
    c->node->about_strings = c->node->about_strings || c->node->format != NULL;
    return 0;
}

static int compile_patterns(struct schema_compiler *c, const struct moon_json_value *v) {
    if (v->type != MOON_JSON_OBJECT)
        return bad(c, "must be an object");
    struct schema_pattern *p = moon_arena_zalloc(&c->schema->arena, v->u.object.len, sizeof *p);
    if (p == NULL)
        return no_memory(c);
    for (size_t i = 0; i < v->u.object.len; i++) {
        const struct moon_json_member *m = &v->u.object.members[i];
        p[i].source = moon_arena_copy(&c->schema->arena, m->key, m->key_len);
        if (p[i].source == NULL)
            return no_memory(c);
        int rc = regex(c, m->key, m->key_len, &p[i].regex);
        if (rc == 0)
            rc = compile_child(c, &m->value, &p[i].node);
        if (rc != 0)
            return rc;
    }
    c->node->patterns = p;
    c->node->pattern_count = v->u.object.len;
    c->node->about_objects = true;
    return 0;
}

/* ---- references ---- */

static int reference(struct schema_compiler *c, const struct moon_json_value *v, struct schema_node **out,
                     const struct schema_anchor **anchor) {
    struct moon_err why;
    size_t place;
    if (v->type != MOON_JSON_STRING)
        return bad(c, "must be a string");
    c->node->in_place = true;
    c->registry.err = &why;
    int rc = schema_registry_resolve(&c->registry, c->resource, v->u.string.data, v->u.string.len, &place, anchor);
    c->registry.err = c->err;
    if (rc == MOON_ENOMEM)
        return no_memory(c);
    if (rc != 0)
        return bad(c, "%.240s", why.message);
    *out = node_at(c, place);
    return *out != NULL ? 0 : no_memory(c);
}

static int compile_ref(struct schema_compiler *c, const struct moon_json_value *v) {
    const struct schema_anchor *anchor;
    return reference(c, v, &c->node->ref, &anchor);
}

static int compile_dynamic_ref(struct schema_compiler *c, const struct moon_json_value *v) {
    const struct schema_anchor *anchor = NULL;
    int rc = reference(c, v, &c->node->dynamic_ref, &anchor);
    if (rc != 0 || anchor == NULL || !anchor->dynamic)
        return rc;
    size_t i = 0;
    while (i < c->name_count &&
           (c->names[i].len != anchor->len || memcmp(c->names[i].name, anchor->name, anchor->len) != 0))
        i++;
    if (i == c->name_count) {
        if (schema_grow(&c->names, c->name_count, &c->name_cap, sizeof *c->names) != 0)
            return no_memory(c);
        c->names[c->name_count++] = *anchor;
    }
    c->node->dynamic_name = i + 1;
    return 0;
}

/* ---- type ---- */

static int add_type(struct schema_compiler *c, const struct moon_json_value *v) {
    static const struct {
        const char *name;
        unsigned bit;
    } types[] = {{"null", TYPE_NULL},     {"boolean", TYPE_BOOLEAN}, {"integer", TYPE_INTEGER}, {"number", TYPE_NUMBER},
                 {"string", TYPE_STRING}, {"array", TYPE_ARRAY},     {"object", TYPE_OBJECT}};
    if (v->type != MOON_JSON_STRING)
        return bad(c, "must be the name of a type, or a list of them");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, v->u.string.data) == 0) {
            c->node->types |= types[i].bit;
            return 0;
        }
    }
    return bad(c, "\"%.40s\" is not one of null, boolean, integer, number, string, array, object", v->u.string.data);
}

static int compile_type(struct schema_compiler *c, const struct moon_json_value *v) {
    if (v->type != MOON_JSON_ARRAY)
        return add_type(c, v);
    if (v->u.array.len == 0)
        return bad(c, "must name at least one type");
    for (size_t i = 0; i < v->u.array.len; i++) {
        int rc = add_type(c, &v->u.array.items[i]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- enum, const ---- */

static int constant(struct schema_compiler *c, const struct moon_json_value *v, struct schema_constant *out) {
    struct moon_buf text = MOON_BUF_INIT;
    int rc = 0;
    out->type = v->type;
    if (v->type == MOON_JSON_INT) {
        out->number = schema_number_of(v->u.integer);
    } else if (v->type == MOON_JSON_NUMBER) {
        out->number = schema_number_of_double(v->u.number);
    } else if (v->type == MOON_JSON_STRING) {
        out->len = v->u.string.len;
        out->text = moon_arena_copy(&c->schema->arena, v->u.string.data, out->len);
        rc = out->text != NULL ? 0 : MOON_ENOMEM;
    } else if (v->type == MOON_JSON_ARRAY || v->type == MOON_JSON_OBJECT) {
        rc = json_tree_write_wide(&text, v);
        out->len = text.len;
        out->text = rc == 0 ? moon_arena_copy(&c->schema->arena, text.data, text.len) : NULL;
        moon_buf_release(&text);
        rc = out->text != NULL ? 0 : MOON_ENOMEM;
    }
    return rc == 0 ? 0 : no_memory(c);
}

static int constants(struct schema_compiler *c, const struct moon_json_value *v, size_t n, bool is_const) {
    struct schema_constant *list = moon_arena_zalloc(&c->schema->arena, n, sizeof *list);
    if (list == NULL)
        return no_memory(c);
    for (size_t i = 0; i < n; i++) {
        int rc = constant(c, &v[i], &list[i]);
        if (rc != 0)
            return rc;
    }
    if (is_const) {
        c->node->constant = list;
    } else {
        c->node->choices = list;
        c->node->choice_count = n;
    }
    return 0;
}

static int compile_enum(struct schema_compiler *c, const struct moon_json_value *v) {
    if (v->type != MOON_JSON_ARRAY)
        return bad(c, "must be a list of values");
    return constants(c, v->u.array.items, v->u.array.len, false);
}

static int compile_const(struct schema_compiler *c, const struct moon_json_value *v) {
    return constants(c, v, 1, true);
}

/* ---- properties, required, dependentRequired, dependentSchemas ---- */

static int object_keyword(struct schema_compiler *c, const char *keyword, const struct moon_json_value **out) {
    *out = moon_json_get(c->value, keyword);
    c->keyword = keyword;
    return *out == NULL || (*out)->type == MOON_JSON_OBJECT ? 0 : bad(c, "must be an object");
}

static int string_list(struct schema_compiler *c, const struct moon_json_value *v) {
    bool ok = v->type == MOON_JSON_ARRAY;
    for (size_t i = 0; ok && i < v->u.array.len; i++)
        ok = v->u.array.items[i].type == MOON_JSON_STRING;
    return ok ? 0 : bad(c, "must be a list of property names");
}

static struct schema_name *add_name(struct schema_compiler *c, const char *key, size_t len) {
    struct schema_names *names = &c->node->names;
    size_t known = schema_names_find(names, key, len);
    if (known < names->count)
        return &names->list[known];
    key = moon_arena_copy(&c->schema->arena, key, len);
    return key != NULL ? schema_names_add(names, key, len) : NULL;
}

static int add_properties(struct schema_compiler *c, const struct moon_json_value *v, bool dependent) {
    for (size_t i = 0; v != NULL && i < v->u.object.len; i++) {
        const struct moon_json_member *m = &v->u.object.members[i];
        struct schema_name *name = add_name(c, m->key, m->key_len);
        if (name == NULL)
            return no_memory(c);
        int rc = compile_child(c, &m->value, dependent ? &name->dependent : &name->property);
        if (rc != 0)
            return rc;
        c->node->names.any_dependent |= dependent;
    }
    return 0;
}

static int add_required(struct schema_compiler *c, const struct moon_json_value *v) {
    struct schema_names *names = &c->node->names;
    if (v == NULL || v->u.array.len == 0)
        return 0;
    if ((names->required = moon_arena_zalloc(&c->schema->arena, v->u.array.len, sizeof *names->required)) == NULL)
        return no_memory(c);
    for (size_t i = 0; i < v->u.array.len; i++) {
        const struct moon_json_value *s = &v->u.array.items[i];
        struct schema_name *name = add_name(c, s->u.string.data, s->u.string.len);
        if (name == NULL)
            return no_memory(c);
        if (!name->required) /* a name that comes twice */
            names->required[names->required_count++] = (size_t)(name - names->list);
        name->required = true;
    }
    return 0;
}

static int add_needs(struct schema_compiler *c, const struct moon_json_value *v) {
    for (size_t i = 0; v != NULL && i < v->u.object.len; i++) {
        const struct moon_json_member *m = &v->u.object.members[i];
        size_t n = m->value.u.array.len, *needs = moon_arena_zalloc(&c->schema->arena, n, sizeof *needs);
        struct schema_name *name = add_name(c, m->key, m->key_len);
        if (needs == NULL || name == NULL)
            return no_memory(c);
        for (size_t k = 0; k < n; k++) {
            const struct moon_json_value *s = &m->value.u.array.items[k];
            struct schema_name *needed = add_name(c, s->u.string.data, s->u.string.len);
            if (needed == NULL)
                return no_memory(c);
            needs[k] = (size_t)(needed - c->node->names.list);
        }
        name->needs = needs;
        name->need_count = n;
        c->node->names.any_dependent = true;
    }
    return 0;
}

static int compile_names(struct schema_compiler *c) {
    const struct moon_json_value *properties, *dependent, *needs, *required = moon_json_get(c->value, "required");
    size_t max = 0;
    int rc;
    bool validation = c->registry.resources[c->resource].validation;
    if ((rc = object_keyword(c, "dependentRequired", &needs)) != 0)
        return rc;
    for (size_t i = 0; needs != NULL && i < needs->u.object.len; i++) {
        if ((rc = string_list(c, &needs->u.object.members[i].value)) != 0)
            return rc;
        max += 1 + needs->u.object.members[i].value.u.array.len;
    }
    c->keyword = "required";
    if (required != NULL && (rc = string_list(c, required)) != 0)
        return rc;
    if ((rc = object_keyword(c, "dependentSchemas", &dependent)) != 0 ||
        (rc = object_keyword(c, "properties", &properties)) != 0)
        return rc;
    max += (properties != NULL ? properties->u.object.len : 0) + (dependent != NULL ? dependent->u.object.len : 0) +
           (required != NULL ? required->u.array.len : 0);
    if (max == 0)
        return 0;
    c->node->about_objects = true;
    if (schema_names_reserve(&c->node->names, &c->schema->arena, max) != 0)
        return no_memory(c);
    if ((rc = add_properties(c, properties, false)) != 0)
        return rc;
    c->keyword = "dependentSchemas";
    if ((rc = add_properties(c, dependent, true)) != 0 || !validation)
        return rc;
    if ((rc = add_required(c, required)) != 0)
        return rc;
    return add_needs(c, needs);
}

/* ---- the table ---- */

static const struct keyword {
    const char *name;
    bool validation; /* of the vocabulary that a meta-schema may leave out */
    keyword_fn *compile;
} keywords[] = {
    {"$dynamicRef", false, compile_dynamic_ref},
    {"$ref", false, compile_ref},
    {"additionalProperties", false, compile_additional},
    {"allOf", false, compile_all_of},
    {"anyOf", false, compile_any_of},
    {"const", true, compile_const},
    {"contains", false, compile_contains},
    {"else", false, compile_else_},
    {"enum", true, compile_enum},
    {"exclusiveMaximum", true, compile_less_than},
    {"exclusiveMinimum", true, compile_more_than},
    {"format", false, compile_format},
    {"if", false, compile_if_},
    {"items", false, compile_items},
    {"maxContains", true, compile_max_contains},
    {"maxItems", true, compile_max_items},
    {"maxLength", true, compile_max_length},
    {"maxProperties", true, compile_max_properties},
    {"maximum", true, compile_maximum},
    {"minContains", true, compile_min_contains},
    {"minItems", true, compile_min_items},
    {"minLength", true, compile_min_length},
    {"minProperties", true, compile_min_properties},
    {"minimum", true, compile_minimum},
    {"multipleOf", true, compile_multiple},
    {"not", false, compile_not_},
    {"oneOf", false, compile_one_of},
    {"pattern", true, compile_pattern},
    {"patternProperties", false, compile_patterns},
    {"prefixItems", false, compile_prefix_items},
    {"propertyNames", false, compile_property_names},
    {"then", false, compile_then},
    {"type", true, compile_type},
    {"unevaluatedItems", false, compile_unevaluated_items},
    {"unevaluatedProperties", false, compile_unevaluated_properties},
    {"uniqueItems", true, compile_unique_items},
};

static int compare(const void *name, const void *k) {
    return strcmp(name, ((const struct keyword *)k)->name);
}

static const struct keyword *find(const char *name) {
    return bsearch(name, keywords, sizeof keywords / sizeof keywords[0], sizeof keywords[0], compare);
}

static int compile_keywords(struct schema_compiler *c) {
    bool validation = c->registry.resources[c->resource].validation;
    for (size_t i = 0; i < c->value->u.object.len; i++) {
        const struct moon_json_member *m = &c->value->u.object.members[i];
        const struct keyword *k = find(m->key);
        if (k == NULL || (k->validation && !validation))
            continue;
        c->keyword = k->name;
        int rc = k->compile(c, &m->value);
        if (rc != 0)
            return rc;
    }
    return compile_names(c);
}

/* ---- the graph ---- */

static int compile_one(struct schema_compiler *c, size_t place) {
    struct schema_place p = c->registry.places[place];
    c->node = p.node;
    c->value = p.value;
    c->resource = p.resource;
    c->keyword = "";
    if (p.value->type == MOON_JSON_TRUE || p.value->type == MOON_JSON_FALSE) {
        p.node->never = p.value->type == MOON_JSON_FALSE;
        return 0;
    }
    return compile_keywords(c);
}

static int compile_all(struct schema_compiler *c) {
    int rc = 0;
    while (rc == 0 && c->work_count > 0)
        rc = compile_one(c, c->work[--c->work_count]);
    return rc;
}

/* For every name that a $dynamicRef uses, the nodes of all $dynamicAnchors of that name. Compiling those can bring new
 * names and resources, so this is done until nothing is new. */
static int compile_dynamic(struct schema_compiler *c) {
    struct schema_registry *r = &c->registry;
    for (size_t known = SIZE_MAX, count = 0; known != count; known = count) {
        for (size_t n = 0; n < c->name_count; n++) {
            for (size_t i = 0; i < r->anchor_count; i++) {
                const struct schema_anchor *a = &r->anchors[i];
                if (!a->dynamic || a->len != c->names[n].len || memcmp(a->name, c->names[n].name, a->len) != 0)
                    continue;
                if (node_at(c, schema_registry_place(r, a->value)) == NULL)
                    return no_memory(c);
            }
        }
        int rc = compile_all(c);
        if (rc != 0)
            return rc;
        count = c->name_count + r->anchor_count;
    }
    struct moon_schema *s = c->schema;
    s->resource_count = r->resource_count;
    s->dynamic = moon_arena_zalloc(&s->arena, c->name_count * r->resource_count, sizeof *s->dynamic);
    if (s->dynamic == NULL)
        return no_memory(c);
    for (size_t n = 0; n < c->name_count; n++) {
        for (size_t i = 0; i < r->resource_count; i++) {
            const struct schema_anchor *a = schema_registry_anchor(r, i, c->names[n].name, c->names[n].len);
            if (a != NULL && a->dynamic)
                s->dynamic[n * r->resource_count + i] = r->places[schema_registry_place(r, a->value)].node;
        }
    }
    return 0;
}

static int compile(struct schema_compiler *c, const struct moon_json_value *document) {
    const char *base = c->registry.opts->base_uri != NULL ? c->registry.opts->base_uri : "";
    if (document->type != MOON_JSON_OBJECT && document->type != MOON_JSON_TRUE && document->type != MOON_JSON_FALSE)
        return moon_err_set(c->err, MOON_EINVAL, "a schema must be an object or a boolean");
    int rc = schema_registry_add(&c->registry, base, document, "");
    if (rc != 0)
        return rc;
    c->schema->root = node_at(c, 0);
    if (c->schema->root == NULL)
        return no_memory(c);
    rc = compile_all(c);
    return rc != 0 ? rc : compile_dynamic(c);
}

int moon_schema_compile(struct moon_schema **out, const struct moon_json_value *document,
                        const struct moon_schema_opts *opts, struct moon_err *err) {
    static const struct moon_schema_opts none = {.formats = false};
    struct schema_compiler c = {.err = err};
    c.schema = calloc(1, sizeof *c.schema);
    if (c.schema == NULL)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    c.registry.opts = opts != NULL ? opts : &none;
    c.registry.err = err;
    c.registry.keep = &c.schema->arena;
    int rc = compile(&c, document);
    schema_registry_release(&c.registry);
    free(c.work);
    free(c.names);
    if (rc != 0) {
        moon_schema_free(c.schema);
        return rc;
    }
    *out = c.schema;
    return 0;
}

void moon_schema_free(struct moon_schema *schema) {
    if (schema == NULL)
        return;
    for (size_t i = 0; i < schema->regex_count; i++)
        moon_regex_free(schema->regexes[i]);
    free(schema->regexes);
    moon_arena_free(&schema->arena);
    free(schema);
}
