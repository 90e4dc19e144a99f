/* json_order.c - the order of an object's members in RFC 8785: by the UTF-16 code units of their keys.
 *
 * In UTF-8 that is the order of the bytes, but for characters beyond U+FFFF (lead byte F0 or more): as surrogate pairs
 * they come before U+E000..U+FFFF (lead bytes EE, EF). Continuation bytes are below C0, so the first byte that differs
 * decides. */
#include "moongate/json.h"

#include <stdlib.h>
#include <string.h>

/* EE EF F0..F4 -> F3 F4 EE..F2 */
static unsigned char rank(unsigned char c) {
    if (c < 0xee)
        return c;
    return c < 0xf0 ? (unsigned char)(c + 5) : (unsigned char)(c - 2);
}

int moon_json_key_cmp(const char *a, size_t alen, const char *b, size_t blen) {
    size_t n = alen < blen ? alen : blen, i = 0;
    while (i < n && a[i] == b[i])
        i++;
    if (i < n)
        return rank((unsigned char)a[i]) < rank((unsigned char)b[i]) ? -1 : 1;
    return alen < blen ? -1 : alen > blen;
}

/* The first eight bytes as a number that sorts as they do. */
static uint64_t prefix_of(const char *key, size_t len) {
    const unsigned char *k = (const unsigned char *)key;
    uint64_t v = 0;
    if (len >= 8) {
        v = (uint64_t)k[0] << 56 | (uint64_t)k[1] << 48 | (uint64_t)k[2] << 40 | (uint64_t)k[3] << 32 |
            (uint64_t)k[4] << 24 | (uint64_t)k[5] << 16 | (uint64_t)k[6] << 8 |
            k[7]; /* one load and a byte swap to the compiler */
    } else {
        for (size_t i = 0; i < len; i++)
            v |= (uint64_t)k[i] << (56 - 8 * i);
    }
    if ((v & UINT64_C(0x8080808080808080)) == 0)
        return v;
    for (int shift = 0; shift < 64; shift += 8)
        v = (v & ~(UINT64_C(0xff) << shift)) | (uint64_t)rank((unsigned char)(v >> shift)) << shift;
    return v;
}

static int entry_cmp(const struct moon_json_entry *a, const struct moon_json_entry *b) {
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    return moon_json_key_cmp(a->key, a->len, b->key, b->len);
}

static int entry_qsort(const void *a, const void *b) {
    return entry_cmp(a, b);
}

void moon_json_sort(struct moon_json_entry *entries, size_t n) {
    for (size_t i = 0; i < n; i++)
        entries[i].prefix = prefix_of(entries[i].key, entries[i].len);
    if (n > 40) {
        qsort(entries, n, sizeof *entries, entry_qsort);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct moon_json_entry e = entries[i];
        size_t j = i;
        for (; j > 0 && entry_cmp(&e, &entries[j - 1]) < 0; j--)
            entries[j] = entries[j - 1];
        entries[j] = e;
    }
}
