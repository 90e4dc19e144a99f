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

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_curl_group;
struct moon_curl_pool;
struct moon_loop;
struct moon_proxy;

struct moon_curl_opts {
    struct moon_loop *loop;
    const char *cacert;               /* PEM file of CAs that are trusted beside the others; NULL: none */
    const char *cert_file, *cert_dir; /* of CAs, in place of the system's; NULL: those */
    const char *cert, *key;           /* client certificate (PEM); NULL: none */
    const char *passphrase;           /* of key; NULL: none */
    /* Before a socket is opened: whether the address that url's host has led to may be connected to; or NULL. */
    int (*may_connect)(void *ud, const char *url, const struct sockaddr *address, struct moon_err *err);
    void *may_connect_ud;
};

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
    unsigned starts; /* times libcurl was about to send the request; only the first is let through */

    /* The answer: where to put it, and how much of it. head gets the header lines, without the status line. */
    struct moon_buf *head, *body;
    size_t head_max, body_max;
    int sink_code; /* MOON_ETOOBIG or MOON_ENOMEM, when that ended the transfer */
    char *refused; /* why an address was not connected to; NULL: none was refused */

    /* Called outside libcurl, with the transfer out of its group again. */
    void (*done)(struct moon_curl_transfer *t, CURLcode result);
    void *ud;

    /* What the easy handle has set, so that it need not be set again. */
    struct moon_buf url;
    CURLU *parsed; /* of url */
    const char *method;
    const struct moon_proxy *proxy;
    bool has_body, https, identified;
    char error[CURL_ERROR_SIZE]; /* libcurl's words for its last failure */
};

struct moon_curl_request {
    const char *method;          /* a literal: compared by address */
    const struct moon_buf *url;  /* NUL-terminated */
    const struct moon_buf *body; /* NULL: none. Stays put until the transfer ended */
    struct curl_slist *headers;  /* stays put, too */
    struct moon_curl_name *name; /* of the origin */
    int64_t connect_ns;          /* how long it may take to get a connection */
    bool https;
    bool identified;                /* show the client certificate */
    const struct moon_proxy *proxy; /* NULL: a direct connection */
};

int moon_curl_pool_new(struct moon_curl_pool **out, const struct moon_curl_opts *opts, struct moon_err *err);
/* Every transfer has been put back before. The loop is to be turned once more. NULL-safe. */
void moon_curl_pool_free(struct moon_curl_pool *p);

/* NULL: out of memory, or the trusted certificates can't be read; err says which. */
struct moon_curl_transfer *moon_curl_get(struct moon_curl_pool *p, struct moon_err *err);
void moon_curl_put(struct moon_curl_transfer *t); /* stops it if need be; NULL-safe */
/* Puts it under way; done comes on a later turn. MOON_ENOMEM. */
int moon_curl_start(struct moon_curl_transfer *t, const struct moon_curl_request *rq, struct moon_err *err);

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
    int (*may_connect)(void *ud, const char *url, const struct sockaddr *address, struct moon_err *err);
    void *may_connect_ud;
    CURLSH *share; /* names and TLS sessions */
    void *sockets; /* struct moon_curl_sockets */
};
/* curl_trust.c. Fills ca_*; MOON_ETLS for a file that can't be used. */
int moon_curl_trust_open(struct moon_curl_env *env, const struct moon_curl_opts *o, struct moon_err *err);
void moon_curl_trust_close(struct moon_curl_env *env);
/* curl_guard.c */
void moon_curl_note_open(struct moon_curl_transfer *t); /* curl_pool.c */
void moon_curl_note_start(struct moon_curl_transfer *t);
curl_socket_t moon_curl_guarded_open(void *transfer, curlsocktype purpose, struct curl_sockaddr *address);
CURL *moon_curl_easy_new(const struct moon_curl_env *env, struct moon_curl_transfer *t);
int moon_curl_easy_set(const struct moon_curl_env *env, struct moon_curl_transfer *t,
                       const struct moon_curl_request *rq);

#endif
