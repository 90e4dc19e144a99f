/* test_lines.c - lines out of pieces of any size, and descriptors that are let go of. */
#include "unit.h"

#include "moongate/lines.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Feeds text in pieces of that size; what came out as "1:a,2:-,..." where - is a line that is too long. */
static void split(const char *text, size_t len, size_t piece, size_t max, char *out, size_t size) {
    struct moon_lines l;
    const char *line;
    size_t n, at = 0;
    out[0] = '\0';
    moon_lines_init(&l, max);
    for (;;) {
        enum moon_lines_result r = moon_lines_next(&l, &line, &n);
        size_t used = strlen(out);
        if (r == MOON_LINES_END)
            break;
        if (r == MOON_LINES_LINE) {
            snprintf(out + used, size - used, "%d:%.*s,", (int)l.number, (int)n, line);
        } else if (r == MOON_LINES_TOO_LONG) {
            snprintf(out + used, size - used, "%d:-,", (int)l.number);
        } else if (at < len) {
            size_t part = len - at < piece ? len - at : piece;
            assert_int_equal(moon_lines_feed(&l, text + at, part), 0);
            at += part;
        } else {
            moon_lines_end(&l);
        }
    }
    moon_lines_release(&l);
}

static void test_every_piece_size_gives_the_same(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"a", "1:a,"},
        {"a\n", "1:a,"},
        {"\n", "1:,"},
        {"\n\nx", "1:,2:,3:x,"},
        {"a\r\nb\r", "1:a,2:b\r,"},
        {"12345678\nok\n", "1:12345678,2:ok,"},
        {"12345678\r\nok\n", "1:12345678,2:ok,"},
        {"123456789\nok\n", "1:-,2:ok,"},
        {"1234567890123456789012345678901234567890\nok\n\nend", "1:-,2:ok,3:,4:end,"},
        {"ok\n1234567890123456789012345678901234567890", "1:ok,2:-,"},
        {"1234567890\n1234567890\nx\n", "1:-,2:-,3:x,"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t piece = 1; piece < 50; piece++) {
            char got[200];
            split(cases[i].text, strlen(cases[i].text), piece, 8, got, sizeof got);
            assert_string_equal(got, cases[i].want);
        }
}

static void test_memory_stays_small(void **state) {
    (void)state;
    struct moon_lines l;
    char piece[4096];
    const char *line;
    size_t n, taken = 0;
    memset(piece, 'x', sizeof piece);
    for (size_t i = 99; i < sizeof piece; i += 100)
        piece[i] = '\n';
    moon_lines_init(&l, 1000);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(moon_lines_feed(&l, piece, sizeof piece), 0);
        while (moon_lines_next(&l, &line, &n) == MOON_LINES_LINE)
            taken++;
        assert_true(l.buf.cap < 32768);
    }
    assert_true(taken == 200000);
    moon_lines_release(&l);
}

static void test_reading_ends_when_it_is_told_to(void **state) {
    (void)state;
    struct moon_err err;
    uint64_t one = 1;
    char buf[16];
    int p[2], stop = eventfd(0, EFD_NONBLOCK);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(write(p[1], "abc", 3), 3);
    assert_int_equal(moon_fd_read(p[0], stop, buf, sizeof buf, &err), 3);
    assert_int_equal(write(stop, &one, sizeof one), sizeof one);
    assert_int_equal(moon_fd_read(p[0], stop, buf, sizeof buf, &err), MOON_ECANCELLED);
    assert_int_equal(moon_fd_write(p[1], stop, "x", 1, &err), MOON_ECANCELLED);
    assert_int_equal(read(stop, &one, sizeof one), sizeof one);
    assert_int_equal(moon_fd_write(p[1], stop, "x", 1, &err), 0);
    close(p[1]);
    assert_int_equal(moon_fd_read(p[0], stop, buf, sizeof buf, &err), 1);
    assert_int_equal(moon_fd_read(p[0], stop, buf, sizeof buf, &err), 0);
    close(p[0]);
    assert_int_equal(moon_fd_read(p[0], stop, buf, sizeof buf, &err), MOON_EIO);
    close(stop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_piece_size_gives_the_same),
        cmocka_unit_test(test_memory_stays_small),
        cmocka_unit_test(test_reading_ends_when_it_is_told_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
