/* http_server_int.h - what http_server*.c share. libmicrohttpd's callbacks and types stay in these files. */
#ifndef MOONGATE_NET_HTTP_SERVER_INT_H
#define MOONGATE_NET_HTTP_SERVER_INT_H

#include "moongate/buf.h"
#include "moongate/http_server.h"

#include <microhttpd.h>
#include <netinet/in.h>

struct server_poll;

struct moon_http_server {
    struct moon_loop *loop;
    struct MHD_Daemon *daemon; /* NULL: stopped */
    struct server_poll *poll;
    struct moon_defer pump;    /* MHD has to be run on the next turn */
    struct moon_timer timeout; /* MHD wants to be run then: idle connections */
    struct moon_timer look;    /* when the clients are looked at next */
    struct client *clients;    /* every connection */
    struct leftover *lingering;
    int64_t patience_ns; /* see http_server_client.c; 0 on a virtual clock */
    struct bodies *bodies;
    bool tls;
    struct moon_timer grace;
    struct moon_defer finish;
    struct exchange *live;  /* every exchange with a connection */
    struct exchange *ready; /* suspended connections to resume */
    size_t live_count;
    int listen_fd; /* ours only once MHD was told to let go of it; else -1 */
    bool draining;
    bool ask_headers;
    size_t max_body;
    uint16_t port;
    char url[INET6_ADDRSTRLEN + 24];
    char mhd_error[160]; /* MHD's own words while it starts */
    void (*on_event)(void *ud, struct moon_http_exchange *x, enum moon_http_event event);
    void *ud;
    void (*on_stopped)(void *ud);
    void *stopped_ud;
};

/* Bytes of all bodies that have come and that an owner may still hold. Outlives the server with its exchanges. */
struct bodies {
    size_t bytes, max;
    int refs;
};

/* A connection, with or without a request. */
struct client {
    struct client *next, **prev;
    struct moon_http_server *server;
    struct MHD_Connection *conn;
    struct exchange *x; /* the request that is on the way */
    int fd;
    int64_t since_ns; /* waits since then for a request */
    bool used;        /* had one before */
    bool unread;      /* was answered before its body had come */
    bool cut;
};

enum phase {
    X_LINE,     /* the request line has come */
    X_ASKED,    /* suspended: the owner has the headers */
    X_CONTINUE, /* the owner wants the body; MHD repeats the call for the headers first */
    X_BODY,     /* the body is coming */
    X_OWNED,    /* suspended: the owner has the whole */
    X_ANSWERED, /* an answer (or none: close) is stored; to be resumed and sent */
    X_SENDING,  /* MHD has the answer */
    X_DONE      /* no connection any more */
};

struct exchange {
    struct moon_http_exchange pub;   /* first: the owner's pointer is ours */
    struct moon_http_server *server; /* NULL with conn */
    struct MHD_Connection *conn;     /* NULL in X_DONE */
    struct client *client;           /* NULL with conn */
    struct exchange *next, **prev;   /* server->live */
    struct exchange *next_ready;
    int refs; /* one for the connection, one for the owner */
    enum phase phase;
    bool owned;     /* the owner has it */
    bool suspended; /* MHD does not look at the connection */
    bool queued;    /* in server->ready */
    bool dropped;   /* the owner let go of it while the body was coming: close */
    bool too_big;
    bool crowded;     /* no room for its body: too many are on the way */
    bool bad_target;  /* the request line can't be what it seems */
    int64_t since_ns; /* of its head, its body, or its answer: whichever is on the way */
    struct bodies *bodies;
    size_t charged; /* of bodies->bytes */
    char *text;     /* method, target, names and values */
    struct moon_http_field *fields;
    struct moon_buf body;
    size_t passed_over; /* bytes of a body that is dropped */
    char remote[INET6_ADDRSTRLEN];
    /* the answer */
    struct MHD_Response *response;
    unsigned status;
    char *out; /* faulty answers only: the bytes to send */
    size_t out_len, sent, stop_at, allowance, drip_bytes;
    int64_t drip_ns;
    struct moon_timer drip;
};

/* MHD takes strings it only reads as void *. */
static inline void *moon_http_unconst(const char *s) {
    union {
        const char *in;
        void *out;
    } u = {s};
    return u.out;
}

/* http_server.c */
void moon_http_server_resume(struct exchange *x);       /* on the next turn */
void moon_http_server_pump(struct moon_http_server *s); /* runs MHD on the next turn */
void moon_http_server_ended(struct moon_http_server *s);

/* http_server_exchange.c: MHD's callbacks */
void *moon_http_on_line(void *cls, const char *uri, struct MHD_Connection *conn);
enum MHD_Result moon_http_on_access(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                    const char *version, const char *data, size_t *size, void **con_cls);
void moon_http_on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                            enum MHD_RequestTerminationCode toe);

/* http_server_head.c */
bool moon_http_target_ok(const char *uri);
/* NULL when it can be read in one way only, else why it is refused with *status. */
const char *moon_http_head_fault(struct MHD_Connection *conn, const char *method, const char *version, int *status);

/* http_server_client.c */
void moon_http_on_connection(void *cls, struct MHD_Connection *conn, void **socket_context,
                             enum MHD_ConnectionNotificationCode toe);
struct client *moon_http_client_of(struct MHD_Connection *conn);
void moon_http_clients_close(struct moon_http_server *s);

/* http_server_reply.c */
enum MHD_Result moon_http_send(struct exchange *x);
enum MHD_Result moon_http_refuse(struct exchange *x, int status, const char *code, const char *message);
void moon_http_exchange_unref(struct exchange *x);
void moon_http_bodies_unref(struct bodies *b); /* NULL-safe */

/* http_server_listen.c: a listening socket, and the URL that reaches it. */
int moon_http_listen(const char *host, uint16_t port, bool tls, int *fd, uint16_t *bound, char *url, size_t url_size,
                     struct moon_err *err);

#endif
