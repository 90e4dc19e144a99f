/* permit.h - what a user's script may do: hosts, files to read and to write, variables of the environment. One for a
 * session. Until it is enforced everything is allowed: what runs is the program's own code, on behalf of who started
 * it. From then on a script has been loaded, and all code of the process, whoever calls it, keeps to the rules.
 *
 * The loop's thread fills it and asks it; moon_permit_roots may be used on any thread once it is enforced. */
#ifndef MOONGATE_PERMIT_H
#define MOONGATE_PERMIT_H

#include "moongate/beneath.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>

struct moon_audit_queue;
struct moon_clock;
struct moon_permit;
struct sockaddr;

enum moon_permission { MOON_PERMIT_NET, MOON_PERMIT_READ, MOON_PERMIT_WRITE, MOON_PERMIT_ENV, MOON_PERMISSIONS };
extern const char *const moon_permission_names[MOON_PERMISSIONS]; /* "net", "read", "write", "env" */

/* clock and audit are borrowed; audit may be NULL. */
int moon_permit_new(struct moon_permit **out, const struct moon_clock *clock, struct moon_audit_queue *audit,
                    struct moon_err *err);
void moon_permit_free(struct moon_permit *p); /* NULL-safe */

/* ---- rules ---- */
/* One of --allow-net=HOST[:PORT] (net_rule.h), --allow-read=PATH, --allow-write=PATH, --allow-env=NAME. MOON_EINVAL
 * names what is wrong; MOON_EIO: the path can't be looked at; MOON_ERANGE: too many. */
int moon_permit_allow(struct moon_permit *p, enum moon_permission kind, const char *what, struct moon_err *err);
/* A host that the user has set up, such as the gateway: it may be on this machine or in a private network. */
int moon_permit_allow_own(struct moon_permit *p, const char *host, struct moon_err *err);
/* A host that the rules so far allow under this name no longer does: for what a server of our own stood for. */
void moon_permit_forget_net(struct moon_permit *p, const char *host);
/* Out of reach of scripts whatever is allowed: this program's own files. */
int moon_permit_keep(struct moon_permit *p, const char *path, bool read_too, struct moon_err *err);
/* No request goes to the URL's origin, whatever else is allowed, unless this program listens there itself. */
int moon_permit_refuse_url(struct moon_permit *p, const char *url, struct moon_err *err);
void moon_permit_allow_all(struct moon_permit *p); /* but link-local and metadata addresses */
void moon_permit_enforce(struct moon_permit *p);
/* From here on a script may do nothing at all but read below folder (NULL: nowhere), whatever is allowed: what is read
 * is what its files say of themselves, and nobody has asked for it to run. */
int moon_permit_close(struct moon_permit *p, const char *folder, struct moon_err *err);
bool moon_permit_enforced(const struct moon_permit *p); /* and not everything is allowed */

/* ---- questions; p NULL: yes to all ---- */
/* what: "https://host:port", "host" or "host:port"; a variable's name. Not for files: those are decided when they are
 * opened. 0; or MOON_EDENIED, and the message names the flag. */
int moon_permit_check(const struct moon_permit *p, enum moon_permission kind, const char *what, struct moon_err *err);
/* What files are to be opened below; NULL: anything may. */
const struct moon_roots *moon_permit_roots(const struct moon_permit *p, enum moon_permission kind);
/* The error for a path that is not allowed: of the message that beneath.h has left in err. Returns MOON_EDENIED. */
int moon_permit_refuse(enum moon_permission kind, const char *path, struct moon_err *err);
/* The address that origin's name has led to. MOON_EDENIED: see net_rule.h. */
int moon_permit_address(const struct moon_permit *p, const char *origin, const struct sockaddr *address,
                        struct moon_err *err);
/* Whether all that the rule `what` would allow is allowed already. MOON_EINVAL: no such rule can be. */
int moon_permit_covers(const struct moon_permit *p, enum moon_permission kind, const char *what, bool *covered,
                       struct moon_err *err);

/* ---- the record ---- */
/* Each access from here on is a JSON line in this file. */
int moon_permit_log(struct moon_permit *p, const char *path, struct moon_err *err);
/* An access was asked for: goes to the file, and, once for each thing that was denied, to the audit log. */
void moon_permit_note(struct moon_permit *p, enum moon_permission kind, const char *what, bool allowed);

#endif
