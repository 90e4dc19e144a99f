/* json.h - RFC 8259, strict, read as a stream of tokens; RFC 8785 (JCS), written. No Lua, no DOM: see json_value.h for
 * a tree.
 *
 * Reading is pull-style, so that no callback, and no Lua error, can unwind through it. Refused, with line and column:
 * anything outside the grammar, bad UTF-8, lone surrogates, a byte-order mark, nesting beyond max_depth, text after the
 * document. Duplicate keys are the consumer's to refuse (it holds the object), at moon_json_where(). What others wrote
 * is read leniently: moon_json_repair() first. */
#ifndef MOONGATE_JSON_H
#define MOONGATE_JSON_H

#include "moongate/buf.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOON_JSON_DEPTH         512 /* default max_depth */
#define MOON_JSON_LENIENT_DEPTH 256 /* of what others wrote: there must be room for what it is kept in */
#define MOON_JSON_SAFE_INT                                                                                             \
    INT64_C(9007199254740991) /* 2^53 - 1: beyond it a double, and so RFC 8785, can't tell neighbours apart */

enum moon_json_type {
    MOON_JSON_END, /* the document is complete and nothing but white space follows */
    MOON_JSON_NULL,
    MOON_JSON_TRUE,
    MOON_JSON_FALSE,
    MOON_JSON_INT,    /* no fraction, no exponent, fits int64; "-0" is MOON_JSON_NUMBER */
    MOON_JSON_NUMBER, /* any other number that is finite as a double; an integer beyond int64 is one when
                         moon_json_put_number writes it so, else MOON_ERANGE */
    MOON_JSON_STRING,
    MOON_JSON_KEY, /* inside an object, before its value */
    MOON_JSON_ARRAY,
    MOON_JSON_ARRAY_END,
    MOON_JSON_OBJECT,
    MOON_JSON_OBJECT_END
};

struct moon_json_token {
    enum moon_json_type type;
    int64_t integer;
    double number;
    const char *text; /* STRING, KEY: UTF-8, may hold NUL, valid until the next call */
    size_t len;
    bool escaped; /* raw readers only: text still holds escapes, see moon_json_unescape */
};

struct moon_json_reader {
    const char *p, *end, *start;
    const char *token;       /* where the last token began */
    struct moon_buf scratch; /* strings with escapes are undone here; empty, and never allocated, while none has come */
    unsigned char kinds[MOON_JSON_DEPTH / 8 + 1]; /* a bit a level: 1 object, 0 array */
    int depth, max_depth;
    int state;
    bool raw; /* set after init: strings are checked but given as they stand, so that the reader never allocates */
};

/* text is borrowed. max_depth 1..MOON_JSON_DEPTH, 0: the default. */
void moon_json_reader_init(struct moon_json_reader *r, const char *text, size_t len, int max_depth);
void moon_json_reader_release(struct moon_json_reader *r);
/* 0 with *tok filled, or MOON_EPARSE, MOON_ERANGE, MOON_ENOMEM; messages begin "line L, column C: ". After an error the
 * reader is spent. */
int moon_json_next(struct moon_json_reader *r, struct moon_json_token *tok, struct moon_err *err);
/* Line and column (1-based; columns count code points) of the last token; after an error, of the fault. */
void moon_json_where(const struct moon_json_reader *r, size_t *line, size_t *column);
/* Undoes the escapes of a raw token's text, which the reader has checked. out has room for len bytes; returns the bytes
 * written. */
size_t moon_json_unescape(const char *text, size_t len, char *out);
/* The double nearest to the JSON number text (grammar checked by the caller); infinity when it is too large. Ignores
 * the locale. */
double moon_json_decimal(const char *text, size_t len);

/* Writing. Each appends to b and returns 0, MOON_ENOMEM or what is named; b may hold a part when it fails. */
int moon_json_put_string(struct moon_buf *b, const char *s, size_t len); /* MOON_EINVAL: bad UTF-8 */
int moon_json_put_int(struct moon_buf *b, int64_t v);                    /* MOON_ERANGE: beyond +-MOON_JSON_SAFE_INT */
int moon_json_put_number(struct moon_buf *b, double v); /* MOON_EINVAL: NaN, infinity. ECMAScript's Number::toString */
/* The shortest decimal that reads back as v, and of those the closest: v = 0.DIGITS * 10^*point. v finite and > 0;
 * returns the number of digits, 1..17, the first and last not '0'. */
int moon_json_digits(double v, char digits[18], int *point);
/* The order RFC 8785 sorts members in: by UTF-16 code units. Both must be valid UTF-8. <0, 0, >0. */
int moon_json_key_cmp(const char *a, size_t alen, const char *b, size_t blen);
/* A member to be sorted: the caller fills key, len, item and slot; prefix belongs to moon_json_sort. */
struct moon_json_entry {
    uint64_t prefix;
    const char *key;
    size_t len;
    const void *item;
    int slot;
};
void moon_json_sort(struct moon_json_entry *entries, size_t n);
/* What others wrote, leniently: brings text into a form that the reader takes, and returns its length; out has room for
 * that, or is NULL. A byte-order mark is passed over; bytes that are not UTF-8, and halves of surrogate pairs, become
 * U+FFFD; control characters in strings become escapes; a number that no int64 and no double holds, NaN, Infinity, and
 * what is nested deeper than max_depth become strings of their spelling. Text that is not JSON stays so. */
size_t moon_json_repair(const char *text, size_t len, int max_depth, char *out);
/* A reference token of a JSON Pointer (RFC 6901), '~' and '/' escaped; returns its length, at most 2 * len; out may be
 * NULL. */
size_t moon_json_pointer_token(const char *token, size_t len, char *out);
/* As moon_json_put_string for any bytes, with U+FFFD for what is not UTF-8; text beyond max bytes is cut, and says so.
 */
int moon_json_put_text(struct moon_buf *b, const char *text, size_t len, size_t max);
/* Any bytes as UTF-8, with U+FFFD for what is not; returns the length, out as for moon_json_repair. */
size_t moon_utf8_repair(const char *text, size_t len, char *out);
/* The length of the valid UTF-8 prefix of s; == len when all is valid. Surrogates and overlong forms are invalid. */
size_t moon_utf8_valid(const char *s, size_t len);
size_t moon_utf8_count(const char *s, size_t len); /* code points of a valid string */

#endif
