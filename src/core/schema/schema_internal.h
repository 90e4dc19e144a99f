/* schema_internal.h - a compiled schema, as schema_compile.c makes it and schema_check.c reads it. Private to core.
 *
 * A schema is a graph of nodes, one for each subschema that can be reached. All of it lies in one arena but the regular
 * expressions. */
#ifndef MOONGATE_CORE_SCHEMA_INTERNAL_H
#define MOONGATE_CORE_SCHEMA_INTERNAL_H

#include "moongate/schema.h"

#include "schema_format.h"
#include "schema_regex.h"

enum { /* bits of schema_node.types */
       TYPE_NULL = 1,
       TYPE_BOOLEAN = 2,
       TYPE_INTEGER = 4,
       TYPE_NUMBER = 8,
       TYPE_STRING = 16,
       TYPE_ARRAY = 32,
       TYPE_OBJECT = 64
};

struct schema_number {
    bool is_int;
    int64_t i;
    double d;
};

/* A value of enum or const. */
struct schema_constant {
    enum moon_json_type type;
    struct schema_number number;
    const char *text; /* STRING: itself; ARRAY, OBJECT: canonical text */
    size_t len;
};

struct schema_list {
    struct schema_node **items;
    size_t count;
};

struct schema_pattern {
    struct moon_regex *regex;
    const char *source;
    struct schema_node *node;
};

/* What a node says about one property name. */
struct schema_name {
    const char *key;
    size_t len;
    struct schema_node *property; /* properties; or NULL */
    bool required;
    struct schema_node *dependent; /* dependentSchemas; or NULL */
    const size_t *needs;           /* dependentRequired: indexes into the same list */
    size_t need_count;
};

struct schema_names {
    struct schema_name *list; /* in document order */
    size_t count;
    size_t *required; /* indexes, in the order of the keyword */
    size_t required_count;
    bool any_dependent;
    uint32_t *slots; /* open addressing: index + 1, 0 = empty; mask + 1 of them */
    uint32_t mask;
};

#define NO_LIMIT SIZE_MAX

struct schema_node {
    const char *where; /* JSON Pointer in its document; "uri#pointer" outside the main one */
    size_t resource;   /* index, for $dynamicRef */
    bool never;        /* the schema `false` */

    /* any value */
    unsigned types;                         /* 0: any */
    const struct schema_constant *constant; /* const; or NULL */
    const struct schema_constant *choices;  /* enum; or NULL */
    size_t choice_count;

    /* numbers */
    bool has_minimum, has_maximum, has_more_than, has_less_than, has_multiple;
    struct schema_number minimum, maximum, more_than, less_than, multiple;

    /* strings; limits in code points */
    size_t min_length, max_length;
    struct moon_regex *pattern;
    const char *pattern_source;
    const struct moon_format *format;

    /* arrays */
    struct schema_list prefix_items;
    struct schema_node *items, *contains, *unevaluated_items;
    size_t min_items, max_items, min_contains, max_contains;
    bool unique_items;

    /* objects */
    struct schema_names names;
    const struct schema_pattern *patterns;
    size_t pattern_count;
    struct schema_node *additional, *property_names, *unevaluated_properties;
    size_t min_properties, max_properties;

    /* in place */
    struct schema_list all_of, any_of, one_of;
    struct schema_node *not_, *if_, *then, *else_, *ref, *dynamic_ref;
    size_t dynamic_name; /* index of the $dynamicRef's anchor name + 1; 0: behaves as $ref */

    bool about_numbers, about_strings, about_arrays, about_objects, in_place; /* anything of the kind above */
};

struct moon_schema {
    void *arena;
    struct schema_node *root;
    /* dynamic[name * resource_count + resource]: the node of that $dynamicAnchor, or NULL */
    struct schema_node **dynamic;
    size_t resource_count;
    struct moon_regex **regexes;
    size_t regex_count, regex_cap;
};

/* ---- schema_number.c ---- */
struct schema_number schema_number_of(int64_t i);
struct schema_number schema_number_of_double(double d);
int schema_number_cmp(struct schema_number a, struct schema_number b); /* exact, also between integers and doubles */
/* Whether v is a multiple of m > 0, both taken as the decimals they are written as. */
bool schema_number_multiple(struct schema_number v, struct schema_number m);
bool schema_number_integral(struct schema_number v);

/* ---- schema_names.c ---- */
/* The name's index, or count. */
size_t schema_names_find(const struct schema_names *names, const char *key, size_t len);
int schema_names_reserve(struct schema_names *names, void **arena, size_t max); /* once; 0 or MOON_ENOMEM */
/* The entry of key, made when it is new. key must outlive names; at most `max` different ones. */
struct schema_name *schema_names_add(struct schema_names *names, const char *key, size_t len);
/* The known property that key may have been meant to be, or NULL. */
const char *schema_names_near(const struct schema_names *names, const char *key, size_t len);

#endif
