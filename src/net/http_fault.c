/* http_fault.c - why a call failed, where TLS or a proxy is the reason: in words that tell one reason from another,
 * with what to do, and whether another try can succeed. libcurl's code is the same for many of them, so its text
 * (CURLOPT_ERRORBUFFER) and OpenSSL's verify result are read. For http_verdict.c only. */
#include "http_internal.h"

#include "moongate/clock.h"
#include "moongate/file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY_FILE_MAX ((size_t)1 << 20)

static void put(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void put(char *out, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(out, size, format, args);
    va_end(args);
}
/* Where a text for people is written; one that is out of memory is not said. */
#define WHAT(f, ...)                                                                                                   \
    do {                                                                                                               \
        if (f->text)                                                                                                   \
            put(f->text->what, sizeof f->text->what, __VA_ARGS__);                                                     \
    } while (0)
#define HINT(f, ...)                                                                                                   \
    do {                                                                                                               \
        if (f->text)                                                                                                   \
            put(f->text->hint, sizeof f->text->hint, __VA_ARGS__);                                                     \
    } while (0)

/* ---- which peer ---- */

static long info(const struct moon_curl_transfer *t, CURLINFO what) {
    long n = 0;
    curl_easy_getinfo(t->easy, what, &n);
    return n;
}

/* The TLS session that failed is the proxy's: the tunnel through it was not there yet. */
static bool at_proxy(const struct moon_http_call *c) {
    const struct moon_proxy *p = c->host->proxy;
    return p && p->tls && !(c->host->https && info(c->transfer, CURLINFO_HTTP_CONNECTCODE) == 200);
}

/* "the server", or "the proxy https://..." */
static void put_peer(char *out, size_t size, const struct moon_http_call *c) {
    if (at_proxy(c))
        put(out, size, "the proxy %s", c->host->proxy->shown);
    else
        put(out, size, "the server");
}

static const char *host_of(const struct moon_http_call *c) {
    return strstr(c->host->origin, "://") + 3;
}

static const char *peer_host(const struct moon_http_call *c) {
    return at_proxy(c) ? strstr(c->host->proxy->shown, "://") + 3 : host_of(c);
}

static bool has(const char *text, const char *what) {
    return strstr(text, what) != NULL;
}

/* Any of the NULL-ended list. */
static bool has_any(const char *text, const char *const *list) {
    while (*list && !has(text, *list))
        list++;
    return *list != NULL;
}

static void client_certificate(struct moon_http_fault *f, const struct moon_http_call *c, const char *who,
                               const char *text);

/* ---- certificates ---- */

static void expired_or_early(struct moon_http_fault *f, const struct moon_http_call *c, const char *who, bool expired) {
    char now[MOON_TIME_SIZE];
    moon_time_format(moon_wall_ns(moon_loop_clock(c->http->loop)), now);
    WHAT(f, "the certificate of %s, or of its CA, %s", who, expired ? "has expired" : "is not yet valid");
    HINT(f, "Check this machine's clock (it says %s); if it is right, the certificate has to be renewed.", now);
}

static void verify_failed(struct moon_http_fault *f, const struct moon_http_call *c, const char *who,
                          const char *text) {
    const char *prefix = "SSL certificate problem: ", *why = strstr(text, prefix);
    long result = info(c->transfer, at_proxy(c) ? CURLINFO_PROXY_SSL_VERIFYRESULT : CURLINFO_SSL_VERIFYRESULT);
    if (has(text, "SSL certificate verification failed")) {
        client_certificate(f, c, who,
                           "alert certificate expired"); /* libcurl takes that alert for a chain of the server's */
        return;
    }
    if (!why) { /* the name is checked after the chain */
        WHAT(f, "the certificate of %s is for another host name than '%.*s'", who,
             (int)strcspn(peer_host(c), *peer_host(c) == '[' ? "" : ":"), peer_host(c));
        HINT(f, "Use a host name that the certificate has, or have this one added to the certificate.");
        if (has(text, "no alternative certificate") || has(text, "certificate subject name"))
            return;
        WHAT(f, "the certificate of %s was not accepted: %.200s", who, *text ? text : "verification failed");
        HINT(f, "Look at it with: openssl s_client -connect %s -showcerts", peer_host(c));
        return;
    }
    why += strlen(prefix);
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        expired_or_early(f, c, who, result == X509_V_ERR_CERT_HAS_EXPIRED);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        WHAT(f, "the certificate of %s is self-signed, and is not among the trusted ones", who);
        HINT(f, "If you trust it, give that certificate with --cacert FILE.");
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        WHAT(f, "the certificate of %s is signed by an unknown CA (self-signed certificate in certificate chain)", who);
        HINT(f,
             "Give the CA's certificate with --cacert FILE or SSL_CERT_FILE. A proxy that intercepts TLS has a CA of "
             "its own.");
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        WHAT(f,
             "the certificate of %s is signed by an unknown issuer: its CA is not trusted, or an intermediate "
             "certificate is missing in what it sends",
             who);
        HINT(f,
             "Give the CA's certificate with --cacert FILE or SSL_CERT_FILE. To see the chain: openssl s_client "
             "-connect %s -showcerts",
             peer_host(c));
        break;
    case X509_V_ERR_CERT_REVOKED:
        WHAT(f, "the certificate of %s has been revoked", who);
        HINT(f, "Do not trust it; the server needs a new certificate.");
        break;
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
        WHAT(f, "the certificate of %s is too weak: %.120s", who, why);
        HINT(f, "The server needs a certificate with a longer key or a newer signature.");
        break;
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_INVALID_CA:
        WHAT(f, "the certificate of %s, or of its CA, is not meant for this use: %.120s", who, why);
        HINT(f, "Look at its key usage with: openssl s_client -connect %s -showcerts", peer_host(c));
        break;
    default:
        WHAT(f, "the certificate of %s was not accepted: %.200s", who, why);
        HINT(f, "Look at it with: openssl s_client -connect %s -showcerts", peer_host(c));
    }
}

/* ---- our own files ---- */

enum key_file { KEY_NONE, KEY_LOCKED, KEY_GOOD };

/* The passphrase is a string, if an empty one, so that OpenSSL asks no terminal. */
static enum key_file look_at_key(const char *path, char *passphrase) {
    struct moon_buf text = MOON_BUF_INIT;
    enum key_file found = KEY_NONE;
    if (path && moon_file_read(path, KEY_FILE_MAX, NULL, &text, NULL) == 0 && text.len) {
        BIO *in = BIO_new_mem_buf(text.data, (int)text.len);
        EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, passphrase) : NULL;
        found = key ? KEY_GOOD : has(text.data, "ENCRYPTED") ? KEY_LOCKED : KEY_NONE;
        EVP_PKEY_free(key);
        BIO_free(in);
        ERR_clear_error();
    }
    if (text.data)
        moon_wipe(text.data, text.cap);
    moon_buf_release(&text);
    return found;
}

static void own_certificate(struct moon_http_fault *f, const struct moon_http_call *c, const char *text) {
    const struct moon_curl_env *env = c->transfer->env;
    const char *key = env->key ? env->key : env->cert;
    enum key_file found = has(text, "private key") ? look_at_key(key, env->passphrase) : KEY_NONE;
    f->hopeless = true;
    if (has(text, "does not match") || found == KEY_GOOD) {
        WHAT(f, "the key %s does not belong to the client certificate %s", key, env->cert);
        HINT(f, "Give the pair that belongs together with --cert and --key.");
    } else if (found == KEY_LOCKED) {
        if (*env->passphrase)
            WHAT(f, "the passphrase does not fit the key %s", key);
        else
            WHAT(f, "the key %s is encrypted", key);
        HINT(f, "Give its passphrase with --key-passphrase-file FILE or MOONGATE_KEY_PASSPHRASE.");
    } else if (has(text, "private key")) {
        WHAT(f, "no private key could be read from %s", key);
        HINT(f, "Give the key's file (PEM) with --key.");
    } else {
        WHAT(f, "no client certificate could be read from %s", env->cert ? env->cert : "--cert");
        HINT(f, "Give the certificate's file (PEM) with --cert.");
    }
}

/* When the client certificate ended, if that is in the past: "" otherwise. */
static void expiry_of_own(const struct moon_http_call *c, char out[MOON_TIME_SIZE]) {
    const struct moon_curl_env *env = c->transfer->env;
    struct moon_buf text = MOON_BUF_INIT;
    struct tm end;
    time_t now = (time_t)(moon_wall_ns(moon_loop_clock(c->http->loop)) / MOON_NS_PER_S);
    out[0] = '\0';
    if (!c->host->identified || !env->cert || moon_file_read(env->cert, KEY_FILE_MAX, NULL, &text, NULL) != 0)
        return;
    BIO *in = BIO_new_mem_buf(text.data, (int)text.len);
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    if (cert && X509_cmp_time(X509_get0_notAfter(cert), &now) < 0 && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end))
        put(out, MOON_TIME_SIZE, "%04d-%02d-%02d", end.tm_year + 1900, end.tm_mon + 1, end.tm_mday);
    X509_free(cert);
    BIO_free(in);
    ERR_clear_error();
    if (text.data) /* the key may be in it */
        moon_wipe(text.data, text.cap);
    moon_buf_release(&text);
}

/* A server that does not take an expired client certificate often says nothing, and closes the connection. */
static void hint_expired_own(struct moon_http_fault *f, const struct moon_http_call *c) {
    char end[MOON_TIME_SIZE];
    expiry_of_own(c, end);
    if (*end)
        HINT(f, "The client certificate %s expired on %s: give a valid one with --cert and --key.",
             c->transfer->env->cert, end);
}

/* ---- the handshake ---- */

/* An alert by which the server refuses a client's certificate, or the lack of one. */
static const char *const of_client[] = {"certificate required",
                                        "alert bad certificate",
                                        "alert unsupported certificate",
                                        "alert certificate unknown",
                                        "alert certificate revoked",
                                        "alert certificate expired",
                                        "alert unknown ca",
                                        "alert access denied",
                                        "alert no certificate",
                                        "did not return a certificate",
                                        NULL};

static void client_certificate(struct moon_http_fault *f, const struct moon_http_call *c, const char *who,
                               const char *text) {
    const char *alert = strstr(text, "alert ");
    f->hopeless = true;
    f->code = MOON_ETLS;
    if (!at_proxy(c) && c->host->identified && c->transfer->env->cert) {
        WHAT(f, "%s refused the client certificate %s (%.80s)", who, c->transfer->env->cert,
             alert ? alert + strlen("alert ") : "TLS alert");
        HINT(f, "Give a client certificate that this server accepts with --cert and --key.");
        hint_expired_own(f, c);
        return;
    }
    WHAT(f, "%s wants a client certificate, and got none", who);
    if (at_proxy(c))
        HINT(f, "moongate shows no client certificate to a proxy; use a proxy that asks for a user and a password.");
    else if (c->transfer->env->cert)
        HINT(f, "--cert and --key are shown to the gateway and its login host only, and this is another host.");
    else
        HINT(f, "Give the client certificate that this server accepts with --cert and --key.");
}

static bool handshake_failed(struct moon_http_fault *f, const struct moon_http_call *c, const char *who,
                             const char *text) {
    static const char *const not_tls[] = {"wrong version number", "packet length too long", "http request",
                                          "unknown protocol",     "bad record type",        NULL};
    static const char *const version[] = {"protocol version", "unsupported protocol",   "version too low",
                                          "version too high", "no protocols available", NULL};
    static const char *const cipher[] = {"handshake failure",     "no shared cipher", "no ciphers available",
                                         "insufficient security", "no cipher match",  NULL};
    static const char *const weak[] = {"key too small", "unsafe legacy renegotiation", "legacy sigalg",
                                       "no suitable signature algorithm", NULL};
    static const char *const closed[] = {"SSL_ERROR_SYSCALL", "Connection reset", "unexpected eof", NULL};
    f->hopeless = true;
    if (has_any(text, not_tls)) {
        WHAT(f, "%s does not speak TLS on this port (%s)", who,
             has(text, "wrong version number") ? "wrong version number" : "its answer is not TLS");
        if (at_proxy(c))
            HINT(f, "Use http:// in %s, or correct its port.", c->host->proxy->from);
        else
            HINT(f,
                 "Correct the port, or use http:// if the server has no TLS (--allow-http=HOST where a credential is "
                 "sent).");
    } else if (has_any(text, version)) {
        WHAT(f, "no TLS version in common with %s: TLS 1.2 or later is needed", who);
        HINT(f, "Have TLS 1.2 or 1.3 enabled there.");
    } else if (has_any(text, of_client)) {
        client_certificate(f, c, who, text);
    } else if (has_any(text, cipher)) {
        WHAT(f, "%s refused the TLS handshake: no cipher in common, or it wants a client certificate", who);
        HINT(f, "If it wants one, give --cert and --key. To see more: openssl s_client -connect %s", peer_host(c));
    } else if (has_any(text, weak)) {
        WHAT(f, "the TLS settings of %s are too weak: %.160s", who,
             has(text, "routines::") ? strstr(text, "routines::") + strlen("routines::") : text);
        HINT(f, "Have the TLS settings there brought up to date.");
    } else if (has(text, "unrecognized name") || has(text, "unrecognised name")) {
        WHAT(f, "%s does not know the host name '%s'", who, peer_host(c));
        HINT(f, "Correct the host name.");
    } else if (has(text, "no application protocol")) {
        WHAT(f, "%s speaks neither HTTP/1.1 nor HTTP/2 (ALPN)", who);
        HINT(f, "Correct the host or the port.");
    } else {
        f->hopeless = false; /* the connection broke in the handshake, or the server had a failure of its own */
        if (has_any(text, closed))
            WHAT(f, "%s closed the connection during the TLS handshake", who);
        else
            WHAT(f, "the TLS handshake with %s failed: %.200s", who, *text ? text : "no reason is known");
        HINT(f, "Check that the port speaks TLS. To see more: openssl s_client -connect %s", peer_host(c));
        hint_expired_own(f, c);
    }
    return true;
}

static void bad_ca_file(struct moon_http_fault *f, const struct moon_curl_env *env) {
    f->hopeless = true;
    WHAT(f, "the trusted certificates can't be read from %s", env->ca_shown ? env->ca_shown : "the system's file");
    HINT(f, "Correct --cacert, SSL_CERT_FILE or SSL_CERT_DIR: a file of certificates (PEM), or a folder of them.");
}

static bool tls_fault(struct moon_http_fault *f, const struct moon_http_call *c, CURLcode result, const char *text) {
    char who[MOON_PROXY_SHOWN + 16];
    put_peer(who, sizeof who, c);
    f->code = MOON_ETLS;
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        f->hopeless = true;
        verify_failed(f, c, who, text);
        return true;
    case CURLE_SSL_CERTPROBLEM:
        own_certificate(f, c, text);
        return true;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
        bad_ca_file(f, c->transfer->env);
        return true;
    case CURLE_SSL_CLIENTCERT:
        client_certificate(f, c, who, text);
        return true;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
        return handshake_failed(f, c, who, text);
    default:
        break;
    }
    /* TLS 1.3: the client is done before the server has looked at its certificate. The refusal comes when the answer
     * is read, and the server has processed nothing. */
    if (has(text, "SSL routines") && has_any(text, of_client) && info(c->transfer, CURLINFO_NUM_CONNECTS) > 0) {
        client_certificate(f, c, who, text);
        f->not_sent = true;
        return true;
    }
    if (info(c->transfer, CURLINFO_NUM_CONNECTS) > 0)
        hint_expired_own(f, c);
    f->code = 0;
    return false;
}

/* ---- proxies ---- */

static const char *phrase_of(long status) {
    return status == 407   ? " (proxy authentication required)"
           : status == 403 ? " (forbidden)"
           : status == 502 ? " (bad gateway)"
           : status == 503 ? " (service unavailable)"
           : status == 504 ? " (gateway timeout)"
                           : "";
}

static void wants_password(struct moon_http_fault *f, const struct moon_proxy *p) {
    bool own = strncmp(p->from, "GENESYSCLOUD_", 13) == 0;
    if (strchr(p->url, '@'))
        HINT(f, "Correct the user and password in %s.", own ? "GENESYSCLOUD_PROXY_AUTH_*" : p->from);
    else
        HINT(f, "Set the proxy's user and password: %s%s.",
             own ? "GENESYSCLOUD_PROXY_AUTH_USERNAME and _AUTH_PASSWORD" : "http://USER:PASSWORD@HOST:PORT in ",
             own ? "" : p->from);
}

static void tunnel_refused(struct moon_http_fault *f, const struct moon_http_call *c, long status) {
    const struct moon_proxy *p = c->host->proxy;
    f->code = MOON_ECONNECT;
    f->hopeless = status < 500 && status != 408 && status != 429;
    WHAT(f, "the proxy %s (from %s) refused the connection to %s: status %ld%s", p->shown, p->from, host_of(c), status,
         phrase_of(status));
    if (status == 407)
        wants_password(f, p);
    else if (status >= 500 || status == 408 || status == 429)
        HINT(f, "The proxy could not reach the host, or is overloaded: check the host name, then the proxy.");
    else
        HINT(f, "Have the proxy allow this host and port, or add the host to NO_PROXY if it can be reached directly.");
}

static void socks_refused(struct moon_http_fault *f, const struct moon_http_call *c, const char *text) {
    static const CURLproxycode final[] = {CURLPX_NO_AUTH,     CURLPX_USER_REJECTED, CURLPX_REPLY_NOT_ALLOWED,
                                          CURLPX_BAD_VERSION, CURLPX_IDENTD_DIFFER, CURLPX_LONG_USER,
                                          CURLPX_LONG_PASSWD, CURLPX_LONG_HOSTNAME, CURLPX_REPLY_COMMAND_NOT_SUPPORTED,
                                          CURLPX_UNKNOWN_MODE};
    const struct moon_proxy *p = c->host->proxy;
    long why = info(c->transfer, CURLINFO_PROXY_ERROR);
    for (size_t i = 0; i < sizeof final / sizeof *final; i++)
        f->hopeless |= why == (long) final[i];
    f->code = MOON_ECONNECT;
    WHAT(f, "the proxy %s (from %s) made no connection to %s: %.200s", p->shown, p->from, host_of(c),
         *text ? text : "no reason is known");
    if (why == CURLPX_NO_AUTH || why == CURLPX_USER_REJECTED)
        wants_password(f, p);
    else
        HINT(f, "Check that the proxy runs, speaks this protocol (%.*s), and may connect to this host.",
             (int)strcspn(p->shown, ":"), p->shown);
}

static bool proxy_fault(struct moon_http_fault *f, const struct moon_http_call *c, CURLcode result, const char *text) {
    const struct moon_proxy *p = c->host->proxy;
    bool tunnel = c->host->https || p->socks; /* else the proxy itself is asked for the URL */
    long status = info(c->transfer, CURLINFO_HTTP_CONNECTCODE);
    if (result == CURLE_PROXY) {
        socks_refused(f, c, text);
        return true;
    }
    if (result == CURLE_COULDNT_RESOLVE_PROXY) {
        f->code = MOON_ECONNECT;
        WHAT(f, "the name of the proxy %s (from %s) does not resolve", p->shown, p->from);
        HINT(f, "Correct %s, or check the DNS.", p->from);
        return true;
    }
    if (c->transfer->starts > 0 && tunnel)
        return false;
    if (c->host->https && status && status != 200) {
        tunnel_refused(f, c, status);
        return true;
    }
    if (status == 200)
        return false;
    if (result == CURLE_COULDNT_CONNECT) {
        f->code = MOON_ECONNECT;
        WHAT(f, "could not connect to the proxy %s (from %s)", p->shown, p->from);
        HINT(f, "Check that the proxy runs at that address and port, or correct %s.", p->from);
    } else if (result == CURLE_OPERATION_TIMEDOUT) {
        WHAT(f, "the proxy %s (from %s) %s in time", p->shown, p->from,
             tunnel ? "opened no connection" : "gave no answer");
        HINT(f, "Check that the proxy runs and can reach %s.", host_of(c));
    } else if (result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR || result == CURLE_GOT_NOTHING) {
        WHAT(f, "the proxy %s (from %s) closed the connection before %s", p->shown, p->from,
             tunnel ? "the one to the host was made" : "an answer came");
        HINT(f, "Check that this is a proxy, that it runs, and that it may connect to %s.", host_of(c));
    } else {
        return false;
    }
    return true;
}

/* ---- plain http to a port that speaks TLS ---- */

static bool plain_fault(struct moon_http_fault *f, const struct moon_http_call *c, CURLcode result) {
    if (c->host->https || c->host->proxy)
        return false;
    if (result == CURLE_UNSUPPORTED_PROTOCOL) { /* an alert of TLS, for libcurl an answer of HTTP/0.9 */
        f->code = MOON_EPROTOCOL;
        f->hopeless = true;
        WHAT(f, "the server's answer is not HTTP; does this port speak TLS?");
        HINT(f, "Use https:// if the port speaks TLS, or correct the port.");
        return true;
    }
    return false;
}

static void start(struct moon_http_fault *f, struct moon_http_call *c) {
    *f = (struct moon_http_fault){.code = 0};
    if (!c->fault_text)
        c->fault_text = malloc(sizeof *c->fault_text);
    f->text = c->fault_text;
    if (f->text)
        f->text->what[0] = f->text->hint[0] = '\0';
}

void moon_http_fault_of_transfer(struct moon_http_fault *f, struct moon_http_call *c, CURLcode result) {
    start(f, c);
    if (!c->transfer)
        return;
    const char *text = c->transfer->error;
    if (tls_fault(f, c, result, text))
        return;
    if ((!c->host->proxy || !proxy_fault(f, c, result, text)))
        plain_fault(f, c, result);
}

/* ---- answers ---- */

/* A header that only a proxy's own answer has. */
static bool of_proxy(const struct moon_http_result *r) {
    static const char *const names[] = {"x-squid-error", "proxy-agent", "proxy-authenticate"};
    static const char *const servers[] = {"squid", "tinyproxy", "Tinyproxy", "privoxy", "BlueCoat", "Zscaler", NULL};
    char server[64] = "";
    size_t len;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (moon_http_result_header(r, names[i], strlen(names[i]), &len))
            return true;
    const char *v = moon_http_result_header(r, "server", 6, &len);
    if (v)
        put(server, sizeof server, "%.*s", (int)(len < sizeof server ? len : sizeof server - 1), v);
    return has_any(server, servers);
}

static void proxy_answered(struct moon_http_fault *f, const struct moon_http_call *c, int status) {
    const struct moon_proxy *p = c->host->proxy;
    if (status == 407 || (status >= 400 && of_proxy(c->result))) {
        WHAT(f, "the answer is from the proxy %s (from %s)", p->shown, p->from);
        if (status == 407)
            wants_password(f, p);
        else if (status < 500)
            HINT(f, "Have the proxy allow this host, or add the host to NO_PROXY if it can be reached directly.");
        else
            HINT(f, "The proxy could not reach the host: check the host name, then the proxy.");
    } else if (status == 403 || status == 502 || status == 503 || status == 504) {
        HINT(f, "The answer came through the proxy %s: it may be the proxy's own, or the server's.", p->shown);
    }
}

static bool body_has(const struct moon_http_result *r, const char *what) {
    size_t n = strlen(what);
    for (size_t i = 0; i + n <= r->body.len; i++)
        if (strncasecmp(r->body.data + i, what, n) == 0)
            return true;
    return false;
}

/* What web servers say with a 400 or 403 that is about TLS: nginx, Apache, Go, Tomcat, IIS. */
static void tls_answered(struct moon_http_fault *f, const struct moon_http_call *c, int status) {
    static const char *const certificate[] = {"No required SSL certificate was sent", "SSL certificate error",
                                              "client certificate", "reason: Cannot perform Post-Handshake"};
    static const char *const plain[] = {"plain HTTP request was sent to HTTPS port",
                                        "speaking plain HTTP to an SSL-enabled server port",
                                        "HTTP request to an HTTPS server", "combination of host and port requires TLS"};
    const struct moon_http_result *r = c->result;
    bool wants = status == 495 || status == 496, clear = false;
    if (status != 400 && status != 401 && status != 403 && !wants)
        return;
    for (size_t i = 0; i < sizeof certificate / sizeof *certificate; i++)
        wants |= body_has(r, certificate[i]);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        clear |= body_has(r, plain[i]);
    if (clear && !c->host->https) {
        WHAT(f, "this port speaks TLS, and plain HTTP was sent to it");
        HINT(f, "Use https:// in the URL.");
    } else if (wants && c->host->https) {
        const struct moon_curl_env *env = c->transfer->env;
        bool shown = env->cert && c->host->identified;
        if (shown)
            WHAT(f, "the server did not accept the client certificate %s", env->cert);
        else
            WHAT(f, "the server wants a client certificate");
        if (shown || !env->cert)
            HINT(f, "Give the client certificate that this server accepts with --cert and --key.");
        else
            HINT(f, "--cert and --key are shown to the gateway and its login host only, and this is another host.");
        hint_expired_own(f, c);
    }
}

void moon_http_fault_of_answer(struct moon_http_fault *f, struct moon_http_call *c, int status) {
    if (status < 400) {
        *f = (struct moon_http_fault){.code = 0};
        return;
    }
    start(f, c);
    if (!c->host->https && c->host->proxy && !c->host->proxy->socks)
        proxy_answered(f, c, status);
    if (!f->text || (!f->text->what[0] && !f->text->hint[0]))
        tls_answered(f, c, status);
}
