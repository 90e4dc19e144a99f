/* merkle.h - the Merkle tree of RFC 6962, section 2.1, over lines that come one after the other.
 *
 * The tree is kept as its frontier: the roots of its full subtrees, largest first, one for each bit of its size. That
 * is all that is needed to go on and to tell the root, so a log of any length takes constant memory. */
#ifndef MOONGATE_MERKLE_H
#define MOONGATE_MERKLE_H

#include "moongate/digest.h"

#include <stdbool.h>
#include <stdint.h>

#define MOON_MERKLE_LEVELS 63 /* a size fits int64_t */

struct moon_merkle {
    int64_t size;      /* leaves */
    unsigned subtrees; /* in use: as many as size has bits set */
    unsigned char subtree[MOON_MERKLE_LEVELS][MOON_SHA256_SIZE];
};

/* The path that proves one leaf. Filled while leaves are added behind moon_merkle_path_init. */
struct moon_merkle_path {
    int64_t index; /* from 0 */
    unsigned len;
    unsigned char node[MOON_MERKLE_LEVELS][MOON_SHA256_SIZE]; /* from the leaf up */
};

void moon_merkle_init(struct moon_merkle *m); /* the empty tree */
void moon_merkle_path_init(struct moon_merkle_path *p, int64_t index);

/* SHA-256(0x00 || line). 0 or MOON_ENOMEM, as all below. */
int moon_merkle_leaf(struct moon_hasher *h, const void *line, size_t len, unsigned char out[MOON_SHA256_SIZE]);
/* Adds a full subtree of 2^height leaves; 0 is one leaf. The size must be a multiple of 2^height, and the subtree must
 * not hold the path's leaf unless it is that leaf (MOON_EINVAL). path may be NULL. */
int moon_merkle_add(struct moon_merkle *m, struct moon_hasher *h, unsigned height,
                    const unsigned char root[MOON_SHA256_SIZE], struct moon_merkle_path *path);
/* The root of what has been added; SHA-256 of nothing for the empty tree. Completes path, which must be in the tree and
 * have been given to every _add (MOON_EINVAL). path may be NULL. */
int moon_merkle_root(const struct moon_merkle *m, struct moon_hasher *h, struct moon_merkle_path *path,
                     unsigned char out[MOON_SHA256_SIZE]);
/* The root that a leaf and its path in a tree of `size` leaves give (RFC 9162, 2.1.3.2). MOON_EVERIFY: the path has a
 * wrong length, or the index is not in the tree. */
int moon_merkle_root_of_path(struct moon_hasher *h, int64_t index, int64_t size,
                             const unsigned char leaf[MOON_SHA256_SIZE], const unsigned char (*nodes)[MOON_SHA256_SIZE],
                             unsigned count, unsigned char out[MOON_SHA256_SIZE]);
/* How many subtrees the frontier of a tree of that size has. */
unsigned moon_merkle_subtrees(int64_t size);

#endif
