/* schema_keywords.c - what each keyword means: one small function a keyword, one line a keyword in the table at the
 * end. Keywords that are not there are annotations, as the specification wants it. */
#include "schema_compile.h"

#include "../arena.h"
#include "schema_uri.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef int keyword_fn(struct schema_compiler *c, const struct moon_json_value *v);

/* ---- subschemas ---- */

int schema_child(struct schema_compiler *c, const struct moon_json_value *v, struct schema_node **out) {
    if (v->type != MOON_JSON_OBJECT && v->type != MOON_JSON_TRUE && v->type != MOON_JSON_FALSE)
        return schema_bad(c, "must be a schema: an object or a boolean");
    *out = schema_node_at(c, schema_registry_place(&c->registry, v));
    return *out != NULL ? 0 : schema_no_memory(c);
}

static int child_list(struct schema_compiler *c, const struct moon_json_value *v, struct schema_list *out) {
    if (v->type != MOON_JSON_ARRAY || v->u.array.len == 0)
        return schema_bad(c, "must be a list of at least one schema");
    out->items = moon_arena_zalloc(&c->schema->arena, v->u.array.len, sizeof *out->items);
    if (out->items == NULL)
        return schema_no_memory(c);
    for (size_t i = 0; i < v->u.array.len; i++) {
        int rc = schema_child(c, &v->u.array.items[i], &out->items[i]);
        if (rc != 0)
            return rc;
    }
    out->count = v->u.array.len;
    return 0;
}

#define CHILD(field, kind)                                                                                             \
    static int compile_##field(struct schema_compiler *c, const struct moon_json_value *v) {                           \
        c->node->kind = true;                                                                                          \
        return schema_child(c, v, &c->node->field);                                                                    \
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
        return schema_bad(c, "must be a number");
    *out = v->type == MOON_JSON_INT ? schema_number_of(v->u.integer) : schema_number_of_double(v->u.number);
    return 0;
}

static int size(struct schema_compiler *c, const struct moon_json_value *v, size_t *out) {
    struct schema_number n = {.is_int = false};
    int rc = number(c, v, &n);
    if (rc != 0)
        return rc;
    if (n.d < 0 || !schema_number_integral(n))
        return schema_bad(c, "must be an integer, 0 or more");
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
    return rc == 0 && n->multiple.d <= 0 ? schema_bad(c, "must be greater than 0") : rc;
}

static int compile_unique_items(struct schema_compiler *c, const struct moon_json_value *v) {
    c->node->about_arrays = true;
    c->node->unique_items = v->type == MOON_JSON_TRUE;
    return v->type == MOON_JSON_TRUE || v->type == MOON_JSON_FALSE ? 0 : schema_bad(c, "must be a boolean");
}

/* ---- strings ---- */

static int regex(struct schema_compiler *c, const char *source, size_t len, struct moon_regex **out) {
    struct moon_schema *s = c->schema;
    struct moon_err why;
    if (schema_grow(&s->regexes, s->regex_count, &s->regex_cap, sizeof *s->regexes) != 0)
        return schema_no_memory(c);
    int rc = moon_regex_new(out, source, len, &why);
    if (rc == MOON_ENOMEM)
        return schema_no_memory(c);
    if (rc != 0)
        return schema_bad(c, "\"%.80s\" is no regular expression: %.120s", source, why.message);
    s->regexes[s->regex_count++] = *out;
    return 0;
}

static int compile_pattern(struct schema_compiler *c, const struct moon_json_value *v) {
    if (v->type != MOON_JSON_STRING)
        return schema_bad(c, "must be a string");
    c->node->about_strings = true;
    c->node->pattern_source = moon_arena_copy(&c->schema->arena, v->u.string.data, v->u.string.len);
    if (c->node->pattern_source == NULL)
        return schema_no_memory(c);
    return regex(c, v->u.string.data, v->u.string.len, &c->node->pattern);
}

static int compile_format(struct schema_compiler *c, const struct moon_json_value *v) {
    if (v->type != MOON_JSON_STRING)
        return schema_bad(c, "must be a string");
    if (c->registry.resources[c->resource].formats)
        c->node->format = moon_format_find(v->u.string.data);
    c->node->about_strings = c->node->about_strings || c->node->format != NULL;
    return 0;
}

static int compile_patterns(struct schema_compiler *c, const struct moon_json_value *v) {
    if (v->type != MOON_JSON_OBJECT)
        return schema_bad(c, "must be an object");
    struct schema_pattern *p = moon_arena_zalloc(&c->schema->arena, v->u.object.len, sizeof *p);
    if (p == NULL)
        return schema_no_memory(c);
    for (size_t i = 0; i < v->u.object.len; i++) {
        const struct moon_json_member *m = &v->u.object.members[i];
        p[i].source = moon_arena_copy(&c->schema->arena, m->key, m->key_len);
        if (p[i].source == NULL)
            return schema_no_memory(c);
        int rc = regex(c, m->key, m->key_len, &p[i].regex);
        if (rc == 0)
            rc = schema_child(c, &m->value, &p[i].node);
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
        return schema_bad(c, "must be a string");
    c->node->in_place = true;
    c->registry.err = &why;
    int rc = schema_registry_resolve(&c->registry, c->resource, v->u.string.data, v->u.string.len, &place, anchor);
    c->registry.err = c->err;
    if (rc == MOON_ENOMEM)
        return schema_no_memory(c);
    if (rc != 0)
        return schema_bad(c, "%.240s", why.message);
    *out = schema_node_at(c, place);
    return *out != NULL ? 0 : schema_no_memory(c);
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
            return schema_no_memory(c);
        c->names[c->name_count++] = *anchor;
    }
    c->node->dynamic_name = i + 1;
    return 0;
}

/* ---- the table ---- */

static const struct keyword {
    const char *name;
    enum schema_holds holds;
    bool validation;     /* of the vocabulary that a meta-schema may leave out */
    keyword_fn *compile; /* NULL: compiled with others, or an annotation that holds schemas */
} keywords[] = {
    {"$defs", HOLDS_MAP, false, NULL},
    {"$dynamicRef", HOLDS_NOTHING, false, compile_dynamic_ref},
    {"$ref", HOLDS_NOTHING, false, compile_ref},
    {"additionalProperties", HOLDS_SCHEMA, false, compile_additional},
    {"allOf", HOLDS_LIST, false, compile_all_of},
    {"anyOf", HOLDS_LIST, false, compile_any_of},
    {"const", HOLDS_NOTHING, true, schema_const_keyword},
    {"contains", HOLDS_SCHEMA, false, compile_contains},
    {"contentSchema", HOLDS_SCHEMA, false, NULL},
    {"definitions", HOLDS_MAP, false, NULL},
    {"dependentRequired", HOLDS_NOTHING, true, NULL},
    {"dependentSchemas", HOLDS_MAP, false, NULL},
    {"else", HOLDS_SCHEMA, false, compile_else_},
    {"enum", HOLDS_NOTHING, true, schema_enum_keyword},
    {"exclusiveMaximum", HOLDS_NOTHING, true, compile_less_than},
    {"exclusiveMinimum", HOLDS_NOTHING, true, compile_more_than},
    {"format", HOLDS_NOTHING, false, compile_format},
    {"if", HOLDS_SCHEMA, false, compile_if_},
    {"items", HOLDS_SCHEMA, false, compile_items},
    {"maxContains", HOLDS_NOTHING, true, compile_max_contains},
    {"maxItems", HOLDS_NOTHING, true, compile_max_items},
    {"maxLength", HOLDS_NOTHING, true, compile_max_length},
    {"maxProperties", HOLDS_NOTHING, true, compile_max_properties},
    {"maximum", HOLDS_NOTHING, true, compile_maximum},
    {"minContains", HOLDS_NOTHING, true, compile_min_contains},
    {"minItems", HOLDS_NOTHING, true, compile_min_items},
    {"minLength", HOLDS_NOTHING, true, compile_min_length},
    {"minProperties", HOLDS_NOTHING, true, compile_min_properties},
    {"minimum", HOLDS_NOTHING, true, compile_minimum},
    {"multipleOf", HOLDS_NOTHING, true, compile_multiple},
    {"not", HOLDS_SCHEMA, false, compile_not_},
    {"oneOf", HOLDS_LIST, false, compile_one_of},
    {"pattern", HOLDS_NOTHING, true, compile_pattern},
    {"patternProperties", HOLDS_MAP, false, compile_patterns},
    {"prefixItems", HOLDS_LIST, false, compile_prefix_items},
    {"properties", HOLDS_MAP, false, NULL},
    {"propertyNames", HOLDS_SCHEMA, false, compile_property_names},
    {"required", HOLDS_NOTHING, true, NULL},
    {"then", HOLDS_SCHEMA, false, compile_then},
    {"type", HOLDS_NOTHING, true, schema_type_keyword},
    {"unevaluatedItems", HOLDS_SCHEMA, false, compile_unevaluated_items},
    {"unevaluatedProperties", HOLDS_SCHEMA, false, compile_unevaluated_properties},
    {"uniqueItems", HOLDS_NOTHING, true, compile_unique_items},
};

static int compare(const void *name, const void *k) {
    return strcmp(name, ((const struct keyword *)k)->name);
}

static const struct keyword *find(const char *name) {
    return bsearch(name, keywords, sizeof keywords / sizeof keywords[0], sizeof keywords[0], compare);
}

enum schema_holds schema_keyword_holds(const char *keyword) {
    const struct keyword *k = find(keyword);
    return k != NULL ? k->holds : HOLDS_NOTHING;
}

int schema_keywords(struct schema_compiler *c) {
    bool validation = c->registry.resources[c->resource].validation;
    for (size_t i = 0; i < c->value->u.object.len; i++) {
        const struct moon_json_member *m = &c->value->u.object.members[i];
        const struct keyword *k = find(m->key);
        if (k == NULL || k->compile == NULL || (k->validation && !validation))
            continue;
        c->keyword = k->name;
        int rc = k->compile(c, &m->value);
        if (rc != 0)
            return rc;
    }
    return schema_property_keywords(c);
}
