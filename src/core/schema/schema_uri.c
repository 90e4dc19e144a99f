/* schema_uri.c - RFC 3986: splitting, resolving, and the grammar. */
#include "schema_uri.h"

#include "../arena.h"
#include "moongate/text.h"

#include <string.h>

void moon_uri_split(const char *text, size_t len, struct uri *out) {
    const char *p = text, *end = text + len;
    memset(out, 0, sizeof *out);
    const char *q = p;
    while (q < end && strchr(":/?#", *q) == NULL)
        q++;
    if (q < end && *q == ':' && q > p) {
        out->scheme = (struct uri_part){p, (size_t)(q - p)};
        p = q + 1;
    }
    if (end - p >= 2 && p[0] == '/' && p[1] == '/') {
        for (q = p += 2; q < end && strchr("/?#", *q) == NULL;)
            q++;
        out->authority = (struct uri_part){p, (size_t)(q - p)};
        p = q;
    }
    for (q = p; q < end && *q != '?' && *q != '#';)
        q++;
    out->path = (struct uri_part){p, (size_t)(q - p)};
    if (q < end && *q == '?') {
        for (p = ++q; q < end && *q != '#';)
            q++;
        out->query = (struct uri_part){p, (size_t)(q - p)};
    }
    if (q < end)
        out->fragment = (struct uri_part){q + 1, (size_t)(end - q - 1)};
}

/* ---- resolving ---- */

static char *put(char *o, const char *text, size_t len) {
    if (len > 0)
        memcpy(o, text, len);
    return o + len;
}

/* Section 5.2.4, in place. */
static size_t remove_dot_segments(char *path, size_t len) {
    char *in = path, *end = path + len, *out = path;
    while (in < end) {
        size_t left = (size_t)(end - in);
        if (left >= 3 && memcmp(in, "../", 3) == 0) {
            in += 3;
        } else if ((left >= 2 && memcmp(in, "./", 2) == 0) || (left >= 3 && memcmp(in, "/./", 3) == 0)) {
            in += 2;
        } else if (left == 2 && memcmp(in, "/.", 2) == 0) {
            in[1] = '/';
            in++;
        } else if ((left >= 4 && memcmp(in, "/../", 4) == 0) || (left == 3 && memcmp(in, "/..", 3) == 0)) {
            in += left == 3 ? 2 : 3;
            *in = '/';
            while (out > path && *--out != '/') {
            }
        } else if ((left == 1 && in[0] == '.') || (left == 2 && in[0] == '.' && in[1] == '.')) {
            in = end;
        } else {
            do
                *out++ = *in++;
            while (in < end && *in != '/');
        }
    }
    return (size_t)(out - path);
}

static char *put_path(char *o, const struct uri *base, const struct uri *r) {
    char *start = o;
    if (r->path.len > 0 && r->path.text[0] != '/') {
        if (base->authority.text != NULL && base->path.len == 0) {
            *o++ = '/';
        } else {
            size_t keep = base->path.len;
            while (keep > 0 && base->path.text[keep - 1] != '/')
                keep--;
            o = put(o, base->path.text, keep);
        }
    }
    o = put(o, r->path.text, r->path.len);
    return start + remove_dot_segments(start, (size_t)(o - start));
}

char *moon_uri_resolve(void **arena, const char *base_text, const char *ref, size_t len) {
    struct uri base, r;
    size_t base_len = strlen(base_text);
    char *result = moon_arena_alloc(arena, base_len + len + 8), *o = result;
    if (result == NULL)
        return NULL;
    moon_uri_split(base_text, base_len, &base);
    moon_uri_split(ref, len, &r);
    bool absolute = r.scheme.text != NULL, elsewhere = absolute || r.authority.text != NULL;
    const struct uri_part *scheme = absolute ? &r.scheme : &base.scheme;
    const struct uri_part *authority = elsewhere ? &r.authority : &base.authority;
    const struct uri_part *query = &r.query;
    if (scheme->text != NULL) {
        o = put(o, scheme->text, scheme->len);
        *o++ = ':';
    }
    if (authority->text != NULL) {
        o = put(o, "//", 2);
        o = put(o, authority->text, authority->len);
    }
    if (elsewhere) {
        char *path = o;
        o = put(o, r.path.text, r.path.len);
        o = path + remove_dot_segments(path, (size_t)(o - path));
    } else if (r.path.len == 0) {
        o = put(o, base.path.text, base.path.len);
        if (r.query.text == NULL)
            query = &base.query;
    } else {
        o = put_path(o, &base, &r);
    }
    if (query->text != NULL) {
        *o++ = '?';
        o = put(o, query->text, query->len);
    }
    *o = '\0';
    return result;
}

/* ---- addresses ---- */

/* RFC 2673, section 3.2: four decimal numbers without leading zeros. */
bool moon_uri_ipv4(const char *p, size_t len) {
    const char *end = p + len;
    for (int part = 0; part < 4; part++) {
        int v = 0, n = 0;
        if (part > 0 && (p == end || *p++ != '.'))
            return false;
        for (; p < end && *p >= '0' && *p <= '9' && n < 4; n++)
            v = v * 10 + *p++ - '0';
        if (n == 0 || n > 3 || v > 255 || (n > 1 && p[-n] == '0'))
            return false;
    }
    return p == end;
}

/* RFC 4291, section 2.2. */
bool moon_uri_ipv6(const char *p, size_t len) {
    const char *end = p + len;
    int groups = 0;
    bool gap = false;
    if (len >= 2 && p[0] == ':' && p[1] == ':') {
        gap = true;
        p += 2;
    }
    while (p < end) {
        const char *start = p;
        while (p < end && moon_hex_digit(*p) >= 0)
            p++;
        if (p < end && *p == '.') {
            groups += 2;
            return moon_uri_ipv4(start, (size_t)(end - start)) && (gap ? groups < 8 : groups == 8);
        }
        if (p == start || p - start > 4)
            return false;
        groups++;
        if (p == end)
            break;
        if (*p++ != ':' || p == end)
            return false;
        if (*p == ':') {
            if (gap)
                return false;
            gap = true;
            if (++p == end)
                break;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

/* ---- the grammar ---- */

static bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Unreserved characters, sub-delims, percent-encodings, and those in `also`. */
static bool check_chars(struct uri_part part, const char *also) {
    for (size_t i = 0; i < part.len; i++) {
        char c = part.text[i];
        if (is_alnum(c))
            continue;
        if (c == '%') {
            if (part.len - i < 3 || moon_hex_digit(part.text[i + 1]) < 0 || moon_hex_digit(part.text[i + 2]) < 0)
                return false;
            i += 2;
        } else if (c == '\0' || (strchr("-._~!$&'()*+,;=", c) == NULL && strchr(also, c) == NULL)) {
            return false;
        }
    }
    return true;
}

static bool check_authority(struct uri_part a) {
    const char *at = a.len > 0 ? memchr(a.text, '@', a.len) : NULL;
    if (at != NULL) {
        struct uri_part user = {a.text, (size_t)(at - a.text)};
        if (!check_chars(user, ":"))
            return false;
        a = (struct uri_part){at + 1, a.len - user.len - 1};
    }
    size_t port = a.len;
    while (port > 0 && a.text[port - 1] >= '0' && a.text[port - 1] <= '9')
        port--;
    struct uri_part host = {a.text, port > 0 && a.text[port - 1] == ':' ? port - 1 : a.len};
    if (host.len == 0 || host.text[0] != '[')
        return check_chars(host, "");
    if (host.text[host.len - 1] != ']' || host.len < 3)
        return false;
    host.text++;
    host.len -= 2;
    if (host.text[0] == 'v' || host.text[0] == 'V') { /* IPvFuture */
        const char *dot = memchr(host.text, '.', host.len);
        if (dot == NULL || dot == host.text + 1 || dot + 1 == host.text + host.len)
            return false;
        for (const char *p = host.text + 1; p < dot; p++)
            if (moon_hex_digit(*p) < 0)
                return false;
        struct uri_part rest = {dot + 1, (size_t)(host.text + host.len - dot - 1)};
        return memchr(rest.text, '%', rest.len) == NULL && check_chars(rest, ":");
    }
    return moon_uri_ipv6(host.text, host.len);
}

bool moon_uri_check(const char *text, size_t len, bool relative) {
    struct uri u;
    moon_uri_split(text, len, &u);
    if (u.scheme.text == NULL) {
        if (!relative)
            return false;
        const char *colon = u.path.len > 0 ? memchr(u.path.text, ':', u.path.len) : NULL;
        if (u.authority.text == NULL && colon != NULL &&
            memchr(u.path.text, '/', (size_t)(colon - u.path.text)) == NULL)
            return false; /* a first segment with a colon would be a scheme */
    } else {
        for (size_t i = 0; i < u.scheme.len; i++) {
            char c = u.scheme.text[i];
            if (!is_alnum(c) && (strchr("+-.", c) == NULL || c == '\0'))
                return false;
        }
        if (u.scheme.text[0] <= '9') /* digits, '+', '-' and '.' sort before letters */
            return false;
    }
    return (u.authority.text == NULL || check_authority(u.authority)) && check_chars(u.path, ":@/") &&
           check_chars(u.query, ":@/?") && check_chars(u.fragment, ":@/?");
}
