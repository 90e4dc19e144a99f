/* json_value.h - a JSON document as an immutable tree in one arena, for the C side: schemas, token answers, audit
 * lines. */
#ifndef MOONGATE_JSON_VALUE_H
#define MOONGATE_JSON_VALUE_H

#include "moongate/json.h"

struct moon_json_member;

struct moon_json_value {
    enum moon_json_type type; /* NULL TRUE FALSE INT NUMBER STRING ARRAY OBJECT */
    union {
        int64_t integer;
        double number;
        struct {
            const char *data; /* NUL-terminated after len */
            size_t len;
        } string;
        struct {
            struct moon_json_value *items;
            size_t len;
        } array;
        struct {
            struct moon_json_member *members; /* in document order */
            size_t len;
        } object;
    } u;
};

struct moon_json_member {
    const char *key;
    size_t key_len;
    struct moon_json_value value;
};

struct moon_json_doc {
    struct moon_json_value root;
    void *arena; /* private */
};

/* Duplicate keys are MOON_EPARSE. doc is released by the caller after success only. */
int moon_json_parse(struct moon_json_doc *doc, const char *text, size_t len, struct moon_err *err);
/* The same for what others wrote: moon_json_repair() first, and of a key that comes twice the last. */
int moon_json_parse_lenient(struct moon_json_doc *doc, const char *text, size_t len, struct moon_err *err);
void moon_json_doc_release(struct moon_json_doc *doc);
/* The member's value or NULL. key is NUL-terminated. */
const struct moon_json_value *moon_json_get(const struct moon_json_value *object, const char *key);
const struct moon_json_value *moon_json_get_n(const struct moon_json_value *object, const char *key, size_t len);
/* The string, or NULL when absent or no string. */
const char *moon_json_get_string(const struct moon_json_value *object, const char *key, size_t *len);
/* Canonical text of v. */
int moon_json_write(struct moon_buf *b, const struct moon_json_value *v);

#endif
