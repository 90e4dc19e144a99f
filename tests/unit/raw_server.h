/* raw_server.h - a TCP server on the test's own loop, that speaks HTTP as badly as a test wants it to.
 *
 * One request at a time a connection: handler(conn) is called when head and body are complete; it answers with raw_send
 * and raw_close, at once or later. Everything it got is counted. */
#ifndef TESTS_RAW_SERVER_H
#define TESTS_RAW_SERVER_H

#include "moongate/buf.h"
#include "moongate/loop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct raw_conn {
    uv_tcp_t tcp;
    struct raw_server *server;
    struct raw_conn *next;
    struct moon_buf in;
    size_t head_len, body_len; /* of the request at hand */
    int requests;              /* on this connection */
    int closing;
    struct moon_timer timer; /* the handler's */
    int step;
};

struct raw_server {
    uv_tcp_t tcp;
    struct moon_loop *loop;
    struct raw_conn *conns;
    void (*handler)(struct raw_conn *c);
    void (*on_connect)(struct raw_conn *c);
    int port, connections, requests;
    char url[64];
};

static void raw_freed(uv_handle_t *h) {
    struct raw_conn *c = h->data, **p = &c->server->conns;
    while (*p != c)
        p = &(*p)->next;
    *p = c->next;
    moon_buf_release(&c->in);
    free(c);
}

static inline void raw_close(struct raw_conn *c) {
    if (c->closing)
        return;
    c->closing = 1;
    moon_timer_stop(c->server->loop, &c->timer);
    uv_close((uv_handle_t *)&c->tcp, raw_freed);
}

/* Answers are small: the socket's buffer takes them. */
static inline void raw_send(struct raw_conn *c, const char *data, size_t len) {
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
    if (!c->closing)
        uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
}

__attribute__((format(printf, 4, 5))) static inline void raw_answer(struct raw_conn *c, int status, const char *headers,
                                                                    const char *fmt, ...) {
    char body[4096], all[8192];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(body, sizeof body, fmt, ap);
    va_end(ap);
    int len = snprintf(all, sizeof all, "HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s\r\n%s", status, n, headers, body);
    raw_send(c, all, (size_t)len);
}

/* The request's header line, without its name; "" when absent. Valid until the next call. */
static inline const char *raw_header(struct raw_conn *c, const char *name) {
    static char value[1024];
    char want[80];
    snprintf(want, sizeof want, "\r\n%s: ", name);
    const char *p = strcasestr(c->in.data, want);
    if (!p || p > c->in.data + c->head_len)
        return "";
    p += strlen(want);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(p, "\r"), p);
    return value;
}

static inline const char *raw_body(struct raw_conn *c) {
    return c->in.data + c->head_len;
}

static void raw_alloc(uv_handle_t *h, size_t n, uv_buf_t *b) {
    static char buf[65536];
    (void)h, (void)n;
    *b = uv_buf_init(buf, sizeof buf);
}

static int raw_complete(struct raw_conn *c) {
    const char *end = c->in.len ? strstr(c->in.data, "\r\n\r\n") : NULL;
    if (!end)
        return 0;
    c->head_len = (size_t)(end - c->in.data) + 4;
    c->body_len = strtoul(raw_header(c, "Content-Length"), NULL, 10);
    return c->in.len >= c->head_len + c->body_len;
}

static void raw_on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b) {
    struct raw_conn *c = s->data;
    if (n < 0) {
        raw_close(c);
        return;
    }
    moon_buf_append(&c->in, b->base, (size_t)n);
    while (!c->closing && raw_complete(c)) {
        c->requests++;
        c->server->requests++;
        c->server->handler(c);
        size_t used = c->head_len + c->body_len;
        memmove(c->in.data, c->in.data + used, c->in.len - used + 1);
        c->in.len -= used;
    }
}

static void raw_on_connection(uv_stream_t *s, int status) {
    struct raw_server *srv = s->data;
    struct raw_conn *c = calloc(1, sizeof *c);
    (void)status;
    c->server = srv;
    c->next = srv->conns;
    srv->conns = c;
    uv_tcp_init(s->loop, &c->tcp);
    c->tcp.data = c;
    uv_accept(s, (uv_stream_t *)&c->tcp);
    srv->connections++;
    uv_read_start((uv_stream_t *)&c->tcp, raw_alloc, raw_on_read);
    if (srv->on_connect)
        srv->on_connect(c);
}

static inline void raw_start(struct raw_server *s, struct moon_loop *loop, void (*handler)(struct raw_conn *c)) {
    struct sockaddr_in a;
    int len = sizeof a;
    memset(s, 0, sizeof *s);
    s->loop = loop;
    s->handler = handler;
    uv_ip4_addr("127.0.0.1", 0, &a);
    uv_tcp_init(moon_loop_uv(loop), &s->tcp);
    s->tcp.data = s;
    uv_tcp_bind(&s->tcp, (struct sockaddr *)&a, 0);
    uv_listen((uv_stream_t *)&s->tcp, 16384, raw_on_connection);
    uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&a, &len);
    s->port = ntohs(a.sin_port);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", s->port);
}

static inline void raw_stop(struct raw_server *s) {
    if (!uv_is_closing((uv_handle_t *)&s->tcp))
        uv_close((uv_handle_t *)&s->tcp, NULL);
    for (struct raw_conn *c = s->conns; c; c = c->next)
        raw_close(c);
    while (s->conns)
        uv_run(moon_loop_uv(s->loop), UV_RUN_NOWAIT);
}

#endif
