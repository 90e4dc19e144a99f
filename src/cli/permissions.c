/* permissions.c - the rules for scripts. See permissions.h. */
#include "permissions.h"

#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define STATE_FILES 5
#define ROOM_FOR_C  ((rlim_t)512 << 20) /* bytes beside Lua's: threads' stacks, too */

/* ---- flags and project file ---- */

/* A rule of `from` ("--allow-net", "moongate.lua: permissions.net"); the first that is wrong is remembered. */
static void allow(struct moon_session *s, enum moon_permission kind, const char *from, const char *what) {
    struct moon_err err;
    int rc = moon_permit_allow(s->permit, kind, what, &err);
    if (rc != 0 && !s->permit_err.code)
        moon_err_set(&s->permit_err, rc, "%s: %s", from, err.message);
}

/* "a,b": each of them. */
static void allow_list(struct moon_session *s, enum moon_permission kind, const struct moon_options_list *list) {
    char from[24], one[1024];
    snprintf(from, sizeof from, "--allow-%s", moon_permission_names[kind]);
    for (size_t i = 0; i < list->len; i++)
        for (const char *at = list->items[i], *end; at; at = *end ? end + 1 : NULL) {
            size_t len = strcspn(at, ",");
            end = at + len;
            if (len >= sizeof one) {
                moon_err_set(&s->permit_err, MOON_EINVAL, "%s: too long", from);
                return;
            }
            memcpy(one, at, len);
            one[len] = '\0';
            allow(s, kind, from, one);
        }
}

struct from_project {
    struct moon_session *s;
    enum moon_permission kind;
};

/* Paths are relative to the project file. */
static void allow_of_project(void *ud, const char *what) {
    const struct from_project *f = ud;
    struct moon_buf path = MOON_BUF_INIT;
    char from[64];
    bool is_path = f->kind == MOON_PERMIT_READ || f->kind == MOON_PERMIT_WRITE;
    snprintf(from, sizeof from, "%s: permissions.%s", MOON_PROJECT_FILE, moon_permission_names[f->kind]);
    if (is_path && *what != '/' && moon_buf_printf(&path, "%s/%s", moon_project_dir(f->s->project), what) == 0)
        allow(f->s, f->kind, from, path.data);
    else
        allow(f->s, f->kind, from, what);
    moon_buf_release(&path);
}

static void allow_flags_and_project(struct moon_session *s) {
    const struct moon_options *o = s->options;
    const struct moon_options_list *lists[MOON_PERMISSIONS] = {&o->allow_net, &o->allow_read, &o->allow_write,
                                                               &o->allow_env};
    for (enum moon_permission k = 0; k < MOON_PERMISSIONS; k++) {
        struct from_project f = {s, k};
        allow_list(s, k, lists[k]);
        if (s->project && s->project_allowed)
            moon_project_list(s->project, "permissions", moon_permission_names[k], allow_of_project, &f);
    }
    if (o->allow_all)
        moon_permit_allow_all(s->permit);
}

int moon_permissions_open(struct moon_session *s, struct moon_err *err) {
    int rc = moon_permit_new(&s->permit, &s->clock, s->audit, err);
    if (rc == 0 && s->options->permission_log)
        rc = moon_permit_log(s->permit, s->options->permission_log, err);
    if (rc == 0)
        allow_flags_and_project(s);
    return rc;
}

/* ---- what the session works with anyway ---- */

/* The host of a URL that the user has set up, by name. What is not a URL is reported by its user. */
static void allow_url(void *ud, const char *url) {
    struct moon_session *s = ud;
    char origin[MOON_HTTP_ORIGIN_SIZE], host[MOON_HTTP_ORIGIN_SIZE + 8];
    if (!url || !*url || moon_http_origin(url, strlen(url), origin, NULL) != 0)
        return;
    const char *name = strstr(origin, "://") + 3, *end = strchr(name, ']');
    bool has_port = strchr(end ? end : name, ':') != NULL;
    snprintf(host, sizeof host, "%s%s", name, has_port ? "" : strncmp(origin, "https", 5) == 0 ? ":443" : ":80");
    moon_permit_allow_own(s->permit, host, NULL);
}

static void allow_hosts(struct moon_session *s) {
    static const char *const collectors[] = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"};
    if (!s->credentials_err.code) {
        allow_url(s, s->credentials.endpoints.api);
        allow_url(s, s->credentials.endpoints.login);
    }
    if (s->project)
        moon_project_urls(s->project, allow_url, s);
    for (size_t i = 0; i < sizeof collectors / sizeof *collectors; i++)
        allow_url(s, getenv(collectors[i]));
}

/* ---- what is kept from scripts ---- */

/* A path that leads nowhere at all (a loop of links, nothing/..) needs no keeping, and does not end the list. */
static void keep(struct moon_session *s, const char *path, bool read_too, int *rc) {
    int kept = path && *path ? moon_permit_keep(s->permit, path, read_too, NULL) : 0;
    if (kept == MOON_ENOMEM || kept == MOON_ERANGE)
        *rc = kept;
}

/* The state: its files where the user has said where it lies, for the folder may hold others; else the folder. */
static void keep_state(struct moon_session *s, int *rc) {
    static const char *const suffixes[STATE_FILES] = {"", "-wal", "-shm", "-journal", ".lock"};
    bool is_own = !s->options->state && !(s->project && moon_project_string(s->project, NULL, "state"));
    struct moon_buf head = MOON_BUF_INIT;
    keep(s, s->audit_path.data, true, rc);
    if (moon_buf_printf(&head, "%s.head", s->audit_path.data) == 0)
        keep(s, head.data, true, rc);
    moon_buf_release(&head);
    if (is_own)
        keep(s, s->state.data, true, rc);
    if (is_own || s->store_url.len < 7 || strncmp(s->store_url.data, "sqlite:", 7) != 0)
        return;
    for (size_t i = 0; i < STATE_FILES; i++) {
        struct moon_buf path = MOON_BUF_INIT;
        if (moon_buf_printf(&path, "%s%s", s->store_url.data + 7, suffixes[i]) == 0)
            keep(s, path.data, true, rc);
        moon_buf_release(&path);
    }
}

/* Where people keep credentials: nothing that a script needs to see. */
static void keep_credentials(struct moon_session *s, int *rc) {
    static const char *const files[] = {".gc", ".pgpass", ".postgresql"};
    const char *home = getenv("HOME");
    for (size_t i = 0; home && *home == '/' && i < sizeof files / sizeof *files; i++) {
        struct moon_buf path = MOON_BUF_INIT;
        if (moon_buf_printf(&path, "%s/%s", home, files[i]) == 0)
            keep(s, path.data, true, rc);
        moon_buf_release(&path);
    }
    keep(s, getenv("PGPASSFILE"), true, rc);
    keep(s, s->options->key, true, rc);
    keep(s, s->options->key_passphrase_file, true, rc);
}

static int keep_ours(struct moon_session *s) {
    int rc = 0;
    keep_state(s, &rc);
    keep_credentials(s, &rc);
    keep(s, s->options->permission_log, true, &rc);
    keep(s, s->project ? moon_project_path(s->project) : NULL, false, &rc);
    return rc;
}

/* Lua's own memory is counted (--max-memory). What C code holds for a script, such as bodies that are under way,
 * compiled schemas and open files' pieces, the kernel bounds: beyond it malloc fails, which all code here takes as an
 * error. */
static void bound_memory(const struct moon_session *s) {
#if !defined(__SANITIZE_ADDRESS__) /* its shadow counts as data */
    struct rlimit r;
    rlim_t ours = s->options->max_memory ? s->options->max_memory : MOON_HOST_MEMORY;
    if (getrlimit(RLIMIT_DATA, &r) != 0 || r.rlim_cur < ROOM_FOR_C || ours >= r.rlim_cur - ROOM_FOR_C)
        return; /* RLIM_INFINITY is the largest number */
    r.rlim_cur = ours + ROOM_FOR_C;
    setrlimit(RLIMIT_DATA, &r); /* the soft one, which may always be less */
#else
    (void)s;
#endif
}

static void count_rule(void *ud, const char *what) {
    (void)what;
    ++*(int *)ud;
}

/* What an allowed project file would grant, and this one does not. */
static void tell_withheld(struct moon_session *s) {
    int n = 0;
    if (!s->project || s->project_allowed)
        return;
    for (enum moon_permission k = 0; k < MOON_PERMISSIONS; k++)
        moon_project_list(s->project, "permissions", moon_permission_names[k], count_rule, &n);
    if (n > 0)
        moon_log_write(
            &s->log, MOON_LOG_WARN, "%s: its permissions are not granted: %s; if you trust it: moongate allow %s",
            moon_project_path(s->project),
            s->project_changed ? "it has changed since it was allowed" : "it was never allowed on this machine",
            moon_project_dir(s->project));
}

int moon_permissions_enforce(struct moon_session *s, const char *folder, struct moon_err *err) {
    if (s->permit_err.code)
        return moon_err_set(err, s->permit_err.code, "%s", s->permit_err.message);
    if (folder && moon_permit_allow(s->permit, MOON_PERMIT_READ, folder, NULL) == MOON_ENOMEM)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (s->permit_filled)
        return 0;
    s->permit_filled = true;
    tell_withheld(s);
    moon_permit_enforce(s->permit);
    bound_memory(s);
    moon_permit_allow(s->permit, MOON_PERMIT_READ, ".", NULL); /* a working directory that is gone holds nothing */
    moon_permit_allow(s->permit, MOON_PERMIT_ENV, "GENESYS_CLOUD_VECTOR_STORE_ID", NULL); /* an id, and no secret */
    allow_hosts(s);
    int rc = keep_ours(s);
    return rc != 0 ? moon_err_set(err, rc, "what is kept from scripts can't be listed: %s", moon_code_name(rc)) : 0;
}
