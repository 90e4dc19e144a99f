/* call.c - the memory of a call: one text for SQL, parameters, names and results, one array of values. */
#include "store_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more element of *items; doubles. */
static int grow(void **items, size_t *cap, size_t n, size_t size) {
    if (n < *cap)
        return 0;
    size_t more = *cap ? *cap * 2 : 8;
    void *p = realloc(*items, more * size);
    if (!p)
        return MOON_ENOMEM;
    *items = p;
    *cap = more;
    return 0;
}

static int add_value(struct moon_store_call *c, const struct moon_store_value *value) {
    void *items = c->values;
    int rc = grow(&items, &c->cap_values, c->nvalues, sizeof *c->values);
    c->values = items;
    if (rc == 0)
        c->values[c->nvalues++] = *value;
    return rc;
}

/* Appends bytes and a NUL to the call's text. */
static int add_bytes(struct moon_store_call *c, const char *bytes, size_t len, size_t *at) {
    if (moon_buf_reserve(&c->text, len + 1) != 0)
        return MOON_ENOMEM;
    *at = c->text.len;
    moon_buf_append(&c->text, bytes, len);
    moon_buf_putc(&c->text, '\0');
    return 0;
}

static int add_text(struct moon_store_call *c, const char *text, size_t len) {
    struct moon_store_value v = {.type = MOON_STORE_TEXT};
    int rc = add_bytes(c, text, len, &v.text.at);
    v.text.len = len;
    return rc != 0 ? rc : add_value(c, &v);
}

/* ---- what is asked ---- */

static int given(struct moon_store_call *c, int rc) {
    if (rc != 0)
        return rc;
    c->statements[c->n - 1].params = c->nvalues - c->statements[c->n - 1].first;
    c->given_text = c->text.len;
    c->given_values = c->nvalues;
    return 0;
}

int moon_store_add(struct moon_store_call *c, const char *sql, size_t len, int64_t expect) {
    struct moon_store_statement st = {.first = c->nvalues, .expect = expect};
    void *items = c->statements;
    int rc = grow(&items, &c->cap, c->n, sizeof *c->statements);
    c->statements = items;
    if (rc != 0 || add_bytes(c, sql, len, &st.sql) != 0)
        return MOON_ENOMEM;
    c->statements[c->n++] = st;
    return given(c, 0);
}

int moon_store_add_null(struct moon_store_call *c) {
    return given(c, add_value(c, &(struct moon_store_value){.type = MOON_STORE_NULL}));
}

int moon_store_add_integer(struct moon_store_call *c, int64_t value) {
    return given(c, add_value(c, &(struct moon_store_value){.type = MOON_STORE_INTEGER, .integer = value}));
}

int moon_store_add_real(struct moon_store_call *c, double value) {
    return given(c, add_value(c, &(struct moon_store_value){.type = MOON_STORE_REAL, .real = value}));
}

int moon_store_add_text(struct moon_store_call *c, const char *text, size_t len) {
    return given(c, add_text(c, text, len));
}

void moon_store_call_release(struct moon_store_call *c) {
    moon_buf_release(&c->text);
    free(c->values);
    free(c->statements);
    memset(c, 0, sizeof *c);
}

/* ---- what came of it ---- */

void store_call_reset(struct moon_store_call *c) {
    c->text.len = c->given_text;
    c->nvalues = c->given_values;
    for (size_t i = 0; i < c->n; i++) {
        c->statements[i].columns = c->statements[i].rows = 0;
        c->statements[i].changes = 0;
    }
    c->rc = 0;
    c->err.code = 0;
}

int store_result_begin(struct moon_store_call *c, struct moon_store_statement *st, size_t columns) {
    st->columns = columns;
    st->rows = 0;
    st->names = c->text.len;
    st->first_cell = c->nvalues;
    return 0;
}

int store_result_name(struct moon_store_call *c, const char *name) {
    size_t at;
    return add_bytes(c, name, strlen(name), &at);
}

int store_result_null(struct moon_store_call *c) {
    return add_value(c, &(struct moon_store_value){.type = MOON_STORE_NULL});
}

int store_result_integer(struct moon_store_call *c, int64_t value) {
    return add_value(c, &(struct moon_store_value){.type = MOON_STORE_INTEGER, .integer = value});
}

int store_result_real(struct moon_store_call *c, double value) {
    return add_value(c, &(struct moon_store_value){.type = MOON_STORE_REAL, .real = value});
}

int store_result_text(struct moon_store_call *c, const char *text, size_t len) {
    return add_text(c, text, len);
}

int store_result_expect(struct moon_store_call *c, const struct moon_store_statement *st, int64_t touched) {
    if (st->expect < 0 || st->expect == touched)
        return 0;
    return moon_err_set(&c->err, MOON_ECONFLICT,
                        "the state was changed by another process: %" PRId64 " rows instead of %" PRId64 " (%.200s)",
                        touched, st->expect, c->text.data + st->sql);
}
