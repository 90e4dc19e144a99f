/* schema_compile.c - from a JSON document to a graph of nodes. A work list instead of recursion: schemas refer to each
 * other in circles. */
#include "schema_compile.h"

#include "../arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int schema_no_memory(struct schema_compiler *c) {
    return moon_err_set(c->err, MOON_ENOMEM, "out of memory");
}

int schema_bad(struct schema_compiler *c, const char *fmt, ...) {
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return moon_err_set(c->err, MOON_EINVAL, "%s/%s: %s", c->node->where, c->keyword, what);
}

struct schema_node *schema_node_at(struct schema_compiler *c, size_t place) {
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
    return schema_keywords(c);
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
                if (schema_node_at(c, schema_registry_place(r, a->value)) == NULL)
                    return schema_no_memory(c);
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
        return schema_no_memory(c);
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
    c->schema->root = schema_node_at(c, 0);
    if (c->schema->root == NULL)
        return schema_no_memory(c);
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
