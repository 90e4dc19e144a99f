/* curl_answer.c - takes an answer from libcurl: its header lines, and its body, unpacked where that is gzip. For
 * curl_easy.c and curl_pool.c. The callbacks only move state; returning less than what was given ends the transfer.
 *
 * libcurl unpacks, too, but takes a gzip stream that has no end for a whole one. */
#include "curl_pool.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define PIECE       16384
#define INTERIM_MAX 100 /* answers of 1xx before the one that counts */

/* 0, which ends the transfer. */
static size_t fail(struct moon_curl_transfer *t, int code, const char *why) {
    t->sink_code = code;
    t->sink_why = why;
    return 0;
}

static size_t append(struct moon_curl_transfer *t, const char *data, size_t n) {
    if (n > t->body_max || t->body->len > t->body_max - n)
        return fail(t, MOON_ETOOBIG, "the answer is larger than allowed");
    return moon_buf_append(t->body, data, n) == 0 ? n : fail(t, MOON_ENOMEM, NULL);
}

/* ---- header lines ---- */

static int status_of(const char *line, size_t n) {
    const char *at = memchr(line, ' ', n);
    size_t left = at ? n - (size_t)(at - line) : 0;
    int status = 0;
    for (size_t i = 1; i < 4 && i < left && at[i] >= '0' && at[i] <= '9'; i++)
        status = status * 10 + (at[i] - '0');
    return status;
}

static bool begins(const char *line, size_t n, const char *name) {
    size_t len = strlen(name);
    return n >= len && strncasecmp(line, name, len) == 0;
}

static bool is_gzip(const char *value, size_t n) {
    while (n && (*value == ' ' || *value == '\t'))
        value++, n--;
    while (n && strchr("\r\n \t", value[n - 1]))
        n--;
    return (n == 4 && strncasecmp(value, "gzip", 4) == 0) || (n == 6 && strncasecmp(value, "x-gzip", 6) == 0);
}

/* RFC 9112, 6.3: of two lengths that differ nobody knows which is right. libcurl takes the last. */
static bool is_another_length(struct moon_curl_transfer *t, const char *value, size_t n) {
    int64_t length = 0;
    while (n && (*value == ' ' || *value == '\t'))
        value++, n--;
    for (; n && *value >= '0' && *value <= '9' && length <= INT64_MAX / 10 - 1; value++, n--)
        length = length * 10 + (*value - '0');
    while (n && strchr("\r\n \t", value[n - 1]))
        n--;
    bool differs = n > 0 || (t->length >= 0 && t->length != length); /* "7, 3": a list, or no number */
    t->length = length;
    return differs;
}

static size_t status_line(struct moon_curl_transfer *t, const char *line, size_t n) {
    t->status = status_of(line, n);
    t->head_state = MOON_CURL_HEAD_LINES;
    t->gzip = false;
    t->length = -1;
    moon_buf_clear(t->head);
    if (t->status == 101) /* libcurl would wait for what is no HTTP any more */
        return fail(t, MOON_EPROTOCOL, "the server switched to another protocol (101), which was not asked for");
    if (t->status < 200 && ++t->interim > INTERIM_MAX)
        return fail(t, MOON_EPROTOCOL, "the server sent more than 100 interim answers (1xx) and no final one");
    return n;
}

/* https://curl.se/libcurl/c/CURLOPT_HEADERFUNCTION.html: one call a line, of every answer: also of a 100, and of what
 * comes behind the body. */
size_t moon_curl_on_head(char *data, size_t size, size_t count, void *ud) {
    struct moon_curl_transfer *t = ud;
    size_t n = size * count;
    t->group->moved++;
    if (t->head_state == MOON_CURL_HEAD_DONE) /* trailers, which pass for no header */
        return n;
    if (n >= 5 && memcmp(data, "HTTP/", 5) == 0)
        return status_line(t, data, n);
    if (n <= 2) { /* the empty line at the end; n is never 0 */
        t->head_state = t->status >= 200 ? MOON_CURL_HEAD_DONE : MOON_CURL_HEAD_NONE;
        return n;
    }
    if (begins(data, n, "content-encoding:"))
        t->gzip = is_gzip(data + 17, n - 17);
    else if (begins(data, n, "content-length:") && is_another_length(t, data + 15, n - 15))
        return fail(t, MOON_EPROTOCOL, "the answer's Content-Length is not one number");
    if (n > t->head_max || t->head->len > t->head_max - n)
        return fail(t, MOON_ETOOBIG, MOON_CURL_HEAD_TOO_LARGE);
    return moon_buf_append(t->head, data, n) == 0 ? n : fail(t, MOON_ENOMEM, NULL);
}

/* ---- the body ---- */

static int damaged(struct moon_curl_transfer *t, int code, const char *why) {
    fail(t, code, why);
    return -1;
}

static int unpack(struct moon_curl_transfer *t, z_stream *z) {
    char piece[PIECE];
    do {
        z->next_out = (unsigned char *)piece;
        z->avail_out = sizeof piece;
        int rc = inflate(z, Z_NO_FLUSH);
        size_t n = sizeof piece - z->avail_out;
        if (rc == Z_MEM_ERROR)
            return damaged(t, MOON_ENOMEM, NULL);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return damaged(t, MOON_EPROTOCOL, "the answer's gzip data is damaged");
        if (n > 0 && append(t, piece, n) != n)
            return -1;
        t->gzip_ended = rc == Z_STREAM_END;
        if (rc == Z_STREAM_END && z->avail_in > 0 && inflateReset(z) != Z_OK) /* another member follows */
            return damaged(t, MOON_ENOMEM, NULL);
    } while (z->avail_in > 0 || z->avail_out == 0);
    return 0;
}

/* https://curl.se/libcurl/c/CURLOPT_WRITEFUNCTION.html */
size_t moon_curl_on_body(char *data, size_t size, size_t count, void *ud) {
    struct moon_curl_transfer *t = ud;
    size_t n = size * count;
    t->group->moved++;
    if (!t->gzip)
        return append(t, data, n);
    z_stream *z = t->unzip;
    if (!z) {
        if (!(z = calloc(1, sizeof *z)) || inflateInit2(z, 16 + MAX_WBITS) != Z_OK) {
            free(z);
            return fail(t, MOON_ENOMEM, NULL);
        }
        t->unzip = z;
    } else if (t->gzip_ended && inflateReset(z) != Z_OK) {
        return fail(t, MOON_ENOMEM, NULL);
    }
    z->next_in = (unsigned char *)data;
    z->avail_in = (unsigned)n; /* at most libcurl's buffer */
    return unpack(t, z) == 0 ? n : 0;
}

void moon_curl_answer_clear(struct moon_curl_transfer *t) {
    if (t->unzip)
        inflateEnd(t->unzip);
    free(t->unzip);
    t->unzip = NULL;
    t->gzip = t->gzip_ended = false;
    t->head_state = MOON_CURL_HEAD_NONE;
    t->status = t->sink_code = t->interim = 0;
    t->length = -1;
    t->sink_why = NULL;
}

/* libcurl takes an answer for whole whose headers or whose packed body have no end. */
CURLcode moon_curl_answer_end(struct moon_curl_transfer *t, CURLcode result) {
    if (result != CURLE_OK || t->connect_only)
        return result;
    if (t->head_state != MOON_CURL_HEAD_DONE)
        return CURLE_GOT_NOTHING;
    if (t->unzip && !t->gzip_ended) {
        fail(t, MOON_EPROTOCOL, "the answer's gzip data is cut short");
        return CURLE_WRITE_ERROR;
    }
    return CURLE_OK;
}
