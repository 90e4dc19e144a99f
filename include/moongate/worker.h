/* worker.h - a thread of its own beside the loop, for one owner's work that may block for long, or comes in close
 * succession: libuv's pool would be held up by the one, and is slow to wake for the other. */
#ifndef MOONGATE_WORKER_H
#define MOONGATE_WORKER_H

#include "moongate/err.h"

struct moon_loop;
struct moon_worker;

/* The thread is started with the first work. 0 or MOON_ENOMEM. */
int moon_worker_new(struct moon_worker **out, struct moon_loop *loop, struct moon_err *err);
/* Only without work under way. NULL-safe. */
void moon_worker_free(struct moon_worker *w);
/* run(ud) on the thread, then done(ud) on the loop; one at a time. The loop counts it among its works. MOON_ENOMEM: no
 * thread, and done won't be called. */
int moon_worker_start(struct moon_worker *w, void (*run)(void *ud), void (*done)(void *ud), void *ud,
                      struct moon_err *err);

#endif
