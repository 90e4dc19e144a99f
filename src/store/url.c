/* url.c - a store's URL for people: without the passwords that may be in it. */
#include "moongate/text.h"
#include "store_private.h"

#include <string.h>

/* A password as it is written, and as it is meant. */
static int add_password(struct moon_buf *out, const char *s, size_t len) {
    int rc = out && len ? moon_buf_append(out, s, len) : 0;
    if (!out || !len || rc != 0 || (rc = moon_buf_putc(out, '\0')) != 0 || !memchr(s, '%', len))
        return rc;
    for (size_t i = 0; rc == 0 && i < len; i++) {
        bool hex = s[i] == '%' && i + 2 < len && moon_hex_digit(s[i + 1]) >= 0 && moon_hex_digit(s[i + 2]) >= 0;
        rc = moon_buf_putc(out, hex ? (char)(moon_hex_digit(s[i + 1]) * 16 + moon_hex_digit(s[i + 2])) : s[i]);
        i += hex ? 2 : 0;
    }
    return rc == 0 ? moon_buf_putc(out, '\0') : rc;
}

static int put(struct moon_buf *out, const char *s, size_t len) {
    return out ? moon_buf_append(out, s, len) : 0;
}

/* The parameters behind the question mark, without those that are secret. */
static int show_query(const char *query, struct moon_buf *shown, struct moon_buf *passwords) {
    static const char *const secret[] = {"password=", "sslpassword=", "oauth_client_secret="};
    char separator = '?';
    int rc = 0;
    while (rc == 0 && *query) {
        size_t len = strcspn(query, "&"), skip = 0;
        for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
            if (strncmp(query, secret[i], strlen(secret[i])) == 0)
                skip = strlen(secret[i]);
        if (skip) {
            rc = add_password(passwords, query + skip, len - skip);
        } else if (len) {
            rc = put(shown, &separator, 1);
            rc = rc == 0 ? put(shown, query, len) : rc;
            separator = '&';
        }
        query += len + (query[len] == '&');
    }
    return rc;
}

int moon_store_url_show(const char *url, struct moon_buf *shown, struct moon_buf *passwords) {
    if (moon_store_kind(url) != MOON_STORE_POSTGRES)
        return put(shown, url, strlen(url));
    const char *rest = strstr(url, "://") + 3;
    size_t authority = strcspn(rest, "/?");
    const char *at = NULL, *colon;
    for (size_t i = 0; i < authority; i++) /* the last one: a password may hold another */
        at = rest[i] == '@' ? rest + i : at;
    colon = at ? memchr(rest, ':', (size_t)(at - rest)) : NULL;
    int rc = put(shown, url, (size_t)((colon ? colon : rest) - url));
    if (rc == 0 && colon) {
        rc = add_password(passwords, colon + 1, (size_t)(at - colon - 1));
        rest = at;
    }
    const char *query = strchr(rest, '?');
    if (rc == 0)
        rc = put(shown, rest, query ? (size_t)(query - rest) : strlen(rest));
    return rc == 0 && query ? show_query(query + 1, shown, passwords) : rc;
}
