/* paths.c - where state lies. */
#include "paths.h"

#include "moongate/store.h"

#include <stdlib.h>
#include <string.h>

#define FILE_NAME "state.db"

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

/* $XDG_STATE_HOME/moongate, ~/.local/state/moongate */
static int home_folder(struct moon_buf *out, struct moon_err *err) {
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int rc;
    if (xdg && *xdg == '/') /* the XDG specification: a relative one is ignored */
        rc = moon_buf_printf(out, "%s/moongate", xdg);
    else if (home && *home)
        rc = moon_buf_printf(out, "%s/.local/state/moongate", home);
    else
        return moon_err_set(err, MOON_ENOENT, "no folder for state: set HOME, XDG_STATE_HOME or --state");
    return rc == 0 ? 0 : no_memory(err);
}

/* The folder of who says nothing. */
static int default_folder(struct moon_buf *out, const char *project_dir, struct moon_err *err) {
    if (!project_dir)
        return home_folder(out, err);
    return moon_buf_printf(out, "%s/.moongate", project_dir) == 0 ? 0 : no_memory(err);
}

static int put_folder_of(struct moon_buf *out, const char *file) {
    const char *slash = strrchr(file, '/');
    if (!slash)
        return moon_buf_puts(out, "."); /* a bare file name: here */
    return moon_buf_append(out, file, slash == file ? 1 : (size_t)(slash - file));
}

/* A folder, or with is_file a file: relative to base unless that is NULL. */
static int local_state(struct moon_buf *dir, struct moon_buf *store, const char *path, bool is_file, const char *base,
                       struct moon_err *err) {
    struct moon_buf full = MOON_BUF_INIT;
    int rc = 0;
    if (*path == '\0')
        return moon_err_set(err, MOON_EINVAL, "state: the path is empty");
    if (base && *path != '/')
        rc = moon_buf_printf(&full, "%s/", base);
    if (rc == 0)
        rc = moon_buf_puts(&full, path);
    if (rc == 0)
        rc = is_file ? put_folder_of(dir, full.data) : moon_buf_puts(dir, full.data);
    if (rc == 0)
        rc = moon_buf_printf(store, is_file ? "sqlite:%s" : "sqlite:%s/" FILE_NAME, full.data);
    moon_buf_release(&full);
    return rc == 0 ? 0 : no_memory(err);
}

/* A state as the user writes it. */
static int written_state(struct moon_buf *dir, struct moon_buf *store, const char *state, const char *base,
                         const char *project_dir, struct moon_err *err) {
    enum moon_store_kind kind = moon_store_kind(state);
    if (kind == MOON_STORE_POSTGRES || moon_store_in_memory(state)) {
        int rc = default_folder(dir, project_dir, err);
        return rc == 0 && moon_buf_puts(store, state) != 0 ? no_memory(err) : rc;
    }
    if (kind == MOON_STORE_SQLITE)
        return local_state(dir, store, state + strlen("sqlite:"), true, base, err);
    if (strstr(state, "://"))
        return moon_err_set(err, MOON_EINVAL, "state: a folder, sqlite:FILE or postgres://HOST/DATABASE is needed");
    return local_state(dir, store, state, false, base, err);
}

int moon_paths_state(struct moon_buf *dir, struct moon_buf *store, const char *option, const char *project,
                     const char *project_dir, struct moon_err *err) {
    if (option)
        return written_state(dir, store, option, NULL, project_dir, err);
    if (project)
        return written_state(dir, store, project, project_dir, project_dir, err);
    int rc = default_folder(dir, project_dir, err);
    return rc == 0 && moon_buf_printf(store, "sqlite:%s/" FILE_NAME, dir->data) != 0 ? no_memory(err) : rc;
}
