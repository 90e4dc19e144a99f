/* visible.h - text of others made safe to print: the one place that says what a terminal must not be sent. */
#ifndef MOONGATE_VISIBLE_H
#define MOONGATE_VISIBLE_H

#include <stdbool.h>
#include <stddef.h>

/* The length of text with everything escaped that steers a terminal or turns the direction of what follows: C0 controls
 * but the tab, and bytes that are not UTF-8, as \x1b; DEL, C1 controls, and the Unicode controls of direction and lines
 * as \u009b, which JSON takes as well. lines: line feeds are the layout's and stay. Written to out, which has room for
 * it, or is NULL. */
size_t moon_visible(const char *text, size_t len, bool lines, char *out);

#endif
