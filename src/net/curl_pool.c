/* curl_pool.c - see curl_pool.h. Owns the groups, the pooled transfers and what they share. */
#include "curl_pool.h"

#include "curl_memory.h"
#include "curl_socket.h"

#include "moongate/http.h"
#include "moongate/loop.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define SMALL_SIZE  16    /* transfers under way in a group: fastest between 8 and 32 ... */
#define GROUP_SIZE  64    /* ... and smallest at 64, as a multi handle itself takes 35 KiB. So the first are small, */
#define N_SMALL     16    /* this many, and only very many calls at once need the others */
#define BATCH       16    /* answers that are dealt with together: they fit a core's cache */
#define SPARE_MAX   1024  /* idle transfers kept */
#define FILES_MANY  65536 /* a limit of open files that no number of transfers comes near */
#define KEEP_FILES  32    /* descriptors that are left to others, where there are enough */
#define GROUP_FILES 16    /* a multi handle has two descriptors of its own, and a look-up has some */
#define GROUPS_MAX  4096
#define TICK_NS     (250 * MOON_NS_PER_MS)
#define IDLE_MS     500
#define PORTS       65536
#define STACK_SIZE  ((size_t)512 << 10) /* of a thread that looks a name up */

/* The last use of a connection, by its local port. */
struct last_use {
    uint32_t at_ms;   /* of the loop's clock; it starts again every 49 days */
    curl_socket_t fd; /* it may be another socket by now, or -1 */
};

struct moon_curl_pool {
    struct moon_loop *loop;
    struct moon_curl_env env;
    char *cacert, *cert_file, *cert_dir;
    struct moon_curl_sockets sockets;
    struct moon_hook hook;
    struct moon_defer more;
    struct moon_curl_names names;
    struct moon_timer tick;        /* while anything connects */
    struct last_use *uses;         /* PORTS; few of its pages are touched */
    struct moon_curl_group *kicks; /* have something to do at once: new transfers, mostly */
    struct moon_curl_group **groups;
    size_t n_groups, cap_groups;
    size_t first_room; /* no group below it has room */
    struct moon_curl_transfer *spare;
    size_t n_spare, live;
    size_t room;  /* transfers that the limit of open files allows; 0: enough */
    size_t ended; /* since the last catching up */
    bool global;  /* curl_global_init was done */
};

/* ---- a group's turn ---- */

static void leave_group(struct moon_curl_transfer *t) {
    struct moon_curl_group *g = t->group;
    g->connecting -= t->starts == 0;
    g->streams -= t->stream > 0;
    curl_multi_remove_handle(g->multi, t->easy);
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->group = NULL;
    g->live--;
    g->pool->live--;
    if (g->index < g->pool->first_room)
        g->pool->first_room = g->index;
}

static int64_t now_ns(const struct moon_curl_pool *p) {
    return moon_loop_now_ns(p->loop);
}

static uint32_t now_ms(const struct moon_curl_pool *p) {
    return (uint32_t)(now_ns(p) / MOON_NS_PER_MS);
}

/* The name can't be found: that is how all end that waited for it when it was found out, and not those that done
 * starts. */
static void fail_waiting(struct moon_curl_name *n, CURLcode result) {
    struct moon_curl_transfer *t;
    size_t count = 0;
    for (t = n->waiting; t; t = t->wait_next)
        count++;
    while (count-- > 0 && (t = moon_curl_name_take(n)))
        t->done(t, result);
}

static void end(struct moon_curl_transfer *t, CURLcode result) {
    struct moon_curl_pool *p = t->pool;
    struct moon_curl_name *name = t->name;
    curl_socket_t fd = CURL_SOCKET_BAD; /* t->fd is one that libcurl waited for, and it need not have waited */
    if (result == CURLE_OK && t->local_port && curl_easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK)
        moon_curl_sockets_answered(&p->sockets, fd, t->local_port);
    bool unknown = result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_RESOLVE_PROXY;
    unknown = unknown && name && name->first == t;
    leave_group(t);
    moon_curl_name_left(&p->names, t, t->starts == 0, now_ns(p));
    p->uses[t->local_port] = (struct last_use){now_ms(p), fd};
    p->ended++;
    t->done(t, moon_curl_answer_end(t, result));
    if (unknown)
        fail_waiting(name, result);
}

/* Hands out what has ended. done may start and stop transfers, also of this group. */
static void drain(struct moon_curl_group *g) {
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(g->multi, &left))) {
        struct moon_curl_transfer *t = NULL;
        CURLcode result = m->data.result;
        if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t) != CURLE_OK)
            continue;
        end(t, result);
    }
}

/* libcurl 7.88 leaves data of HTTP/2 in its own buffers, and waits for the socket: so each connection is looked at
 * again until that brings nothing more. */
static void read_on(struct moon_curl_group *g) {
    int running;
    size_t before;
    do {
        curl_socket_t last = CURL_SOCKET_BAD, fds[GROUP_SIZE];
        size_t n = 0;
        before = g->moved;
        for (struct moon_curl_transfer *t = g->transfers; t && n < GROUP_SIZE; t = t->next) {
            if (t->stream > 0 && t->fd != last)
                fds[n++] = last = t->fd;
        }
        while (n > 0 && !g->dead)
            g->dead = curl_multi_socket_action(g->multi, fds[--n], CURL_CSELECT_IN, &running) != CURLM_OK;
        drain(g);
    } while (g->moved != before && !g->dead);
}

static void act(struct moon_curl_group *g, curl_socket_t fd, int events) {
    int running;
    if (g->dead)
        return;
    g->dead = curl_multi_socket_action(g->multi, fd, events, &running) != CURLM_OK;
    drain(g);
    if (g->streams > 0 && !g->dead)
        read_on(g);
    while (g->dead && g->transfers) /* a socket that libcurl has half noted would crash it the next time */
        end(g->transfers, CURLE_OUT_OF_MEMORY);
}

/* From libcurl: t opens a socket, so its name is known; whether it may be connected to or not. */
void moon_curl_note_open(struct moon_curl_transfer *t) {
    t->opened = true;
    moon_curl_name_found(&t->pool->names, t, true, now_ns(t->pool));
}

/* From libcurl: t's request is about to be sent. */
void moon_curl_note_start(struct moon_curl_transfer *t, int local_port) {
    if (t->starts > 0)
        return;
    t->local_port = local_port > 0 && local_port < PORTS ? local_port : 0;
    t->group->connecting--;
    moon_curl_name_found(&t->pool->names, t, false, now_ns(t->pool));
}

/* Something has come on a connection of HTTP/1 before a request went out: its end, a 408 of a server that was tired of
 * waiting, or an answer that is none of ours. libcurl 7.88 would take it for the answer to the request. */
static bool has_spoken(const struct moon_curl_transfer *t, curl_socket_t fd) {
    char byte;
    return !t->offered && moon_curl_sockets_is(&t->pool->sockets, fd, t->local_port) &&
           recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

/* A server closes a connection that has been idle for its time to keep one, and a request that is on its way then is
 * lost, with nothing that says so. What can't be sent again goes over a new connection instead. */
bool moon_curl_is_stale(struct moon_curl_transfer *t) {
    const struct moon_curl_pool *p = t->pool;
    const struct last_use *use = &p->uses[t->local_port];
    if (t->opened || t->local_port == 0)
        return false;
    if (!has_spoken(t, use->fd) && (!t->careful || now_ms(p) - use->at_ms < IDLE_MS))
        return false;
    return t->switching = t->stale = true;
}

/* After some answers, who waits for them goes on and sends what is next, before the rest of the poll's events: with
 * thousands of transfers, each would be out of the cache again by the end of them. */
static void on_ready(void *owner, curl_socket_t fd, int events) {
    struct moon_curl_pool *p = ((struct moon_curl_group *)owner)->pool;
    act(owner, fd, events);
    if (p->ended >= BATCH) {
        p->ended = 0;
        moon_loop_catch_up(p->loop);
    }
}

static void unkick(struct moon_curl_group *g) {
    if (!g->kick_prev)
        return;
    *g->kick_prev = g->kick_next;
    if (g->kick_next)
        g->kick_next->kick_prev = g->kick_prev;
    g->kick_prev = NULL;
}

static void kick(struct moon_curl_group *g) {
    struct moon_curl_pool *p = g->pool;
    if (g->kick_prev)
        return;
    g->kick_next = p->kicks;
    g->kick_prev = &p->kicks;
    if (g->kick_next)
        g->kick_next->kick_prev = &g->kick_next;
    p->kicks = g;
}

static void nothing(void *ud) {
    (void)ud;
}

static int enter(struct moon_curl_transfer *t);

/* Transfers whose name is known by now. */
static void go_on(struct moon_curl_pool *p) {
    struct moon_curl_transfer *t;
    while ((t = moon_curl_names_next(&p->names, now_ns(p)))) {
        if (enter(t) == 0)
            continue;
        moon_curl_name_left(&p->names, t, false, now_ns(p));
        t->done(t, CURLE_OUT_OF_MEMORY);
    }
}

/* Before the poll: all transfers that were started in this turn go out, each group's together. One that asks for more
 * meanwhile gets it in the next turn. */
static void on_hook(void *ud) {
    struct moon_curl_pool *p = ud;
    struct moon_curl_group *todo, *g;
    go_on(p);
    if (!(todo = p->kicks))
        return;
    p->kicks = NULL;
    todo->kick_prev = &todo;
    while ((g = todo)) {
        unkick(g);
        act(g, CURL_SOCKET_TIMEOUT, 0);
    }
    go_on(p);
    if (p->kicks)
        moon_loop_defer(p->loop, &p->more, nothing, p); /* there is to be a next turn */
}

/* libcurl only speaks up when its next time changes. When ours came a little before it, it would wait for ever. */
static void on_due(void *ud) {
    struct moon_curl_group *g = ud;
    long ms = -1;
    act(g, CURL_SOCKET_TIMEOUT, 0);
    if (g->timer.index == 0 && curl_multi_timeout(g->multi, &ms) == CURLM_OK && ms >= 0)
        moon_timer_start(g->pool->loop, &g->timer, (ms > 0 ? ms : 1) * MOON_NS_PER_MS, on_due, g);
}

/* libcurl 7.88 goes from an address that does not answer to the next when it happens to look after its time has passed,
 * and sets no timer for it (curl issue 11920). A change of the pause makes it look at a transfer in its next turn. */
static void on_tick(void *ud) {
    struct moon_curl_pool *p = ud;
    int64_t until = now_ns(p) - MOON_NS_PER_S;
    bool any = false;
    for (size_t i = 0; i < p->n_groups; i++) {
        struct moon_curl_group *g = p->groups[i];
        any |= g->connecting > 0 || g->streams > 0;
        for (struct moon_curl_transfer *t = g->connecting ? g->transfers : NULL; t; t = t->next) {
            if (t->starts > 0 || t->since_ns > until)
                continue;
            curl_easy_pause(t->easy, CURLPAUSE_RECV);
            curl_easy_pause(t->easy, CURLPAUSE_CONT);
        }
        if (g->streams > 0)
            act(g, CURL_SOCKET_TIMEOUT, 0);
    }
    if (any)
        moon_timer_start(p->loop, &p->tick, TICK_NS, on_tick, p);
}

/* https://curl.se/libcurl/c/CURLMOPT_TIMERFUNCTION.html: note the time; never call curl_multi_socket_action from here.
 */
static int on_timer(CURLM *multi, long ms, void *ud) {
    struct moon_curl_group *g = ud;
    (void)multi;
    if (ms != 0)
        moon_timer_stop(g->pool->loop, &g->timer);
    if (ms == 0)
        kick(g);
    else if (ms > 0 && moon_timer_start(g->pool->loop, &g->timer, ms * MOON_NS_PER_MS, on_due, g) != 0)
        return -1;
    return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *unused) {
    struct moon_curl_transfer *t = NULL;
    if (what != CURL_POLL_REMOVE && curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t) == CURLE_OK && t)
        t->fd = fd;
    return moon_curl_on_socket(easy, fd, what, owner, unused);
}

/* ---- groups ---- */

/* Connections that a group keeps: with few descriptors all groups together keep no more than there is room for. */
static long idle_of(const struct moon_curl_pool *p, size_t size) {
    size_t groups = p->room / SMALL_SIZE + 1, most = p->room / groups;
    if (p->room == 0 || p->room >= GROUP_SIZE)
        return (long)size;
    return most > 1 ? (long)most : 1;
}

static struct moon_curl_group *group_new(struct moon_curl_pool *p, size_t index) {
    size_t size = index < N_SMALL ? SMALL_SIZE : GROUP_SIZE;
    struct moon_curl_group *g = calloc(1, sizeof *g);
    CURLM *m = g ? curl_multi_init() : NULL;
    if (!m) {
        free(g);
        return NULL;
    }
    g->sockets = &p->sockets;
    g->pool = p;
    g->multi = m;
    g->index = index;
    g->size = size;
    if (curl_multi_setopt(m, CURLMOPT_PIPELINING, moon_curl_http2_streams()) != CURLM_OK ||
        curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
        curl_multi_setopt(m, CURLMOPT_SOCKETDATA, g) != CURLM_OK ||
        curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
        curl_multi_setopt(m, CURLMOPT_TIMERDATA, g) != CURLM_OK ||
        /* by itself it keeps four connections for each transfer of the moment, and closes the rest when a burst ends */
        curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, idle_of(p, size)) != CURLM_OK) {
        curl_multi_cleanup(m);
        free(g);
        return NULL;
    }
    return g;
}

/* ---- open files ---- */

/* -1: not known. */
static long open_files(void) {
    DIR *d = opendir("/proc/self/fd");
    long n = -2; /* ".", ".." */
    if (!d)
        return -1;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 1; /* its own */
}

size_t moon_curl_room(struct moon_curl_pool *p) {
    struct rlimit limit;
    long used = open_files();
    if (used < 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > FILES_MANY)
        return SIZE_MAX;
    long left = (long)limit.rlim_cur - used;
    long keep =
        left / 3 + 3 < KEEP_FILES ? left / 3 + 3 : KEEP_FILES; /* for the state, the audit log, names, results */
    long room = (left - keep) * GROUP_FILES / (GROUP_FILES + 3);
    p->room = room > 1 ? (size_t)room : 1;
    return p->room;
}

static void group_free(struct moon_curl_group *g) {
    curl_multi_cleanup(g->multi);
    moon_curl_sockets_forget(&g->pool->sockets, g);
    moon_timer_stop(g->pool->loop, &g->timer);
    unkick(g);
    free(g);
}

static int groups_grow(struct moon_curl_pool *p) {
    size_t cap = p->cap_groups ? p->cap_groups * 2 : 8;
    if (p->n_groups < p->cap_groups)
        return 0;
    struct moon_curl_group **g = realloc(p->groups, cap * sizeof(struct moon_curl_group *));
    if (!g || cap > GROUPS_MAX) {
        p->groups = g ? g : p->groups;
        return -1;
    }
    p->groups = g;
    p->cap_groups = cap;
    return 0;
}

/* The lowest group with room, made if there is none. A dead one is replaced once it is empty. */
static struct moon_curl_group *group_with_room(struct moon_curl_pool *p) {
    for (; p->first_room < p->n_groups; p->first_room++) {
        struct moon_curl_group *g = p->groups[p->first_room];
        if (g->dead && g->live == 0) {
            struct moon_curl_group *fresh = group_new(p, g->index);
            if (!fresh)
                return NULL;
            p->groups[g->index] = fresh;
            group_free(g);
            return fresh;
        }
        if (!g->dead && g->live < g->size)
            return g;
    }
    if (groups_grow(p) != 0)
        return NULL;
    struct moon_curl_group *g = group_new(p, p->n_groups);
    if (g)
        p->groups[p->n_groups++] = g;
    return g;
}

/* ---- transfers ---- */

static void transfer_free(struct moon_curl_transfer *t) {
    moon_curl_answer_clear(t);
    curl_easy_cleanup(t->easy);
    curl_url_cleanup(t->parsed);
    moon_buf_release(&t->url);
    free(t->refused);
    free(t);
}

/* The first use of libcurl: it sets up OpenSSL, which a program that makes no request should not wait for. */
static int set_up(struct moon_curl_pool *p, struct moon_err *err) {
    moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (!p->global && moon_curl_memory_init() != CURLE_OK)
        return -1;
    p->global = true;
    moon_curl_trust_close(&p->env); /* of a try before */
    struct moon_curl_opts trust = {.cacert = p->cacert, .cert_file = p->cert_file, .cert_dir = p->cert_dir};
    if (moon_curl_trust_open(&p->env, &trust, err) != 0)
        return -1;
    pthread_attr_t threads; /* libcurl asks for no stack size: 8 MiB each, that a limit of memory counts */
    if (pthread_attr_init(&threads) == 0) {
        if (pthread_attr_setstacksize(&threads, STACK_SIZE) == 0)
            pthread_setattr_default_np(&threads);
        pthread_attr_destroy(&threads);
    }
    CURLSH *share = curl_share_init();
    if (!share || curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) != CURLSHE_OK ||
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK) {
        curl_share_cleanup(share);
        return -1;
    }
    p->env.share = share;
    return 0;
}

struct moon_curl_transfer *moon_curl_get(struct moon_curl_pool *p, struct moon_err *err) {
    struct moon_curl_transfer *t = p->spare;
    if (t) {
        p->spare = t->next;
        p->n_spare--;
        return t;
    }
    if (!p->env.share && set_up(p, err) != 0)
        return NULL;
    moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (!(t = calloc(1, sizeof *t)))
        return NULL;
    t->pool = p;
    if (!(t->parsed = curl_url()) || !(t->easy = moon_curl_easy_new(&p->env, t))) {
        curl_url_cleanup(t->parsed);
        free(t);
        return NULL;
    }
    return t;
}

void moon_curl_put(struct moon_curl_transfer *t) {
    if (!t)
        return;
    struct moon_curl_pool *p = t->pool;
    bool failed = t->group && t->starts == 0;
    if (t->group && t->stream > 0)
        kick(t->group); /* the others' data may lie behind this one's */
    if (t->group)
        leave_group(t);
    moon_curl_name_left(&p->names, t, failed, now_ns(p));
    moon_curl_answer_clear(t);
    if (p->n_spare >= SPARE_MAX) {
        transfer_free(t);
        return;
    }
    t->next = p->spare;
    p->spare = t;
    p->n_spare++;
}

/* MOON_ENOMEM. */
static int enter(struct moon_curl_transfer *t) {
    struct moon_curl_pool *p = t->pool;
    struct moon_curl_group *g = group_with_room(p);
    if (!g || (p->tick.index == 0 && moon_timer_start(p->loop, &p->tick, TICK_NS, on_tick, p) != 0) ||
        curl_multi_add_handle(g->multi, t->easy) != CURLM_OK)
        return MOON_ENOMEM;
    t->group = g;
    t->since_ns = now_ns(p);
    t->next = g->transfers;
    t->prev = &g->transfers;
    if (t->next)
        t->next->prev = &t->next;
    g->transfers = t;
    g->live++;
    g->connecting++;
    p->live++;
    return 0;
}

int moon_curl_start(struct moon_curl_transfer *t, const struct moon_curl_request *rq, struct moon_err *err) {
    struct moon_curl_pool *p = t->pool;
    t->starts = 0;
    moon_curl_answer_clear(t);
    t->memory_failed = moon_curl_memory_failed();
    t->peer = rq->peer;
    t->careful = rq->careful;
    t->stale = false;
    t->local_port = 0;
    t->connection = -1;
    t->stream = 0;
    t->opened = t->http1_agreed = t->http1_required = t->unprocessed = t->switching = false;
    t->error[0] = '\0';
    free(t->refused);
    t->refused = NULL;
    if (moon_curl_easy_set(&p->env, t, rq) != 0 ||
        (moon_curl_name_ask(&p->names, rq->name, t, now_ns(p)) && enter(t) != 0))
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    return 0;
}

/* ---- the pool ---- */

static int copy(char **to, const char *from) {
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -1 : 0;
}

int moon_curl_pool_new(struct moon_curl_pool **out, const struct moon_curl_opts *o, struct moon_err *err) {
    struct moon_curl_pool *p = calloc(1, sizeof *p);
    if (!p || !(p->uses = calloc(PORTS, sizeof *p->uses))) {
        free(p);
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    p->loop = o->loop;
    p->sockets.loop = o->loop;
    p->sockets.ready = on_ready;
    p->env.http2 = moon_curl_http2_resolve(o->http2);
    p->env.sockets = &p->sockets;
    p->env.may_connect = o->may_connect;
    p->env.may_connect_ud = o->may_connect_ud;
    if (copy(&p->env.cert, o->cert) != 0 || copy(&p->env.key, o->key) != 0 ||
        copy(&p->env.passphrase, o->passphrase ? o->passphrase : "") != 0 || copy(&p->cacert, o->cacert) != 0 ||
        copy(&p->cert_file, o->cert_file) != 0 || copy(&p->cert_dir, o->cert_dir) != 0) {
        moon_curl_pool_free(p);
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    }
    moon_loop_hook(p->loop, &p->hook, on_hook, p);
    *out = p;
    return 0;
}

void moon_curl_pool_free(struct moon_curl_pool *p) {
    if (!p)
        return;
    while (p->spare) {
        struct moon_curl_transfer *t = p->spare;
        p->spare = t->next;
        transfer_free(t);
    }
    for (size_t i = 0; i < p->n_groups; i++)
        group_free(p->groups[i]);
    free(p->groups);
    moon_curl_sockets_release(&p->sockets);
    moon_loop_unhook(p->loop, &p->hook);
    moon_loop_undefer(p->loop, &p->more);
    moon_timer_stop(p->loop, &p->tick);
    curl_share_cleanup(p->env.share);
    if (p->global)
        curl_global_cleanup();
    moon_curl_trust_close(&p->env);
    if (p->env.passphrase)
        moon_wipe(p->env.passphrase, strlen(p->env.passphrase));
    free(p->env.passphrase);
    free(p->cacert);
    free(p->cert_file);
    free(p->cert_dir);
    free(p->env.cert);
    free(p->env.key);
    free(p->uses);
    free(p);
}

void moon_curl_pool_stats(const struct moon_curl_pool *p, struct moon_curl_stats *out) {
    out->connections = p->sockets.opened;
    out->live = p->live;
    out->groups = p->n_groups;
}

const char *moon_http_version(void) {
    return curl_version() + sizeof "libcurl/" - 1;
}
