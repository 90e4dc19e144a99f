/* test_fuzz_core.c - replays the corpora of the fuzz targets of src/core, and, since most bugs lie near good input,
 * some mutations of each. To really fuzz: tests/fuzz/run. */
#include "unit.h"

#include "moongate/buf.h"
#include "moongate/file.h"
#include "moongate/rng.h"

#include <dirent.h>
#include <stdio.h>

#define LLVMFuzzerTestOneInput fuzz_gc_profile
#include "../fuzz/fuzz_gc_profile.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_retry_after
#include "../fuzz/fuzz_retry_after.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_webhook
#include "../fuzz/fuzz_webhook.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_audit_line
#include "../fuzz/fuzz_audit_line.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_region
#include "../fuzz/fuzz_region.c"
#undef LLVMFuzzerTestOneInput

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
        assert_int_equal(moon_file_read(file, 1 << 20, &whole, &err), 0);
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

static void gc_profile(void **state) {
    (void)state;
    replay("gc_profile", fuzz_gc_profile);
}

static void retry_after(void **state) {
    (void)state;
    replay("retry_after", fuzz_retry_after);
}

static void webhook(void **state) {
    (void)state;
    replay("webhook", fuzz_webhook);
}

static void audit_line(void **state) {
    (void)state;
    replay("audit_line", fuzz_audit_line);
}

static void region(void **state) {
    (void)state;
    replay("region", fuzz_region);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gc_profile), cmocka_unit_test(retry_after), cmocka_unit_test(webhook),
        cmocka_unit_test(audit_line), cmocka_unit_test(region),
    };
    return cmocka_run_group_tests_name("fuzz_core", tests, NULL, NULL);
}
