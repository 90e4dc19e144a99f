/* schema_check_value.c - type, enum and const; the keywords about numbers and strings. */
#include "schema_check.h"

#include <stdio.h>
#include <string.h>

/* ---- type ---- */

static struct schema_number number_of(const struct moon_schema_view *v) {
    return v->type == MOON_JSON_INT ? schema_number_of(v->integer) : schema_number_of_double(v->number);
}

static unsigned types_of(const struct moon_schema_view *v) {
    switch (v->type) {
    case MOON_JSON_NULL:
        return TYPE_NULL;
    case MOON_JSON_TRUE:
    case MOON_JSON_FALSE:
        return TYPE_BOOLEAN;
    case MOON_JSON_INT:
        return TYPE_INTEGER | TYPE_NUMBER;
    case MOON_JSON_NUMBER:
        return schema_number_integral(number_of(v)) ? TYPE_INTEGER | TYPE_NUMBER : TYPE_NUMBER;
    case MOON_JSON_STRING:
        return TYPE_STRING;
    case MOON_JSON_ARRAY:
        return TYPE_ARRAY;
    case MOON_JSON_OBJECT:
        return TYPE_OBJECT;
    default:
        return 0;
    }
}

bool schema_check_type(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    static const char *const names[] = {"null",     "a boolean", "an integer", "a number",
                                        "a string", "an array",  "an object"};
    char wanted[128] = "", preview[SCHEMA_PREVIEW];
    size_t len = 0;
    if ((types_of(&in->view) & n->types) != 0)
        return true;
    if (c->quiet > 0)
        return false;
    for (unsigned i = 0, left = n->types; left != 0; i++, left >>= 1) {
        if ((left & 1) != 0)
            len += (size_t)snprintf(wanted + len, sizeof wanted - len, "%s%s",
                                    len == 0    ? ""
                                    : left == 1 ? " or "
                                                : ", ",
                                    names[i]);
    }
    if (in->view.type == MOON_JSON_END)
        return schema_fault(c, n, "type", in, "must be %s (is not a JSON value)", wanted);
    if (in->view.type == MOON_JSON_NULL || in->view.type == MOON_JSON_ARRAY || in->view.type == MOON_JSON_OBJECT)
        return schema_fault(c, n, "type", in, "must be %s, is %s", wanted, schema_type_name(in->view.type));
    return schema_fault(c, n, "type", in, "must be %s, is %s (%s)", wanted, schema_type_name(in->view.type),
                        schema_preview(in, preview));
}

/* ---- enum, const ---- */

/* in's canonical text, in the scratch buffer. */
static bool canonical(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    moon_buf_clear(&c->report->scratch);
    int rc = c->ops->canonical(c->ud, in->node, &c->report->scratch);
    if (rc == MOON_ENOMEM)
        return schema_give_up(c, rc, n);
    return rc == 0; /* what has no JSON form equals nothing */
}

static bool equals(struct schema_checker *c, const struct schema_constant *k, const struct schema_instance *in) {
    const struct moon_schema_view *v = &in->view;
    const struct moon_buf *text = &c->report->scratch;
    switch (v->type) {
    case MOON_JSON_INT:
    case MOON_JSON_NUMBER:
        return (k->type == MOON_JSON_INT || k->type == MOON_JSON_NUMBER) &&
               schema_number_cmp(k->number, number_of(v)) == 0;
    case MOON_JSON_STRING:
        return k->type == MOON_JSON_STRING && k->len == v->len && memcmp(k->text, v->text, v->len) == 0;
    case MOON_JSON_ARRAY:
    case MOON_JSON_OBJECT:
        return k->type == v->type && k->len == text->len && memcmp(k->text, text->data, text->len) == 0;
    default:
        return k->type == v->type;
    }
}

static const char *constant_text(const struct schema_constant *k, char out[SCHEMA_PREVIEW]) {
    struct moon_schema_view v = {k->type, k->number.i, k->number.d, k->text, k->len};
    struct schema_instance in = {.view = v};
    if (k->type == MOON_JSON_ARRAY || k->type == MOON_JSON_OBJECT)
        snprintf(out, SCHEMA_PREVIEW, "%.70s", k->text);
    else
        schema_preview(&in, out);
    return out;
}

static bool fault_choices(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    struct schema_name names[32];
    struct schema_names strings = {.list = names};
    char preview[SCHEMA_PREVIEW], list[400] = "nothing";
    size_t len = 0, shown = 0;
    for (; shown < n->choice_count && len < 240; shown++) {
        const struct schema_constant *k = &n->choices[shown];
        len +=
            (size_t)snprintf(list + len, sizeof list - len, "%s%s", shown > 0 ? ", " : "", constant_text(k, preview));
    }
    if (shown < n->choice_count)
        snprintf(list + len, sizeof list - len, " and %zu more", n->choice_count - shown);
    for (size_t i = 0; i < n->choice_count && strings.count < 32; i++) {
        if (n->choices[i].type == MOON_JSON_STRING)
            names[strings.count++] = (struct schema_name){.key = n->choices[i].text, .len = n->choices[i].len};
    }
    const char *near =
        in->view.type == MOON_JSON_STRING ? schema_names_near(&strings, in->view.text, in->view.len) : NULL;
    schema_preview(in, preview);
    return near != NULL
               ? schema_fault(c, n, "enum", in, "must be one of %s; is %s; did you mean \"%s\"?", list, preview, near)
               : schema_fault(c, n, "enum", in, "must be one of %s; is %s", list, preview);
}

bool schema_check_constants(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    char preview[SCHEMA_PREVIEW], wanted[SCHEMA_PREVIEW];
    bool ok = true;
    if ((in->view.type == MOON_JSON_ARRAY || in->view.type == MOON_JSON_OBJECT) && !canonical(c, n, in))
        return c->rc != 0 ? false
                          : schema_fault(c, n, n->constant != NULL ? "const" : "enum", in, "is not a JSON value");
    if (n->choices != NULL) {
        size_t i = 0;
        while (i < n->choice_count && !equals(c, &n->choices[i], in))
            i++;
        ok = i < n->choice_count;
    }
    bool same = n->constant == NULL || equals(c, n->constant, in);
    if (c->quiet > 0 || (ok && same))
        return ok && same;
    if (!ok)
        fault_choices(c, n, in);
    if (!same)
        schema_fault(c, n, "const", in, "must be %s, is %s", constant_text(n->constant, wanted),
                     schema_preview(in, preview));
    return false;
}

/* ---- numbers ---- */

static bool number_fault(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in,
                         const char *keyword, const char *what, const struct schema_number *limit) {
    char preview[SCHEMA_PREVIEW], text[SCHEMA_PREVIEW];
    struct schema_constant k = {.type = limit->is_int ? MOON_JSON_INT : MOON_JSON_NUMBER, .number = *limit};
    if (c->quiet > 0)
        return false;
    return schema_fault(c, n, keyword, in, "must be %s %s, is %s", what, constant_text(&k, text),
                        schema_preview(in, preview));
}

bool schema_check_number(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    struct schema_number v = number_of(&in->view);
    bool ok = true;
    if (n->has_minimum && schema_number_cmp(v, n->minimum) < 0)
        ok = number_fault(c, n, in, "minimum", "at least", &n->minimum);
    if (n->has_maximum && schema_number_cmp(v, n->maximum) > 0)
        ok = number_fault(c, n, in, "maximum", "at most", &n->maximum);
    if (n->has_more_than && schema_number_cmp(v, n->more_than) <= 0)
        ok = number_fault(c, n, in, "exclusiveMinimum", "greater than", &n->more_than);
    if (n->has_less_than && schema_number_cmp(v, n->less_than) >= 0)
        ok = number_fault(c, n, in, "exclusiveMaximum", "less than", &n->less_than);
    if (n->has_multiple && !schema_number_multiple(v, n->multiple))
        ok = number_fault(c, n, in, "multipleOf", "a multiple of", &n->multiple);
    return ok;
}

/* ---- strings ---- */

static bool check_length(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    const struct moon_schema_view *v = &in->view;
    bool ok = true;
    if (v->len >= n->min_length * 4 && v->len <= n->max_length) /* a code point takes 1 to 4 bytes */
        return true;
    size_t count = moon_utf8_count(v->text, v->len);
    if (count < n->min_length)
        ok = count == 0 ? schema_fault(c, n, "minLength", in, "must not be empty")
                        : schema_fault(c, n, "minLength", in, "must be at least %zu characters long, is %zu",
                                       n->min_length, count);
    if (count > n->max_length)
        ok = schema_fault(c, n, "maxLength", in, "must be at most %zu character%s long, is %zu", n->max_length,
                          n->max_length == 1 ? "" : "s", count);
    return ok;
}

bool schema_check_string(struct schema_checker *c, const struct schema_node *n, const struct schema_instance *in) {
    const struct moon_schema_view *v = &in->view;
    char preview[SCHEMA_PREVIEW];
    bool ok = check_length(c, n, in);
    if ((n->pattern == NULL && n->format == NULL) || (!ok && schema_enough(c)))
        return ok;
    if (moon_utf8_valid(v->text, v->len) != v->len)
        return schema_fault(c, n, n->pattern != NULL ? "pattern" : "format", in, "is not valid UTF-8");
    if (n->pattern != NULL) {
        int found = moon_regex_match(n->pattern, v->text, v->len);
        if (found < 0)
            return schema_give_up(c, found == MOON_ERANGE ? MOON_ETOOBIG : found, n);
        if (found == 0) {
            ok = schema_fault(c, n, "pattern", in, "must match the pattern %s, is %s", n->pattern_source,
                              schema_preview(in, preview));
            if (schema_enough(c))
                return false;
        }
    }
    if (n->format != NULL && !n->format->check(v->text, v->len))
        ok = schema_fault(c, n, "format", in, "must be %s, is %s", n->format->what, schema_preview(in, preview));
    return ok;
}
