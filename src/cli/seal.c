/* seal.c - Landlock around a run of a script: what it may read and write, and what this program needs for it. */
#include "permissions.h"

#include "session.h"

#include "moongate/file.h"
#include "moongate/landlock.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Programs, certificates, resolver, time zones, randomness; and /proc, which says whether the holder of a lease still
 * lives. What of these a script may not see, permit.c keeps from it. */
/* "a:b": a variable of folders may name several. */
static void read_list(struct moon_landlock *l, const char *paths) {
    for (const char *at = paths, *end; at; at = *end ? end + 1 : NULL) {
        end = at + strcspn(at, ":");
        char *one = strndup(at, (size_t)(end - at));
        if (one && *one)
            moon_landlock_read(l, one);
        free(one);
    }
}

static void allow_system(struct moon_landlock *l) {
    static const char *const reads[] = {"/usr",
                                        "/lib",
                                        "/lib32",
                                        "/lib64",
                                        "/etc",
                                        "/proc",
                                        "/dev/urandom",
                                        "/dev/random",
                                        "/run/systemd",
                                        "/run/resolvconf",
                                        "/run/NetworkManager",
                                        "/sys/devices/system/cpu"};
    static const char *const writes[] = {"/dev/null", "/dev/tty"};
    static const char *const variables[] = {"SSL_CERT_FILE", "SSL_CERT_DIR", "PGPASSFILE",
                                            "PGSSLROOTCERT", "PGSSLCERT",    "PGSSLKEY",
                                            "PGSERVICEFILE", "OPENSSL_CONF", "RESOLV_CONF"};
    static const char *const of_home[] = {".pgpass", ".postgresql", ".pg_service.conf"};
    const char *home = getenv("HOME");
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++)
        moon_landlock_read(l, reads[i]);
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
        moon_landlock_write(l, writes[i]);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        read_list(l, getenv(variables[i]));
    for (size_t i = 0; home && i < sizeof of_home / sizeof *of_home; i++) {
        struct moon_buf path = MOON_BUF_INIT;
        if (moon_buf_printf(&path, "%s/%s", home, of_home[i]) == 0)
            moon_landlock_read(l, path.data);
        moon_buf_release(&path);
    }
}

/* The folder of a file that is replaced, or has others beside it. */
static void allow_folder_of(struct moon_landlock *l, const char *path) {
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *dir = !path || !*path ? NULL
                : !slash        ? strdup(".")
                                : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (dir && moon_file_mkdirs(dir, 0700, NULL) == 0)
        moon_landlock_write(l, dir);
    free(dir);
}

/* A file that is written at the end: what is a link leads to another folder, and a device does not open /dev. */
static void allow_output(struct moon_landlock *l, const char *path) {
    struct stat st;
    char *real = path ? realpath(path, NULL) : NULL;
    if (real && stat(real, &st) == 0 && !S_ISREG(st.st_mode))
        moon_landlock_write(l, real);
    else
        allow_folder_of(l, real ? real : path);
    free(real);
}

struct checkpoints {
    struct moon_landlock *l;
    const char *dir; /* of the project file */
    bool write;
};

static void allow_checkpoint_path(void *ud, const char *path) {
    const struct checkpoints *c = ud;
    struct moon_buf full = MOON_BUF_INIT;
    if (strncmp(path, "webhook:", 8) != 0 &&
        moon_buf_printf(&full, "%s%s%s", *path == '/' ? "" : c->dir, *path == '/' ? "" : "/", path) == 0) {
        if (c->write)
            moon_landlock_write(c->l, full.data);
        else
            moon_landlock_read(c->l, full.data);
    }
    moon_buf_release(&full);
}

/* What the end of a run needs: the key that signs the audit log's checkpoints, and the folders that they go to. */
static void allow_checkpoints(struct moon_landlock *l, struct moon_project *p) {
    struct checkpoints c = {l, moon_project_dir(p), false};
    const char *key = moon_project_string(p, "audit", "key_file");
    if (key)
        allow_checkpoint_path(&c, key);
    c.write = true;
    moon_project_list(p, "audit", "to", allow_checkpoint_path, &c);
}

static void allow_session(struct moon_landlock *l, struct moon_session *s) {
    const struct moon_options *o = s->options;
    const char *const reads[] = {o->cacert, o->cert, o->key, o->key_passphrase_file, o->lua_dir};
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++)
        moon_landlock_read(l, reads[i]);
    allow_folder_of(l, s->audit_path.data);
    if (s->store_url.len > 7 && strncmp(s->store_url.data, "sqlite:", 7) == 0 && s->store_url.data[7] != ':')
        allow_folder_of(l, s->store_url.data + 7);
    allow_output(l, o->metrics_file);
    if (s->project)
        allow_checkpoints(l, s->project);
}

static void allow_script(struct moon_landlock *l, const struct moon_permit *p) {
    const struct moon_roots *read = moon_permit_roots(p, MOON_PERMIT_READ);
    const struct moon_roots *write = moon_permit_roots(p, MOON_PERMIT_WRITE);
    for (size_t i = 0; i < read->n_allowed; i++)
        moon_landlock_read_at(l, read->allowed[i].fd);
    for (size_t i = 0; i < write->n_allowed; i++)
        moon_landlock_write_at(l, write->allowed[i].fd);
}

/* A thread that already exists would keep its freedom, and the pool's threads open files for scripts. */
static bool has_only(size_t threads) {
    DIR *dir = opendir("/proc/self/task");
    size_t n = 0;
    const struct dirent *e;
    while (dir && (e = readdir(dir)))
        n += e->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n > 0 && n <= threads;
}

bool moon_permissions_seal(struct moon_session *s) {
    struct moon_landlock l;
    if (!moon_permit_enforced(s->permit) || !has_only(s->watchdog ? 2 : 1) || !moon_landlock_begin(&l))
        return false;
    allow_system(&l);
    allow_session(&l, s);
    allow_script(&l, s->permit);
    return moon_landlock_enforce(&l);
}
