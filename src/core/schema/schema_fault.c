/* schema_fault.c - what is wrong, in words a person can act on, and in order: items by number, members by key. */
#include "schema_check.h"

#include "../arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- places ---- */

static size_t token_len(const struct schema_instance *in) {
    char digits[24];
    if (in->key == NULL)
        return (size_t)snprintf(digits, sizeof digits, "%zu", in->at);
    return moon_json_pointer_token(in->key, in->key_len, NULL);
}

/* Writes the token so that it ends before `end`; returns its start. */
static char *put_token(char *end, const struct schema_instance *in) {
    char digits[24];
    if (in->key == NULL) {
        size_t n = (size_t)snprintf(digits, sizeof digits, "%zu", in->at);
        return memcpy(end - n, digits, n);
    }
    end -= token_len(in);
    moon_json_pointer_token(in->key, in->key_len, end);
    return end;
}

/* The JSON Pointer from below `top` (NULL: the root) to in. */
static const char *pointer_to(struct schema_checker *c, const struct schema_instance *in,
                              const struct schema_instance *top) {
    size_t len = 0;
    for (const struct schema_instance *i = in; i != top && i->up != NULL; i = i->up)
        len += 1 + token_len(i);
    char *path = moon_arena_alloc(&c->report->arena, len + 1), *at = path + len;
    if (path == NULL)
        return NULL;
    *at = '\0';
    for (const struct schema_instance *i = in; i != top && i->up != NULL; i = i->up) {
        at = put_token(at, i);
        *--at = '/';
    }
    return path;
}

/* What sorts as the places do: for each step 1, then four bytes of the number or the key's bytes and a 0. */
static const char *order_of(struct schema_checker *c, const struct schema_instance *in, size_t *len) {
    size_t n = 0;
    for (const struct schema_instance *i = in; i->up != NULL; i = i->up)
        n += i->key == NULL ? 5 : i->key_len + 2;
    char *order = moon_arena_alloc(&c->report->arena, n + 1), *at = order + n;
    *len = n;
    for (const struct schema_instance *i = in; order != NULL && i->up != NULL; i = i->up) {
        if (i->key == NULL) {
            for (int shift = 0; shift < 32; shift += 8)
                *--at = (char)(i->at >> shift);
        } else {
            *--at = '\0';
            at -= i->key_len;
            memcpy(at, i->key, i->key_len);
        }
        *--at = 1;
    }
    return order;
}

static int compare(const void *pa, const void *pb) {
    const struct moon_schema_fault *a = pa, *b = pb;
    size_t n = a->order_len < b->order_len ? a->order_len : b->order_len;
    int order = n > 0 ? memcmp(a->order, b->order, n) : 0;
    if (order == 0 && a->order_len != b->order_len)
        order = a->order_len < b->order_len ? -1 : 1;
    return order != 0 ? order : a->seq < b->seq ? -1 : a->seq > b->seq;
}

void schema_faults_sort(struct moon_schema_report *report) {
    if (report->count > 1)
        qsort(report->faults, report->count, sizeof *report->faults, compare);
}

/* ---- faults ---- */

bool schema_give_up(struct schema_checker *c, int rc, const struct schema_node *n) {
    if (c->rc == 0) {
        c->rc = rc;
        c->failed_at = n != NULL ? n->where : NULL;
    }
    return false;
}

static bool grow(struct moon_schema_report *report) {
    if (report->count < report->cap)
        return true;
    size_t cap = report->cap != 0 ? report->cap * 2 : 16;
    struct moon_schema_fault *faults = realloc(report->faults, cap * sizeof *faults);
    if (faults == NULL)
        return false;
    report->faults = faults;
    report->cap = cap;
    return true;
}

static const char *schema_pointer(struct schema_checker *c, const struct schema_node *n, const char *keyword) {
    size_t len = strlen(n->where), klen = strlen(keyword);
    char *path = moon_arena_alloc(&c->report->arena, len + klen + 2);
    if (path == NULL)
        return NULL;
    memcpy(path, n->where, len);
    if (klen > 0)
        path[len++] = '/';
    memcpy(path + len, keyword, klen + 1);
    return path;
}

bool schema_fault(struct schema_checker *c, const struct schema_node *n, const char *keyword,
                  const struct schema_instance *in, const char *fmt, ...) {
    struct moon_schema_report *r = c->report;
    char text[900];
    va_list ap;
    if (c->quiet > 0 || c->rc != 0)
        return false;
    if (r->count >= MOON_SCHEMA_FAULTS_MAX) {
        r->more = true;
        return false;
    }
    size_t len = in->is_name ? (size_t)snprintf(text, sizeof text, "its name ") : 0;
    va_start(ap, fmt);
    vsnprintf(text + len, sizeof text - len, fmt, ap);
    va_end(ap);
    len = moon_utf8_valid(text, strlen(text)); /* cut at a character's boundary */
    struct moon_schema_fault f = {.keyword = keyword, .seq = r->count};
    f.pointer = pointer_to(c, in, NULL);
    f.message = moon_arena_copy(&r->arena, text, len);
    f.schema_pointer = schema_pointer(c, n, keyword);
    f.order = order_of(c, in, &f.order_len);
    if (f.pointer == NULL || f.message == NULL || f.schema_pointer == NULL || f.order == NULL || !grow(r))
        return schema_give_up(c, MOON_ENOMEM, n);
    r->faults[r->count++] = f;
    return false;
}

bool schema_fault_unknown(struct schema_checker *c, const struct schema_node *n, const char *keyword,
                          const struct schema_instance *in) {
    size_t before = c->report->count;
    const char *near = c->quiet == 0 ? schema_names_near(&n->names, in->key, in->key_len) : NULL;
    if (near != NULL)
        schema_fault(c, n, keyword, in, "is not a known property; did you mean \"%s\"?", near);
    else
        schema_fault(c, n, keyword, in, "is not a known property");
    if (c->report->count > before)
        c->report->faults[before].near = near;
    return false;
}

bool schema_fault_missing(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                          const struct schema_name *name) {
    size_t before = c->report->count;
    schema_fault(c, n, "required", in, "needs the property \"%s\"", name->key);
    if (c->report->count > before) {
        c->report->faults[before].property = name->key;
        c->report->faults[before].property_len = name->len;
    }
    return false;
}

size_t schema_faults_fold(struct schema_checker *c, size_t mark, const struct schema_instance *in, char *out,
                          size_t len, size_t size) {
    struct moon_schema_report *r = c->report;
    const char *top = c->rc == 0 ? pointer_to(c, in, NULL) : NULL;
    if (top != NULL && r->count > mark) {
        const struct moon_schema_fault *f = &r->faults[mark];
        const char *below = f->pointer + strlen(top);
        int n = snprintf(out + len, size - len, "%s%s%s", below, *below != '\0' ? " " : "", f->message);
        len = n > 0 && (size_t)n < size - len ? len + (size_t)n : size - 1;
    }
    r->count = mark;
    return len;
}

/* ---- values in messages ---- */

const char *schema_type_name(enum moon_json_type type) {
    switch (type) {
    case MOON_JSON_NULL:
        return "null";
    case MOON_JSON_TRUE:
    case MOON_JSON_FALSE:
        return "a boolean";
    case MOON_JSON_INT:
    case MOON_JSON_NUMBER:
        return "a number";
    case MOON_JSON_STRING:
        return "a string";
    case MOON_JSON_ARRAY:
        return "an array";
    case MOON_JSON_OBJECT:
        return "an object";
    default:
        return "no JSON value";
    }
}

/* A string in quotes, shortened to whole characters, control characters as '?'. */
static void preview_string(const struct moon_schema_view *v, char out[SCHEMA_PREVIEW]) {
    size_t n = v->len < 50 ? v->len : 50, o = 0;
    n = moon_utf8_valid(v->text, n);
    out[o++] = '"';
    for (size_t i = 0; i < n; i++)
        out[o++] = (unsigned char)v->text[i] < 0x20 || v->text[i] == 0x7f ? '?' : v->text[i];
    snprintf(out + o, SCHEMA_PREVIEW - o, "%s\"", n < v->len ? "..." : "");
}

const char *schema_preview(const struct schema_instance *in, char out[SCHEMA_PREVIEW]) {
    const struct moon_schema_view *v = &in->view;
    switch (v->type) {
    case MOON_JSON_TRUE:
    case MOON_JSON_FALSE:
        snprintf(out, SCHEMA_PREVIEW, "%s", v->type == MOON_JSON_TRUE ? "true" : "false");
        return out;
    case MOON_JSON_INT:
        snprintf(out, SCHEMA_PREVIEW, "%lld", (long long)v->integer);
        return out;
    case MOON_JSON_NUMBER: {
        struct moon_buf b = MOON_BUF_INIT; /* no Lua code can run here */
        const char *text = moon_json_put_number(&b, v->number) == 0 ? b.data : "a number";
        snprintf(out, SCHEMA_PREVIEW, "%s", text);
        moon_buf_release(&b);
        return out;
    }
    case MOON_JSON_STRING:
        preview_string(v, out);
        return out;
    default:
        snprintf(out, SCHEMA_PREVIEW, "%s", schema_type_name(v->type));
        return out;
    }
}
