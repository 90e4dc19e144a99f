/* folder.h - a folder of our own for what is only needed for a while. Blocks: for what is small, and for the end. */
#ifndef MOONGATE_FOLDER_H
#define MOONGATE_FOLDER_H

#include "moongate/buf.h"
#include "moongate/err.h"

/* Makes a new folder, for its owner alone, below $TMPDIR or /tmp; its path replaces what is in path. MOON_EIO,
 * MOON_EDENIED, MOON_ENOMEM. */
int moon_folder_temporary(struct moon_buf *path, const char *prefix, struct moon_err *err);
/* Removes a folder with all below it, as far as it can. Symbolic links are not followed, other file systems not
 * entered. */
void moon_folder_remove(const char *path);

#endif
