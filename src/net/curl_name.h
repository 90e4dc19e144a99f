/* curl_name.h - look-ups of host names: calls to one name that is not known yet share one. Private to src/net.
 *
 * libcurl starts a thread for each transfer that needs a name, and keeps what it found (60 s). So a transfer to a name
 * that is not known goes first, alone, and the others wait until it has an address or has failed. A name whose connect
 * failed is looked up anew: it may have moved. */
#ifndef MOON_NET_CURL_NAME_H
#define MOON_NET_CURL_NAME_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_curl_names;
struct moon_curl_transfer;

/* Of an origin; lives as long as the pool. */
struct moon_curl_name {
    bool is_address; /* nothing to look up */
    bool forget;     /* libcurl is to forget what it knows */
    int64_t known_until_ns, asked_ns;
    unsigned burst, passes;                          /* how many may go without a look-up, see _found */
    struct moon_curl_transfer *first;                /* it looks the name up; NULL: none does */
    struct moon_curl_transfer *waiting, **wait_end;  /* in order */
    struct moon_curl_name *ready_next, **ready_prev; /* in the list of names to go on with; NULL: not there */
    struct curl_slist forget_line;
    char forget_text[300]; /* "-host:port" */
};
/* origin: as moon_http_origin writes it; or "scheme://host:port" of a proxy. */
void moon_curl_name_init(struct moon_curl_name *n, const char *origin);

struct moon_curl_names {
    size_t under_way; /* look-ups */
    struct moon_curl_name *ready;
};

/* A transfer to n wants to start: whether it may go now. Else it waits until moon_curl_names_next hands it out. */
bool moon_curl_name_ask(struct moon_curl_names *all, struct moon_curl_name *n, struct moon_curl_transfer *t,
                        int64_t now_ns);
/* The next transfer that may go now; NULL: none. */
struct moon_curl_transfer *moon_curl_names_next(struct moon_curl_names *all, int64_t now_ns);
/* t has an address (opened), or needs none as it goes over a connection that is there. May be called from libcurl. */
void moon_curl_name_found(struct moon_curl_names *all, struct moon_curl_transfer *t, bool opened, int64_t now_ns);
/* t waits no longer, or has ended. failed: before it had a connection. */
void moon_curl_name_left(struct moon_curl_names *all, struct moon_curl_transfer *t, bool failed, int64_t now_ns);
/* The first that waits for a name that can't be found, out of its queue; NULL: none. */
struct moon_curl_transfer *moon_curl_name_take(struct moon_curl_name *n);

#endif
