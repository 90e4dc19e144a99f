/* http_server_exchange.c - a request as it comes in: MHD's callbacks, one state (x->phase) a request. They copy, count
 * and hand over; what the owner thinks of a request is found in x->phase when MHD calls again after the connection was
 * resumed. */
#include "http_server_int.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

void moon_http_bodies_unref(struct bodies *b) {
    if (b && --b->refs == 0)
        free(b);
}

/* Frees what has come of its body. */
static void uncharge(struct exchange *x) {
    x->bodies->bytes -= x->charged;
    x->charged = 0;
    moon_buf_release(&x->body);
}

void moon_http_exchange_unref(struct exchange *x) {
    if (--x->refs > 0)
        return;
    uncharge(x);
    moon_http_bodies_unref(x->bodies);
    if (x->response)
        MHD_destroy_response(x->response);
    free(x->out);
    free(x->fields);
    free(x->text);
    free(x);
}

static void copy_remote(struct exchange *x) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info && info->client_addr->sa_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)info->client_addr;
        inet_ntop(AF_INET, &a->sin_addr, x->remote, sizeof x->remote);
        x->pub.remote_port = ntohs(a->sin_port);
    } else if (info && info->client_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)info->client_addr;
        inet_ntop(AF_INET6, &a->sin6_addr, x->remote, sizeof x->remote);
        x->pub.remote_port = ntohs(a->sin6_port);
    }
    x->pub.remote = x->remote;
}

/* "http://host/path" (absolute form) -> "/path" */
static const char *origin_form(const char *uri) {
    const char *slashes = strstr(uri, "://");
    if (uri[0] == '/' || !slashes || strcspn(uri, "/?") < (size_t)(slashes - uri))
        return uri;
    const char *path = slashes + 3 + strcspn(slashes + 3, "/?");
    return path[0] ? path : "/";
}

/* The first callback of a request; what it returns is con_cls of all later ones. NULL (no memory) closes the connection
 * there. */
void *moon_http_on_line(void *cls, const char *uri, struct MHD_Connection *conn) {
    struct moon_http_server *s = cls;
    struct client *c = moon_http_client_of(conn);
    struct exchange *x = c ? calloc(1, sizeof *x) : NULL;
    if (!x)
        return NULL;
    x->bad_target = !moon_http_target_ok(uri);
    x->text = strdup(x->bad_target ? "/" : origin_form(uri));
    if (!x->text) {
        free(x);
        return NULL;
    }
    x->pub.target = x->text;
    x->server = s;
    x->conn = conn;
    x->client = c;
    c->x = x;
    c->unread = true; /* until it is known to have no body, or the body has come */
    x->since_ns = moon_loop_now_ns(s->loop);
    x->bodies = s->bodies;
    x->bodies->refs++;
    x->refs = 1;
    x->next = s->live;
    x->prev = &s->live;
    if (x->next)
        x->next->prev = &x->next;
    s->live = x;
    s->live_count++;
    return x;
}

struct copy {
    struct moon_http_field *fields;
    char *p; /* NULL: only count */
    size_t count, bytes;
};

static char *put(struct copy *c, const char *s, size_t len) {
    char *at = c->p;
    if (len > 0)
        memcpy(at, s, len);
    at[len] = '\0';
    c->p += len + 1;
    return at;
}

static enum MHD_Result on_field(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                const char *value, size_t value_len) {
    (void)kind;
    struct copy *c = cls;
    if (c->p) {
        struct moon_http_field *f = &c->fields[c->count];
        f->name_len = name_len;
        f->value_len = value_len;
        f->name = put(c, name, name_len);
        f->value = put(c, value, value_len);
    }
    c->count++;
    c->bytes += name_len + value_len + 2;
    return MHD_YES;
}

/* Everything the owner may read after the connection is gone, in one piece. */
static int copy_head(struct exchange *x, const char *method) {
    struct copy c = {0};
    MHD_get_connection_values_n(x->conn, MHD_HEADER_KIND, on_field, &c);
    size_t target_len = strlen(x->text), method_len = strlen(method);
    char *text = malloc(target_len + method_len + 2 + c.bytes);
    x->fields = c.count ? calloc(c.count, sizeof *x->fields) : NULL;
    if (!text || (c.count && !x->fields)) {
        free(text);
        return MOON_ENOMEM;
    }
    c = (struct copy){.fields = x->fields, .p = text};
    x->pub.target = put(&c, x->text, target_len);
    x->pub.method = put(&c, method, method_len);
    MHD_get_connection_values_n(x->conn, MHD_HEADER_KIND, on_field, &c);
    free(x->text);
    x->text = text;
    x->pub.fields = x->fields;
    x->pub.field_count = c.count;
    copy_remote(x);
    return 0;
}

static enum MHD_Result hand_over(struct exchange *x, enum phase phase, enum moon_http_event event) {
    x->phase = phase;
    if (!x->owned) {
        x->owned = true;
        x->refs++;
    }
    x->suspended = true;
    MHD_suspend_connection(x->conn);
    x->server->on_event(x->server->ud, &x->pub, event);
    return MHD_YES;
}

static enum MHD_Result too_big(struct exchange *x) {
    return moon_http_refuse(x, 413, "payload.too.large", "the request's body is larger than this server takes");
}

static enum MHD_Result crowded(struct exchange *x) {
    return moon_http_refuse(x, 503, "service.unavailable", "too many request bodies are on the way, retry later");
}

static void begin_body(struct exchange *x) {
    x->phase = X_BODY;
    x->since_ns = moon_loop_now_ns(x->server->loop);
}

static enum MHD_Result headers_came(struct exchange *x, const char *method, const char *version) {
    int status;
    const char *fault = moon_http_head_fault(x->conn, method, version, &status);
    if (!fault && x->bad_target)
        fault = "the request line is malformed";
    if (fault)
        return moon_http_refuse(x, status, status == 501 ? "not.implemented" : "bad.request", fault);
    if (copy_head(x, method) != 0)
        return MHD_NO;
    const char *length = MHD_lookup_connection_value(x->conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    unsigned long long declared = length ? strtoull(length, NULL, 10) : 0;
    x->client->unread = declared > 0 || MHD_lookup_connection_value(x->conn, MHD_HEADER_KIND,
                                                                    MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
    if (declared > x->server->max_body)
        return too_big(x);
    if (declared > x->bodies->max - x->bodies->bytes)
        return crowded(x);
    if (x->server->ask_headers)
        return hand_over(x, X_ASKED, MOON_HTTP_HEADERS);
    begin_body(x);
    return MHD_YES;
}

/* A body can't be refused in its middle: its rest is dropped, up to twice the limit, then the connection is. */
static enum MHD_Result piece_came(struct exchange *x, const char *data, size_t *size) {
    size_t n = *size;
    *size = 0;
    x->too_big |= x->body.len + n > x->server->max_body;
    x->crowded |= n > x->bodies->max - x->bodies->bytes;
    if (!x->too_big && !x->crowded) {
        x->charged += n;
        x->bodies->bytes += n;
        return moon_buf_append(&x->body, data, n) == 0 ? MHD_YES : MHD_NO;
    }
    uncharge(x);
    x->passed_over += n;
    return x->passed_over <= x->server->max_body ? MHD_YES : MHD_NO;
}

static enum MHD_Result body_ended(struct exchange *x) {
    x->client->unread = false;
    if (x->too_big)
        return too_big(x);
    if (x->crowded)
        return crowded(x);
    x->pub.body = x->body.data ? x->body.data : "";
    x->pub.body_len = x->body.len;
    return hand_over(x, X_OWNED, MOON_HTTP_REQUEST);
}

enum MHD_Result moon_http_on_access(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                    const char *version, const char *data, size_t *size, void **con_cls) {
    (void)cls;
    (void)conn;
    (void)url;
    struct exchange *x = *con_cls;
    if (!x || x->dropped)
        return MHD_NO;
    switch (x->phase) {
    case X_LINE:
        return headers_came(x, method, version);
    case X_CONTINUE:
        begin_body(x);
        return MHD_YES;
    case X_BODY:
        return *size > 0 ? piece_came(x, data, size) : body_ended(x);
    case X_ANSWERED:
        return moon_http_send(x);
    case X_ASKED:
    case X_OWNED:
        return MHD_YES;
    case X_SENDING:
        *size = 0;
        return MHD_YES;
    case X_DONE:
        break;
    }
    return MHD_NO;
}

void moon_http_on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                            enum MHD_RequestTerminationCode toe) {
    struct moon_http_server *s = cls;
    struct exchange *x = *con_cls;
    (void)conn;
    (void)toe;
    if (!x)
        return;
    *con_cls = NULL;
    bool unanswered = x->owned && x->phase != X_SENDING && x->phase != X_ANSWERED;
    moon_timer_stop(s->loop, &x->drip);
    *x->prev = x->next;
    if (x->next)
        x->next->prev = x->prev;
    s->live_count--;
    x->client->x = NULL;
    x->client->used = true;
    x->client->since_ns = moon_loop_now_ns(s->loop);
    x->client = NULL;
    x->phase = X_DONE;
    x->conn = NULL;
    x->server = NULL;
    if (unanswered && s->on_event)
        s->on_event(s->ud, &x->pub, MOON_HTTP_GONE);
    moon_http_exchange_unref(x);
    moon_http_server_ended(s);
}
