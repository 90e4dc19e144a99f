/* http_server.c - a server's life: start, being driven by the loop, stop.
 *
 * MHD runs in external epoll mode: its own epoll descriptor is watched by one uv_poll, its timeouts by one timer, and a
 * suspended connection that has something to say waits in server->ready for the next turn. MHD_run is called from here
 * only, never from inside itself. */
#include "http_server_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define CONNECTION_MEMORY                                                                                              \
    ((size_t)32 << 10) /* request line and headers of one request; beyond it MHD answers 431 itself */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct server_poll {
    uv_poll_t handle; /* outlives the server until libuv has closed it */
    struct moon_http_server *server;
};

static void pump(void *ud);

/* Runs MHD again when it asks for it. A virtual clock has no idle time: jumping to an idle timeout would only turn the
 * clock. */
static void schedule(struct moon_http_server *s) {
    MHD_UNSIGNED_LONG_LONG ms;
    if (s->ready || (MHD_get_timeout(s->daemon, &ms) == MHD_YES && ms == 0)) {
        moon_loop_defer(s->loop, &s->pump, pump, s);
    } else if (!moon_loop_clock(s->loop)->is_virtual && MHD_get_timeout(s->daemon, &ms) == MHD_YES) {
        int64_t delay = ms > 3600 * 1000 ? 3600 * MOON_NS_PER_S : (int64_t)ms * MOON_NS_PER_MS;
        moon_timer_start(s->loop, &s->timeout, delay, pump, s);
    } else {
        moon_timer_stop(s->loop, &s->timeout);
    }
}

static void resume_ready(struct moon_http_server *s) {
    struct exchange *x = s->ready;
    s->ready = NULL;
    while (x) {
        struct exchange *next = x->next_ready;
        x->queued = x->suspended = false;
        MHD_resume_connection(x->conn);
        x = next;
    }
}

static void pump(void *ud) {
    struct moon_http_server *s = ud;
    if (!s->daemon)
        return;
    resume_ready(s);
    MHD_run(s->daemon);
    schedule(s);
}

static void on_readable(uv_poll_t *handle, int status, int events) {
    (void)status;
    (void)events;
    struct server_poll *p = handle->data;
    if (p->server)
        pump(p->server);
}

void moon_http_server_pump(struct moon_http_server *s) {
    moon_loop_defer(s->loop, &s->pump, pump, s);
}

void moon_http_server_resume(struct exchange *x) {
    struct moon_http_server *s = x->server;
    if (x->queued || !x->suspended)
        return;
    x->queued = true;
    x->next_ready = s->ready;
    s->ready = x;
    moon_loop_defer(s->loop, &s->pump, pump, s);
}

static void on_poll_closed(uv_handle_t *handle) {
    free(handle->data);
}

static int watch(struct moon_http_server *s, struct moon_err *err) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct server_poll *p = calloc(1, sizeof *p);
    if (!p)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    p->server = s;
    int rc = info ? uv_poll_init(moon_loop_uv(s->loop), &p->handle, info->epoll_fd) : UV_EINVAL;
    if (rc != 0) {
        free(p);
        return moon_err_set(err, MOON_EIO, "can't watch the server's sockets: %s", uv_strerror(rc));
    }
    p->handle.data = p;
    s->poll = p;
    rc = uv_poll_start(&p->handle, UV_READABLE, on_readable);
    return rc == 0 ? 0 : moon_err_set(err, MOON_EIO, "can't watch the server's sockets: %s", uv_strerror(rc));
}

/* MHD gives no error codes; its last words say what is wrong with a certificate. */
static void on_mhd_log(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_mhd_log(void *cls, const char *fmt, va_list ap) {
    struct moon_http_server *s = cls;
    if (s->daemon) /* running: one client's trouble */
        return;
    vsnprintf(s->mhd_error, sizeof s->mhd_error, fmt, ap);
    s->mhd_error[strcspn(s->mhd_error, "\n")] = '\0';
}

static struct MHD_Daemon *start_daemon(struct moon_http_server *s, const struct moon_http_server_opts *o, int fd) {
    unsigned limit = o->max_connections ? o->max_connections : MOON_HTTP_SERVER_CONNECTIONS;
    unsigned idle = (unsigned)(s->patience_ns / MOON_NS_PER_S);
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)moon_http_on_line, s},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)moon_http_on_completed, s},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)moon_http_on_connection, s},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)limit, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)idle, NULL},
        {o->tls_cert ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, moon_http_unconst(o->tls_cert)},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, moon_http_unconst(o->tls_key)},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, moon_http_unconst(TLS_PRIORITIES)},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    flags |= o->tls_cert ? MHD_USE_TLS : 0;
    flags |= o->host && strchr(o->host, ':') ? MHD_USE_IPv6 : 0;
    return MHD_start_daemon(flags, 0, NULL, NULL, moon_http_on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, s,
                            MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

int moon_http_server_start(struct moon_loop *loop, struct moon_http_server **out, const struct moon_http_server_opts *o,
                           struct moon_err *err) {
    if (!o->tls_cert != !o->tls_key)
        return moon_err_set(err, MOON_EINVAL, "tls: cert and key go together");
    struct moon_http_server *s = calloc(1, sizeof *s);
    if (!s)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    s->loop = loop;
    s->listen_fd = -1;
    s->ask_headers = o->ask_headers;
    s->max_body = o->max_body ? o->max_body : MOON_HTTP_SERVER_BODY;
    s->tls = o->tls_cert != NULL;
    s->patience_ns = (o->idle_s ? o->idle_s : MOON_HTTP_SERVER_IDLE_S) * MOON_NS_PER_S;
    if (moon_loop_clock(loop)->is_virtual)
        s->patience_ns = 0;
    s->on_event = o->on_event;
    s->ud = o->ud;

    int fd = -1, rc;
    s->bodies = calloc(1, sizeof *s->bodies);
    if (!s->bodies) {
        rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
        goto fail;
    }
    s->bodies->refs = 1;
    s->bodies->max = o->max_bodies ? o->max_bodies : MOON_HTTP_SERVER_BODIES;
    if (s->bodies->max < s->max_body) /* else the largest body could never come */
        s->bodies->max = s->max_body;
    rc = moon_http_listen(o->host ? o->host : "127.0.0.1", o->port, o->tls_cert != NULL, &fd, &s->port, s->url,
                          sizeof s->url, err);
    if (rc != 0)
        goto fail;
    s->daemon = start_daemon(s, o, fd);
    if (!s->daemon) {
        close(fd);
        rc = moon_err_set(err, o->tls_cert ? MOON_EINVAL : MOON_EIO, "can't start the server%s: %s",
                          o->tls_cert ? " (certificate and key)" : "",
                          s->mhd_error[0] ? s->mhd_error : "no reason given");
        goto fail;
    }
    rc = watch(s, err);
    if (rc != 0)
        goto fail;
    schedule(s);
    *out = s;
    return 0;
fail:
    moon_http_server_free(s);
    return rc;
}

uint16_t moon_http_server_port(const struct moon_http_server *s) {
    return s->port;
}

const char *moon_http_server_url(const struct moon_http_server *s) {
    return s->url;
}

size_t moon_http_server_live(const struct moon_http_server *s) {
    return s->live_count;
}

/* Ends every connection. MHD must not be stopped while a connection is suspended. */
static void close_daemon(struct moon_http_server *s) {
    if (!s->daemon)
        return;
    moon_loop_undefer(s->loop, &s->pump);
    moon_loop_undefer(s->loop, &s->finish);
    moon_timer_stop(s->loop, &s->timeout);
    moon_timer_stop(s->loop, &s->grace);
    if (s->poll) {
        s->poll->server = NULL;
        uv_poll_stop(&s->poll->handle);
        uv_close((uv_handle_t *)&s->poll->handle, on_poll_closed);
        s->poll = NULL;
    }
    for (struct exchange *x = s->live; x; x = x->next) {
        moon_timer_stop(s->loop, &x->drip);
        if (x->suspended)
            MHD_resume_connection(x->conn);
        x->suspended = x->queued = false;
    }
    s->ready = NULL;
    struct MHD_Daemon *daemon = s->daemon;
    MHD_stop_daemon(daemon); /* calls moon_http_on_completed for each */
    s->daemon = NULL;
    moon_http_clients_close(s);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    s->listen_fd = -1;
}

static void finish(void *ud) {
    struct moon_http_server *s = ud;
    close_daemon(s);
    void (*fn)(void *) = s->on_stopped;
    s->on_stopped = NULL;
    if (fn)
        fn(s->stopped_ud);
}

/* Called whenever a request is over. A client that has not even sent its headers is not waited for. */
void moon_http_server_ended(struct moon_http_server *s) {
    if (!s->draining || !s->daemon)
        return;
    for (const struct exchange *x = s->live; x; x = x->next)
        if (x->phase != X_LINE)
            return;
    moon_loop_defer(s->loop, &s->finish, finish, s);
}

void moon_http_server_stop(struct moon_http_server *s, int64_t grace_ns, void (*on_stopped)(void *ud), void *ud) {
    if (!s->daemon)
        return;
    if (!s->draining) {
        s->draining = true;
        s->on_stopped = on_stopped;
        s->stopped_ud = ud;
        s->listen_fd = MHD_quiesce_daemon(s->daemon);
        if (s->listen_fd >= 0) {
            close(s->listen_fd); /* now: nobody may wait in the backlog of a server that goes away */
            s->listen_fd = -1;
        }
    } else if (s->grace.index != 0 && s->grace.due_ns <= moon_loop_now_ns(s->loop) + grace_ns) {
        return;
    }
    moon_timer_start(s->loop, &s->grace, grace_ns, finish, s);
    moon_http_server_ended(s);
}

void moon_http_server_free(struct moon_http_server *s) {
    if (!s)
        return;
    s->on_event = NULL;
    close_daemon(s);
    moon_http_bodies_unref(s->bodies);
    free(s);
}

const char *moon_http_server_version(void) {
    return MHD_get_version();
}
