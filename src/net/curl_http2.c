/* curl_http2.c - HTTP/2 on a libcurl that has faults there, for curl_pool.c and curl_easy.c: whether it is offered, and
 * which requests the server has not processed.
 *
 * libcurl's results do not tell a refused stream from a lost connection, so its own words are read
 * (CURLOPT_DEBUGFUNCTION, of https only), as 7.88 has them. Words that are not known make a request no safer to send
 * again than it was. */
#include "curl_pool.h"

#include <stdlib.h>
#include <string.h>

#define HTTP2_BUFFER ((long)132 << 10) /* see moon_curl_http2_set */
#define SMALL_BUFFER 1024L             /* of ten thousand waiting transfers each has one */

/* From 7.88.0 to 8.0.1, libcurl does not deliver data that it has taken off the socket already, loses it where streams
 * share a connection and answers are large, and fails requests when a socket's buffer is full. */
static bool is_faulty(void) {
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    return v->version_num >= 0x075800 && v->version_num < 0x080100;
}

const char *moon_http_known_bugs(void) {
    if (!is_faulty())
        return "";
    return "HTTP/2 loses answers and fails requests: HTTP/1.1 is used where the server speaks it (--http2=always)\n"
           "an answer to nothing on an idle connection is taken for the next one: idle connections are looked at "
           "first\n"
           "a second address of a name is tried late: it is tried in time by a timer";
}

enum moon_curl_http2 moon_curl_http2_resolve(enum moon_http2 wanted) {
    if (wanted == MOON_HTTP2_NEVER)
        return MOON_CURL_HTTP2_NEVER;
    return wanted == MOON_HTTP2_AUTO && is_faulty() ? MOON_CURL_HTTP2_LAST : MOON_CURL_HTTP2_FIRST;
}

long moon_curl_http2_streams(void) {
    return is_faulty() ? CURLPIPE_NOTHING : CURLPIPE_MULTIPLEX;
}

bool moon_curl_http2_offered(const struct moon_curl_env *env, const struct moon_curl_request *rq) {
    if (!rq->https || rq->peer->http1_only || env->http2 == MOON_CURL_HTTP2_NEVER)
        return false;
    return env->http2 == MOON_CURL_HTTP2_FIRST || rq->peer->http2;
}

#define SET(option, value)                                                                                             \
    do {                                                                                                               \
        if (curl_easy_setopt(e, option, value) != CURLE_OK)                                                            \
            return -1;                                                                                                 \
    } while (0)

/* Where libcurl takes HTTP/2, its buffer must hold more than the largest header section that it accepts (128 KiB): of a
 * larger one it hands out the end before the beginning. */
int moon_curl_http2_set(CURL *e, bool offered) {
    SET(CURLOPT_HTTP_VERSION, (long)(offered ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    SET(CURLOPT_PIPEWAIT, offered && moon_curl_http2_streams() == CURLPIPE_MULTIPLEX ? 1L : 0L);
    SET(CURLOPT_BUFFERSIZE, offered ? HTTP2_BUFFER : SMALL_BUFFER);
    return 0;
}

/* ---- what libcurl says ---- */

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

static long number_after(const char *text, const char *what) {
    const char *at = strstr(text, what);
    return at ? strtol(at + strlen(what), NULL, 10) : -1;
}

/* The last stream that the server has taken on t's connection; -1: it takes all. */
static long last_taken(const struct moon_curl_transfer *t) {
    const struct moon_curl_group *g = t->group;
    for (size_t i = 0; i < MOON_CURL_GOAWAYS; i++)
        if (g->goaways[i].connection == t->connection + 1)
            return g->goaways[i].last;
    return -1;
}

static void goes_away(struct moon_curl_transfer *t, long last) {
    struct moon_curl_group *g = t->group;
    struct moon_curl_goaway *to = NULL;
    if (t->connection < 0 || last < 0)
        return;
    for (size_t i = 0; i < MOON_CURL_GOAWAYS; i++)
        if (g->goaways[i].connection == t->connection + 1)
            to = &g->goaways[i];
    if (!to)
        to = &g->goaways[g->next_goaway++ % MOON_CURL_GOAWAYS];
    *to = (struct moon_curl_goaway){t->connection + 1, last};
    for (struct moon_curl_transfer *other = g->transfers; other; other = other->next)
        if (other->connection == t->connection && other->stream > last)
            other->unprocessed = true;
}

static void has_stream(struct moon_curl_transfer *t, long stream) {
    if (stream <= 0)
        return;
    t->group->streams += t->stream == 0;
    t->stream = stream;
    long last = last_taken(t);
    if (last >= 0 && stream > last)
        t->unprocessed = true;
}

/* https://curl.se/libcurl/c/CURLOPT_DEBUGFUNCTION.html: data is not NUL-terminated */
/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
int moon_curl_on_text(CURL *easy, curl_infotype type, char *data, size_t size, void *ud) {
    struct moon_curl_transfer *t = ud;
    char text[200];
    (void)easy;
    if (type != CURLINFO_TEXT || !t->group)
        return 0;
    size_t n = size < sizeof text ? size : sizeof text - 1;
    memcpy(text, data, n);
    text[n] = '\0';
    if (begins(text, "Connected to ") || begins(text, "Re-using existing connection #"))
        t->connection = number_after(text, *text == 'C' ? "(#" : "connection #");
    else if (begins(text, "ALPN: server accepted http/1.1"))
        t->http1_agreed = true;
    else if (begins(text, "Using Stream ID: "))
        has_stream(t, number_after(text, "ID: "));
    else if (begins(text, "recveived GOAWAY, error=") || begins(text, "received GOAWAY, error="))
        goes_away(t, number_after(text, "last_stream="));
    else if (begins(text, "REFUSED_STREAM, retrying") || /* of a connection that was there before, without that word: */
             (begins(text, "Connection died, retrying") && t->stream > 0 && !t->error[0]))
        t->unprocessed = true;
    else if (begins(text, "HTTP/2 stream ") && strstr(text, "HTTP_1_1_REQUIRED"))
        t->http1_required = true;
    return 0;
}

/* ---- before a request goes out, and when it has failed ---- */

/* On a new connection where HTTP/2 was not offered: a server that has not agreed to HTTP/1.1 may speak HTTP/2 alone. So
 * nothing is sent, and the next connection offers both. */
bool moon_curl_http2_is_wrong(struct moon_curl_transfer *t) {
    if (t->env->http2 != MOON_CURL_HTTP2_LAST || !t->https || t->offered || t->peer->http1_only || !t->opened ||
        t->http1_agreed)
        return false;
    return t->switching = t->peer->http2 = true;
}

/* Whether the server has not processed a request that failed: it may be sent again, whatever it is (RFC 9113, 8.7). */
bool moon_curl_unprocessed(struct moon_curl_transfer *t, CURLcode result) {
    struct moon_curl_peer *peer = t->peer;
    if (t->unprocessed || t->switching)
        return true;
    if (result == CURLE_SSL_CONNECT_ERROR && t->env->http2 == MOON_CURL_HTTP2_LAST && !t->offered &&
        !peer->http1_only && strstr(t->error, "application protocol"))
        return t->switching = peer->http2 = true;
    if (t->http1_required)
        return t->switching = peer->http1_only = true;
    return false;
}
