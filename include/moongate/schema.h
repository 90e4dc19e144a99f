/* schema.h - JSON Schema 2020-12: a schema is compiled once and checks values of any representation through struct
 * moon_schema_ops.
 *
 * $ref finds what is inside the schema, the resources passed in, and the 2020-12 meta-schemas; it never fetches.
 * `format` is an annotation, as the specification says, unless opts.formats is set (date, date-time, email, hostname
 * without a look into punycode, ipv4, ipv6, json-pointer, regex, time, uri, uri-reference, uuid; other names are
 * ignored). `pattern` follows ECMA-262 with the u flag, by PCRE2 under a limit on its work. */
#ifndef MOONGATE_SCHEMA_H
#define MOONGATE_SCHEMA_H

#include "moongate/json_value.h"

/* ---- compiling ---- */

struct moon_schema;

struct moon_schema_resource {
    const char *uri; /* absolute, without fragment */
    const struct moon_json_value *document;
};

struct moon_schema_opts {
    bool formats;         /* assert `format` */
    const char *base_uri; /* the schema's own address when it has no $id; NULL: none */
    const struct moon_schema_resource *resources;
    size_t resource_count;
};

/* The document and the resources may be released afterwards. opts may be NULL. MOON_EINVAL: the schema is wrong, and
 * the message begins with the place in it; MOON_ENOMEM. */
int moon_schema_compile(struct moon_schema **out, const struct moon_json_value *document,
                        const struct moon_schema_opts *opts, struct moon_err *err);
void moon_schema_free(struct moon_schema *schema); /* NULL-safe */

/* ---- what is checked ---- */

/* A value, as its representation names it. */
struct moon_schema_node {
    const void *ptr;
    int index;
};

struct moon_schema_view {
    enum moon_json_type type; /* NULL TRUE FALSE INT NUMBER STRING ARRAY OBJECT; END: no JSON value at all */
    int64_t integer;
    double number;    /* finite */
    const char *text; /* STRING; may be no valid UTF-8 */
    size_t len;       /* bytes of a STRING, items of an ARRAY */
};

/* A walk over the items of an array or the members of an object. Walks nest. */
struct moon_schema_walk {
    struct moon_schema_node parent, child;
    const char *key; /* members; lives until the walk moves on */
    size_t key_len;
    size_t at; /* the child's place, from 0; the same in every walk over one value */
    bool object;
    int mark; /* the representation's own */
};

struct moon_schema_ops {
    void (*view)(void *ud, struct moon_schema_node node, struct moon_schema_view *out);
    void (*walk)(void *ud, struct moon_schema_node node, bool object, struct moon_schema_walk *w);
    /* 1: child (and key) set; 0: the end, and the walk is over; <0: the value is neither array nor object after all,
     * and the walk is over */
    int (*next)(void *ud, struct moon_schema_walk *w);
    void (*leave)(void *ud, struct moon_schema_walk *w); /* ends a walk early */
    /* Appends canonical text, for comparing values: integers of 64 bits included. 0, MOON_ENOMEM, MOON_EINVAL */
    int (*canonical)(void *ud, struct moon_schema_node node, struct moon_buf *out);
};

/* ---- checking ---- */

struct moon_schema_fault {
    const char *pointer;        /* JSON Pointer of the place in the value */
    const char *keyword;        /* that found it; "" for a schema that is false */
    const char *message;        /* reads on from the pointer: "must be at most 4096, is 5000" */
    const char *schema_pointer; /* of the keyword, in the schema document; with the URI before '#' in another one */
    const char *property;       /* required: the name that is missing, property_len bytes; else NULL */
    size_t property_len;
    const char *near;  /* of a property that is not known: the one that was probably meant; or NULL. Of the schema */
    const char *order; /* private: faults are sorted by order, then by seq */
    size_t order_len, seq;
};

/* All memory of a check lies here, so that a Lua error can't leak it. */
struct moon_schema_report {
    struct moon_schema_fault *faults; /* items by number, members by key */
    size_t count;
    bool more; /* there were more than the report takes: MOON_SCHEMA_FAULTS_MAX */
    size_t cap;
    void *arena;
    struct moon_buf scratch;
};
#define MOON_SCHEMA_FAULTS_MAX 10000

void moon_schema_report_init(struct moon_schema_report *report);
void moon_schema_report_release(struct moon_schema_report *report);

/* 0: valid. MOON_EINVAL: not, and report (cleared first) holds every fault, err the first one. MOON_ENOMEM;
 * MOON_ERANGE: the value or the schema nests too deep; MOON_ETOOBIG: a pattern takes too much work on a text. One check
 * at a time per schema. */
int moon_schema_check(const struct moon_schema *schema, const struct moon_schema_ops *ops, void *ud,
                      struct moon_schema_node node, struct moon_schema_report *report, struct moon_err *err);

#endif
