/* audit_verify.c - walks a log from its first line to its last. */
#include "moongate/audit_log.h"

#include "audit_log_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Intents in order of their seq; settled ones are swept out when there are many. */
struct intents {
    struct {
        uint64_t seq;
        bool settled;
    } * list;
    size_t len, cap, settled;
};

static void sweep(struct intents *t) {
    size_t kept = 0;
    for (size_t i = 0; i < t->len; i++)
        if (!t->list[i].settled)
            t->list[kept++] = t->list[i];
    t->len = kept;
    t->settled = 0;
}

static int add_intent(struct intents *t, uint64_t seq) {
    if (t->len == t->cap && t->settled > t->len / 2)
        sweep(t);
    if (t->len == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        void *grown = realloc(t->list, cap * sizeof *t->list);
        if (!grown)
            return MOON_ENOMEM;
        t->list = grown;
        t->cap = cap;
    }
    t->list[t->len].seq = seq;
    t->list[t->len++].settled = false;
    return 0;
}

static void settle(struct intents *t, uint64_t seq) {
    size_t lo = 0, hi = t->len;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->list[mid].seq < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < t->len && t->list[lo].seq == seq && !t->list[lo].settled) {
        t->list[lo].settled = true;
        t->settled++;
    }
}

/* Those that are not settled, as a list of their own. */
static int take_open(struct intents *t, uint64_t **list, size_t *n) {
    sweep(t);
    *n = 0;
    if (t->len == 0)
        return 0;
    *list = malloc(t->len * sizeof **list);
    if (!*list)
        return MOON_ENOMEM;
    for (; *n < t->len; ++*n)
        (*list)[*n] = t->list[*n].seq;
    return 0;
}

/* What a walk collects. */
struct collected {
    struct intents own, earlier; /* earlier: intents of the lines before the first that are settled here */
};

static int note(struct collected *c, struct moon_audit_report *report, const struct audit_facts *facts, uint64_t seq) {
    report->set_aside += facts->set_aside;
    if (facts->phase == MOON_AUDIT_INTENT)
        return add_intent(&c->own, seq);
    if (facts->phase == MOON_AUDIT_OUTCOME && facts->intent < report->first_seq)
        return add_intent(&c->earlier, facts->intent);
    if (facts->phase == MOON_AUDIT_OUTCOME)
        settle(&c->own, facts->intent);
    return 0;
}

static void collected_release(struct collected *c) {
    free(c->own.list);
    free(c->earlier.list);
}

/* The first line that is not good. Torn: only when it is the last. */
static void judge(struct moon_hasher *h, struct moon_audit_report *report, const struct audit_scan *scan,
                  const struct audit_chain *chain, const char *line, size_t len, int bad, const char *why) {
    bool last = scan->line_end >= scan->end && !scan->overlong;
    report->bad_line = (report->lines > 0 || chain->open ? chain->seq : 0) + 1;
    report->torn = last && (bad == 0 || bad == MOON_EPARSE || !scan->terminated) &&
                   audit_line_torn(h, line, len, scan->terminated, chain);
    if (report->torn)
        report->torn_bytes = (uint64_t)(scan->line_end - scan->line_start);
    snprintf(report->reason, sizeof report->reason, "%s%.150s", report->torn ? "the last line is torn: " : "",
             bad == 0         ? "it has no line break"
             : scan->overlong ? "it is longer than a line may be"
                              : why);
}

/* What the first line says: which log this one continues, if any. */
static void note_start(struct moon_audit_report *report, const struct audit_facts *facts,
                       const struct audit_chain *chain, const char *line, size_t len) {
    report->first_seq = chain->seq;
    report->continued = chain->seq > 1 && audit_line_is(line, len, "audit_continued");
    memcpy(report->first_prev, facts->prev, sizeof report->first_prev);
    if (facts->previous > 0) {
        report->previous = facts->previous;
        memcpy(report->previous_hash, facts->previous_hash, sizeof report->previous_hash);
    }
}

static int walk(int fd, off_t end, const struct audit_chain *head, struct moon_hasher *h, struct collected *c,
                struct moon_audit_report *report, struct moon_err *err) {
    struct audit_scan scan;
    struct audit_chain chain;
    const char *line;
    size_t len;
    int rc;
    audit_chain_init(&chain);
    audit_scan_init(&scan, fd, 0, end);
    while ((rc = audit_scan_next(&scan, &line, &len, err)) == 1) {
        struct audit_facts facts;
        struct moon_err why;
        if (report->lines == 0) /* a log that continues a segment begins with any number */
            chain.open = scan.terminated && audit_line_is(line, len, "audit_continued");
        struct audit_chain before = chain;
        int bad = audit_line_check(h, line, len, &chain, &facts, &why);
        if (bad == MOON_ENOMEM) {
            rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
            break;
        }
        if (bad != 0 || !scan.terminated) {
            judge(h, report, &scan, &before, line, len, bad, why.message);
            chain = before;
            rc = 0;
            break;
        }
        if (report->lines++ == 0)
            note_start(report, &facts, &chain, line, len);
        report->rotated = scan.line_end >= end && audit_line_is(line, len, "audit_rotated");
        if (head->seq == chain.seq && memcmp(head->hash, chain.hash, sizeof chain.hash) != 0) {
            report->bad_line = chain.seq;
            snprintf(report->reason, sizeof report->reason, "it is not the line that was written: its hash was %.64s",
                     head->hash);
            rc = 0;
            break;
        }
        if (note(c, report, &facts, chain.seq) != 0) {
            rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
            break;
        }
    }
    if (rc == 0 && report->bad_line == 0 && chain.seq < head->seq) {
        report->bad_line = chain.seq + 1;
        snprintf(report->reason, sizeof report->reason, "the log ends before it, but line %llu was written",
                 (unsigned long long)head->seq);
    }
    report->last_seq = chain.seq;
    memcpy(report->last_hash, chain.hash, sizeof report->last_hash);
    audit_scan_release(&scan);
    return rc;
}

int moon_audit_verify(const char *path, struct moon_audit_report *report, struct moon_err *err) {
    struct collected c = {0};
    struct moon_hasher *h = NULL;
    off_t end;
    struct audit_chain head;
    memset(report, 0, sizeof *report);
    if (!audit_head_read(path, &head)) /* before the log: it may grow at any time */
        head.seq = 0;
    report->head = head.seq;
    int rc = 0, fd = audit_open_read(path, &end, err);
    if (fd < 0)
        return fd;
    if (moon_hasher_new(&h) != 0)
        rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (rc == 0)
        rc = walk(fd, end, &head, h, &c, report, err);
    if (rc == 0 && (take_open(&c.own, &report->open_intents, &report->nopen) != 0 ||
                    take_open(&c.earlier, &report->settled, &report->nsettled) != 0))
        rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (rc == 0 && report->bad_line > 0)
        rc = moon_err_set(err, MOON_EVERIFY, "%s: line %llu: %s", path, (unsigned long long)report->bad_line,
                          report->reason);
    collected_release(&c);
    moon_hasher_free(h);
    close(fd);
    return rc;
}

int audit_open_intents(int fd, off_t end, struct moon_hasher *h, uint64_t *first, uint64_t *count,
                       struct moon_err *err) {
    struct collected c = {0};
    struct moon_audit_report report = {0};
    const struct audit_chain none = {0};
    int rc = walk(fd, end, &none, h, &c, &report, err);
    sweep(&c.own);
    *count = c.own.len;
    *first = c.own.len > 0 ? c.own.list[0].seq : 0;
    collected_release(&c);
    return rc;
}

void moon_audit_report_release(struct moon_audit_report *report) {
    free(report->open_intents);
    free(report->settled);
    report->open_intents = report->settled = NULL;
    report->nopen = report->nsettled = 0;
}
