/* reason.h - why a server refused: read from the body of an error answer, whatever form that has. Pure. Layer: core
 *
 * Forms that are read: JSON (Genesys, RFC 9457, OAuth, OpenAI, Google, AWS, FastAPI, JSON:API, GraphQL, Spring, maps of
 * field to messages), XML, HTML (its title), any other text. Names are compared without case, "_" and "-". All text
 * that comes out is valid UTF-8 without control characters but line breaks, and bounded. */
#ifndef MOONGATE_REASON_H
#define MOONGATE_REASON_H

#include "moongate/buf.h"

#include <stdbool.h>
#include <stddef.h>

#define MOON_REASON_EXCERPT 500 /* bytes of a body that is shown as text */
#define MOON_REASON_ITEMS   100 /* details that are kept */

/* Offsets into text, each of a NUL-terminated string; 0: none. */
struct moon_reason_item {
    size_t field, code, message, entity;
};
struct moon_reason {
    struct moon_buf text;
    size_t message; /* a sentence of the server; or, with excerpt, the body's text */
    size_t code;
    bool excerpt;
    size_t n;
    struct moon_reason_item items[MOON_REASON_ITEMS];
};

/* Reads a body; type: the Content-Type, or NULL. 0 or MOON_ENOMEM; r is released by the caller in both cases. */
int moon_reason_read(struct moon_reason *r, const char *type, size_t type_len, const char *body, size_t len);
void moon_reason_release(struct moon_reason *r);
static inline const char *moon_reason_text(const struct moon_reason *r, size_t at) {
    return at ? r->text.data + at : "";
}

#endif
