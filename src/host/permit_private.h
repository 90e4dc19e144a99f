/* permit_private.h - what permit.c and permit_note.c share. */
#ifndef MOONGATE_HOST_PERMIT_PRIVATE_H
#define MOONGATE_HOST_PERMIT_PRIVATE_H

#include "moongate/buf.h"
#include "moongate/net_rule.h"
#include "moongate/permit.h"

#include <stdint.h>

#define PERMIT_RULES_MAX 256

struct moon_permit {
    bool enforced, all, closed;
    struct moon_net_rule *net;
    size_t n_net;
    char **env;
    size_t n_env;
    struct moon_roots read, write, of_closed, nowhere;
    const struct moon_clock *clock;
    struct moon_audit_queue *audit;
    int log; /* -1: none */
    bool log_failed;
    uint64_t *denied; /* hashes of what the audit log has recorded */
    size_t n_denied;
    struct moon_buf refused; /* origins, each with its NUL */
};

#endif
