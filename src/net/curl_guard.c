/* curl_guard.c - whether a socket may be opened to the address that a name has led to. The URL was judged before; here
 * it is the address's turn, for each that libcurl tries.
 *
 * Behind a proxy the address is the proxy's, which is the user's own choice, and the proxy resolves the names: only the
 * URL is judged then. */
#include "curl_pool.h"
#include "curl_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

static void add_port(struct moon_curl_env *env, const char *proxy) {
    CURLU *u = proxy && *proxy ? curl_url() : NULL;
    char *text = NULL;
    unsigned long port = 1080; /* libcurl's, where the proxy names none */
    if (!u)
        return;
    if (curl_url_set(u, CURLUPART_URL, proxy, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &text, 0) == CURLUE_OK)
        port = strtoul(text, NULL, 10);
    else if (strncmp(proxy, "https:", 6) == 0)
        port = 443;
    if (env->n_proxy_ports < sizeof env->proxy_ports / sizeof *env->proxy_ports)
        env->proxy_ports[env->n_proxy_ports++] = (uint16_t)port;
    curl_free(text);
    curl_url_cleanup(u);
}

void moon_curl_guard_proxies(struct moon_curl_env *env) {
    env->proxies = env->proxy != NULL;
    if (env->proxy) {
        add_port(env, env->proxy);
        return;
    }
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *v = getenv(variables[i]);
        env->proxies |= v && *v;
        add_port(env, v);
    }
}

static bool is_proxy(const struct moon_curl_env *env, const struct moon_curl_transfer *t, const struct sockaddr *a) {
    const void *at = a;
    uint16_t port = a->sa_family == AF_INET    ? ntohs(((const struct sockaddr_in *)at)->sin_port)
                    : a->sa_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)at)->sin6_port)
                                               : 0;
    for (size_t i = 0; !t->direct && i < env->n_proxy_ports; i++)
        if (env->proxy_ports[i] == port)
            return true;
    return false;
}

/* https://curl.se/libcurl/c/CURLOPT_OPENSOCKETFUNCTION.html */
curl_socket_t moon_curl_guarded_open(void *transfer, curlsocktype purpose, struct curl_sockaddr *address) {
    struct moon_curl_transfer *t = transfer;
    const struct moon_curl_env *env = t->env;
    struct moon_err err;
    if (env->may_connect && !is_proxy(env, t, &address->addr) &&
        env->may_connect(env->may_connect_ud, t->url.data, &address->addr, &err) != 0) {
        free(t->refused);
        t->refused = strdup(err.message);
        errno = EACCES;
        return CURL_SOCKET_BAD;
    }
    return moon_curl_on_open(env->sockets, purpose, address);
}
