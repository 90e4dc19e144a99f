/* fuzz_json.c - the JSON reader, the tree and the writer: what is read writes as text that reads and writes as itself,
 * and a raw reader accepts the same texts. */
#include "moongate/json_value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int read_raw(const char *text, size_t len) {
    struct moon_json_reader r;
    struct moon_json_token tok;
    int rc;
    moon_json_reader_init(&r, text, len, 0);
    r.raw = true;
    do
        rc = moon_json_next(&r, &tok, NULL);
    while (rc == 0 && tok.type != MOON_JSON_END);
    moon_json_reader_release(&r);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct moon_json_doc doc, again;
    struct moon_buf first = MOON_BUF_INIT, second = MOON_BUF_INIT;
    struct moon_err err;
    int raw = read_raw((const char *)data, size);
    int rc = moon_json_parse(&doc, (const char *)data, size, &err);
    if (rc != 0) {
        if (raw == 0 && strstr(err.message, "comes twice") == NULL)
            abort();
        return 0;
    }
    if (raw != 0)
        abort();
    rc = moon_json_write(&first, &doc.root);
    moon_json_doc_release(&doc);
    if (rc == 0) {
        /* a double that is an integer beyond 2^53-1 (1e20) reads back as an integer, and those are refused */
        rc = moon_json_parse(&again, first.data, first.len, &err);
        if (rc == 0) {
            rc = moon_json_write(&second, &again.root);
            moon_json_doc_release(&again);
        }
        if (rc != MOON_ERANGE &&
            (rc != 0 || first.len != second.len || memcmp(first.data, second.data, first.len) != 0))
            abort();
    } else if (rc != MOON_ERANGE) {
        abort();
    }
    moon_buf_release(&first);
    moon_buf_release(&second);
    return 0;
}
