/* schema_compile.h - shared by schema_compile.c (the graph) and schema_keywords.c (what each keyword means). Private to
 * core. */
#ifndef MOONGATE_CORE_SCHEMA_COMPILE_H
#define MOONGATE_CORE_SCHEMA_COMPILE_H

#include "schema_registry.h"

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

/* The node of a place, made and queued when it is new; NULL: out of memory. */
struct schema_node *schema_node_at(struct schema_compiler *c, size_t place);
int schema_no_memory(struct schema_compiler *c);
/* MOON_EINVAL, the message beginning with the place of the keyword at hand. */
int schema_bad(struct schema_compiler *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Compiles the keywords of the node at hand. */
int schema_keywords(struct schema_compiler *c);
/* The keywords about property names, which share a list: properties, required, dependentRequired, dependentSchemas. */
int schema_property_keywords(struct schema_compiler *c);
int schema_child(struct schema_compiler *c, const struct moon_json_value *v, struct schema_node **out);
/* type, enum, const */
int schema_type_keyword(struct schema_compiler *c, const struct moon_json_value *v);
int schema_enum_keyword(struct schema_compiler *c, const struct moon_json_value *v);
int schema_const_keyword(struct schema_compiler *c, const struct moon_json_value *v);

#endif
