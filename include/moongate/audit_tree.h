/* audit_tree.h - the Merkle tree (merkle.h) over the lines of an audit log and of the segments that were rotated away:
 * leaf i, from 0, is the line of seq i + 1, without its line break. Blocking. Checks no chain: moon_audit_verify does.
 *
 * A segment that follows others begins with an event "audit_continued" whose members "size" and "frontier" stand for
 * all lines before it, so the tree goes on where older segments are not at hand.
 *
 * A log of a million lines takes a second to hash. Beside each file <file>.tree keeps the hashes of its full blocks of
 * MOON_AUDIT_TREE_BLOCK lines: a hint, never believed. Whoever uses a root compares it with a signed one, and asks
 * again without the hints when it differs. */
#ifndef MOONGATE_AUDIT_TREE_H
#define MOONGATE_AUDIT_TREE_H

#include "moongate/buf.h"
#include "moongate/err.h"
#include "moongate/merkle.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MOON_AUDIT_TREE_HEIGHT 10
#define MOON_AUDIT_TREE_BLOCK  (1 << MOON_AUDIT_TREE_HEIGHT)

struct moon_audit_tree_query {
    const char *const *files; /* segments in order, the log that is written to last */
    size_t nfiles;
    const int64_t *sizes; /* trees whose roots are wanted, ascending */
    size_t nsizes;
    int64_t index; /* whose path in the tree of the last size (or of all lines, if there is none) is wanted; -1: none */
    bool hints;    /* use <file>.tree */
    bool read_only; /* don't write it: it is written whatever `hints` says, so that a stale one is replaced */
};

struct moon_audit_tree_root {
    bool known; /* false: the tree is larger than the log, or of lines that are not here */
    unsigned char root[MOON_SHA256_SIZE];
};

struct moon_audit_tree {
    int64_t first;                        /* index of the first line in the files */
    int64_t size;                         /* lines up to the end, or up to the last size that was asked for */
    struct moon_merkle frontier;          /* of those */
    unsigned char root[MOON_SHA256_SIZE]; /* of those */
    struct moon_audit_tree_root *roots;   /* one for each size asked for */
    struct moon_merkle_path path;         /* for index */
    struct moon_buf line;                 /* for index */
};

/* A last line without a line break, or behind `end` of the file at the start, is not counted. MOON_ENOENT: a file, or
 * the line of `index`, is not there; MOON_EPARSE: a segment's first line does not tell where it goes on, or segments do
 * not follow each other; MOON_EVERIFY: a segment's first line tells another tree than the one before
 * it has; MOON_EIO, MOON_ENOMEM. Released by the caller in every case. */
int moon_audit_tree_read(const struct moon_audit_tree_query *query, struct moon_audit_tree *out, struct moon_err *err);
/* The tree of an open file's lines up to `end`, without hints; path is for messages. Takes no lock. */
int moon_audit_tree_of(int fd, off_t end, const char *path, struct moon_audit_tree *out, struct moon_err *err);
void moon_audit_tree_release(struct moon_audit_tree *tree);

#endif
