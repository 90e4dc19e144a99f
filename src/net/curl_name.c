/* curl_name.c - see curl_name.h. The transfers' part of it is in struct moon_curl_transfer: name, wait_next, wait_prev.
 */
#include "curl_name.h"

#include "curl_pool.h"

#include "moongate/clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define KNOWN_NS      (50 * MOON_NS_PER_S) /* less than libcurl's 60 s */
#define ASK_AGAIN_NS  MOON_NS_PER_S        /* a name whose connects fail is not looked up more often than that */
#define UNDER_WAY_MAX 128                  /* look-ups, a thread each */

void moon_curl_name_init(struct moon_curl_name *n, const char *origin) {
    const char *host = strstr(origin, "://");
    struct in_addr address;
    host = host ? host + 3 : origin;
    size_t len = strcspn(host, ":");
    memset(n, 0, sizeof *n);
    n->wait_end = &n->waiting;
    const char *port = host[len] ? host + len + 1 : strncmp(origin, "https:", 6) == 0 ? "443" : "80";
    snprintf(n->forget_text, sizeof n->forget_text, "-%.*s", (int)len, host);
    n->is_address = *host == '[' || inet_pton(AF_INET, n->forget_text + 1, &address) == 1;
    snprintf(n->forget_text, sizeof n->forget_text, "-%.*s:%s", (int)len, host, port);
    n->forget_line.data = n->forget_text;
}

static void unready(struct moon_curl_name *n) {
    if (!n->ready_prev)
        return;
    *n->ready_prev = n->ready_next;
    if (n->ready_next)
        n->ready_next->ready_prev = n->ready_prev;
    n->ready_prev = NULL;
}

static void make_ready_at(struct moon_curl_name **at, struct moon_curl_name *n) {
    unready(n);
    if (!n->waiting)
        return;
    n->ready_next = *at;
    n->ready_prev = at;
    if (n->ready_next)
        n->ready_next->ready_prev = &n->ready_next;
    *at = n;
}

/* Behind the others: it wants a look-up. (One whose transfers need none goes before them.) */
static void make_ready_last(struct moon_curl_names *all, struct moon_curl_name *n) {
    struct moon_curl_name **at = &all->ready;
    unready(n);
    while (*at)
        at = &(*at)->ready_next;
    make_ready_at(at, n);
}

static void go_first(struct moon_curl_names *all, struct moon_curl_name *n, struct moon_curl_transfer *t,
                     int64_t now_ns) {
    all->under_way++;
    n->first = t;
    n->asked_ns = now_ns;
    if (n->forget)
        curl_easy_setopt(t->easy, CURLOPT_RESOLVE, &n->forget_line);
    n->forget = false;
}

bool moon_curl_name_ask(struct moon_curl_names *all, struct moon_curl_name *n, struct moon_curl_transfer *t,
                        int64_t now_ns) {
    t->name = n;
    if (n->is_address || now_ns < n->known_until_ns)
        return true;
    if (!n->first && !n->waiting && all->under_way < UNDER_WAY_MAX) {
        go_first(all, n, t, now_ns);
        return true;
    }
    t->wait_next = NULL;
    t->wait_prev = n->wait_end;
    *n->wait_end = t;
    n->wait_end = &t->wait_next;
    if (!n->first && !n->ready_prev)
        make_ready_last(all, n);
    return false;
}

static void stop_waiting(struct moon_curl_transfer *t) {
    *t->wait_prev = t->wait_next;
    if (t->wait_next)
        t->wait_next->wait_prev = t->wait_prev;
    else
        t->name->wait_end = t->wait_prev;
    t->wait_prev = NULL;
}

struct moon_curl_transfer *moon_curl_names_next(struct moon_curl_names *all, int64_t now_ns) {
    struct moon_curl_name *n;
    while ((n = all->ready)) {
        struct moon_curl_transfer *t = n->waiting;
        if (t && now_ns >= n->known_until_ns) {
            if (n->passes > 0)
                n->passes--;
            else if (n->first)
                t = NULL;
            else if (all->under_way >= UNDER_WAY_MAX)
                return NULL;
            else
                go_first(all, n, t, now_ns);
        }
        if (t) {
            stop_waiting(t);
            return t;
        }
        unready(n);
    }
    return NULL;
}

/* Without a look-up nothing is known: the others could each need one. So twice as many as the last time go on, and the
 * next of them is the first again. */
void moon_curl_name_found(struct moon_curl_names *all, struct moon_curl_transfer *t, bool opened, int64_t now_ns) {
    struct moon_curl_name *n = t->name;
    if (!n || n->first != t)
        return;
    all->under_way--;
    n->first = NULL;
    if (opened)
        n->known_until_ns = now_ns + KNOWN_NS;
    n->burst = opened || !n->waiting ? 1 : n->burst < 1024 ? n->burst * 2 : n->burst;
    n->passes = opened ? 0 : n->burst;
    make_ready_at(&all->ready, n);
}

void moon_curl_name_left(struct moon_curl_names *all, struct moon_curl_transfer *t, bool failed, int64_t now_ns) {
    struct moon_curl_name *n = t->name;
    if (!n)
        return;
    if (t->wait_prev) {
        stop_waiting(t);
    } else if (n->first == t) {
        all->under_way--;
        n->first = NULL;
        make_ready_last(all, n);
    }
    if (failed && !n->is_address && now_ns - n->asked_ns >= ASK_AGAIN_NS) {
        n->known_until_ns = 0;
        n->forget = true;
    }
    t->name = NULL;
}

struct moon_curl_transfer *moon_curl_name_take(struct moon_curl_name *n) {
    struct moon_curl_transfer *t = n->waiting;
    if (t) {
        stop_waiting(t);
        t->name = NULL;
    }
    return t;
}
