/* fuzz_pattern.c - a pattern up to the first line break, then the text: rewriting, compiling and matching always end.
 */
#include "moongate/json.h"

#include "../../src/core/schema/schema_format.h"
#include "../../src/core/schema/schema_regex.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const formats[] = {"date-time",    "email", "ipv4",          "ipv6",
                                          "json-pointer", "uri",   "uri-reference", "uuid"};
    const char *text = (const char *)data;
    const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
    struct moon_regex *re = NULL;
    struct moon_err err;
    if (moon_utf8_valid(text, size) != size)
        return 0;
    size_t len = end != NULL ? (size_t)(end - text) : size;
    if (moon_regex_new(&re, text, len, &err) == 0 && end != NULL)
        moon_regex_match(re, end + 1, size - len - 1);
    moon_regex_free(re);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        moon_format_find(formats[i])->check(text, size);
    return 0;
}
