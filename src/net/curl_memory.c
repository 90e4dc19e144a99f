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

#define STEP  64
#define LISTS 64 /* blocks of up to 4 KiB, head included */
#define SLAB  ((size_t)64 << 10)

struct head {
    struct head *next; /* while it is free */
    uint32_t list;     /* its size in STEPs; 0: malloc's own */
    uint32_t unused;   /* what follows is aligned as malloc's */
};

static struct head *lists[LISTS + 1];
static struct head *slabs; /* all of them: they stay reachable */
static char *slab_at;      /* what is left of the newest */
static size_t slab_left;
static _Thread_local bool is_owner;

static pthread_mutex_t left_lock = PTHREAD_MUTEX_INITIALIZER;
static struct head *left_behind; /* by other threads */

static void put(struct head *h) {
    h->next = lists[h->list];
    lists[h->list] = h;
}

static struct head *from_malloc(size_t size) {
    struct head *h = size <= SIZE_MAX - sizeof *h ? malloc(sizeof *h + size) : NULL;
    if (h)
        h->list = 0;
    return h;
}

/* The list is empty: take back what others have freed, or cut a new block. */
static struct head *refill(uint32_t list) {
    size_t size = (size_t)list * STEP;
    pthread_mutex_lock(&left_lock);
    struct head *h = left_behind;
    left_behind = NULL;
    pthread_mutex_unlock(&left_lock);
    while (h) {
        struct head *next = h->next;
        put(h);
        h = next;
    }
    if (lists[list]) {
        h = lists[list];
        lists[list] = h->next;
        return h;
    }
    if (slab_left < size) {
        struct head *slab = malloc(SLAB);
        if (!slab)
            return NULL;
        slab->next = slabs;
        slabs = slab;
        slab_at = (char *)(slab + 1);
        slab_left = SLAB - sizeof *slab;
    }
    h = (struct head *)(void *)slab_at;
    slab_at += size;
    slab_left -= size;
    h->list = list;
    return h;
}

static void *take(size_t size) {
    struct head *h;
    if (!is_owner || size > LISTS * STEP - sizeof *h) {
        h = from_malloc(size);
    } else {
        uint32_t list = (uint32_t)((size + sizeof *h + STEP - 1) / STEP);
        if ((h = lists[list]))
            lists[list] = h->next;
        else
            h = refill(list);
    }
    return h ? h + 1 : NULL;
}

static void give(void *p) {
    if (!p)
        return;
    struct head *h = (struct head *)p - 1;
    if (h->list == 0) {
        free(h);
    } else if (is_owner) {
        put(h);
    } else {
        pthread_mutex_lock(&left_lock);
        h->next = left_behind;
        left_behind = h;
        pthread_mutex_unlock(&left_lock);
    }
}

static void *resize(void *p, size_t size) {
    if (!p)
        return take(size);
    struct head *h = (struct head *)p - 1;
    size_t room = (size_t)h->list * STEP - sizeof *h;
    if (h->list == 0) {
        h = size <= SIZE_MAX - sizeof *h ? realloc(h, sizeof *h + size) : NULL;
        return h ? h + 1 : NULL;
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
