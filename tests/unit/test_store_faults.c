/* test_store_faults.c - a disk that fails, fills up, or is cut off by kill -9: what was told to be durable is there,
 * what failed is there whole or not at all, and the store goes on when it can. */
#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- a file system between SQLite and the disk: its Nth operation fails ---- */

static struct {
    long countdown; /* operations until one fails; -1: none does */
    bool for_good, struck;
    int code;       /* SQLITE_IOERR_... is made of it, or SQLITE_FULL */
    long wal_syncs; /* of logs */
    bool lazy;      /* nothing waits for the disk */
} fault = {.countdown = -1};

static sqlite3_vfs shim;
static const sqlite3_vfs *below;
static sqlite3_io_methods methods;

struct shim_file {
    sqlite3_file base;
    bool log;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_file *real(sqlite3_file *f) {
    return ((struct shim_file *)(void *)f)->real;
}

static bool strikes(void) {
    if (fault.countdown < 0)
        return false;
    if (fault.countdown > 0) {
        fault.countdown--;
        return false;
    }
    if (fault.struck && !fault.for_good)
        return false;
    return fault.struck = true;
}

#define FAIL(kind)                                                                                                     \
    if (strikes())                                                                                                     \
    return fault.code == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_##kind

static int x_close(sqlite3_file *f) {
    return real(f)->pMethods ? real(f)->pMethods->xClose(real(f)) : SQLITE_OK;
}
static int x_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) {
    if (fault.code != SQLITE_FULL) {
        FAIL(READ);
    }
    return real(f)->pMethods->xRead(real(f), p, n, at);
}
static int x_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) {
    if (strikes()) { /* half of it gets there */
        real(f)->pMethods->xWrite(real(f), p, n / 2, at);
        return fault.code == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    return real(f)->pMethods->xWrite(real(f), p, n, at);
}
static int x_truncate(sqlite3_file *f, sqlite3_int64 size) {
    FAIL(TRUNCATE);
    return real(f)->pMethods->xTruncate(real(f), size);
}
static int x_sync(sqlite3_file *f, int flags) {
    fault.wal_syncs += ((struct shim_file *)(void *)f)->log;
    FAIL(FSYNC);
    return fault.lazy ? SQLITE_OK : real(f)->pMethods->xSync(real(f), flags);
}
static int x_size(sqlite3_file *f, sqlite3_int64 *size) {
    return real(f)->pMethods->xFileSize(real(f), size);
}
static int x_lock(sqlite3_file *f, int level) {
    return real(f)->pMethods->xLock(real(f), level);
}
static int x_unlock(sqlite3_file *f, int level) {
    return real(f)->pMethods->xUnlock(real(f), level);
}
static int x_reserved(sqlite3_file *f, int *out) {
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
}
static int x_control(sqlite3_file *f, int op, void *arg) {
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}
static int x_sector(sqlite3_file *f) {
    return real(f)->pMethods->xSectorSize(real(f));
}
static int x_traits(sqlite3_file *f) {
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}
static int x_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out) {
    FAIL(SHMMAP);
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}
static int x_shm_lock(sqlite3_file *f, int at, int n, int flags) {
    return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}
static void x_shm_barrier(sqlite3_file *f) {
    real(f)->pMethods->xShmBarrier(real(f));
}
static int x_shm_unmap(sqlite3_file *f, int erase) {
    return real(f)->pMethods->xShmUnmap(real(f), erase);
}

static int x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out) {
    struct shim_file *file = (struct shim_file *)(void *)f;
    (void)vfs;
    file->real = (sqlite3_file *)(void *)(file + 1);
    file->base.pMethods = NULL;
    file->log = (flags & SQLITE_OPEN_WAL) != 0;
    if (strikes())
        return fault.code == SQLITE_FULL ? SQLITE_FULL : SQLITE_CANTOPEN;
    int rc = below->xOpen((sqlite3_vfs *)(uintptr_t)below, name, file->real, flags, out);
    if (rc == SQLITE_OK)
        file->base.pMethods = &methods;
    return rc;
}

static int x_delete(sqlite3_vfs *vfs, const char *name, int sync_dir) {
    (void)vfs;
    FAIL(DELETE);
    return below->xDelete((sqlite3_vfs *)(uintptr_t)below, name, sync_dir);
}

static int install(void **state) {
    below = sqlite3_vfs_find(NULL);
    shim = *below;
    shim.zName = "faulty";
    shim.szOsFile = (int)sizeof(struct shim_file) + below->szOsFile;
    shim.xOpen = x_open;
    shim.xDelete = x_delete;
    methods = (sqlite3_io_methods){2,          x_close,       x_read,      x_write,   x_truncate, x_sync,   x_size,
                                   x_lock,     x_unlock,      x_reserved,  x_control, x_sector,   x_traits, x_shm_map,
                                   x_shm_lock, x_shm_barrier, x_shm_unmap, NULL,      NULL};
    sqlite3_vfs_register(&shim, 1);
    return make_dir(state);
}

/* ---- every operation fails in turn ---- */

#define ROUNDS 6
#define CALLS  3

static bool told[ROUNDS][CALLS]; /* the call has succeeded */

static void key_of(char *out, size_t size, int round, int i) {
    snprintf(out, size, "r%dc%d", round, i);
}

static void run_round(struct moon_store *s, int round) {
    struct moon_store_call call[CALLS] = {0}, *calls[CALLS];
    for (int i = 0; i < CALLS; i++) {
        char key[32];
        key_of(key, sizeof key, round, i);
        assert_int_equal(add_pair(&call[i], "k", key), 0);
        calls[i] = &call[i];
    }
    if (round % 3 == 2) { /* a transaction of the first alone */
        int rc = moon_store_begin(s, &err);
        rc = rc == 0 ? moon_store_exec(s, &call[0], 5) : rc;
        rc = rc == 0 ? moon_store_commit(s, &err) : rc;
        if (rc != 0)
            moon_store_rollback(s);
        told[round][0] = rc == 0;
    } else {
        moon_store_apply(s, calls, CALLS, 5);
        for (int i = 0; i < CALLS; i++)
            told[round][i] = call[i].rc == 0;
    }
    for (int i = 0; i < CALLS; i++) {
        if (call[i].rc != 0 && call[i].rc != MOON_ESTORE)
            fail_msg("code %d: %s", call[i].rc, call[i].err.message);
        moon_store_call_release(&call[i]);
    }
}

static void scenario(void) {
    struct moon_store *s;
    memset(told, 0, sizeof told);
    if (open_store(&s) != 0) {
        assert_int_equal(err.code, MOON_ESTORE);
        return;
    }
    for (int round = 0; round < ROUNDS; round++)
        run_round(s, round);
    moon_store_close(s);
}

static void check_all(long n) {
    struct moon_store *s;
    if (open_store(&s) != 0)
        fail_msg("operation %ld: afterwards: %s", n, err.message);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < CALLS; i++) {
            char key[32];
            key_of(key, sizeof key, round, i);
            int64_t rows = rows_of(s, key);
            if (told[round][i] ? rows != 2 : rows != 0 && rows != 2)
                fail_msg("operation %ld: call %d of round %d has %d rows and was told %s", n, i, round, (int)rows,
                         told[round][i] ? "well" : "failed");
        }
    moon_store_close(s);
}

static int well(void) {
    int n = 0;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < CALLS; i++)
            n += told[round][i];
    return n;
}

static void sweep(int code, bool for_good) {
    int least = ROUNDS * CALLS;
    long n;
    fault.lazy = true;
    for (n = 0; n < 100000; n++) {
        empty_dir();
        fault.countdown = n;
        fault.for_good = for_good;
        fault.struck = false;
        fault.code = code;
        scenario();
        fault.countdown = -1;
        check_all(n);
        least = well() < least ? well() : least;
        if (!fault.struck)
            break;
    }
    assert_true(n > 40);
    assert_int_equal(well(), ROUNDS * CALLS - 2 * (CALLS - 1)); /* in the end none fails; transactions do one call */
    assert_int_equal(least, 0);
    fault.lazy = false;
    empty_dir();
}

static void an_io_error_once(void **state) {
    (void)state;
    sweep(SQLITE_IOERR, false);
}
static void io_errors_from_then_on(void **state) {
    (void)state;
    sweep(SQLITE_IOERR, true);
}
static void a_full_disk_once(void **state) {
    (void)state;
    sweep(SQLITE_FULL, false);
}
static void a_full_disk_from_then_on(void **state) {
    (void)state;
    sweep(SQLITE_FULL, true);
}

/* ---- one sync for all that came together, and none without a sync ---- */

static void calls_share_a_sync(void **state) {
    (void)state;
    struct moon_store *s;
    assert_int_equal(open_store(&s), 0);
    run_round(s, 0); /* makes the log */
    for (int round = 1; round < ROUNDS; round++) {
        fault.wal_syncs = 0;
        run_round(s, round);
        assert_int_equal(fault.wal_syncs, 1);
    }
    fault.wal_syncs = 0;
    assert_int_equal(rows_of(s, "r0c0"), 2);
    assert_int_equal(fault.wal_syncs, 0);
    moon_store_close(s);
    empty_dir();
}

/* ---- a limit on the file's size, as of a full disk: words, and going on afterwards ---- */

static void goes_on_when_there_is_room_again(void **state) {
    (void)state;
    struct moon_store *s;
    struct rlimit old, small;
    struct stat st;
    char wal[112];
    struct moon_store_call c = {0}, *calls[] = {&c};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(open_store(&s), 0);
    run_round(s, 0);
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = (rlim_t)st.st_size + 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    run_round(s, 1);
    assert_int_equal(add_pair(&c, "k", "late"), 0);
    moon_store_apply(s, calls, 1, 5);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_false(told[1][0] || told[1][1] || told[1][2]);
    assert_int_equal(c.rc, MOON_ESTORE);
    assert_non_null(strstr(c.err.message, "can't be read or written"));
    moon_store_apply(s, calls, 1, 5); /* the same again */
    assert_int_equal(c.rc, 0);
    assert_int_equal(rows_of(s, "late"), 2);
    assert_int_equal(rows_of(s, "r1c0"), 0);
    moon_store_call_release(&c);
    moon_store_close(s);
    empty_dir();
}

/* ---- processes ---- */

/* Writes pairs from n on until it is killed; the number of each one that is durable goes to fd. */
static void writer(int fd, int who) {
    struct moon_store *s;
    if (open_store(&s) != 0) {
        fprintf(stderr, "# %s\n", err.message);
        _exit(1);
    }
    for (int n = 0;; n++) {
        struct moon_store_call c = {0}, *calls[] = {&c};
        char key[32];
        snprintf(key, sizeof key, "w%dn%d", who, n);
        if (add_pair(&c, "k", key) != 0)
            _exit(1);
        moon_store_apply(s, calls, 1, 5);
        if (c.rc != 0) {
            fprintf(stderr, "# %s\n", c.err.message);
            _exit(1);
        }
        moon_store_call_release(&c);
        if (write(fd, &n, sizeof n) != sizeof n)
            _exit(0);
    }
}

#define WRITERS 4

static void killed_writers_lose_nothing(void **state) {
    (void)state;
    int durable[WRITERS * 8], pipes[WRITERS * 8];
    pid_t pids[WRITERS * 8];
    int nwriters = 0;
    for (int round = 0; round < 8; round++) {
        int first = nwriters;
        for (; nwriters < first + WRITERS; nwriters++) {
            int ends[2];
            assert_int_equal(pipe(ends), 0);
            pids[nwriters] = fork();
            if (pids[nwriters] == 0) {
                close(ends[0]);
                writer(ends[1], nwriters);
            }
            close(ends[1]);
            pipes[nwriters] = ends[0];
            durable[nwriters] = -1;
        }
        for (int i = first; i < nwriters; i++) /* each has got somewhere, then none lives on */
            for (int seen = 0; seen <= round * 3; seen++)
                assert_int_equal(read(pipes[i], &durable[i], sizeof(int)), sizeof(int));
        for (int i = first; i < nwriters; i++)
            kill(pids[i], SIGKILL);
        for (int i = first; i < nwriters; i++) {
            int n;
            while (read(pipes[i], &n, sizeof n) == sizeof n)
                durable[i] = n;
            close(pipes[i]);
            waitpid(pids[i], NULL, 0);
        }
    }
    struct moon_store *s;
    assert_int_equal(open_store(&s), 0);
    for (int i = 0; i < nwriters; i++) {
        char sql[160];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM cells WHERE key LIKE 'w%dn%%'", i);
        int64_t rows = ask(s, sql);
        assert_true(rows == 2 * (durable[i] + 1) || rows == 2 * (durable[i] + 2));
    }
    moon_store_close(s);
    empty_dir();
}

static void fifty_make_one_file(void **state) {
    (void)state;
    pid_t pids[50];
    for (int i = 0; i < 50; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct moon_store *s;
            struct moon_store_call c = {0}, *calls[] = {&c};
            char key[32];
            snprintf(key, sizeof key, "p%d", i);
            int rc = open_store(&s);
            if (rc == 0 && (rc = add_pair(&c, "k", key)) == 0) {
                moon_store_apply(s, calls, 1, 5);
                rc = c.rc;
                err = c.err;
                moon_store_close(s);
            }
            if (rc != 0)
                fprintf(stderr, "# %d: %s\n", i, err.message);
            _exit(rc != 0);
        }
    }
    int bad = 0, status;
    for (int i = 0; i < 50; i++) {
        waitpid(pids[i], &status, 0);
        bad += status != 0;
    }
    assert_int_equal(bad, 0);
    struct moon_store *s;
    assert_int_equal(open_store(&s), 0);
    assert_int_equal(ask(s, "SELECT count(*) FROM cells WHERE key LIKE 'p%'"), 100);
    moon_store_close(s);
    empty_dir();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_io_error_once),
        cmocka_unit_test(io_errors_from_then_on),
        cmocka_unit_test(a_full_disk_once),
        cmocka_unit_test(a_full_disk_from_then_on),
        cmocka_unit_test(calls_share_a_sync),
        cmocka_unit_test(goes_on_when_there_is_room_again),
        cmocka_unit_test(killed_writers_lose_nothing),
        cmocka_unit_test(fifty_make_one_file),
    };
    return cmocka_run_group_tests_name("store faults", tests, install, remove_dir);
}
