/* arena.c - memory that is freed as a whole: a list of blocks, the first one being filled. */
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 4096

struct block {
    struct block *next;
    size_t used, size;
    max_align_t data[];
};

void *moon_arena_alloc(void **arena, size_t size) {
    struct block *b = *arena;
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (b == NULL || b->size - b->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct block *fresh = malloc(sizeof *fresh + room);
        if (fresh == NULL)
            return NULL;
        fresh->used = 0;
        fresh->size = room;
        if (b != NULL && size > BLOCK_SIZE / 4) { /* continue to fill the first block */
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            *arena = fresh;
        }
        b = fresh;
    }
    void *p = (char *)b->data + b->used;
    b->used += size;
    return p;
}

void *moon_arena_zalloc(void **arena, size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / 2 / size)
        return NULL;
    void *p = moon_arena_alloc(arena, count * size);
    if (p != NULL && count * size > 0)
        memset(p, 0, count * size);
    return p;
}

char *moon_arena_copy(void **arena, const char *text, size_t len) {
    char *copy = moon_arena_alloc(arena, len + 1);
    if (copy == NULL)
        return NULL;
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void moon_arena_free(void **arena) {
    for (struct block *b = *arena, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    *arena = NULL;
}
