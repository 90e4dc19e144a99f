/* fuzz_schema.c - [schema, value, ...] as JSON: compiles the schema, checks the values, and asks each report to be in
 * order. */
#include "../unit/schema_lua.h"

#include "../../src/core/json/json_tree.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct moon_schema_opts opts = {.formats = true};
    struct moon_json_doc doc;
    struct moon_schema *schema = NULL;
    struct moon_schema_report report;
    struct moon_err err;
    if (moon_json_parse(&doc, (const char *)data, size, &err) != 0)
        return 0;
    moon_schema_report_init(&report);
    if (doc.root.type == MOON_JSON_ARRAY && doc.root.u.array.len > 1 &&
        moon_schema_compile(&schema, &doc.root.u.array.items[0], &opts, &err) == 0) {
        for (size_t i = 1; i < doc.root.u.array.len; i++) {
            struct moon_buf text = MOON_BUF_INIT;
            bool decoded;
            if (json_tree_write_wide(&text, &doc.root.u.array.items[i]) != 0)
                abort();
            int rc = schema_check_text(schema, text.data, text.len, &decoded, &report, &err);
            moon_buf_release(&text);
            if (!decoded)
                continue;
            if ((rc == MOON_EINVAL) != (report.count > 0) && rc != MOON_ERANGE && rc != MOON_ETOOBIG)
                abort();
            for (size_t k = 0; rc == MOON_EINVAL && k < report.count; k++) {
                const struct moon_schema_fault *f = &report.faults[k];
                if ((f->pointer[0] != '\0' && f->pointer[0] != '/') || f->message[0] == '\0')
                    abort();
                if (moon_utf8_valid(f->message, strlen(f->message)) != strlen(f->message))
                    abort();
            }
        }
    }
    moon_schema_free(schema);
    moon_schema_report_release(&report);
    moon_json_doc_release(&doc);
    return 0;
}
