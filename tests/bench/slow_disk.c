/* slow_disk.c - preloaded: a disk that gives 5,000 syncs a second, whatever the real one does: each takes 200 us, most
 * of them asleep. */
#include <errno.h>
#include <sys/prctl.h>
#include <time.h>

static int wait_for_disk(void) {
    static __thread int precise;
    struct timespec t, now;
    if (!precise)
        precise = prctl(PR_SET_TIMERSLACK, 1UL) == 0;
    clock_gettime(CLOCK_MONOTONIC, &t);
    long long until = t.tv_sec * 1000000000LL + t.tv_nsec + 200000, asleep = until - 50000; /* waking up takes some */
    t.tv_sec = asleep / 1000000000;
    t.tv_nsec = asleep % 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while (now.tv_sec * 1000000000LL + now.tv_nsec < until);
    return 0;
}

int fdatasync(int fd);
int fsync(int fd);
int fdatasync(int fd) {
    return fd < 0 ? -1 : wait_for_disk();
}
int fsync(int fd) {
    return fd < 0 ? -1 : wait_for_disk();
}
