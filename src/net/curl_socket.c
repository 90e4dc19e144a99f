/* curl_socket.c - see curl_socket.h. The callbacks here only note what libcurl wants; none calls libcurl. */
#include "curl_socket.h"

#include "moongate/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

struct moon_curl_watch {
    uv_poll_t poll;
    struct moon_curl_sockets *sockets;
    void *owner;
    curl_socket_t fd;
    int want;       /* UV_READABLE | UV_WRITABLE, what libcurl waits for; 0: nothing */
    int registered; /* what the loop watches for */
    bool ours;      /* of moon_curl_on_open */
    int port;       /* the local one, when a request was answered over it; else 0 */
    ino_t inode;    /* ours: the socket that fd was when it was opened */
};

static struct moon_curl_watch *watch_of(const struct moon_curl_sockets *s, curl_socket_t fd) {
    return fd >= 0 && (size_t)fd < s->size ? s->by_fd[fd] : NULL;
}

static int grow(struct moon_curl_sockets *s, curl_socket_t fd) {
    size_t size = s->size ? s->size : 64;
    while (size <= (size_t)fd)
        size *= 2;
    struct moon_curl_watch **p = realloc(s->by_fd, size * sizeof(struct moon_curl_watch *));
    if (!p)
        return -1;
    memset(p + s->size, 0, (size - s->size) * sizeof(struct moon_curl_watch *));
    s->by_fd = p;
    s->size = size;
    return 0;
}

static struct moon_curl_watch *watch_add(struct moon_curl_sockets *s, curl_socket_t fd, bool ours) {
    if ((size_t)fd >= s->size && grow(s, fd) != 0)
        return NULL;
    struct moon_curl_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    if (uv_poll_init(moon_loop_uv(s->loop), &w->poll, fd) != 0) {
        free(w);
        return NULL;
    }
    w->poll.data = w;
    w->sockets = s;
    w->fd = fd;
    w->ours = ours;
    s->by_fd[fd] = w;
    return w;
}

static void closed(uv_handle_t *handle) {
    free(handle->data);
}

/* uv_close ends the polling at once, so the descriptor may be closed after it; only the memory has to wait for a turn.
 */
static void watch_drop(struct moon_curl_watch *w) {
    w->sockets->by_fd[w->fd] = NULL;
    uv_close((uv_handle_t *)&w->poll, closed);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct moon_curl_watch *w = poll->data;
    if (!w->want) { /* an idle connection was closed, or speaks out of turn: libcurl finds out when it next looks at it
                     */
        uv_poll_stop(poll);
        w->registered = 0;
        return;
    }
    int mask = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    w->sockets->ready(w->owner, w->fd, status < 0 ? CURL_CSELECT_ERR : mask);
}

/* libcurl 7.88 closes a socket that never carried a request without moon_curl_on_close: a connect or a handshake that
 * was cut off, the slower address of a dual-stack host. The number may belong to anything by now. */
static bool was_closed(const struct moon_curl_watch *w) {
    struct stat now;
    if (w->port != 0)
        return false;
    return fstat(w->fd, &now) != 0 || !S_ISSOCK(now.st_mode) || now.st_ino != w->inode;
}

static int watch_start(struct moon_curl_watch *w) {
    if (w->want == w->registered || w->want == 0)
        return 0;
    if (uv_poll_start(&w->poll, w->want, on_poll) != 0)
        return -1;
    w->registered = w->want;
    return 0;
}

/* https://curl.se/libcurl/c/CURLMOPT_SOCKETFUNCTION.html: note the events and return; -1 fails all of the multi
 * handle's transfers, so the watch of an own socket is there before. */
int moon_curl_on_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *unused) {
    struct moon_curl_sockets *s = *(struct moon_curl_sockets **)owner;
    struct moon_curl_watch *w = watch_of(s, fd);
    (void)easy, (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (w && w->ours && !was_closed(w))
            w->want = 0;
        else if (w) /* the resolver's own is closed right after this, without moon_curl_on_close */
            watch_drop(w);
        return 0;
    }
    if (!w && !(w = watch_add(s, fd, false)))
        return -1;
    w->owner = owner;
    w->want = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return watch_start(w);
}

/* The number was free, so a watch that it still has is of a socket that libcurl has closed by itself in this very turn
 * of the multi handle (else its end was noticed above). libcurl believes it still watched, and reports only changes:
 * what it wanted then holds for the new socket. */
static struct moon_curl_watch *watch_anew(struct moon_curl_sockets *s, int fd) {
    struct moon_curl_watch *old = watch_of(s, fd);
    void *owner = old ? old->owner : NULL;
    int want = old ? old->want : 0;
    struct stat now;
    if (old)
        watch_drop(old);
    struct moon_curl_watch *w = watch_add(s, fd, true);
    if (!w)
        return NULL;
    w->owner = owner;
    w->want = want;
    w->inode = fstat(fd, &now) == 0 ? now.st_ino : 0;
    if (watch_start(w) != 0) {
        watch_drop(w);
        return NULL;
    }
    return w;
}

/* https://curl.se/libcurl/c/CURLOPT_OPENSOCKETFUNCTION.html: a socket, or CURL_SOCKET_BAD. */
curl_socket_t moon_curl_on_open(void *sockets, curlsocktype purpose, struct curl_sockaddr *address) {
    struct moon_curl_sockets *s = sockets;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (!watch_anew(s, fd)) {
        close(fd);
        errno = ENOMEM;
        return CURL_SOCKET_BAD;
    }
    s->opened++;
    return fd;
}

/* https://curl.se/libcurl/c/CURLOPT_CLOSESOCKETFUNCTION.html: comes for every socket of moon_curl_on_open, also long
 * after the transfer that it was opened for. */
int moon_curl_on_close(void *sockets, curl_socket_t fd) {
    struct moon_curl_watch *w = watch_of(sockets, fd);
    if (w)
        watch_drop(w);
    return close(fd);
}

void moon_curl_sockets_answered(struct moon_curl_sockets *s, curl_socket_t fd, int local_port) {
    struct moon_curl_watch *w = watch_of(s, fd);
    if (w && w->ours)
        w->port = local_port;
}

bool moon_curl_sockets_is(const struct moon_curl_sockets *s, curl_socket_t fd, int local_port) {
    const struct moon_curl_watch *w = watch_of(s, fd);
    return w && w->port == local_port;
}

void moon_curl_sockets_forget(struct moon_curl_sockets *s, const void *owner) {
    for (size_t i = 0; i < s->size; i++)
        if (s->by_fd[i] && s->by_fd[i]->owner == owner)
            watch_drop(s->by_fd[i]);
}

void moon_curl_sockets_release(struct moon_curl_sockets *s) {
    for (size_t i = 0; i < s->size; i++)
        if (s->by_fd[i])
            watch_drop(s->by_fd[i]);
    free(s->by_fd);
    s->by_fd = NULL;
    s->size = 0;
}
