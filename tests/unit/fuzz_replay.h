/* fuzz_replay.h - replays the corpus of a fuzz target and, since most bugs lie near good input, some mutations of each.
 */
#ifndef MOONGATE_TESTS_FUZZ_REPLAY_H
#define MOONGATE_TESTS_FUZZ_REPLAY_H

#include "unit.h"

#include "moongate/buf.h"
#include "moongate/file.h"
#include "moongate/rng.h"

#include <dirent.h>
#include <stdio.h>

#define MUTATIONS 300

static void mutate(struct moon_buf *b, struct moon_rng *rng) {
    for (uint64_t edits = moon_rng_below(rng, 4) + 1; edits > 0; edits--) {
        if (b->len == 0)
            return;
        size_t at = (size_t)moon_rng_below(rng, b->len);
        switch (moon_rng_below(rng, 4)) {
        case 0:
            b->data[at] = (char)(b->data[at] ^ (1 << moon_rng_below(rng, 8)));
            break;
        case 1:
            b->data[at] = "\"\\{}[]=#\n\r. ,:'\0\377"[moon_rng_below(rng, 17)];
            break;
        case 2: /* cut out */
            memmove(b->data + at, b->data + at + 1, b->len - at - 1);
            b->len--;
            break;
        default:
            b->len = at;
        }
    }
}

static void replay(const char *name, int (*target)(const uint8_t *data, size_t size)) {
    char folder[100], file[400];
    struct moon_rng rng;
    struct moon_err err;
    int files = 0;
    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", name);
    moon_rng_init_seed(&rng, 1);
    DIR *d = opendir(folder);
    if (!d)
        fail_msg("%s: run from the top of the tree", folder);
    for (struct dirent *e; (e = readdir(d));) {
        struct moon_buf whole = MOON_BUF_INIT;
        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", folder, e->d_name);
        assert_int_equal(moon_file_read(file, 1 << 20, NULL, &whole, &err), 0);
        files++;
        target((const uint8_t *)(whole.data ? whole.data : ""), whole.len);
        for (int i = 0; i < MUTATIONS; i++) {
            struct moon_buf b = MOON_BUF_INIT;
            assert_int_equal(moon_buf_append(&b, whole.data, whole.len), 0);
            mutate(&b, &rng);
            char *exact = malloc(b.len + 1); /* so that a sanitizer sees one byte too far */
            memcpy(exact, b.data, b.len);
            target((const uint8_t *)exact, b.len);
            free(exact);
            moon_buf_release(&b);
        }
        moon_buf_release(&whole);
    }
    closedir(d);
    assert_true(files > 0);
}

#endif
