/* paths.c - where state lies. */
#include "paths.h"

#include <stdlib.h>
#include <string.h>

/* The folder of a state as the user writes it, relative to base unless it is NULL. */
static int state_folder(struct moon_buf *out, const char *state, const char *base, struct moon_err *err) {
    static const char sqlite[] = "sqlite:";
    size_t start = out->len;
    int is_file = strncmp(state, sqlite, sizeof sqlite - 1) == 0;
    const char *path = is_file ? state + sizeof sqlite - 1 : state;
    if (!is_file && strstr(state, "://"))
        return moon_err_set(err, MOON_EINVAL, "state: this version keeps state in a folder or in sqlite:FILE only");
    if (*path == '\0')
        return moon_err_set(err, MOON_EINVAL, "state: the path is empty");
    if (base && *path != '/' && moon_buf_printf(out, "%s/", base) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (moon_buf_puts(out, path) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (!is_file)
        return 0;
    char *slash = strrchr(out->data + start, '/');
    if (!slash) { /* a bare file name: here */
        out->data[start] = '.';
        slash = out->data + start + 1;
    } else if (slash == out->data + start) {
        slash++;
    }
    *slash = '\0';
    out->len = (size_t)(slash - out->data);
    return 0;
}

static int home_folder(struct moon_buf *out, struct moon_err *err) {
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int rc;
    if (xdg && *xdg == '/') /* the XDG specification: a relative one is ignored */
        rc = moon_buf_printf(out, "%s/moongate", xdg);
    else if (home && *home)
        rc = moon_buf_printf(out, "%s/.local/state/moongate", home);
    else
        return moon_err_set(err, MOON_ENOENT, "no place for state: set HOME, XDG_STATE_HOME or --state");
    return rc == 0 ? 0 : moon_err_set(err, rc, "out of memory");
}

int moon_paths_state(struct moon_buf *out, const char *option, const char *project, const char *project_dir,
                     struct moon_err *err) {
    if (option)
        return state_folder(out, option, NULL, err);
    if (project)
        return state_folder(out, project, project_dir, err);
    if (project_dir) {
        int rc = moon_buf_printf(out, "%s/.moongate", project_dir);
        return rc == 0 ? 0 : moon_err_set(err, rc, "out of memory");
    }
    return home_folder(out, err);
}
