/* audit_head.c - <log>.head: number and hash of the line that was written last. The chain alone can't tell that lines
 * are missing at its end, nor that the log was removed; the two files together can.
 *
 * One text line: "seq hash synced-seq synced-hash boot". What was written and not synced counts only within the same
 * life of the machine: a crash may lose it. Best effort: a head that can't be written makes nothing fail. */
#include "audit_log_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_MAX 400

static int open_head(const char *path, int flags) {
    struct moon_buf name = MOON_BUF_INIT;
    int fd = -1;
    if (moon_buf_printf(&name, "%s.head", path) == 0)
        fd = open(name.data, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    moon_buf_release(&name);
    return fd;
}

/* "-": not known */
static void boot_id(char out[MOON_PROCESS_ID_SIZE]) {
    struct moon_process self;
    moon_process_self(&self);
    snprintf(out, MOON_PROCESS_ID_SIZE, "%s", self.boot[0] ? self.boot : "-");
}

static bool take(struct audit_chain *chain, const char *seq, const char *hash) {
    char *end;
    audit_chain_init(chain);
    if (strlen(hash) != MOON_SHA256_HEX - 1 || strspn(hash, "0123456789abcdef") != MOON_SHA256_HEX - 1)
        return false;
    chain->seq = strtoull(seq, &end, 10);
    memcpy(chain->hash, hash, MOON_SHA256_HEX);
    return *end == '\0';
}

bool audit_head_read(const char *path, struct audit_chain *chain) {
    char text[HEAD_MAX + 1], boot[MOON_PROCESS_ID_SIZE], *part[5], *rest = NULL;
    int fd = open_head(path, O_RDONLY);
    ssize_t len = fd >= 0 ? pread(fd, text, HEAD_MAX, 0) : -1;
    if (fd >= 0)
        close(fd);
    if (len <= 0)
        return false;
    text[len] = '\0';
    for (int i = 0; i < 5; i++)
        if (!(part[i] = strtok_r(i ? NULL : text, " \n", &rest)))
            return false;
    boot_id(boot);
    bool same = strcmp(part[4], boot) == 0;
    return take(chain, part[same ? 0 : 2], part[same ? 1 : 3]) && chain->seq > 0;
}

void audit_head_write(struct moon_audit_log *log) {
    char text[HEAD_MAX];
    if (log->head_fd < 0 && (log->head_fd = open_head(log->path, O_WRONLY | O_CREAT)) < 0)
        return;
    if (log->boot[0] == '\0')
        boot_id(log->boot);
    int len = snprintf(text, sizeof text, "%llu %s %llu %s %s\n", (unsigned long long)log->chain.seq, log->chain.hash,
                       (unsigned long long)log->synced.seq, log->synced.hash, log->boot);
    if (len <= 0 || (size_t)len >= sizeof text)
        return;
    struct stat st;
    bool there = fstat(log->head_fd, &st) == 0 && st.st_nlink > 0;
    if (!there || pwrite(log->head_fd, text, (size_t)len, 0) != len || ftruncate(log->head_fd, len) != 0) {
        close(log->head_fd); /* somebody has removed it: a new one next time */
        log->head_fd = -1;
    }
}

int audit_head_check(struct moon_audit_log *log, struct moon_err *err) {
    struct audit_chain head = log->head; /* one that does not fit is asked again: nothing is appended */
    if (head.seq == 0 || log->chain.open)
        return 0;
    if (log->chain.seq == 0) { /* it starts again: the first line says so */
        log->replaced = head;
        log->head.seq = 0;
        return 0;
    }
    if (log->chain.seq < head.seq)
        return moon_err_set(
            err, MOON_ECORRUPT,
            "the audit log %s ends with line %llu, but line %llu was written: lines are missing; nothing "
            "is appended to it until it is moved away",
            log->path, (unsigned long long)log->chain.seq, (unsigned long long)head.seq);
    if (log->head_differs)
        return moon_err_set(
            err, MOON_ECORRUPT,
            "line %llu of the audit log %s differs from the one that was written: the log was replaced; nothing "
            "is appended to it until it is moved away",
            (unsigned long long)head.seq, log->path);
    log->head.seq = 0;
    return 0;
}

int audit_put_replaced_event(struct moon_audit_log *log, int64_t wall_ns, struct audit_chain *chain,
                             struct moon_buf *out, struct moon_err *err) {
    struct moon_buf fields = MOON_BUF_INIT;
    int rc = moon_buf_printf(&fields, "{\"action\":\"log_replaced\",\"previous_hash\":\"%s\",\"previous_seq\":%llu}",
                             log->replaced.hash, (unsigned long long)log->replaced.seq);
    if (rc != 0)
        return moon_err_set(err, rc, "out of memory");
    rc = audit_put_event(log, &fields, wall_ns, chain, out, err);
    moon_buf_release(&fields);
    return rc;
}
