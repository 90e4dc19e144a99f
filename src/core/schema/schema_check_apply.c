/* schema_check_apply.c - subschemas applied to the same value: $ref, allOf, anyOf, oneOf, not, if; and what they leave
 * unevaluated. */
#include "schema_check.h"

#include "../arena.h"

#include <stdio.h>

#define WHY_SIZE 600

/* Whether n holds, without a word about it; what it evaluated goes to ev only then. */
static bool holds(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                  struct schema_evaluated *ev) {
    struct schema_evaluated own;
    if (ev != NULL)
        schema_evaluated_init(&own);
    c->quiet++;
    bool ok = schema_check_node(c, n, in, ev != NULL ? &own : NULL);
    c->quiet--;
    if (ok && ev != NULL)
        schema_evaluated_merge(c, ev, &own);
    return ok;
}

/* None of the alternatives holds: one fault that says of each what is wrong first. */
static bool fault_none(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                       const char *keyword, const struct schema_list *list) {
    if (schema_enough(c))
        return false;
    if (list->count == 1) /* what the only one says is fault enough */
        return schema_check_node(c, list->items[0], in, NULL);
    char *why = moon_arena_zalloc(&c->report->arena, 1, WHY_SIZE);
    size_t len = 0;
    if (why == NULL)
        return schema_give_up(c, MOON_ENOMEM, n);
    for (size_t i = 0; i < list->count && len < WHY_SIZE - 100 && c->rc == 0; i++) {
        size_t mark = c->report->count;
        len += (size_t)snprintf(why + len, WHY_SIZE - len, "%s(%zu) ", i > 0 ? "; " : "", i + 1);
        schema_check_node(c, list->items[i], in, NULL);
        len = schema_faults_fold(c, mark, in, why, len, WHY_SIZE);
    }
    return schema_fault(c, n, keyword, in, "matches none of the %zu alternatives: %s", list->count, why);
}

static bool check_any(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                      struct schema_evaluated *ev) {
    bool any = false;
    for (size_t i = 0; i < n->any_of.count && c->rc == 0; i++) {
        any |= holds(c, n->any_of.items[i], in, ev);
        if (any && ev == NULL)
            return true;
    }
    return any ? c->rc == 0 : fault_none(c, n, in, "anyOf", &n->any_of);
}

static bool check_one(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                      struct schema_evaluated *ev) {
    size_t count = 0, which[2] = {0, 0};
    for (size_t i = 0; i < n->one_of.count && count < 2 && c->rc == 0; i++) {
        if (holds(c, n->one_of.items[i], in, ev))
            which[count++] = i + 1;
    }
    if (c->rc != 0 || count == 1)
        return c->rc == 0;
    if (count == 0)
        return fault_none(c, n, in, "oneOf", &n->one_of);
    return schema_fault(c, n, "oneOf", in,
                        "must match exactly one of the %zu alternatives, matches number %zu and number %zu",
                        n->one_of.count, which[0], which[1]);
}

static bool check_if(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                     struct schema_evaluated *ev) {
    bool yes = holds(c, n->if_, in, ev);
    const struct schema_node *next = yes ? n->then : n->else_;
    return c->rc == 0 && (next == NULL || schema_check_node(c, next, in, ev));
}

static const struct schema_node *dynamic_target(const struct schema_checker *c, const struct schema_node *n) {
    const struct schema_node *found = n->dynamic_ref;
    if (n->dynamic_name == 0)
        return found;
    for (const struct schema_scope *s = c->scope; s != NULL; s = s->up) { /* the outermost wins */
        const struct schema_node *at =
            c->schema->dynamic[(n->dynamic_name - 1) * c->schema->resource_count + s->resource];
        if (at != NULL)
            found = at;
    }
    return found;
}

bool schema_check_in_place(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                           struct schema_evaluated *ev) {
    bool ok = true;
    if (n->ref != NULL)
        ok = schema_check_node(c, n->ref, in, ev);
    if (n->dynamic_ref != NULL && (ok || !schema_enough(c)))
        ok = schema_check_node(c, dynamic_target(c, n), in, ev) && ok;
    for (size_t i = 0; i < n->all_of.count && (ok || !schema_enough(c)); i++)
        ok = schema_check_node(c, n->all_of.items[i], in, ev) && ok;
    if (n->any_of.count > 0 && (ok || !schema_enough(c)))
        ok = check_any(c, n, in, ev) && ok;
    if (n->one_of.count > 0 && (ok || !schema_enough(c)))
        ok = check_one(c, n, in, ev) && ok;
    if (n->not_ != NULL && (ok || !schema_enough(c)) && holds(c, n->not_, in, NULL))
        ok = schema_fault(c, n, "not", in, "is what it must not be");
    if (n->if_ != NULL && (ok || !schema_enough(c)))
        ok = check_if(c, n, in, ev) && ok;
    return ok && c->rc == 0;
}

/* ---- unevaluatedItems, unevaluatedProperties ---- */

static bool check_rest(struct schema_checker *c, const struct schema_node *n, const struct schema_node *rest,
                       const struct schema_instance *in, const struct schema_evaluated *ev, const char *keyword) {
    struct moon_schema_walk w;
    bool ok = true;
    c->ops->walk(c->ud, in->node, in->view.type == MOON_JSON_OBJECT, &w);
    while (c->ops->next(c->ud, &w) > 0) {
        struct schema_instance child;
        if (schema_evaluated_has(ev, w.at))
            continue;
        schema_step(c, &child, in, &w);
        if (!rest->never) {
            ok = schema_check_node(c, rest, &child, NULL) && ok;
        } else {
            const char *near = w.object && c->quiet == 0 ? schema_names_near(&n->names, w.key, w.key_len) : NULL;
            ok = near != NULL
                     ? schema_fault(c, n, keyword, &child, "is not a known property; did you mean \"%s\"?", near)
                     : schema_fault(c, n, keyword, &child,
                                    w.object ? "is not a known property" : "is one item too many");
        }
        if (!ok && schema_enough(c)) {
            c->ops->leave(c->ud, &w);
            return false;
        }
    }
    return ok;
}

bool schema_check_unevaluated(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                              struct schema_evaluated *ev) {
    bool ok = true;
    if (in->view.type == MOON_JSON_ARRAY && n->unevaluated_items != NULL && !ev->all) {
        ok = check_rest(c, n, n->unevaluated_items, in, ev, "unevaluatedItems");
        ev->all = true;
    }
    if (in->view.type == MOON_JSON_OBJECT && n->unevaluated_properties != NULL && !ev->all) {
        ok = check_rest(c, n, n->unevaluated_properties, in, ev, "unevaluatedProperties");
        ev->all = true;
    }
    return ok;
}
