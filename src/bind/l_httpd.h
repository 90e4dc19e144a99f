/* l_httpd.h - what l_httpd.c (servers) and l_httpd_exchange.c (requests) share. */
#ifndef MOONGATE_BIND_L_HTTPD_H
#define MOONGATE_BIND_L_HTTPD_H

#include "moongate/host.h"
#include "moongate/http_server.h"

#define L_SERVER "moongate.httpd"

enum { SERVER_HANDLER = 1, SERVER_ACCEPT, SERVER_TASK, SERVER_VALUES = SERVER_TASK }; /* user values of an l_server */

struct l_server {
    struct moon_http_server *server;         /* NULL: closed */
    struct moon_http_exchange *queue, *last; /* came and have no task yet; linked by ->owner */
    struct moon_wake wake;                   /* the task that hands out requests */
    bool asks;                               /* requests are handed out with their headers, before their body */
    bool stopped;
    uint16_t port;
    char url[80];
};

/* A request in the hands of its task; x->owner points back here. */
struct l_exchange {
    struct moon_http_exchange *x; /* NULL: released */
    struct moon_wake wake;        /* waits for the body */
    bool asked;                   /* came with its headers only */
    bool gone;
};

/* l_httpd_exchange.c */
void l_exchange_setup(lua_State *L);             /* its metatable [-0, +0, m] */
struct l_exchange *l_exchange_new(lua_State *L); /* empty [-0, +1, m] */
int l_exchange_run(lua_State *L);                /* a task's function: (server, exchange) */
void l_exchange_event(struct moon_http_exchange *x, enum moon_http_event event); /* loop context */

/* l_httpd_request.c */
void l_request_setup(lua_State *L);                                    /* its metatables [-0, +0, m] */
void l_push_request(lua_State *L, const struct moon_http_exchange *x); /* [-0, +1, m] */
void l_push_json_function(lua_State *L, const char *name);             /* json.encode, json.decode [-0, +1, m] */
/* "a=1&b" -> {a = "1", b = ""}; of a name that comes twice, the last. query may be NULL. [-0, +1, m] */
void l_push_query(lua_State *L, const char *query);
/* Pushes s without its percent-encoding (query: '+' is a space), or nothing and returns false when that is malformed.
 * [-0, +1|0, m] */
bool l_push_unescaped(lua_State *L, const char *s, size_t len, bool query);

#endif
