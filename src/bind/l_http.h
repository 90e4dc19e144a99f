/* l_http.h - the parts of module "http": l_http.c (the module), l_http_client.c (settings), l_http_request.c (options
 * of a call, and its wait), l_http_url.c (path, parameters, query), l_http_response.c (an answer), l_http_error.c. */
#ifndef MOONGATE_L_HTTP_H
#define MOONGATE_L_HTTP_H

#include "bind_udata.h"

#include "moongate/host.h"
#include "moongate/http.h"

#define L_HTTP_CLIENT "moongate.http.client"
#define L_HTTP_CALL   "moongate.http.response" /* a call while it runs, then its answer */

extern const char l_http_client_key, l_http_call_key; /* for bind_udata() */

struct l_http_client {
    struct moon_http_client *c; /* NULL: closed */
    bool session;               /* it has the session's credential */
};

struct l_http_call {
    struct moon_http_call *call;     /* while it is written and runs */
    struct moon_http_result *result; /* after that; NULL: a call that failed */
    struct moon_wake wake;
    bool noted; /* what comes of it is to be noted: see l_http_hooks_set */
};

/* The session's HTTP service; raises when it does not exist. */
struct moon_http *l_http_service(lua_State *L);
/* The part of a result's memory that is reported to the collector. */
static inline size_t l_http_held(const struct moon_http_result *r) {
    return sizeof *r + r->url.cap + r->head.cap + r->body.cap;
}
/* Raises unless the value at idx is an open client. */
struct l_http_client *l_http_client_arg(lua_State *L, int idx);
/* Pushes the client that module functions use. */
void l_http_client_default(lua_State *L); /* [-0, +1, m] */

/* The call that the option table at opts describes, for the client at `client`; returns 1 (response) or 2 (nil, err)
 * and waits in between. target: stack index of the path or URL argument, or 0. method: NULL, what the options say. */
int l_http_request(lua_State *L, int client, const char *method, int target, int opts);
/* client:request{...} of trusted code: with the session's credential, too, it may be a write. Arguments: client,
 * options. */
int l_http_request_trusted(lua_State *L);
/* before(method, replayable) -> true | nil, err: called in the task of a request that changes something, right
 * before each of its attempts goes out; may wait. Of one that is safe to repeat, only before attempts that come late.
 * after(outcome, status): once a request that is not safe to repeat has ended. Arguments: before, after. */
int l_http_hooks_set(lua_State *L);

/* Writes path (or URL) with its {parameters} and query into the request. Indices 0: none. 0, or an error to return.
 * Raises for values of the wrong type. */
int l_http_put_url(lua_State *L, struct moon_buf *url, int path, int params, int query, struct moon_err *err);

/* Pushes the error object of a call that ended badly. */
void l_http_error_push(lua_State *L, const struct moon_http_result *r); /* [-0, +1, m] */
int l_http_reason(lua_State *L); /* http.reason(body [, content type]) -> {message, code, details, excerpt} */
void l_http_attempts_push(lua_State *L, const struct moon_http_result *r);

/* In nanoseconds; raises unless the value at -1 is a number of seconds in (0, ten years]. */
int64_t l_http_seconds(lua_State *L, const char *name);

void l_http_client_setup(lua_State *L);   /* metatables, methods */
void l_http_response_setup(lua_State *L); /* [-0, +0, m] */
void l_http_request_setup(lua_State *L);

#endif
