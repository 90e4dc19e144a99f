/* test_audit_tree.c - roots and paths over files of lines: every size and line of short logs, segments with and without
 * the ones before them, hints that help, lie or are broken. */
#include "unit.h"

#include "moongate/audit_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct moon_hasher *hasher;
static char folder[] = "/tmp/moongate-tree-XXXXXX";

static int set_up(void **state) {
    (void)state;
    assert_non_null(mkdtemp(folder));
    return moon_hasher_new(&hasher);
}

static int tear_down(void **state) {
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    moon_hasher_free(hasher);
    return system(command);
}

static const char *path_of(const char *name, char *out) {
    snprintf(out, 128, "%s/%s", folder, name);
    return out;
}

static int line_of(int i, char out[64]) {
    return snprintf(out, 64, "{\"n\":%d,\"pad\":\"%.*s\"}", i, i % 7, "xxxxxxx");
}

/* Lines [from, to) in a file; a first line before them if it is not NULL. */
static void write_lines(const char *path, const char *first, int from, int to) {
    FILE *f = fopen(path, "w");
    char line[64];
    assert_non_null(f);
    if (first)
        fprintf(f, "%s\n", first);
    for (int i = from; i < to; i++) {
        line_of(i, line);
        fprintf(f, "%s\n", line);
    }
    assert_int_equal(fclose(f), 0);
}

static void root_of(int n, unsigned char out[MOON_SHA256_SIZE]) {
    struct moon_merkle m;
    char line[64];
    moon_merkle_init(&m);
    for (int i = 0; i < n; i++) {
        unsigned char leaf[MOON_SHA256_SIZE];
        assert_int_equal(moon_merkle_leaf(hasher, line, (size_t)line_of(i, line), leaf), 0);
        assert_int_equal(moon_merkle_add(&m, hasher, 0, leaf, NULL), 0);
    }
    assert_int_equal(moon_merkle_root(&m, hasher, NULL, out), 0);
}

static int ask(const char *const *files, size_t nfiles, const int64_t *sizes, size_t nsizes, int64_t index, bool hints,
               struct moon_audit_tree *out, struct moon_err *err) {
    const struct moon_audit_tree_query q = {files, nfiles, sizes, nsizes, index, hints, false};
    return moon_audit_tree_read(&q, out, err);
}

static void expect_line(const struct moon_audit_tree *t, int index, int64_t size) {
    char line[64];
    unsigned char leaf[MOON_SHA256_SIZE], root[MOON_SHA256_SIZE], want[MOON_SHA256_SIZE];
    int len = line_of(index, line);
    assert_int_equal(t->line.len, len);
    assert_memory_equal(t->line.data, line, (size_t)len);
    assert_int_equal(moon_merkle_leaf(hasher, line, (size_t)len, leaf), 0);
    assert_int_equal(moon_merkle_root_of_path(hasher, index, size, leaf,
                                              (const unsigned char(*)[MOON_SHA256_SIZE])t->path.node, t->path.len,
                                              root),
                     0);
    root_of((int)size, want);
    assert_memory_equal(root, want, sizeof want);
    assert_memory_equal(t->root, want, sizeof want);
}

static void every_size_and_line(void **state) {
    (void)state;
    char path[128];
    const char *file = path_of("short", path);
    struct moon_audit_tree t;
    for (int n = 1; n <= 40; n++) {
        int64_t sizes[64];
        write_lines(file, NULL, 0, n);
        for (int i = 0; i <= n; i++)
            sizes[i] = i;
        sizes[n + 1] = n + 5; /* more than there is */
        assert_int_equal(ask(&file, 1, sizes, (size_t)n + 2, -1, false, &t, NULL), 0);
        for (int i = 0; i <= n; i++) {
            unsigned char want[MOON_SHA256_SIZE];
            root_of(i, want);
            assert_true(t.roots[i].known);
            assert_memory_equal(t.roots[i].root, want, sizeof want);
        }
        assert_false(t.roots[n + 1].known);
        assert_int_equal(t.size, n);
        moon_audit_tree_release(&t);
        for (int i = 0; i < n; i++) {
            assert_int_equal(ask(&file, 1, NULL, 0, i, false, &t, NULL), 0);
            expect_line(&t, i, n);
            moon_audit_tree_release(&t);
        }
    }
    assert_int_equal(ask(&file, 1, NULL, 0, 40, false, &t, NULL), MOON_ENOENT);
    moon_audit_tree_release(&t);
}

static void a_line_without_its_end_does_not_count(void **state) {
    (void)state;
    char path[128];
    const char *file = path_of("torn", path);
    struct moon_audit_tree t;
    write_lines(file, NULL, 0, 9);
    FILE *f = fopen(file, "a");
    fputs("{\"n\":9", f);
    fclose(f);
    assert_int_equal(ask(&file, 1, NULL, 0, 8, false, &t, NULL), 0);
    expect_line(&t, 8, 9);
    moon_audit_tree_release(&t);
}

static void hints_change_nothing(void **state) {
    (void)state;
    char path[128], hint[128];
    const char *file = path_of("long", path);
    const int n = 3 * MOON_AUDIT_TREE_BLOCK + 100;
    static const int lines[] = {0, 5, 1023, 1024, 1500, 2047, 2048, 3071, 3072, 3171};
    struct moon_audit_tree t;
    path_of("long.tree", hint);
    write_lines(file, NULL, 0, 2 * MOON_AUDIT_TREE_BLOCK + 7);
    assert_int_equal(ask(&file, 1, NULL, 0, -1, true, &t, NULL), 0);
    moon_audit_tree_release(&t);
    assert_int_equal(access(hint, R_OK), 0);
    write_lines(file, NULL, 0, n); /* it has grown */
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
            int64_t sizes[] = {1000, 2048, n - 1};
            assert_int_equal(ask(&file, 1, NULL, 0, lines[i], true, &t, NULL), 0);
            expect_line(&t, lines[i], n);
            moon_audit_tree_release(&t);
            assert_int_equal(ask(&file, 1, sizes, 3, lines[i] < n - 1 ? lines[i] : 0, true, &t, NULL), 0);
            expect_line(&t, lines[i] < n - 1 ? lines[i] : 0, n - 1);
            for (int k = 0; k < 3; k++) {
                unsigned char want[MOON_SHA256_SIZE];
                root_of((int)sizes[k], want);
                assert_true(t.roots[k].known);
                assert_memory_equal(t.roots[k].root, want, sizeof want);
            }
            moon_audit_tree_release(&t);
        }
    for (int lie = 0; lie < 3; lie++) { /* broken ones are not used, or give another root: never a crash */
        FILE *f = fopen(hint, lie == 0 ? "w" : "r+");
        if (lie == 1)
            fseek(f, 22 + 30, SEEK_SET);
        if (lie == 2)
            fseek(f, 22 + 13, SEEK_SET);
        fputs(lie == 0 ? "nonsense" : "000000000000001", f);
        fclose(f);
        assert_int_equal(ask(&file, 1, NULL, 0, n - 1, true, &t, NULL), 0);
        moon_audit_tree_release(&t);
        assert_int_equal(ask(&file, 1, NULL, 0, n - 1, false, &t, NULL), 0);
        expect_line(&t, n - 1, n);
        moon_audit_tree_release(&t);
    }
}

/* The first line of a segment behind `size` lines, as the log writes it. */
static void continued(const struct moon_audit_tree *t, char *out, size_t max) {
    char hex[MOON_SHA256_HEX];
    int at = snprintf(out, max, "{\"action\":\"audit_continued\",\"frontier\":[");
    for (unsigned i = 0; i < t->frontier.subtrees; i++) {
        moon_hex(t->frontier.subtree[i], MOON_SHA256_SIZE, hex);
        at += snprintf(out + at, max - (size_t)at, "%s\"%s\"", i > 0 ? "," : "", hex);
    }
    snprintf(out + at, max - (size_t)at, "],\"size\":%lld}", (long long)t->size);
}

static void segments_make_one_tree(void **state) {
    (void)state;
    char a[128], b[128], first[4096];
    const char *files[] = {path_of("a", a), path_of("b", b)};
    for (int n = 1; n < 1200; n += n < 40 ? 1 : 397) {
        struct moon_audit_tree t, whole, rest;
        struct moon_err err;
        write_lines(files[0], NULL, 0, n);
        assert_int_equal(ask(files, 1, NULL, 0, -1, false, &t, NULL), 0);
        continued(&t, first, sizeof first);
        moon_audit_tree_release(&t);
        write_lines(files[1], first, n, n + 30);
        int64_t sizes[] = {n, n + 1, n + 20};
        assert_int_equal(ask(files, 2, sizes, 3, n + 10, false, &whole, NULL), 0);
        assert_int_equal(ask(files + 1, 1, sizes, 3, n + 10, false, &rest, NULL), 0);
        assert_int_equal(rest.first, n);
        for (int i = 0; i < 3; i++) {
            assert_true(rest.roots[i].known && whole.roots[i].known);
            assert_memory_equal(rest.roots[i].root, whole.roots[i].root, MOON_SHA256_SIZE);
        }
        assert_int_equal(rest.path.len, whole.path.len);
        assert_memory_equal(rest.path.node, whole.path.node, whole.path.len * sizeof whole.path.node[0]);
        moon_audit_tree_release(&whole);
        moon_audit_tree_release(&rest);
        int64_t old = n - 1;
        assert_int_equal(ask(files + 1, 1, &old, 1, -1, false, &rest, NULL), 0);
        assert_false(rest.roots[0].known); /* its lines are not here */
        moon_audit_tree_release(&rest);
        assert_int_equal(ask(files + 1, 1, NULL, 0, n - 1, false, &rest, &err), MOON_ENOENT);
        moon_audit_tree_release(&rest);
        write_lines(files[0], NULL, 0, n + 1); /* they do not follow each other any more */
        assert_int_equal(ask(files, 2, NULL, 0, -1, false, &rest, &err), MOON_EPARSE);
        moon_audit_tree_release(&rest);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_and_line),
        cmocka_unit_test(a_line_without_its_end_does_not_count),
        cmocka_unit_test(hints_change_nothing),
        cmocka_unit_test(segments_make_one_tree),
    };
    return cmocka_run_group_tests_name("audit_tree", tests, set_up, tear_down);
}
