/* schema_names.c - the property names a schema node knows: looked up for each member of each object, and suggested for
 * misspelt ones. */
#include "schema_internal.h"

#include "../arena.h"

#include <string.h>

/* Of the length, the first and the last eight bytes: names that agree in all of these are rare, and compared anyway. */
static uint32_t hash(const char *key, size_t len) {
    uint64_t head = 0, tail = 0;
    if (len >= 8) {
        memcpy(&head, key, 8);
        memcpy(&tail, key + len - 8, 8);
    } else if (len >= 4) {
        uint32_t first, last;
        memcpy(&first, key, 4);
        memcpy(&last, key + len - 4, 4);
        head = first;
        tail = last;
    } else if (len > 0) {
        head = (unsigned char)key[0] | (uint64_t)(unsigned char)key[len / 2] << 8 |
               (uint64_t)(unsigned char)key[len - 1] << 16;
    }
    uint64_t h = (head ^ (tail << 23 | tail >> 41) ^ len) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32);
}

size_t schema_names_find(const struct schema_names *names, const char *key, size_t len) {
    if (names->count == 0)
        return 0;
    for (uint32_t at = hash(key, len);; at++) {
        uint32_t i = names->slots[at & names->mask];
        if (i == 0)
            return names->count;
        const struct schema_name *n = &names->list[i - 1];
        if (n->len == len && memcmp(n->key, key, len) == 0)
            return i - 1;
    }
}

int schema_names_reserve(struct schema_names *names, void **arena, size_t max) {
    uint32_t size = 4;
    if (max > UINT32_MAX / 8)
        return MOON_ENOMEM;
    while (size < max * 2)
        size *= 2;
    names->mask = size - 1;
    names->slots = moon_arena_zalloc(arena, size, sizeof *names->slots);
    names->list = moon_arena_zalloc(arena, max, sizeof *names->list);
    return names->slots != NULL && names->list != NULL ? 0 : MOON_ENOMEM;
}

struct schema_name *schema_names_add(struct schema_names *names, const char *key, size_t len) {
    size_t i = schema_names_find(names, key, len);
    if (i < names->count)
        return &names->list[i];
    uint32_t at = hash(key, len);
    while (names->slots[at & names->mask] != 0)
        at++;
    names->list[names->count].key = key;
    names->list[names->count].len = len;
    names->slots[at & names->mask] = (uint32_t)++names->count;
    return &names->list[names->count - 1];
}

/* ---- suggestions ---- */

#define NEAR_MAX 48 /* bytes; longer names are not compared */

static int lower(char c) {
    return c >= 'A' && c <= 'Z' ? c + 32 : (unsigned char)c;
}

/* Edits (insert, delete, replace, swap neighbours) that turn a into b, letters' case aside. */
static int distance(const char *a, size_t alen, const char *b, size_t blen) {
    int rows[3][NEAR_MAX + 1];
    for (size_t k = 0; k <= blen; k++)
        rows[0][k] = (int)k;
    for (size_t i = 1; i <= alen; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t k = 1; k <= blen; k++) {
            int best = above[k - 1] + (lower(a[i - 1]) != lower(b[k - 1]));
            if (above[k] + 1 < best)
                best = above[k] + 1;
            if (row[k - 1] + 1 < best)
                best = row[k - 1] + 1;
            if (i > 1 && k > 1 && lower(a[i - 1]) == lower(b[k - 2]) && lower(a[i - 2]) == lower(b[k - 1]) &&
                two_above[k - 2] + 1 < best)
                best = two_above[k - 2] + 1;
            row[k] = best;
        }
    }
    return rows[alen % 3][blen];
}

const char *schema_names_near(const struct schema_names *names, const char *key, size_t len) {
    const char *near = NULL;
    int best = len < 4 ? 1 : len < 8 ? 2 : 3;
    if (len > NEAR_MAX)
        return NULL;
    for (size_t i = 0; i < names->count; i++) {
        const struct schema_name *n = &names->list[i];
        if (n->len > NEAR_MAX || (n->len == len && memcmp(n->key, key, len) == 0))
            continue;
        int d = distance(key, len, n->key, n->len);
        if (d < best || (d == best && near == NULL)) {
            best = d;
            near = n->key;
        }
    }
    return near;
}
