/* trust.h - whose word a folder is. What lies in a folder (a project file, workflows) may have come from anybody: it is
 * used only where nobody but the user could have written it, and it grants and runs something only where the user has
 * allowed the folder on this machine (`moongate allow`), kept in a file of the user's own. */
#ifndef MOONGATE_CLI_TRUST_H
#define MOONGATE_CLI_TRUST_H

#include "options.h"

#include "moongate/err.h"

#include <stdbool.h>

/* Whether nobody but the user or root could have written the file at path: owner and mode of the file, of a link that
 * leads to it, and of every folder above them; a folder that others may write counts only with its sticky bit. 0, or
 * MOON_EDENIED with what is wrong; MOON_ENOENT, MOON_EIO. */
int moon_trust_own(const char *path, struct moon_err *err);

/* Whether folder (as realpath gives it) was allowed: with --trust, or kept by moon_trust_keep with the same hash of its
 * project file ("" for none). *changed: it was, with another hash. */
bool moon_trust_allowed(const struct moon_options *o, const char *folder, const char *hash, bool *changed);

/* Keeps (allow) or forgets that folder is allowed with that hash. MOON_ENOENT: no home; MOON_EIO, MOON_EDENIED. */
int moon_trust_keep(const char *folder, const char *hash, bool allow, struct moon_err *err);

#endif
