/* text.h - how the files begin that people write: with a byte order mark, or in an encoding that nobody here reads. */
#ifndef MOONGATE_TEXT_H
#define MOONGATE_TEXT_H

#include <stddef.h>

/* The bytes of the UTF-8 byte order mark that text begins with: 3 or 0. Windows' editors write one. */
size_t moon_text_mark(const char *text, size_t len);
/* The name of the encoding that text is in instead of UTF-8, "UTF-16" or "UTF-32", by its byte order mark or by the
 * zero byte of its first character; or NULL. */
const char *moon_text_foreign(const char *text, size_t len);

#endif
