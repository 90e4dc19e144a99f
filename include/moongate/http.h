/* http.h - the HTTP client: one retry loop above libcurl, no Lua. Layer: net
 *
 * moon_http (one a session: sockets, pooled handles, per-host state)  →  moon_http_client (one base URL and its
 * settings)  →  moon_http_call (one request, all its attempts)  →  moon_http_result (what came of it).
 *
 * Everything runs on the loop's thread. `done` is never called from inside moon_http_start, and exactly once, unless
 * the call was cancelled first. Nothing here touches libcurl before the first call is started. */
#ifndef MOONGATE_HTTP_H
#define MOONGATE_HTTP_H

#include "moongate/buf.h"
#include "moongate/err.h"
#include "moongate/retry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_auth;
struct moon_http;
struct moon_http_call;
struct moon_http_client;
struct moon_log;
struct moon_loop;
struct moon_proxies;
struct moon_rng;
struct sockaddr;

#define MOON_HTTP_BODY_MAX      ((size_t)64 << 20) /* largest request or (decoded) response body */
#define MOON_HTTP_HEAD_MAX      ((size_t)64 << 10) /* largest header block of an answer */
#define MOON_HTTP_ATTEMPTS_MAX  1000 /* that can be asked for; without a number a call goes on until its deadline */
#define MOON_HTTP_ATTEMPTS_KEPT 32   /* whose records are kept: the first ones, and the last */
#define MOON_HTTP_ORIGIN_SIZE   288  /* "https://host:port" and its NUL */
#define MOON_HTTP_CERT_URLS     2

/* HTTP/2, where the server offers it, too. AUTO: always, but on a libcurl with faults in it (7.88.0 to 8.0.1) only with
 * servers that do not speak HTTP/1.1. */
enum moon_http2 { MOON_HTTP2_AUTO, MOON_HTTP2_ALWAYS, MOON_HTTP2_NEVER };

struct moon_http_opts {
    enum moon_http2 http2;
    struct moon_loop *loop; /* borrowed, as all below; its clock times everything */
    struct moon_rng *rng;
    struct moon_log *log;                       /* may be NULL */
    const char *cacert;                         /* PEM file of CAs to trust beside the others; NULL: none */
    const char *cert_file, *cert_dir;           /* of CAs to trust in place of the system's; NULL: those */
    const char *cert, *key;                     /* client certificate (PEM); NULL: none */
    const char *passphrase;                     /* of the key; NULL: none */
    const char *cert_urls[MOON_HTTP_CERT_URLS]; /* whose origins it is shown to: nobody else sees it */
    const struct moon_proxies *proxies;         /* borrowed; NULL: no proxy is ever used */
    /* Asked before a socket is opened to the address that url's host has led to: 0, or what becomes the call's failure.
     * NULL: nobody is asked. Not asked for the address of the proxy that the call goes through. */
    int (*may_connect)(void *ud, const char *url, const struct sockaddr *address, struct moon_err *err);
    void *may_connect_ud;
};
/* Copies what it needs of opts. */
int moon_http_new(struct moon_http **out, const struct moon_http_opts *opts, struct moon_err *err);
/* Cancels what still runs (without calling done). Clients and results must have been freed before. The loop must be
 * turned once more, for libuv to close the sockets' handles, before it is freed. NULL-safe. */
void moon_http_free(struct moon_http *http);

/* ---- clients ---- */
struct moon_http_client_opts {
    const char *base_url;       /* "https://api.example.com[/prefix]"; NULL: calls give absolute URLs */
    struct moon_auth *auth;     /* NULL: none; a reference is taken */
    const char *const *headers; /* constant ones, name and value in turn, NULL-ended; or NULL */
    int64_t deadline_ns;        /* a call's total time, all attempts and waits; 0: 30 s */
    int64_t connect_timeout_ns; /* an attempt's time to a usable connection; 0: 10 s */
    int max_attempts;           /* 1: never retry; 0: until the deadline; at most MOON_HTTP_ATTEMPTS_MAX */
    int64_t backoff_base_ns;    /* 0: 500 ms */
    int64_t backoff_cap_ns;     /* 0: 20 s */
    double rate_per_second;     /* token bucket of this client; 0: no limit */
    double rate_burst;          /* 0: rate_per_second, at least 1 */
    int concurrency; /* calls of this client on the wire at once; 0: no limit. Others wait, first come, first served */
    size_t max_body; /* of a response, decoded; 0: MOON_HTTP_BODY_MAX */
    bool no_breaker; /* calls neither ask nor feed the circuit breaker */
    bool no_pacer;   /* calls neither wait for the server's rate limit nor tell of it */
    bool untraced;   /* calls carry no traceparent and make no spans; see http_trace.h */
};
int moon_http_client_new(struct moon_http_client **out, struct moon_http *http,
                         const struct moon_http_client_opts *opts, struct moon_err *err);
void moon_http_client_free(struct moon_http_client *c); /* NULL-safe. Calls keep what they need of it until they end */
const char *moon_http_client_base_url(const struct moon_http_client *c); /* NULL when there is none */

#define MOON_HTTP_METHODS 7
extern const char *const moon_http_methods[MOON_HTTP_METHODS]; /* "GET", ... */
/* What the attempts of a client came to, since it was made. */
struct moon_http_tally {
    uint64_t answers[MOON_HTTP_METHODS][6]; /* by method and class: 1xx at 1, ... 5xx at 5; no answer at 0 */
    int64_t elapsed_ns[MOON_HTTP_METHODS];  /* the sum of the attempts' times */
    uint64_t retries;                       /* attempts that were not a call's first */
};
const struct moon_http_tally *moon_http_client_tally(const struct moon_http_client *c);

enum moon_http_wait { MOON_HTTP_WAIT_NONE, MOON_HTTP_WAIT_RATE, MOON_HTTP_WAIT_BREAKER };
/* How it stands with the host of a client's base URL. */
struct moon_http_standing {
    enum moon_http_wait wait; /* what calls wait for now */
    int64_t wait_ns;          /* for so long */
    int64_t left, allowed;    /* of the server's rate limit: requests; -1: not known, 0: not told */
    int64_t reset_ns;         /* until it counts anew */
};
void moon_http_client_standing(const struct moon_http_client *c, struct moon_http_standing *out);

/* ---- calls ---- */
/* Whether the owner is asked right before an attempt goes out, after all waits (place, rate limit, token, back-off):
 * `done` is called with moon_http_asks() true, and moon_http_go sends it. */
enum moon_http_ask {
    MOON_HTTP_ASK_NEVER,
    MOON_HTTP_ASK_LATE, /* before a repeated attempt, and before one that waited for more than a second */
    MOON_HTTP_ASK_EACH
};

struct moon_http_request {
    const char *method;   /* a string that outlives the call: a literal or moon_http_method(); default "GET" */
    struct moon_buf url;  /* absolute, or "/path?query" below the client's base URL. Already percent-encoded; anything
                             else in it is refused */
    struct moon_buf body; /* sent when has_body; written in place by the encoder */
    const char *content_type; /* a literal, "Content-Type: application/json"; NULL: none. A header of that name wins */
    const char *family;       /* breaker's resource family, borrowed until moon_http_start returns; NULL: "" */
    int64_t deadline_ns;      /* 0: the client's */
    size_t max_body;          /* 0: the client's */
    bool has_body;
    bool idempotent; /* the caller says that sending it twice does no more than once. GET, HEAD, PUT, DELETE, OPTIONS
                        are so by themselves; a call  with the header Idempotency-Key is, too */
    bool no_wait;    /* an answer that says busy or unavailable (429, 502, 503, 504) ends the call at once, and so does
                        an open breaker: the caller has another way */
    bool connect_only; /* nothing is sent: a success, with status 0, when the connection is there, TLS included */
    enum moon_http_ask ask;
    bool reads_only;  /* refused when it is not a safe method (RFC 9110) and would carry the client's credential */
    bool one_method;  /* refused when it would carry the client's credential and names another method for the server */
    bool test;        /* the two do not hold for a gateway on this machine: the call is a test's */
    bool secret;      /* its headers and body are wiped when it is given back */
    bool conditional; /* set by moon_http_header on If-Match and If-None-Match */
    uint64_t span;    /* the span that its attempts are children of; 0: the trace's root. See http_trace.h */
};

/* A call from the pool, its request cleared. Owned by the caller until moon_http_call_free. MOON_ENOMEM. */
int moon_http_call_new(struct moon_http_call **out, struct moon_http_client *c, struct moon_err *err);
struct moon_http_request *moon_http_call_request(struct moon_http_call *call);
/* Adds a header. MOON_EINVAL: a name that is no token, CR, LF, NUL or another control character in the value, or a
 * header that is the client's business (Host, Content-Length, Transfer-Encoding, Connection, Expect). */
int moon_http_header(struct moon_http_call *call, const char *name, size_t nlen, const char *value, size_t vlen,
                     struct moon_err *err);
/* Whether sending it twice does no more than once: by its method, its Idempotency-Key, or as the caller says. */
bool moon_http_call_replayable(const struct moon_http_call *call);
/* Starts it. MOON_EINVAL for a request that can't be sent (bad URL, other scheme, body too large); then done is not
 * called. Failures of the network, of local limits and of the deadline come with done. */
int moon_http_start(struct moon_http_call *call, void (*done)(void *ud), void *ud, struct moon_err *err);
/* In done: the call has not ended, it asks whether its next attempt may go out. */
bool moon_http_asks(const struct moon_http_call *call);
/* Sends what asked. True: done is called again. False: the call has ended since it asked (its deadline passed), and its
 * result may be taken. */
bool moon_http_go(struct moon_http_call *call);
/* The attempts that went out so far; *unsure: one of them may have taken effect. */
int moon_http_attempts(const struct moon_http_call *call, bool *unsure);
/* Ends a call in any state, without calling done, and gives it back. NULL-safe. Frees its result unless that was taken.
 */
void moon_http_call_free(struct moon_http_call *call);
/* The interned form of a method: "GET", ... ; NULL for one that is no token of at most 15 upper-case letters. */
const char *moon_http_method(const char *method, size_t len);
/* Whether a header or a query's parameter of this name makes some servers take the request for one of another method.
 * "-" and "_" are the same: a server that hands headers on as variables can't tell them apart. */
bool moon_http_names_method(const char *name, size_t len);
/* The same for the parameters in a URL's query, percent-encoded or not. */
bool moon_http_url_names_method(const char *url);

/* ---- results ---- */
struct moon_http_attempt {
    int n;      /* from 1 */
    int status; /* 0: no complete answer */
    int code;   /* 0, or why there was none (enum moon_code) */
    enum moon_fail_class cls;
    int64_t wait_ns;    /* waited before it: place, token, limiter, back-off */
    int64_t elapsed_ns; /* from its start to its end */
};

struct moon_http_result {
    int code;             /* 0: a complete answer, whatever its status; else why there is none */
    int status;           /* of the answer to the last attempt; 0: it got none */
    const char *outcome;  /* static: "final", "refused", "not_sent", "unknown"; see retry.h */
    bool after_ambiguous; /* an earlier attempt may have taken effect: a 412 or 409 may be our own */
    bool hopeless;        /* another try would fail alike: a certificate that does not verify, a proxy's 407 */
    bool conditional;     /* sent with If-Match or If-None-Match */
    char correlation[80]; /* the X-Correlation-Id that it was sent with; "": none */
    const char *method;
    struct moon_buf url;     /* absolute, as sent */
    struct moon_buf head;    /* header lines of the answer, each ended by "\r\n", without the status line */
    struct moon_buf body;    /* decoded */
    struct moon_buf message; /* what failed when code is not 0; why there was no further attempt. No secret in it */
    struct moon_buf hint;    /* what to do next; may be empty */
    int n_attempts, n_kept;
    struct moon_http_attempt *attempts; /* n_kept of n_attempts: the first ones, and the last */
    int64_t elapsed_ns;                 /* the whole call */
    int64_t retry_after_ns;             /* what the last answer asked for; < 0: nothing */
    struct moon_http_attempt first;     /* private, as is what follows: attempts points here while there is one */
    struct moon_http *http;
    struct moon_http_result *next;
};

/* After done: the result, now the caller's; NULL before, or when it was taken. */
struct moon_http_result *moon_http_take(struct moon_http_call *call);
void moon_http_result_free(struct moon_http_result *r); /* NULL-safe; back to the pool */
/* For whoever keeps results in objects of a garbage collector: a counter of bytes that it has not been told of. */
size_t *moon_http_owed(struct moon_http *http);
/* A header's value, name in any case; NULL when absent. The first of several. Not NUL-terminated. */
const char *moon_http_result_header(const struct moon_http_result *r, const char *name, size_t nlen, size_t *len);
/* Walks the header lines: *pos starts at 0; false at the end. Lines without a colon are passed over. */
bool moon_http_result_next(const struct moon_http_result *r, size_t *pos, const char **name, size_t *nlen,
                           const char **value, size_t *vlen);
const char *moon_http_correlation_id(const struct moon_http_result *r,
                                     size_t *len); /* inin-correlation-id, else our own; NULL: none */

/* ---- URLs ---- */
/* Appends text percent-encoded: all but RFC 3986's unreserved characters. 0 or MOON_ENOMEM. */
int moon_http_escape(struct moon_buf *out, const char *text, size_t len);
/* "https://api.example.com:8443" of a URL: scheme and host lower-case, the scheme's own port left out. MOON_EINVAL: no
 * http(s) URL, or one with user info. */
int moon_http_origin(const char *url, size_t len, char out[MOON_HTTP_ORIGIN_SIZE], struct moon_err *err);

/* "7.88.1 OpenSSL/3.0.11 ...": libcurl's version and what it was built with. */
const char *moon_http_version(void);
/* The known bugs of the libcurl that runs, and what is done about them, a line each; "": none is known. */
const char *moon_http_known_bugs(void);

/* ---- what it holds ---- */
struct moon_http_stats {
    uint64_t calls, attempts, connections; /* since the start; connections: sockets opened */
    size_t live_calls;                     /* started and not ended */
    size_t live_transfers;                 /* on the wire */
    size_t groups;                         /* multi handles */
};
void moon_http_stats(const struct moon_http *http, struct moon_http_stats *out);
/* "closed", "open" or "half_open" of an origin's family; "closed" for one that was never used. *retry_in_ns: until the
 * next probe. */
const char *moon_http_breaker_state(struct moon_http *http, const char *origin, const char *family,
                                    int64_t *retry_in_ns);

/* ---- what processes tell each other of hosts ---- */
enum moon_http_shared_kind {
    MOON_HTTP_SHARED_BREAKER,
    MOON_HTTP_SHARED_PACER,  /* what is left of the gateway's rate limit */
    MOON_HTTP_SHARED_LIMITER /* what is used of the user's own: until when it is not as if nothing had been sent */
};
struct moon_http_shared {
    enum moon_http_shared_kind kind;
    const char *key;       /* of a breaker: "origin family"; else "origin" */
    int state, trips;      /* of a breaker: enum moon_breaker_state */
    int64_t left, allowed; /* of a pacer */
    int64_t until_wall_ns; /* the breaker may probe, the pacer's window ends, the limiter's burst is whole again */
};
/* fn for every breaker, and every pacer and limiter that knows something. What it is given lives until it returns. */
void moon_http_shared_each(struct moon_http *http, void (*fn)(void *ud, const struct moon_http_shared *s), void *ud);
/* Takes what another process told, see moon_breaker_adopt, moon_pacer_restore and, for clients that are made after it,
 * moon_limiter_restore. Whether that changed anything; false
 * for nonsense and when there is no memory. */
bool moon_http_shared_adopt(struct moon_http *http, const struct moon_http_shared *s);
/* Changes of breakers' states since the start: a look that costs nothing. */
uint64_t moon_http_shared_changes(const struct moon_http *http);

#endif
