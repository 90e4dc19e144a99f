/* fuzz_audit_line.c - a line of the audit log, as it is read and as it is made. What was made is good; what is good
 * after a byte was changed would be a forgery. */
#include "../../src/core/audit/audit_line.h"
#include "../../src/core/json/json_canonical.h"

#include <stdlib.h>
#include <string.h>

/* The bytes as an event's members: the line made of them passes, and with any byte changed it does not. */
static void make(struct moon_hasher *h, const char *data, size_t size) {
    struct audit_chain chain, start;
    struct moon_buf line = MOON_BUF_INIT, fields = MOON_BUF_INIT;
    struct moon_err err;
    audit_chain_init(&chain);
    const struct moon_audit_record r = {.phase = MOON_AUDIT_EVENT, .fields = data, .fields_len = size};
    if (audit_line_make(h, &r, &chain, &line, &err) == 0) {
        audit_chain_init(&start);
        if (audit_line_check(h, line.data, line.len - 1, &start, NULL, &err) != 0)
            abort();
        line.data[size % (line.len - 1)] ^= 1;
        audit_chain_init(&start);
        if (audit_line_check(h, line.data, line.len - 1, &start, NULL, &err) == 0)
            abort();
        if (moon_audit_redact(NULL, data, size, &fields, &err) != 0 ||
            moon_audit_check_fields(fields.data, fields.len, &err) != 0)
            abort();
    }
    moon_buf_release(&line);
    moon_buf_release(&fields);
}

/* The walk over canonical text takes what the parser reads and the writer writes again, and nothing else. */
static void canonical(const char *data, size_t size) {
    struct json_members m;
    struct moon_json_doc doc;
    struct moon_buf again = MOON_BUF_INIT;
    int rc;
    bool same = false;
    json_members_init(&m, data, size);
    while ((rc = json_members_next(&m)) == 1)
        ;
    if (moon_json_parse(&doc, data, size, NULL) == 0) {
        same = doc.root.type == MOON_JSON_OBJECT && moon_json_write(&again, &doc.root) == 0 && again.len == size &&
               memcmp(again.data, data, size) == 0;
        moon_json_doc_release(&doc);
    }
    if (same != (rc == 0))
        abort();
    moon_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct moon_hasher *h;
    struct audit_chain chain;
    struct audit_facts facts;
    struct moon_err err;
    if (size == 0 || moon_hasher_new(&h) != 0)
        return 0;
    audit_chain_init(&chain);
    if (audit_line_check(h, (const char *)data, size, &chain, &facts, &err) == 0 && chain.seq != 1)
        abort();
    audit_chain_init(&chain);
    audit_line_torn(h, (const char *)data, size, size % 2, &chain);
    make(h, (const char *)data, size);
    canonical((const char *)data, size);
    moon_hasher_free(h);
    return 0;
}
