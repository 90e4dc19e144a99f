/* schema_tree.c - the values of json_value.h as what a schema checks. */
#include "moongate/schema.h"

#include "../json/json_tree.h"

static void tree_view(void *ud, struct moon_schema_node node, struct moon_schema_view *out) {
    const struct moon_json_value *v = node.ptr;
    (void)ud;
    *out = (struct moon_schema_view){.type = v->type};
    switch (v->type) {
    case MOON_JSON_INT:
        out->integer = v->u.integer;
        break;
    case MOON_JSON_NUMBER:
        out->number = v->u.number;
        break;
    case MOON_JSON_STRING:
        out->text = v->u.string.data;
        out->len = v->u.string.len;
        break;
    case MOON_JSON_ARRAY:
        out->len = v->u.array.len;
        break;
    default:
        break;
    }
}

static void tree_walk(void *ud, struct moon_schema_node node, bool object, struct moon_schema_walk *w) {
    (void)ud;
    *w = (struct moon_schema_walk){.parent = node, .at = SIZE_MAX, .object = object};
}

static int tree_next(void *ud, struct moon_schema_walk *w) {
    const struct moon_json_value *v = w->parent.ptr;
    size_t at = ++w->at;
    (void)ud;
    if (!w->object) {
        if (at >= v->u.array.len)
            return 0;
        w->child.ptr = &v->u.array.items[at];
        return 1;
    }
    if (at >= v->u.object.len)
        return 0;
    w->key = v->u.object.members[at].key;
    w->key_len = v->u.object.members[at].key_len;
    w->child.ptr = &v->u.object.members[at].value;
    return 1;
}

static void tree_leave(void *ud, struct moon_schema_walk *w) {
    (void)ud;
    (void)w;
}

static int tree_canonical(void *ud, struct moon_schema_node node, struct moon_buf *out) {
    (void)ud;
    return json_tree_write_wide(out, node.ptr);
}

int moon_schema_check_tree(const struct moon_schema *schema, const struct moon_json_value *value,
                           struct moon_schema_report *report, struct moon_err *err) {
    static const struct moon_schema_ops ops = {tree_view, tree_walk, tree_next, tree_leave, tree_canonical, true};
    return moon_schema_check(schema, &ops, NULL, (struct moon_schema_node){.ptr = value}, report, err);
}
