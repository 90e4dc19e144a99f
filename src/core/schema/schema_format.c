/* schema_format.c - the formats of JSON Schema 2020-12, section 7.3, that are asserted. Each follows the RFC named
 * beside it. */
#include "schema_format.h"

#include "moongate/text.h"
#include "schema_regex.h"
#include "schema_uri.h"

#include <string.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- date and time: RFC 3339, section 5.6 ---- */

/* Exactly n digits at p, as a number, or -1. */
static int digits(const char *p, const char *end, int n) {
    int v = 0;
    if (end - p < n)
        return -1;
    for (int i = 0; i < n; i++) {
        if (!is_digit(p[i]))
            return -1;
        v = v * 10 + p[i] - '0';
    }
    return v;
}

static bool check_date(const char *p, size_t len) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *end = p + len;
    int y = digits(p, end, 4);
    if (len != 10 || p[4] != '-' || p[7] != '-')
        return false;
    int m = digits(p + 5, end, 2), d = digits(p + 8, end, 2);
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return y >= 0 && m >= 1 && m <= 12 && d >= 1 && d <= days[m - 1] + (m == 2 && leap);
}

static bool check_time(const char *p, size_t len) {
    const char *end = p + len;
    int offset = 0;
    if (len < 9 || p[2] != ':' || p[5] != ':')
        return false;
    int h = digits(p, end, 2), m = digits(p + 3, end, 2), s = digits(p + 6, end, 2);
    if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60)
        return false;
    p += 8;
    if (*p == '.') {
        const char *fraction = ++p;
        while (p < end && is_digit(*p))
            p++;
        if (p == fraction)
            return false;
    }
    if (p == end)
        return false;
    if (*p == '+' || *p == '-') {
        int oh = digits(p + 1, end, 2), om = end - p == 6 && p[3] == ':' ? digits(p + 4, end, 2) : -1;
        if (oh < 0 || oh > 23 || om < 0 || om > 59)
            return false;
        offset = *p == '+' ? oh * 60 + om : -(oh * 60 + om);
    } else if ((*p != 'Z' && *p != 'z') || p + 1 != end) {
        return false;
    }
    /* a leap second comes at 23:59:60 UTC only */
    return s < 60 || (h * 60 + m - offset + 2880) % 1440 == 1439;
}

static bool check_date_time(const char *p, size_t len) {
    return len > 11 && (p[10] == 'T' || p[10] == 't') && check_date(p, 10) && check_time(p + 11, len - 11);
}

/* ---- addresses ---- */

/* RFC 1123, section 2.1; at most 63 characters a label and 253 in all. */
static bool check_hostname(const char *p, size_t len) {
    size_t label = 0;
    if (len == 0 || len > 253)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '.') {
            if (label == 0 || p[i - 1] == '-')
                return false;
            label = 0;
        } else if (is_alnum(p[i]) || (p[i] == '-' && label > 0)) {
            if (++label > 63)
                return false;
        } else {
            return false;
        }
    }
    return label > 0 && p[len - 1] != '-';
}

/* RFC 5321, section 4.1.2: Mailbox. */
static bool check_email(const char *p, size_t len) {
    const char *end = p + len, *start = p;
    if (p < end && *p == '"') {
        for (p++; p < end && *p != '"'; p++) {
            if (*p == '\\' && ++p == end)
                return false;
            if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
                return false;
        }
        if (p == end)
            return false;
        p++;
    } else {
        for (; p < end && *p != '@'; p++) {
            bool dot = *p == '.';
            if (*p == '\0' || (!is_alnum(*p) && strchr("!#$%&'*+-/=?^_`{|}~.", *p) == NULL))
                return false;
            if (dot && (p == start || p + 1 == end || p[1] == '.' || p[1] == '@'))
                return false;
        }
        if (p == start)
            return false;
    }
    if (p == end || *p++ != '@' || p == end)
        return false;
    if (*p != '[')
        return check_hostname(p, (size_t)(end - p));
    if (end[-1] != ']')
        return false;
    p++;
    size_t n = (size_t)(end - p) - 1;
    if (n > 5 && strncasecmp(p, "IPv6:", 5) == 0)
        return moon_uri_ipv6(p + 5, n - 5);
    return moon_uri_ipv4(p, n);
}

/* ---- the others ---- */

static bool check_uuid(const char *p, size_t len) { /* RFC 4122, section 3 */
    if (len != 36)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? p[i] != '-' : moon_hex_digit(p[i]) < 0)
            return false;
    }
    return true;
}

static bool check_json_pointer(const char *p, size_t len) { /* RFC 6901, section 3 */
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '~' && (i + 1 == len || (p[i + 1] != '0' && p[i + 1] != '1')))
            return false;
    }
    return len == 0 || p[0] == '/';
}

static bool check_uri(const char *p, size_t len) {
    return moon_uri_check(p, len, false);
}

static bool check_uri_reference(const char *p, size_t len) {
    return moon_uri_check(p, len, true);
}

const struct moon_format *moon_format_find(const char *name) {
    static const struct moon_format formats[] = {
        {"date", check_date, "a date such as 2026-11-20"},
        {"date-time", check_date_time, "a date and time with an offset, such as 2026-11-20T07:31:37Z"},
        {"email", check_email, "an e-mail address"},
        {"hostname", check_hostname, "a host name"},
        {"ipv4", moon_uri_ipv4, "an IPv4 address such as 192.0.2.1"},
        {"ipv6", moon_uri_ipv6, "an IPv6 address such as 2001:db8::1"},
        {"json-pointer", check_json_pointer, "a JSON Pointer such as /items/0"},
        {"regex", moon_regex_check, "a regular expression (ECMA-262)"},
        {"time", check_time, "a time with an offset, such as 07:31:37Z"},
        {"uri", check_uri, "an absolute URI such as https://example.com/path"},
        {"uri-reference", check_uri_reference, "a URI or a relative reference"},
        {"uuid", check_uuid, "a UUID such as 2eb8aa08-aa98-11ea-b4aa-73b441d16380"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    }
    return NULL;
}
