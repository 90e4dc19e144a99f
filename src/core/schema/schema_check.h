/* schema_check.h - shared by the files that check a value: schema_check.c, schema_check_value.c, schema_fault.c.
 * Private to core. */
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

/* Whether to stop: after a fault that nobody will read, or a failure. */
static inline bool schema_enough(const struct schema_checker *c) {
    return c->quiet > 0 || c->rc != 0;
}

/* ---- schema_check_value.c: the keywords that look at the value alone ---- */
bool schema_check_type(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in);
bool schema_check_constants(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in);
bool schema_check_number(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in);
bool schema_check_string(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in);

/* ---- schema_fault.c ---- */
/* The check can't continue: rc is returned from moon_schema_check. Returns false. */
bool schema_give_up(struct schema_checker *c, int rc, const struct schema_node *n);
/* Records a fault, unless quiet. Returns false. */
bool schema_fault(struct schema_checker *c, const struct schema_node *n, const char *keyword,
                  const struct schema_instance *in, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A property that no keyword knows. Returns false. */
bool schema_fault_unknown(struct schema_checker *c, const struct schema_node *n, const char *keyword,
                          const struct schema_instance *in);
/* A property that is missing. Returns false. */
bool schema_fault_missing(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                          const struct schema_name *name);
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
