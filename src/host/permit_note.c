/* permit_note.c - what is recorded of accesses: the file of --permission-log, and what was denied in the audit log; and
 * the one question that bindings ask. */
#include "host_private.h"
#include "permit_private.h"

#include "moongate/audit_queue.h"
#include "moongate/buf.h"
#include "moongate/clock.h"
#include "moongate/http.h"
#include "moongate/json.h"
#include "moongate/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHAT_MAX   1024 /* of a name or path that is recorded */
#define DENIED_MAX 200  /* maximum number of records in the audit log, which a script could fill */

int moon_permit_log(struct moon_permit *p, const char *path, struct moon_err *err) {
    p->log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    return p->log >= 0 ? 0 : moon_err_errno(err, MOON_EIO, errno, "--permission-log: can't write %s", path);
}

/* As a JSON string, cut; other bytes than text become '?'. */
static int put_what(struct moon_buf *b, const char *what) {
    char cut[WHAT_MAX + 1];
    size_t len = strnlen(what, WHAT_MAX);
    memcpy(cut, what, len);
    if (moon_json_put_string(b, cut, len) == 0)
        return 0;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)cut[i] >= 0x80)
            cut[i] = '?';
    return moon_json_put_string(b, cut, len);
}

static int put_flag(struct moon_buf *b, enum moon_permission kind, const char *what) {
    struct moon_buf flag = MOON_BUF_INIT;
    int rc = moon_buf_printf(&flag, "--allow-%s=%s", moon_permission_names[kind], what);
    if (rc == 0 && (rc = moon_buf_puts(b, ",\"flag\":")) == 0)
        rc = put_what(b, flag.data);
    moon_buf_release(&flag);
    return rc;
}

static void write_line(struct moon_permit *p, enum moon_permission kind, const char *what, bool allowed) {
    struct moon_buf b = MOON_BUF_INIT;
    char time[MOON_TIME_SIZE];
    moon_time_format(moon_wall_ns(p->clock), time);
    if (moon_buf_printf(&b, "{\"time\":\"%s\",\"permission\":\"%s\",\"what\":", time, moon_permission_names[kind]) ==
            0 &&
        put_what(&b, what) == 0 && moon_buf_printf(&b, ",\"allowed\":%s", allowed ? "true" : "false") == 0 &&
        (allowed || put_flag(&b, kind, what) == 0) && moon_buf_puts(&b, "}\n") == 0)
        p->log_failed |= write(p->log, b.data, b.len) != (ssize_t)b.len;
    moon_buf_release(&b);
}

static uint64_t hash_of(enum moon_permission kind, const char *what) {
    uint64_t h = UINT64_C(14695981039346656037) + (uint64_t)kind; /* FNV-1a */
    for (; *what; what++)
        h = (h ^ (unsigned char)*what) * UINT64_C(1099511628211);
    return h;
}

/* Each thing once, and not without end. */
static bool is_news(struct moon_permit *p, enum moon_permission kind, const char *what) {
    uint64_t h = hash_of(kind, what);
    for (size_t i = 0; i < p->n_denied; i++)
        if (p->denied[i] == h)
            return false;
    if (!p->denied)
        p->denied = calloc(DENIED_MAX, sizeof *p->denied);
    if (!p->denied || p->n_denied == DENIED_MAX)
        return false;
    p->denied[p->n_denied++] = h;
    return true;
}

void moon_permit_note(struct moon_permit *p, enum moon_permission kind, const char *what, bool allowed) {
    struct moon_buf b = MOON_BUF_INIT;
    if (!p)
        return;
    if (p->log >= 0)
        write_line(p, kind, what, allowed);
    if (allowed || !p->audit || !is_news(p, kind, what))
        return;
    if (moon_buf_printf(&b, "{\"action\":\"permission_denied\",\"permission\":\"%s\",\"what\":",
                        moon_permission_names[kind]) == 0 &&
        put_what(&b, what) == 0 && put_flag(&b, kind, what) == 0 && moon_buf_puts(&b, "}") == 0)
        moon_audit_submit(p->audit, MOON_AUDIT_EVENT, 0, b.data, b.len, false, NULL, NULL, NULL, NULL);
    moon_buf_release(&b);
}

/* ---- for bindings ---- */

bool moon_host_asks(lua_State *L) {
    const struct moon_permit *p = moon_host_of(L)->services.permit;
    return p && (p->enforced || p->log >= 0);
}

int moon_host_permit(lua_State *L, const char *kind, const char *what, struct moon_err *err) {
    struct moon_permit *p = moon_host_of(L)->services.permit;
    enum moon_permission k = *kind == 'n' ? MOON_PERMIT_NET : MOON_PERMIT_ENV;
    if (!p)
        return 0;
    int rc = moon_permit_check(p, k, what, err);
    const char *host = k == MOON_PERMIT_NET ? strstr(what, "://") : NULL;
    moon_permit_note(p, k, host ? host + 3 : what, rc == 0);
    return rc;
}

/* "@moongate/gateway.lua", or below --lua-dir. Scripts' chunks have other names: see lua/moongate/sandbox.lua. */
static bool is_own(const struct moon_host *host, const char *source) {
    size_t n = host->lua_dir ? strlen(host->lua_dir) : 0;
    return strncmp(source, "@moongate/", 10) == 0 ||
           (n && *source == '@' && strncmp(source + 1, host->lua_dir, n) == 0 &&
            strncmp(source + 1 + n, "/moongate/", 10) == 0);
}

void moon_host_check_caller(lua_State *L, const char *what) {
    const struct moon_host *host = moon_host_of(L);
    lua_Debug ar;
    if (!moon_permit_enforced(host->services.permit))
        return;
    for (int level = 1; lua_getstack(L, level, &ar) && lua_getinfo(L, "S", &ar); level++)
        if (*ar.what != 'C') {
            if (is_own(host, ar.source))
                return;
            break;
        }
    luaL_error(L, "%s: not for scripts", what);
}

int moon_host_permit_listen(lua_State *L, const char *host, unsigned port, struct moon_err *err) {
    char what[MOON_NET_HOST_SIZE + 8];
    bool v6 = host && strchr(host, ':') != NULL;
    if (!host || moon_net_is_loopback(host)) /* the default is 127.0.0.1 */
        return 0;
    snprintf(what, sizeof what, v6 ? "[%.250s]:%u" : "%.250s:%u", host, port ? port : 1);
    return moon_host_permit(L, "net", what, err);
}

int moon_permit_refuse_url(struct moon_permit *p, const char *url, struct moon_err *err) {
    char origin[MOON_HTTP_ORIGIN_SIZE];
    int rc = moon_http_origin(url, strlen(url), origin, err);
    return rc == 0 && moon_buf_append(&p->refused, origin, strlen(origin) + 1) != 0
               ? moon_err_set(err, MOON_ENOMEM, "out of memory")
               : rc;
}

/* Its entry in the list, or NULL. */
static char *find_refused(const struct moon_permit *p, const char *url, size_t len) {
    char origin[MOON_HTTP_ORIGIN_SIZE];
    if (!p || p->refused.len == 0 || moon_http_origin(url, len, origin, NULL) != 0)
        return NULL;
    for (size_t at = 0; at < p->refused.len; at += strlen(p->refused.data + at) + 1)
        if (strcmp(p->refused.data + at, origin) == 0)
            return p->refused.data + at;
    return NULL;
}

int moon_host_check_refused(lua_State *L, const char *url, size_t len, struct moon_err *err) {
    const char *origin = find_refused(moon_host_of(L)->services.permit, url, len);
    return origin ? moon_err_set(err, MOON_EDENIED,
                                 "%s is not called from a test: the project file names it (use test.sim, or a server "
                                 "of the test's own)",
                                 origin)
                  : 0;
}

/* "http://host:port" -> "host:port" */
static const char *host_of_url(const char *url) {
    const char *host = strstr(url, "://");
    return host ? host + 3 : url;
}

void moon_host_listens(lua_State *L, const char *url) {
    struct moon_permit *p = moon_host_of(L)->services.permit;
    for (char *origin; (origin = find_refused(p, url, strlen(url))) != NULL;)
        memset(origin, '-', strlen(origin)); /* a test's own server */
    if (p)
        moon_permit_allow(p, MOON_PERMIT_NET, host_of_url(url), NULL);
}

void moon_host_listens_no_more(lua_State *L, const char *url) {
    struct moon_permit *p = moon_host_of(L)->services.permit;
    if (p)
        moon_permit_forget_net(p, host_of_url(url));
}

const struct moon_roots *moon_host_roots(lua_State *L, bool write) {
    return moon_permit_roots(moon_host_of(L)->services.permit, write ? MOON_PERMIT_WRITE : MOON_PERMIT_READ);
}

void moon_host_opened(lua_State *L, bool write, const char *path, bool outside, struct moon_err *err) {
    enum moon_permission k = write ? MOON_PERMIT_WRITE : MOON_PERMIT_READ;
    if (outside)
        moon_permit_refuse(k, path, err);
    moon_permit_note(moon_host_of(L)->services.permit, k, path, !outside);
}
