/* schema_registry.h - which schemas there are while one is compiled: documents, the resources ($id) in them, anchors,
 * and each place that holds a subschema. Private to core. */
#ifndef MOONGATE_CORE_SCHEMA_REGISTRY_H
#define MOONGATE_CORE_SCHEMA_REGISTRY_H

#include "schema_internal.h"

struct schema_resource {
    const char *uri;   /* absolute as far as the base was; without fragment */
    const char *alias; /* the address it was found at, when $id says another; or NULL */
    const struct moon_json_value *root;
    const char *where;
    bool validation; /* the validation vocabulary applies */
    bool formats;    /* format asserts */
};

struct schema_place {
    const struct moon_json_value *value;
    size_t resource;
    const char *where;
    struct schema_node *node; /* NULL: not asked for yet */
};

struct schema_anchor {
    size_t resource;
    const char *name;
    size_t len;
    const struct moon_json_value *value;
    bool dynamic;
};

struct schema_registry {
    void *arena; /* what lives as long as the compilation */
    void **keep; /* the arena of the schema */
    const struct moon_schema_opts *opts;
    struct moon_err *err;
    struct schema_resource *resources;
    size_t resource_count, resource_cap;
    struct schema_anchor *anchors;
    size_t anchor_count, anchor_cap;
    struct schema_place *places;
    size_t place_count, place_cap;
    uint32_t *slots; /* places by address: index + 1 */
    size_t slot_count;
    struct moon_json_doc *docs; /* meta-schemas that were needed */
    size_t doc_count, doc_cap;
};

void schema_registry_release(struct schema_registry *r);
/* Adds a document and all that is in it. prefix goes before the JSON Pointers in it. */
int schema_registry_add(struct schema_registry *r, const char *uri, const struct moon_json_value *document,
                        const char *prefix);
/* The place of a value; SIZE_MAX when it is not one. */
size_t schema_registry_place(const struct schema_registry *r, const struct moon_json_value *value);
const struct schema_anchor *schema_registry_anchor(const struct schema_registry *r, size_t resource, const char *name,
                                                   size_t len);
/* The place that a reference in `resource` leads to. *anchor: the anchor it named, or NULL. */
int schema_registry_resolve(struct schema_registry *r, size_t resource, const char *ref, size_t len, size_t *place,
                            const struct schema_anchor **anchor);
/* The document at a URI (resources passed in, meta-schemas), or NULL; *rc is MOON_ENOMEM or 0. */
const struct moon_json_value *schema_registry_document(struct schema_registry *r, const char *uri, int *rc);
/* Makes room for one more element. 0 or MOON_ENOMEM. */
int schema_grow(void *array, size_t count, size_t *cap, size_t size);

/* ---- schema_meta.c: the text of a 2020-12 meta-schema, or NULL ---- */
const char *schema_meta_text(const char *uri);
#define SCHEMA_META_URI "https://json-schema.org/draft/2020-12/schema"

#endif
