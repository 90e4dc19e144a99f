/* main.c - moongate's main(): makes the session's services, a VM on them, and runs the Lua command line in it. */
#include "moongate/clock.h"
#include "moongate/host.h"
#include "moongate/log.h"
#include "moongate/loop.h"
#include "moongate/modules.h"
#include "moongate/redact.h"
#include "moongate/rng.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A signal handler gets no argument: the one global of the program. */
static struct moon_host *signalled;
static pthread_t main_thread;

static void on_signal(int sig) {
    if (!pthread_equal(pthread_self(), main_thread)) {
        pthread_kill(main_thread, sig);
        return;
    }
    moon_host_interrupt(signalled);
    signal(sig, SIG_DFL); /* the second one ends the process whatever it does */
}

static void catch_signals(struct moon_host *host) {
    struct sigaction sa = {.sa_handler = on_signal};
    signalled = host;
    main_thread = pthread_self();
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int say(const struct moon_err *err) {
    fprintf(stderr, "moongate: %s\n", err->message);
    return err->code == MOON_EINTERRUPT ? 130 : err->code == MOON_EBUG ? 70 : 1;
}

/* A test file whose first line says "virtual clock" runs on one. */
static int wants_virtual(int argc, char **argv) {
    char line[256] = "";
    FILE *f;
    if (argc < 3 || strcmp(argv[1], "test") != 0 || !(f = fopen(argv[2], "r")))
        return 0;
    if (!fgets(line, sizeof line, f))
        line[0] = '\0';
    fclose(f);
    return strstr(line, "virtual clock") != NULL;
}

int main(int argc, char **argv) {
    struct moon_err err;
    struct moon_host *host = NULL;
    struct moon_log log;
    struct moon_rng rng;
    struct moon_vclock vclock;
    struct moon_clock clock = moon_clock_system();
    struct moon_host_opts opts = {.modules = moon_modules, .lua_dir = getenv("MOONGATE_LUA_DIR")};
    int status = 1, is_virtual = wants_virtual(argc, argv);

    moon_vclock_init(&vclock, moon_wall_ns(&clock));
    if (is_virtual)
        clock = moon_clock_virtual(&vclock);
    moon_log_init(&log, 2, MOON_LOG_INFO);
    moon_rng_init_system(&rng);
    opts.services.log = &log;
    opts.services.rng = &rng;
    if (moon_redact_new(&opts.services.redact) != 0) {
        fprintf(stderr, "moongate: out of memory\n");
        return 1;
    }
    log.redact = opts.services.redact;
    if (moon_loop_new(&opts.services.loop, &clock, is_virtual ? &vclock : NULL, &err) != 0 ||
        moon_host_new(&host, &opts, &err) != 0) {
        status = say(&err);
    } else {
        catch_signals(host);
        if (moon_host_main(host, "moongate.cli", argc, argv, &status, &err) != 0)
            status = say(&err);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
    }
    moon_host_free(host);
    moon_loop_free(opts.services.loop);
    moon_redact_free(opts.services.redact);
    return status;
}
