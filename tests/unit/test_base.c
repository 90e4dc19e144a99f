/* test_base.c - errors, buffers, clocks, randomness, files. */
#include "unit.h"

#include "moongate/buf.h"
#include "moongate/clock.h"
#include "moongate/err.h"
#include "moongate/file.h"
#include "moongate/rng.h"
#include "moongate/text.h"
#include "moongate/visible.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void codes_have_names(void **state) {
    (void)state;
    assert_string_equal(moon_code_name(MOON_OK), "ok");
    assert_string_equal(moon_code_name(MOON_EBUG), "bug");
    assert_string_equal(moon_code_name(MOON_ETIMEOUT), "timeout");
    assert_string_equal(moon_code_name(MOON_EVERIFY), "verify");
    assert_string_equal(moon_code_name(MOON_EUNKNOWN), "unknown_outcome");
    assert_string_equal(moon_code_name(1), "bug");
    assert_string_equal(moon_code_name(-1000), "bug");
}

static void long_messages_end_at_a_character(void **state) {
    (void)state;
    struct moon_err err;
    char text[1200];
    for (size_t i = 0; i < sizeof text - 1; i += 2)
        memcpy(text + i, "\xC3\xA4", 2);
    text[1198] = '\0';
    assert_int_equal(moon_err_set(&err, MOON_EINVAL, "x%s", text), MOON_EINVAL);
    size_t len = strlen(err.message);
    assert_true(len < sizeof err.message);
    assert_int_equal((len - 1) % 2, 0);
    assert_int_equal(moon_err_set(NULL, MOON_EIO, "no place for it"), MOON_EIO);
}

static void errno_picks_the_code(void **state) {
    (void)state;
    struct moon_err err;
    assert_int_equal(moon_err_errno(&err, MOON_EIO, ENOENT, "can't open %s", "x"), MOON_ENOENT);
    assert_string_equal(err.message, "can't open x: No such file or directory");
    assert_int_equal(moon_err_errno(&err, MOON_EIO, ENOSPC, "can't write"), MOON_EIO);
}

static void buffers_grow_and_keep_nul(void **state) {
    (void)state;
    struct moon_buf b = MOON_BUF_INIT;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(moon_buf_append(&b, "a\0b", 3), 0);
    assert_int_equal(b.len, 3000);
    assert_int_equal(b.data[1], 0);
    assert_int_equal(moon_buf_printf(&b, "%d", 42), 0);
    assert_string_equal(b.data + 3000, "42");
    assert_int_equal(moon_buf_reserve(&b, SIZE_MAX / 2), MOON_ENOMEM);
    assert_int_equal(b.len, 3002);
    moon_buf_release(&b);
    assert_null(b.data);
}

static void time_is_formatted(void **state) {
    (void)state;
    char out[MOON_TIME_SIZE];
    moon_time_format(0, out);
    assert_string_equal(out, "1970-01-01T00:00:00.000Z");
    moon_time_format(INT64_C(1614265330) * MOON_NS_PER_S + 42 * MOON_NS_PER_MS, out);
    assert_string_equal(out, "2021-02-25T15:02:10.042Z");
    moon_time_format(-1, out);
    assert_string_equal(out, "1969-12-31T23:59:59.999Z");
}

static void time_is_formatted_as_by_libc(void **state) {
    (void)state;
    const int64_t half_day = INT64_C(43200) * MOON_NS_PER_S;
    for (int64_t t = INT64_MIN / half_day; t <= INT64_MAX / half_day; t++) {
        char out[MOON_TIME_SIZE], expected[40];
        time_t seconds = (time_t)(t * 43200);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_int_not_equal(strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000Z", &tm), 0);
        moon_time_format(t * half_day, out);
        assert_string_equal(out, expected);
    }
}

static void virtual_clock_stands_still(void **state) {
    (void)state;
    struct moon_vclock v;
    moon_vclock_init(&v, 5);
    struct moon_clock c = moon_clock_virtual(&v);
    assert_int_equal(moon_mono_ns(&c), 0);
    moon_vclock_advance(&v, 7);
    moon_vclock_advance(&v, -3);
    assert_int_equal(moon_mono_ns(&c), 7);
    assert_int_equal(moon_wall_ns(&c), 12);
}

static void seeds_reproduce(void **state) {
    (void)state;
    struct moon_rng a, b, s;
    moon_rng_init_seed(&a, 7);
    moon_rng_init_seed(&b, 7);
    moon_rng_init_system(&s);
    unsigned counts[10] = {0};
    for (int i = 0; i < 10000; i++) {
        assert_true(moon_rng_u64(&a) == moon_rng_u64(&b));
        counts[moon_rng_below(&a, 10)]++;
        (void)moon_rng_u64(&b);
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 850, 1150);
    assert_true(moon_rng_u64(&s) != moon_rng_u64(&s));
    unsigned char big[2000] = {0};
    moon_rng_bytes(&s, big, sizeof big);
    assert_int_equal(moon_rng_below(&s, 1), 0);
}

static void files_are_replaced_whole(void **state) {
    (void)state;
    char dir[] = "/tmp/moongate-base-XXXXXX", path[64], deep[64];
    assert_non_null(mkdtemp(dir));
    snprintf(deep, sizeof deep, "%s/a/b", dir);
    snprintf(path, sizeof path, "%s/a/b/f", dir);
    struct moon_err err;
    struct moon_buf b = MOON_BUF_INIT;
    assert_int_equal(moon_file_mkdirs(deep, 0700, &err), 0);
    assert_int_equal(moon_file_mkdirs(deep, 0700, &err), 0);
    assert_int_equal(moon_file_replace(path, "one\0two", 7, 0600, &err), 0);
    assert_int_equal(moon_file_replace(path, "three", 5, 0600, &err), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(moon_file_read(path, 5, NULL, &b, &err), 0);
    assert_string_equal(b.data, "three");
    assert_int_equal(moon_file_read(path, 4, NULL, &b, &err), MOON_ETOOBIG);
    assert_int_equal(b.len, 5);
    assert_int_equal(moon_file_read(deep, 100, NULL, &b, &err), MOON_EINVAL);
    unlink(path);
    assert_int_equal(moon_file_read(path, 100, NULL, &b, &err), MOON_ENOENT);
    assert_int_equal(moon_file_replace("/proc/nowhere/x", "", 0, 0600, &err), MOON_ENOENT);
    moon_buf_release(&b);
    rmdir(deep);
    snprintf(deep, sizeof deep, "%s/a", dir);
    rmdir(deep);
    rmdir(dir);
}

/* What was read from fd, at most 64 bytes. */
static const char *arrived(int fd) {
    static char text[65];
    ssize_t n = read(fd, text, 64);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Nothing but a regular file is ever replaced. */
static void what_is_no_regular_file_stays(void **state) {
    (void)state;
    char dir[] = "/tmp/moongate-base-XXXXXX", file[64], link[64], loop[64], fifo[64], text[64];
    struct moon_err err;
    struct moon_buf b = MOON_BUF_INIT;
    struct stat st;
    int ends[2];
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/file", dir);
    snprintf(link, sizeof link, "%s/link", dir);
    snprintf(loop, sizeof loop, "%s/loop", dir);
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(symlink("loop", loop), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(pipe(ends), 0);

    assert_int_equal(moon_file_replace(link, "new", 3, 0600, &err), 0); /* makes what a link names */
    assert_int_equal(chmod(file, 0600), 0);
    assert_int_equal(moon_file_replace(link, "newer", 5, 0644 | MOON_FILE_KEEP, &err), 0);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(file, &st), 0);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(st.st_mode & 0777, 0600); /* what was closed to others stays so */
    assert_int_equal(moon_file_replace(loop, "x", 1, 0600, &err), MOON_EIO);

    int reader = open(fifo, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(moon_file_replace(fifo, "down", 4, 0600, &err), 0);
    assert_string_equal(arrived(reader), "down");
    close(reader);
    assert_int_equal(moon_file_replace(fifo, "x", 1, 0600, &err), MOON_EIO); /* nobody reads */
    assert_non_null(strstr(err.message, "no process reads"));
    assert_int_equal(lstat(fifo, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));

    snprintf(text, sizeof text, "/dev/fd/%d", ends[1]);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink(text, link), 0);
    assert_int_equal(moon_file_replace(link, "through", 7, 0600, &err), 0);
    assert_string_equal(arrived(ends[0]), "through");
    assert_int_equal(moon_file_replace("/dev/null", "x", 1, 0600, &err), 0);
    assert_int_equal(moon_file_replace("/dev/full", "x", 1, 0600, &err), MOON_EIO);
    assert_int_equal(moon_file_replace(dir, "x", 1, 0600, &err), MOON_EINVAL);

    int folder = open(dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(moon_file_replace_in(folder, "link", link, "x", 1, 0600, &err), MOON_EINVAL);
    assert_int_equal(moon_file_replace_in(folder, "fifo", fifo, "x", 1, 0600, &err), MOON_EINVAL);
    close(folder);

    atomic_bool stop = true;
    snprintf(text, sizeof text, "/dev/fd/%d", ends[0]);
    assert_int_equal(write(ends[1], "up", 2), 2);
    close(ends[1]);
    assert_int_equal(moon_file_read(text, 9, NULL, &b, &err), 0);
    assert_string_equal(b.data, "up");
    assert_int_equal(moon_file_read(fifo, 9, &stop, &b, &err), MOON_ECANCELLED);
    assert_int_equal(b.len, 2);
    close(ends[0]);
    moon_buf_release(&b);
    unlink(file), unlink(link), unlink(loop), unlink(fifo);
    rmdir(dir);
}

static void foreign_texts_are_known(void **state) {
    (void)state;
    assert_int_equal(moon_text_mark("\xef\xbb\xbfx", 4), 3);
    assert_int_equal(moon_text_mark("\xef\xbb", 2), 0);
    assert_null(moon_text_foreign("{}", 2));
    assert_null(moon_text_foreign("", 0));
    assert_string_equal(moon_text_foreign("\xff\xfe{\0", 4), "UTF-16");
    assert_string_equal(moon_text_foreign("\xfe\xff\0{", 4), "UTF-16");
    assert_string_equal(moon_text_foreign("{\0}\0", 4), "UTF-16");
    assert_string_equal(moon_text_foreign("\0{\0}", 4), "UTF-16");
    assert_string_equal(moon_text_foreign("\xff\xfe\0\0", 4), "UTF-32");
}

static void steering_is_shown(void **state) {
    static const char text[] = "a\tb\n\x1b[2J\r\x7f\xc2\x9b\xe2\x80\xae\xc3\xa9\xff\xf0\x9f\x98\x80";
    static const char shown[] = "a\tb\n\\x1b[2J\\x0d\\u007f\\u009b\\u202e\xc3\xa9\\xff\xf0\x9f\x98\x80";
    char out[128];
    (void)state;
    assert_int_equal(moon_visible(text, sizeof text - 1, true, NULL), sizeof shown - 1);
    assert_int_equal(moon_visible(text, sizeof text - 1, true, out), sizeof shown - 1);
    assert_memory_equal(out, shown, sizeof shown - 1);
    assert_int_equal(moon_visible("a\n", 2, false, out), 3);
    assert_memory_equal(out, "a\\n", 3);
    assert_int_equal(moon_visible("\xe2\x80", 2, true, NULL), 8); /* cut short */
    assert_int_equal(moon_visible("", 0, true, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_names),           cmocka_unit_test(long_messages_end_at_a_character),
        cmocka_unit_test(errno_picks_the_code),       cmocka_unit_test(buffers_grow_and_keep_nul),
        cmocka_unit_test(time_is_formatted),          cmocka_unit_test(time_is_formatted_as_by_libc),
        cmocka_unit_test(virtual_clock_stands_still), cmocka_unit_test(seeds_reproduce),
        cmocka_unit_test(files_are_replaced_whole),   cmocka_unit_test(what_is_no_regular_file_stays),
        cmocka_unit_test(foreign_texts_are_known),    cmocka_unit_test(steering_is_shown),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
