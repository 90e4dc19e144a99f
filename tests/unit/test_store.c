/* test_store.c - state files: who may read them, and which are refused, with what words, and left as they are. */
#include "store_fixture.h"

#include "../../src/store/sqlite_private.h"

#include "moongate/file.h"

#include <fcntl.h>
#include <sqlite3.h>

static void a_new_file_is_ours_alone(void **state) {
    (void)state;
    struct moon_store *s;
    struct stat st;
    char below[96];
    snprintf(below, sizeof below, "sqlite:%s/a/b/state.db", dir);
    umask(022);
    assert_int_equal(moon_store_open(&s, below, &(struct moon_store_opts){0}, &err), 0);
    for (int i = 0; i < 2; i++) {
        snprintf(below, sizeof below, "%s/a/b/state.db%s", dir, i ? "-wal" : "");
        assert_int_equal(stat(below, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    moon_store_close(s);
    snprintf(below, sizeof below, "%s/a/b/state.db", dir);
    unlink(below);
    snprintf(below, sizeof below, "%s/a/b", dir);
    assert_int_equal(stat(below, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    rmdir(below);
    snprintf(below, sizeof below, "%s/a", dir);
    rmdir(below);
}

static void what_is_written_is_there_again(void **state) {
    (void)state;
    struct moon_store *s;
    struct moon_store_call c = {0}, *calls[] = {&c};
    assert_int_equal(open_store(&s), 0);
    assert_int_equal(ask(s, "PRAGMA application_id"), STORE_APPLICATION_ID);
    assert_int_equal(ask(s, "PRAGMA user_version"), store_schema_version());
    assert_int_equal(ask(s, "PRAGMA synchronous"), 2); /* FULL */
    assert_int_equal(add_pair(&c, "k", "one"), 0);
    moon_store_apply(s, calls, 1, 5);
    assert_int_equal(c.rc, 0);
    moon_store_call_release(&c);
    moon_store_close(s);
    assert_int_equal(open_store(&s), 0);
    assert_int_equal(rows_of(s, "one"), 2);
    moon_store_close(s);
    empty_dir();
}

/* ---- files that are refused ---- */

static void put_file(const char *name, const void *data, size_t len) {
    assert_int_equal(moon_file_replace(name, data, len, 0600, &err), 0);
}

/* Opening fails with words, and changes nothing. */
static void refused(const char *words) {
    struct moon_buf before = MOON_BUF_INIT, after = MOON_BUF_INIT;
    struct moon_store *s;
    bool there = moon_file_read(path, 1 << 24, NULL, &before, NULL) == 0;
    assert_int_equal(open_store(&s), MOON_ESTORE);
    assert_null(s);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" is not in: %s", words, err.message);
    assert_int_equal(moon_file_read(path, 1 << 24, NULL, &after, NULL) == 0, there);
    assert_int_equal(before.len, after.len);
    if (before.len)
        assert_memory_equal(before.data, after.data, after.len);
    moon_buf_release(&before);
    moon_buf_release(&after);
}

static void raw(const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* A sound file with some rows; its bytes. */
static void make_sound(struct moon_buf *bytes) {
    struct moon_store *s;
    empty_dir();
    assert_int_equal(open_store(&s), 0);
    for (int i = 0; i < 50; i++) {
        struct moon_store_call c = {0}, *calls[] = {&c};
        char key[16];
        snprintf(key, sizeof key, "key%d", i);
        assert_int_equal(add_pair(&c, "k", key), 0);
        moon_store_apply(s, calls, 1, 5);
        assert_int_equal(c.rc, 0);
        moon_store_call_release(&c);
    }
    moon_store_close(s);
    raw("VACUUM"); /* a page that is free may hold anything */
    moon_buf_clear(bytes);
    assert_int_equal(moon_file_read(path, 1 << 24, NULL, bytes, &err), 0);
}

static void a_damaged_file_is_refused(void **state) {
    (void)state;
    struct moon_buf sound = MOON_BUF_INIT;
    make_sound(&sound);
    put_file(path, "this is no database, whatever its name says", 43);
    refused("is damaged");
    put_file(path, sound.data, sound.len / 2 / 4096 * 4096); /* cut short */
    refused("is damaged");
    for (size_t page = 1; page < sound.len / 4096; page += 7) { /* a page of rubbish in its middle */
        struct moon_buf copy = MOON_BUF_INIT;
        assert_int_equal(moon_buf_append(&copy, sound.data, sound.len), 0);
        memset(copy.data + page * 4096, 0xa5, 4096);
        put_file(path, copy.data, copy.len);
        refused("is damaged");
        moon_buf_release(&copy);
    }
    put_file(path, sound.data, sound.len);
    struct moon_store *s;
    assert_int_equal(open_store(&s), 0);
    moon_store_close(s);
    moon_buf_release(&sound);
    empty_dir();
}

static void a_log_without_its_file_is_kept(void **state) {
    (void)state;
    char wal[112];
    struct stat st;
    snprintf(wal, sizeof wal, "%s-wal", path);
    put_file(wal, "frames", 6);
    refused("-wal");
    put_file(path, "", 0);
    refused("-wal");
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_size, 6);
    empty_dir();
}

static void other_files_are_refused(void **state) {
    (void)state;
    struct moon_buf sound = MOON_BUF_INIT;
    raw("CREATE TABLE photos (id)");
    refused("another program");
    make_sound(&sound);
    raw("PRAGMA user_version = 99");
    refused("newer moongate (schema 99");
    raw("PRAGMA application_id = 7");
    refused("another program");
    moon_buf_release(&sound);
    empty_dir();
    if (geteuid() != 0) {
        assert_int_equal(chmod(dir, 0500), 0);
        refused("can't be used");
        assert_int_equal(chmod(dir, 0700), 0);
    }
}

static void damage_found_later_ends_it(void **state) {
    (void)state;
    struct moon_buf sound = MOON_BUF_INIT;
    struct moon_store *s;
    struct moon_store_call c = {0}, *calls[] = {&c};
    make_sound(&sound);
    assert_int_equal(open_store(&s), 0);
    int fd = open(path, O_WRONLY);
    char junk[4096];
    memset(junk, 0xa5, sizeof junk);
    for (size_t page = 1; page < sound.len / 4096; page++)
        assert_int_equal(pwrite(fd, junk, sizeof junk, (off_t)(page * 4096)), sizeof junk);
    ask(s, "PRAGMA shrink_memory"); /* what it has looked through is still in its memory */
    assert_int_equal(ask(s, "SELECT count(*) FROM cells WHERE value_json > ''"), -1);
    assert_int_equal(err.code, MOON_ESTORE);
    assert_int_equal(add_pair(&c, "k", "late"), 0);
    moon_store_apply(s, calls, 1, 5);
    assert_int_equal(c.rc, MOON_ESTORE);
    assert_non_null(strstr(c.err.message, "is damaged"));
    moon_store_call_release(&c);
    moon_store_close(s);
    close(fd);
    moon_buf_release(&sound);
    empty_dir();
}

/* ---- parts ---- */

static void network_filesystems(void **state) {
    (void)state;
    assert_string_equal(sqlite_network_fs(0x6969), "NFS");
    assert_string_equal(sqlite_network_fs(0xff534d42), "CIFS");
    assert_null(sqlite_network_fs(0xef53));     /* ext4 */
    assert_null(sqlite_network_fs(0x9123683e)); /* btrfs */
    assert_null(sqlite_network_fs(0x01021994)); /* tmpfs */
    assert_null(sqlite_network_fs(0x794c7630)); /* overlayfs */
}

static void shown(const char *given, const char *expected, const char *password) {
    struct moon_buf out = MOON_BUF_INIT, secret = MOON_BUF_INIT;
    assert_int_equal(moon_store_url_show(given, &out, &secret), 0);
    assert_string_equal(out.data, expected);
    assert_string_equal(secret.data ? secret.data : "", password);
    moon_buf_release(&out);
    moon_buf_release(&secret);
}

static void urls_are_shown_without_passwords(void **state) {
    (void)state;
    shown("sqlite:/a/b.db", "sqlite:/a/b.db", "");
    shown("postgres://db/x", "postgres://db/x", "");
    shown("postgres://me@db/x?sslmode=require", "postgres://me@db/x?sslmode=require", "");
    shown("postgres://me:p%40ss@db:5432/x", "postgres://me@db:5432/x", "p%40ss");
    shown("postgres://me:a@b@db/x", "postgres://me@db/x", "a@b");
    shown("postgresql://me:@db", "postgresql://me@db", "");
    shown("postgres://db/x?password=hush&sslmode=require", "postgres://db/x?sslmode=require", "hush");
    shown("postgres:///x?host=/run&password=hush", "postgres:///x?host=/run", "hush");
    shown("postgres://db/x?password=hush", "postgres://db/x", "hush");
}

static void forms(void **state) {
    (void)state;
    struct moon_store *s;
    assert_int_equal(moon_store_kind("sqlite:x"), MOON_STORE_SQLITE);
    assert_int_equal(moon_store_kind("postgresql://x"), MOON_STORE_POSTGRES);
    assert_int_equal(moon_store_kind("mysql://x"), MOON_STORE_NONE);
    assert_int_equal(moon_store_open(&s, "mysql://x", &(struct moon_store_opts){0}, &err), MOON_EINVAL);
}

/* ---- from an older version ---- */

static void raw_in(sqlite3 *db, const char *sql) {
    struct moon_buf text = MOON_BUF_INIT;
    assert_int_equal(store_expand(&sqlite_form, sql, &text), 0);
    assert_int_equal(sqlite3_exec(db, text.data, NULL, NULL, NULL), SQLITE_OK);
    moon_buf_release(&text);
}

static void what_waited_waits_in_the_one_queue(void **state) {
    (void)state;
    struct moon_store *s;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (const char *const *sql = store_migrations[0].statements; *sql; sql++)
        raw_in(db, *sql);
    raw_in(
        db,
        "INSERT INTO outbox (id, webhook, url, event, body, run_id, step, state, attempts, tries, next_at, last_error) "
        "VALUES ('m1', 'a\"b', 'https://x/', 'e', '{}', 'r', 's', 'pending', 3, 1, 77, 'it''s \\'), "
        "('m2', 'a', 'u', 'e', '{}', NULL, NULL, 'delivered', 1, 1, 5, NULL)");
    raw_in(db, "INSERT INTO queued_writes (id, resource, method, content_json, depends_on, state, error_json) VALUES "
               "(4, 'one', 'PUT', '{\"n\":1.50}', NULL, 'superseded', NULL), (7, 'one', 'PUT', '{}', 4, 'queued', "
               "'{\"code\":\"x\"}')");
    raw_in(db, "INSERT INTO queues (name, state) VALUES ('writes', 'open')");
    raw_in(db, "INSERT INTO queue_items (queue, seq, request_id, payload_json, state, attempts, not_before) VALUES "
               "('writes', 1, 'p', '{}', 'done', 1, 0)");
    raw_in(db, "PRAGMA application_id = 1836019566; PRAGMA user_version = 1");
    sqlite3_close(db);
    chmod(path, 0600);
    assert_int_equal(open_store(&s), 0);
    assert_int_equal(ask(s, "SELECT count(*) FROM queue_items"), 5);
    assert_int_equal(ask(s, "SELECT not_before FROM queue_items WHERE queue = 'messages' AND request_id = 'm1' AND "
                            "key = 'r s' AND state = 'waiting' AND attempts = 1 AND "
                            "json_extract(facts_json, '$.webhook') = 'a\"b' AND "
                            "json_extract(result_json, '$.last_error') = 'it''s \\'"),
                     77);
    assert_int_equal(ask(s, "SELECT count(*) FROM queue_items WHERE request_id = 'm2' AND state = 'done'"), 1);
    assert_int_equal(ask(s, "SELECT next_seq FROM queues WHERE name = 'messages' AND kind = 'message'"), 3);
    assert_int_equal(ask(s, "SELECT depends_on FROM queue_items WHERE queue = 'writes' AND seq = 7 AND key = 'one' AND "
                            "json_extract(result_json, '$.error.code') = 'x'"),
                     4);
    assert_int_equal(ask(s, "SELECT count(*) FROM queue_items WHERE seq = 4 AND state = 'dropped' AND "
                            "instr(payload_json, '\"content\":{\"n\":1.50}') > 0"),
                     1);
    assert_int_equal(ask(s, "SELECT next_seq FROM queues WHERE name = 'writes' AND kind = 'write'"), 8);
    assert_int_equal(ask(s, "SELECT count(*) FROM queue_items WHERE queue = 'writes-prompts' AND request_id = 'p'"), 1);
    moon_store_close(s);
    empty_dir();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_file_is_ours_alone),
        cmocka_unit_test(what_is_written_is_there_again),
        cmocka_unit_test(a_damaged_file_is_refused),
        cmocka_unit_test(a_log_without_its_file_is_kept),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(damage_found_later_ends_it),
        cmocka_unit_test(network_filesystems),
        cmocka_unit_test(urls_are_shown_without_passwords),
        cmocka_unit_test(forms),
        cmocka_unit_test(what_waited_waits_in_the_one_queue),
    };
    return cmocka_run_group_tests_name("store", tests, make_dir, remove_dir);
}
