/* curl_easy.c - the options of an easy handle: constant ones once, a request's own when they differ from the one
 * before. */
#include "curl_pool.h"
#include "curl_socket.h"

#include "moongate/clock.h"
#include "moongate/proxy.h"

#include <string.h>
#include <strings.h>

#define SET(option, value)                                                                                             \
    do {                                                                                                               \
        if (curl_easy_setopt(e, option, value) != CURLE_OK)                                                            \
            return -1;                                                                                                 \
    } while (0)

/* https://curl.se/libcurl/c/CURLOPT_PREREQFUNCTION.html: called each time a request is about to go out on a connection.
 *
 * libcurl sends a request again by itself when a reused connection dies before the answer. A charge would be made
 * twice, and the 412 of a repeated write be taken for a conflict, so the second time is refused: the loop in
 * http_call.c is the only one that sends again. (A read callback without a seek callback does the same for bodies, at
 * the price of a second packet and a buffer for every request.) */
/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
static int on_prereq(void *ud, char *peer, char *local, int peer_port, int local_port) {
    struct moon_curl_transfer *t = ud;
    (void)peer, (void)local, (void)peer_port;
    moon_curl_note_start(t, local_port);
    return t->starts++ == 0 && !moon_curl_http2_is_wrong(t) && !moon_curl_is_stale(t) ? CURL_PREREQFUNC_OK
                                                                                      : CURL_PREREQFUNC_ABORT;
}

static int set_safety(CURL *e) {
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a transfer that is given up must not wait for its resolver thread */
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L); /* libcurl would carry X-Api-Key to another host */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    return 0;
}

static int set_env(CURL *e, const struct moon_curl_env *env, struct moon_curl_transfer *t) {
    SET(CURLOPT_SHARE, env->share);
    SET(CURLOPT_OPENSOCKETFUNCTION, moon_curl_guarded_open);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_CLOSESOCKETFUNCTION, moon_curl_on_close);
    SET(CURLOPT_CLOSESOCKETDATA, env->sockets);
    /* libcurl reads the CAs for each connection, 20 ms of CPU: so OpenSSL is given what was read once. */
    bool once = curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, moon_curl_trust_on_ctx) == CURLE_OK;
    SET(CURLOPT_SSL_CTX_DATA, env);
    if (once || env->ca_file)
        SET(CURLOPT_CAINFO, once ? NULL : env->ca_file);
    if (once || env->ca_file)
        SET(CURLOPT_PROXY_CAINFO, once ? NULL : env->ca_file);
    if (once || env->ca_path)
        SET(CURLOPT_CAPATH, once ? NULL : env->ca_path);
    if (once || env->ca_path)
        SET(CURLOPT_PROXY_CAPATH, once ? NULL : env->ca_path);
    SET(CURLOPT_NOPROXY, "*"); /* the choice is made before: libcurl is not to look at the environment */
    return 0;
}

static int set_constant(CURL *e, const struct moon_curl_env *env, struct moon_curl_transfer *t) {
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_PREREQFUNCTION, on_prereq);
    SET(CURLOPT_PREREQDATA, t);
    SET(CURLOPT_HEADERFUNCTION, moon_curl_on_head);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, moon_curl_on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_DEBUGFUNCTION, moon_curl_on_text);
    SET(CURLOPT_DEBUGDATA, t);
    if (moon_curl_http2_set(e, false) != 0 || set_safety(e) != 0)
        return -1;
    return set_env(e, env, t);
}

CURL *moon_curl_easy_new(const struct moon_curl_env *env, struct moon_curl_transfer *t) {
    CURL *e = curl_easy_init();
    t->env = env;
    if (e && set_constant(e, env, t) != 0) {
        curl_easy_cleanup(e);
        e = NULL;
    }
    return e;
}

/* A handle with nothing of an earlier transfer. */
static int renew(const struct moon_curl_env *env, struct moon_curl_transfer *t) {
    CURL *e = moon_curl_easy_new(env, t);
    if (!e)
        return -1;
    curl_easy_cleanup(t->easy);
    t->easy = e;
    moon_buf_clear(&t->url);
    t->method = NULL;
    t->proxy = NULL;
    t->has_body = t->https = t->identified = t->http2 = t->fresh = t->connect_only = false;
    return 0;
}

/* libcurl keeps the buffer of a transfer that was cut off, and lets no handle with one have another size. */
static int set_version(const struct moon_curl_env *env, struct moon_curl_transfer *t) {
    if (t->http2 == t->offered)
        return 0;
    if (moon_curl_http2_set(t->easy, t->offered) != 0 &&
        (renew(env, t) != 0 || moon_curl_http2_set(t->easy, t->offered) != 0))
        return -1;
    t->http2 = t->offered;
    return 0;
}

/* The client certificate; env NULL: none. */
static int set_identity(CURL *e, const struct moon_curl_env *env) {
    SET(CURLOPT_SSLCERT, env ? env->cert : NULL);
    SET(CURLOPT_SSLKEY, env ? env->key : NULL);
    SET(CURLOPT_KEYPASSWD, env ? env->passphrase : NULL);
    return 0;
}

/* The URL is given parsed: from text, libcurl would parse it and print it anew for every request. It still wants the
 * text, too, and would print one if there were none. */
static int set_url(CURL *e, struct moon_curl_transfer *t, const struct moon_buf *url) {
    if (t->url.len == url->len && memcmp(t->url.data, url->data, url->len) == 0)
        return 0;
    moon_buf_clear(&t->url);
    if (moon_buf_append(&t->url, url->data, url->len) == 0 &&
        curl_url_set(t->parsed, CURLUPART_URL, t->url.data, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER) == CURLUE_OK &&
        curl_easy_setopt(e, CURLOPT_URL, t->url.data) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_CURLU, t->parsed) == CURLE_OK)
        return 0;
    moon_buf_clear(&t->url);
    return -1;
}

static int set_method(CURL *e, const char *method, bool has_body) {
    SET(CURLOPT_NOBODY, 0L);
    if (has_body)
        SET(CURLOPT_POST, 1L);
    else
        SET(CURLOPT_HTTPGET, 1L);
    SET(CURLOPT_CUSTOMREQUEST, NULL);
    if (strcmp(method, "HEAD") == 0)
        SET(CURLOPT_NOBODY, 1L);
    else if (strcmp(method, has_body ? "POST" : "GET") != 0)
        SET(CURLOPT_CUSTOMREQUEST, method);
    return 0;
}

static int set_body(CURL *e, const struct moon_buf *body) {
    SET(CURLOPT_POSTFIELDS, body->len ? body->data : "");
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
    return 0;
}

int moon_curl_easy_set(const struct moon_curl_env *env, struct moon_curl_transfer *t,
                       const struct moon_curl_request *rq) {
    bool has_body = rq->body != NULL;
    t->offered = moon_curl_http2_offered(env, rq);
    if (set_version(env, t) != 0)
        return -1;
    CURL *e = t->easy;
    if (set_url(e, t, rq->url) != 0)
        return -1;
    if (t->method != rq->method || t->has_body != has_body) {
        t->method = NULL;
        if (set_method(e, rq->method, has_body) != 0)
            return -1;
        t->method = rq->method;
        t->has_body = has_body;
    }
    if (t->https != rq->https) { /* what libcurl says of its TLS connections is read (moon_curl_on_text) */
        SET(CURLOPT_VERBOSE, rq->https ? 1L : 0L);
        t->https = rq->https;
    }
    if (t->identified != rq->identified) {
        if (set_identity(e, rq->identified ? env : NULL) != 0)
            return -1;
        t->identified = rq->identified;
    }
    if (t->proxy != rq->proxy) {
        SET(CURLOPT_PROXY, rq->proxy ? rq->proxy->url : NULL);
        SET(CURLOPT_NOPROXY, rq->proxy ? "" : "*");
        t->proxy = rq->proxy;
    }
    if (t->fresh != rq->fresh) {
        SET(CURLOPT_FRESH_CONNECT, rq->fresh ? 1L : 0L);
        t->fresh = rq->fresh;
    }
    if (t->connect_only != rq->connect_only) { /* libcurl uses a connection of its own for it, and closes that */
        SET(CURLOPT_CONNECT_ONLY, rq->connect_only ? 1L : 0L);
        t->connect_only = rq->connect_only;
    }
    if (has_body && set_body(e, rq->body) != 0)
        return -1;
    /* libcurl gives each address of a name its share of this, so a second is tried when the first drops packets */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(rq->connect_ns / MOON_NS_PER_MS > 1 ? rq->connect_ns / MOON_NS_PER_MS : 1));
    SET(CURLOPT_HTTPHEADER, rq->headers);
    return 0;
}
