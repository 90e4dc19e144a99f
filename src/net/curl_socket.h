/* curl_socket.h - libcurl's sockets, watched by uv_poll. Private to src/net; used by curl_pool.c only.
 *
 * A socket that we opened keeps its registration between requests: uv_poll_start costs an epoll_ctl(DEL) and an ADD,
 * and nearly every request wants the same events as the one before. A socket that fires while nobody wants anything of
 * it is taken out then. */
#ifndef MOON_NET_CURL_SOCKET_H
#define MOON_NET_CURL_SOCKET_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moon_loop;
struct moon_curl_watch;

struct moon_curl_sockets {
    struct moon_loop *loop;
    struct moon_curl_watch **by_fd; /* size entries; NULL: not watched */
    size_t size;
    uint64_t opened;
    void (*ready)(void *owner, curl_socket_t fd, int events); /* events: CURL_CSELECT_* */
};

/* CURLMOPT_SOCKETFUNCTION. owner: the multi handle's owner, whose first member is a struct moon_curl_sockets *. */
int moon_curl_on_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *unused);
/* CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION. sockets: the struct moon_curl_sockets. */
curl_socket_t moon_curl_on_open(void *sockets, curlsocktype purpose, struct curl_sockaddr *address);
int moon_curl_on_close(void *sockets, curl_socket_t fd);

/* A request was answered over fd, whose local port is this. */
void moon_curl_sockets_answered(struct moon_curl_sockets *s, curl_socket_t fd, int local_port);
/* Whether fd still is the socket with this local port that a request was answered over. */
bool moon_curl_sockets_is(const struct moon_curl_sockets *s, curl_socket_t fd, int local_port);

/* After a multi handle was cleaned up: none of its watches is left. */
void moon_curl_sockets_forget(struct moon_curl_sockets *s, const void *owner);
/* After every multi handle was cleaned up. */
void moon_curl_sockets_release(struct moon_curl_sockets *s);

#endif
