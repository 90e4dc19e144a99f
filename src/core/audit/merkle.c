/* merkle.c - RFC 6962 tree hashes, kept as the frontier of full subtrees. Pure: hashes in, hashes out. */
#include "moongate/merkle.h"

#include <string.h>

void moon_merkle_init(struct moon_merkle *m) {
    m->size = 0;
    m->subtrees = 0;
}

void moon_merkle_path_init(struct moon_merkle_path *p, int64_t index) {
    p->index = index;
    p->len = 0;
}

unsigned moon_merkle_subtrees(int64_t size) {
    unsigned n = 0;
    for (uint64_t rest = (uint64_t)size; rest; rest &= rest - 1)
        n++;
    return n;
}

int moon_merkle_leaf(struct moon_hasher *h, const void *line, size_t len, unsigned char out[MOON_SHA256_SIZE]) {
    const void *const parts[] = {"\0", line};
    const size_t lens[] = {1, len};
    return moon_sha256_parts(h, parts, lens, 2, out);
}

/* SHA-256(0x01 || left || right). out may be left or right. */
static int node(struct moon_hasher *h, const unsigned char *left, const unsigned char *right, unsigned char *out) {
    const void *const parts[] = {"\1", left, right};
    const size_t lens[] = {1, MOON_SHA256_SIZE, MOON_SHA256_SIZE};
    return moon_sha256_parts(h, parts, lens, 3, out);
}

static bool holds(const struct moon_merkle_path *path, int64_t first, int64_t leaves) {
    return path && path->index >= first && path->index - first < leaves;
}

static int note_sibling(struct moon_merkle_path *path, const unsigned char *hash) {
    if (path->len >= MOON_MERKLE_LEVELS)
        return MOON_EINVAL;
    memcpy(path->node[path->len++], hash, MOON_SHA256_SIZE);
    return 0;
}

int moon_merkle_add(struct moon_merkle *m, struct moon_hasher *h, unsigned height,
                    const unsigned char root[MOON_SHA256_SIZE], struct moon_merkle_path *path) {
    if (height >= MOON_MERKLE_LEVELS - 1 || m->size > INT64_MAX - ((int64_t)1 << height))
        return MOON_EINVAL;
    int64_t leaves = (int64_t)1 << height, first = m->size;
    unsigned char sum[MOON_SHA256_SIZE];
    unsigned left = m->subtrees;
    if (m->size % leaves != 0 || (height > 0 && holds(path, first, leaves)))
        return MOON_EINVAL;
    memcpy(sum, root, sizeof sum);
    /* As in a binary counter: a subtree as large as the new one to its left makes one of twice the size with it. */
    for (int64_t have = m->size / leaves; have & 1; have /= 2) {
        const unsigned char *sibling = m->subtree[--left];
        int rc = 0;
        if (holds(path, first, leaves))
            rc = note_sibling(path, sibling);
        else if (holds(path, first - leaves, leaves))
            rc = note_sibling(path, sum);
        if (rc == 0)
            rc = node(h, sibling, sum, sum);
        if (rc != 0)
            return rc;
        first -= leaves;
        leaves *= 2;
    }
    memcpy(m->subtree[left], sum, sizeof sum);
    m->subtrees = left + 1;
    m->size += (int64_t)1 << height;
    return 0;
}

int moon_merkle_root(const struct moon_merkle *m, struct moon_hasher *h, struct moon_merkle_path *path,
                     unsigned char out[MOON_SHA256_SIZE]) {
    if (path && !holds(path, 0, m->size))
        return MOON_EINVAL;
    if (m->subtrees == 0)
        return moon_sha256(h, "", 0, out);
    /* From the smallest subtree, which is the rightmost, to the largest. */
    unsigned i = m->subtrees - 1;
    int64_t size = m->size & -m->size, first = m->size - size, rest = first;
    memcpy(out, m->subtree[i], MOON_SHA256_SIZE);
    while (i-- > 0) {
        int64_t leaves = rest & -rest;
        int rc = 0;
        rest -= leaves;
        if (holds(path, first, m->size - first))
            rc = note_sibling(path, m->subtree[i]);
        else if (holds(path, rest, leaves))
            rc = note_sibling(path, out);
        if (rc == 0)
            rc = node(h, m->subtree[i], out, out);
        if (rc != 0)
            return rc;
        first = rest;
    }
    return 0;
}

int moon_merkle_root_of_path(struct moon_hasher *h, int64_t index, int64_t size,
                             const unsigned char leaf[MOON_SHA256_SIZE], const unsigned char (*nodes)[MOON_SHA256_SIZE],
                             unsigned count, unsigned char out[MOON_SHA256_SIZE]) {
    if (index < 0 || index >= size)
        return MOON_EVERIFY;
    uint64_t fn = (uint64_t)index, sn = (uint64_t)size - 1;
    memcpy(out, leaf, MOON_SHA256_SIZE);
    for (unsigned i = 0; i < count; i++) {
        int rc;
        if (sn == 0)
            return MOON_EVERIFY;
        if ((fn & 1) || fn == sn) {
            rc = node(h, nodes[i], out, out);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            rc = node(h, out, nodes[i], out);
        }
        if (rc != 0)
            return rc;
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 ? 0 : MOON_EVERIFY;
}
