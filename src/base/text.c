/* text.c - see text.h. */
#include "moongate/text.h"

#include <string.h>

size_t moon_text_mark(const char *text, size_t len) {
    return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

const char *moon_text_foreign(const char *text, size_t len) {
    if (len >= 4 && (memcmp(text, "\xff\xfe\0", 4) == 0 || memcmp(text, "\0\0\xfe\xff", 4) == 0))
        return "UTF-32";
    if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return "UTF-16";
    if (len >= 2 && (text[0] == '\0') != (text[1] == '\0'))
        return "UTF-16";
    return NULL;
}
