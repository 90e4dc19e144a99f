/* reason.c - the reason in a server's error body. A body is first made clean UTF-8; then it is read as JSON, as markup
 * or as plain text, whichever it turns out to be: the Content-Type is often wrong. */
#include "moongate/reason.h"

#include "moongate/json_value.h"
#include "moongate/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BODY_MAX    ((size_t)256 << 10) /* of a body that is read as JSON or markup */
#define MESSAGE_MAX 2000                /* bytes of the main sentence */
#define ITEM_MAX    500                 /* bytes of a detail's text */
#define DEPTH       8                   /* nesting that is followed */

/* ---- text made safe ---- */

/* The code point at s, or -1 for a byte that starts none; *n: its bytes. */
static long code_point(const char *s, size_t len, size_t *n) {
    unsigned char c = (unsigned char)*s;
    *n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (*n > len || moon_utf8_valid(s, *n) != *n) {
        *n = 1;
        return -1;
    }
    long cp = *n == 1 ? c : c & (0xff >> (*n + 1));
    for (size_t i = 1; i < *n; i++)
        cp = cp << 6 | ((unsigned char)s[i] & 0x3f);
    return cp;
}

/* Characters that steer a terminal or turn the direction of what follows. */
static bool is_control(long cp) {
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

/* Appends at most max bytes of s, clean; white space becomes single spaces when `flat`. */
static int put_clean(struct moon_buf *out, const char *s, size_t len, size_t max, bool flat) {
    size_t start = out->len, n;
    bool space = false;
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i += n) {
        char text[12];
        long cp = code_point(s + i, len - i, &n);
        if (flat && (cp == ' ' || (cp >= 9 && cp <= 13))) {
            space = out->len > start;
            continue;
        }
        if (cp < 0)
            snprintf(text, sizeof text, "\xef\xbf\xbd");
        else if (is_control(cp) && cp != '\n' && cp != '\t')
            snprintf(text, sizeof text, cp < 0x100 ? "\\x%02lx" : "\\u%04lx", (unsigned long)cp);
        else
            snprintf(text, sizeof text, "%.*s", (int)n, s + i);
        if (out->len - start + strlen(text) + space > max)
            return moon_buf_puts(out, "\xe2\x80\xa6");
        if (space)
            rc = moon_buf_putc(out, ' ');
        space = false;
        rc = rc ? rc : moon_buf_puts(out, text);
    }
    return rc;
}

/* Keeps a clean copy and gives its offset; 0 for what is empty. */
static int keep(struct moon_reason *r, size_t *at, const char *s, size_t len, size_t max, bool flat) {
    if (r->text.len == 0 && moon_buf_putc(&r->text, '\0') != 0)
        return MOON_ENOMEM;
    size_t start = r->text.len;
    if (put_clean(&r->text, s, len, max, flat) != 0 || moon_buf_putc(&r->text, '\0') != 0)
        return MOON_ENOMEM;
    if (r->text.len == start + 1)
        r->text.len = start;
    else
        *at = start;
    return 0;
}

static bool has_word(const char *s, size_t len, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= len; i++)
        if (strncasecmp(s + i, word, n) == 0)
            return true;
    return false;
}

/* The body as UTF-8 text: a byte-order mark is left out, UTF-16 and Latin-1 are converted, bad bytes replaced. */
static int to_utf8(struct moon_buf *out, const char *type, size_t type_len, const char *s, size_t len) {
    bool latin = type && (has_word(type, type_len, "8859-1") || has_word(type, type_len, "windows-1252"));
    int wide = len >= 2 && memcmp(s, "\xff\xfe", 2) == 0 ? 1 : len >= 2 && memcmp(s, "\xfe\xff", 2) == 0 ? 2 : 0;
    size_t i = wide ? 2 : len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0 ? 3 : 0, n = 1;
    int rc = 0;
    for (; i < len && rc == 0; i += n) {
        unsigned char c = (unsigned char)s[i];
        long cp;
        if (wide) {
            unsigned char d = i + 1 < len ? (unsigned char)s[i + 1] : 0;
            cp = wide == 1 ? c | d << 8 : c << 8 | d;
            n = 2;
        } else if (latin) {
            cp = c;
        } else {
            cp = code_point(s + i, len - i, &n);
            if (cp >= 0) {
                rc = moon_buf_append(out, s + i, n);
                continue;
            }
        }
        if (cp < 0 || (cp >= 0xd800 && cp < 0xe000))
            cp = 0xfffd;
        char utf8[4];
        rc = moon_buf_append(out, utf8, moon_utf8_put((unsigned)cp, utf8));
    }
    return rc;
}

/* ---- JSON: names ---- */

static bool same_name(const char *key, size_t len, const char *name) {
    size_t i = 0;
    for (; i < len; i++) {
        if (key[i] == '_' || key[i] == '-')
            continue;
        if (!*name || tolower((unsigned char)key[i]) != *name)
            return false;
        name++;
    }
    return *name == '\0';
}

static const struct moon_json_value *member(const struct moon_json_value *v, const char *name) {
    for (size_t i = 0; v->type == MOON_JSON_OBJECT && i < v->u.object.len; i++)
        if (same_name(v->u.object.members[i].key, v->u.object.members[i].key_len, name))
            return &v->u.object.members[i].value;
    return NULL;
}

static bool is_text(const struct moon_json_value *v) {
    return v && v->type == MOON_JSON_STRING && v->u.string.len > 0;
}

static bool is_nested(const struct moon_json_value *v) {
    return v &&
           ((v->type == MOON_JSON_OBJECT && v->u.object.len > 0) || (v->type == MOON_JSON_ARRAY && v->u.array.len > 0));
}

/* The first of the names whose value is a text that is not empty. */
static const struct moon_json_value *text_of(const struct moon_json_value *v, const char *const *names) {
    for (; *names; names++) {
        const struct moon_json_value *found = member(v, *names);
        if (is_text(found))
            return found;
    }
    return NULL;
}

static const char *const sentences[] = {"message",
                                        "errordescription",
                                        "errormessage",
                                        "defaultmessage",
                                        "detail",
                                        "description",
                                        "faultstring",
                                        "msg",
                                        "usermessage",
                                        "text",
                                        "summary",
                                        "failurereason",
                                        "statusmessage",
                                        "statusreason",
                                        "errormsg",
                                        "title",
                                        NULL};
static const char *const fields[] = {
    "field",        "fieldname",    "pointer",      "loc",      "path",      "param",         "parameter", "property",
    "propertypath", "propertyname", "instancepath", "datapath", "attribute", "parametername", "fieldpath", "jsonpath",
    "argument",     "key",          "location",     "target",   "name",      "propertynames", NULL};
#define SURE_FIELDS 17 /* of those: say a field also where no sentence is beside them */
static const char *const lists[] = {
    "errors",           "details",    "detail",          "error",       "invalidparams", "fault",         "fielderrors",
    "validationerrors", "violations", "fieldviolations", "issues",      "causes",        "failures",      "messages",
    "modelstate",       "problems",   "suberrors",       "innererrors", "badrequest",    "faults",        "innererror",
    "embedded",         "children",   "constraints",     "message",     "errorlist",     "errormessages", NULL};

/* ---- JSON: details ---- */

static int add_item(struct moon_reason *r, const struct moon_reason_item *item) {
    const char *message = moon_reason_text(r, item->message), *field = moon_reason_text(r, item->field);
    if (r->n == MOON_REASON_ITEMS || (!*message && !*field && !item->code))
        return 0;
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(moon_reason_text(r, r->items[i].message), message) == 0 &&
            strcmp(moon_reason_text(r, r->items[i].field), field) == 0)
            return 0;
    r->items[r->n++] = *item;
    return 0;
}

/* A scalar as text; anything else as JSON. */
static int put_value(struct moon_buf *out, const struct moon_json_value *v) {
    if (v->type == MOON_JSON_STRING)
        return moon_buf_append(out, v->u.string.data, v->u.string.len);
    return moon_json_write(out, v) == MOON_ENOMEM ? MOON_ENOMEM : 0;
}

static int keep_value(struct moon_reason *r, size_t *at, const struct moon_json_value *v) {
    struct moon_buf text = MOON_BUF_INIT;
    int rc = put_value(&text, v);
    if (rc == 0)
        rc = keep(r, at, text.len ? text.data : "", text.len, ITEM_MAX, false);
    moon_buf_release(&text);
    return rc;
}

/* ["body", "dimensions", 0] -> body.dimensions.0 */
static int put_path(struct moon_buf *out, const struct moon_json_value *v) {
    int rc = 0;
    if (v->type != MOON_JSON_ARRAY)
        return put_value(out, v);
    for (size_t i = 0; i < v->u.array.len && rc == 0; i++) {
        if (i > 0)
            rc = moon_buf_putc(out, '.');
        rc = rc ? rc : put_value(out, &v->u.array.items[i]);
    }
    return rc;
}

static const struct moon_json_value *field_of(const struct moon_json_value *v, bool sure) {
    for (size_t i = 0; fields[i] && (!sure || i < SURE_FIELDS); i++) {
        const struct moon_json_value *f = member(v, fields[i]);
        if (is_text(f) || (f && f->type == MOON_JSON_ARRAY && f->u.array.len > 0))
            return f;
    }
    const struct moon_json_value *source = member(v, "source"); /* JSON:API */
    return source && source->type == MOON_JSON_OBJECT ? field_of(source, false) : NULL;
}

static const struct moon_json_value *code_of(const struct moon_json_value *v) {
    static const char *const names[] = {"errorcode", "code", "error", "reason", "status", "type", "keyword", NULL};
    const struct moon_json_value *code = member(v, "code"), *words = text_of(v, names);
    const struct moon_json_value *more = member(v, "extensions"); /* GraphQL */
    if (code && code->type == MOON_JSON_INT && (!words || code->u.integer < 100 || code->u.integer > 599))
        return code;
    if (!words && more && more->type == MOON_JSON_OBJECT)
        return code_of(more);
    bool plain = words && !memchr(words->u.string.data, ' ', words->u.string.len) &&
                 !memchr(words->u.string.data, ':', words->u.string.len); /* problem+json's type is a URL */
    return plain ? words : NULL;
}

static int join(struct moon_buf *out, const char *prefix, const char *name, size_t len) {
    if (moon_buf_puts(out, prefix) != 0 || (*prefix && len && moon_buf_putc(out, '.') != 0))
        return MOON_ENOMEM;
    return moon_buf_append(out, name, len);
}

static int add(struct moon_reason *r, const char *prefix, const struct moon_json_value *v, int depth);

static int add_map(struct moon_reason *r, const char *prefix, const struct moon_json_value *v, int depth) {
    struct moon_buf path = MOON_BUF_INIT;
    int rc = 0;
    for (size_t i = 0; i < v->u.object.len && rc == 0; i++) {
        const struct moon_json_member *m = &v->u.object.members[i];
        moon_buf_clear(&path);
        rc = m->key_len && m->key[0] == '@' ? 0 : join(&path, prefix, m->key, m->key_len);
        if (rc == 0 && path.len)
            rc = add(r, path.data, &m->value, depth + 1);
    }
    moon_buf_release(&path);
    return rc;
}

/* What a member with the name of a list holds: a list, one detail, or a map of fields to messages, where a field may be
 * called "description". */
static int add_list(struct moon_reason *r, const char *prefix, const char *name, const struct moon_json_value *v,
                    int depth) {
    static const char *const maps[] = {"errors", "fielderrors", "validationerrors", "modelstate", "constraints"};
    static const char *const own[] = {"message", "msg", "errormessage", "code", "errorcode", NULL};
    for (size_t i = 0; v->type == MOON_JSON_OBJECT && i < sizeof maps / sizeof *maps; i++)
        if (strcmp(name, maps[i]) == 0 && !text_of(v, own))
            return add_map(r, prefix, v, depth);
    return add(r, prefix, v, depth + 1);
}

/* The lists within an object. *any: there is one. */
static int add_lists(struct moon_reason *r, const char *prefix, const struct moon_json_value *v, int depth, bool *any) {
    int rc = 0;
    for (size_t i = 0; lists[i] && rc == 0; i++) {
        const struct moon_json_value *list = member(v, lists[i]);
        if (!is_nested(list))
            continue;
        *any = true;
        rc = add_list(r, prefix, lists[i], list, depth);
    }
    return rc;
}

/* {field, code, message, …} in one of its many spellings. */
static int add_object(struct moon_reason *r, const char *prefix, const struct moon_json_value *v, int depth) {
    struct moon_reason_item item = {0};
    struct moon_buf path = MOON_BUF_INIT;
    const struct moon_json_value *said = text_of(v, sentences), *code = code_of(v), *entity = member(v, "entityname");
    const struct moon_json_value *reason = member(v, "reason"), *error = member(v, "error");
    if (!said)
        said = is_text(reason) ? reason : is_text(error) ? error : NULL;
    const struct moon_json_value *field = field_of(v, !said && !code);
    bool listed = false;
    int rc = join(&path, prefix, "", 0);
    if (rc == 0 && field) {
        if (path.len)
            rc = moon_buf_putc(&path, '.');
        rc = rc ? rc : put_path(&path, field);
    }
    if (!said && !field)
        rc = rc ? rc : add_lists(r, prefix, v, depth, &listed);
    if (rc == 0 && !said && !code && !field) {
        moon_buf_release(&path);
        return listed ? 0 : add_map(r, prefix, v, depth);
    }
    if (rc == 0 && (said || field || !listed)) {
        rc = keep(r, &item.field, path.len ? path.data : "", path.len, ITEM_MAX, true);
        if (rc == 0 && code && code != said)
            rc = keep_value(r, &item.code, code);
        if (rc == 0 && is_text(entity))
            rc = keep_value(r, &item.entity, entity);
        if (rc == 0)
            rc = keep_value(r, &item.message, said ? said : code ? code : v);
        rc = rc ? rc : add_item(r, &item);
    }
    if (rc == 0 && (said || field))
        rc = add_lists(r, path.len ? path.data : "", v, depth, &listed);
    moon_buf_release(&path);
    return rc;
}

static int add(struct moon_reason *r, const char *prefix, const struct moon_json_value *v, int depth) {
    struct moon_reason_item item = {0};
    int rc = 0;
    if (depth > DEPTH || r->n == MOON_REASON_ITEMS || v->type == MOON_JSON_NULL)
        return 0;
    if (v->type == MOON_JSON_OBJECT)
        return add_object(r, prefix, v, depth);
    if (v->type == MOON_JSON_ARRAY) {
        for (size_t i = 0; i < v->u.array.len && rc == 0; i++)
            rc = add(r, prefix, &v->u.array.items[i], depth + 1);
        return rc;
    }
    rc = keep(r, &item.field, prefix, strlen(prefix), ITEM_MAX, true);
    rc = rc ? rc : keep_value(r, &item.message, v);
    return rc ? rc : add_item(r, &item);
}

/* ---- JSON: the whole answer ---- */

static int keep_message(struct moon_reason *r, const struct moon_json_value *said,
                        const struct moon_json_value *title) {
    struct moon_buf text = MOON_BUF_INIT;
    int rc = 0;
    if (title && title != said) {
        rc = put_value(&text, title);
        rc = rc ? rc : moon_buf_puts(&text, ": ");
    }
    rc = rc ? rc : put_value(&text, said);
    if (rc == 0)
        rc = keep(r, &r->message, text.data, text.len, MESSAGE_MAX, false);
    moon_buf_release(&text);
    return rc;
}

static int keep_code(struct moon_reason *r, const struct moon_json_value *v) {
    const struct moon_json_value *code = code_of(v);
    if (!code || code->type != MOON_JSON_STRING)
        return code ? keep_value(r, &r->code, code) : 0;
    const char *s = code->u.string.data,
               *hash = memchr(s, '#', code->u.string.len); /* "com.amazon#ValidationException" */
    size_t skip = hash ? (size_t)(hash + 1 - s) : 0;
    return keep(r, &r->code, s + skip, code->u.string.len - skip, ITEM_MAX, true);
}

static const char *const inner[] = {"error", "fault", "detail", "message", "status", "result", "data", "response"};

/* One of those members, when it holds a reason of its own rather than details. */
static const struct moon_json_value *inner_of(const struct moon_json_value *v, const char *name) {
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        const struct moon_json_value *in = strcmp(name, inner[i]) == 0 ? member(v, name) : NULL;
        if (in && in->type == MOON_JSON_OBJECT &&
            (text_of(in, sentences) || is_nested(member(in, "errors")) || is_nested(member(in, "details")) ||
             is_text(member(in, "error")) || is_nested(member(in, "error"))))
            return in;
    }
    return NULL;
}

/* An object that holds the reason: the answer itself, or its member "error". */
static int read_object(struct moon_reason *r, const struct moon_json_value *v, int depth) {
    const struct moon_json_value *said = text_of(v, sentences), *title = member(v, "title"), *in;
    int rc = 0;
    if (!said && is_text(member(v, "error")))
        said = member(v, "error");
    if (!said && is_text(member(v, "reason")))
        said = member(v, "reason");
    if (said && !r->message)
        rc = keep_message(r, said, said == member(v, "detail") && is_text(title) ? title : NULL);
    for (size_t i = 0; i < sizeof inner / sizeof *inner && rc == 0 && depth < 3; i++)
        if ((in = inner_of(v, inner[i])))
            rc = read_object(r, in, depth + 1);
    if (rc == 0 && !r->code)
        rc = keep_code(r, v);
    for (size_t i = 0; lists[i] && rc == 0; i++) {
        const struct moon_json_value *list = member(v, lists[i]);
        if ((is_nested(list) && !inner_of(v, lists[i])) || (i == 0 && is_text(list)))
            rc = add_list(r, "", lists[i], list, depth);
    }
    return rc;
}

static int read_value(struct moon_reason *r, const struct moon_json_value *v) {
    if (v->type == MOON_JSON_OBJECT)
        return read_object(r, v, 0);
    if (v->type == MOON_JSON_ARRAY)
        return add(r, "", v, 0);
    if (v->type == MOON_JSON_STRING)
        return keep(r, &r->message, v->u.string.data, v->u.string.len, MESSAGE_MAX, false);
    return 0;
}

/* ---- markup ---- */

static const char *find(const char *s, const char *end, const char *word) {
    size_t n = strlen(word);
    for (; s + n <= end; s++)
        if (strncasecmp(s, word, n) == 0)
            return s;
    return NULL;
}

/* The inside of the first element of that name, with or without a name space: [*from, *to). */
static bool element(const char *s, const char *end, const char *name, const char **from, const char **to) {
    size_t n = strlen(name);
    for (; s < end && (s = memchr(s, '<', (size_t)(end - s))); s++) {
        const char *p = s + 1, *stop = p;
        while (stop < end && (isalnum((unsigned char)*stop) || strchr("_-.:", *stop)))
            stop++;
        const char *colon = memchr(p, ':', (size_t)(stop - p));
        p = colon ? colon + 1 : p;
        if ((size_t)(stop - p) != n || strncasecmp(p, name, n) != 0 ||
            !(stop = memchr(stop, '>', (size_t)(end - stop))))
            continue;
        *from = stop + 1;
        for (*to = *from; *to < end && !((*to)[0] == '<' && *to + 1 < end && (*to)[1] == '/'); (*to)++)
            ;
        if (*to > *from)
            return true;
    }
    return false;
}

static size_t put_entity(struct moon_buf *out, const char *s, size_t len) {
    static const struct {
        const char *name, *text;
    } known[] = {{"&amp;", "&"}, {"&lt;", "<"},   {"&gt;", ">"},   {"&quot;", "\""},
                 {"&#39;", "'"}, {"&apos;", "'"}, {"&nbsp;", " "}, {"&#34;", "\""}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i].name);
        if (n <= len && strncasecmp(s, known[i].name, n) == 0)
            return moon_buf_puts(out, known[i].text) == 0 ? n : 0;
    }
    return moon_buf_putc(out, '&') == 0 ? 1 : 0;
}

/* The text between tags; the insides of <script>, <style> and comments are left out. */
static int strip(struct moon_buf *out, const char *s, const char *end) {
    while (s < end) {
        if (*s == '<') {
            const char *close = find(s, end, "<!--") == s        ? "-->"
                                : find(s, end, "<script") == s   ? "</script>"
                                : find(s, end, "<style") == s    ? "</style>"
                                : find(s, end, "<![CDATA[") == s ? NULL
                                                                 : ">";
            const char *stop = close ? find(s, end, close) : NULL;
            s = !close ? s + 9 : stop ? stop + strlen(close) : end;
            if (moon_buf_putc(out, ' ') != 0)
                return MOON_ENOMEM;
        } else if (*s == '&') {
            size_t n = put_entity(out, s, (size_t)(end - s));
            if (n == 0)
                return MOON_ENOMEM;
            s += n;
        } else if (moon_buf_putc(out, *s++) != 0) {
            return MOON_ENOMEM;
        }
    }
    return 0;
}

static int keep_inside(struct moon_reason *r, size_t *at, const char *from, const char *to, size_t max) {
    struct moon_buf text = MOON_BUF_INIT;
    int rc = strip(&text, from, to);
    if (rc == 0)
        rc = keep(r, at, text.len ? text.data : "", text.len, max, true);
    moon_buf_release(&text);
    return rc;
}

static int read_html(struct moon_reason *r, const char *s, const char *end) {
    const char *from, *to;
    int rc = 0;
    r->excerpt = true;
    if (element(s, end, "title", &from, &to))
        rc = keep_inside(r, &r->message, from, to, MOON_REASON_EXCERPT);
    if (rc == 0 && !r->message && element(s, end, "h1", &from, &to))
        rc = keep_inside(r, &r->message, from, to, MOON_REASON_EXCERPT);
    if (rc == 0 && !r->message)
        rc = keep_inside(r, &r->message, s, end, MOON_REASON_EXCERPT);
    return rc;
}

static int read_xml(struct moon_reason *r, const char *s, const char *end) {
    static const char *const said[] = {
        "message", "errordescription", "error_description", "errormessage", "faultstring",
        "text",    "detail",           "description",       "reason",       "title"};
    static const char *const codes[] = {"code", "errorcode", "faultcode"};
    const char *from, *to;
    int rc = 0;
    for (size_t i = 0; i < sizeof said / sizeof *said && rc == 0 && !r->message; i++)
        if (element(s, end, said[i], &from, &to))
            rc = keep_inside(r, &r->message, from, to, MESSAGE_MAX);
    for (size_t i = 0; i < sizeof codes / sizeof *codes && rc == 0 && !r->code; i++)
        if (element(s, end, codes[i], &from, &to))
            rc = keep_inside(r, &r->code, from, to, ITEM_MAX);
    if (rc == 0 && !r->message) {
        r->excerpt = true;
        rc = keep_inside(r, &r->message, s, end, MOON_REASON_EXCERPT);
    }
    return rc;
}

/* ---- text ---- */

static bool is_binary(const char *s, size_t len) {
    size_t odd = 0, n, look = len < 512 ? len : 512;
    if (len >= 2 && memcmp(s, "\x1f\x8b", 2) == 0) /* gzip without its header */
        return true;
    for (size_t i = 0; i < look; i += n) {
        long cp = code_point(s + i, look - i, &n);
        odd += cp < 0 || (cp < 0x20 && !(cp >= 9 && cp <= 13));
    }
    return odd * 3 > look;
}

static int read_text(struct moon_reason *r, const char *s, size_t len) {
    r->excerpt = true;
    return keep(r, &r->message, s, len, MOON_REASON_EXCERPT, true);
}

static int read_clean(struct moon_reason *r, const char *type, size_t type_len, const char *s, size_t len) {
    struct moon_json_doc doc;
    size_t i = 0;
    int rc = 0;
    while (i < len && isspace((unsigned char)s[i]))
        i++;
    if (i == len)
        return 0;
    if (len <= BODY_MAX && strchr("{[\"", s[i])) {
        rc = moon_json_parse_lenient(&doc, s + i, len - i, NULL);
        if (rc == MOON_ENOMEM)
            return rc;
        if (rc == 0) {
            rc = read_value(r, &doc.root);
            moon_json_doc_release(&doc);
            return rc || r->message || r->n ? rc : read_text(r, s + i, len - i);
        }
    }
    if (s[i] == '<') {
        const char *end = s + (len < BODY_MAX ? len : BODY_MAX);
        bool html =
            (type && has_word(type, type_len, "html")) || find(s + i, end, "<html") || find(s + i, end, "<title");
        return html ? read_html(r, s + i, end) : read_xml(r, s + i, end);
    }
    return read_text(r, s + i, len - i);
}

int moon_reason_read(struct moon_reason *r, const char *type, size_t type_len, const char *body, size_t len) {
    struct moon_buf text = MOON_BUF_INIT;
    char size[64];
    int rc;
    *r = (struct moon_reason){.text = MOON_BUF_INIT};
    if (len == 0)
        return 0;
    bool wide = len >= 2 && (memcmp(body, "\xff\xfe", 2) == 0 || memcmp(body, "\xfe\xff", 2) == 0);
    if (!wide && is_binary(body, len)) {
        r->excerpt = true;
        snprintf(size, sizeof size, "(%zu bytes that are not text)", len);
        return keep(r, &r->message, size, strlen(size), sizeof size, true);
    }
    rc = to_utf8(&text, type, type_len, body, len < 2 * BODY_MAX ? len : 2 * BODY_MAX);
    if (rc == 0 && text.len)
        rc = read_clean(r, type, type_len, text.data, text.len);
    moon_buf_release(&text);
    return rc;
}

void moon_reason_release(struct moon_reason *r) {
    moon_buf_release(&r->text);
    r->n = 0;
}
