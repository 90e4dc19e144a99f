/* postgres_commit.c - a COMMIT, and finding out about one whose answer was lost.
 *
 * This process's row in moongate_commits is changed by each of its transactions, as the last thing before COMMIT. The
 * next connection takes the row over, which waits for a COMMIT under way and shuts out one that is still on its way. */
#include "postgres_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Fails (division by zero), and with it the COMMIT behind it, where a newer connection of ours has shut this one out.
 */
static const char touch[] = "WITH mine AS (UPDATE moongate_commits SET n = $3, at = floor(extract(epoch FROM now()) * "
                            "1000)::bigint WHERE id = $1 AND fence = $2 RETURNING 1) SELECT 1 / count(*) FROM mine";

/* Did the COMMIT whose answer is missing happen? 0: yes; MOON_STORE_AGAIN: no, and it won't. */
static int ask_later(struct pg_store *s, struct moon_err *err) {
    struct moon_err why;
    s->lost = true;
    if (pg_ensure(s, &why) == 0)
        return s->committed == s->commits ? 0 : MOON_STORE_AGAIN;
    return moon_err_set(err, MOON_ESTORE,
                        "the connection to the state %s was lost while it committed, and whether it did can't be found "
                        "out (%.200s)",
                        s->shown, why.message);
}

int pg_commit(struct pg_store *s, struct moon_err *err) {
    char fence[24], number[24];
    const char *values[] = {s->session, fence, number};
    PGresult *res = NULL;
    bool sent = false, committed = false;
    snprintf(fence, sizeof fence, "%" PRId64, s->fence);
    snprintf(number, sizeof number, "%" PRId64, ++s->commits);
    int rc = pg_send(s, touch, 3, values, err);
    if (rc == 0)
        rc = pg_send(s, "COMMIT", 0, NULL, err);
    if (rc == 0) {
        sent = true;
        rc = pg_sync(s);
    }
    if (rc == 0)
        rc = pg_receive(s, NULL, touch, err);
    if (rc != PG_LOST) {
        struct moon_err later;
        int end = pg_receive(s, &res, "COMMIT", rc == 0 ? err : &later);
        committed = end == 0 && strcmp(s->pq.PQcmdStatus(res), "COMMIT") == 0;
        s->pq.PQclear(res);
        rc = end == PG_LOST || pg_receive_sync(s) != 0 ? PG_LOST : rc == 0 ? end : rc;
    }
    if (committed)
        return 0;
    if (rc == PG_LOST)
        return sent ? ask_later(s, err) : MOON_STORE_AGAIN;
    return rc != 0 ? rc : MOON_STORE_AGAIN;
}
