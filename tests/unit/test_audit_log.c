/* test_audit_log.c - the chain's form, and what becomes of it when bytes flip, processes die and disks fill. */
#include "unit.h"

#include "moongate/audit_log.h"
#include "moongate/clock.h"
#include "moongate/file.h"
#include "moongate/redact.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW (INT64_C(1795159897042) * MOON_NS_PER_MS) /* 2026-11-20T07:31:37.042Z */

static char dir[64], path[128];
static struct moon_err err;

static int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/moongate-audit-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/state/audit.jsonl", dir);
    return 0;
}

static int count_side_files(void) {
    char sub[96];
    int n = 0;
    snprintf(sub, sizeof sub, "%s/state", dir);
    DIR *d = opendir(sub);
    for (struct dirent *e; d && (e = readdir(d));)
        n += strstr(e->d_name, ".torn-") != NULL;
    if (d)
        closedir(d);
    return n;
}

static void empty_dir(void) {
    char sub[96], file[512];
    snprintf(sub, sizeof sub, "%s/state", dir);
    DIR *d = opendir(sub);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(file, sizeof file, "%s/%s", sub, e->d_name);
        if (e->d_name[0] != '.')
            unlink(file);
    }
    if (d)
        closedir(d);
    rmdir(sub);
}

static int remove_dir(void **state) {
    (void)state;
    empty_dir();
    rmdir(dir);
    return 0;
}

static struct moon_audit_record record(enum moon_audit_phase phase, uint64_t intent, const char *fields) {
    return (struct moon_audit_record){
        .phase = phase, .intent = intent, .wall_ns = NOW, .fields = fields, .fields_len = strlen(fields)};
}

static struct moon_audit_log *open_log(const struct moon_audit_ops *ops) {
    struct moon_audit_log *log = NULL;
    if (moon_audit_open(&log, path, ops, &err) != 0)
        fail_msg("open: %s", err.message);
    return log;
}

static uint64_t put(struct moon_audit_log *log, enum moon_audit_phase phase, uint64_t intent, const char *fields) {
    struct moon_audit_record r = record(phase, intent, fields);
    if (moon_audit_append(log, &r, 1, false, &err) != 0)
        fail_msg("append: %s", err.message);
    return r.seq;
}

static void put_lines(int n) {
    struct moon_audit_log *log = open_log(NULL);
    char fields[64];
    for (int i = 1; i <= n; i++) {
        snprintf(fields, sizeof fields, "{\"action\":\"test\",\"n\":%d}", i);
        put(log, MOON_AUDIT_EVENT, 0, fields);
    }
    moon_audit_close(log);
}

static struct moon_buf slurp(void) {
    struct moon_buf b = MOON_BUF_INIT;
    assert_int_equal(moon_file_read(path, 64 * 1024 * 1024, NULL, &b, &err), 0);
    return b;
}

static void spill(const char *data, size_t len) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
}

static struct moon_audit_report verified(int expect) {
    struct moon_audit_report r;
    int rc = moon_audit_verify(path, &r, &err);
    if (rc != expect)
        fail_msg("verify gave %d, not %d: %s", rc, expect, rc ? err.message : "fine");
    moon_audit_report_release(&r);
    return r;
}

/* Lines made by an unrelated program (Python's json and hashlib) from the description in the header. */
static const char golden[] =
    "{\"action\":\"index_update\",\"hash\":\"dad0bd242a75c74d2b9e1858f3fee2a0d386ae22bea967dc27dcdc2280c68fbb\","
    "\"indexId\":\"products\",\"phase\":\"intent\","
    "\"prev\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"seq\":1,"
    "\"time\":\"2026-11-20T07:31:37.042Z\"}\n"
    "{\"action\":\"index_update\",\"hash\":\"c972245415ab68b2b9ce468fef6fb5e7908c4670a866a0e3fe7b57d8b9bec007\","
    "\"intent\":1,\"latency_ms\":958,\"phase\":\"outcome\","
    "\"prev\":\"dad0bd242a75c74d2b9e1858f3fee2a0d386ae22bea967dc27dcdc2280c68fbb\",\"seq\":2,\"status\":\"ok\","
    "\"time\":\"2026-11-20T07:31:38.000Z\"}\n";

static void the_form_is_the_documented_one(void **state) {
    (void)state;
    struct stat st;
    struct moon_audit_log *log = open_log(NULL);
    struct moon_audit_record two[2] = {
        record(MOON_AUDIT_INTENT, 0, "{\"indexId\":\"products\", \"action\":\"index_update\"}"),
        record(MOON_AUDIT_OUTCOME, 1, "{\"action\":\"index_update\",\"status\":\"ok\",\"latency_ms\":958.0}")};
    two[1].wall_ns = NOW + 958 * MOON_NS_PER_MS;
    assert_int_equal(moon_audit_append(log, two, 2, true, &err), 0);
    moon_audit_close(log);
    struct moon_buf b = slurp();
    assert_string_equal(b.data, golden);
    moon_buf_release(&b);
    assert_int_equal(verified(0).lines, 2);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    *strrchr(path, '/') = '\0';
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    path[strlen(path)] = '/';
}

static void a_log_goes_on_where_it_was(void **state) {
    (void)state;
    put_lines(3);
    put_lines(2);
    struct moon_audit_log *log = open_log(NULL);
    assert_int_equal(put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"x\"}"), 6);
    assert_int_equal(verified(0).lines, 6);
    assert_int_equal(moon_audit_append(log, NULL, 0, true, &err), 0);
    moon_audit_close(log);
    moon_audit_close(NULL);
}

static void bad_fields_are_refused_alone(void **state) {
    (void)state;
    static const struct {
        const char *fields, *says;
    } bad[] = {
        {"", "must be JSON"},
        {"[]", "is an object"},
        {"{}", "needs 'action'"},
        {"{\"action\":\"\"}", "needs 'action'"},
        {"{\"action\":1}", "needs 'action'"},
        {"{\"action\":\"x\",\"seq\":1}", "'seq'"},
        {"{\"action\":\"x\",\"hash\":1}", "'hash'"},
        {"{\"action\":\"x\",\"prev\":1}", "'prev'"},
        {"{\"action\":\"x\",\"time\":1}", "'time'"},
        {"{\"action\":\"x\",\"phase\":1}", "'phase'"},
        {"{\"action\":\"x\",\"intent\":1}", "'intent'"},
        {"{\"action\":\"x\",\"a\":1,\"a\":2}", "twice"},
        {"{\"action\":\"x\",\"n\":9007199254740993}", "no exact JSON form"},
    };
    struct moon_audit_log *log = open_log(NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct moon_audit_record three[3] = {record(MOON_AUDIT_EVENT, 0, "{\"action\":\"before\"}"),
                                             record(MOON_AUDIT_EVENT, 0, bad[i].fields),
                                             record(MOON_AUDIT_EVENT, 0, "{\"action\":\"after\"}")};
        assert_int_equal(moon_audit_append(log, three, 3, true, &err), 0);
        assert_int_equal(three[1].status, MOON_EINVAL);
        assert_int_equal(three[1].seq, 0);
        assert_int_equal(three[2].seq, three[0].seq + 1);
        if (!strstr(err.message, bad[i].says))
            fail_msg("%s: %s", bad[i].fields, err.message);
    }
    char *big = malloc(MOON_AUDIT_LINE_MAX + 100);
    memset(big, 'x', MOON_AUDIT_LINE_MAX + 100);
    memcpy(big, "{\"action\":\"", 11);
    memcpy(big + MOON_AUDIT_LINE_MAX - 3, "\"}", 3);
    struct moon_audit_record r = record(MOON_AUDIT_EVENT, 0, big);
    assert_int_equal(moon_audit_append(log, &r, 1, true, &err), 0);
    assert_int_equal(r.status, MOON_ETOOBIG);
    memset(big + MOON_AUDIT_LINE_MAX - 3, 'x', 3);
    memcpy(big + MOON_AUDIT_LINE_MAX + 10, "\"}", 3);
    assert_int_equal(moon_audit_check_fields(big, strlen(big), &err), MOON_ETOOBIG);
    memcpy(big + MOON_AUDIT_LINE_MAX - 1000, "\"}", 3);
    assert_int_equal(put(log, MOON_AUDIT_EVENT, 0, big), 27); /* just fits */
    free(big);
    moon_audit_close(log);
    assert_int_equal(verified(0).lines, 27);
}

static void open_intents_are_told(void **state) {
    (void)state;
    struct moon_audit_report r;
    struct moon_audit_log *log = open_log(NULL);
    for (int i = 0; i < 400; i++) {
        uint64_t seq = put(log, MOON_AUDIT_INTENT, 0, "{\"action\":\"write\"}");
        if (i % 100 != 7)
            put(log, MOON_AUDIT_OUTCOME, seq, "{\"action\":\"write\"}");
    }
    put(log, MOON_AUDIT_OUTCOME, 100000, "{\"action\":\"of nothing\"}");
    moon_audit_close(log);
    assert_int_equal(moon_audit_verify(path, &r, &err), 0);
    assert_int_equal(r.nopen, 4);
    assert_int_equal(r.open_intents[0], 15);
    assert_int_equal(r.open_intents[1], 15 + 199);
    moon_audit_report_release(&r);
}

/* ---- damage ---- */

/* However much of the last line is missing: verify says torn, the next writer sets it aside and says so. */
static void truncation_at_every_byte_of_the_last_line(void **state) {
    (void)state;
    put_lines(3);
    struct moon_buf whole = slurp();
    size_t last = whole.len - 1;
    while (whole.data[last - 1] != '\n')
        last--;
    for (size_t cut = last; cut <= whole.len; cut++) {
        empty_dir();
        struct moon_audit_log *log = open_log(NULL);
        moon_audit_close(log);
        spill(whole.data, cut);
        bool torn = cut > last && cut < whole.len;
        struct moon_audit_report r = verified(torn ? MOON_EVERIFY : 0);
        assert_int_equal(r.torn, torn);
        assert_int_equal(r.bad_line, torn ? 3 : 0);
        assert_int_equal(r.torn_bytes, torn ? cut - last : 0);
        assert_int_equal(r.lines, cut == whole.len ? 3 : 2);
        if (cut % 9 != 0 && cut > last + 3 && cut < whole.len - 3)
            continue; /* setting aside syncs twice, which is slow */
        log = open_log(NULL);
        uint64_t seq = put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"after\"}");
        assert_int_equal(seq, cut == last ? 3 : 4);
        moon_audit_close(log);
        r = verified(0);
        assert_int_equal(r.set_aside, torn);
        assert_int_equal(count_side_files(), torn);
    }
    moon_buf_release(&whole);
}

static void what_was_torn_is_kept(void **state) {
    (void)state;
    char side[256], sha[80];
    struct moon_buf b = MOON_BUF_INIT, found = MOON_BUF_INIT;
    uint64_t skipped;
    put_lines(2);
    struct moon_buf whole = slurp();
    moon_buf_puts(&whole, "{\"action\":\"half a li");
    spill(whole.data, whole.len);
    put_lines(1);
    struct moon_audit_filter f = {.action = "torn_line_set_aside"};
    assert_int_equal(moon_audit_read(path, &f, 10000, &found, &skipped, &err), 0);
    assert_non_null(strstr(found.data, "\"bytes\":20,"));
    const char *name = strstr(found.data, "\"file\":\"") + 8;
    snprintf(side, sizeof side, "%s/state/%.*s", dir, (int)strcspn(name, "\""), name);
    assert_int_equal(moon_file_read(side, 1000, NULL, &b, &err), 0);
    assert_string_equal(b.data, "{\"action\":\"half a li");
    struct moon_hasher *h;
    assert_int_equal(moon_hasher_new(&h), 0);
    moon_sha256_hex(h, b.data, b.len, sha);
    moon_hasher_free(h);
    assert_non_null(strstr(found.data, sha));
    moon_buf_release(&b);
    moon_buf_release(&found);
    moon_buf_release(&whole);
}

static void blocks_of_zeros_are_a_torn_line_too(void **state) {
    (void)state;
    put_lines(2);
    for (int with_newline = 0; with_newline <= 1; with_newline++) {
        struct moon_buf b = slurp();
        size_t whole = b.len;
        for (int i = 0; i < 5000; i++)
            moon_buf_putc(&b, '\0');
        if (with_newline)
            moon_buf_putc(&b, '\n');
        spill(b.data, b.len);
        struct moon_audit_report r = verified(MOON_EVERIFY);
        assert_true(r.torn);
        assert_int_equal(r.torn_bytes, b.len - whole);
        put_lines(1);
        assert_int_equal(verified(0).set_aside, with_newline + 1);
        moon_buf_release(&b);
    }
}

static size_t line_of(const char *text, size_t at) {
    size_t n = 1;
    for (size_t i = 0; i < at; i++)
        n += text[i] == '\n';
    return n;
}

static void a_flipped_bit_is_found_in_its_line(void **state) {
    (void)state;
    put_lines(4);
    struct moon_buf b = slurp();
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    for (size_t at = 0; at < b.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            char flipped = (char)(b.data[at] ^ (1 << bit));
            assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
            struct moon_audit_report r = verified(MOON_EVERIFY);
            if (r.bad_line != line_of(b.data, at))
                fail_msg("byte %zu bit %d is in line %zu, found in line %d: %s", at, bit, line_of(b.data, at),
                         (int)r.bad_line, r.reason);
            assert_true(strlen(r.reason) > 5);
        }
        assert_int_equal(pwrite(fd, b.data + at, 1, (off_t)at), 1);
    }
    close(fd);
    moon_buf_release(&b);
}

static void damage_stops_appending_and_names_the_line(void **state) {
    (void)state;
    struct moon_audit_log *log;
    put_lines(6);
    struct moon_buf b = slurp();
    for (size_t at = 0; at < b.len; at += 7) {
        size_t line = line_of(b.data, at);
        char where[40];
        b.data[at] ^= 4;
        spill(b.data, b.len);
        b.data[at] ^= 4;
        if (line == 6) /* the last line may look torn */
            break;
        assert_int_equal(moon_audit_open(&log, path, NULL, &err), MOON_ECORRUPT);
        snprintf(where, sizeof where, "damaged: line %zu: ", line);
        if (!strstr(err.message, where))
            fail_msg("%s, not %s", err.message, where);
    }
    /* A good last line that something was added to is no torn one. */
    static const char *const junk[] = {" ", "x", "\n\n", "\r\n", "{}\n", "{}", "{\"action\":\"forged\"}\n"};
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        struct moon_buf c = MOON_BUF_INIT;
        moon_buf_append(&c, b.data, b.len - 1);
        moon_buf_puts(&c, junk[i]);
        spill(c.data, c.len);
        assert_int_equal(moon_audit_open(&log, path, NULL, &err), MOON_ECORRUPT);
        moon_buf_release(&c);
    }
    /* Neither is a last line that is JSON: it was changed. */
    char *n = strstr(b.data, "\"n\":6");
    n[4] = '7';
    spill(b.data, b.len);
    assert_int_equal(moon_audit_open(&log, path, NULL, &err), MOON_ECORRUPT);
    assert_non_null(strstr(err.message, "line 6: its hash does not match"));
    assert_int_equal(count_side_files(), 0);
    moon_buf_release(&b);
}

static void lines_taken_out_or_swapped_are_found(void **state) {
    (void)state;
    put_lines(5);
    struct moon_buf b = slurp();
    char *line[6] = {b.data};
    for (int i = 1; i < 6; i++)
        line[i] = strchr(line[i - 1], '\n') + 1;
    struct moon_buf c = MOON_BUF_INIT;
    moon_buf_append(&c, line[0], (size_t)(line[1] - line[0]));
    moon_buf_append(&c, line[2], (size_t)(line[5] - line[2]));
    spill(c.data, c.len);
    assert_int_equal(verified(MOON_EVERIFY).bad_line, 2);
    spill(line[1], (size_t)(line[5] - line[1]));
    assert_int_equal(verified(MOON_EVERIFY).bad_line, 1);
    moon_buf_clear(&c);
    moon_buf_append(&c, line[0], (size_t)(line[2] - line[0]));
    moon_buf_append(&c, line[3], (size_t)(line[4] - line[3]));
    moon_buf_append(&c, line[2], (size_t)(line[3] - line[2]));
    spill(c.data, c.len);
    assert_int_equal(verified(MOON_EVERIFY).bad_line, 3);
    spill("", 0);
    assert_int_equal(verified(MOON_EVERIFY).bad_line, 1);
    moon_buf_release(&b);
    moon_buf_release(&c);
}

/* ---- a disk that fails ---- */

static int writes_left, bytes_per_write;
static bool fail_sync, fail_truncate;

static ssize_t failing_write(int fd, const void *data, size_t len) {
    if (writes_left-- <= 0) {
        errno = ENOSPC;
        return -1;
    }
    return write(fd, data, len < (size_t)bytes_per_write ? len : (size_t)bytes_per_write);
}

static int failing_sync(int fd) {
    if (fail_sync) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

static int failing_truncate(int fd, off_t len) {
    if (fail_truncate) {
        errno = EIO;
        return -1;
    }
    return ftruncate(fd, len);
}

static const struct moon_audit_ops failing = {
    .write = failing_write, .fdatasync = failing_sync, .ftruncate = failing_truncate};

static void a_full_disk_leaves_no_half_line(void **state) {
    (void)state;
    put_lines(2);
    struct moon_audit_log *log = open_log(&failing);
    bytes_per_write = 10;
    fail_sync = fail_truncate = false;
    for (writes_left = 0;; writes_left++) {
        int budget = writes_left;
        struct moon_audit_record r = record(MOON_AUDIT_INTENT, 0, "{\"action\":\"write\"}");
        int rc = moon_audit_append(log, &r, 1, true, &err);
        if (rc == 0)
            break;
        assert_int_equal(rc, MOON_EIO);
        assert_non_null(strstr(err.message, "No space left"));
        assert_int_equal(r.seq, 0);
        assert_int_equal(verified(0).lines, 2); /* the truth stays whole */
        writes_left = budget;
    }
    assert_int_equal(verified(0).lines, 3); /* and there is space again */
    moon_audit_close(log);
}

static void a_limit_of_the_file_size(void **state) {
    (void)state;
    put_lines(2);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit lim = {(rlim_t)st.st_size + 100, (rlim_t)st.st_size + 100};
        struct moon_audit_log *log;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &lim);
        struct moon_audit_record r = record(MOON_AUDIT_INTENT, 0, "{\"action\":\"write\"}");
        if (moon_audit_open(&log, path, NULL, &err) != 0)
            _exit(2);
        int rc = moon_audit_append(log, &r, 1, true, &err);
        _exit(rc == MOON_EIO && r.seq == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(verified(0).lines, 2);
}

static void after_a_failed_sync_nothing_is_appended(void **state) {
    (void)state;
    struct moon_audit_log *log = open_log(&failing);
    bytes_per_write = 1 << 20;
    writes_left = 1 << 20;
    fail_sync = true;
    fail_truncate = false;
    struct moon_audit_record r = record(MOON_AUDIT_INTENT, 0, "{\"action\":\"write\"}");
    assert_int_equal(moon_audit_append(log, &r, 1, true, &err), MOON_EIO);
    assert_non_null(strstr(err.message, "sync"));
    fail_sync = false;
    assert_int_equal(moon_audit_append(log, &r, 1, true, &err), MOON_EIO);
    assert_int_equal(moon_audit_append(log, &r, 1, false, &err), MOON_EIO);
    assert_non_null(strstr(err.message, "failed before"));
    moon_audit_close(log);
    log = open_log(&failing);
    assert_int_equal(moon_audit_append(log, &r, 1, true, &err), 0);
    moon_audit_close(log);
    verified(0);
}

static void a_half_line_that_stays_is_set_aside_later(void **state) {
    (void)state;
    put_lines(1);
    struct moon_audit_log *log = open_log(&failing);
    bytes_per_write = 10;
    writes_left = 3;
    fail_sync = false;
    fail_truncate = true;
    struct moon_audit_record r = record(MOON_AUDIT_INTENT, 0, "{\"action\":\"write\"}");
    assert_int_equal(moon_audit_append(log, &r, 1, true, &err), MOON_EIO);
    assert_int_equal(moon_audit_append(log, &r, 1, true, &err), MOON_EIO);
    moon_audit_close(log);
    assert_true(verified(MOON_EVERIFY).torn);
    put_lines(1);
    assert_int_equal(verified(0).set_aside, 1);
}

/* ---- several processes ---- */

static void run_children(int n, void (*child)(int i)) {
    pid_t pids[8];
    for (int i = 0; i < n; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            child(i);
            _exit(0);
        }
    }
    for (int i = 0; i < n; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

static void append_many(int i) {
    struct moon_audit_log *log;
    char fields[3][64];
    if (moon_audit_open(&log, path, NULL, &err) != 0)
        _exit(2);
    for (int n = 0; n < 150; n++) {
        struct moon_audit_record r[3];
        for (int k = 0; k < 3; k++) {
            snprintf(fields[k], sizeof fields[k], "{\"action\":\"test\",\"process\":%d,\"n\":%d}", i, 3 * n + k);
            r[k] = record(MOON_AUDIT_EVENT, 0, fields[k]);
        }
        if (moon_audit_append(log, r, 3, false, &err) != 0 || r[2].seq != r[0].seq + 2)
            _exit(3);
    }
    moon_audit_close(log);
}

static void processes_share_a_file(void **state) {
    (void)state;
    run_children(4, append_many);
    assert_int_equal(verified(0).lines, 4 * 450);
}

static void two_logs_in_one_process(void **state) {
    (void)state;
    struct moon_audit_log *a = open_log(NULL), *b = open_log(NULL);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(put(a, MOON_AUDIT_EVENT, 0, "{\"action\":\"a\"}"), (uint64_t)(2 * i + 1));
        assert_int_equal(put(b, MOON_AUDIT_EVENT, 0, "{\"action\":\"b\"}"), (uint64_t)(2 * i + 2));
    }
    /* What one finds wrong with the other's lines stops it. */
    struct moon_buf whole = slurp();
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, whole.data, whole.len), (ssize_t)whole.len);
    close(fd);
    struct moon_audit_record r = record(MOON_AUDIT_EVENT, 0, "{\"action\":\"a\"}");
    assert_int_equal(moon_audit_append(a, &r, 1, true, &err), MOON_ECORRUPT);
    assert_non_null(strstr(err.message, "line 41: its seq is 1, not 41"));
    spill(whole.data, 100);
    assert_int_equal(moon_audit_append(b, &r, 1, true, &err), MOON_ECORRUPT);
    assert_non_null(strstr(err.message, "was truncated"));
    moon_buf_release(&whole);
    moon_audit_close(a);
    moon_audit_close(b);
}

static void a_log_moved_away_is_begun_again(void **state) {
    (void)state;
    char old[160];
    struct moon_audit_log *log = open_log(NULL);
    put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"one\"}");
    snprintf(old, sizeof old, "%s.1", path);
    assert_int_equal(rename(path, old), 0);
    assert_int_equal(put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"two\"}"), 2); /* behind log_replaced */
    assert_int_equal(verified(0).lines, 2);
    assert_int_equal(verified(0).previous, 1);
    unlink(path);
    assert_int_equal(put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"three\"}"), 2);
    assert_int_equal(verified(0).previous, 2);
    spill("", 0); /* as logrotate's copytruncate does */
    assert_int_equal(put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"four\"}"), 2);
    assert_int_equal(verified(0).lines, 2);
    assert_int_equal(moon_audit_replaced(log), 3);
    moon_audit_close(log);
    unlink(path);
    log = open_log(NULL); /* nobody had it open */
    assert_int_equal(put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"five\"}"), 2);
    assert_int_equal(verified(0).previous, 2);
    moon_audit_close(log);
}

static void lines_missing_at_the_end_are_found(void **state) {
    (void)state;
    struct moon_audit_log *log;
    put_lines(5);
    struct moon_buf b = slurp();
    char *end = b.data;
    for (int i = 0; i < 3; i++)
        end = strchr(end, '\n') + 1;
    spill(b.data, (size_t)(end - b.data));
    struct moon_audit_report r = verified(MOON_EVERIFY);
    assert_int_equal(r.bad_line, 4);
    assert_int_equal(r.head, 5);
    assert_int_equal(moon_audit_open(&log, path, NULL, &err), MOON_ECORRUPT);
    assert_non_null(strstr(err.message, "line 5 was written"));
    char head[160], copy[160];
    snprintf(head, sizeof head, "%s.head", path);
    snprintf(copy, sizeof copy, "%s.kept", path);
    assert_int_equal(rename(head, copy), 0);
    assert_int_equal(verified(0).head, 0); /* without it nobody can tell */
    log = open_log(NULL);
    for (int i = 0; i < 4; i++)
        put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"other\"}");
    moon_audit_close(log);
    assert_int_equal(rename(copy, head), 0);
    assert_int_equal(verified(MOON_EVERIFY).bad_line, 5); /* long enough, with another end */
    assert_int_equal(moon_audit_open(&log, path, NULL, &err), MOON_ECORRUPT);
    assert_non_null(strstr(err.message, "was replaced"));
    moon_buf_release(&b);
}

/* A line that was written and not synced may be lost with the machine: nothing is wrong then. */
static void a_crash_of_the_machine_is_no_theft(void **state) {
    (void)state;
    char head[160], text[400];
    put_lines(3);
    struct moon_audit_log *log = open_log(NULL);
    struct moon_audit_record r = record(MOON_AUDIT_INTENT, 0, "{\"action\":\"synced\"}");
    assert_int_equal(moon_audit_append(log, &r, 1, true, &err), 0);
    put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"lost\"}");
    moon_audit_close(log);
    struct moon_buf b = slurp();
    *strstr(b.data, "{\"action\":\"lost\"") = '\0';
    spill(b.data, strlen(b.data));
    verified(MOON_EVERIFY);
    snprintf(head, sizeof head, "%s.head", path);
    FILE *f = fopen(head, "r+");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    char *boot = strrchr(text, ' ') + 1;
    boot[0] = boot[0] == 'a' ? 'b' : 'a'; /* the machine has started anew */
    rewind(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(verified(0).head, 4);
    log = open_log(NULL);
    assert_int_equal(put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"after\"}"), 5);
    moon_audit_close(log);
    moon_buf_release(&b);
}

/* ---- kill -9 at any moment ---- */

static ssize_t slow_write(int fd, const void *data, size_t len) {
    return write(fd, data, len < 23 ? len : 23);
}

static void append_until_killed(int ack) {
    static const struct moon_audit_ops ops = {.write = slow_write};
    struct moon_audit_log *log;
    if (moon_audit_open(&log, path, &ops, &err) != 0)
        _exit(2);
    for (;;) {
        struct moon_audit_record r[2] = {record(MOON_AUDIT_INTENT, 0, "{\"action\":\"write\",\"text\":\"something\"}"),
                                         record(MOON_AUDIT_EVENT, 0, "{\"action\":\"other\"}")};
        if (moon_audit_append(log, r, 2, false, &err) != 0)
            _exit(3);
        if (write(ack, &r[1].seq, sizeof r[1].seq) != sizeof r[1].seq)
            _exit(4);
    }
}

static void killed_at_any_moment(void **state) {
    (void)state;
    uint64_t acknowledged = 0, seq, torn = 0;
    for (int round = 0; round < 60; round++) {
        int p[2], status;
        assert_int_equal(pipe(p), 0);
        pid_t pid = fork();
        if (pid == 0)
            append_until_killed(p[1]);
        close(p[1]);
        assert_int_equal(read(p[0], &seq, sizeof seq), sizeof seq); /* it is at work */
        acknowledged = seq;
        usleep((useconds_t)(round * 97 % 1500));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        while (read(p[0], &seq, sizeof seq) == sizeof seq)
            acknowledged = seq;
        close(p[0]);
        struct moon_audit_report r;
        int rc = moon_audit_verify(path, &r, &err);
        assert_true(rc == 0 || (rc == MOON_EVERIFY && r.torn));
        assert_true(r.lines >= acknowledged); /* nothing that was acknowledged is lost */
        assert_true(r.nopen > 0);
        torn += r.torn;
        moon_audit_report_release(&r);
    }
    struct moon_audit_log *log = open_log(NULL);
    put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"end\"}");
    moon_audit_close(log);
    struct moon_audit_report r = verified(0);
    assert_int_equal(r.set_aside, torn);
    assert_int_equal(count_side_files(), torn);
    assert_true(torn > 0);
}

/* ---- long logs ---- */

static void a_long_log_is_taken_up_at_its_end(void **state) {
    (void)state;
    static char text[600 * 1024];
    static const struct moon_audit_ops ops = {.write = slow_write, .full_check = 4 * 1024 * 1024};
    struct moon_audit_log *log = open_log(NULL);
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "{\"action\":\"", 11);
    memcpy(text + sizeof text - 3, "\"}", 3);
    for (int i = 0; i < 12; i++)
        put(log, MOON_AUDIT_EVENT, 0, text);
    moon_audit_close(log);
    struct moon_buf b = slurp();
    log = open_log(&ops);
    assert_int_equal(put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"x\"}"), 13);
    moon_audit_close(log);
    assert_int_equal(verified(0).lines, 13);

    char head[160];
    snprintf(head, sizeof head, "%s.head", path);
    unlink(head); /* what follows is another log */
    moon_buf_puts(&b, "{\"torn");
    spill(b.data, b.len);
    log = open_log(&ops);
    assert_int_equal(put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"x\"}"), 14);
    moon_audit_close(log);
    assert_int_equal(verified(0).set_aside, 1);

    b.data[b.len - 700 * 1024] ^= 1; /* in the last lines */
    spill(b.data, b.len);
    assert_int_equal(moon_audit_open(&log, path, &ops, &err), MOON_ECORRUPT);
    assert_non_null(strstr(err.message, "line 11"));
    memset(b.data + b.len - 3 * 1024 * 1024, 'y', 3 * 1024 * 1024);
    spill(b.data, b.len);
    assert_int_equal(moon_audit_open(&log, path, &ops, &err), MOON_ECORRUPT);
    assert_int_equal(verified(MOON_EVERIFY).bad_line, 7);
    assert_int_equal(moon_audit_open(&log, path, NULL, &err), MOON_ECORRUPT); /* checked from its first line */
    assert_non_null(strstr(err.message, "line 7"));
    moon_buf_release(&b);
}

/* ---- reading ---- */

static int lines_matching(struct moon_audit_filter f) {
    struct moon_buf out = MOON_BUF_INIT;
    uint64_t skipped;
    int n = 0;
    assert_int_equal(moon_audit_read(path, &f, 1 << 20, &out, &skipped, &err), 0);
    for (size_t i = 0; i < out.len; i++)
        n += out.data[i] == '\n';
    moon_buf_release(&out);
    return n;
}

static void filters_pick_lines(void **state) {
    (void)state;
    struct moon_audit_log *log = open_log(NULL);
    struct moon_audit_record r[4] = {
        record(MOON_AUDIT_INTENT, 0, "{\"action\":\"index_update\",\"run\":\"r1\",\"correlationId\":\"c1\"}"),
        record(MOON_AUDIT_OUTCOME, 1, "{\"action\":\"index_update\",\"run\":\"r1\",\"status\":\"ok\"}"),
        record(MOON_AUDIT_EVENT, 0,
               "{\"action\":\"other\",\"run\":\"r2\",\"outcome\":\"ok\",\"correlation_id\":\"c1\"}"),
        record(MOON_AUDIT_EVENT, 0, "{\"action\":\"other\"}")};
    for (int i = 0; i < 4; i++)
        r[i].wall_ns = NOW + i * 3600 * MOON_NS_PER_S; /* 07:31:37.042, 08:31.., 09:31.., 10:31.. */
    assert_int_equal(moon_audit_append(log, r, 4, true, &err), 0);
    moon_audit_close(log);
    struct moon_audit_filter f = {0};
    assert_int_equal(lines_matching(f), 4);
    f.action = "index_update";
    assert_int_equal(lines_matching(f), 2);
    f.phase = "intent";
    assert_int_equal(lines_matching(f), 1);
    assert_int_equal(lines_matching((struct moon_audit_filter){.run = "r2"}), 1);
    assert_int_equal(lines_matching((struct moon_audit_filter){.run = "r"}), 0);
    assert_int_equal(lines_matching((struct moon_audit_filter){.outcome = "ok"}), 2);
    assert_int_equal(lines_matching((struct moon_audit_filter){.correlation_id = "c1"}), 2);
    assert_int_equal(lines_matching((struct moon_audit_filter){.since = "2026-11-20T08"}), 3);
    assert_int_equal(lines_matching((struct moon_audit_filter){.until = "2026-11-20T08"}), 2);
    assert_int_equal(lines_matching((struct moon_audit_filter){.until = "2026-11-20"}), 4);
    assert_int_equal(lines_matching((struct moon_audit_filter){.until = "2026-11-19"}), 0);
    assert_int_equal(
        lines_matching((struct moon_audit_filter){.since = "2026-11-20T07:31:37Z", .until = "2026-11-20T07:31:37Z"}),
        1);
    assert_int_equal(lines_matching((struct moon_audit_filter){.since = "2026-11-20T07:31:37.042Z"}), 4);
    assert_int_equal(lines_matching((struct moon_audit_filter){.since = "2026-11-20T07:31:37.043Z"}), 3);
    for (size_t last = 1; last < 7; last++)
        assert_int_equal(lines_matching((struct moon_audit_filter){.last = last}), (int)(last < 4 ? last : 4));
    struct moon_buf b = slurp(), out = MOON_BUF_INIT;
    uint64_t skipped;
    moon_buf_puts(&b, "not json\n{\"half");
    spill(b.data, b.len);
    f = (struct moon_audit_filter){.last = 1};
    assert_int_equal(moon_audit_read(path, &f, 1 << 20, &out, &skipped, &err), 0);
    assert_int_equal(skipped, 2);
    assert_non_null(strstr(out.data, "\"seq\":4,"));
    f.last = 0;
    assert_int_equal(moon_audit_read(path, &f, 300, &out, &skipped, &err), MOON_ETOOBIG);
    moon_buf_release(&b);
    moon_buf_release(&out);
}

static void the_last_of_many(void **state) {
    (void)state;
    static char text[200 * 1024];
    struct moon_buf out = MOON_BUF_INIT;
    uint64_t skipped;
    struct moon_audit_log *log = open_log(NULL);
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "{\"action\":\"", 11);
    memcpy(text + sizeof text - 3, "\"}", 3);
    for (int i = 0; i < 25; i++)
        put(log, MOON_AUDIT_EVENT, 0, text);
    moon_audit_close(log);
    struct moon_audit_filter f = {.last = 2};
    assert_int_equal(moon_audit_read(path, &f, 1 << 20, &out, &skipped, &err), 0);
    assert_non_null(strstr(out.data, "\"seq\":24,"));
    assert_non_null(strstr(out.data, "\"seq\":25,"));
    assert_null(strstr(out.data, "\"seq\":23,"));
    moon_buf_release(&out);
}

static void what_is_no_log(void **state) {
    (void)state;
    struct moon_audit_report r;
    struct moon_audit_log *log;
    assert_int_equal(moon_audit_verify(path, &r, &err), MOON_ENOENT);
    assert_int_equal(moon_audit_verify(dir, &r, &err), MOON_EINVAL);
    assert_true(moon_audit_open(&log, dir, NULL, &err) < 0);
    assert_true(moon_audit_open(&log, "/proc/nowhere/audit.jsonl", NULL, &err) < 0);
    moon_audit_close(open_log(NULL));
    spill("# my notes\nmilk\n", 16);
    assert_int_equal(moon_audit_open(&log, path, NULL, &err), MOON_ECORRUPT);
    assert_non_null(strstr(err.message, "line 1"));
}

static void a_lock_that_is_held_is_not_waited_for_for_ever(void **state) {
    (void)state;
    put_lines(1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    struct moon_audit_log *log;
    if (getenv("MOON_SLOW_TESTS"))
        assert_int_equal(moon_audit_open(&log, path, NULL, &err), MOON_ETIMEOUT);
    close(fd);
}

/* ---- secrets ---- */

static void secrets_do_not_reach_the_log(void **state) {
    (void)state;
    struct moon_redact *redact;
    struct moon_buf out = MOON_BUF_INIT;
    assert_int_equal(moon_redact_new(&redact), 0);
    assert_int_equal(moon_redact_add(redact, "canary\"value\\1", 14), 0);
    assert_int_equal(moon_redact_add(redact, "s3cret-7", 8), 0);
    const char *fields =
        "{\"s3cret-7\":1,\"action\":\"x\",\"list\":[\"a s3cret-7 b\",{\"deep\":\"canary\\\"value\\\\1\"}],"
        "\"password\":\"hunter 2, with \\\" all\",\"client_secret\":12345,\"secret_name\":\"GOVERNANCE\","
        "\"Authorization\":\"Bearer abc\",\"note\":\"access_token=abcdefgh rest\",\"n\":1.50,\"e\":\"\"}";
    assert_int_equal(moon_audit_redact(redact, fields, strlen(fields), &out, &err), 0);
    assert_string_equal(out.data,
                        "{\"***\":1,\"Authorization\":\"***\",\"action\":\"x\",\"client_secret\":\"***\",\"e\":\"\","
                        "\"list\":[\"a *** b\",{\"deep\":\"***\"}],\"n\":1.5,\"note\":\"access_token=*** rest\","
                        "\"password\":\"***\",\"secret_name\":\"GOVERNANCE\"}");
    assert_int_equal(moon_audit_redact(redact, "{\"action\":1}", 12, &out, &err), MOON_EINVAL);
    assert_int_equal(moon_audit_redact(NULL, "{\"action\":\"x\"}", 14, &out, &err), 0);
    moon_buf_release(&out);
    moon_redact_free(redact);
}

/* The line of one event in a log of its own; nothing when it is refused. */
static struct moon_buf logged(enum moon_audit_phase phase, const char *fields) {
    struct moon_buf b = MOON_BUF_INIT;
    struct moon_audit_log *log = open_log(NULL);
    if (put(log, phase, 7, fields) != 0)
        b = slurp();
    moon_audit_close(log);
    empty_dir();
    return b;
}

/* An event that is canonical to begin with isn't parsed. A blank before it makes the log parse it, and nothing else may
 * become of it. */
static void plain_events_are_as_good_as_parsed_ones(void **state) {
    (void)state;
    static const char *const members[] = {
        "\"action\":\"x\"",
        "\"action\":\"\"",
        "\"action\":\"é€😀\"",
        "\"action\":\"a\\n\"",
        "\"action\":\"\\u0041\"",
        "\"action\":\"\xff\"",
        "\"action\":\"\x01\"",
        "\"action\":true",
        "\"Action\":1,\"action\":\"x\"",
        "\"a\":1,\"action\":\"x\"",
        "\"action\":\"x\",\"a\":1",
        "\"action\":\"x\",\"action\":\"y\"",
        "\"\":null,\"action\":\"x\"",
        "\"action\":\"x\",\"z\":\"}\"",
        "\"action\":\"x\",\"ha\":1,\"has\":2",
        "\"action\":\"x\",\"hash\":\"x\"",
        "\"action\":\"x\",\"hashes\":1,\"pre\":2,\"seqs\":3,\"timed\":4",
        "\"action\":\"x\",\"time\":1",
        "\"action\":\"x\",\"é\":1",
        "\"action\":\"x\",\"b\":true,\"c\":false,\"d\":null",
        "\"action\":\"x\",\"b\":tru",
        "\"action\":\"x\",\"b\":truex",
        "\"action\":\"x\",\"b\":[]",
        "\"action\":\"x\",\"b\":{\"d\":1,\"c\":[1.0]}",
        "\"action\":\"x\" ,\"b\":1",
        "\"action\": \"x\"",
        "\"action\":\"x\",",
        "\"action\":\"x\"}",
        "\"action\"",
        "\"action\":",
        "\"b\":1",
        "",
    };
    static const char *const numbers[] = {
        "0",
        "-0",
        "1",
        "-1",
        "01",
        "-",
        "+1",
        "999999999999999",
        "9007199254740993",
        "123456789012345678901234",
        "1.5",
        "1.50",
        "1.0",
        "0.1",
        "-0.5",
        "0.0",
        "-0.0",
        ".5",
        "1.",
        "0.000001",
        "0.0000001",
        "0.00000123",
        "21.1",
        "1e3",
        "1E3",
        "1e-7",
        "123456.123456789",
        "1234567.123456789",
        "0.30000000000000004",
        "0.100000000000001",
        "1.5x",
        "1..5",
        "00.5",
    };
    const size_t n_members = sizeof members / sizeof *members, n_numbers = sizeof numbers / sizeof *numbers;
    int written = 0;
    for (size_t i = 0; i < n_members + n_numbers; i++)
        for (int phase = MOON_AUDIT_EVENT; phase <= MOON_AUDIT_OUTCOME; phase++) {
            char plain[160], parsed[170];
            if (i < n_members)
                snprintf(plain, sizeof plain, "{%s}", members[i]);
            else
                snprintf(plain, sizeof plain, "{\"action\":\"x\",\"n\":%s}", numbers[i - n_members]);
            snprintf(parsed, sizeof parsed, " %s", plain);
            struct moon_buf a = logged((enum moon_audit_phase)phase, plain);
            struct moon_buf b = logged((enum moon_audit_phase)phase, parsed);
            assert_int_equal(a.len, b.len);
            if (a.len > 0)
                assert_string_equal(a.data, b.data);
            assert_int_equal(moon_audit_check_fields(plain, strlen(plain), &err),
                             moon_audit_check_fields(parsed, strlen(parsed), &err));
            written += a.len > 0;
            moon_buf_release(&a);
            moon_buf_release(&b);
        }
    assert_in_range(written, 100, 150);
}

/* ---- who has the lock ---- */

static void a_stopped_holder_is_named(void **state) {
    (void)state;
    put_lines(1);
    int p[2], status;
    char ready;
    assert_int_equal(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX) != 0 || write(p[1], "x", 1) != 1)
            _exit(1);
        raise(SIGSTOP);
        flock(fd, LOCK_UN);
        _exit(0);
    }
    assert_int_equal(read(p[0], &ready, 1), 1);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));

    char named[80];
    atomic_bool stop = false;
    const struct moon_audit_ops ops = {.wait_s = 1, .stop = &stop};
    struct moon_audit_log *log = NULL;
    assert_int_equal(moon_audit_open(&log, path, &ops, &err), MOON_ETIMEOUT);
    snprintf(named, sizeof named, "process %d has held its lock", (int)pid);
    assert_non_null(strstr(err.message, named));
    snprintf(named, sizeof named, "is stopped: resume it with kill -CONT %d", (int)pid);
    assert_non_null(strstr(err.message, named));

    kill(pid, SIGCONT); /* it gives the lock back */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    log = open_log(&ops);
    assert_int_equal(put(log, MOON_AUDIT_EVENT, 0, "{\"action\":\"after\"}"), 2);
    moon_audit_close(log);
    close(p[0]);
    close(p[1]);
}

static int sync_by_others(int fd) {
    (void)fd;
    put_lines(1); /* another one appends while this one waits for the disk */
    return 0;
}

static void a_sync_keeps_nobody_waiting(void **state) {
    (void)state;
    const struct moon_audit_ops ops = {.fdatasync = sync_by_others, .wait_s = 1};
    struct moon_audit_log *log = open_log(&ops);
    struct moon_audit_record r = record(MOON_AUDIT_EVENT, 0, "{\"action\":\"synced\"}");
    for (uint64_t i = 1; i <= 5; i += 2) {
        assert_int_equal(moon_audit_append(log, &r, 1, true, &err), 0);
        assert_int_equal(r.seq, i);
    }
    moon_audit_close(log);
    struct moon_audit_report report = verified(0);
    assert_int_equal(report.lines, 6);
    moon_audit_report_release(&report);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(a_stopped_holder_is_named),
        WITH(a_sync_keeps_nobody_waiting),
        WITH(the_form_is_the_documented_one),
        WITH(a_log_goes_on_where_it_was),
        WITH(bad_fields_are_refused_alone),
        WITH(plain_events_are_as_good_as_parsed_ones),
        WITH(open_intents_are_told),
        WITH(truncation_at_every_byte_of_the_last_line),
        WITH(what_was_torn_is_kept),
        WITH(blocks_of_zeros_are_a_torn_line_too),
        WITH(a_flipped_bit_is_found_in_its_line),
        WITH(damage_stops_appending_and_names_the_line),
        WITH(lines_taken_out_or_swapped_are_found),
        WITH(a_full_disk_leaves_no_half_line),
        WITH(a_limit_of_the_file_size),
        WITH(after_a_failed_sync_nothing_is_appended),
        WITH(a_half_line_that_stays_is_set_aside_later),
        WITH(processes_share_a_file),
        WITH(two_logs_in_one_process),
        WITH(a_log_moved_away_is_begun_again),
        WITH(lines_missing_at_the_end_are_found),
        WITH(a_crash_of_the_machine_is_no_theft),
        WITH(killed_at_any_moment),
        WITH(a_long_log_is_taken_up_at_its_end),
        WITH(filters_pick_lines),
        WITH(the_last_of_many),
        WITH(what_is_no_log),
        WITH(a_lock_that_is_held_is_not_waited_for_for_ever),
        WITH(secrets_do_not_reach_the_log),
    };
    return cmocka_run_group_tests_name("audit_log", tests, NULL, NULL);
}
