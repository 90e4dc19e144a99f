/* http_message.c - the text of requests and answers: header lines, URLs, and results with their pool. */
#include "http_internal.h"
#include "moongate/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEEP_BUF      16384 /* a larger buffer is not kept in the pool */
#define SPARE_RESULTS 1024

/* ---- headers ---- */

enum { TOKEN = 1, VALUE = 2, UNRESERVED = 4, IN_URL = 8 };
static unsigned char classes[256]; /* of characters; [0] is 0 */

static void make_classes(void) {
    for (int c = 1; c < 256; c++) {
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool visible = c > 0x20 && c < 0x7f;
        classes[c] = (unsigned char)((visible && !strchr("()<>@,;:\\\"/[]?={}", c) ? TOKEN : 0) |
                                     ((c >= 0x20 && c != 0x7f) || c == '\t' ? VALUE : 0) |
                                     (alnum || strchr("-._~", c) ? UNRESERVED : 0) |
                                     (visible && !strchr("\"<>\\^`{|}#", c) ? IN_URL : 0));
    }
}

/* How much of s is of the class. */
static size_t span(const char *s, size_t len, int class) {
    size_t i = 0;
    if (!classes['a'])
        make_classes();
    while (i < len && classes[(unsigned char)s[i]] & class)
        i++;
    return i;
}

static bool is_one_of(const char *const names[], const char *name, size_t len) {
    for (; *names; names++)
        if ((**names | 32) == (*name | 32) && strlen(*names) == len && strncasecmp(name, *names, len) == 0)
            return true;
    return false;
}

/* Set by the client or by libcurl, or it would not be HTTP any more. */
static const char *const ours[] = {"host", "content-length", "transfer-encoding",   "connection",       "expect",
                                   "te",   "upgrade",        "proxy-authorization", "proxy-connection", NULL};
/* libcurl looks for these, and adds its own when they are not there. */
static const char *const looked_for[] = {"accept", "accept-encoding", "content-type", "cookie",
                                         "range",  "referer",         "user-agent",   NULL};

static int check_line(const char *name, size_t nlen, const char *value, size_t vlen, struct moon_err *err) {
    int shown = nlen > 80 ? 80 : (int)nlen;
    if (nlen == 0 || span(name, nlen, TOKEN) != nlen)
        return moon_err_set(err, MOON_EINVAL, "not a header name: '%.*s'", shown, name);
    if (span(value, vlen, VALUE) != vlen)
        return moon_err_set(err, MOON_EINVAL,
                            "header %.*s: line breaks and control characters are not allowed in its value", shown,
                            name);
    if (is_one_of(ours, name, nlen))
        return moon_err_set(err, MOON_EINVAL, "header %.*s is set by the client itself", shown, name);
    return 0;
}

/* An empty value is written "Name;": libcurl takes "Name:" as "leave it out". */
int moon_http_lines_add(struct moon_http_lines *l, const char *name, size_t nlen, const char *value, size_t vlen,
                        struct moon_err *err) {
    while (vlen && (*value == ' ' || *value == '\t'))
        value++, vlen--;
    int rc = check_line(name, nlen, value, vlen, err);
    if (rc != 0)
        return rc;
    bool alone = vlen == 0 || is_one_of(looked_for, name, nlen);
    struct moon_buf *b = alone ? &l->alone : &l->together;
    if (alone && l->n_alone == HTTP_ALONE_MAX)
        return moon_err_set(err, MOON_EINVAL, "header %.*s: too many of this kind", (int)nlen, name);
    if (l->together.len + l->alone.len + nlen + vlen > MOON_HTTP_HEAD_MAX)
        return moon_err_set(err, MOON_EINVAL, "the headers are larger than 64 KiB");
    if (moon_buf_reserve(b, nlen + vlen + 5) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (alone)
        l->alone_at[l->n_alone++] = (uint32_t)b->len;
    else if (b->len)
        moon_buf_append(b, "\r\n", 2);
    moon_buf_append(b, name, nlen);
    moon_buf_append(b, vlen ? ": " : ";", vlen ? 2 : 1);
    moon_buf_append(b, value, vlen);
    return alone ? moon_buf_putc(b, '\0') : 0;
}

struct curl_slist *moon_http_lines_chain(const struct moon_http_lines *l, struct curl_slist *node,
                                         struct curl_slist *tail) {
    struct curl_slist *first = tail;
    for (int i = l->n_alone; i-- > 0; first = node++)
        *node = (struct curl_slist){l->alone.data + l->alone_at[i], first};
    if (l->together.len) {
        *node = (struct curl_slist){l->together.data, first};
        first = node;
    }
    return first;
}

void moon_http_lines_release(struct moon_http_lines *l) {
    moon_buf_release(&l->together);
    moon_buf_release(&l->alone);
}

/* ---- URLs ---- */

int moon_http_escape(struct moon_buf *out, const char *text, size_t len) {
    static const char hex[] = "0123456789ABCDEF";
    if (moon_buf_reserve(out, 3 * len + 1) != 0)
        return MOON_ENOMEM;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (span((char *)&c, 1, UNRESERVED)) {
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
    size_t ok = span(url, len, IN_URL);
    if (ok == len)
        return 0;
    if (url[ok] == '#')
        return moon_err_set(err, MOON_EINVAL, "a fragment ('#') is not sent: leave it out, or write %%23");
    return moon_err_set(err, MOON_EINVAL, "byte 0x%02x at %zu of the URL must be percent-encoded",
                        (unsigned char)url[ok], ok + 1);
}

static bool is_port(const char *s, size_t len) {
    long port = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        port = port > 65535 ? port : port * 10 + (s[i] - '0');
    }
    return port >= 1 && port <= 65535;
}

/* Without its brackets; with a zone: "fe80::1%25eth0". */
static bool is_ipv6(const char *s, size_t len) {
    const char *zone = memchr(s, '%', len);
    size_t n = zone ? (size_t)(zone - s) : len;
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (n >= sizeof text)
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* Whether libcurl takes host and port: it would say no more than that it does not. */
static bool is_authority(const char *s, size_t len) {
    const char *close = *s == '[' ? memchr(s, ']', len) : NULL;
    size_t host = close ? (size_t)(close + 1 - s) : 0;
    if (*s == '[' && (!close || !is_ipv6(s + 1, host - 2)))
        return false;
    while (!close && host < len && s[host] != ':') {
        if (strchr("!$%&'()*+,;=[]", s[host]))
            return false;
        host++;
    }
    if (host == 0 || (host < len && s[host] != ':'))
        return false;
    return host + 1 >= len || is_port(s + host + 1, len - host - 1); /* "host:" is one, too */
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
    if (end == scheme || end >= MOON_HTTP_ORIGIN_SIZE || !is_authority(url + scheme, end - scheme))
        return moon_err_set(err, MOON_EINVAL, "no usable host and port (1 to 65535) in the URL '%.*s'",
                            len > 120 ? 120 : (int)len, url);
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

const char *const moon_http_methods[MOON_HTTP_METHODS] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"};

const char *moon_http_method(const char *method, size_t len) {
    for (size_t i = 0; i < MOON_HTTP_METHODS; i++)
        if (strlen(moon_http_methods[i]) == len && memcmp(moon_http_methods[i], method, len) == 0)
            return moon_http_methods[i];
    return NULL;
}

bool moon_http_names_method(const char *name, size_t len) {
    static const char *const names[] = {"x-http-method-override", "x-http-method", "x-method-override", "-method",
                                        "-httpmethod"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = 0;
        while (n < len && names[i][n] && tolower((unsigned char)(name[n] == '_' ? '-' : name[n])) == names[i][n])
            n++;
        if (n == len && !names[i][n])
            return true;
    }
    return false;
}

bool moon_http_url_names_method(const char *url) {
    const char *s = strchr(url, '?');
    while (s && *s && *s != '#') {
        char name[32];
        size_t len = 0;
        for (s++; *s && !strchr("=&;#", *s); s++) {
            int high = *s == '%' ? moon_hex_digit(s[1]) : -1, low = high >= 0 ? moon_hex_digit(s[2]) : -1;
            bool coded = low >= 0;
            char c = coded ? (char)(high * 16 + low) : *s;
            if (len < sizeof name)
                name[len++] = c;
            s += coded ? 2 : 0;
        }
        if (moon_http_names_method(name, len))
            return true;
        s += strcspn(s, "&;#");
    }
    return false;
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
    r->attempts = &r->first;
    r->code = r->status = r->n_attempts = r->n_kept = 0;
    r->outcome = "final";
    r->after_ambiguous = r->conditional = r->hopeless = false;
    r->correlation[0] = '\0';
    r->elapsed_ns = 0;
    r->retry_after_ns = -1;
    return r;
}

static void keep_small(struct moon_buf *b) {
    if (b->cap > KEEP_BUF)
        moon_buf_release(b);
    else
        b->len = 0; /* without a look at its memory, which is out of the cache by now */
}

/* Room for one more attempt's record; NULL: out of memory. Nearly every call has but one. When there are very many the
 * last one's replaces the one before. */
struct moon_http_attempt *moon_http_result_attempt(struct moon_http_result *r) {
    r->n_attempts++;
    if (r->n_kept == 1 && r->attempts == &r->first) {
        struct moon_http_attempt *a = malloc(MOON_HTTP_ATTEMPTS_KEPT * sizeof *a);
        if (!a)
            return NULL;
        a[0] = r->first;
        r->attempts = a;
    }
    if (r->n_kept < MOON_HTTP_ATTEMPTS_KEPT)
        r->n_kept++;
    return &r->attempts[r->n_kept - 1];
}

static void forget_attempts(struct moon_http_result *r) {
    if (r->attempts != &r->first)
        free(r->attempts);
    r->attempts = &r->first;
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
    forget_attempts(r);
    if (!http || http->n_spare_results >= SPARE_RESULTS) {
        result_release(r);
        return;
    }
    keep_small(&r->url);
    keep_small(&r->head);
    keep_small(&r->body);
    r->message.len = r->hint.len = 0;
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
    static const char *const names[] = {"inin-correlation-id", "x-correlation-id"};
    for (int i = 0; i < 2; i++) {
        const char *id = moon_http_result_header(r, names[i], strlen(names[i]), len);
        if (id && *len > 0)
            return id;
    }
    *len = r->n_attempts > 0 ? strlen(r->correlation) : 0; /* what was not sent is in nobody's log */
    return *len ? r->correlation : NULL;
}
