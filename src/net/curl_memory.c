/* curl_memory.c - see curl_memory.h.
 *
 * Each block has a head that says which list it goes back to. Only the owner thread uses the lists; libcurl's resolver
 * threads get their blocks from malloc, and what they free of the owner's they leave for it under a lock. */
#include "curl_memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define STEP  16
#define LISTS 256 /* blocks of up to 4 KiB, head included */
#define SLAB  ((size_t)64 << 10)

/* Lies in the eight bytes before what libcurl gets, which is aligned as malloc's. */
struct head {
    uint32_t list; /* the block's size in STEPs; 0: malloc's own */
    uint32_t unused;
};
/* What a free block holds where libcurl's data was. */
struct free_block {
    struct free_block *next;
};
struct slab {
    struct slab *next;
};

static struct free_block *lists[LISTS + 1];
static struct slab *slabs; /* all of them: they stay reachable */
static char *slab_at;      /* what is left of the newest: STEP * n + 8 */
static size_t slab_left;
static _Thread_local bool is_owner;
static size_t failed; /* the owner's allocations */

static pthread_mutex_t left_lock = PTHREAD_MUTEX_INITIALIZER;
static struct free_block *left_behind; /* by other threads */

static struct head *head_of(void *p) {
    return (struct head *)p - 1;
}

static void put(struct free_block *b, uint32_t list) {
    b->next = lists[list];
    lists[list] = b;
}

/* malloc aligns to STEP, so the head costs a whole one here. */
static void *from_malloc(size_t size) {
    char *p = size <= SIZE_MAX - STEP ? malloc(STEP + size) : NULL;
    if (!p) {
        failed += is_owner;
        return NULL;
    }
    head_of(p + STEP)->list = 0;
    return p + STEP;
}

/* The list is empty: take back what others have freed, or cut a new block. */
static void *refill(uint32_t list) {
    size_t size = (size_t)list * STEP;
    pthread_mutex_lock(&left_lock);
    struct free_block *b = left_behind;
    left_behind = NULL;
    pthread_mutex_unlock(&left_lock);
    while (b) {
        struct free_block *next = b->next;
        put(b, head_of(b)->list);
        b = next;
    }
    if ((b = lists[list])) {
        lists[list] = b->next;
        return b;
    }
    if (slab_left < size) {
        struct slab *s = malloc(SLAB);
        if (!s) {
            failed++;
            return NULL;
        }
        s->next = slabs;
        slabs = s;
        slab_at = (char *)s + sizeof *s; /* STEP - 8: a block's data begins at a STEP */
        slab_left = SLAB - STEP;
    }
    void *p = slab_at + sizeof(struct head);
    slab_at += size;
    slab_left -= size;
    head_of(p)->list = list;
    return p;
}

static void *take(size_t size) {
    if (!is_owner || size > LISTS * STEP - sizeof(struct head))
        return from_malloc(size);
    uint32_t list = (uint32_t)((size + sizeof(struct head) + STEP - 1) / STEP);
    struct free_block *b = lists[list];
    if (!b)
        return refill(list);
    lists[list] = b->next;
    __builtin_prefetch(b->next, 1); /* the next to be taken */
    return b;
}

static void give(void *p) {
    if (!p)
        return;
    uint32_t list = head_of(p)->list;
    if (list == 0) {
        free((char *)p - STEP);
    } else if (is_owner) {
        put(p, list);
    } else {
        struct free_block *b = p;
        pthread_mutex_lock(&left_lock);
        b->next = left_behind;
        left_behind = b;
        pthread_mutex_unlock(&left_lock);
    }
}

static void *resize(void *p, size_t size) {
    if (!p)
        return take(size);
    size_t room = (size_t)head_of(p)->list * STEP - sizeof(struct head);
    if (head_of(p)->list == 0) {
        char *to = size <= SIZE_MAX - STEP ? realloc((char *)p - STEP, STEP + size) : NULL;
        failed += !to && is_owner;
        return to ? to + STEP : NULL;
    }
    if (size <= room)
        return p;
    void *to = take(size);
    if (to) {
        memcpy(to, p, room);
        give(p);
    }
    return to;
}

static void *zeroed(size_t n, size_t size) {
    void *p = size == 0 || n <= SIZE_MAX / size ? take(n * size) : NULL;
    return p ? memset(p, 0, n * size) : NULL;
}

static char *copy(const char *s) {
    size_t n = strlen(s) + 1;
    void *p = take(n);
    return p ? memcpy(p, s, n) : NULL;
}

size_t moon_curl_memory_failed(void) {
    return failed;
}

CURLcode moon_curl_memory_init(void) {
#if defined(__SANITIZE_ADDRESS__)
    const bool lists_on = false; /* wrong uses are to be seen */
#else
    const bool lists_on = true;
#endif
    is_owner = true;
    return lists_on ? curl_global_init_mem(CURL_GLOBAL_DEFAULT, take, give, resize, copy, zeroed)
                    : curl_global_init(CURL_GLOBAL_DEFAULT);
}
