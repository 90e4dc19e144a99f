/* http_server_listen.c - the listening socket of a server. Addresses are numeric, so nothing here asks the DNS. */
#include "http_server_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Returns the length of the address, 0 when host is none. */
static socklen_t parse(const char *host, uint16_t port, union address *out) {
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        return sizeof out->v4;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        return sizeof out->v6;
    }
    return 0;
}

/* A wildcard address is reached over the loopback. */
static void write_url(char *url, size_t size, const char *host, const union address *a, bool tls, uint16_t port) {
    const char *scheme = tls ? "https" : "http";
    if (a->sa.sa_family == AF_INET6)
        snprintf(url, size, "%s://[%s]:%u", scheme, IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr) ? "::1" : host, port);
    else
        snprintf(url, size, "%s://%s:%u", scheme, a->v4.sin_addr.s_addr == htonl(INADDR_ANY) ? "127.0.0.1" : host,
                 port);
}

int moon_http_listen(const char *host, uint16_t port, bool tls, int *fd, uint16_t *bound, char *url, size_t url_size,
                     struct moon_err *err) {
    union address a;
    socklen_t len = parse(host, port, &a);
    if (len == 0)
        return moon_err_set(err, MOON_EINVAL,
                            "host: \"%.60s\" is not a numeric address (127.0.0.1, ::1, 0.0.0.0) and not localhost",
                            host);
    int sock = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return moon_err_errno(err, MOON_EIO, errno, "can't make a socket");
    const int on = 1;
    const int v6only = a.sa.sa_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&a.v6.sin6_addr);
    setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a.sa.sa_family == AF_INET6)
        setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    if (bind(sock, &a.sa, len) != 0 || listen(sock, SOMAXCONN) != 0 || getsockname(sock, &a.sa, &len) != 0) {
        int errnum = errno;
        close(sock);
        return moon_err_errno(err, MOON_ECONNECT, errnum, "can't listen on %.60s port %u", host, port);
    }
    *bound = ntohs(a.sa.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
    write_url(url, url_size, host, &a, tls, *bound);
    *fd = sock;
    return 0;
}
