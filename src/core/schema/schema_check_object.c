/* schema_check_object.c - the keywords about objects, in one walk over the members. */
#include "schema_check.h"

#include "../arena.h"

struct object_check {
    struct schema_checker *c;
    const struct schema_node *n;
    const struct schema_instance *in;
    struct schema_evaluated *ev;
    uint64_t *seen, seen_inline[2]; /* a bit for each of n->names */
    size_t count;
};

/* A member that neither properties nor patternProperties know. */
static bool check_additional(struct object_check *o, const struct schema_instance *child) {
    const struct schema_node *n = o->n;
    if (!n->additional->never)
        return schema_check_node(o->c, n->additional, child, NULL);
    if (o->c->quiet > 0)
        return false;
    const char *near = schema_names_near(&n->names, child->key, child->key_len);
    return near != NULL ? schema_fault(o->c, n, "additionalProperties", child,
                                       "is not a known property; did you mean \"%s\"?", near)
                        : schema_fault(o->c, n, "additionalProperties", child, "is not a known property");
}

static bool check_name(struct object_check *o, const struct schema_instance *child) {
    struct schema_instance name = *child;
    name.is_name = true;
    name.view = (struct moon_schema_view){.type = MOON_JSON_STRING, .text = child->key, .len = child->key_len};
    return schema_check_node(o->c, o->n->property_names, &name, NULL);
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
        ok = schema_check_node(o->c, p->node, child, NULL) && ok;
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
    schema_step(o->c, &child, o->in, w);
    if (i < n->names.count) {
        o->seen[i / 64] |= UINT64_C(1) << i % 64;
        if (n->names.list[i].property != NULL) {
            evaluated = true;
            ok = schema_check_node(o->c, n->names.list[i].property, &child, NULL);
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
        schema_evaluated_mark(o->c, o->ev, w->at);
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
    return more == 0 ? ok : schema_fault(o->c, o->n, "type", o->in, "has keys that are no strings");
}

/* ---- after the walk ---- */

static bool has(const struct object_check *o, size_t i) {
    return (o->seen[i / 64] >> i % 64 & 1) != 0;
}

static bool check_required(struct object_check *o) {
    bool ok = true;
    for (size_t i = 0; i < o->n->names.count; i++) {
        const struct schema_name *name = &o->n->names.list[i];
        if (!name->required || has(o, i))
            continue;
        ok = schema_fault(o->c, o->n, "required", o->in, "needs the property \"%s\"", name->key);
        if (schema_enough(o->c))
            return false;
    }
    return ok;
}

static bool check_dependents(struct object_check *o) {
    bool ok = true;
    for (size_t i = 0; i < o->n->names.count; i++) {
        const struct schema_name *name = &o->n->names.list[i];
        if (!has(o, i))
            continue;
        for (size_t k = 0; k < name->need_count; k++) {
            if (!has(o, name->needs[k]))
                ok = schema_fault(o->c, o->n, "dependentRequired", o->in,
                                  "needs the property \"%s\", because \"%s\" is there",
                                  o->n->names.list[name->needs[k]].key, name->key);
        }
        if (name->dependent != NULL && (ok || !schema_enough(o->c)))
            ok = schema_check_node(o->c, name->dependent, o->in, o->ev) && ok;
        if (!ok && schema_enough(o->c))
            return false;
    }
    return ok;
}

static bool check_count(const struct object_check *o) {
    const struct schema_node *n = o->n;
    if (o->count < n->min_properties)
        return schema_fault(o->c, n, "minProperties", o->in, "needs at least %zu propert%s, has %zu", n->min_properties,
                            n->min_properties == 1 ? "y" : "ies", o->count);
    if (o->count > n->max_properties)
        return schema_fault(o->c, n, "maxProperties", o->in, "must have at most %zu propert%s, has %zu",
                            n->max_properties, n->max_properties == 1 ? "y" : "ies", o->count);
    return true;
}

bool schema_check_object(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                         struct schema_evaluated *ev) {
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
    if (n->names.any_required)
        ok = check_required(&o) && ok;
    if (n->names.any_dependent && (ok || !schema_enough(c)))
        ok = check_dependents(&o) && ok;
    return (ok || !schema_enough(c)) ? check_count(&o) && ok : false;
}
