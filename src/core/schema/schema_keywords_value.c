/* schema_keywords_value.c - the keywords that list values or names: type, enum, const; properties and what else speaks
 * of them. */
#include "schema_compile.h"

#include "../arena.h"
#include "../json/json_tree.h"

#include <string.h>

/* ---- type ---- */

static int add_type(struct schema_compiler *c, const struct moon_json_value *v) {
    static const struct {
        const char *name;
        unsigned bit;
    } types[] = {{"null", TYPE_NULL},     {"boolean", TYPE_BOOLEAN}, {"integer", TYPE_INTEGER}, {"number", TYPE_NUMBER},
                 {"string", TYPE_STRING}, {"array", TYPE_ARRAY},     {"object", TYPE_OBJECT}};
    if (v->type != MOON_JSON_STRING)
        return schema_bad(c, "must be the name of a type, or a list of them");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, v->u.string.data) == 0) {
            c->node->types |= types[i].bit;
            return 0;
        }
    }
    return schema_bad(c, "\"%.40s\" is none of null, boolean, integer, number, string, array, object",
                      v->u.string.data);
}

int schema_type_keyword(struct schema_compiler *c, const struct moon_json_value *v) {
    if (v->type != MOON_JSON_ARRAY)
        return add_type(c, v);
    if (v->u.array.len == 0)
        return schema_bad(c, "must name at least one type");
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
    return rc == 0 ? 0 : schema_no_memory(c);
}

static int constants(struct schema_compiler *c, const struct moon_json_value *v, size_t n, bool is_const) {
    struct schema_constant *list = moon_arena_zalloc(&c->schema->arena, n, sizeof *list);
    if (list == NULL)
        return schema_no_memory(c);
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

int schema_enum_keyword(struct schema_compiler *c, const struct moon_json_value *v) {
    if (v->type != MOON_JSON_ARRAY)
        return schema_bad(c, "must be a list of values");
    return constants(c, v->u.array.items, v->u.array.len, false);
}

int schema_const_keyword(struct schema_compiler *c, const struct moon_json_value *v) {
    return constants(c, v, 1, true);
}

/* ---- properties, required, dependentRequired, dependentSchemas ---- */

static int object_keyword(struct schema_compiler *c, const char *keyword, const struct moon_json_value **out) {
    *out = moon_json_get(c->value, keyword);
    c->keyword = keyword;
    return *out == NULL || (*out)->type == MOON_JSON_OBJECT ? 0 : schema_bad(c, "must be an object");
}

static int string_list(struct schema_compiler *c, const struct moon_json_value *v) {
    bool ok = v->type == MOON_JSON_ARRAY;
    for (size_t i = 0; ok && i < v->u.array.len; i++)
        ok = v->u.array.items[i].type == MOON_JSON_STRING;
    return ok ? 0 : schema_bad(c, "must be a list of property names");
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
            return schema_no_memory(c);
        int rc = schema_child(c, &m->value, dependent ? &name->dependent : &name->property);
        if (rc != 0)
            return rc;
        c->node->names.any_dependent |= dependent;
    }
    return 0;
}

static int add_required(struct schema_compiler *c, const struct moon_json_value *v) {
    for (size_t i = 0; v != NULL && i < v->u.array.len; i++) {
        const struct moon_json_value *s = &v->u.array.items[i];
        struct schema_name *name = add_name(c, s->u.string.data, s->u.string.len);
        if (name == NULL)
            return schema_no_memory(c);
        name->required = c->node->names.any_required = true;
    }
    return 0;
}

static int add_needs(struct schema_compiler *c, const struct moon_json_value *v) {
    for (size_t i = 0; v != NULL && i < v->u.object.len; i++) {
        const struct moon_json_member *m = &v->u.object.members[i];
        size_t n = m->value.u.array.len, *needs = moon_arena_zalloc(&c->schema->arena, n, sizeof *needs);
        struct schema_name *name = add_name(c, m->key, m->key_len);
        if (needs == NULL || name == NULL)
            return schema_no_memory(c);
        for (size_t k = 0; k < n; k++) {
            const struct moon_json_value *s = &m->value.u.array.items[k];
            struct schema_name *needed = add_name(c, s->u.string.data, s->u.string.len);
            if (needed == NULL)
                return schema_no_memory(c);
            needs[k] = (size_t)(needed - c->node->names.list);
        }
        name->needs = needs;
        name->need_count = n;
        c->node->names.any_dependent = true;
    }
    return 0;
}

int schema_property_keywords(struct schema_compiler *c) {
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
        return schema_no_memory(c);
    if ((rc = add_properties(c, properties, false)) != 0)
        return rc;
    c->keyword = "dependentSchemas";
    if ((rc = add_properties(c, dependent, true)) != 0 || !validation)
        return rc;
    if ((rc = add_required(c, required)) != 0)
        return rc;
    return add_needs(c, needs);
}
