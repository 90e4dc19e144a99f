/* file.h - whole files, read and replaced atomically. */
#ifndef MOONGATE_FILE_H
#define MOONGATE_FILE_H

#include "moongate/buf.h"
#include "moongate/err.h"

#include <stdatomic.h>
#include <stddef.h>

/* Appends a file's bytes to out; those of a pipe or device (/dev/stdin, <(command)) to its end, as moon_file_read_fd
 * does. MOON_ETOOBIG beyond max bytes, MOON_EINVAL for a directory or a block device, MOON_ENOENT, MOON_EDENIED (no
 * permission), MOON_EIO. */
int moon_file_read(const char *path, size_t max, const atomic_bool *stop, struct moon_buf *out, struct moon_err *err);
/* The same of a descriptor of a regular file, which is closed; path is for messages. */
int moon_file_read_opened(int fd, const char *path, size_t max, struct moon_buf *out, struct moon_err *err);
/* Appends what comes from fd to its end, however long that takes; MOON_ECANCELLED soon after *stop (may be NULL) has
 * become true.
 * MOON_ETOOBIG beyond max bytes, MOON_EIO. */
int moon_file_read_fd(int fd, size_t max, const atomic_bool *stop, struct moon_buf *out, struct moon_err *err);
/* Appends the secret in a file, at most 4 KiB, without the line break at its end. A regular file must be closed to
 * group and others (MOON_EDENIED); a pipe, such as /dev/fd/3, is read to its end, as above. MOON_EINVAL: empty, or
 * neither of the two. */
int moon_file_read_secret(const char *path, const atomic_bool *stop, struct moon_buf *out, struct moon_err *err);
int moon_file_read_secret_opened(int fd, const char *path, const atomic_bool *stop, struct moon_buf *out,
                                 struct moon_err *err); /* closes fd */
/* Writes a temporary file beside path, syncs it, renames it over path and syncs the folder: readers see the old or the
 * new file complete, also after a crash. mode as for chmod(2); with MOON_FILE_KEEP a file that exists stays closed to
 * whom it was closed to. A link is followed; a pipe, a character device and a descriptor (/dev/stdout, /dev/fd/N) are
 * written into; everything else that is not a regular file is refused (MOON_EINVAL). */
#define MOON_FILE_KEEP 010000U
/* With it nothing is replaced: MOON_EEXIST when the name is taken, also by a process that was a moment earlier. */
#define MOON_FILE_NEW 020000U
int moon_file_replace(const char *path, const void *data, size_t len, unsigned mode, struct moon_err *err);
/* The same of `name` in an open folder; path is for messages. What is not a regular file, a link too, is refused. */
int moon_file_replace_in(int dir, const char *name, const char *path, const void *data, size_t len, unsigned mode,
                         struct moon_err *err);
/* mkdir -p, each new folder with mode. */
int moon_file_mkdirs(const char *path, unsigned mode, struct moon_err *err);

#endif
