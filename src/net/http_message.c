/* http_message.c - the text of requests and answers: header lines, URLs, and results with their pool. */
#include "http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEEP_BUF      16384 /* a larger buffer is not kept in the pool */
#define SPARE_RESULTS 1024

/* ---- headers ---- */

static bool is_token(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c <= 0x20 || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
            return false;
    }
    return len > 0;
}

static bool is_value(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_ours(const char *name, size_t len) {
    static const char *const ours[] = {"host", "content-length", "transfer-encoding", "connection", "expect",
                                       "te",   "upgrade"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strlen(ours[i]) == len && strncasecmp(name, ours[i], len) == 0)
            return true;
    return false;
}

/* libcurl takes "Name:" as "leave it out" and "Name;" as an empty header. */
int moon_http_put_line(struct moon_buf *lines, const char *name, size_t nlen, const char *value, size_t vlen,
                       struct moon_err *err) {
    if (!is_token(name, nlen))
        return moon_err_set(err, MOON_EINVAL, "not a header name: '%.*s'", nlen > 80 ? 80 : (int)nlen, name);
    if (!is_value(value, vlen))
        return moon_err_set(err, MOON_EINVAL,
                            "header %.*s: line breaks and control characters are not allowed in its value",
                            (int)(nlen > 80 ? 80 : nlen), name);
    if (is_ours(name, nlen))
        return moon_err_set(err, MOON_EINVAL, "header %.*s is set by the client itself", (int)nlen, name);
    while (vlen && (*value == ' ' || *value == '\t'))
        value++, vlen--;
    size_t before = lines->len;
    if (moon_buf_append(lines, name, nlen) != 0 || moon_buf_append(lines, vlen ? ": " : ";", vlen ? 2 : 1) != 0 ||
        moon_buf_append(lines, value, vlen) != 0 || moon_buf_putc(lines, '\0') != 0) {
        lines->len = before;
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    return 0;
}

/* ---- URLs ---- */

int moon_http_escape(struct moon_buf *out, const char *text, size_t len) {
    static const char hex[] = "0123456789ABCDEF";
    if (moon_buf_reserve(out, 3 * len + 1) != 0)
        return MOON_ENOMEM;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c))) {
            out->data[out->len++] = (char)c;
        } else {
            out->data[out->len++] = '%';
            out->data[out->len++] = hex[c >> 4];
            out->data[out->len++] = hex[c & 15];
        }
    }
    out->data[out->len] = '\0';
    return 0;
}

int moon_http_check_url(const char *url, size_t len, struct moon_err *err) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)url[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}", c))
            return moon_err_set(err, MOON_EINVAL, "byte 0x%02x at %zu of the URL must be percent-encoded", c, i + 1);
        if (c == '#')
            return moon_err_set(err, MOON_EINVAL, "a fragment ('#') is not sent: leave it out, or write %%23");
    }
    return 0;
}

int moon_http_origin(const char *url, size_t len, char out[MOON_HTTP_ORIGIN_SIZE], struct moon_err *err) {
    size_t scheme = len >= 8 && strncasecmp(url, "https://", 8) == 0  ? 8
                    : len >= 7 && strncasecmp(url, "http://", 7) == 0 ? 7
                                                                      : 0;
    if (!scheme)
        return moon_err_set(err, MOON_EINVAL, "not an http(s) URL: '%.*s'", len > 120 ? 120 : (int)len, url);
    size_t end = scheme;
    while (end < len && !strchr("/?#", url[end]))
        end++;
    if (memchr(url + scheme, '@', end - scheme))
        return moon_err_set(err, MOON_EINVAL, "a user name or password in a URL is not sent: give credentials as such");
    if (end == scheme || end >= MOON_HTTP_ORIGIN_SIZE || url[scheme] == ':')
        return moon_err_set(err, MOON_EINVAL, "no usable host in the URL '%.*s'", len > 120 ? 120 : (int)len, url);
    for (size_t i = 0; i < end; i++)
        out[i] = url[i] >= 'A' && url[i] <= 'Z' ? (char)(url[i] + 32) : url[i];
    out[end] = '\0';
    const char *own = scheme == 8 ? ":443" : ":80";
    size_t n = strlen(own);
    if (end > scheme + n && strcmp(out + end - n, own) == 0)
        out[end - n] = '\0';
    else if (out[end - 1] == ':')
        out[end - 1] = '\0';
    return 0;
}

bool moon_http_is_loopback(const char *origin) {
    const char *host = strstr(origin, "://");
    if (!host)
        return false;
    host += 3;
    if (strncmp(host, "[::1]", 5) == 0)
        return true;
    size_t n = strcspn(host, ":");
    if (n == 9 && strncmp(host, "localhost", 9) == 0)
        return true;
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
}

const char *moon_http_method(const char *method, size_t len) {
    static const char *const known[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i]) == len && memcmp(known[i], method, len) == 0)
            return known[i];
    return NULL;
}

/* ---- results ---- */

struct moon_http_result *moon_http_result_new(struct moon_http *http) {
    struct moon_http_result *r = http->spare_results;
    if (r) {
        http->spare_results = r->next;
        http->n_spare_results--;
    } else if (!(r = calloc(1, sizeof *r))) {
        return NULL;
    }
    r->http = http;
    r->next = NULL;
    r->code = r->status = r->n_attempts = 0;
    r->outcome = "final";
    r->after_ambiguous = r->conditional = false;
    r->elapsed_ns = 0;
    r->retry_after_ns = -1;
    return r;
}

static void keep_small(struct moon_buf *b) {
    if (b->cap > KEEP_BUF)
        moon_buf_release(b);
    else
        moon_buf_clear(b);
}

static void result_release(struct moon_http_result *r) {
    moon_buf_release(&r->url);
    moon_buf_release(&r->head);
    moon_buf_release(&r->body);
    moon_buf_release(&r->message);
    moon_buf_release(&r->hint);
    free(r);
}

void moon_http_result_free(struct moon_http_result *r) {
    if (!r)
        return;
    struct moon_http *http = r->http;
    if (!http || http->n_spare_results >= SPARE_RESULTS) {
        result_release(r);
        return;
    }
    keep_small(&r->url);
    keep_small(&r->head);
    keep_small(&r->body);
    moon_buf_clear(&r->message);
    moon_buf_clear(&r->hint);
    r->next = http->spare_results;
    http->spare_results = r;
    http->n_spare_results++;
}

bool moon_http_result_next(const struct moon_http_result *r, size_t *pos, const char **name, size_t *nlen,
                           const char **value, size_t *vlen) {
    while (*pos < r->head.len) {
        const char *line = r->head.data + *pos, *eol = memchr(line, '\n', r->head.len - *pos);
        const char *end = eol ? eol : r->head.data + r->head.len;
        *pos = (size_t)(end - r->head.data) + (eol ? 1 : 0);
        const char *colon = memchr(line, ':', (size_t)(end - line));
        if (!colon)
            continue;
        const char *v = colon + 1;
        while (v < end && (*v == ' ' || *v == '\t'))
            v++;
        while (end > v && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t'))
            end--;
        *name = line;
        *nlen = (size_t)(colon - line);
        *value = v;
        *vlen = (size_t)(end - v);
        return true;
    }
    return false;
}

const char *moon_http_result_header(const struct moon_http_result *r, const char *name, size_t nlen, size_t *len) {
    const char *n, *v;
    size_t pos = 0, nl;
    while (moon_http_result_next(r, &pos, &n, &nl, &v, len))
        if (nl == nlen && strncasecmp(n, name, nlen) == 0)
            return v;
    return NULL;
}

const char *moon_http_correlation_id(const struct moon_http_result *r, size_t *len) {
    return moon_http_result_header(r, "inin-correlation-id", 19, len);
}
