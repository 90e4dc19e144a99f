/* server.c - the benchmark's far end: HTTP/1.1 keep-alive on epoll, one thread, with an optional fixed delay before
 * each answer.
 *
 * server [delay in ms]: prints its port, serves until standard input ends, then prints "requests N cpu SECONDS bad N".
 * GET is the list of models, of which there is one. A request is POST with Content-Length; "bad" counts those without a
 * bearer token or whose body is no JSON object. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FD 65536
#define BUF    4096

struct conn {
    int fd;
    unsigned generation;
    size_t have;
    char in[BUF];
};
struct due {
    int fd;
    unsigned generation;
    int64_t at_ns;
};

static struct conn *conns[MAX_FD];
static unsigned generations[MAX_FD];
static struct due queue[MAX_FD * 2]; /* a ring: the delay is the same for all, so it is in order */
static size_t queue_head, queue_tail;
static uint64_t requests, bad;
static int64_t delay_ns;
#define HEAD(length)                                                                                                   \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " length "\r\n"                              \
    "inin-correlation-id: 6f1c4f0e-5a2b-4b52-9f0e-1f9d3f1c9a77\r\n\r\n"
static const char answer[] =
    HEAD("179") "{\"finishReason\":\"stop\",\"modelId\":\"m-1\",\"output\":\"The refund is on its "
                "way.\",\"requestId\":\"r-1\",\"safety\":{\"passed\":true,\"triggered\":[]},"
                "\"usage\":{\"inputTokens\":120,\"outputTokens\":9}}";
static const char models[] =
    HEAD("82") "{\"entities\":[{\"id\":\"m-1\",\"name\":\"bench\"}],\"pageNumber\":1,\"pageSize\":100,\"total\":1}";

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void hang_up(struct conn *c) {
    conns[c->fd] = NULL;
    generations[c->fd]++;
    close(c->fd);
    free(c);
}

static void send_text(struct conn *c, const char *text, size_t len) {
    if (write(c->fd, text, len) != (ssize_t)len)
        hang_up(c);
}

static void send_answer(struct conn *c) {
    send_text(c, answer, sizeof answer - 1);
}

static void answer_later(struct conn *c, int64_t now) {
    queue[queue_tail] = (struct due){c->fd, c->generation, now + delay_ns};
    queue_tail = (queue_tail + 1) % (MAX_FD * 2);
}

/* One complete request at the start of c->in: its length, or 0. */
static size_t complete(struct conn *c) {
    c->in[c->have] = '\0';
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end)
        return 0;
    size_t head = (size_t)(end - c->in) + 4, body = 0;
    char *p = strcasestr(c->in, "\r\nContent-Length:");
    if (p && p < end)
        body = strtoul(p + 17, NULL, 10);
    if (c->have < head + body)
        return 0;
    if (strncmp(c->in, "GET ", 4) == 0)
        return head;
    requests++;
    p = strcasestr(c->in, "\r\nAuthorization: Bearer ");
    if (!p || p > end || body < 2 || c->in[head] != '{' || c->in[head + body - 1] != '}')
        bad++;
    return head + body;
}

static void readable(struct conn *c) {
    ssize_t n = read(c->fd, c->in + c->have, BUF - 1 - c->have);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            hang_up(c);
        return;
    }
    c->have += (size_t)n;
    bool get = c->have >= 4 && memcmp(c->in, "GET ", 4) == 0;
    size_t used = complete(c);
    if (!used) {
        if (c->have == BUF - 1)
            hang_up(c);
        return;
    }
    c->have -= used;
    memmove(c->in, c->in + used, c->have);
    if (get)
        send_text(c, models, sizeof models - 1);
    else if (delay_ns)
        answer_later(c, now_ns());
    else
        send_answer(c);
}

static void take_new(int listener, int ep) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
        if (fd < 0)
            return;
        struct conn *c = fd < MAX_FD ? malloc(sizeof *c) : NULL;
        if (!c) {
            close(fd);
            continue;
        }
        c->fd = fd;
        c->have = 0;
        c->generation = generations[fd];
        conns[fd] = c;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    }
}

/* Sends what is due; the time to the next in ms, -1 when nothing waits. */
static int send_due(void) {
    int64_t now = now_ns();
    while (queue_head != queue_tail) {
        struct due *d = &queue[queue_head];
        if (d->at_ns > now)
            return (int)((d->at_ns - now) / 1000000) + 1;
        struct conn *c = conns[d->fd];
        if (c && c->generation == d->generation)
            send_answer(c);
        queue_head = (queue_head + 1) % (MAX_FD * 2);
    }
    return -1;
}

static int listen_loopback(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 16384) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0) {
        perror("listen");
        exit(1);
    }
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    struct epoll_event ev[1024];
    struct rusage ru;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    delay_ns = argc > 1 ? atoll(argv[1]) * 1000000 : 0;
    int listener = listen_loopback(), ep = epoll_create1(EPOLL_CLOEXEC), running = 1;
    ev[0] = (struct epoll_event){.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev[0]);
    ev[0].data.fd = 0;
    epoll_ctl(ep, EPOLL_CTL_ADD, 0, &ev[0]);
    while (running) {
        int n = epoll_wait(ep, ev, 1024, send_due());
        for (int i = 0; i < n; i++) {
            int fd = ev[i].data.fd;
            if (fd == listener)
                take_new(listener, ep);
            else if (fd == 0)
                running = read(0, &(char){0}, 1) > 0;
            else if (conns[fd])
                readable(conns[fd]);
        }
    }
    getrusage(RUSAGE_SELF, &ru);
    printf("requests %llu cpu %.3f bad %llu\n", (unsigned long long)requests,
           (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
               (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6,
           (unsigned long long)bad);
    return 0;
}
