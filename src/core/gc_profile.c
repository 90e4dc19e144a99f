/* gc_profile.c - the part of TOML that gc's config.toml uses. One pass, no tree; what isn't ours is stepped over. */
#include "moongate/gc_profile.h"
#include "moongate/text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct parser {
    const char *p, *end;
    int line;
    bool ours; /* inside the wanted section */
    const char *profile;
    struct moon_gc_profile *out;
    struct moon_buf key, text;
    struct moon_err *err;
};

static int fail(struct parser *s, const char *what) {
    return moon_err_set(s->err, MOON_EPARSE, "line %d: %s", s->line, what);
}

static int no_memory(struct parser *s) {
    return moon_err_set(s->err, MOON_ENOMEM, "out of memory");
}

static bool at(const struct parser *s, const char *text) {
    size_t n = strlen(text);
    return (size_t)(s->end - s->p) >= n && memcmp(s->p, text, n) == 0;
}

static void skip_blanks(struct parser *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
        s->p++;
}

static void skip_comment(struct parser *s) {
    if (s->p < s->end && *s->p == '#')
        while (s->p < s->end && *s->p != '\n')
            s->p++;
}

/* Nothing but blanks and a comment may follow on a line. */
static int end_of_line(struct parser *s) {
    skip_blanks(s);
    skip_comment(s);
    if (at(s, "\r\n"))
        s->p++;
    if (s->p < s->end && *s->p != '\n')
        return fail(s, "there is more on this line than a section or a key and its value");
    return 0;
}

static int unicode_escape(struct parser *s, int digits, struct moon_buf *b) {
    unsigned cp = 0;
    for (int i = 0; i < digits; i++, s->p++) {
        int digit = s->p < s->end ? moon_hex_digit(*s->p) : -1;
        if (digit < 0)
            return fail(s, "bad \\u escape");
        cp = cp << 4 | (unsigned)digit;
    }
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF) || cp == 0)
        return fail(s, "bad \\u escape");
    char utf8[4];
    return moon_buf_append(b, utf8, moon_utf8_put(cp, utf8)) != 0 ? no_memory(s) : 0;
}

static int escape(struct parser *s, bool multi, struct moon_buf *b) {
    static const char from[] = "btnfre\"\\", to[] = "\b\t\n\f\r\x1b\"\\";
    if (s->p >= s->end)
        return fail(s, "the string has no end");
    char c = *s->p++;
    if (c == 'u' || c == 'U')
        return unicode_escape(s, c == 'u' ? 4 : 8, b);
    if (multi && (c == '\n' || c == ' ' || c == '\t' || c == '\r')) { /* a line ending backslash joins lines */
        for (s->p--; s->p < s->end && isspace((unsigned char)*s->p); s->p++)
            s->line += *s->p == '\n';
        return 0;
    }
    const char *f = c ? strchr(from, c) : NULL;
    if (!f)
        return fail(s, "unknown escape in a string");
    return moon_buf_putc(b, to[f - from]) != 0 ? no_memory(s) : 0;
}

/* "...", '...', """...""" or '''...''' at p, appended to b. */
static int string(struct parser *s, struct moon_buf *b) {
    char quote = *s->p;
    const char triple[4] = {quote, quote, quote, '\0'};
    bool multi = at(s, triple);
    s->p += multi ? 3 : 1;
    if (multi && at(s, "\r\n"))
        s->p++;
    if (multi && s->p < s->end && *s->p == '\n') {
        s->p++;
        s->line++;
    }
    while (s->p < s->end) {
        char c = *s->p;
        if (multi ? at(s, triple) : c == quote) {
            s->p += multi ? 3 : 1;
            for (int more = 0; multi && more < 2 && s->p < s->end && *s->p == quote; more++, s->p++)
                if (moon_buf_putc(b, quote) != 0) /* up to two quotes may stand before the closing three */
                    return no_memory(s);
            return 0;
        }
        if (c == '\n' && !multi)
            break;
        if (c == '\0')
            return fail(s, "a NUL byte in a string");
        s->p++;
        s->line += c == '\n';
        int rc = c == '\\' && quote == '"' ? escape(s, multi, b) : moon_buf_putc(b, c) != 0 ? no_memory(s) : 0;
        if (rc != 0)
            return rc;
    }
    return fail(s, "the string has no end");
}

static bool bare(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* A possibly dotted name, its parts joined by '.', up to `stop`. */
static int name(struct parser *s, char stop, struct moon_buf *b) {
    moon_buf_clear(b);
    for (;;) {
        int rc = 0;
        skip_blanks(s);
        if (s->p < s->end && (*s->p == '"' || *s->p == '\'')) {
            rc = string(s, b);
        } else {
            const char *from = s->p;
            while (s->p < s->end && bare(*s->p))
                s->p++;
            if (s->p == from)
                return fail(s, "expected a name");
            rc = moon_buf_append(b, from, (size_t)(s->p - from)) != 0 ? no_memory(s) : 0;
        }
        if (rc != 0)
            return rc;
        skip_blanks(s);
        if (s->p < s->end && *s->p == stop) {
            s->p++;
            return 0;
        }
        if (s->p >= s->end || *s->p != '.')
            return fail(s, stop == '=' ? "expected '=' after the key" : "expected ']' after the section's name");
        s->p++;
        if (moon_buf_putc(b, '.') != 0)
            return no_memory(s);
    }
}

static bool named(const struct moon_buf *b, const char *text) {
    return b->data && strlen(b->data) == b->len && strcasecmp(b->data, text) == 0;
}

static int section(struct parser *s) {
    s->p++;
    bool array = s->p < s->end && *s->p == '[';
    s->p += array;
    int rc = name(s, ']', &s->key);
    if (rc == 0 && array && (s->p >= s->end || *s->p++ != ']'))
        rc = fail(s, "expected ']]'");
    if (rc != 0)
        return rc;
    s->ours = !array && named(&s->key, s->profile);
    if (s->ours && s->out->found)
        return fail(s, "the section comes twice");
    if (s->ours)
        s->out->found = true;
    struct moon_buf *list = &s->out->sections;
    if ((list->len > 0 && moon_buf_puts(list, ", ") != 0) || moon_buf_append(list, s->key.data, s->key.len) != 0)
        return no_memory(s);
    return end_of_line(s);
}

static struct moon_buf *wanted(struct parser *s) {
    struct moon_gc_profile *o = s->out;
    if (!s->ours)
        return NULL;
    return named(&s->key, "environment")          ? &o->environment
           : named(&s->key, "client_credentials") ? &o->client_id
           : named(&s->key, "client_secret")      ? &o->client_secret
           : named(&s->key, "access_token")       ? &o->access_token
                                                  : NULL;
}

/* A value of another type: numbers, dates, booleans end with the line; brackets are followed to their end. */
static int skip_value(struct parser *s) {
    int depth = 0;
    const char *from = s->p;
    while (s->p < s->end) {
        char c = *s->p;
        if (c == '"' || c == '\'') {
            moon_buf_clear(&s->text);
            int rc = string(s, &s->text);
            if (rc != 0)
                return rc;
            continue;
        }
        if (c == '#' && depth > 0) {
            skip_comment(s);
            continue;
        }
        if (depth == 0 && (c == '\n' || c == '#' || c == '\r'))
            break;
        depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        if (depth < 0)
            return fail(s, "a bracket that was not opened");
        s->line += c == '\n';
        s->p++;
    }
    if (depth > 0)
        return fail(s, "a bracket that is not closed");
    return s->p == from ? fail(s, "the key has no value") : 0;
}

static int key_value(struct parser *s) {
    int rc = name(s, '=', &s->key);
    if (rc != 0)
        return rc;
    struct moon_buf *to = wanted(s);
    skip_blanks(s);
    bool is_string = s->p < s->end && (*s->p == '"' || *s->p == '\'');
    if (to && !is_string)
        return moon_err_set(s->err, MOON_EPARSE, "line %d: the value of %s must be in quotes", s->line, s->key.data);
    if (to && to->data)
        return moon_err_set(s->err, MOON_EPARSE, "line %d: %s is set twice", s->line, s->key.data);
    if (!to)
        rc = skip_value(s);
    else
        rc = moon_buf_puts(to, "") != 0 ? no_memory(s) : string(s, to);
    return rc != 0 ? rc : end_of_line(s);
}

static void wipe_release(struct moon_buf *b) {
    moon_wipe(b->data, b->cap);
    moon_buf_release(b);
}

void moon_gc_profile_release(struct moon_gc_profile *p) {
    wipe_release(&p->environment);
    wipe_release(&p->client_id);
    wipe_release(&p->client_secret);
    wipe_release(&p->access_token);
    moon_buf_release(&p->sections);
    p->found = false;
}

int moon_gc_profile_parse(struct moon_gc_profile *p, const char *text, size_t len, const char *profile,
                          struct moon_err *err) {
    struct parser s = {.p = text, .end = text + len, .line = 1, .profile = profile, .out = p, .err = err};
    int rc = 0;
    memset(p, 0, sizeof *p);
    if (at(&s, "\xEF\xBB\xBF"))
        s.p += 3;
    while (rc == 0 && s.p < s.end) {
        skip_blanks(&s);
        skip_comment(&s);
        if (at(&s, "\r\n"))
            s.p++;
        if (s.p >= s.end)
            break;
        if (*s.p == '\n') {
            s.p++;
            s.line++;
        } else {
            rc = *s.p == '[' ? section(&s) : key_value(&s);
        }
    }
    wipe_release(&s.key);
    wipe_release(&s.text);
    if (rc != 0)
        moon_gc_profile_release(p);
    return rc;
}
