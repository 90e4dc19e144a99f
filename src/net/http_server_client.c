/* http_server_client.c - what a connection may cost: who is gone is noticed, who is slow is cut, and a client that was
 * answered before its body had come gets to read the answer.
 *
 * libmicrohttpd's epoll is edge-triggered, and a read that fills less than its buffer counts as "nothing more": when
 * data and the end came in one event, the end is never read (0.9.75). So the sockets of requests on the way are looked
 * at here, a few times per second, and a connection with an end to read is made to read again. */
#include "http_server_int.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define LOOK_NS       (250 * MOON_NS_PER_MS)
#define LOOK_AGAIN_NS (10 * MOON_NS_PER_MS) /* an end was seen, and there may be data before it */
#define HEAD_NS       (30 * MOON_NS_PER_S)  /* for a head, from its first byte to its last */
#define RATE          1024                  /* bytes per second that a body or an answer must make, after patience_ns */
#define BATCH         64

#define LINGER_NS    (5 * MOON_NS_PER_S)
#define LINGERING    64 /* at most, per server */
#define LINGER_BYTES ((size_t)64 << 20)

/* A duplicate of a socket that libmicrohttpd has closed: what still comes is read and dropped, because closing it with
 * unread data resets the connection, and a reset can overtake the answer. */
struct leftover {
    uv_poll_t handle; /* outlives the list until libuv has closed it */
    struct moon_timer timer;
    struct moon_http_server *server;
    struct leftover *next, **prev;
    size_t left;
    int fd;
};

static void on_linger_closed(uv_handle_t *handle) {
    struct leftover *g = handle->data;
    close(g->fd);
    free(g);
}

static void linger_end(void *ud) {
    struct leftover *g = ud;
    moon_timer_stop(g->server->loop, &g->timer);
    *g->prev = g->next;
    if (g->next)
        g->next->prev = g->prev;
    uv_poll_stop(&g->handle);
    uv_close((uv_handle_t *)&g->handle, on_linger_closed);
}

static void on_late_bytes(uv_poll_t *handle, int status, int events) {
    struct leftover *g = handle->data;
    char bytes[16384];
    (void)events;
    ssize_t n = status < 0 ? 0 : recv(g->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && status < 0) || (n > 0 && (size_t)n >= g->left)) {
        linger_end(g);
        return;
    }
    g->left -= n > 0 ? (size_t)n : 0;
}

static void linger(struct moon_http_server *s, int from) {
    unsigned count = 0;
    for (const struct leftover *g = s->lingering; g; g = g->next)
        count++;
    struct leftover *g = count < LINGERING ? calloc(1, sizeof *g) : NULL;
    if (!g)
        return;
    g->server = s;
    g->left = LINGER_BYTES;
    g->fd = dup(from);
    if (g->fd < 0 || uv_poll_init(moon_loop_uv(s->loop), &g->handle, g->fd) != 0) {
        if (g->fd >= 0)
            close(g->fd);
        free(g);
        return;
    }
    g->handle.data = g;
    g->next = s->lingering;
    g->prev = &s->lingering;
    if (g->next)
        g->next->prev = &g->next;
    s->lingering = g;
    uv_poll_start(&g->handle, UV_READABLE, on_late_bytes);
    moon_timer_start(s->loop, &g->timer, LINGER_NS, linger_end, g);
}

/* ---- the look ---- */

/* Makes MHD read from it: a connection that was suspended counts as readable. */
static void read_again(struct client *c) {
    MHD_suspend_connection(c->conn);
    MHD_resume_connection(c->conn);
    moon_http_server_pump(c->server);
}

/* Whether bytes of a request are awaited. */
static bool is_receiving(const struct client *c) {
    return !c->x || c->x->phase == X_LINE || c->x->phase == X_BODY;
}

static bool is_too_slow(const struct client *c, int64_t now) {
    const struct moon_http_server *s = c->server;
    const struct exchange *x = c->x;
    int64_t head = s->patience_ns < HEAD_NS ? s->patience_ns : HEAD_NS;
    if (!x)
        return now - c->since_ns > (c->used ? s->patience_ns : head);
    if (x->suspended || x->queued)
        return false;
    int64_t over = now - x->since_ns - s->patience_ns;
    if (x->phase == X_LINE)
        return now - x->since_ns > head;
    if (x->phase == X_BODY) /* over: past its patience; the rate counts from the start */
        return over > 0 && (int64_t)((x->body.len + x->passed_over) / RATE) < (now - x->since_ns) / MOON_NS_PER_S;
    return x->phase == X_SENDING && x->drip_bytes == 0 && over > (int64_t)(x->out_len / RATE) * MOON_NS_PER_S;
}

/* Ends it; a client that is still asking reads why, except over TLS. */
static void cut(struct client *c) {
    static const char timeout[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    c->cut = true;
    if (is_receiving(c) && (c->x || !c->used) && !c->server->tls)
        send(c->fd, timeout, sizeof timeout - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(c->fd, SHUT_RDWR);
    read_again(c);
}

/* Returns whether one of them has an end to read. */
static bool look_at(struct pollfd *fds, struct client **who, nfds_t count) {
    bool found = false;
    if (count == 0 || poll(fds, count, 0) <= 0)
        return false;
    for (nfds_t i = 0; i < count; i++)
        if (fds[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) {
            read_again(who[i]);
            found = true;
        }
    return found;
}

static void look(void *ud) {
    struct moon_http_server *s = ud;
    struct pollfd fds[BATCH];
    struct client *who[BATCH];
    nfds_t count = 0;
    bool found = false;
    int64_t now = moon_loop_now_ns(s->loop);
    for (struct client *c = s->clients; c; c = c->next) {
        if (!c->cut && is_too_slow(c, now)) {
            cut(c);
        } else if (is_receiving(c) && (!c->x || !c->x->suspended)) {
            fds[count] = (struct pollfd){.fd = c->fd, .events = POLLRDHUP};
            who[count++] = c;
        }
        if (count == BATCH) {
            found |= look_at(fds, who, count);
            count = 0;
        }
    }
    found |= look_at(fds, who, count);
    if (s->clients)
        moon_timer_start(s->loop, &s->look, found ? LOOK_AGAIN_NS : LOOK_NS, look, s);
}

/* ---- from MHD ---- */

struct client *moon_http_client_of(struct MHD_Connection *conn) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void opened(struct moon_http_server *s, struct MHD_Connection *conn, void **socket_context) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct client *c = info ? calloc(1, sizeof *c) : NULL;
    *socket_context = c;
    if (!c) /* its requests are closed by moon_http_on_line */
        return;
    c->server = s;
    c->conn = conn;
    c->fd = info->connect_fd;
    c->since_ns = moon_loop_now_ns(s->loop);
    c->next = s->clients;
    c->prev = &s->clients;
    if (c->next)
        c->next->prev = &c->next;
    s->clients = c;
    if (s->patience_ns > 0 && s->look.index == 0)
        moon_timer_start(s->loop, &s->look, LOOK_NS, look, s);
}

void moon_http_on_connection(void *cls, struct MHD_Connection *conn, void **socket_context,
                             enum MHD_ConnectionNotificationCode toe) {
    struct moon_http_server *s = cls;
    if (toe == MHD_CONNECTION_NOTIFY_STARTED) {
        opened(s, conn, socket_context);
        return;
    }
    struct client *c = *socket_context;
    *socket_context = NULL;
    if (!c)
        return;
    if (c->unread && !c->cut && s->daemon)
        linger(s, c->fd);
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c);
}

void moon_http_clients_close(struct moon_http_server *s) {
    moon_timer_stop(s->loop, &s->look);
    while (s->lingering)
        linger_end(s->lingering);
}
