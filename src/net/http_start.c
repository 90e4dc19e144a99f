/* http_start.c - a call begins: its URL, credential, headers and breaker are settled, and it asks for its place. */
#include "http_internal.h"

#include <stdint.h>
#include <string.h>

/* result->url and host. */
static int set_target(struct moon_http_call *c, struct moon_err *err) {
    struct moon_http_client *client = c->client;
    struct moon_buf *to = &c->result->url, *url = &c->rq.url;
    char origin[MOON_HTTP_ORIGIN_SIZE];
    const char *text = url->len ? url->data : "";
    int rc = moon_http_check_url(text, url->len, err);
    if (rc != 0)
        return rc;
    if (client->base_url && (url->len == 0 || *text == '/')) {
        c->host = client->host;
        if (moon_buf_puts(to, client->base_url) != 0 || moon_buf_append(to, text, url->len) != 0)
            return moon_err_set(err, MOON_ENOMEM, "out of memory");
        return 0;
    }
    if (*text == '/')
        return moon_err_set(err, MOON_EINVAL, "a path needs a client with a base URL: '%.120s'", text);
    if ((rc = moon_http_origin(text, url->len, origin, err)) != 0)
        return rc;
    struct moon_buf swap = *to;
    *to = *url;
    *url = swap;
    c->host =
        client->host && strcmp(client->host->origin, origin) == 0 ? client->host : moon_http_host_get(c->http, origin);
    return c->host ? 0 : moon_err_set(err, MOON_ENOMEM, "out of memory");
}

static int set_auth(struct moon_http_call *c, struct moon_err *err) {
    struct moon_auth *a = c->client->auth;
    if (!a || !c->host || strcmp(moon_auth_origin(a), c->host->origin) != 0)
        return 0;
    if (c->has_authorization || c->client->has_authorization)
        return moon_err_set(err, MOON_EINVAL, "header Authorization: the client's credential already sets it for %s",
                            c->host->origin);
    bool checked = !(c->rq.test && c->host->loopback);
    if (checked && c->rq.reads_only && !moon_retry_safe(c->rq.method))
        return moon_err_set(err, MOON_EDENIED,
                            "%s with the session's credential: a script writes through the gateway "
                            "(run.gateway:write, post_path and the like), which audits it and heeds --dry-run",
                            c->rq.method);
    if (checked && c->rq.one_method &&
        (c->has_override || c->client->has_override || moon_http_url_names_method(c->result->url.data)))
        return moon_err_set(err, MOON_EDENIED,
                            "%s with the session's credential names another method in a header or its query: "
                            "use that method, so that the audit log and --dry-run know what is sent",
                            c->rq.method);
    c->auth = a;
    return 0;
}

/* The lines, then what the body needs, then the client's constant headers. */
static void chain_headers(struct moon_http_call *c) {
    static char no_type[] = "Content-Type:", no_expect[] = "Expect:", gzip[] = "Accept-Encoding: gzip";
    bool asks = c->has_encoding || c->client->has_encoding;
    struct curl_slist *tail = c->client->tail, *node = c->node + 1;
    if (c->rq.has_body && !c->has_content_type && !c->client->has_content_type) {
        *node = (struct curl_slist){c->rq.content_type ? (char *)(uintptr_t)c->rq.content_type : no_type, tail};
        tail = node++;
    }
    if (!c->rq.has_body && !asks) { /* what is read may be large; what answers a write is not */
        *node = (struct curl_slist){gzip, tail};
        tail = node++;
    }
    if (c->rq.body.len > 1 << 19) { /* libcurl asks for a 100 above 1 MiB, and waits a second for it */
        *node = (struct curl_slist){no_expect, tail};
        tail = node++;
    }
    c->node[0].next = moon_http_lines_chain(&c->lines, node, tail);
}

/* Nearly all calls of a client are to its own host and one family. */
static struct moon_breaker *breaker_of(struct moon_http_call *c) {
    struct moon_http_client *client = c->client;
    const char *family = c->rq.family ? c->rq.family : "";
    if (client->breaker && c->host == client->host && strcmp(client->family, family) == 0)
        return client->breaker;
    struct moon_breaker *b = moon_breakers_get(c->http->breakers, c->host->origin, family, NULL);
    if (b && c->host == client->host && strlen(family) < sizeof client->family) {
        client->breaker = b;
        memcpy(client->family, family, strlen(family) + 1);
    }
    return b;
}

static int prepare(struct moon_http_call *c, struct moon_err *err) {
    struct moon_http_client *client = c->client;
    const struct moon_proxies *proxies = c->http->proxies;
    int rc = set_target(c, err);
    if (rc != 0 || (rc = set_auth(c, err)) != 0)
        return rc;
    if (proxies && proxies->wrong.code && !c->host->loopback) /* never past a proxy that was meant to be used */
        return moon_err_set(err, proxies->wrong.code, "%s: not sent: %s", c->host->origin, proxies->wrong.message);
    if (c->rq.body.len > MOON_HTTP_BODY_MAX)
        return moon_err_set(err, MOON_ETOOBIG, "a body of %zu bytes: at most 64 MiB are sent", c->rq.body.len);
    if (!client->no_breaker && !(c->breaker = breaker_of(c)))
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (!c->rq.max_body || c->rq.max_body > client->max_body)
        c->rq.max_body = client->max_body;
    c->result->method = c->rq.method;
    c->result->conditional = c->rq.conditional;
    chain_headers(c);
    return 0;
}

static void join(struct moon_http_call *c) {
    struct moon_http *h = c->http;
    c->next = h->live;
    c->prev = &h->live;
    if (h->live)
        h->live->prev = &c->next;
    h->live = c;
    h->stats.calls++;
    h->stats.live_calls++;
}

static void ask_place(struct moon_http_call *c) {
    struct moon_http_client *client = c->client;
    if (client->concurrency > 0 && client->busy >= client->concurrency) {
        c->state = HTTP_QUEUED;
        c->queue_next = NULL;
        c->queue_prev = client->queue_end;
        *client->queue_end = c;
        client->queue_end = &c->queue_next;
        return;
    }
    client->busy++;
    c->has_place = true;
    moon_http_call_step(c);
}

int moon_http_start(struct moon_http_call *c, void (*done)(void *ud), void *ud, struct moon_err *err) {
    int rc = prepare(c, err);
    if (rc != 0)
        return rc;
    c->done = done;
    c->ud = ud;
    c->started_ns = c->ready_ns = c->attempt_ns = moon_http_call_now(c);
    c->due_ns = c->started_ns + (c->rq.deadline_ns > 0 ? c->rq.deadline_ns : c->client->deadline_ns);
    if (moon_http_call_watch(c, c->started_ns, c->started_ns + c->client->connect_timeout_ns) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    join(c);
    ask_place(c);
    return 0;
}
