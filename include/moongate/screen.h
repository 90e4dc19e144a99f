/* screen.h - what stands on the terminal and must make way for a line of output: a prompt that is being typed at.
 * Layer: base. Whoever writes to the terminal calls _hide before and _show after, from any thread, and nothing that
 * could write in between. */
#ifndef MOONGATE_SCREEN_H
#define MOONGATE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

struct moon_screen {
    void (*hide)(void *ud); /* NULL: nothing stands there */
    void (*show)(void *ud);
    void *ud;
};

/* screen may be NULL. */
static inline void moon_screen_hide(struct moon_screen *screen) {
    if (screen && screen->hide)
        screen->hide(screen->ud);
}

static inline void moon_screen_show(struct moon_screen *screen) {
    if (screen && screen->show)
        screen->show(screen->ud);
}

#endif
