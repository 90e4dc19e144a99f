/* schema_check_array.c - the keywords about arrays. */
#include "schema_check.h"

#include "../arena.h"

#include <stdlib.h>
#include <string.h>

/* ---- items, prefixItems, contains: one walk ---- */

static bool check_item(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *child,
                       struct schema_evaluated *ev, size_t *matched) {
    bool ok = true;
    if (child->at < n->prefix_items.count)
        ok = schema_check_node(c, n->prefix_items.items[child->at], child, NULL);
    else if (n->items != NULL)
        ok = schema_check_node(c, n->items, child, NULL);
    if (n->contains == NULL || (!ok && schema_enough(c)))
        return ok;
    c->quiet++;
    bool match = schema_check_node(c, n->contains, child, NULL);
    c->quiet--;
    *matched += match;
    if (match && ev != NULL)
        schema_evaluated_mark(c, ev, child->at);
    return ok && c->rc == 0;
}

static bool walk_items(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                       struct schema_evaluated *ev, size_t *matched) {
    struct moon_schema_walk w;
    bool ok = true;
    int more;
    c->ops->walk(c->ud, in->node, false, &w);
    while ((more = c->ops->next(c->ud, &w)) > 0) {
        struct schema_instance child;
        schema_step(c, &child, in, &w);
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

static int compare(const void *pa, const void *pb) {
    const struct span *a = pa, *b = pb;
    size_t n = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->text->data + a->start, b->text->data + b->start, n);
    if (order == 0 && a->len != b->len)
        order = a->len < b->len ? -1 : 1;
    return order != 0 ? order : a->at < b->at ? -1 : a->at > b->at;
}

static bool collect(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
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
    return rc == 0 && more >= 0 ? true : schema_fault(c, n, "uniqueItems", in, "holds something that is no JSON value");
}

static bool check_unique(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    struct span *spans = moon_arena_zalloc(&c->report->arena, in->view.len, sizeof *spans);
    size_t count;
    if (spans == NULL)
        return schema_give_up(c, MOON_ENOMEM, n);
    if (!collect(c, n, in, spans, &count))
        return false;
    qsort(spans, count, sizeof *spans, compare);
    const char *text = c->report->scratch.data;
    for (size_t i = 1; i < count; i++) {
        if (spans[i - 1].len == spans[i].len &&
            memcmp(text + spans[i - 1].start, text + spans[i].start, spans[i].len) == 0)
            return schema_fault(c, n, "uniqueItems", in, "must have no equal items; %zu and %zu are", spans[i - 1].at,
                                spans[i].at);
    }
    return true;
}

/* ---- all of them ---- */

static bool check_count(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    size_t len = in->view.len;
    if (len < n->min_items)
        return schema_fault(c, n, "minItems", in, "needs at least %zu item%s, has %zu", n->min_items,
                            n->min_items == 1 ? "" : "s", len);
    if (len > n->max_items)
        return schema_fault(c, n, "maxItems", in, "must have at most %zu item%s, has %zu", n->max_items,
                            n->max_items == 1 ? "" : "s", len);
    return true;
}

bool schema_check_array(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                        struct schema_evaluated *ev) {
    size_t len = in->view.len, matched = 0;
    bool ok = check_count(c, n, in);
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
