/* http_server_reply.c - the answer: the owner's side of an exchange, and the faults a simulator asks for. */
#include "http_server_int.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PIECE ((size_t)16 << 10) /* at most this much of a faulty answer is copied at a time */

static bool is_token(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && (s[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", s[i])))
            return false;
    return len > 0;
}

static int check_field(const struct moon_http_field *f, struct moon_err *err) {
    if (!is_token(f->name, f->name_len))
        return moon_err_set(err, MOON_EINVAL, "header name \"%.40s\" is not allowed", f->name);
    for (size_t i = 0; i < f->value_len; i++)
        if (((unsigned char)f->value[i] < 0x20 && f->value[i] != '\t') || f->value[i] == 0x7f)
            return moon_err_set(err, MOON_EINVAL, "header %.40s: a control character at byte %zu", f->name, i + 1);
    return 0;
}

static int check(const struct moon_http_reply *r, struct moon_err *err) {
    if (r->status < 200 || r->status > 599)
        return moon_err_set(err, MOON_EINVAL, "status %d is not in 200..599", r->status);
    for (size_t i = 0; i < r->field_count; i++)
        if (check_field(&r->fields[i], err) != 0)
            return MOON_EINVAL;
    return 0;
}

/* Gives MHD the next bytes of a faulty answer. */
static ssize_t read_faulty(void *cls, uint64_t pos, char *buf, size_t max) {
    struct exchange *x = cls;
    if (pos >= x->stop_at)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t left = x->stop_at - (size_t)pos;
    size_t n = left < max ? left : max;
    if (x->drip_bytes > 0 && n > x->allowance)
        n = x->allowance;
    if (n == 0) { /* a drop has gone out; on_drip lets the next one through */
        x->suspended = true;
        MHD_suspend_connection(x->conn);
        return 0;
    }
    memcpy(buf, x->out + pos, n);
    x->allowance -= x->drip_bytes > 0 ? n : 0;
    return (ssize_t)n;
}

static void on_drip(void *ud) {
    struct exchange *x = ud;
    x->allowance = x->drip_bytes;
    moon_timer_start(x->server->loop, &x->drip, x->drip_ns, on_drip, x);
    moon_http_server_resume(x);
}

static struct MHD_Response *faulty_response(struct exchange *x, const struct moon_http_reply *r, size_t body_len) {
    x->out = malloc(body_len + 1);
    if (!x->out)
        return NULL;
    if (body_len > 0)
        memcpy(x->out, r->body, body_len);
    x->stop_at = r->truncate < body_len ? r->truncate : body_len;
    x->drip_bytes = x->allowance = r->drip_bytes;
    x->drip_ns = r->drip_ns;
    return MHD_create_response_from_callback(body_len, PIECE, read_faulty, x, NULL);
}

static int add_fields(struct MHD_Response *response, const struct moon_http_reply *r, bool close,
                      struct moon_err *err) {
    for (size_t i = 0; i < r->field_count; i++) {
        const struct moon_http_field *f = &r->fields[i];
        if (strcasecmp(f->name, "content-length") == 0 || strcasecmp(f->name, "transfer-encoding") == 0)
            continue;
        if (close && strcasecmp(f->name, "connection") == 0)
            continue;
        if (f->value_len == 0) /* MHD has no form for an empty value */
            continue;
        if (MHD_add_response_header(response, f->name, f->value) != MHD_YES)
            return moon_err_set(err, MOON_EINVAL, "header %.40s can't be sent", f->name);
    }
    if (close && MHD_add_response_header(response, "Connection", "close") != MHD_YES)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    return 0;
}

static void let_go(struct exchange *x) {
    x->phase = X_ANSWERED;
    moon_http_server_resume(x);
}

int moon_http_exchange_reply(struct moon_http_exchange *exchange, const struct moon_http_reply *r,
                             struct moon_err *err) {
    struct exchange *x = (struct exchange *)exchange;
    if (!x->conn || (x->phase != X_ASKED && x->phase != X_OWNED))
        return moon_err_set(err, MOON_ECLOSED, x->conn ? "this request has its answer" : "the client has disconnected");
    int rc = check(r, err);
    if (rc != 0)
        return rc;
    bool faulty = r->truncate != MOON_HTTP_WHOLE || r->drip_bytes > 0;
    size_t body_len = r->status == 204 || r->status == 304 ? 0 : r->body_len;
    struct MHD_Response *response =
        faulty ? faulty_response(x, r, body_len)
               : MHD_create_response_from_buffer(body_len, moon_http_unconst(body_len ? r->body : ""),
                                                 MHD_RESPMEM_MUST_COPY);
    if (!response)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    rc = add_fields(response, r, x->server->draining || r->truncate != MOON_HTTP_WHOLE, err);
    if (rc != 0) {
        MHD_destroy_response(response);
        free(x->out);
        x->out = NULL;
        return rc;
    }
    x->response = response;
    x->status = (unsigned)r->status;
    x->out_len = body_len;
    let_go(x);
    return 0;
}

int moon_http_exchange_continue(struct moon_http_exchange *exchange) {
    struct exchange *x = (struct exchange *)exchange;
    if (!x->conn || x->phase != X_ASKED)
        return MOON_ECLOSED;
    x->phase = X_CONTINUE;
    moon_http_server_resume(x);
    return 0;
}

void moon_http_exchange_body_taken(struct moon_http_exchange *exchange) {
    struct exchange *x = (struct exchange *)exchange;
    if (!exchange->body)
        return;
    moon_buf_release(&x->body);
    exchange->body = "";
    exchange->body_len = 0;
}

void moon_http_exchange_release(struct moon_http_exchange *exchange) {
    struct exchange *x = (struct exchange *)exchange;
    x->owned = false;
    if (x->conn && (x->phase == X_ASKED || x->phase == X_OWNED))
        let_go(x); /* without a response: moon_http_send closes */
    else if (x->conn && (x->phase == X_CONTINUE || x->phase == X_BODY))
        x->dropped = true;
    moon_http_exchange_unref(x);
}

/* MHD's turn again: the answer, or the end of the connection without one. */
enum MHD_Result moon_http_send(struct exchange *x) {
    x->phase = X_SENDING;
    x->since_ns = moon_loop_now_ns(x->server->loop);
    if (!x->response)
        return MHD_NO;
    enum MHD_Result rc = MHD_queue_response(x->conn, x->status, x->response);
    MHD_destroy_response(x->response); /* MHD holds its own reference */
    x->response = NULL;
    if (x->drip_bytes > 0)
        moon_timer_start(x->server->loop, &x->drip, x->drip_ns, on_drip, x);
    return rc;
}

/* The server's own answer, with the owner never asked. */
enum MHD_Result moon_http_refuse(struct exchange *x, int status, const char *code, const char *message) {
    char body[256];
    int len = snprintf(body, sizeof body, "{\"code\":\"%s\",\"message\":\"%s\",\"status\":%d}", code, message, status);
    x->response = MHD_create_response_from_buffer((size_t)len, body, MHD_RESPMEM_MUST_COPY);
    if (!x->response)
        return MHD_NO;
    MHD_add_response_header(x->response, "Content-Type", "application/json");
    MHD_add_response_header(x->response, "Connection", "close"); /* where the next request begins is not sure */
    if (status == 503)
        MHD_add_response_header(x->response, "Retry-After", "1");
    x->status = (unsigned)status;
    return moon_http_send(x);
}
