/* json_tree_write.c - canonical text of a tree: moon_json_write of moongate/json_value.h. */
#include "moongate/json_value.h"

#include "json_tree.h"

#include <inttypes.h>
#include <stdlib.h>

#define SMALL 32 /* members sorted on the C stack */

static int write_value(struct moon_buf *b, const struct moon_json_value *v, bool wide);

static int write_members(struct moon_buf *b, const struct moon_json_value *v, struct moon_json_entry *entries,
                         bool wide) {
    size_t n = v->u.object.len;
    int rc = moon_buf_putc(b, '{');
    for (size_t i = 0; i < n; i++) {
        const struct moon_json_member *m = &v->u.object.members[i];
        entries[i].key = m->key;
        entries[i].len = m->key_len;
        entries[i].item = &m->value;
    }
    moon_json_sort(entries, n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (i > 0)
            rc = moon_buf_putc(b, ',');
        if (rc == 0)
            rc = moon_json_put_string(b, entries[i].key, entries[i].len);
        if (rc == 0)
            rc = moon_buf_putc(b, ':');
        if (rc == 0)
            rc = write_value(b, entries[i].item, wide);
    }
    return rc != 0 ? rc : moon_buf_putc(b, '}');
}

static int write_object(struct moon_buf *b, const struct moon_json_value *v, bool wide) {
    struct moon_json_entry small[SMALL], *large;
    if (v->u.object.len <= SMALL)
        return write_members(b, v, small, wide);
    large = malloc(v->u.object.len * sizeof *large);
    if (large == NULL)
        return MOON_ENOMEM;
    int rc = write_members(b, v, large, wide);
    free(large);
    return rc;
}

static int write_array(struct moon_buf *b, const struct moon_json_value *v, bool wide) {
    int rc = moon_buf_putc(b, '[');
    for (size_t i = 0; i < v->u.array.len && rc == 0; i++) {
        if (i > 0)
            rc = moon_buf_putc(b, ',');
        if (rc == 0)
            rc = write_value(b, &v->u.array.items[i], wide);
    }
    return rc != 0 ? rc : moon_buf_putc(b, ']');
}

static int write_value(struct moon_buf *b, const struct moon_json_value *v, bool wide) {
    int rc;
    switch (v->type) {
    case MOON_JSON_NULL:
        return moon_buf_puts(b, "null");
    case MOON_JSON_TRUE:
        return moon_buf_puts(b, "true");
    case MOON_JSON_FALSE:
        return moon_buf_puts(b, "false");
    case MOON_JSON_INT:
        rc = moon_json_put_int(b, v->u.integer);
        return rc == MOON_ERANGE && wide ? moon_buf_printf(b, "%" PRId64, v->u.integer) : rc;
    case MOON_JSON_NUMBER:
        return moon_json_put_number(b, v->u.number);
    case MOON_JSON_STRING:
        return moon_json_put_string(b, v->u.string.data, v->u.string.len);
    case MOON_JSON_ARRAY:
        return write_array(b, v, wide);
    case MOON_JSON_OBJECT:
        return write_object(b, v, wide);
    default:
        return MOON_EINVAL;
    }
}

int moon_json_write(struct moon_buf *b, const struct moon_json_value *v) {
    return write_value(b, v, false);
}

int json_tree_write_wide(struct moon_buf *b, const struct moon_json_value *v) {
    return write_value(b, v, true);
}
