/* test_fuzz_core.c - replays the corpora of the fuzz targets of src/core, and, since most bugs lie near good input,
 * some mutations of each. To really fuzz: tests/fuzz/run. */
#include "fuzz_replay.h"

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
