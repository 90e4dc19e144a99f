/* test_merkle.c - the Merkle tree against the definition of RFC 6962 (written here a second time, recursively), against
 * published roots, and its paths against the verification algorithm of RFC 9162. */
#include "unit.h"

#include "moongate/merkle.h"

#include <stdio.h>

#define MOST 300

static struct moon_hasher *hasher;
static unsigned char leaf[MOST][MOON_SHA256_SIZE];

static int set_up(void **state) {
    (void)state;
    assert_int_equal(moon_hasher_new(&hasher), 0);
    for (int i = 0; i < MOST; i++) {
        char line[32];
        int n = snprintf(line, sizeof line, "{\"n\":%d}", i);
        assert_int_equal(moon_merkle_leaf(hasher, line, (size_t)n, leaf[i]), 0);
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    moon_hasher_free(hasher);
    return 0;
}

/* MTH of RFC 6962, 2.1, as it is written there. */
static void root_by_definition(int first, int n, unsigned char out[MOON_SHA256_SIZE]) {
    unsigned char both[1 + 2 * MOON_SHA256_SIZE] = {1};
    int k = 1;
    if (n == 0)
        assert_int_equal(moon_sha256(hasher, "", 0, out), 0);
    if (n == 1)
        memcpy(out, leaf[first], MOON_SHA256_SIZE);
    if (n <= 1)
        return;
    while (2 * k < n)
        k *= 2;
    root_by_definition(first, k, both + 1);
    root_by_definition(first + k, n - k, both + 1 + MOON_SHA256_SIZE);
    assert_int_equal(moon_sha256(hasher, both, sizeof both, out), 0);
}

static void fill(struct moon_merkle *m, int n, struct moon_merkle_path *path) {
    moon_merkle_init(m);
    for (int i = 0; i < n; i++)
        assert_int_equal(moon_merkle_add(m, hasher, 0, leaf[i], path), 0);
}

static void roots_are_as_published(void **state) {
    (void)state;
    static const struct {
        int size;
        const char *root;
    } rows[] = {
        {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {1, "f94070abfd2da0bf72902eb13a808e794f954d9e2745c682a158f6ed0d4ac036"},
        {2, "3badc80537f029e1bb77280dc85203cf2ed9748dc8f571230fcba5c326c91068"},
        {3, "2cfef7627597e00b564975774ad728ef210706759fca6d64138c6dfc1cbf2cda"},
        {7, "8eefbabda4f08b5448b4dbb04eb1ebcf2cd86bf367d1c0fec3214882a91b7b9e"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct moon_merkle m;
        unsigned char root[MOON_SHA256_SIZE];
        char hex[MOON_SHA256_HEX];
        fill(&m, rows[i].size, NULL);
        assert_int_equal(moon_merkle_root(&m, hasher, NULL, root), 0);
        moon_hex(root, sizeof root, hex);
        assert_string_equal(hex, rows[i].root);
    }
}

static void begins(const unsigned char *hash, const char *hex) {
    char text[MOON_SHA256_HEX];
    moon_hex(hash, MOON_SHA256_SIZE, text);
    assert_memory_equal(text, hex, strlen(hex));
}

static void frontier_and_path_are_as_published(void **state) {
    (void)state;
    struct moon_merkle m;
    struct moon_merkle_path path;
    unsigned char root[MOON_SHA256_SIZE];
    moon_merkle_path_init(&path, 2);
    fill(&m, 7, &path);
    assert_int_equal(m.subtrees, 3);
    begins(m.subtree[0], "bd0070acbdc679a2");
    begins(m.subtree[1], "49341fdcaff60bfd");
    begins(m.subtree[2], "b707747e8b09dfaa");
    assert_int_equal(moon_merkle_root(&m, hasher, &path, root), 0);
    assert_int_equal(path.len, 3);
    begins(path.node[0], "d74a2d1f2af1c1ca");
    begins(path.node[1], "3badc80537f029e1");
    begins(path.node[2], "2dd81c5911e734c6");
}

static void roots_and_paths_of_every_size(void **state) {
    (void)state;
    for (int n = 1; n <= MOST; n += n < 70 ? 1 : 23) {
        unsigned char want[MOON_SHA256_SIZE], root[MOON_SHA256_SIZE], again[MOON_SHA256_SIZE];
        root_by_definition(0, n, want);
        for (int i = 0; i < n; i += n < 70 ? 1 : 7) {
            struct moon_merkle m;
            struct moon_merkle_path path;
            moon_merkle_path_init(&path, i);
            fill(&m, n, &path);
            assert_int_equal(moon_merkle_root(&m, hasher, &path, root), 0);
            assert_memory_equal(root, want, sizeof root);
            assert_int_equal(m.subtrees, moon_merkle_subtrees(n));
            const unsigned char(*node)[MOON_SHA256_SIZE] = (const unsigned char(*)[MOON_SHA256_SIZE])path.node;
            assert_int_equal(moon_merkle_root_of_path(hasher, i, n, leaf[i], node, path.len, again), 0);
            assert_memory_equal(again, want, sizeof root);
            int other = moon_merkle_root_of_path(hasher, i, n, leaf[(i + 1) % MOST], node, path.len, again);
            assert_true(other != 0 || memcmp(again, want, sizeof root) != 0);
            assert_int_equal(moon_merkle_root_of_path(hasher, i, n, leaf[i], node, path.len + 1, again), MOON_EVERIFY);
            if (path.len > 0)
                assert_int_equal(moon_merkle_root_of_path(hasher, i, n, leaf[i], node, path.len - 1, again),
                                 MOON_EVERIFY);
        }
    }
}

static void subtrees_stand_for_their_leaves(void **state) {
    (void)state;
    unsigned char want[MOON_SHA256_SIZE], root[MOON_SHA256_SIZE];
    for (unsigned height = 1; height <= 5; height++) {
        int leaves = 1 << height, n = 3 * leaves + 5, at = 3 * leaves + 1;
        struct moon_merkle m;
        struct moon_merkle_path path;
        moon_merkle_init(&m);
        moon_merkle_path_init(&path, at);
        for (int i = 0; i < 3; i++) {
            root_by_definition(i * leaves, leaves, root);
            assert_int_equal(moon_merkle_add(&m, hasher, height, root, &path), 0);
        }
        for (int i = 3 * leaves; i < n; i++)
            assert_int_equal(moon_merkle_add(&m, hasher, 0, leaf[i], &path), 0);
        root_by_definition(0, n, want);
        assert_int_equal(moon_merkle_root(&m, hasher, &path, root), 0);
        assert_memory_equal(root, want, sizeof root);
        assert_int_equal(moon_merkle_root_of_path(hasher, at, n, leaf[at],
                                                  (const unsigned char(*)[MOON_SHA256_SIZE])path.node, path.len, root),
                         0);
        assert_memory_equal(root, want, sizeof root);
    }
}

static void misuse_is_refused(void **state) {
    (void)state;
    struct moon_merkle m;
    struct moon_merkle_path path;
    unsigned char root[MOON_SHA256_SIZE];
    fill(&m, 3, NULL);
    assert_int_equal(moon_merkle_add(&m, hasher, 1, leaf[0], NULL), MOON_EINVAL); /* 3 is not a multiple of 2 */
    assert_int_equal(moon_merkle_add(&m, hasher, 62, leaf[0], NULL), MOON_EINVAL);
    moon_merkle_path_init(&path, 3);
    assert_int_equal(moon_merkle_root(&m, hasher, &path, root), MOON_EINVAL); /* not in the tree */
    fill(&m, 4, NULL);
    moon_merkle_path_init(&path, 5);
    assert_int_equal(moon_merkle_add(&m, hasher, 1, leaf[0], &path), MOON_EINVAL); /* it would hide the leaf */
    assert_int_equal(moon_merkle_root_of_path(hasher, -1, 3, leaf[0], NULL, 0, root), MOON_EVERIFY);
    assert_int_equal(moon_merkle_root_of_path(hasher, 3, 3, leaf[0], NULL, 0, root), MOON_EVERIFY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_are_as_published),
        cmocka_unit_test(frontier_and_path_are_as_published),
        cmocka_unit_test(roots_and_paths_of_every_size),
        cmocka_unit_test(subtrees_stand_for_their_leaves),
        cmocka_unit_test(misuse_is_refused),
    };
    return cmocka_run_group_tests_name("merkle", tests, set_up, tear_down);
}
