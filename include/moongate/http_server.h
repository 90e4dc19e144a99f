/* http_server.h - an HTTP/1.1 server on the loop: libmicrohttpd driven from outside, one epoll descriptor a server.
 *
 * The owner is told of a request when it is complete (or, if it asks, once before its body is read), keeps the exchange
 * as long as it likes and answers it later. No event is delivered while the owner is inside a call of this header.
 * Events only record: an owner may answer from inside one, but must not stop or free the server there. */
#ifndef MOONGATE_HTTP_SERVER_H
#define MOONGATE_HTTP_SERVER_H

#include "moongate/err.h"
#include "moongate/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOON_HTTP_SERVER_BODY        ((size_t)64 << 20)  /* default cap of a request's body, bytes */
#define MOON_HTTP_SERVER_BODIES      ((size_t)128 << 20) /* default cap of all bodies together, bytes */
#define MOON_HTTP_SERVER_CONNECTIONS 10000u              /* default limit of open connections */
#define MOON_HTTP_SERVER_IDLE_S      60u                 /* default: a connection silent for this long is closed */

/* A client that goes away before its request is complete is noticed within a second. Besides the silence, what is slow
 * has an end: a head after half a minute (or idle_s), a body or an answer that after idle_s makes less than 1 KiB per
 * second on average. What can be read in two ways (two lengths or hosts, a length with Transfer-Encoding, a space
 * before a colon, a folded line, a control character, no Host) is answered 400 and the connection is closed. */

struct moon_http_server;

struct moon_http_field {
    const char *name, *value;
    size_t name_len, value_len;
};

/* One request and its answer. Read only for the owner, except for the member owner. */
struct moon_http_exchange {
    const char *method;                   /* as it was sent */
    const char *target;                   /* path and query, still percent-encoded; begins with '/' or is "*" */
    const struct moon_http_field *fields; /* header lines in the order they came; names as they were sent */
    size_t field_count;
    const char *body; /* NULL until MOON_HTTP_REQUEST; NUL-terminated after body_len */
    size_t body_len;
    const char *remote; /* the client's address, numeric */
    uint16_t remote_port;
    void *owner; /* the owner's to use */
};

enum moon_http_event {
    MOON_HTTP_HEADERS, /* only with ask_headers: go on with moon_http_exchange_continue, or answer, or release */
    MOON_HTTP_REQUEST, /* the body is here */
    MOON_HTTP_GONE     /* the connection ended before an answer; after MOON_HTTP_HEADERS or MOON_HTTP_REQUEST only */
};

struct moon_http_server_opts {
    const char *host;         /* numeric IPv4 or IPv6 address, or "localhost" (= 127.0.0.1); NULL: 127.0.0.1 */
    uint16_t port;            /* 0: a free one */
    const char *tls_cert;     /* PEM text, the server's certificate first; with tls_key: TLS 1.2 and later only */
    const char *tls_key;      /* PEM text */
    size_t max_body;          /* 0: MOON_HTTP_SERVER_BODY. Beyond it the server answers 413 itself */
    size_t max_bodies;        /* of all requests at once, 0: MOON_HTTP_SERVER_BODIES, raised to max_body. Beyond: 503 */
    unsigned max_connections; /* 0: MOON_HTTP_SERVER_CONNECTIONS */
    unsigned idle_s;          /* 0: MOON_HTTP_SERVER_IDLE_S. Without effect on a virtual clock */
    bool ask_headers;
    void (*on_event)(void *ud, struct moon_http_exchange *x, enum moon_http_event event);
    void *ud;
};

/* MOON_EINVAL (an address or a TLS pair that can't be used), MOON_ECONNECT (can't bind), MOON_ENOMEM, MOON_EIO. */
int moon_http_server_start(struct moon_loop *loop, struct moon_http_server **out,
                           const struct moon_http_server_opts *opts, struct moon_err *err);
uint16_t moon_http_server_port(const struct moon_http_server *s);
const char *moon_http_server_url(
    const struct moon_http_server *s); /* "http://127.0.0.1:8080", "https://[::1]:8443": no slash at the end */
size_t moon_http_server_live(const struct moon_http_server *s); /* requests that have begun and are not over */

/* Refuses new connections, lets requests in flight end for at most grace_ns, then closes what is left and calls
 * on_stopped(ud) from the loop, once. Stopping again shortens the grace and keeps the first on_stopped. */
void moon_http_server_stop(struct moon_http_server *s, int64_t grace_ns, void (*on_stopped)(void *ud), void *ud);
/* Closes at once and frees; exchanges the owner still holds stay valid until they are released, answers to them go
 * nowhere. NULL-safe. */
void moon_http_server_free(struct moon_http_server *s);

#define MOON_HTTP_WHOLE SIZE_MAX

struct moon_http_reply {
    int status; /* 200..599 */
    const struct moon_http_field
        *fields; /* Content-Length and Transfer-Encoding are the server's own and are passed over */
    size_t field_count;
    const char *body; /* copied */
    size_t body_len;
    /* Faults, for simulators. */
    size_t truncate;   /* MOON_HTTP_WHOLE, or: promise body_len bytes, send this many, close */
    size_t drip_bytes; /* not 0: send this many bytes at a time, */
    int64_t drip_ns;   /* one such piece every drip_ns of the loop's clock */
};
#define MOON_HTTP_REPLY_INIT                                                                                           \
    { .status = 200, .truncate = MOON_HTTP_WHOLE }

/* Answers, once. MOON_EINVAL: a status or a header (a name that is no token; CR, LF or NUL in a value) that can't be
 * sent; nothing was answered then, and another try is allowed. MOON_ECLOSED: already answered, or nobody is there any
 * more. MOON_ENOMEM. */
int moon_http_exchange_reply(struct moon_http_exchange *exchange, const struct moon_http_reply *r,
                             struct moon_err *err);
/* After MOON_HTTP_HEADERS: read the body; MOON_HTTP_REQUEST or MOON_HTTP_GONE follows. MOON_ECLOSED: the client is
 * gone, nothing follows. */
int moon_http_exchange_continue(struct moon_http_exchange *exchange);
/* The owner has a copy of the body: frees it. It counts for max_bodies until moon_http_exchange_release. */
void moon_http_exchange_body_taken(struct moon_http_exchange *exchange);
/* The owner's last call on it. Without an answer before it, the connection is closed without one. */
void moon_http_exchange_release(struct moon_http_exchange *exchange);

/* Of the libmicrohttpd that runs. */
const char *moon_http_server_version(void);

#endif
