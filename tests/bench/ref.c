/* ref.c - the measure: a bare C program on libcurl in the best shape known to us, doing what bench.lua does.
 *
 * Several multi handles of at most GROUP transfers each, curl_multi_socket_action on epoll, a socket's registration
 * kept between requests, easy handles and header lists reused. Each request is a POST of a 600-byte JSON body with a
 * bearer and a fresh request id; the answer's status is read, its body copied to a buffer.
 *
 * ref PORT IN_FLIGHT SECONDS [GROUP]: prints "requests N seconds S rate R cpu C peak_kb M". */
#include <curl/curl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_FD 65536

struct group {
    CURLM *multi;
    int64_t due_ns; /* libcurl's timer; -1: none */
};
struct transfer {
    CURL *easy;
    struct group *group;
    struct curl_slist id_header;
    char id[80];
    size_t got;
    char answer[1024];
};
struct socket_state {
    struct group *group;
    unsigned registered; /* epoll events */
};

static struct socket_state sockets[MAX_FD];
static int ep;
static char body[601], url[80];
static uint64_t done, failed, seed = 0x9e3779b97f4a7c15u;
static int stop;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ud, void *sp) {
    (void)easy, (void)sp;
    struct socket_state *s = &sockets[fd];
    if (what == CURL_POLL_REMOVE)
        return 0; /* kept: closing the socket takes it out of the epoll set */
    unsigned want = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    s->group = ud;
    if (s->registered == want)
        return 0;
    struct epoll_event ev = {.events = want, .data.fd = fd};
    epoll_ctl(ep, s->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
    s->registered = want;
    return 0;
}

static int on_close(void *ud, curl_socket_t fd) {
    (void)ud;
    sockets[fd].registered = 0;
    return close(fd);
}

static int on_timer(CURLM *multi, long ms, void *ud) {
    (void)multi;
    ((struct group *)ud)->due_ns = ms < 0 ? -1 : ms == 0 ? 0 : now_ns() + ms * 1000000;
    return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *ud) {
    struct transfer *t = ud;
    n *= size;
    if (t->got + n > sizeof t->answer)
        return 0;
    memcpy(t->answer + t->got, data, n);
    t->got += n;
    return n;
}

static uint64_t rnd(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static void start(struct transfer *t) {
    snprintf(t->id, sizeof t->id, "X-Genesys-Request-Id: %016llx%016llx", (unsigned long long)rnd(),
             (unsigned long long)rnd());
    t->got = 0;
    curl_multi_add_handle(t->group->multi, t->easy);
}

static struct curl_slist *constant_headers(void) {
    struct curl_slist *h = curl_slist_append(NULL, "Content-Type: application/json");
    h = curl_slist_append(h, "Accept: application/json");
    h = curl_slist_append(h, "Expect:");
    return curl_slist_append(h, "Authorization: Bearer 0123456789abcdef0123456789abcdef0123456789abcdef");
}

static void set_up(struct transfer *t, struct group *g, struct curl_slist *constant) {
    CURL *e = t->easy = curl_easy_init();
    t->group = g;
    t->id_header = (struct curl_slist){t->id, constant};
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, 600L);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, &t->id_header);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "ref/1");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    const char *size = getenv("REF_BUFFERSIZE");
    if (size)
        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, atol(size));
}

static void collect(struct group *g) {
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(g->multi, &left))) {
        struct transfer *t;
        long status = 0;
        CURL *e = m->easy_handle;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(e, CURLINFO_PRIVATE, &t);
        curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
        if (m->data.result == CURLE_OK && status == 200)
            done++;
        else
            failed++;
        curl_multi_remove_handle(g->multi, e);
        if (!stop)
            start(t);
    }
}

static void run(struct group *groups, int n_groups, double seconds) {
    struct epoll_event ev[1024];
    int64_t end = now_ns() + (int64_t)(seconds * 1e9);
    int running;
    while (!stop) {
        int64_t now = now_ns(), next = end;
        for (int i = 0; i < n_groups; i++) {
            struct group *g = &groups[i];
            while (g->due_ns >= 0 && g->due_ns <= now) {
                g->due_ns = -1;
                curl_multi_socket_action(g->multi, CURL_SOCKET_TIMEOUT, 0, &running);
                collect(g);
            }
            if (g->due_ns >= 0 && g->due_ns < next)
                next = g->due_ns;
        }
        int n = epoll_wait(ep, ev, 1024, (int)((next - now + 999999) / 1000000));
        for (int i = 0; i < n; i++) {
            struct group *g = sockets[ev[i].data.fd].group;
            int mask = (ev[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                       (ev[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                       (ev[i].events & EPOLLERR ? CURL_CSELECT_ERR : 0);
            curl_multi_socket_action(g->multi, ev[i].data.fd, mask, &running);
            collect(g);
        }
        stop = now_ns() >= end;
    }
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    int in_flight = atoi(argv[2]), size = argc > 4 ? atoi(argv[4]) : 64;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    curl_global_init(CURL_GLOBAL_ALL);
    snprintf(url, sizeof url, "http://127.0.0.1:%s/api/v2/ai/gateway/prompts", argv[1]);
    int n =
        snprintf(body, sizeof body, "{\"metadata\":{\"dispatchSource\":\"bench\"},\"modelId\":\"m-1\",\"prompt\":\"");
    memset(body + n, 'x', 600 - (size_t)n);
    memcpy(body + 598, "\"}", 3);
    ep = epoll_create1(EPOLL_CLOEXEC);
    int n_groups = (in_flight + size - 1) / size;
    struct group *groups = calloc((size_t)n_groups, sizeof *groups);
    struct transfer *transfers = calloc((size_t)in_flight, sizeof *transfers);
    struct curl_slist *constant = constant_headers();
    if (!groups || !transfers || ep < 0)
        return 1;
    for (int i = 0; i < n_groups; i++) {
        CURLM *m = groups[i].multi = curl_multi_init();
        groups[i].due_ns = -1;
        curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(m, CURLMOPT_SOCKETDATA, &groups[i]);
        curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_timer);
        curl_multi_setopt(m, CURLMOPT_TIMERDATA, &groups[i]);
        curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)size);
    }
    int64_t begin = now_ns();
    for (int i = 0; i < in_flight; i++) {
        set_up(&transfers[i], &groups[i / size], constant);
        start(&transfers[i]);
    }
    run(groups, n_groups, atof(argv[3]));
    double seconds = (double)(now_ns() - begin) / 1e9;
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    printf("requests %llu seconds %.3f rate %.0f cpu %.3f peak_kb %ld failed %llu\n", (unsigned long long)done, seconds,
           (double)done / seconds,
           (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
               (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6,
           ru.ru_maxrss, (unsigned long long)failed);
    return failed != 0;
}
