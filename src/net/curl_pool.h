/* curl_pool.h - transfers on libcurl: multi handles, their timers, pooled easy handles. It knows sockets and bytes, and
 * no HTTP policy: what to send, whether to send again and what an answer means is http_call.c's. Private to src/net.
 *
 * libcurl's cost per transfer grows with the transfers on one multi handle, so they are spread over groups, a multi
 * handle each. A connection belongs to its group; the lowest group with room is taken, so that warm ones come first. */
#ifndef MOON_NET_CURL_POOL_H
#define MOON_NET_CURL_POOL_H

#include "curl_name.h"

#include "moongate/buf.h"
#include "moongate/err.h"
#include "moongate/http.h"
#include "moongate/loop.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_curl_group;
struct moon_curl_pool;
struct moon_proxy;

enum moon_curl_http2 {
    MOON_CURL_HTTP2_FIRST, /* offered to every server */
    MOON_CURL_HTTP2_LAST,  /* for servers that do not speak HTTP/1.1 */
    MOON_CURL_HTTP2_NEVER
};
/* What is known of an origin's protocol; lives as long as the pool. */
struct moon_curl_peer {
    bool http2;      /* it has not agreed to HTTP/1.1: HTTP/2 is offered, too */
    bool http1_only; /* it has asked for HTTP/1.1 */
};

struct moon_curl_opts {
    enum moon_http2 http2;
    struct moon_loop *loop;
    const char *cacert;               /* PEM file of CAs that are trusted beside the others; NULL: none */
    const char *cert_file, *cert_dir; /* of CAs, in place of the system's; NULL: those */
    const char *cert, *key;           /* client certificate (PEM); NULL: none */
    const char *passphrase;           /* of key; NULL: none */
    /* Before a socket is opened: whether the address that url's host has led to may be connected to; or NULL. */
    int (*may_connect)(void *ud, const char *url, const struct sockaddr *address, struct moon_err *err);
    void *may_connect_ud;
};

enum moon_curl_head { MOON_CURL_HEAD_NONE, MOON_CURL_HEAD_LINES, MOON_CURL_HEAD_DONE };
#define MOON_CURL_HEAD_TOO_LARGE "the answer's headers are larger than 64 KiB"

/* One request on the wire. Comes from the pool with its constant options set. */
struct moon_curl_transfer {
    CURL *easy;
    struct moon_curl_pool *pool;
    const struct moon_curl_env *env;
    struct moon_curl_group *group;                     /* NULL: not under way */
    struct moon_curl_transfer *next, **prev;           /* in its group, or in the pool */
    struct moon_curl_name *name;                       /* of its host, while it is started; NULL: none */
    struct moon_curl_transfer *wait_next, **wait_prev; /* for a look-up of that; wait_prev NULL: it does not wait */
    int64_t since_ns;                                  /* when it came into its group */
    struct moon_curl_peer *peer;
    long connection;     /* libcurl's number; -1: not known */
    long stream;         /* HTTP/2; 0: none */
    curl_socket_t fd;    /* that it waits for */
    bool opened;         /* a socket was opened for it */
    bool offered;        /* HTTP/2 was */
    bool http1_agreed;   /* by the server, with ALPN */
    bool http1_required; /* the server's answer to this request */
    bool unprocessed;    /* the server says so */
    bool switching;      /* not sent: to be sent with another version of HTTP, or over a new connection */
    bool stale;          /* not sent: the connection was idle for a while, or something has come on it */
    bool careful;        /* it may not be sent twice */
    int local_port;      /* of the connection; 0: not known */
    unsigned starts;     /* times libcurl was about to send the request; only the first is let through */

    /* The answer: where to put it, and how much of it. head gets the header lines, without the status line. */
    struct moon_buf *head, *body;
    size_t head_max, body_max;
    int sink_code;        /* MOON_ETOOBIG, MOON_EPROTOCOL or MOON_ENOMEM, when that ended the transfer */
    const char *sink_why; /* a literal; or NULL */
    enum moon_curl_head head_state;
    int status;     /* of the last status line; 0: none came */
    int interim;    /* status lines of 1xx */
    int64_t length; /* the Content-Length; -1: none came */
    bool gzip, gzip_ended;
    void *unzip;          /* z_stream; NULL: nothing to unpack yet */
    size_t memory_failed; /* allocations that had failed before it started */
    char *refused;        /* why an address was not connected to; NULL: none was refused */

    /* Called outside libcurl, with the transfer out of its group again. */
    void (*done)(struct moon_curl_transfer *t, CURLcode result);
    void *ud;

    /* What the easy handle has set, so that it need not be set again. */
    struct moon_buf url;
    CURLU *parsed; /* of url */
    const char *method;
    const struct moon_proxy *proxy;
    bool has_body, https, identified, http2, fresh, connect_only;
    char error[CURL_ERROR_SIZE]; /* libcurl's words for its last failure */
};

struct moon_curl_request {
    const char *method;          /* a literal: compared by address */
    const struct moon_buf *url;  /* NUL-terminated */
    const struct moon_buf *body; /* NULL: none. Stays put until the transfer ended */
    struct curl_slist *headers;  /* stays put, too */
    struct moon_curl_name *name; /* of the origin */
    struct moon_curl_peer *peer; /* of the origin */
    int64_t connect_ns;          /* how long it may take to get a connection */
    bool https;
    bool careful;                   /* it may not be sent twice */
    bool fresh;                     /* over a connection that is not there yet */
    bool identified;                /* show the client certificate */
    bool connect_only;              /* send nothing: it is over when the connection is there, TLS included */
    const struct moon_proxy *proxy; /* NULL: a direct connection */
};

/* How many transfers may be under way in parallel, at least one: what the limit of open files leaves when it is asked,
 * less what else the program opens. From then on no more idle connections are kept than that. */
size_t moon_curl_room(struct moon_curl_pool *p);
int moon_curl_pool_new(struct moon_curl_pool **out, const struct moon_curl_opts *opts, struct moon_err *err);
/* Every transfer has been put back before. The loop is to be turned once more. NULL-safe. */
void moon_curl_pool_free(struct moon_curl_pool *p);

/* NULL: out of memory, or the trusted certificates can't be read; err says which. */
struct moon_curl_transfer *moon_curl_get(struct moon_curl_pool *p, struct moon_err *err);
void moon_curl_put(struct moon_curl_transfer *t); /* stops it if need be; NULL-safe */
/* Puts it under way; done comes on a later turn. MOON_ENOMEM. */
int moon_curl_start(struct moon_curl_transfer *t, const struct moon_curl_request *rq, struct moon_err *err);

/* For a transfer that has failed. */
bool moon_curl_unprocessed(struct moon_curl_transfer *t, CURLcode result);

struct moon_curl_stats {
    uint64_t connections; /* opened since the start */
    size_t live, groups;
};
void moon_curl_pool_stats(const struct moon_curl_pool *p, struct moon_curl_stats *out);

/* ---- curl_easy.c, curl_guard.c and curl_trust.c, for curl_pool.c ---- */

/* What all easy handles share. */
struct moon_curl_env {
    char *cert, *key, *passphrase;      /* passphrase: "" for none, so that OpenSSL never asks a terminal */
    char *ca_file, *ca_path, *ca_shown; /* NULL: libcurl's defaults */
    int ca_fd;                          /* what ca_file is a name of; 0: none */
    void *ca_store;                     /* X509_STORE of them; NULL: not read yet */
    int (*may_connect)(void *ud, const char *url, const struct sockaddr *address, struct moon_err *err);
    void *may_connect_ud;
    enum moon_curl_http2 http2;
    CURLSH *share; /* names and TLS sessions */
    void *sockets; /* struct moon_curl_sockets */
};

/* Transfers on one multi handle. */
#define MOON_CURL_GOAWAYS 8
struct moon_curl_goaway {
    long connection; /* its number + 1; 0: none */
    long last;       /* stream that the server takes */
};
struct moon_curl_group {
    struct moon_curl_sockets *sockets; /* first: see moon_curl_on_socket */
    struct moon_curl_pool *pool;
    CURLM *multi;
    struct moon_timer timer;                        /* libcurl's, when it is not due at once */
    struct moon_curl_group *kick_next, **kick_prev; /* ... when it is: in pool->kicks; kick_prev NULL: not there */
    size_t index;
    size_t live, size;                    /* transfers under way, and how many may be */
    size_t connecting;                    /* of them: those whose request has not been started to be sent */
    size_t streams;                       /* of them: those on HTTP/2 */
    size_t moved;                         /* grows with every piece of an answer */
    struct moon_curl_transfer *transfers; /* under way */
    bool dead;                            /* libcurl ran out of memory in the multi handle: it is not used again */
    struct moon_curl_goaway goaways[MOON_CURL_GOAWAYS];
    size_t next_goaway;
};
/* curl_answer.c */
size_t moon_curl_on_head(char *data, size_t size, size_t count, void *ud);
size_t moon_curl_on_body(char *data, size_t size, size_t count, void *ud);
void moon_curl_answer_clear(struct moon_curl_transfer *t);
CURLcode moon_curl_answer_end(struct moon_curl_transfer *t, CURLcode result);
/* curl_http2.c */
enum moon_curl_http2 moon_curl_http2_resolve(enum moon_http2 wanted);
long moon_curl_http2_streams(void); /* CURLPIPE_*: whether a connection may have several streams at once */
bool moon_curl_http2_offered(const struct moon_curl_env *env, const struct moon_curl_request *rq);
int moon_curl_http2_set(CURL *e, bool offered); /* fails for a handle that still has the buffer of a transfer */
int moon_curl_on_text(CURL *easy, curl_infotype type, char *data, size_t size, void *ud);
bool moon_curl_http2_is_wrong(struct moon_curl_transfer *t);
/* curl_trust.c. Fills ca_*; MOON_ETLS for a file that can't be used. */
int moon_curl_trust_open(struct moon_curl_env *env, const struct moon_curl_opts *o, struct moon_err *err);
void moon_curl_trust_close(struct moon_curl_env *env);
CURLcode moon_curl_trust_on_ctx(CURL *easy, void *ctx, void *ud);
/* curl_guard.c */
void moon_curl_note_open(struct moon_curl_transfer *t); /* curl_pool.c */
void moon_curl_note_start(struct moon_curl_transfer *t, int local_port);
bool moon_curl_is_stale(struct moon_curl_transfer *t);
curl_socket_t moon_curl_guarded_open(void *transfer, curlsocktype purpose, struct curl_sockaddr *address);
CURL *moon_curl_easy_new(const struct moon_curl_env *env, struct moon_curl_transfer *t);
int moon_curl_easy_set(const struct moon_curl_env *env, struct moon_curl_transfer *t,
                       const struct moon_curl_request *rq);

#endif
