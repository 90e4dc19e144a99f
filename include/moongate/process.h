/* process.h - which process this is, in words that another process of the same machine can check: leases are taken
 * over from a holder that is certainly gone. Layer: base
 *
 * A process id alone is used again, and means nothing elsewhere: with it go the time at which the process began, the
 * kernel's boot id and the pid namespace (two containers of one machine have processes of their own). */
#ifndef MOONGATE_PROCESS_H
#define MOONGATE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#define MOON_PROCESS_HOST_SIZE 256
#define MOON_PROCESS_ID_SIZE   64

struct moon_process {
    char host[MOON_PROCESS_HOST_SIZE]; /* the machine's name, for people */
    char boot[MOON_PROCESS_ID_SIZE];   /* of the kernel's life; "": not known */
    char space[MOON_PROCESS_ID_SIZE];  /* the pid namespace; "": not known */
    int64_t pid;
    int64_t started; /* in ticks since boot; 0: not known */
};

void moon_process_self(struct moon_process *out);

enum moon_process_life { MOON_PROCESS_ALIVE, MOON_PROCESS_GONE, MOON_PROCESS_UNKNOWN };
/* Whether another process lives. UNKNOWN when it is one of another machine, or can't be told. A zombie is GONE. self:
 * from moon_process_self. */
enum moon_process_life moon_process_life(const struct moon_process *self, const struct moon_process *other);

#endif
