/* memory.c - the VM's allocator: the cap, the faults that tests ask for, and small blocks from slabs.
 *
 * Lua allocates and frees many small blocks. Lists of free blocks by size take a tenth of malloc's time for them, and
 * no header. A slab is given back when the VM is closed. Sanitizer builds leave all to malloc, to see wrong uses. */
#include "host_private.h"

#include <stdlib.h>
#include <string.h>

#define SLAB ((size_t)32 << 10)
#define STEP 16 /* sizes of blocks are its multiples; malloc's alignment */

#if defined(__SANITIZE_ADDRESS__)
#define SMALL 0
#else
#define SMALL (STEP * HOST_MEMORY_CLASSES) /* the largest block from a slab */
#endif

struct free_block {
    struct free_block *next;
};
struct slab {
    struct slab *next;
    char pad[STEP - sizeof(struct slab *)];
};

static inline size_t class_of(size_t size) {
    return (size - 1) / STEP;
}

/* The list is empty: a new block. */
static void *slab_cut(struct host_memory *m, size_t size) {
    if (m->slab_left < size) {
        struct slab *s = malloc(SLAB);
        if (!s)
            return NULL;
        s->next = m->slabs;
        m->slabs = s;
        m->slab_at = (char *)(s + 1);
        m->slab_left = SLAB - sizeof *s;
    }
    void *p = m->slab_at;
    m->slab_at += size;
    m->slab_left -= size;
    return p;
}

static inline void *slab_block(struct host_memory *m, size_t class) {
    struct free_block *b = m->free[class];
    if (!b)
        return slab_cut(m, (class + 1) * STEP);
    m->free[class] = b->next;
    __builtin_prefetch(b->next, 1); /* the next to be taken, and long out of the cache: the collector frees late */
    return b;
}

static inline void slab_free(struct host_memory *m, void *p, size_t class) {
    struct free_block *b = p;
    b->next = m->free[class];
    m->free[class] = b;
}

static void *resize(struct host_memory *m, void *p, size_t old, size_t size) {
    bool was_small = old && old <= SMALL, is_small = size <= SMALL;
    if (!was_small && !is_small)
        return realloc(p, size);
    if (was_small && is_small && class_of(old) == class_of(size))
        return p;
    void *to = is_small ? slab_block(m, class_of(size)) : malloc(size);
    if (!to && size < old)
        return p; /* shrinking must not fail: the block continues as a larger one of its new class */
    if (!to || !old)
        return to;
    memcpy(to, p, old < size ? old : size);
    if (was_small)
        slab_free(m, p, class_of(old));
    else
        free(p);
    return to;
}

void *host_allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
    struct host_memory *m = ud;
    size_t old = ptr ? osize : 0;
    if (nsize == 0) {
        m->used -= old;
        if (old && old <= SMALL)
            slab_free(m, ptr, class_of(old));
        else
            free(ptr);
        return NULL;
    }
    if (nsize > old) {
        if (__builtin_expect(nsize - old > m->limit || m->used > m->limit - (nsize - old), 0)) {
            m->limit_hit = true;
            return NULL;
        }
        if (m->fail_at && (++m->count == m->fail_at || (m->fail_on && m->count > m->fail_at)))
            return NULL;
    }
    void *p = !old && nsize <= SMALL ? slab_block(m, class_of(nsize)) : resize(m, ptr, old, nsize);
    if (p)
        m->used = m->used - old + nsize;
    return p;
}

void host_memory_release(struct host_memory *m) {
    while (m->slabs) {
        struct slab *s = m->slabs;
        m->slabs = s->next;
        free(s);
    }
}
