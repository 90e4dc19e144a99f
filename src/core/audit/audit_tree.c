/* audit_tree.c - reads an audit log's segments into one Merkle tree: roots at sizes, a line's path, hints for next
 * time. */
#include "moongate/audit_tree.h"

#include "audit_line.h"
#include "moongate/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HINT_HEAD "moongate audit tree 1\n"
#define HINT_LINE 94 /* "%012" PRId64 " %015" PRId64 " %s\n" */
#define HINTS_MAX ((size_t)256 << 20)
#define BLOCK     MOON_AUDIT_TREE_BLOCK

/* What is being read. Lines of a full block are hashed apart, so that its root is a hint for the next time. */
struct reading {
    const struct moon_audit_tree_query *query;
    struct moon_audit_tree *out;
    struct moon_hasher *hasher;
    struct moon_merkle whole; /* up to the last full block, or line where blocks are not kept apart */
    struct moon_merkle block; /* behind it */
    bool apart;
    size_t next_size;      /* the first of the wanted sizes that has not come yet */
    struct moon_buf hints; /* of the file that is being read: HINT_LINEs without the head */
    bool hints_grew;
};

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

static int64_t size_now(const struct reading *r) {
    return r->whole.size + (r->apart ? r->block.size : 0);
}

/* The tree of what has been read, which lies in two parts in the middle of a block. */
static int joined(const struct reading *r, struct moon_merkle *out, struct moon_merkle_path *path) {
    int64_t left = r->apart ? r->block.size : 0;
    *out = r->whole;
    for (unsigned i = 0; left > 0; i++) {
        unsigned height = 0;
        while ((left >> (height + 1)) > 0)
            height++;
        int rc = moon_merkle_add(out, r->hasher, height, r->block.subtree[i], path);
        if (rc != 0)
            return rc;
        left -= (int64_t)1 << height;
    }
    return 0;
}

/* Fills in the roots that are wanted of the tree as it is now. */
static int note_size(struct reading *r, struct moon_err *err) {
    const struct moon_audit_tree_query *q = r->query;
    int64_t size = size_now(r);
    while (r->next_size < q->nsizes && q->sizes[r->next_size] <= size) {
        struct moon_audit_tree_root *root = &r->out->roots[r->next_size];
        root->known = q->sizes[r->next_size++] == size;
        struct moon_merkle m;
        if (root->known && (joined(r, &m, NULL) != 0 || moon_merkle_root(&m, r->hasher, NULL, root->root) != 0))
            return no_memory(err);
    }
    return 0;
}

static bool complete(const struct reading *r) {
    return r->query->nsizes > 0 && r->next_size == r->query->nsizes;
}

/* ---- hints ---- */

static int hint_name(const char *file, struct moon_buf *out, struct moon_err *err) {
    return moon_buf_printf(out, "%s.tree", file) != 0 ? no_memory(err) : 0;
}

/* A file that can't be read or is not ours is as good as none. */
static void load_hints(struct reading *r, const char *file) {
    struct moon_buf name = MOON_BUF_INIT, text = MOON_BUF_INIT;
    size_t head = strlen(HINT_HEAD);
    moon_buf_clear(&r->hints);
    r->hints_grew = false;
    if (r->query->hints && hint_name(file, &name, NULL) == 0 &&
        moon_file_read(name.data, HINTS_MAX, NULL, &text, NULL) == 0 && text.len > head &&
        memcmp(text.data, HINT_HEAD, head) == 0 && (text.len - head) % HINT_LINE == 0)
        moon_buf_append(&r->hints, text.data + head, text.len - head);
    moon_buf_release(&name);
    moon_buf_release(&text);
}

/* A folder that can't be written to costs time, nothing else. */
static void save_hints(struct reading *r, const char *file) {
    struct moon_buf name = MOON_BUF_INIT, text = MOON_BUF_INIT;
    if (r->hints_grew && !r->query->read_only && hint_name(file, &name, NULL) == 0 &&
        moon_buf_puts(&text, HINT_HEAD) == 0 && moon_buf_append(&text, r->hints.data, r->hints.len) == 0)
        moon_file_replace(name.data, text.data, text.len, 0600, NULL);
    moon_buf_release(&name);
    moon_buf_release(&text);
}

/* The hint for the block that begins at this leaf: where it ends in the file, and its root. */
static bool find_hint(const struct reading *r, int64_t leaf, off_t *end, unsigned char root[MOON_SHA256_SIZE]) {
    if (r->hints.len == 0)
        return false;
    int64_t first = strtoll(r->hints.data, NULL, 10), k = leaf / BLOCK - first;
    if (k < 0 || k >= (int64_t)(r->hints.len / HINT_LINE))
        return false;
    const char *line = r->hints.data + (size_t)k * HINT_LINE;
    *end = (off_t)strtoll(line + 13, NULL, 10);
    return strtoll(line, NULL, 10) == leaf / BLOCK && moon_unhex(line + 29, root, MOON_SHA256_SIZE);
}

/* Hints are of blocks without a gap, from the first full one of the file. */
static int add_hint(struct reading *r, int64_t block, off_t end, const unsigned char root[MOON_SHA256_SIZE]) {
    char hex[MOON_SHA256_HEX];
    int64_t known = (int64_t)(r->hints.len / HINT_LINE);
    if (known > 0 && strtoll(r->hints.data, NULL, 10) + known != block)
        return 0;
    moon_hex(root, MOON_SHA256_SIZE, hex);
    r->hints_grew = true;
    return moon_buf_printf(&r->hints, "%012" PRId64 " %015" PRId64 " %s\n", block, (int64_t)end, hex);
}

/* Whether a root or a path is wanted of the inside of the block that begins at this leaf. */
static bool wants_inside(const struct reading *r, int64_t leaf) {
    const struct moon_audit_tree_query *q = r->query;
    return (q->index >= leaf && q->index < leaf + BLOCK) ||
           (r->next_size < q->nsizes && q->sizes[r->next_size] < leaf + BLOCK);
}

/* ---- lines ---- */

static int add_line(struct reading *r, const char *line, size_t len, off_t end, struct moon_err *err) {
    unsigned char hash[MOON_SHA256_SIZE];
    struct moon_audit_tree *out = r->out;
    int64_t leaf = size_now(r);
    if (moon_merkle_leaf(r->hasher, line, len, hash) != 0)
        return no_memory(err);
    if (leaf == r->query->index && moon_buf_append(&out->line, line, len) != 0)
        return no_memory(err);
    if (leaf % BLOCK == 0) { /* the leaf of the path must come alone */
        r->apart = !(r->query->index >= leaf && r->query->index < leaf + BLOCK);
        moon_merkle_init(&r->block);
    }
    if (moon_merkle_add(r->apart ? &r->block : &r->whole, r->hasher, 0, hash, r->apart ? NULL : &out->path) != 0)
        return no_memory(err);
    if (r->apart && r->block.size == BLOCK) {
        if (add_hint(r, leaf / BLOCK, end, r->block.subtree[0]) != 0 ||
            moon_merkle_add(&r->whole, r->hasher, MOON_AUDIT_TREE_HEIGHT, r->block.subtree[0], &out->path) != 0)
            return no_memory(err);
        r->apart = false;
    }
    return note_size(r, err);
}

/* Passes over blocks whose roots are known; *at is where the next line begins. */
static int skip_blocks(struct reading *r, off_t file_end, off_t *at, struct moon_err *err) {
    unsigned char root[MOON_SHA256_SIZE];
    off_t end;
    int64_t leaf;
    while ((leaf = size_now(r)) % BLOCK == 0 && !complete(r) && !wants_inside(r, leaf) &&
           find_hint(r, leaf, &end, root) && end > *at && end <= file_end) {
        if (moon_merkle_add(&r->whole, r->hasher, MOON_AUDIT_TREE_HEIGHT, root, &r->out->path) != 0)
            return no_memory(err);
        *at = end;
        int rc = note_size(r, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_lines(struct reading *r, int fd, off_t file_end, struct moon_err *err) {
    off_t at = 0;
    int rc = 0;
    while (rc == 0 && !complete(r)) {
        struct audit_scan scan;
        const char *line;
        size_t len;
        rc = skip_blocks(r, file_end, &at, err);
        audit_scan_init(&scan, fd, at, file_end);
        int more = 0;
        while (rc == 0 && !complete(r) && (more = audit_scan_next(&scan, &line, &len, err)) == 1) {
            if (!scan.terminated) { /* still being written, or torn: never acknowledged */
                more = 0;
                break;
            }
            rc = add_line(r, line, len, scan.line_end, err);
            at = scan.line_end;
            off_t end;
            unsigned char root[MOON_SHA256_SIZE];
            if (size_now(r) % BLOCK == 0 && find_hint(r, size_now(r), &end, root))
                break; /* a block to pass over */
        }
        audit_scan_release(&scan);
        if (rc == 0 && more <= 0)
            return more;
    }
    return rc;
}

/* ---- segments ---- */

/* What the first line of a segment says of the lines before it; 1 when it is not a continuation. */
static int read_continued(const char *line, size_t len, struct moon_merkle *m, struct moon_err *err) {
    struct moon_json_doc doc;
    int rc = moon_json_parse(&doc, line, len, NULL);
    if (rc != 0)
        return rc == MOON_ENOMEM ? no_memory(err) : 1;
    const char *action = moon_json_get_string(&doc.root, "action", NULL);
    const struct moon_json_value *size = moon_json_get(&doc.root, "size"), *list = moon_json_get(&doc.root, "frontier");
    if (!action || strcmp(action, "audit_continued") != 0) {
        rc = 1;
    } else if (!size || size->type != MOON_JSON_INT || size->u.integer < 0 || !list || list->type != MOON_JSON_ARRAY ||
               list->u.array.len != moon_merkle_subtrees(size->u.integer)) {
        rc = MOON_EPARSE;
    } else {
        m->size = size->u.integer;
        m->subtrees = (unsigned)list->u.array.len;
        for (size_t i = 0; i < list->u.array.len && rc == 0; i++) {
            const struct moon_json_value *v = &list->u.array.items[i];
            if (v->type != MOON_JSON_STRING || v->u.string.len != 2 * MOON_SHA256_SIZE ||
                !moon_unhex(v->u.string.data, m->subtree[i], MOON_SHA256_SIZE))
                rc = MOON_EPARSE;
        }
    }
    moon_json_doc_release(&doc);
    return rc == MOON_EPARSE ? moon_err_set(err, rc, "its first line does not contain the tree of the lines before it")
                             : rc;
}

/* Where the first segment at hand begins; later ones have to continue where the one before ended. */
static int begin_segment(struct reading *r, int fd, off_t file_end, bool first, struct moon_err *err) {
    struct audit_scan scan;
    const char *line;
    size_t len;
    struct moon_merkle before;
    moon_merkle_init(&before);
    audit_scan_init(&scan, fd, 0, file_end);
    int rc = audit_scan_next(&scan, &line, &len, err);
    if (rc == 1)
        rc = read_continued(line, len, &before, err);
    audit_scan_release(&scan);
    if (rc < 0)
        return rc;
    if (first) {
        r->whole = before;
        r->out->first = before.size;
        return note_size(r, err);
    }
    if (before.size != size_now(r))
        return moon_err_set(err, MOON_EPARSE, "it does not follow the segment before it");
    struct moon_merkle have;
    if (joined(r, &have, NULL) != 0)
        return no_memory(err);
    if (memcmp(have.subtree, before.subtree, have.subtrees * sizeof *have.subtree) != 0)
        return moon_err_set(err, MOON_EVERIFY, "its first line and the segment before it have different trees");
    return 0;
}

static int read_opened(struct reading *r, int fd, off_t end, const char *file, bool first, struct moon_err *err) {
    struct moon_err why = {0, ""};
    int rc = begin_segment(r, fd, end, first, &why);
    if (rc == 0) {
        load_hints(r, file);
        rc = read_lines(r, fd, end, &why);
        if (rc == 0)
            save_hints(r, file);
    }
    return rc == 0 ? 0 : moon_err_set(err, rc, "%s: %s", file, why.message);
}

static int read_file(struct reading *r, size_t i, struct moon_err *err) {
    off_t end;
    int fd = audit_open_read(r->query->files[i], &end, err);
    if (fd < 0)
        return fd;
    int rc = read_opened(r, fd, end, r->query->files[i], i == 0, err);
    close(fd);
    return rc;
}

static int finish(struct reading *r, struct moon_err *err) {
    struct moon_audit_tree *out = r->out;
    const struct moon_audit_tree_query *q = r->query;
    bool wants_path = q->index >= 0;
    struct moon_merkle_path *path = wants_path ? &out->path : NULL;
    if (wants_path && (q->index < out->first || q->index >= size_now(r)))
        return moon_err_set(err, MOON_ENOENT, "line %lld is not in the audit log's files", (long long)q->index + 1);
    out->size = size_now(r);
    if (joined(r, &out->frontier, path) != 0 || moon_merkle_root(&out->frontier, r->hasher, path, out->root) != 0)
        return no_memory(err);
    return 0;
}

static int begin(struct reading *r, const struct moon_audit_tree_query *query, struct moon_audit_tree *out,
                 struct moon_err *err) {
    memset(r, 0, sizeof *r);
    memset(out, 0, sizeof *out);
    r->query = query;
    r->out = out;
    moon_merkle_init(&r->whole);
    moon_merkle_init(&r->block);
    moon_merkle_path_init(&out->path, query->index);
    out->roots = calloc(query->nsizes + 1, sizeof *out->roots);
    return out->roots && moon_hasher_new(&r->hasher) == 0 ? 0 : no_memory(err);
}

static int finish_reading(struct reading *r, int rc, struct moon_err *err) {
    if (rc == 0)
        rc = finish(r, err);
    moon_buf_release(&r->hints);
    moon_hasher_free(r->hasher);
    return rc;
}

int moon_audit_tree_read(const struct moon_audit_tree_query *query, struct moon_audit_tree *out, struct moon_err *err) {
    struct reading r;
    int rc = begin(&r, query, out, err);
    for (size_t i = 0; i < query->nfiles && rc == 0 && (i == 0 || !complete(&r)); i++)
        rc = read_file(&r, i, err);
    return finish_reading(&r, rc, err);
}

int moon_audit_tree_of(int fd, off_t end, const char *path, struct moon_audit_tree *out, struct moon_err *err) {
    static const struct moon_audit_tree_query all = {.index = -1};
    struct reading r;
    int rc = begin(&r, &all, out, err);
    if (rc == 0)
        rc = read_opened(&r, fd, end, path, true, err);
    return finish_reading(&r, rc, err);
}

void moon_audit_tree_release(struct moon_audit_tree *tree) {
    free(tree->roots);
    tree->roots = NULL;
    moon_buf_release(&tree->line);
}
