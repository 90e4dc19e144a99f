/* paths.h - where state lies. */
#ifndef MOONGATE_CLI_PATHS_H
#define MOONGATE_CLI_PATHS_H

#include "moongate/buf.h"
#include "moongate/err.h"

/* Appends to dir the state folder, and to store the URL of the store (store.h): those of `option` (--state) if there is
 * one, of `project` (the project file's state, relative to its folder), .moongate in project_dir,
 * $XDG_STATE_HOME/moongate, ~/.local/state/moongate. Each of the strings may be NULL. A state is a folder (its store is
 * state.db in it), sqlite:FILE (its folder), or sqlite::memory: or postgres://... (the folder is the one without a
 * --state then). MOON_EINVAL for another form; MOON_ENOENT: no home; MOON_ENOMEM. */
int moon_paths_state(struct moon_buf *dir, struct moon_buf *store, const char *option, const char *project,
                     const char *project_dir, struct moon_err *err);

#endif
