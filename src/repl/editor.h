/* editor.h - a line editor on the terminal (libedit), read on a thread of the pool while the loop continues.
 *
 * One thread at a time touches libedit and the terminal: the one that holds the lock. The reading thread holds it but
 * while it waits for a key or for completions, so code that has something to print takes the line away, prints and puts
 * it back. */
#ifndef MOONGATE_REPL_EDITOR_H
#define MOONGATE_REPL_EDITOR_H

#include "moongate/buf.h"
#include "moongate/clock.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>

struct moon_editor;

enum moon_editor_result {
    MOON_EDITOR_LINE,
    MOON_EDITOR_END,         /* Ctrl-D on an empty line, or the terminal is gone */
    MOON_EDITOR_INTERRUPTED, /* Ctrl-C */
    MOON_EDITOR_STOPPED      /* moon_editor_stop */
};

/* MOON_ENOENT: built without libedit, or standard input and output are not a terminal that lines can be edited on.
 * wanted(ud) is called on the reading thread when completions are: see moon_editor_wanted. */
int moon_editor_new(struct moon_editor **out, const struct moon_clock *clock, void (*wanted)(void *ud), void *ud,
                    struct moon_err *err);
void moon_editor_free(struct moon_editor *e); /* nobody reads; NULL-safe */

/* Blocks. line: appended to, without its line break. */
enum moon_editor_result moon_editor_read(struct moon_editor *e, const char *prompt, struct moon_buf *line);
/* As Ctrl-C; from any thread, while one reads. */
void moon_editor_interrupt(struct moon_editor *e);
/* Ends this read, and every later one; waits for its end. Not on the thread that reads. */
void moon_editor_stop(struct moon_editor *e);

/* To the history; one that repeats the last is passed over. */
void moon_editor_remember(struct moon_editor *e, const char *line);

/* What is to be completed: the line, appended to text, and the cursor's place in bytes. False: nothing is. Takes the
 * question; exactly one answer must follow. */
bool moon_editor_wanted(struct moon_editor *e, struct moon_buf *text, size_t *cursor);
/* Takes `erase` characters before the cursor away, puts insert there; list, if not empty, is printed above. */
void moon_editor_offer(struct moon_editor *e, int erase, const char *insert, const char *list);

/* For moon_screen. */
void moon_editor_hide(void *editor);
void moon_editor_show(void *editor);

#endif
