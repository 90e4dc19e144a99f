/* test_http_server_tls.c - the HTTP server over TLS. The client is libcurl in a thread of its own; the loop turns in
 * the main one. */
#include "tls_pair.h"
#include "unit.h"

#include "moongate/buf.h"
#include "moongate/http_server.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

struct client {
    const char *url;
    struct tls_pair *pair;
    long tls_max; /* CURL_SSLVERSION_MAX_... or 0 */
    CURLcode code;
    long status;
    struct moon_buf body;
    atomic_bool done;
};

static size_t on_body(char *data, size_t size, size_t n, void *ud) {
    return moon_buf_append(&((struct client *)ud)->body, data, size * n) == 0 ? n : 0;
}

static void *run_client(void *ud) {
    struct client *c = ud;
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, c->url);
    struct curl_blob ca = {c->pair->cert, strlen(c->pair->cert), CURL_BLOB_COPY};
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1 | c->tls_max);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
    c->code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &c->status);
    curl_easy_cleanup(easy);
    atomic_store(&c->done, true);
    return NULL;
}

static void on_event(void *ud, struct moon_http_exchange *x, enum moon_http_event event) {
    struct moon_http_reply r = MOON_HTTP_REPLY_INIT;
    (void)ud;
    assert_int_equal(event, MOON_HTTP_REQUEST);
    r.body = x->target;
    r.body_len = strlen(x->target);
    if (strcmp(x->target, "/half") == 0)
        r.truncate = 2;
    if (strcmp(x->target, "/drip") == 0) {
        r.drip_bytes = 2;
        r.drip_ns = 5 * MOON_NS_PER_MS;
    }
    if (strcmp(x->target, "/close") != 0)
        assert_int_equal(moon_http_exchange_reply(x, &r, NULL), 0);
    moon_http_exchange_release(x);
}

struct fixture {
    struct moon_loop *loop;
    struct moon_http_server *server;
    struct tls_pair pair;
};

static int setup(void **state) {
    static struct fixture f;
    struct moon_err err;
    memset(&f, 0, sizeof f);
    *state = &f;
    if (tls_pair_make(&f.pair) != 0 || moon_loop_new(&f.loop, NULL, NULL, &err) != 0)
        return -1;
    struct moon_http_server_opts o = {
        .host = "localhost", .tls_cert = f.pair.cert, .tls_key = f.pair.key, .on_event = on_event};
    return moon_http_server_start(f.loop, &f.server, &o, &err);
}

static int teardown(void **state) {
    struct fixture *f = *state;
    moon_http_server_free(f->server);
    moon_loop_free(f->loop);
    return 0;
}

static void get(struct fixture *f, const char *path, long tls_max, struct client *c) {
    char url[128];
    pthread_t thread;
    memset(c, 0, sizeof *c);
    snprintf(url, sizeof url, "%s%s", moon_http_server_url(f->server), path);
    c->url = url;
    c->pair = &f->pair;
    c->tls_max = tls_max;
    assert_int_equal(pthread_create(&thread, NULL, run_client, c), 0);
    while (!atomic_load(&c->done)) {
        moon_loop_turn(f->loop, false);
        usleep(200);
    }
    pthread_join(thread, NULL);
}

static void requests_are_answered(void **state) {
    struct client c;
    const long versions[] = {0, CURL_SSLVERSION_MAX_TLSv1_2, CURL_SSLVERSION_MAX_TLSv1_3};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        get(*state, "/x", versions[i], &c);
        if (c.code != CURLE_OK)
            fail_msg("%s", curl_easy_strerror(c.code));
        assert_int_equal(c.status, 200);
        assert_string_equal(c.body.data, "/x");
        moon_buf_release(&c.body);
    }
}

static void old_versions_are_refused(void **state) {
    struct client c;
    get(*state, "/x", CURL_SSLVERSION_MAX_TLSv1_1, &c);
    assert_int_equal(c.code, CURLE_SSL_CONNECT_ERROR);
}

static void faults_work_too(void **state) {
    struct client c;
    get(*state, "/drip", 0, &c);
    assert_int_equal(c.code, CURLE_OK);
    assert_string_equal(c.body.data, "/drip");
    moon_buf_release(&c.body);
    get(*state, "/half", 0, &c);
    assert_int_not_equal(c.code, CURLE_OK);
    assert_string_equal(c.body.data, "/h");
    moon_buf_release(&c.body);
    get(*state, "/close", 0, &c);
    assert_int_not_equal(c.code, CURLE_OK);
    assert_int_equal(c.status, 0);
    moon_buf_release(&c.body);
}

static void a_key_must_fit_its_certificate(void **state) {
    struct fixture *f = *state;
    struct moon_http_server *s = NULL;
    struct moon_err err;
    struct moon_http_server_opts o = {.tls_cert = f->pair.key, .tls_key = f->pair.cert, .on_event = on_event};
    assert_int_equal(moon_http_server_start(f->loop, &s, &o, &err), MOON_EINVAL);
    assert_non_null(strstr(err.message, "certificate"));
    assert_null(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_are_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(old_versions_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(faults_work_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_must_fit_its_certificate, setup, teardown),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
