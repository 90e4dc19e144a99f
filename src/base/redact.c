/* redact.c - replaces secrets in text, by value and by name. See moongate/redact.h. */
#include "moongate/redact.h"

#include "moongate/err.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIN_SECRET 8  /* shorter values would blank ordinary text ... */
#define MIN_WORD   20 /* ... as words and numbers do */
#define MIN_NUMBER 16
#define NEWS_MAX   64
#define MIN_TOKEN  16 /* after "bearer " or "basic ": shorter words are prose */
#define WINDOW     4  /* bytes that a place in a text is known by */
#define STEP       3  /* at the most; the shortest name, and most secrets, have this many windows: 6 bytes */
#define MARKS      4096

enum { BY_VALUE = 1, BY_NAME = 2 };
enum { OF_SCRIPTS = 4 }; /* values that scripts have registered, too */

struct needle {
    char *data;
    size_t len;
    bool script; /* a script has registered it, nobody else */
};

struct moon_redact {
    struct needle *needles;
    size_t len, cap;
    size_t step; /* windows of each needle that are marked; one in `step` of a text's is looked at */
    unsigned char marks[MARKS];
    uint64_t news[NEWS_MAX]; /* hashes of weak values that were asked about */
    size_t n_news;
};

static const char *const names[] = {"secret", "access_token", "accesstoken", "password",
                                    "passwd", "api_key",      "apikey",      "api-key"};
static const char *const schemes[] = {"bearer ", "basic "};
static const char header_name[] = "authorization";

/* Of a window, whatever the case of its letters. */
static size_t hash_of(const char *text) {
    uint32_t w;
    memcpy(&w, text, sizeof w);
    return (w | UINT32_C(0x20202020)) * UINT32_C(0x9e3779b1) >> 20;
}

static void mark(unsigned char marks[MARKS], const char *text, size_t step, unsigned char what) {
    for (size_t i = 0; i < step; i++)
        marks[hash_of(text + i)] |= what;
}

static void mark_names(unsigned char marks[MARKS]) {
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        mark(marks, names[i], STEP, BY_NAME);
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        mark(marks, schemes[i], STEP, BY_NAME);
    mark(marks, header_name, STEP, BY_NAME);
}

int moon_redact_new(struct moon_redact **out) {
    struct moon_redact *r = *out = calloc(1, sizeof *r);
    if (!r)
        return MOON_ENOMEM;
    r->step = STEP;
    mark_names(r->marks);
    return 0;
}

void moon_redact_free(struct moon_redact *r) {
    if (!r)
        return;
    for (size_t i = 0; i < r->len; i++) {
        moon_wipe(r->needles[i].data, r->needles[i].len);
        free(r->needles[i].data);
    }
    free(r->needles);
    free(r);
}

static bool known(struct moon_redact *r, const char *s, size_t len, bool script) {
    for (size_t i = 0; i < r->len; i++)
        if (r->needles[i].len == len && memcmp(r->needles[i].data, s, len) == 0) {
            r->needles[i].script &= script;
            return true;
        }
    return false;
}

static int add_needle(struct moon_redact *r, const char *s, size_t len, bool script) {
    if (len < MIN_SECRET || known(r, s, len, script))
        return 0;
    if (r->len == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 8;
        struct needle *grown = realloc(r->needles, cap * sizeof *grown);
        if (!grown)
            return MOON_ENOMEM;
        r->needles = grown;
        r->cap = cap;
    }
    char *copy = malloc(len);
    if (!copy)
        return MOON_ENOMEM;
    memcpy(copy, s, len);
    r->needles[r->len++] = (struct needle){copy, len, script};
    if (r->step > len - WINDOW + 1)
        r->step = len - WINDOW + 1; /* the more of the others stay marked: no harm */
    mark(r->marks, s, r->step, BY_VALUE);
    return 0;
}

/* ---- values that are not usable ---- */

/* What results, logs and help are made of, where it is more than letters. */
static const char *const own_names[] = {
    "access_token",       "audit_log",       "breaker_open",    "by_content",         "client_id",
    "client_secret",      "configure-model", "correlation_id",  "created_at",         "deploy-index",
    "error_code",         "error_message",   "exit_status",     "expires_at",         "expires_in",
    "gateway_code",       "http_status",     "idempotency_key", "index_confirm",      "index_id",
    "index_update",       "latency_ms",      "message_id",      "model_registration", "not_found",
    "not_sent",           "payload_hash",    "prev_hash",       "promote-template",   "prompt_route",
    "register-model",     "request_id",      "retry_budget",    "route-prompts",      "run_id",
    "template_promotion", "too_large",       "unknown_outcome", "vector_store_id",    "webhook_delivery"};

static bool is_own_name(const char *s, size_t len) {
    for (size_t i = 0; i < sizeof own_names / sizeof *own_names; i++)
        if (strlen(own_names[i]) == len && strncasecmp(own_names[i], s, len) == 0)
            return true;
    return false;
}

/* "us-east-1" */
static bool is_region(const char *s, size_t len) {
    size_t i = 3;
    if (len < 6 || len > 16 || !islower((unsigned char)s[0]) || !islower((unsigned char)s[1]) || s[2] != '-')
        return false;
    while (i < len && islower((unsigned char)s[i]))
        i++;
    return i > 3 && i + 2 == len && s[i] == '-' && isdigit((unsigned char)s[i + 1]);
}

const char *moon_redact_weak(const char *secret, size_t len) {
    size_t letters = 0, digits = 0, capitals = 0;
    if (len < MIN_SECRET)
        return "is shorter than 8 characters";
    for (size_t i = 0; i < len && i < MIN_WORD; i++) {
        letters += isalpha((unsigned char)secret[i]) != 0;
        digits += isdigit((unsigned char)secret[i]) != 0;
        capitals += i > 0 && isupper((unsigned char)secret[i]);
    }
    if (len < MIN_WORD && letters == len && (capitals <= 3 || capitals == len - 1))
        return "is a word";
    if (len < MIN_NUMBER && digits == len)
        return "is a short number";
    return is_own_name(secret, len) || is_region(secret, len) ? "is a name that is in ordinary output" : NULL;
}

const char *moon_redact_news(struct moon_redact *r, const char *secret, size_t len) {
    const char *why = moon_redact_weak(secret, len);
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    if (!why || !r)
        return NULL;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)secret[i]) * UINT64_C(1099511628211);
    for (size_t i = 0; i < r->n_news; i++)
        if (r->news[i] == h)
            return NULL;
    if (r->n_news < NEWS_MAX)
        r->news[r->n_news++] = h;
    return why;
}

/* How a value may stand in a text: `how` counts the variants of a form from 0. */
typedef int form_fn(struct moon_buf *b, const char *s, size_t len, int how);

/* The base64 digits that the value alone determines, behind how % 3 bytes of something else: those before and after it
 * depend on what is beside it. how / 3: the alphabet for URLs. */
static int put_base64(struct moon_buf *b, const char *s, size_t len, int how) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t first_bit = (size_t)(how % 3) * 8, end_bit = first_bit + len * 8;
    int rc = 0;
    for (size_t bit = (first_bit + 5) / 6 * 6; bit + 6 <= end_bit && rc == 0; bit += 6) {
        unsigned v = 0;
        for (size_t i = bit; i < bit + 6; i++) {
            size_t at = i - first_bit;
            v = v << 1 | ((unsigned)(unsigned char)s[at / 8] >> (7 - at % 8) & 1u);
        }
        rc = moon_buf_putc(b, v < 62 ? digits[v] : (how < 3 ? "+/" : "-_")[v - 62]);
    }
    return rc;
}

static int put_hex(struct moon_buf *b, const char *s, size_t len, int how) {
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++)
        rc = moon_buf_printf(b, how ? "%02X" : "%02x", (unsigned char)s[i]);
    return rc;
}

/* Each byte escaped, plain ones too: in URLs, JSON, C, and as numeric entities. */
static int put_all_escaped(struct moon_buf *b, const char *s, size_t len, int how) {
    static const struct {
        const char *before, *after;
        int width;
        enum { LOWER, UPPER, DECIMAL } digits;
    } forms[] = {{"%", "", 2, LOWER},    {"%", "", 2, UPPER},    {"\\u", "", 4, LOWER},
                 {"\\u", "", 4, UPPER},  {"\\x", "", 2, LOWER},  {"\\x", "", 2, UPPER},
                 {"&#x", ";", 2, LOWER}, {"&#x", ";", 2, UPPER}, {"&#", ";", 1, DECIMAL}};
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++) {
        unsigned char c = (unsigned char)s[i];
        rc = moon_buf_puts(b, forms[how].before);
        if (rc == 0)
            rc = forms[how].digits == UPPER   ? moon_buf_printf(b, "%0*X", forms[how].width, c)
                 : forms[how].digits == LOWER ? moon_buf_printf(b, "%0*x", forms[how].width, c)
                                              : moon_buf_printf(b, "%u", c);
        if (rc == 0)
            rc = moon_buf_puts(b, forms[how].after);
    }
    return rc;
}

static int put_percent(struct moon_buf *b, const char *s, size_t len, int how) {
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++) {
        unsigned char c = (unsigned char)s[i];
        bool plain = isalnum(c) || strchr("-._~", c);
        rc = plain && c != 0 ? moon_buf_putc(b, (char)c) : moon_buf_printf(b, how ? "%%%02x" : "%%%02X", c);
    }
    return rc;
}

/* JSON; PHP and others escape the slash, too, and some all that is not plain in HTML. */
static int put_escaped(struct moon_buf *b, const char *s, size_t len, int how) {
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++) {
        if (how == 2 && strchr("<>&'+=", s[i]) && s[i]) {
            rc = moon_buf_printf(b, "\\u%04x", (unsigned char)s[i]);
            continue;
        }
        if (s[i] == '"' || s[i] == '\\' || (how == 1 && s[i] == '/'))
            rc = moon_buf_putc(b, '\\');
        if (rc == 0)
            rc = moon_buf_putc(b, s[i]);
    }
    return rc;
}

/* HTML, as error pages repeat a request: quotes have two spellings each. */
static int put_html(struct moon_buf *b, const char *s, size_t len, int how) {
    static const char *const quote[] = {"&quot;", "&#34;"}, *const apostrophe[] = {"&#39;", "&#x27;"};
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++) {
        const char *entity = s[i] == '&'    ? "&amp;"
                             : s[i] == '<'  ? "&lt;"
                             : s[i] == '>'  ? "&gt;"
                             : s[i] == '"'  ? quote[how]
                             : s[i] == '\'' ? apostrophe[how]
                                            : NULL;
        rc = entity ? moon_buf_puts(b, entity) : moon_buf_putc(b, s[i]);
    }
    return rc;
}

static int add(struct moon_redact *r, const char *secret, size_t len, bool script) {
    static const struct {
        form_fn *put;
        int variants;
    } forms[] = {{put_base64, 6},  {put_hex, 2},  {put_percent, 2},
                 {put_escaped, 3}, {put_html, 2}, {put_all_escaped, 9}};
    if (moon_redact_weak(secret, len))
        return 0;
    int rc = add_needle(r, secret, len, script);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0] && rc == 0; i++)
        for (int how = 0; how < forms[i].variants && rc == 0; how++) {
            struct moon_buf b = MOON_BUF_INIT;
            rc = forms[i].put(&b, secret, len, how);
            if (rc == 0 && b.len > 0)
                rc = add_needle(r, b.data, b.len, script);
            moon_wipe(b.data, b.cap);
            moon_buf_release(&b);
        }
    return rc;
}

int moon_redact_add(struct moon_redact *r, const char *secret, size_t len) {
    return add(r, secret, len, false);
}

int moon_redact_add_script(struct moon_redact *r, const char *secret, size_t len) {
    return add(r, secret, len, true);
}

/* The longest registered value that text begins with, or 0. */
static size_t match_value(const struct moon_redact *r, const char *text, size_t len, bool scripts) {
    size_t best = 0;
    for (size_t i = 0; r && i < r->len; i++) {
        const struct needle *n = &r->needles[i];
        if (n->len <= len && n->len > best && (scripts || !n->script) && memcmp(n->data, text, n->len) == 0)
            best = n->len;
    }
    return best;
}

static bool token_char(char c) {
    return isalnum((unsigned char)c) || (c != '\0' && strchr("-._~+/=", c));
}

static size_t token_len(const char *text, size_t len) {
    size_t n = 0;
    while (n < len && token_char(text[n]))
        n++;
    return n;
}

/* Where the value that follows a name begins, relative to text: an optional quote, a ':' or '=', blanks. 0: this is no
 * name. */
static size_t value_start(const char *text, size_t len, char *quote) {
    size_t i = 0;
    if (i < len && (text[i] == '"' || text[i] == '\''))
        i++;
    while (i < len && text[i] == ' ')
        i++;
    if (i >= len || (text[i] != ':' && text[i] != '='))
        return 0;
    i++;
    while (i < len && text[i] == ' ')
        i++;
    *quote = '\0';
    if (i < len && (text[i] == '"' || text[i] == '\''))
        *quote = text[i++];
    return i;
}

static size_t value_len(const char *text, size_t len, char quote, bool to_line_end) {
    size_t n = 0;
    for (; n < len; n++) {
        char c = text[n];
        if (quote) {
            if (c == '\\' && n + 1 < len) {
                n++;
                continue;
            }
            if (c == quote)
                break;
        } else if (c == '\n' || c == '\r' || c == '"' || (!to_line_end && (c == '\0' || strchr(" \t,;&)}]", c)))) {
            break;
        }
    }
    return n;
}

/* A name at text: *keep is what stays (name, separator), the return value what is hidden. 0: nothing here. */
static size_t match_name(const char *text, size_t len, size_t *keep) {
    char quote;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t n = strlen(schemes[i]);
        size_t hidden = len > n && strncasecmp(text, schemes[i], n) == 0 ? token_len(text + n, len - n) : 0;
        if (hidden >= MIN_TOKEN) {
            *keep = n;
            return hidden;
        }
    }
    size_t n = sizeof header_name - 1;
    bool header = len > n && strncasecmp(text, header_name, n) == 0;
    if (!header)
        n = 0;
    for (size_t i = 0; n == 0 && i < sizeof names / sizeof names[0]; i++) {
        size_t name_len = strlen(names[i]);
        if (len > name_len && strncasecmp(text, names[i], name_len) == 0)
            n = name_len;
    }
    size_t start = n ? value_start(text + n, len - n, &quote) : 0;
    if (start == 0)
        return 0;
    *keep = n + start;
    return value_len(text + *keep, len - *keep, quote, header);
}

/* What is hidden at text: its length, and in *keep that of what stays before it. 0: nothing. */
static size_t match(const struct moon_redact *r, unsigned what, const char *text, size_t len, size_t *keep) {
    *keep = 0;
    size_t hidden = match_value(r, text, len, what & OF_SCRIPTS);
    return hidden == 0 && what & BY_NAME ? match_name(text, len, keep) : hidden;
}

/* Nearly all of a text is passed over with one look at a window in `step`: what begins anywhere has one there. */
static int append(const struct moon_redact *r, unsigned what, struct moon_buf *out, const char *text, size_t len) {
    unsigned char only_names[MARKS] = {0}, wanted = what & (BY_VALUE | BY_NAME);
    const unsigned char *marks = r ? r->marks : only_names;
    size_t copied = 0, step = r ? r->step : STEP, keep;
    if (!r)
        mark_names(only_names);
    for (size_t at = step - 1; len >= WINDOW && at <= len - WINDOW; at += step) {
        if (!(marks[hash_of(text + at)] & wanted))
            continue;
        size_t hidden = 0, begin = at + 1 - step;
        while (begin <= at && (hidden = match(r, what, text + begin, len - begin, &keep)) == 0)
            begin++;
        if (hidden == 0)
            continue;
        if (moon_buf_append(out, text + copied, begin + keep - copied) != 0 || moon_buf_puts(out, "***") != 0)
            return MOON_ENOMEM;
        copied = begin + keep + hidden;
        at = copied - 1; /* the next look is at a window of what begins here */
    }
    return copied < len ? moon_buf_append(out, text + copied, len - copied) : 0;
}

int moon_redact_append(const struct moon_redact *r, struct moon_buf *out, const char *text, size_t len) {
    return append(r, BY_VALUE | BY_NAME | OF_SCRIPTS, out, text, len);
}

int moon_redact_own(const struct moon_redact *r, struct moon_buf *out, const char *text, size_t len) {
    return append(r, BY_VALUE | BY_NAME, out, text, len);
}

int moon_redact_values(const struct moon_redact *r, struct moon_buf *out, const char *text, size_t len) {
    return append(r, BY_VALUE | OF_SCRIPTS, out, text, len);
}
