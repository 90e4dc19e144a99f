/* http_verdict.c - what became of an attempt, in the retry policy's classes and in words. No state of its own. */
#include "http_internal.h"

#include "curl_memory.h"

#include "moongate/http_date.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Did a byte of the request go out? The start alone does not say so (the connection may have refused the first write),
 * and the byte count alone neither (a proxy's CONNECT is in it). */
static bool was_sent(const struct moon_http_call *call) {
    long bytes = 0;
    if (!call->transfer || call->transfer->starts == 0)
        return false;
    curl_easy_getinfo(call->transfer->easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes > 0;
}

static int code_of(const struct moon_http_call *call, CURLcode result, bool sent) {
    switch (result) {
    case CURLE_OUT_OF_MEMORY:
        return MOON_ENOMEM;
    case CURLE_WRITE_ERROR:
        return call->transfer->sink_code ? call->transfer->sink_code : MOON_EPROTOCOL;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED:
        return MOON_ETLS;
    case CURLE_OPERATION_TIMEDOUT:
        return sent ? MOON_ETIMEOUT : MOON_ECONNECT;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return MOON_EPROTOCOL;
    default:
        return sent ? MOON_ENETWORK : MOON_ECONNECT;
    }
}

/* Failures that no second try mends. */
static bool is_hopeless(CURLcode result) {
    return result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE ||
           result == CURLE_SSL_CERTPROBLEM || result == CURLE_SSL_CIPHER || result == CURLE_UNSUPPORTED_PROTOCOL ||
           result == CURLE_URL_MALFORMAT || result == CURLE_OUT_OF_MEMORY;
}

/* The time at the server, as its answer says it: what it says of times is meant by that clock, not by ours. */
static int64_t server_wall_ns(const struct moon_http_call *call, int64_t wall_ns) {
    size_t len;
    int64_t date;
    const char *v = moon_http_result_header(call->result, "date", 4, &len);
    return v && moon_http_date_parse(v, len, wall_ns, &date) == 0 ? date : wall_ns;
}

/* Some servers say the wait in milliseconds, instead of Retry-After or beside it: OpenAI and Azure. */
static void read_retry_after_ms(struct moon_http_verdict *v, const char *name, size_t nlen, const char *value,
                                size_t vlen) {
    static const char ms[] = "x-ms-retry-after-ms";
    int64_t wait_ns;
    bool named = (nlen == 14 && strncasecmp(name, ms + 5, 14) == 0) || (nlen == 19 && strncasecmp(name, ms, 19) == 0);
    if (named && moon_retry_after_parse(value, vlen, INT64_MAX, &wait_ns) == 0)
        v->retry_after_ns = wait_ns / 1000;
}

/* GitHub's form of a 429: a 403 that names when to come back, or says that nothing is left. */
static bool is_rate_refusal(int status, const struct moon_http_verdict *v, const struct moon_rate_headers *h) {
    return status == 403 && (v->retry_after_ns >= 0 || h->family[MOON_RATE_X].left == 0);
}

/* What the answer says of limits, and how long it asks to wait. Retry-After wins over all else; a reset counts where
 * nothing is left, or nothing is said to be. */
static void read_limits(struct moon_http_verdict *v, const struct moon_http_call *call, int64_t wall_ns) {
    struct moon_rate_headers h;
    const char *name, *value;
    size_t pos = 0, nlen, vlen;
    if (v->status >= 400)
        wall_ns = server_wall_ns(call, wall_ns);
    moon_rate_headers_init(&h);
    while (moon_http_result_next(call->result, &pos, &name, &nlen, &value, &vlen)) {
        if (v->status < 400 && nlen > 6 && strncasecmp(name + nlen - 5, "reset", 5) == 0)
            moon_rate_headers_add(&h, name, nlen, value, vlen, server_wall_ns(call, wall_ns));
        else
            moon_rate_headers_add(&h, name, nlen, value, vlen, wall_ns);
        if (v->status >= 400 && nlen == 11 && strncasecmp(name, "retry-after", 11) == 0 && v->retry_after_ns < 0)
            moon_retry_after_parse(value, vlen, wall_ns, &v->retry_after_ns);
    }
    for (pos = 0; v->status >= 400 && v->retry_after_ns < 0 &&
                  moon_http_result_next(call->result, &pos, &name, &nlen, &value, &vlen);)
        read_retry_after_ms(v, name, nlen, value, vlen);
    moon_rate_headers_end(&h, &v->limit);
    if (is_rate_refusal(v->status, v, &h))
        v->cls = MOON_FAIL_REFUSED;
    if (v->cls == MOON_FAIL_REFUSED && v->retry_after_ns < 0 && v->limit.left <= 0)
        v->retry_after_ns = v->limit.reset_ns;
}

static bool is_cut(CURLcode result) {
    return result == CURLE_ABORTED_BY_CALLBACK || result == CURLE_GOT_NOTHING || result == CURLE_PARTIAL_FILE ||
           result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR;
}

static const char *why_unconnected(const struct moon_curl_transfer *t) {
    long why = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &why);
    return why == ECONNREFUSED                         ? "the connection was refused"
           : why == ENETUNREACH || why == EHOSTUNREACH ? "no route to the host"
                                                       : "could not connect";
}

/* Why no answer came. Taken from the transfer, which is gone when a call gives up between two attempts. */
static const char *why_of(int code, const struct moon_curl_transfer *t, CURLcode result) {
    enum moon_curl_head head = t->head_state;
    if (t->sink_why)
        return t->sink_why;
    if (code == MOON_ETOOBIG)
        return MOON_CURL_HEAD_TOO_LARGE;
    if (code == MOON_ETIMEOUT)
        return head == MOON_CURL_HEAD_DONE ? "the deadline passed in the middle of the answer"
               : t->starts == 0            ? "the deadline passed before there was a connection"
                                           : "the deadline passed before an answer came";
    if (code == MOON_ECONNECT && result == CURLE_OPERATION_TIMEDOUT)
        return "no connection in the time allowed for it";
    if (code == MOON_ENOMEM)
        return "out of memory";
    if (result == CURLE_COULDNT_RESOLVE_HOST)
        return "the host name does not resolve";
    if (result == CURLE_COULDNT_CONNECT)
        return why_unconnected(t);
    if (result == CURLE_WEIRD_SERVER_REPLY)
        return "the answer's headers are not valid HTTP";
    if (result == CURLE_RECV_ERROR && strstr(t->error, "hunked"))
        return "the answer's chunked encoding is damaged";
    if (!is_cut(result))
        return NULL;
    return head == MOON_CURL_HEAD_DONE    ? "the connection was closed in the middle of the answer"
           : head == MOON_CURL_HEAD_LINES ? "the connection was closed in the middle of the answer's headers"
                                          : "the connection was closed before an answer came";
}

void moon_http_judge(struct moon_http_verdict *v, struct moon_http_call *call, CURLcode result, int code,
                     int64_t wall_ns) {
    long status = 0;
    *v = (struct moon_http_verdict){.retry_after_ns = -1, .limit = {-1, -1, -1}};
    if (result == CURLE_OK) {
        curl_easy_getinfo(call->transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        v->status = (int)status;
        v->cls = moon_retry_class_of_status(v->status);
        moon_http_fault_of_answer(&v->fault, call, v->status);
        read_limits(v, call, wall_ns);
        return;
    }
    moon_http_fault_of_transfer(&v->fault, call, result);
    v->unprocessed = moon_curl_unprocessed(call->transfer, result);
    bool sent = was_sent(call) && !v->fault.not_sent && !v->unprocessed;
    bool refused = result == CURLE_COULDNT_CONNECT && call->transfer->refused;
    v->code = code ? code : refused ? MOON_EDENIED : v->fault.code ? v->fault.code : code_of(call, result, sent);
    v->hopeless = refused || v->fault.hopeless || is_hopeless(result);
    const struct moon_curl_transfer *t = call->transfer;
    /* libcurl reports its own limit of a header line as one of memory */
    bool no_room = result == CURLE_OUT_OF_MEMORY && sent && moon_curl_memory_failed() == t->memory_failed;
    if (no_room)
        v->code = MOON_ETOOBIG;
    if (t->sink_code == MOON_EPROTOCOL && t->status < 200) /* another protocol, or a storm of 1xx */
        v->hopeless = true;
    v->why = why_of(v->code, t, result);
    if (no_room || (t->sink_code && t->sink_code != MOON_EPROTOCOL)) {
        v->status = t->status; /* an answer came, and is of no use to us: another would not be, either */
        v->cls = MOON_FAIL_FINAL;
    } else {
        v->cls = sent ? MOON_FAIL_AMBIGUOUS : MOON_FAIL_NOT_SENT;
        v->lost = result != CURLE_OPERATION_TIMEDOUT && !v->unprocessed;
    }
}

/* ---- words ---- */

static const char *hint_of_code(int code, CURLcode result) {
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "Check the host name, or the region.";
    default:
        return code == MOON_ECONNECT ? "Check that the service runs and can be reached from here." : "";
    }
}

/* What is known of a write that got no answer. */
static const char *effect(const char *outcome) {
    return strcmp(outcome, "unknown") == 0 ? "It may have taken effect: check that before you send it again." : "";
}

void moon_http_explain(struct moon_http_call *call, const struct moon_http_verdict *v, const struct moon_retry_call *rc,
                       const struct moon_retry_decision *d, CURLcode result) {
    struct moon_http_result *r = call->result;
    char why[200] = "";
    moon_retry_explain(d, rc, why, sizeof why);
    moon_buf_clear(&r->message);
    moon_buf_clear(&r->hint);
    const char *what = "";
    if (v->code == MOON_EDENIED)
        what = call->transfer->refused;
    else if (v->fault.text && v->fault.text->what[0])
        what = v->fault.text->what;
    else if (v->why)
        what = v->why;
    else if (v->code != 0)
        what = curl_easy_strerror(result);
    if (*what && v->code != 0 && v->code != MOON_EDENIED) /* that one names the host */
        moon_buf_printf(&r->message, "%s: ", call->host->origin);
    moon_buf_printf(&r->message, "%s%s%s", what, *what && *why ? "; " : "", why);
    const char *hint = effect(d->outcome);
    if (d->verdict == MOON_RETRY_AFTER_LATE && !*hint) {
        moon_buf_printf(&r->hint, "Raise --deadline, or retry in %lld s.",
                        (long long)((d->wait_ns + MOON_NS_PER_S - 1) / MOON_NS_PER_S));
        return;
    }
    if (!*hint && v->fault.text && v->fault.text->hint[0])
        hint = v->fault.text->hint;
    else if (!*hint && v->code) /* an answer says itself what to do: l_http_error.c */
        hint = hint_of_code(v->code, result);
    moon_buf_puts(&r->hint, hint);
}
