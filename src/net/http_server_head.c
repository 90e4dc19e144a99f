/* http_server_head.c - whether a request's head can be read in one way only (RFC 9112).
 *
 * libmicrohttpd 0.9.75 is lenient: it takes the first of two lengths, a space before a colon, a folded line (which it
 * appends to the name), a NUL (which ends the value). A proxy in front that reads such a head otherwise finds another
 * end of the body: request smuggling. So what is ambiguous is answered 400 and the connection is closed. */
#include "http_server_int.h"

#include <string.h>
#include <strings.h>

/* 0.9.75 leaves the lines of a head where they came in: name, NUL for the colon, blanks, value, NUL for each byte of
 * the line's end. Later versions refuse folded lines and NULs themselves. */
#define LINES_IN_PLACE (MHD_VERSION < 0x00097600)

struct head {
    const char *end; /* of the last value */
    const char *fault;
    unsigned lengths, hosts, codings;
    bool chunked;
};

static bool is_token(const char *s, size_t len) {
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!ok && (c == '\0' || !strchr(marks, c)))
            return false;
    }
    return len > 0;
}

static bool has_control(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
            return true;
    return false;
}

/* Without the blanks at its end. */
static size_t trimmed(const char *s, size_t len) {
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        len--;
    return len;
}

static bool is_word(const char *s, size_t len, const char *word) {
    return len == strlen(word) && strncasecmp(s, word, len) == 0;
}

/* A host, an address, and a port; empty is allowed. */
static bool is_host(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] <= 0x20 || s[i] == 0x7f || strchr("/?#@\\\"<>^`{|},", s[i]))
            return false;
    return true;
}

static bool is_digits(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return len > 0;
}

/* Whether a value ends where its line ends, and the next name begins right after. */
static bool is_line(const char *end, const char *next) {
    return !LINES_IN_PLACE || !end || next == end + 1 || (next == end + 2 && end[1] == '\0');
}

/* Whether nothing but an empty line follows the last value. (0.9.75 takes a line without a name for the empty one.) */
static bool is_last(struct MHD_Connection *conn, const char *method, const char *end) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (!LINES_IN_PLACE || !end || !info)
        return true;
    const char *head_end = method + info->header_size;
    for (const char *p = end; p < head_end; p++)
        if (*p != '\0')
            return false;
    return head_end - end >= 2 && head_end - end <= 4;
}

static bool is_in_place(const char *name, size_t name_len, const char *value) {
    if (!LINES_IN_PLACE)
        return true;
    if (value <= name + name_len || name[name_len] != '\0')
        return false;
    size_t gap = (size_t)(value - (name + name_len + 1));
    return trimmed(name + name_len + 1, gap) == 0;
}

static const char *field_fault(struct head *h, const char *name, size_t name_len, const char *value, size_t len) {
    if (!is_token(name, name_len))
        return "a header's name is malformed";
    if (!value || !is_in_place(name, name_len, value) || !is_line(h->end, name))
        return "a header is folded over two lines, or has a NUL";
    h->end = value + len;
    if (has_control(value, len))
        return "a header has a control character";
    len = trimmed(value, len);
    if (is_word(name, name_len, "content-length")) {
        if (!is_digits(value, len))
            return "Content-Length must be one decimal number";
        h->lengths++;
    } else if (is_word(name, name_len, "transfer-encoding")) {
        h->codings++;
        h->chunked = is_word(value, len, "chunked");
    } else if (is_word(name, name_len, "host")) {
        h->hosts++;
        if (!is_host(value, len))
            return "Host is malformed";
    }
    return NULL;
}

static enum MHD_Result on_field(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                const char *value, size_t value_len) {
    (void)kind;
    struct head *h = cls;
    h->fault = field_fault(h, name, name_len, value, value_len);
    return h->fault ? MHD_NO : MHD_YES;
}

static const char *length_fault(const struct head *h, bool old) {
    if (h->lengths > 1)
        return "Content-Length is given twice";
    if (h->codings > 0 && h->lengths > 0)
        return "Content-Length and Transfer-Encoding exclude each other";
    if (h->codings > 0 && old)
        return "HTTP/1.0 has no Transfer-Encoding";
    if (h->codings > 1)
        return "Transfer-Encoding is given twice";
    if (h->hosts > 1)
        return "Host is given twice";
    return h->hosts == 0 && !old ? "Host is missing" : NULL;
}

/* A malformed Content-Length alone never comes here: 0.9.75 answers it itself. */
const char *moon_http_head_fault(struct MHD_Connection *conn, const char *method, const char *version, int *status) {
    struct head h = {0};
    bool old = strcmp(version, MHD_HTTP_VERSION_1_0) == 0;
    *status = MHD_HTTP_BAD_REQUEST;
    MHD_get_connection_values_n(conn, MHD_HEADER_KIND, on_field, &h);
    if (!is_token(method, strlen(method)))
        h.fault = "the method is malformed";
    if (!h.fault && !is_last(conn, method, h.end))
        h.fault = "a header has a NUL or no name";
    if (!h.fault)
        h.fault = length_fault(&h, old);
    if (!h.fault && h.codings > 0 && !h.chunked) {
        *status = MHD_HTTP_NOT_IMPLEMENTED;
        h.fault = "Transfer-Encoding must be chunked";
    }
    return h.fault;
}

/* uri is what stood between method and version; 0.9.75 has put NULs for the spaces around it. */
bool moon_http_target_ok(const char *uri) {
    if (!uri || !uri[0] || (LINES_IN_PLACE && uri[-1] != '\0'))
        return false;
    size_t len = strlen(uri);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)uri[i] <= 0x20 || uri[i] == 0x7f)
            return false;
    return !LINES_IN_PLACE || strncmp(uri + len + 1, "HTTP/", 5) == 0;
}
