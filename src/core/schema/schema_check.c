/* schema_check.c - a value against a node: the order of things, and the way in. */
#include "schema_check.h"

#include "../arena.h"

#include <stdlib.h>

#define DEPTH_MAX 1500 /* nodes on the way down; a level takes less than 3 KiB of C stack, also under a sanitizer */

bool schema_give_up(struct schema_checker *c, int rc, const struct schema_node *n) {
    if (c->rc == 0) {
        c->rc = rc;
        c->failed_at = n != NULL ? n->where : NULL;
    }
    return false;
}

void schema_step(struct schema_checker *c, struct schema_instance *child, const struct schema_instance *parent,
                 const struct moon_schema_walk *w) {
    child->node = w->child;
    child->up = parent;
    child->key = w->object ? w->key : NULL;
    child->key_len = w->key_len;
    child->at = w->at;
    child->is_name = false;
    c->ops->view(c->ud, w->child, &child->view);
}

/* The node's own keywords about the kind of value that in is. */
static bool check_kind(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                       struct schema_evaluated *ev) {
    switch (in->view.type) {
    case MOON_JSON_INT:
    case MOON_JSON_NUMBER:
        return !n->about_numbers || schema_check_number(c, n, in);
    case MOON_JSON_STRING:
        return !n->about_strings || schema_check_string(c, n, in);
    case MOON_JSON_ARRAY:
        return !n->about_arrays || schema_check_array(c, n, in, ev);
    case MOON_JSON_OBJECT:
        return !n->about_objects || schema_check_object(c, n, in, ev);
    case MOON_JSON_END:
        return n->types != 0 || schema_fault(c, n, "type", in, "is no JSON value"); /* `type` has said it */
    default:
        return true;
    }
}

/* The types that a token's kind alone settles; whether a NUMBER is an integer, schema_check_type looks up. */
static const unsigned certain_types[] = {
    [MOON_JSON_NULL] = TYPE_NULL,     [MOON_JSON_TRUE] = TYPE_BOOLEAN,
    [MOON_JSON_FALSE] = TYPE_BOOLEAN, [MOON_JSON_INT] = TYPE_INTEGER | TYPE_NUMBER,
    [MOON_JSON_NUMBER] = TYPE_NUMBER, [MOON_JSON_STRING] = TYPE_STRING,
    [MOON_JSON_ARRAY] = TYPE_ARRAY,   [MOON_JSON_OBJECT] = TYPE_OBJECT,
};

static bool check_all(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                      struct schema_evaluated *ev) {
    bool ok = n->types == 0 || (n->types & certain_types[in->view.type]) != 0 || schema_check_type(c, n, in);
    if (ok && (n->choices != NULL || n->constant != NULL))
        ok = schema_check_constants(c, n, in);
    if (!ok && schema_enough(c))
        return false;
    ok &= check_kind(c, n, in, ev);
    if (!ok && schema_enough(c))
        return false;
    return !n->in_place ? ok : schema_check_in_place(c, n, in, ev) && ok;
}

static bool check_scoped(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                         struct schema_evaluated *ev) {
    if (n->unevaluated_items == NULL && n->unevaluated_properties == NULL)
        return check_all(c, n, in, ev);
    struct schema_evaluated own; /* cousins don't count: only what this node and its subschemas evaluate */
    schema_evaluated_init(&own);
    bool ok = check_all(c, n, in, &own);
    if (!ok && schema_enough(c))
        return false;
    ok = schema_check_unevaluated(c, n, in, &own) && ok;
    if (ev != NULL)
        schema_evaluated_merge(c, ev, &own);
    return ok;
}

bool schema_check_node(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                       struct schema_evaluated *ev) {
    if (n->never)
        return schema_fault(c, n, "", in, "is not allowed here");
    if (c->depth >= DEPTH_MAX)
        return schema_give_up(c, MOON_ERANGE, n);
    const struct schema_scope *outer = c->scope, here = {outer, n->resource};
    if (outer == NULL || outer->resource != n->resource)
        c->scope = &here;
    c->depth++;
    bool ok = check_scoped(c, n, in, ev);
    c->depth--;
    c->scope = outer;
    return ok && c->rc == 0;
}

/* ---- the way in ---- */

void moon_schema_report_init(struct moon_schema_report *report) {
    *report = (struct moon_schema_report){.faults = NULL};
    moon_buf_init(&report->scratch);
}

void moon_schema_report_release(struct moon_schema_report *report) {
    free(report->faults);
    moon_arena_free(&report->arena);
    moon_buf_release(&report->scratch);
    moon_schema_report_init(report);
}

static int fail(const struct schema_checker *c, struct moon_err *err) {
    const char *at = c->failed_at != NULL && c->failed_at[0] != '\0' ? c->failed_at : "the schema's top";
    switch (c->rc) {
    case MOON_ENOMEM:
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    case MOON_ERANGE:
        return moon_err_set(err, MOON_ERANGE,
                            "the value nests too deep, or the schema refers to itself without end (at %s)", at);
    case MOON_ETOOBIG:
        return moon_err_set(err, MOON_ETOOBIG, "a pattern takes too long on a text of this length (at %s)", at);
    default:
        return moon_err_set(err, c->rc, "the check failed (at %s)", at);
    }
}

int moon_schema_check(const struct moon_schema *schema, const struct moon_schema_ops *ops, void *ud,
                      struct moon_schema_node node, struct moon_schema_report *report, struct moon_err *err) {
    struct schema_checker c = {.schema = schema, .ops = ops, .ud = ud, .report = report};
    struct schema_instance root = {.node = node};
    report->count = 0;
    report->more = false;
    moon_arena_free(&report->arena);
    ops->view(ud, node, &root.view);
    bool ok = schema_check_node(&c, schema->root, &root, NULL);
    if (c.rc != 0)
        return fail(&c, err);
    if (ok)
        return 0;
    if (report->count == 0)
        return moon_err_set(err, MOON_EBUG, "the value is not valid, and nothing says why");
    schema_faults_sort(report);
    const struct moon_schema_fault *first = &report->faults[0];
    if (report->count == 1)
        return moon_err_set(err, MOON_EINVAL, "%s%s%s", first->pointer, first->pointer[0] != '\0' ? ": " : "",
                            first->message);
    return moon_err_set(err, MOON_EINVAL, "%s%s%s (and %zu more)", first->pointer,
                        first->pointer[0] != '\0' ? ": " : "", first->message, report->count - 1);
}
