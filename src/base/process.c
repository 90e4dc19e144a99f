/* process.c - a process's identity and life, from /proc. */
#include "moongate/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first bytes of a small file, without the line break at their end. -1: it can't be read. */
static int read_small(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    if (n < 0)
        return -1;
    out[n] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return 0;
}

/* The state and the time of the start of a process: fields 3 and 22 of its stat. The name in between may hold anything,
 * but ends at the last ')'. */
static int read_stat(int64_t pid, char *state, int64_t *started) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    if (read_small(path, text, sizeof text) != 0)
        return -1;
    char *p = strrchr(text, ')');
    if (!p || p[1] != ' ')
        return -1;
    *state = p[2];
    p += 2;
    for (int field = 3; field < 22; field++) {
        p = strchr(p, ' ');
        if (!p)
            return -1;
        p++;
    }
    *started = strtoll(p, NULL, 10);
    return 0;
}

void moon_process_self(struct moon_process *out) {
    char state;
    memset(out, 0, sizeof *out);
    if (gethostname(out->host, sizeof out->host - 1) != 0 || out->host[0] == '\0')
        memcpy(out->host, "?", 2);
    if (read_small("/proc/sys/kernel/random/boot_id", out->boot, sizeof out->boot) != 0)
        out->boot[0] = '\0';
    ssize_t n = readlink("/proc/self/ns/pid", out->space, sizeof out->space - 1);
    out->space[n > 0 ? n : 0] = '\0';
    out->pid = getpid();
    if (read_stat(out->pid, &state, &out->started) != 0)
        out->started = 0;
}

enum moon_process_life moon_process_life(const struct moon_process *self, const struct moon_process *other) {
    char state;
    int64_t started;
    if (self->boot[0] == '\0' || self->space[0] == '\0' || strcmp(self->boot, other->boot) != 0 ||
        strcmp(self->space, other->space) != 0 || other->pid <= 0)
        return MOON_PROCESS_UNKNOWN;
    /* Where /proc hides the processes of other users, kill still tells: EPERM is somebody's. */
    if (kill((pid_t)other->pid, 0) != 0 && errno == ESRCH)
        return MOON_PROCESS_GONE;
    if (other->started <= 0 || read_stat(other->pid, &state, &started) != 0)
        return MOON_PROCESS_UNKNOWN;
    if (started != other->started || state == 'Z' || state == 'X')
        return MOON_PROCESS_GONE;
    return MOON_PROCESS_ALIVE;
}
