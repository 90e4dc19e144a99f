/* json_value.c - a JSON document as a tree. Everything of a document lies in one arena, a list of blocks that is freed
 * as a whole. While an array or object is open its items wait on a stack; at its end they move to the arena in one
 * piece. */
#include "moongate/json_value.h"

#include "../arena.h"

#include <stdlib.h>
#include <string.h>

/* ---- parsing ---- */

struct builder {
    struct moon_json_reader reader;
    struct moon_json_token token;
    struct moon_json_member *stack; /* items of open arrays use only .value */
    size_t len, cap;
    void *arena;
    struct moon_err *err;
    bool lenient; /* of a key that comes twice the last is kept; else it is refused */
};

static int build_value(struct builder *b, struct moon_json_value *out);

static int no_memory(struct builder *b) {
    return moon_err_set(b->err, MOON_ENOMEM, "out of memory");
}

static int next(struct builder *b) {
    return moon_json_next(&b->reader, &b->token, b->err);
}

static int keep_string(struct builder *b, const char **data, size_t *len) {
    *data = moon_arena_copy(&b->arena, b->token.text, b->token.len);
    *len = b->token.len;
    return *data != NULL ? 0 : no_memory(b);
}

/* An empty place on the stack; returns its index. Pointers into the stack don't survive the next call. */
static int push(struct builder *b, size_t *index) {
    *index = b->len;
    if (b->len == b->cap) {
        size_t cap = b->cap != 0 ? b->cap * 2 : 32;
        struct moon_json_member *stack = realloc(b->stack, cap * sizeof *stack);
        if (stack == NULL)
            return no_memory(b);
        b->stack = stack;
        b->cap = cap;
    }
    b->len++;
    return 0;
}

static int compare_keys(const void *pa, const void *pb) {
    const struct moon_json_member *a = *(const struct moon_json_member *const *)pa;
    const struct moon_json_member *b = *(const struct moon_json_member *const *)pb;
    if (a->key_len != b->key_len)
        return a->key_len < b->key_len ? -1 : 1;
    return memcmp(a->key, b->key, a->key_len);
}

/* As compare_keys, those of one key in their order. */
static int compare_places(const void *pa, const void *pb) {
    const struct moon_json_member *a = *(const struct moon_json_member *const *)pa;
    const struct moon_json_member *b = *(const struct moon_json_member *const *)pb;
    int d = compare_keys(pa, pb);
    return d != 0 ? d : (a > b) - (a < b);
}

static bool same_key(const struct moon_json_member *a, const struct moon_json_member *b) {
    return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

static int fail_duplicate(struct builder *b, const struct moon_json_member *m) {
    size_t line, column;
    moon_json_where(&b->reader, &line, &column);
    return moon_err_set(b->err, MOON_EPARSE,
                        "line %zu, column %zu: the key \"%.100s\" comes twice in the object that ends here", line,
                        column, m->key);
}

/* Small objects are compared pairwise as they grow; large ones by sorting, when they end. */
#define PAIRWISE 16

static int check_duplicates(struct builder *b, const struct moon_json_member *m, size_t n) {
    const struct moon_json_member **sorted = malloc(n * sizeof *sorted);
    int rc = 0;
    if (sorted == NULL)
        return no_memory(b);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &m[i];
    qsort(sorted, n, sizeof *sorted, compare_keys);
    for (size_t i = 1; i < n && rc == 0; i++) {
        if (same_key(sorted[i - 1], sorted[i]))
            rc = fail_duplicate(b, sorted[i]);
    }
    free(sorted);
    return rc;
}

/* The members from base on without those that another of the same key follows. */
static int drop_duplicates(struct builder *b, size_t base) {
    size_t n = b->len - base, kept = 0;
    const struct moon_json_member **sorted = malloc((n + 1) * sizeof *sorted);
    if (sorted == NULL)
        return no_memory(b);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &b->stack[base + i];
    qsort(sorted, n, sizeof *sorted, compare_places);
    for (size_t i = 0; i + 1 < n; i++) {
        if (same_key(sorted[i], sorted[i + 1]))
            b->stack[sorted[i] - b->stack].key = NULL;
    }
    free(sorted);
    for (size_t i = base; i < b->len; i++) {
        if (b->stack[i].key != NULL)
            b->stack[base + kept++] = b->stack[i];
    }
    b->len = base + kept;
    return 0;
}

static int build_object(struct builder *b, struct moon_json_value *out) {
    size_t base = b->len, index;
    struct moon_json_value value;
    int rc;
    for (;;) {
        if ((rc = next(b)) != 0)
            return rc;
        if (b->token.type == MOON_JSON_OBJECT_END)
            break;
        if ((rc = push(b, &index)) != 0 || (rc = keep_string(b, &b->stack[index].key, &b->stack[index].key_len)) != 0)
            return rc;
        for (size_t i = base; i < index && index - base < PAIRWISE && !b->lenient; i++) {
            size_t line, column;
            if (!same_key(&b->stack[i], &b->stack[index]))
                continue;
            moon_json_where(&b->reader, &line, &column);
            return moon_err_set(b->err, MOON_EPARSE,
                                "line %zu, column %zu: the key \"%.100s\" comes twice in this object", line, column,
                                b->stack[i].key);
        }
        if ((rc = next(b)) != 0 || (rc = build_value(b, &value)) != 0)
            return rc;
        b->stack[index].value = value;
    }
    if (b->lenient && (rc = drop_duplicates(b, base)) != 0)
        return rc;
    size_t n = b->len - base;
    out->type = MOON_JSON_OBJECT;
    out->u.object.len = n;
    out->u.object.members = moon_arena_alloc(&b->arena, n * sizeof *out->u.object.members);
    if (out->u.object.members == NULL)
        return no_memory(b);
    if (n > 0)
        memcpy(out->u.object.members, b->stack + base, n * sizeof *b->stack);
    b->len = base;
    return n > PAIRWISE && !b->lenient ? check_duplicates(b, out->u.object.members, n) : 0;
}

static int build_array(struct builder *b, struct moon_json_value *out) {
    size_t base = b->len, index;
    struct moon_json_value value;
    int rc;
    for (;;) {
        if ((rc = next(b)) != 0)
            return rc;
        if (b->token.type == MOON_JSON_ARRAY_END)
            break;
        if ((rc = build_value(b, &value)) != 0 || (rc = push(b, &index)) != 0)
            return rc;
        b->stack[index].value = value;
    }
    size_t n = b->len - base;
    out->type = MOON_JSON_ARRAY;
    out->u.array.len = n;
    out->u.array.items = moon_arena_alloc(&b->arena, n * sizeof *out->u.array.items);
    if (out->u.array.items == NULL)
        return no_memory(b);
    for (size_t i = 0; i < n; i++)
        out->u.array.items[i] = b->stack[base + i].value;
    b->len = base;
    return 0;
}

/* The value whose first token is b->token. Recursion is bounded by the reader's depth. */
static int build_value(struct builder *b, struct moon_json_value *out) {
    out->type = b->token.type;
    switch (b->token.type) {
    case MOON_JSON_INT:
        out->u.integer = b->token.integer;
        return 0;
    case MOON_JSON_NUMBER:
        out->u.number = b->token.number;
        return 0;
    case MOON_JSON_STRING:
        return keep_string(b, &out->u.string.data, &out->u.string.len);
    case MOON_JSON_ARRAY:
        return build_array(b, out);
    case MOON_JSON_OBJECT:
        return build_object(b, out);
    default:
        return 0;
    }
}

static int parse(struct moon_json_doc *doc, const char *text, size_t len, bool lenient, struct moon_err *err) {
    struct builder b = {.err = err, .lenient = lenient};
    int rc;
    moon_json_reader_init(&b.reader, text, len, 0);
    rc = next(&b);
    if (rc == 0)
        rc = build_value(&b, &doc->root);
    if (rc == 0)
        rc = next(&b);
    moon_json_reader_release(&b.reader);
    free(b.stack);
    if (rc != 0) {
        moon_arena_free(&b.arena);
        return rc;
    }
    doc->arena = b.arena;
    return 0;
}

int moon_json_parse(struct moon_json_doc *doc, const char *text, size_t len, struct moon_err *err) {
    return parse(doc, text, len, false, err);
}

int moon_json_parse_lenient(struct moon_json_doc *doc, const char *text, size_t len, struct moon_err *err) {
    size_t n = moon_json_repair(text, len, MOON_JSON_LENIENT_DEPTH, NULL);
    char *repaired = malloc(n + 1);
    if (repaired == NULL)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    moon_json_repair(text, len, MOON_JSON_LENIENT_DEPTH, repaired);
    int rc = parse(doc, repaired, n, true, err);
    free(repaired);
    return rc;
}

void moon_json_doc_release(struct moon_json_doc *doc) {
    moon_arena_free(&doc->arena);
    doc->root.type = MOON_JSON_NULL;
}

/* ---- access ---- */

const struct moon_json_value *moon_json_get_n(const struct moon_json_value *object, const char *key, size_t len) {
    if (object == NULL || object->type != MOON_JSON_OBJECT)
        return NULL;
    for (size_t i = 0; i < object->u.object.len; i++) {
        const struct moon_json_member *m = &object->u.object.members[i];
        if (m->key_len == len && memcmp(m->key, key, len) == 0)
            return &m->value;
    }
    return NULL;
}

const struct moon_json_value *moon_json_get(const struct moon_json_value *object, const char *key) {
    return moon_json_get_n(object, key, strlen(key));
}

const char *moon_json_get_string(const struct moon_json_value *object, const char *key, size_t *len) {
    const struct moon_json_value *v = moon_json_get(object, key);
    if (v == NULL || v->type != MOON_JSON_STRING)
        return NULL;
    if (len != NULL)
        *len = v->u.string.len;
    return v->u.string.data;
}
