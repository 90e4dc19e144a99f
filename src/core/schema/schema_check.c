/* schema_check.c - a value against a node: the order of things, the keywords that lead to other nodes (those about
 * objects and arrays, and those applied in place), and the way in. What leads to no other node is in
 * schema_check_value.c. One unit, because each of these calls all the others. */
#include "schema_check.h"

#include "../arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 1500 /* nodes on the way down; a level takes less than 3 KiB of C stack, also under a sanitizer */
#define WHY_SIZE  600

/* What in-place subschemas have looked at, for unevaluatedItems and unevaluatedProperties: a set of positions in an
 * array or object. Larger ones grow in the report's arena. */
struct evaluated {
    bool all;
    size_t first; /* number of items from the first */
    uint64_t *bits, inline_bits[2];
    size_t words;
};

/* Whether in meets n. ev collects what was evaluated; NULL: nobody asks. */
static bool check_node(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                       struct evaluated *ev);

/* The child that walk w is at. */
static void step_to(struct schema_checker *c, struct schema_instance *child, const struct schema_instance *parent,
                    const struct moon_schema_walk *w) {
    child->node = w->child;
    child->up = parent;
    child->key = w->object ? w->key : NULL;
    child->key_len = w->key_len;
    child->at = w->at;
    child->is_name = false;
    c->ops->view(c->ud, w->child, &child->view);
}

/* ---- what was evaluated ---- */

static void evaluated_init(struct evaluated *ev) {
    ev->all = false;
    ev->first = 0;
    ev->inline_bits[0] = ev->inline_bits[1] = 0;
    ev->bits = ev->inline_bits;
    ev->words = 2;
}

static bool grow(struct schema_checker *c, struct evaluated *ev, size_t words) {
    size_t n = ev->words * 2 > words ? ev->words * 2 : words;
    uint64_t *bits = moon_arena_zalloc(&c->report->arena, n, sizeof *bits);
    if (bits == NULL)
        return schema_give_up(c, MOON_ENOMEM, NULL);
    memcpy(bits, ev->bits, ev->words * sizeof *bits);
    ev->bits = bits;
    ev->words = n;
    return true;
}

static void evaluated_mark(struct schema_checker *c, struct evaluated *ev, size_t at) {
    if (ev->all || at < ev->first || (at / 64 >= ev->words && !grow(c, ev, at / 64 + 1)))
        return;
    ev->bits[at / 64] |= UINT64_C(1) << at % 64;
}

static bool evaluated_has(const struct evaluated *ev, size_t at) {
    if (ev->all || at < ev->first)
        return true;
    return at / 64 < ev->words && (ev->bits[at / 64] >> at % 64 & 1) != 0;
}

static void evaluated_merge(struct schema_checker *c, struct evaluated *into, const struct evaluated *from) {
    into->all |= from->all;
    if (from->first > into->first)
        into->first = from->first;
    if (into->words < from->words && !grow(c, into, from->words))
        return;
    for (size_t i = 0; i < from->words; i++)
        into->bits[i] |= from->bits[i];
}

/* ---- arrays: items, prefixItems, contains in one walk ---- */

static bool check_item(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *child,
                       struct evaluated *ev, size_t *matched) {
    bool ok = true;
    if (child->at < n->prefix_items.count)
        ok = check_node(c, n->prefix_items.items[child->at], child, NULL);
    else if (n->items != NULL)
        ok = check_node(c, n->items, child, NULL);
    if (n->contains == NULL || (!ok && schema_enough(c)))
        return ok;
    c->quiet++;
    bool match = check_node(c, n->contains, child, NULL);
    c->quiet--;
    *matched += match;
    if (match && ev != NULL)
        evaluated_mark(c, ev, child->at);
    return ok && c->rc == 0;
}

static bool walk_items(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                       struct evaluated *ev, size_t *matched) {
    struct moon_schema_walk w;
    bool ok = true;
    int more;
    c->ops->walk(c->ud, in->node, false, &w);
    while ((more = c->ops->next(c->ud, &w)) > 0) {
        struct schema_instance child;
        step_to(c, &child, in, &w);
        ok = check_item(c, n, &child, ev, matched) && ok;
        if (!ok && schema_enough(c)) {
            c->ops->leave(c->ud, &w);
            return false;
        }
    }
    return more == 0 ? ok : schema_fault(c, n, "type", in, "is an array with gaps or other keys");
}

static bool check_contains(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                           size_t matched) {
    if (matched < n->min_contains)
        return n->min_contains == 1
                   ? schema_fault(c, n, "contains", in, "needs an item of the kind that is required, and none is")
                   : schema_fault(c, n, "minContains", in,
                                  "needs at least %zu items of the kind that is required, has %zu", n->min_contains,
                                  matched);
    if (matched > n->max_contains)
        return schema_fault(c, n, "maxContains", in, "must have at most %zu items of a kind, has %zu", n->max_contains,
                            matched);
    return true;
}

/* ---- uniqueItems: equal items have equal canonical text ---- */

struct span {
    size_t start, len, at;
    const struct moon_buf *text;
};

static int compare_spans(const void *pa, const void *pb) {
    const struct span *a = pa, *b = pb;
    size_t n = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->text->data + a->start, b->text->data + b->start, n);
    if (order == 0 && a->len != b->len)
        order = a->len < b->len ? -1 : 1;
    return order != 0 ? order : a->at < b->at ? -1 : a->at > b->at;
}

static bool collect_spans(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                          struct span *spans, size_t *count) {
    struct moon_buf *text = &c->report->scratch;
    struct moon_schema_walk w;
    int more, rc = 0;
    size_t i = 0;
    moon_buf_clear(text);
    c->ops->walk(c->ud, in->node, false, &w);
    while ((more = c->ops->next(c->ud, &w)) > 0 && i < in->view.len) {
        size_t start = text->len;
        if ((rc = c->ops->canonical(c->ud, w.child, text)) != 0)
            break;
        spans[i] = (struct span){start, text->len - start, i, text};
        i++;
    }
    if (more > 0)
        c->ops->leave(c->ud, &w);
    *count = i;
    if (rc == MOON_ENOMEM)
        return schema_give_up(c, rc, n);
    return rc == 0 && more >= 0 ? true : schema_fault(c, n, "uniqueItems", in, "contains a value that is not JSON");
}

static bool check_unique(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    struct span *spans = moon_arena_zalloc(&c->report->arena, in->view.len, sizeof *spans);
    size_t count;
    if (spans == NULL)
        return schema_give_up(c, MOON_ENOMEM, n);
    if (!collect_spans(c, n, in, spans, &count))
        return false;
    qsort(spans, count, sizeof *spans, compare_spans);
    const char *text = c->report->scratch.data;
    for (size_t i = 1; i < count; i++) {
        if (spans[i - 1].len == spans[i].len &&
            memcmp(text + spans[i - 1].start, text + spans[i].start, spans[i].len) == 0)
            return schema_fault(c, n, "uniqueItems", in, "must have no equal items; %zu and %zu are", spans[i - 1].at,
                                spans[i].at);
    }
    return true;
}

static bool check_items_count(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    size_t len = in->view.len;
    if (len < n->min_items)
        return schema_fault(c, n, "minItems", in, "needs at least %zu item%s, has %zu", n->min_items,
                            n->min_items == 1 ? "" : "s", len);
    if (len > n->max_items)
        return schema_fault(c, n, "maxItems", in, "must have at most %zu item%s, has %zu", n->max_items,
                            n->max_items == 1 ? "" : "s", len);
    return true;
}

static bool check_array(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                        struct evaluated *ev) {
    size_t len = in->view.len, matched = 0;
    bool ok = check_items_count(c, n, in);
    if (!ok && schema_enough(c))
        return false;
    if (n->prefix_items.count > 0 || n->items != NULL || n->contains != NULL)
        ok = walk_items(c, n, in, ev, &matched) && ok;
    if (n->contains != NULL && (ok || !schema_enough(c)))
        ok = check_contains(c, n, in, matched) && ok;
    if (n->unique_items && len > 1 && (ok || !schema_enough(c)))
        ok = check_unique(c, n, in) && ok;
    if (ev != NULL) {
        size_t prefix = n->prefix_items.count < len ? n->prefix_items.count : len;
        if (prefix > ev->first)
            ev->first = prefix;
        ev->all |= n->items != NULL;
    }
    return ok;
}

/* ---- objects, in one walk over the members ---- */

struct object_check {
    struct schema_checker *c;
    const struct schema_node *n;
    const struct schema_instance *in;
    struct evaluated *ev;
    uint64_t *seen, seen_inline[2]; /* a bit for each of n->names */
    size_t count;
};

/* A member that neither properties nor patternProperties know. */
static bool check_additional(struct object_check *o, const struct schema_instance *child) {
    const struct schema_node *n = o->n;
    if (!n->additional->never)
        return check_node(o->c, n->additional, child, NULL);
    return schema_fault_unknown(o->c, n, "additionalProperties", child);
}

static bool check_name(struct object_check *o, const struct schema_instance *child) {
    struct schema_instance name = *child;
    name.is_name = true;
    name.view = (struct moon_schema_view){.type = MOON_JSON_STRING, .text = child->key, .len = child->key_len};
    return check_node(o->c, o->n->property_names, &name, NULL);
}

static bool check_patterns(struct object_check *o, const struct schema_instance *child, bool *evaluated) {
    bool ok = true;
    for (size_t i = 0; i < o->n->pattern_count; i++) {
        const struct schema_pattern *p = &o->n->patterns[i];
        int found = moon_utf8_valid(child->key, child->key_len) != child->key_len
                        ? 0
                        : moon_regex_match(p->regex, child->key, child->key_len);
        if (found < 0)
            return schema_give_up(o->c, found == MOON_ERANGE ? MOON_ETOOBIG : found, o->n);
        if (found == 0)
            continue;
        *evaluated = true;
        ok = check_node(o->c, p->node, child, NULL) && ok;
        if (!ok && schema_enough(o->c))
            return false;
    }
    return ok;
}

static bool check_member(struct object_check *o, const struct moon_schema_walk *w) {
    const struct schema_node *n = o->n;
    struct schema_instance child;
    bool ok = true, evaluated = false;
    size_t i = schema_names_find(&n->names, w->key, w->key_len);
    step_to(o->c, &child, o->in, w);
    if (i < n->names.count) {
        o->seen[i / 64] |= UINT64_C(1) << i % 64;
        if (n->names.list[i].property != NULL) {
            evaluated = true;
            ok = check_node(o->c, n->names.list[i].property, &child, NULL);
            if (!ok && schema_enough(o->c))
                return false;
        }
    }
    if (n->pattern_count > 0) {
        ok = check_patterns(o, &child, &evaluated) && ok;
        if (!ok && schema_enough(o->c))
            return false;
    }
    if (n->additional != NULL && !evaluated) {
        evaluated = true;
        ok = check_additional(o, &child) && ok;
    }
    if (n->property_names != NULL && (ok || !schema_enough(o->c)))
        ok = check_name(o, &child) && ok;
    if (evaluated && o->ev != NULL)
        evaluated_mark(o->c, o->ev, w->at);
    return ok;
}

static bool walk_members(struct object_check *o) {
    struct moon_schema_walk w;
    bool ok = true;
    int more;
    const struct moon_schema_ops *ops = o->c->ops;
    ops->walk(o->c->ud, o->in->node, true, &w);
    while ((more = ops->next(o->c->ud, &w)) > 0) {
        o->count++;
        ok = check_member(o, &w) && ok;
        if (!ok && schema_enough(o->c)) {
            ops->leave(o->c->ud, &w);
            return false;
        }
    }
    return more == 0 ? ok : schema_fault(o->c, o->n, "type", o->in, "has keys that are not strings");
}

static bool has_member(const struct object_check *o, size_t i) {
    return (o->seen[i / 64] >> i % 64 & 1) != 0;
}

static bool check_required(struct object_check *o) {
    bool ok = true;
    for (size_t i = 0; i < o->n->names.required_count; i++) {
        size_t at = o->n->names.required[i];
        if (has_member(o, at))
            continue;
        ok = schema_fault_missing(o->c, o->n, o->in, &o->n->names.list[at]);
        if (schema_enough(o->c))
            return false;
    }
    return ok;
}

static bool check_dependents(struct object_check *o) {
    bool ok = true;
    for (size_t i = 0; i < o->n->names.count; i++) {
        const struct schema_name *name = &o->n->names.list[i];
        if (!has_member(o, i))
            continue;
        for (size_t k = 0; k < name->need_count; k++) {
            if (!has_member(o, name->needs[k]))
                ok = schema_fault(o->c, o->n, "dependentRequired", o->in,
                                  "needs the property \"%s\", because \"%s\" is there",
                                  o->n->names.list[name->needs[k]].key, name->key);
        }
        if (name->dependent != NULL && (ok || !schema_enough(o->c)))
            ok = check_node(o->c, name->dependent, o->in, o->ev) && ok;
        if (!ok && schema_enough(o->c))
            return false;
    }
    return ok;
}

static bool check_members_count(const struct object_check *o) {
    const struct schema_node *n = o->n;
    if (o->count < n->min_properties)
        return schema_fault(o->c, n, "minProperties", o->in, "needs at least %zu propert%s, has %zu", n->min_properties,
                            n->min_properties == 1 ? "y" : "ies", o->count);
    if (o->count > n->max_properties)
        return schema_fault(o->c, n, "maxProperties", o->in, "must have at most %zu propert%s, has %zu",
                            n->max_properties, n->max_properties == 1 ? "y" : "ies", o->count);
    return true;
}

static bool check_object(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                         struct evaluated *ev) {
    struct object_check o = {.c = c, .n = n, .in = in, .ev = ev};
    o.seen = o.seen_inline;
    if (n->names.count > 128) {
        o.seen = moon_arena_zalloc(&c->report->arena, n->names.count / 64 + 1, sizeof *o.seen);
        if (o.seen == NULL)
            return schema_give_up(c, MOON_ENOMEM, n);
    }
    bool ok = walk_members(&o);
    if (!ok && schema_enough(c))
        return false;
    if (n->names.required_count > 0)
        ok = check_required(&o) && ok;
    if (n->names.any_dependent && (ok || !schema_enough(c)))
        ok = check_dependents(&o) && ok;
    return (ok || !schema_enough(c)) ? check_members_count(&o) && ok : false;
}

/* ---- in place: $ref, allOf, anyOf, oneOf, not, if ---- */

/* Whether n holds, without a word about it; what it evaluated goes to ev only then. */
static bool holds(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                  struct evaluated *ev) {
    struct evaluated own;
    if (ev != NULL)
        evaluated_init(&own);
    c->quiet++;
    bool ok = check_node(c, n, in, ev != NULL ? &own : NULL);
    c->quiet--;
    if (ok && ev != NULL)
        evaluated_merge(c, ev, &own);
    return ok;
}

/* None of the alternatives holds: one fault that says of each what is wrong first. */
static bool fault_none(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                       const char *keyword, const struct schema_list *list) {
    if (schema_enough(c))
        return false;
    if (list->count == 1) /* what the only one says is fault enough */
        return check_node(c, list->items[0], in, NULL);
    char *why = moon_arena_zalloc(&c->report->arena, 1, WHY_SIZE);
    size_t len = 0;
    if (why == NULL)
        return schema_give_up(c, MOON_ENOMEM, n);
    for (size_t i = 0; i < list->count && len < WHY_SIZE - 100 && c->rc == 0; i++) {
        size_t mark = c->report->count;
        len += (size_t)snprintf(why + len, WHY_SIZE - len, "%s(%zu) ", i > 0 ? "; " : "", i + 1);
        check_node(c, list->items[i], in, NULL);
        len = schema_faults_fold(c, mark, in, why, len, WHY_SIZE);
    }
    return schema_fault(c, n, keyword, in, "matches none of the %zu alternatives: %s", list->count, why);
}

static bool check_any(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                      struct evaluated *ev) {
    bool any = false;
    for (size_t i = 0; i < n->any_of.count && c->rc == 0; i++) {
        any |= holds(c, n->any_of.items[i], in, ev);
        if (any && ev == NULL)
            return true;
    }
    return any ? c->rc == 0 : fault_none(c, n, in, "anyOf", &n->any_of);
}

static bool check_one(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                      struct evaluated *ev) {
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
                     struct evaluated *ev) {
    bool yes = holds(c, n->if_, in, ev);
    const struct schema_node *next = yes ? n->then : n->else_;
    return c->rc == 0 && (next == NULL || check_node(c, next, in, ev));
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

static bool check_in_place(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                           struct evaluated *ev) {
    bool ok = true;
    if (n->ref != NULL)
        ok = check_node(c, n->ref, in, ev);
    if (n->dynamic_ref != NULL && (ok || !schema_enough(c)))
        ok = check_node(c, dynamic_target(c, n), in, ev) && ok;
    for (size_t i = 0; i < n->all_of.count && (ok || !schema_enough(c)); i++)
        ok = check_node(c, n->all_of.items[i], in, ev) && ok;
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
                       const struct schema_instance *in, const struct evaluated *ev, const char *keyword) {
    struct moon_schema_walk w;
    bool ok = true;
    c->ops->walk(c->ud, in->node, in->view.type == MOON_JSON_OBJECT, &w);
    while (c->ops->next(c->ud, &w) > 0) {
        struct schema_instance child;
        if (evaluated_has(ev, w.at))
            continue;
        step_to(c, &child, in, &w);
        if (!rest->never) {
            ok = check_node(c, rest, &child, NULL) && ok;
        } else {
            ok = w.object ? schema_fault_unknown(c, n, keyword, &child)
                          : schema_fault(c, n, keyword, &child, "is one item too many");
        }
        if (!ok && schema_enough(c)) {
            c->ops->leave(c->ud, &w);
            return false;
        }
    }
    return ok;
}

static bool check_unevaluated(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                              struct evaluated *ev) {
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

/* ---- a node ---- */

/* The node's own keywords about the kind of value that in is. */
static bool check_kind(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                       struct evaluated *ev) {
    switch (in->view.type) {
    case MOON_JSON_INT:
    case MOON_JSON_NUMBER:
        return !n->about_numbers || schema_check_number(c, n, in);
    case MOON_JSON_STRING:
        return !n->about_strings || schema_check_string(c, n, in);
    case MOON_JSON_ARRAY:
        return !n->about_arrays || check_array(c, n, in, ev);
    case MOON_JSON_OBJECT:
        return !n->about_objects || check_object(c, n, in, ev);
    case MOON_JSON_END:
        return n->types != 0 || schema_fault(c, n, "type", in, "is not a JSON value"); /* `type` has said it */
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
                      struct evaluated *ev) {
    bool ok = n->types == 0 || (n->types & certain_types[in->view.type]) != 0 || schema_check_type(c, n, in);
    if (ok && (n->choices != NULL || n->constant != NULL))
        ok = schema_check_constants(c, n, in);
    if (!ok && schema_enough(c))
        return false;
    ok &= check_kind(c, n, in, ev);
    if (!ok && schema_enough(c))
        return false;
    return !n->in_place ? ok : check_in_place(c, n, in, ev) && ok;
}

static bool check_scoped(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                         struct evaluated *ev) {
    if (n->unevaluated_items == NULL && n->unevaluated_properties == NULL)
        return check_all(c, n, in, ev);
    struct evaluated own; /* cousins don't count: only what this node and its subschemas evaluate */
    evaluated_init(&own);
    bool ok = check_all(c, n, in, &own);
    if (!ok && schema_enough(c))
        return false;
    ok = check_unevaluated(c, n, in, &own) && ok;
    if (ev != NULL)
        evaluated_merge(c, ev, &own);
    return ok;
}

static bool check_node(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                       struct evaluated *ev) {
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
    bool ok = check_node(&c, schema->root, &root, NULL);
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
