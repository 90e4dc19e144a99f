/* schema_check.h - shared by the files that check a value: schema_check*.c, schema_fault.c. Private to core. */
#ifndef MOONGATE_CORE_SCHEMA_CHECK_H
#define MOONGATE_CORE_SCHEMA_CHECK_H

#include "schema_internal.h"

/* Resources entered on the way to here, innermost first: what $dynamicRef looks through. */
struct schema_scope {
    const struct schema_scope *up;
    size_t resource;
};

struct schema_checker {
    const struct moon_schema *schema;
    const struct moon_schema_ops *ops;
    void *ud;
    struct moon_schema_report *report;
    const struct schema_scope *scope;
    int quiet; /* > 0: only whether it is valid counts, so the first fault ends it */
    int depth;
    int rc;                /* a failure of the check itself: everything returns false until it is out */
    const char *failed_at; /* the node where rc was set, or NULL */
};

/* A value on the way down; the chain of them is its place. */
struct schema_instance {
    struct moon_schema_node node;
    struct moon_schema_view view;
    const struct schema_instance *up;
    const char *key; /* NULL: an item */
    size_t key_len;
    size_t at;
    bool is_name; /* not the member but its name (propertyNames) */
};

/* What in-place subschemas have looked at, for unevaluatedItems and unevaluatedProperties. */
struct schema_evaluated {
    bool all;
    size_t first; /* so many items from the first */
    uint64_t *bits, inline_bits[2];
    size_t words;
};

/* ---- schema_check.c ---- */
/* Whether in meets n. ev collects what was evaluated; NULL: nobody asks. */
bool schema_check_node(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                       struct schema_evaluated *ev);
/* The child that walk w is at. */
void schema_step(struct schema_checker *c, struct schema_instance *child, const struct schema_instance *parent,
                 const struct moon_schema_walk *w);
/* The check can't go on: rc is returned from moon_schema_check. Returns false. */
bool schema_give_up(struct schema_checker *c, int rc, const struct schema_node *n);
/* Whether to stop: after a fault that nobody will read, or a failure. */
static inline bool schema_enough(const struct schema_checker *c) {
    return c->quiet > 0 || c->rc != 0;
}

/* ---- schema_check_value.c, _object.c, _array.c, _apply.c: the keywords about one kind of value ---- */
bool schema_check_type(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in);
bool schema_check_constants(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in);
bool schema_check_number(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in);
bool schema_check_string(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in);
bool schema_check_array(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                        struct schema_evaluated *ev);
bool schema_check_object(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                         struct schema_evaluated *ev);
bool schema_check_in_place(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                           struct schema_evaluated *ev);
bool schema_check_unevaluated(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                              struct schema_evaluated *ev);

/* ---- schema_evaluated.c ---- */
void schema_evaluated_init(struct schema_evaluated *ev);
void schema_evaluated_mark(struct schema_checker *c, struct schema_evaluated *ev, size_t at);
bool schema_evaluated_has(const struct schema_evaluated *ev, size_t at);
void schema_evaluated_merge(struct schema_checker *c, struct schema_evaluated *into,
                            const struct schema_evaluated *from);

/* ---- schema_fault.c ---- */
/* Records a fault, unless quiet. Returns false. */
bool schema_fault(struct schema_checker *c, const struct schema_node *n, const char *keyword,
                  const struct schema_instance *in, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
#define SCHEMA_PREVIEW 80
/* The value in few characters, for a message. Returns out. */
const char *schema_preview(const struct schema_instance *in, char out[SCHEMA_PREVIEW]);
const char *schema_type_name(enum moon_json_type type); /* "a string" */
void schema_faults_sort(struct moon_schema_report *report);
/* Drops the faults from `mark` on, and writes what the first of them says to out, of which len of size bytes are used.
 * The new len. */
size_t schema_faults_fold(struct schema_checker *c, size_t mark, const struct schema_instance *in, char *out,
                          size_t len, size_t size);

#endif
