/* main.c - main(): reads the global flags, opens a session, runs the Lua command line (lua/moongate/cli.lua) in it. */
#include "session.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MANY_FILES 65536

/* A signal handler gets no argument: the one exception to "no globals". Set before the handlers are, cleared after. */
static struct moon_session *signalled;
static pthread_t main_thread;
static const char stopping[] = "\nstopping at the next safe point (Ctrl-C again: immediately)\n";

/* The first signal (Ctrl-C, SIGTERM, SIGHUP) stops what runs, a run where it can be resumed, and the program winds up:
 * metrics, spans, leases, status. The second ends the process. At a prompt Ctrl-C ends a line. */
static void on_signal(int sig) {
    static volatile sig_atomic_t seen;
    if (!pthread_equal(pthread_self(), main_thread)) {
        pthread_kill(main_thread, sig);
        return;
    }
    if (sig == SIGINT && moon_host_interrupt_line(signalled->host)) {
        moon_watchdog_interrupted(signalled->watchdog);
        return;
    }
    if (sig == SIGHUP && seen) /* a shell that ends, and the terminal that is gone, both send one */
        return;
    if (seen++ || (sig == SIGINT && moon_host_has_prompt(signalled->host))) /* a line that two did not end */
        _exit(130);
    moon_store_queue_hurry(signalled->store);
    moon_audit_queue_hurry(signalled->audit);
    enum moon_stop_kind stops = moon_host_stop(signalled->host);
    if (stops == MOON_STOP_NONE)
        moon_host_interrupt(signalled->host);
    moon_watchdog_interrupted(signalled->watchdog); /* after the host, which it asks whether something is to end */
    if (stops == MOON_STOP_RUN && signalled->on_terminal && write(STDERR_FILENO, stopping, sizeof stopping - 1) < 0)
        return; /* nobody sees it, then */
}

/* --max-time is over: the watchdog says so, and hooks can be set by this thread only. */
static void on_time_up(int sig) {
    (void)sig;
    moon_store_queue_hurry(signalled->store);
    moon_audit_queue_hurry(signalled->audit);
    moon_host_time_up(signalled->host);
}

static void catch_signals(struct moon_session *session) {
    struct sigaction sa = {.sa_handler = session ? on_signal : SIG_DFL};
    struct sigaction before;
    struct sigaction time_up = {.sa_handler = session ? on_time_up : SIG_IGN};
    sigemptyset(&sa.sa_mask);
    main_thread = pthread_self();
    if (session) {
        session->on_terminal = isatty(STDERR_FILENO);
        signalled = session;
    }
    sigaction(MOON_WATCHDOG_SIGNAL, &time_up, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* ignored: nohup's choice */
        sigaction(SIGHUP, &sa, NULL);
}

/* A closed stdin, stdout or stderr would be the next file or socket that is opened, and results would go there. What
 * stands in for a closed stdout can't be written to, so that the result's loss is noticed. */
static void fill_standard_files(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return;
}

/* This process holds secrets: no core file, and no other process of the user may read its memory. (The leak check of a
 * sanitizer build is such a process.) */
static void forbid_dumps(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

/* A shell's usual 1,024 open files are few for tasks that wait by the thousand; the limit that was set for us to keep
 * is the hard one. */
static void allow_many_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    rlim_t want = files.rlim_max < MANY_FILES ? files.rlim_max : MANY_FILES;
    if (files.rlim_cur < want) {
        files.rlim_cur = want;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv) {
    struct moon_options options;
    struct moon_session session = {0};
    struct moon_err err;
    int status;
    fill_standard_files();
    forbid_dumps();
    allow_many_files();
    signal(SIGPIPE, SIG_IGN); /* a write fails instead, and says so */
    signal(SIGXFSZ, SIG_IGN); /* so does one beyond a limit of the file size */
    if (!moon_options_parse(&options, argc, argv)) {
        fputs("moongate: out of memory\n", stderr);
        return 1;
    }
    if (moon_session_open(&session, &options, &err) == 0) {
        catch_signals(&session);
        status = moon_session_run(&session);
        catch_signals(NULL);
    } else {
        status = moon_session_fail(&session, &err);
    }
    moon_session_close(&session);
    moon_options_release(&options);
    return status;
}
