/* syncs.c - FILE SECONDS: how often a second this disk takes a page and makes it durable: what an SQLite log does for
  each commit, and no more. Prints the rate. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRAME 4120 /* a log's frame: a page and its header */
#define ROOM  1000 /* frames, then from the beginning again */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    static char frame[FRAME];
    int fd = argc == 3 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
    double seconds = argc == 3 ? strtod(argv[2], NULL) : 0, start;
    long n = 0;
    if (fd < 0)
        return 2;
    for (int i = 0; i < ROOM; i++)
        if (pwrite(fd, frame, FRAME, (off_t)i * FRAME) != FRAME)
            return 1;
    fsync(fd);
    for (start = now(); now() - start < seconds; n++) {
        memset(frame, (int)n, FRAME);
        if (pwrite(fd, frame, FRAME, (off_t)(n % ROOM) * FRAME) != FRAME || fdatasync(fd) != 0)
            return 1;
    }
    printf("%.0f\n", (double)n / (now() - start));
    unlink(argv[1]);
    return 0;
}
