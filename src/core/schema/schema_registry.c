/* schema_registry.c - documents, resources, anchors, places; what $ref leads to. */
#include "schema_registry.h"

#include "../arena.h"
#include "moongate/text.h"
#include "schema_uri.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct schema_registry *r) {
    return moon_err_set(r->err, MOON_ENOMEM, "out of memory");
}

int schema_grow(void *array, size_t count, size_t *cap, size_t size) {
    void *old, *fresh;
    if (count < *cap)
        return 0;
    size_t n = *cap != 0 ? *cap * 2 : 16;
    memcpy(&old, array, sizeof old);
    fresh = n > SIZE_MAX / 2 / size ? NULL : realloc(old, n * size);
    if (fresh == NULL)
        return MOON_ENOMEM;
    memcpy(array, &fresh, sizeof fresh);
    *cap = n;
    return 0;
}

void schema_registry_release(struct schema_registry *r) {
    for (size_t i = 0; i < r->doc_count; i++)
        moon_json_doc_release(&r->docs[i]);
    free(r->docs);
    free(r->resources);
    free(r->anchors);
    free(r->places);
    free(r->slots);
    moon_arena_free(&r->arena);
}

/* ---- places ---- */

static size_t slot_of(const struct schema_registry *r, const struct moon_json_value *value) {
    size_t at = (size_t)(((uint64_t)(uintptr_t)value >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (r->slot_count - 1);
    while (r->slots[at] != 0 && r->places[r->slots[at] - 1].value != value)
        at = (at + 1) & (r->slot_count - 1);
    return at;
}

size_t schema_registry_place(const struct schema_registry *r, const struct moon_json_value *value) {
    if (r->slot_count == 0)
        return SIZE_MAX;
    uint32_t i = r->slots[slot_of(r, value)];
    return i == 0 ? SIZE_MAX : i - 1;
}

static int grow_slots(struct schema_registry *r) {
    size_t n = r->slot_count != 0 ? r->slot_count * 2 : 64;
    uint32_t *fresh = r->place_count > UINT32_MAX / 4 ? NULL : calloc(n, sizeof *fresh);
    if (fresh == NULL)
        return no_memory(r);
    free(r->slots);
    r->slots = fresh;
    r->slot_count = n;
    for (size_t i = 0; i < r->place_count; i++)
        r->slots[slot_of(r, r->places[i].value)] = (uint32_t)i + 1;
    return 0;
}

static int add_place(struct schema_registry *r, const struct moon_json_value *value, size_t resource,
                     const char *where) {
    int rc;
    if (r->place_count * 2 >= r->slot_count && (rc = grow_slots(r)) != 0)
        return rc;
    if (schema_grow(&r->places, r->place_count, &r->place_cap, sizeof *r->places) != 0)
        return no_memory(r);
    r->places[r->place_count] = (struct schema_place){value, resource, where, NULL};
    r->slots[slot_of(r, value)] = (uint32_t)++r->place_count;
    return 0;
}

/* ---- keywords that hold schemas ---- */

enum holds { HOLDS_NOTHING, HOLDS_SCHEMA, HOLDS_LIST, HOLDS_MAP };

static enum holds what_holds(const char *keyword) {
    static const struct {
        const char *name;
        enum holds holds;
    } keywords[] = {
        {"$defs", HOLDS_MAP},
        {"additionalProperties", HOLDS_SCHEMA},
        {"allOf", HOLDS_LIST},
        {"anyOf", HOLDS_LIST},
        {"contains", HOLDS_SCHEMA},
        {"contentSchema", HOLDS_SCHEMA},
        {"definitions", HOLDS_MAP},
        {"dependentSchemas", HOLDS_MAP},
        {"else", HOLDS_SCHEMA},
        {"if", HOLDS_SCHEMA},
        {"items", HOLDS_SCHEMA},
        {"not", HOLDS_SCHEMA},
        {"oneOf", HOLDS_LIST},
        {"patternProperties", HOLDS_MAP},
        {"prefixItems", HOLDS_LIST},
        {"properties", HOLDS_MAP},
        {"propertyNames", HOLDS_SCHEMA},
        {"then", HOLDS_SCHEMA},
        {"unevaluatedItems", HOLDS_SCHEMA},
        {"unevaluatedProperties", HOLDS_SCHEMA},
    };
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (strcmp(keyword, keywords[i].name) == 0)
            return keywords[i].holds;
    return HOLDS_NOTHING;
}

/* ---- vocabularies: $schema names a meta-schema, whose $vocabulary lists them ---- */

#define VOCAB "https://json-schema.org/draft/2020-12/vocab/"

static bool same_uri(const char *a, const char *b, size_t n) { /* an empty fragment does not count */
    return strncmp(a, b, n) == 0 && (a[n] == '\0' || strcmp(a + n, "#") == 0);
}

static int read_vocabulary(struct schema_registry *r, struct schema_resource *res,
                           const struct moon_json_value *vocabulary, const char *meta) {
    static const char *const known[] = {"core",      "applicator",        "unevaluated",      "validation",
                                        "meta-data", "format-annotation", "format-assertion", "content",
                                        NULL};
    res->validation = false;
    for (size_t i = 0; i < vocabulary->u.object.len; i++) {
        const struct moon_json_member *m = &vocabulary->u.object.members[i];
        const char *name = NULL;
        for (int k = 0; known[k] != NULL && name == NULL; k++) {
            if (strncmp(m->key, VOCAB, strlen(VOCAB)) == 0 && strcmp(m->key + strlen(VOCAB), known[k]) == 0)
                name = known[k];
        }
        if (name == NULL && m->value.type == MOON_JSON_TRUE)
            return moon_err_set(r->err, MOON_EINVAL, "%s/$schema: %s requires the vocabulary %s, which is not known",
                                res->where, meta, m->key);
        if (name != NULL && strcmp(name, "validation") == 0)
            res->validation = true;
        if (name != NULL && strcmp(name, "format-assertion") == 0)
            res->formats = true;
    }
    return 0;
}

static int read_schema_keyword(struct schema_registry *r, struct schema_resource *res) {
    int rc;
    const char *meta = moon_json_get_string(res->root, "$schema", NULL);
    if (meta == NULL)
        return 0;
    if (same_uri(meta, SCHEMA_META_URI, strlen(SCHEMA_META_URI))) {
        res->validation = true;
        return 0;
    }
    static const char *const drafts[] = {"http://json-schema.org/draft-0", "https://json-schema.org/draft/2019-09/"};
    for (size_t i = 0; i < 2; i++) {
        if (strncmp(meta, drafts[i], strlen(drafts[i])) == 0)
            return moon_err_set(r->err, MOON_EINVAL,
                                "%s/$schema: only JSON Schema 2020-12 (" SCHEMA_META_URI ") is understood", res->where);
    }
    const struct moon_json_value *document = schema_registry_document(r, meta, &rc);
    const struct moon_json_value *vocabulary = moon_json_get(document, "$vocabulary");
    if (vocabulary == NULL || vocabulary->type != MOON_JSON_OBJECT)
        return rc; /* not at hand, or silent: the standard vocabularies */
    return read_vocabulary(r, res, vocabulary, meta);
}

/* ---- scanning a document ---- */

static int scan(struct schema_registry *r, const struct moon_json_value *v, size_t resource, const char *where);

/* where + "/" + the token, escaped. In the schema's arena: nodes keep it. */
static const char *step(struct schema_registry *r, const char *where, const char *token, size_t len) {
    size_t n = strlen(where);
    char *path = moon_arena_alloc(r->keep, n + 2 * len + 2), *o = path;
    if (path == NULL)
        return NULL;
    memcpy(o, where, n);
    o += n;
    *o++ = '/';
    o += moon_json_pointer_token(token, len, o);
    *o = '\0';
    return path;
}

static int scan_step(struct schema_registry *r, const struct moon_json_value *v, size_t resource, const char *where,
                     const char *token, size_t len) {
    if (v->type != MOON_JSON_OBJECT && v->type != MOON_JSON_TRUE && v->type != MOON_JSON_FALSE)
        return 0; /* compiling says what is wrong, if anything asks for it */
    const char *path = step(r, where, token, len);
    return path == NULL ? no_memory(r) : scan(r, v, resource, path);
}

static int scan_keyword(struct schema_registry *r, const struct moon_json_member *m, size_t resource,
                        const char *where) {
    const struct moon_json_value *v = &m->value;
    enum holds holds = what_holds(m->key);
    int rc = 0;
    if (holds == HOLDS_SCHEMA)
        return scan_step(r, v, resource, where, m->key, m->key_len);
    if ((holds == HOLDS_LIST && v->type == MOON_JSON_ARRAY) || (holds == HOLDS_MAP && v->type == MOON_JSON_OBJECT)) {
        if ((where = step(r, where, m->key, m->key_len)) == NULL)
            return no_memory(r);
        for (size_t i = 0; holds == HOLDS_LIST && i < v->u.array.len && rc == 0; i++) {
            char index[24];
            int n = snprintf(index, sizeof index, "%zu", i);
            rc = scan_step(r, &v->u.array.items[i], resource, where, index, (size_t)n);
        }
        for (size_t i = 0; holds == HOLDS_MAP && i < v->u.object.len && rc == 0; i++) {
            const struct moon_json_member *c = &v->u.object.members[i];
            rc = scan_step(r, &c->value, resource, where, c->key, c->key_len);
        }
    }
    return rc;
}

static int add_anchor(struct schema_registry *r, const struct moon_json_value *v, size_t resource, const char *keyword,
                      const char *where) {
    struct schema_anchor a = {.resource = resource, .value = v, .dynamic = keyword[1] == 'd'};
    const struct moon_json_value *name = moon_json_get(v, keyword);
    if (name == NULL)
        return 0;
    if (name->type != MOON_JSON_STRING)
        return moon_err_set(r->err, MOON_EINVAL, "%s/%s: must be a string", where, keyword);
    a.name = name->u.string.data;
    a.len = name->u.string.len;
    const struct schema_anchor *twin = schema_registry_anchor(r, resource, a.name, a.len);
    if (twin != NULL && twin->value != v)
        return moon_err_set(r->err, MOON_EINVAL, "%s/%s: the anchor \"%s\" is there twice", where, keyword, a.name);
    if (schema_grow(&r->anchors, r->anchor_count, &r->anchor_cap, sizeof *r->anchors) != 0)
        return no_memory(r);
    r->anchors[r->anchor_count++] = a;
    return 0;
}

/* A resource with its root at v; its URI is that of $id against base. */
static int add_resource(struct schema_registry *r, const struct moon_json_value *v, const char *base, const char *where,
                        const struct schema_resource *parent) {
    struct schema_resource res = {.root = v, .where = where, .validation = true};
    size_t len = 0;
    const char *id = moon_json_get_string(v, "$id", &len);
    const char *hash = id != NULL ? memchr(id, '#', len) : NULL;
    if (parent != NULL) {
        res.validation = parent->validation;
        res.formats = parent->formats;
    } else {
        res.formats = r->opts->formats;
    }
    if (hash != NULL && hash + 1 != id + len)
        return moon_err_set(r->err, MOON_EINVAL, "%s/$id: must have no fragment ('#...'); use $anchor", where);
    res.uri = moon_uri_resolve(&r->arena, base, id != NULL ? id : "", len);
    if (res.uri == NULL)
        return no_memory(r);
    if (id != NULL && parent == NULL && strcmp(base, res.uri) != 0)
        res.alias = base;
    int rc = read_schema_keyword(r, &res);
    if (rc != 0)
        return rc;
    if (schema_grow(&r->resources, r->resource_count, &r->resource_cap, sizeof *r->resources) != 0)
        return no_memory(r);
    r->resources[r->resource_count++] = res;
    return 0;
}

/* v is at `where`, in `resource`; SIZE_MAX: it is the root of the newest one. Recursion is bounded by the depth of
 * documents. */
static int scan(struct schema_registry *r, const struct moon_json_value *v, size_t resource, const char *where) {
    int rc;
    if (resource == SIZE_MAX) {
        resource = r->resource_count - 1;
    } else if (moon_json_get_string(v, "$id", NULL) != NULL) {
        struct schema_resource parent = r->resources[resource];
        if ((rc = add_resource(r, v, parent.uri, where, &parent)) != 0)
            return rc;
        resource = r->resource_count - 1;
    }
    if ((rc = add_place(r, v, resource, where)) != 0)
        return rc;
    if (v->type != MOON_JSON_OBJECT)
        return 0;
    if ((rc = add_anchor(r, v, resource, "$anchor", where)) != 0 ||
        (rc = add_anchor(r, v, resource, "$dynamicAnchor", where)) != 0)
        return rc;
    for (size_t i = 0; i < v->u.object.len && rc == 0; i++)
        rc = scan_keyword(r, &v->u.object.members[i], resource, where);
    return rc;
}

int schema_registry_add(struct schema_registry *r, const char *uri, const struct moon_json_value *document,
                        const char *prefix) {
    int rc = add_resource(r, document, uri, prefix, NULL);
    return rc != 0 ? rc : scan(r, document, SIZE_MAX, prefix);
}

/* ---- finding ---- */

const struct schema_anchor *schema_registry_anchor(const struct schema_registry *r, size_t resource, const char *name,
                                                   size_t len) {
    for (size_t i = 0; i < r->anchor_count; i++) {
        const struct schema_anchor *a = &r->anchors[i];
        if (a->resource == resource && a->len == len && memcmp(a->name, name, len) == 0)
            return a;
    }
    return NULL;
}

static size_t find_resource(const struct schema_registry *r, const char *uri) {
    for (size_t i = 0; i < r->resource_count; i++) {
        const struct schema_resource *res = &r->resources[i];
        if (strcmp(res->uri, uri) == 0 || (res->alias != NULL && strcmp(res->alias, uri) == 0))
            return i;
    }
    return SIZE_MAX;
}

const struct moon_json_value *schema_registry_document(struct schema_registry *r, const char *uri, int *rc) {
    size_t n = strlen(uri);
    *rc = 0;
    for (size_t i = 0; i < r->opts->resource_count; i++) {
        const char *known = r->opts->resources[i].uri;
        if (strncmp(known, uri, n) == 0 && (known[n] == '\0' || strcmp(known + n, "#") == 0))
            return r->opts->resources[i].document;
    }
    const char *text = schema_meta_text(uri);
    if (text == NULL)
        return NULL;
    if (schema_grow(&r->docs, r->doc_count, &r->doc_cap, sizeof *r->docs) != 0 ||
        moon_json_parse(&r->docs[r->doc_count], text, strlen(text), r->err) != 0) {
        *rc = no_memory(r);
        return NULL;
    }
    return &r->docs[r->doc_count++].root;
}

/* The resource at uri, which is loaded when it is known but not in use yet. */
static int load(struct schema_registry *r, const char *uri, size_t *resource) {
    int rc;
    *resource = find_resource(r, uri);
    if (*resource != SIZE_MAX)
        return 0;
    const struct moon_json_value *document = schema_registry_document(r, uri, &rc);
    if (document == NULL)
        return rc;
    size_t n = strlen(uri);
    char *prefix = moon_arena_alloc(r->keep, n + 2);
    if (prefix == NULL)
        return no_memory(r);
    snprintf(prefix, n + 2, "%s#", uri);
    *resource = r->resource_count;
    return schema_registry_add(r, uri, document, prefix);
}

static char *percent_decode(void **arena, const char *text, size_t len, size_t *out_len) {
    char *out = moon_arena_alloc(arena, len + 1), *o = out;
    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%' && len - i > 2 && moon_hex_digit(text[i + 1]) >= 0 && moon_hex_digit(text[i + 2]) >= 0) {
            *o++ = (char)(moon_hex_digit(text[i + 1]) * 16 + moon_hex_digit(text[i + 2]));
            i += 2;
        } else {
            *o++ = text[i];
        }
    }
    *o = '\0';
    *out_len = (size_t)(o - out);
    return out;
}

static const struct moon_json_value *child(const struct moon_json_value *v, const char *token, size_t len) {
    if (v->type == MOON_JSON_OBJECT)
        return moon_json_get_n(v, token, len);
    size_t i = 0;
    if (v->type != MOON_JSON_ARRAY || len == 0 || len > 9 || (token[0] == '0' && len > 1))
        return NULL;
    for (size_t k = 0; k < len; k++) {
        if (token[k] < '0' || token[k] > '9')
            return NULL;
        i = i * 10 + (size_t)(token[k] - '0');
    }
    return i < v->u.array.len ? &v->u.array.items[i] : NULL;
}

/* Follows a JSON Pointer from the root of a resource; *place SIZE_MAX: it leads nowhere. */
static int follow(struct schema_registry *r, size_t resource, char *pointer, size_t len, size_t *place) {
    const struct moon_json_value *v = r->resources[resource].root;
    const char *where = r->resources[resource].where, *end = pointer + len;
    *place = SIZE_MAX;
    for (char *p = pointer; p < end && v != NULL;) {
        char *token = ++p, *o = token;
        for (; p < end && *p != '/'; p++) {
            bool escape = *p == '~' && p + 1 < end && (p[1] == '0' || p[1] == '1');
            *o++ = !escape ? *p : *++p == '0' ? '~' : '/';
        }
        v = child(v, token, (size_t)(o - token));
        where = step(r, where, token, (size_t)(o - token));
        if (where == NULL)
            return no_memory(r);
        size_t known = v != NULL ? schema_registry_place(r, v) : SIZE_MAX;
        if (known != SIZE_MAX)
            resource = r->places[known].resource;
    }
    if (v == NULL)
        return 0;
    *place = schema_registry_place(r, v);
    if (*place != SIZE_MAX || (v->type != MOON_JSON_OBJECT && v->type != MOON_JSON_TRUE && v->type != MOON_JSON_FALSE))
        return 0;
    *place = r->place_count; /* below a keyword that is not known: a schema because a reference says so */
    return scan(r, v, resource, where);
}

int schema_registry_resolve(struct schema_registry *r, size_t resource, const char *ref, size_t len, size_t *place,
                            const struct schema_anchor **anchor) {
    struct uri parts;
    size_t target, n = 0;
    int rc;
    *anchor = NULL;
    moon_uri_split(ref, len, &parts);
    char *uri = moon_uri_resolve(&r->arena, r->resources[resource].uri, ref, len);
    char *fragment = percent_decode(&r->arena, parts.fragment.text, parts.fragment.len, &n);
    if (uri == NULL || fragment == NULL)
        return no_memory(r);
    if ((rc = load(r, uri, &target)) != 0)
        return rc;
    if (target == SIZE_MAX)
        return moon_err_set(r->err, MOON_EINVAL, "schema \"%s\" not found; references are never fetched", uri);
    if (n == 0 || fragment[0] == '/') {
        if ((rc = follow(r, target, fragment, n, place)) != 0)
            return rc;
    } else {
        *anchor = schema_registry_anchor(r, target, fragment, n);
        *place = *anchor != NULL ? schema_registry_place(r, (*anchor)->value) : SIZE_MAX;
    }
    if (*place == SIZE_MAX)
        return moon_err_set(r->err, MOON_EINVAL, "\"%s\" leads to no schema", ref);
    return 0;
}
