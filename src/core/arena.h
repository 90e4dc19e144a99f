/* arena.h - memory that is freed as a whole. Private to core. An arena is a `void *`, NULL at first; its owner frees
 * it. */
#ifndef MOONGATE_CORE_ARENA_H
#define MOONGATE_CORE_ARENA_H

#include <stddef.h>

/* size bytes aligned for anything, or NULL. size 0 gives a pointer that must not be read. */
void *moon_arena_alloc(void **arena, size_t size);
void *moon_arena_zalloc(void **arena, size_t count, size_t size);  /* zeroed; NULL also when count * size overflows */
char *moon_arena_copy(void **arena, const char *text, size_t len); /* with a NUL after it */
void moon_arena_free(void **arena);                                /* NULL-safe; *arena = NULL */

#endif
