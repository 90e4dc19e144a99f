/* session.h - one run of the program: the services that the global flags and the project file ask for, a VM on them,
 * and the Lua command line in it. Made in order, taken down in reverse. */
#ifndef MOONGATE_CLI_SESSION_H
#define MOONGATE_CLI_SESSION_H

#include "options.h"
#include "project.h"
#include "watchdog.h"

#include "moongate/audit_queue.h"
#include "moongate/clock.h"
#include "moongate/credentials.h"
#include "moongate/host.h"
#include "moongate/http.h"
#include "moongate/log.h"
#include "moongate/loop.h"
#include "moongate/permit.h"
#include "moongate/proxy.h"
#include "moongate/redact.h"
#include "moongate/rng.h"
#include "moongate/store_queue.h"

struct moon_session {
    const struct moon_options *options; /* borrowed */
    struct moon_log log;
    struct moon_rng rng;
    struct moon_clock clock;
    struct moon_vclock vclock;
    struct moon_redact *redact;
    struct moon_loop *loop;
    struct moon_project *project;      /* NULL: none */
    struct moon_err project_err;       /* code 0, or why the project file can't be read, or is not used */
    bool project_allowed;              /* it may grant permissions, and its folder's workflows may run: trust.h */
    bool project_changed;              /* it was allowed, and has changed since */
    struct moon_buf state, audit_path; /* the state folder and the audit log */
    struct moon_buf store_url;         /* where runs, leases and the rest are kept: a password may be in it */
    struct moon_err state_err;         /* code 0, or what is wrong with --state */
    struct moon_credentials credentials;
    struct moon_err credentials_err; /* code 0, or why they can't be resolved */
    char run[136];                   /* the run whose events are logged now; empty: none */
    bool simulated;                  /* the credentials are a simulated gateway's */
    struct moon_proxies proxies;     /* of the environment, for every call that leaves this machine */
    struct moon_http *http;
    struct moon_audit_queue *audit;
    struct moon_store_queue *store;
    struct moon_permit *permit;
    struct moon_err permit_err; /* code 0, or what is wrong with the permissions of flags and project file */
    bool permit_filled;
    bool tests;                     /* what runs are tests, which may do everything */
    struct moon_watchdog *watchdog; /* NULL: no limit, and no script so far */
    struct moon_host *host;
    struct moon_screen screen; /* a prompt */
    bool line_shown;           /* a progress line stands on the terminal */
    bool on_terminal;          /* standard error is one: an interruption of a run is acknowledged */
    bool may_interrupt;        /* Ctrl-C is the expected end: status 0 */
};

/* Zeroed memory. After a failure, too, the caller calls _close. */
int moon_session_open(struct moon_session *s, const struct moon_options *o, struct moon_err *err);
/* Runs the Lua command line; the exit status. */
int moon_session_run(struct moon_session *s);
void moon_session_close(struct moon_session *s);
/* Tells of a failure that Lua could not tell of; returns the exit status. */
int moon_session_fail(const struct moon_session *s, const struct moon_err *err);

/* credentials.c's input from flags and project. gateway_url not NULL: that gateway and this client, nothing else is
 * asked. Fills s->credentials or s->credentials_err. */
void moon_session_credentials(struct moon_session *s, const char *gateway_url, const char *client_id,
                              const char *client_secret);

/* ---- plain_http.c ---- */
/* Whether the URL is plain HTTP to another machine, and not allowed. */
bool moon_session_plain_http(const struct moon_session *s, const char *url);
int moon_session_check_plain_http(const struct moon_session *s, struct moon_err *err); /* MOON_EINVAL: a bad rule */

/* Says in the audit log from here on who writes, at which gateway, and for which run (NULL: none). */
int moon_session_identify(struct moon_session *s, const char *run, struct moon_err *err);

/* l_session.c: adds the session's functions to the module "moongate.host". Protected by the caller. */
int moon_session_extend(lua_State *L); /* 1: light userdata, the session */

#endif
