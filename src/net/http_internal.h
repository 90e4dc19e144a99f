/* http_internal.h - the parts of the HTTP client to each other. Private to src/net.
 *
 * http_client.c  moon_http and moon_http_client: settings, pools, lists
 * http_call.c    a call from its start to its end: its waits, its attempts, the one retry loop
 * http_verdict.c what became of an attempt: class, code, words for a person
 * http_fault.c   TLS and proxies: why one of them made a call fail
 * http_message.c header lines, URLs, results
 * http_trace.c   trace context, and what is known of attempts that have ended */
#ifndef MOON_NET_HTTP_INTERNAL_H
#define MOON_NET_HTTP_INTERNAL_H

#include "curl_pool.h"

#include "moongate/auth.h"
#include "moongate/breaker.h"
#include "moongate/http.h"
#include "moongate/http_trace.h"
#include "moongate/limiter.h"
#include "moongate/log.h"
#include "moongate/loop.h"
#include "moongate/proxy.h"
#include "moongate/rate_limit.h"
#include "moongate/retry.h"
#include "moongate/retry_budget.h"

#include <curl/curl.h>

/* Header lines on their way to libcurl, which takes a list, prints each entry, and searches it for the names it knows.
 * So the lines of names that it does not look for go into one entry, with their line breaks: a third of the work. */
#define HTTP_ALONE_MAX 8
struct moon_http_lines {
    struct moon_buf together; /* "A: b\r\nC: d" */
    struct moon_buf alone;    /* each ended by NUL, beginning at alone_at[i] */
    uint32_t alone_at[HTTP_ALONE_MAX];
    int n_alone;
};

/* What all calls to an origin share. Lives as long as the moon_http. */
struct moon_http_host {
    struct moon_http_host *next;
    struct moon_retry_budget budget;
    struct moon_pacer pacer;
    struct moon_curl_name name;
    struct moon_curl_peer peer;
    enum moon_http_wait wait_why; /* what calls wait for, and until when: told once */
    int64_t wait_until_ns;
    struct moon_http_client *limited; /* the newest client with a rate of its own; NULL: none now */
    int64_t used_until_ns;            /* of its limiter, when it is gone or not there yet */
    bool https, loopback;
    bool identified;                /* the client certificate is for it */
    const struct moon_proxy *proxy; /* NULL: a direct connection */
    char origin[MOON_HTTP_ORIGIN_SIZE];
};

struct moon_http {
    struct moon_loop *loop;
    struct moon_rng *rng;
    struct moon_log *log;
    const struct moon_proxies *proxies;                          /* NULL: no proxy is ever used */
    char identified[MOON_HTTP_CERT_URLS][MOON_HTTP_ORIGIN_SIZE]; /* origins that the client certificate is for */
    struct moon_curl_pool *curl;
    struct moon_breakers *breakers;
    struct moon_http_host *hosts;
    struct moon_http_call *spare_calls;
    struct moon_http_result *spare_results;
    size_t n_spare_calls, n_spare_results;
    struct moon_http_call *live; /* started and not ended */
    struct moon_http_call *held; /* of these, those that wait for a breaker */
    struct moon_defer wake;      /* a breaker's state has changed */
    size_t wire_max,
        on_wire; /* transfers that the limit of open files allows (0: not looked yet), and that there are */
    bool crowd_told;
    struct moon_http_call *crowd, **crowd_end; /* calls that wait for one of these, in order */
    struct moon_http_stats stats;
    struct moon_http_trace *trace; /* NULL: nobody traces */
    uint64_t breaker_changes;
    size_t owed;
};

struct moon_http_client {
    unsigned refs; /* the user's one, and one a call */
    struct moon_http *http;
    struct moon_auth *auth;
    char *base_url;              /* without a trailing slash; NULL: none */
    struct moon_http_host *host; /* of base_url */
    struct moon_http_lines lines;
    struct curl_slist headers[HTTP_ALONE_MAX + 1], *tail;                 /* of lines: the end of every call's list */
    bool has_content_type, has_authorization, has_encoding, has_override; /* among them */
    int64_t deadline_ns, connect_timeout_ns;
    struct moon_retry_policy policy;
    struct moon_limiter limiter;
    size_t max_body;
    bool no_breaker, no_pacer, untraced;
    struct moon_http_tally tally;
    struct moon_breaker *breaker; /* of host and family: the last one asked for */
    char family[64];
    int concurrency, busy;                     /* calls that have a place */
    struct moon_http_call *queue, **queue_end; /* calls that wait for a place, in order */
};

struct moon_http_fault_text {
    char what[480], hint[320];
};

/* Why it failed, where TLS or a proxy is the reason. */
struct moon_http_fault {
    int code;                          /* 0: libcurl's result says which */
    bool hopeless;                     /* another try would fail alike */
    bool not_sent;                     /* bytes went out, and the server has processed none of them */
    struct moon_http_fault_text *text; /* the call's; NULL: not one of these reasons, or no memory to say it */
};

/* What became of an attempt. */
struct moon_http_verdict {
    enum moon_fail_class cls;
    int code, status;
    bool unprocessed;       /* the server has not processed it, and says so: it may be sent again whatever it is */
    bool lost;              /* the connection was refused or lost: an answer did not come */
    bool hopeless;          /* another try would fail alike: a certificate that does not verify */
    const char *why;        /* a literal: why no answer came; NULL: libcurl's words for its result say it */
    int64_t retry_after_ns; /* -1: not asked for */
    struct moon_rate_limit limit; /* what the answer says of it */
    struct moon_http_fault fault;
};

enum http_state {
    HTTP_IDLE,    /* being written, or ended */
    HTTP_QUEUED,  /* waits for a place among its client's calls */
    HTTP_WAITING, /* for a token, the limiter or the next attempt */
    HTTP_HELD,    /* for the breaker: in http->held */
    HTTP_CROWDED, /* for a connection: in http->crowd */
    HTTP_ON_WIRE,
    HTTP_ENDED /* its result is there, done is deferred */
};

struct moon_http_call {
    struct moon_http_client *client;
    struct moon_http *http;
    struct moon_http_request rq;
    enum http_state state;
    void (*done)(void *ud);
    void *ud;
    struct moon_http_call *next, **prev;             /* in http->live, or in the spare list */
    struct moon_http_call *queue_next, **queue_prev; /* in client->queue or http->held */

    struct moon_http_lines lines;
    bool keyed, has_content_type, has_authorization, has_encoding, has_traceparent, has_place;
    bool has_override;  /* a header names another method, which some servers obey */
    bool asks, cleared; /* see enum moon_http_ask: the owner is being asked; this attempt may go out */
    bool taken;         /* it has ended, and its result may be taken */

    struct moon_http_host *host;
    struct moon_breaker *breaker; /* NULL: not asked */
    uint32_t ticket;
    bool has_ticket;
    struct moon_auth *auth; /* when it is for this origin; the client's reference */
    struct moon_auth_line *line;
    struct moon_auth_wait token_wait;
    bool misdirected; /* answered with 421 */
    bool fresh;       /* to be sent over a new connection */
    bool waits_for_token, replayed;

    int64_t started_ns, due_ns;    /* the call */
    int64_t ready_ns, attempt_ns;  /* when this attempt was wanted, when it began */
    bool paced;                    /* this attempt has its place in the limiter */
    bool wired;                    /* its transfer is counted in http->on_wire */
    bool pays;                     /* the next attempt is a retry, which takes from the budget */
    int unprocessed;               /* attempts that the server refused to take */
    int failures;                  /* attempts that count, for back-off and the limit */
    int token_failures;            /* of the login host, while this call waited */
    struct moon_http_verdict last; /* of the last of these attempts */
    CURLcode last_result;
    bool maybe_applied;
    uint64_t span; /* of the attempt on the wire; 0: not traced */
    struct moon_timer deadline, wait;
    struct moon_defer defer;
    struct moon_curl_transfer *transfer;
    struct moon_http_result *result;
    /* Last, and not cleared for the next call. */
    struct moon_http_fault_text *fault_text;    /* made for the first failure that has one: most calls have none */
    struct curl_slist node[HTTP_ALONE_MAX + 5]; /* [0]: authorization */
    struct curl_slist trace_node[2];            /* traceparent, tracestate */
    char traceparent[72];
};

/* ---- http_client.c ---- */
struct moon_http_host *moon_http_host_get(struct moon_http *http, const char *origin);
void moon_http_client_unref(struct moon_http_client *c);

/* ---- http_call.c ---- */
void moon_http_call_destroy(struct moon_http_call *call); /* frees an idle one's memory */
void moon_http_on_breaker(void *ud);                      /* a breaker's state has changed: never from inside one */

/* ---- http_message.c ---- */
struct moon_http_result *moon_http_result_new(struct moon_http *http);
struct moon_http_attempt *moon_http_result_attempt(struct moon_http_result *r);
/* Visible ASCII only, no fragment: what may stand in a request line. */
int moon_http_check_url(const char *url, size_t len, struct moon_err *err);
int moon_http_lines_add(struct moon_http_lines *l, const char *name, size_t nlen, const char *value, size_t vlen,
                        struct moon_err *err);
/* Chains the lines in node[0..], and tail behind them; returns the first. Needs n_alone + 1 nodes. */
struct curl_slist *moon_http_lines_chain(const struct moon_http_lines *l, struct curl_slist *node,
                                         struct curl_slist *tail);
void moon_http_lines_release(struct moon_http_lines *l);

/* ---- http_trace.c ---- */
/* An attempt begins: its span's id, and its headers before `rest`. Only when http->trace is there. */
struct curl_slist *moon_http_trace_headers(struct moon_http_call *c, struct curl_slist *rest);
/* It has ended, now. Only when it has a span. */
void moon_http_trace_attempt(struct moon_http_call *c, const struct moon_http_attempt *a);

/* ---- http_verdict.c ---- */
/* code: of an end that was ours, such as the deadline; 0: result says which. */
void moon_http_judge(struct moon_http_verdict *v, struct moon_http_call *call, CURLcode result, int code,
                     int64_t wall_ns);
/* Fills the result's message and hint. */
void moon_http_explain(struct moon_http_call *call, const struct moon_http_verdict *v, const struct moon_retry_call *rc,
                       const struct moon_retry_decision *d, CURLcode result);

/* ---- http_fault.c ---- */
/* The text is the call's, until the next one is asked for. */
void moon_http_fault_of_transfer(struct moon_http_fault *f, struct moon_http_call *call, CURLcode result);
void moon_http_fault_of_answer(struct moon_http_fault *f, struct moon_http_call *call, int status);

#endif
