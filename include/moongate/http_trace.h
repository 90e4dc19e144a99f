/* http_trace.h - W3C trace context on every request of a session, and a record of every attempt, for whoever makes
 * spans of them. Off until moon_http_trace_start; then an attempt costs a header and a record, and nothing waits.
 *
 * While it records, each attempt is a span of its own, whose id goes out as traceparent's parent-id. Without recording,
 * the root's id goes out unchanged, as W3C asks of those who only pass a trace on. */
#ifndef MOONGATE_HTTP_TRACE_H
#define MOONGATE_HTTP_TRACE_H

#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_http;

#define MOON_TRACE_ID_SIZE  16
#define MOON_TRACE_URL_SIZE 512

struct moon_http_trace_opts {
    unsigned char trace_id[MOON_TRACE_ID_SIZE]; /* not all zero */
    uint64_t root;                              /* span id, not 0: parent of what names none */
    bool sampled;                               /* traceparent's flag */
    bool record;
    const char *tracestate; /* sent along; NULL: none */
    size_t queue;           /* attempts kept until they are taken; what comes beyond is counted and lost. At least 1 */
};
/* Begins, in place of what was begun before. MOON_ENOMEM, MOON_EINVAL (a tracestate that is no header value). */
int moon_http_trace_start(struct moon_http *http, const struct moon_http_trace_opts *opts, struct moon_err *err);
void moon_http_trace_stop(struct moon_http *http); /* forgets what was not taken */

struct moon_http_span {
    uint64_t id, parent;
    const char *method;            /* static */
    char url[MOON_TRACE_URL_SIZE]; /* without the query, which may hold what is secret; cut when it is longer */
    int n;                         /* the attempt's number in its call, from 1 */
    int status, code;              /* as in struct moon_http_attempt */
    int64_t start_wall_ns, elapsed_ns;
    int64_t wait_ns; /* before it */
};
/* Takes the oldest attempt that has ended. False: there is none. */
bool moon_http_trace_take(struct moon_http *http, struct moon_http_span *out);
size_t moon_http_trace_waiting(const struct moon_http *http);
uint64_t moon_http_trace_lost(const struct moon_http *http); /* since the start */

#endif
