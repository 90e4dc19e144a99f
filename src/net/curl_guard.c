/* curl_guard.c - whether a socket may be opened to the address that a name has led to. The URL was judged before; here
 * it is the address's turn, for each that libcurl tries.
 *
 * Behind a proxy the address is the proxy's, which is the user's own choice, and the proxy resolves the names: only the
 * URL is judged then. */
#include "curl_pool.h"
#include "curl_socket.h"

#include "moongate/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* A transfer that goes through a proxy connects to nothing else. */
static bool is_proxy(const struct moon_curl_transfer *t, const struct sockaddr *a) {
    const void *at = a;
    uint16_t port = a->sa_family == AF_INET    ? ntohs(((const struct sockaddr_in *)at)->sin_port)
                    : a->sa_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)at)->sin6_port)
                                               : 0;
    return t->proxy && t->proxy->port == port;
}

/* https://curl.se/libcurl/c/CURLOPT_OPENSOCKETFUNCTION.html */
curl_socket_t moon_curl_guarded_open(void *transfer, curlsocktype purpose, struct curl_sockaddr *address) {
    struct moon_curl_transfer *t = transfer;
    const struct moon_curl_env *env = t->env;
    struct moon_err err;
    moon_curl_note_open(t);
    if (env->may_connect && !is_proxy(t, &address->addr) &&
        env->may_connect(env->may_connect_ud, t->url.data, &address->addr, &err) != 0) {
        free(t->refused);
        t->refused = strdup(err.message);
        errno = EACCES;
        return CURL_SOCKET_BAD;
    }
    return moon_curl_on_open(env->sockets, purpose, address);
}
