/* watchdog.h - a thread that ends the process when a script can't be ended otherwise: one that is past --max-time, or
 * that continues after Ctrl-C in a C function which no hook reaches (a pattern, a string of gigabytes). */
#ifndef MOONGATE_CLI_WATCHDOG_H
#define MOONGATE_CLI_WATCHDOG_H

#include "moongate/err.h"

#include <signal.h>
#include <stdbool.h>

struct moon_host;
struct moon_watchdog;

#define MOON_WATCHDOG_SIGNAL SIGALRM /* to the main thread, when the time is up: moon_host_time_up */

/* To be called on the main thread. max_time: seconds from now; 0: no limit. json: its last word is a
 * document, too. MOON_EIO: no thread to be had. */
int moon_watchdog_start(struct moon_watchdog **out, struct moon_host *host, double max_time, bool json,
                        struct moon_err *err);
/* An interrupt has come. For signal handlers; NULL-safe. */
void moon_watchdog_interrupted(struct moon_watchdog *w);
/* Before the host is freed. NULL-safe. */
void moon_watchdog_stop(struct moon_watchdog *w);

#endif
