/* auth_mint.c - a token request: OAuth 2.0 client credentials (RFC 6749, 4.4).
 *
 * The HTTP client below retries what it retries everywhere. On top of that, the gateway's login host says "slow down"
 * with a 400, invalid_request, "rate limit exceeded"; those are tried again here, with back-off. */
#include "auth_internal.h"

#include "moongate/json.h"
#include "moongate/reason.h"
#include "moongate/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINT_DEADLINE_NS (30 * MOON_NS_PER_S)
#define MINT_TRIES       6

static void try_mint(void *ud);

static void ended(struct moon_auth *a) {
    if (a->failure.code)
        moon_token_mint_failed(&a->token);
    moon_loop_defer(a->loop, &a->ended, moon_auth_mint_ended, a);
}

static void fail(struct moon_auth *a, int code, const char *what, const char *hint) {
    size_t n = strlen(a->login_origin);
    if (strncmp(what, a->login_origin, n) == 0 && strncmp(what + n, ": ", 2) == 0)
        what += n + 2; /* it is named once */
    snprintf(a->hint, sizeof a->hint, "%s", hint);
    moon_err_set(&a->failure, code, "no token from %s: %s", a->login_origin, what);
    ended(a);
}

/* What a token answer may hold, of either kind. Strings lie in the answer or in the reader. */
struct answer {
    char *token;
    size_t token_len;
    int64_t expires_in;
    char error[64], description[160], scope[MOON_AUTH_SCOPE_SIZE];
};

static void copy_text(char *to, size_t size, const struct moon_json_token *t) {
    size_t n = t->len < size - 1 ? t->len : size - 1;
    memcpy(to, t->text, n);
    to[n] = '\0';
}

/* One member of the top-level object. */
static int take(struct answer *an, const char *key, const struct moon_json_token *t) {
    if (t->type == MOON_JSON_STRING && strcmp(key, "access_token") == 0) {
        if (an->token || !(an->token = malloc(t->len + 1)))
            return -1;
        memcpy(an->token, t->text, t->len);
        an->token[an->token_len = t->len] = '\0';
    } else if (t->type == MOON_JSON_INT && strcmp(key, "expires_in") == 0) {
        an->expires_in = t->integer;
    } else if (t->type == MOON_JSON_NUMBER && strcmp(key, "expires_in") == 0 && t->number > 0 && t->number < 1e9) {
        an->expires_in = (int64_t)t->number;
    } else if (t->type == MOON_JSON_STRING && strcmp(key, "scope") == 0 && t->len < sizeof an->scope) {
        copy_text(an->scope, sizeof an->scope, t);
    } else if (t->type == MOON_JSON_STRING && strcmp(key, "error") == 0) {
        copy_text(an->error, sizeof an->error, t);
    } else if (t->type == MOON_JSON_STRING &&
               (strcmp(key, "error_description") == 0 || (strcmp(key, "description") == 0 && !an->description[0]))) {
        copy_text(an->description, sizeof an->description, t);
    }
    return 0;
}

/* Read as tokens, not into a tree: the token is in one place only, and wiped. */
static int read_answer(struct answer *an, const struct moon_buf *body) {
    struct moon_json_reader r;
    struct moon_json_token t;
    char key[32] = "";
    int depth = 0, rc;
    moon_json_reader_init(&r, body->len ? body->data : "", body->len, 16);
    while ((rc = moon_json_next(&r, &t, NULL)) == 0 && t.type != MOON_JSON_END) {
        if (t.type == MOON_JSON_KEY)
            copy_text(key, sizeof key, &t);
        else if (t.type == MOON_JSON_OBJECT || t.type == MOON_JSON_ARRAY)
            depth++;
        else if (t.type == MOON_JSON_OBJECT_END || t.type == MOON_JSON_ARRAY_END)
            depth--;
        else if (depth == 1 && (rc = take(an, key, &t)) != 0)
            break;
    }
    if (r.scratch.data)
        moon_wipe(r.scratch.data, r.scratch.cap);
    moon_json_reader_release(&r);
    return rc;
}

static void accept(struct moon_auth *a, const struct answer *an) {
    int64_t now = moon_loop_now_ns(a->loop);
    if (a->redact && moon_redact_add(a->redact, an->token, an->token_len) != 0) {
        fail(a, MOON_ENOMEM, "out of memory", "");
        return;
    }
    int rc = moon_token_minted(&a->token, an->token, an->token_len, an->expires_in, now);
    if (rc != 0) { /* the mint has failed in there */
        moon_err_set(&a->failure, rc == MOON_ENOMEM ? rc : MOON_EPROTOCOL, "no token from %s: %s", a->login_origin,
                     rc == MOON_ENOMEM ? "out of memory" : "what it sent is not usable as one");
        moon_loop_defer(a->loop, &a->ended, moon_auth_mint_ended, a);
        return;
    }
    memcpy(a->scope, an->scope, sizeof a->scope);
    int64_t life = an->expires_in > 0 ? an->expires_in : MOON_TOKEN_DEFAULT_LIFE_S;
    a->expires_at_ns = moon_wall_ns(moon_loop_clock(a->loop)) + life * MOON_NS_PER_S;
    ended(a);
}

static bool is_rate_limit(const struct moon_http_result *r, const struct answer *an) {
    return r->status == 400 && strcmp(an->error, "invalid_request") == 0 &&
           strstr(an->description, "rate limit exceeded") != NULL;
}

static bool wait_and_try_again(struct moon_auth *a) {
    const struct moon_retry_policy policy = MOON_RETRY_POLICY_DEFAULT;
    int64_t wait = moon_retry_backoff_ns(&policy, a->tries, a->rng);
    return a->tries < MINT_TRIES && moon_loop_now_ns(a->loop) + wait < a->give_up_ns &&
           moon_timer_start(a->loop, &a->again, wait, try_mint, a) == 0;
}

/* "status 400, invalid_scope: unknown scope x"; of a redirect, where it leads, without the query. */
static void put_refusal(char *what, size_t size, const struct moon_http_result *r, const struct answer *an) {
    struct moon_reason reason;
    size_t tlen = 0, llen = 0;
    char first[400];
    const char *type = moon_http_result_header(r, "content-type", 12, &tlen);
    const char *to = r->status < 400 ? moon_http_result_header(r, "location", 8, &llen) : NULL;
    const char *said = an->description, *code = an->error;
    int rc = moon_reason_read(&reason, type, tlen, r->body.len ? r->body.data : "", r->body.len);
    if (rc == 0 && !*said && reason.message) {
        said = moon_reason_text(&reason, reason.message);
    } else if (rc == 0 && !*said && reason.n) {
        const char *field = moon_reason_text(&reason, reason.items[0].field);
        snprintf(first, sizeof first, "%s%s%s", field, *field ? ": " : "",
                 moon_reason_text(&reason, reason.items[0].message));
        said = first;
    }
    if (rc == 0 && !*code)
        code = moon_reason_text(&reason, reason.code);
    if (to)
        snprintf(what, size, "status %d: redirects are not followed to %.*s", r->status, (int)strcspn(to, "?#\r\n"),
                 to);
    else
        snprintf(what, size, "status %d%s%s%s%s", r->status, *code ? ", " : "", code,
                 *said && strcmp(said, code) != 0 ? ": " : "", strcmp(said, code) != 0 ? said : "");
    moon_reason_release(&reason);
}

static void refused(struct moon_auth *a, const struct moon_http_result *r, const struct answer *an) {
    char what[600];
    const char *hint = r->message.len ? r->hint.data : ""; /* one that is about TLS or a proxy */
    if (is_rate_limit(r, an) && wait_and_try_again(a))
        return;
    if (strcmp(an->error, "invalid_client") == 0 || (r->status == 401 && !an->error[0]))
        snprintf(what, sizeof what,
                 "it does not know this client (invalid_client): check the client id and secret, and that the region "
                 "is right");
    else if (r->message.len && !an->error[0])
        snprintf(what, sizeof what, "status %d: %s", r->status, r->message.data);
    else
        put_refusal(what, sizeof what, r, an);
    bool rejected = r->status == 400 || r->status == 401 || r->status == 403;
    if (r->status >= 500 || r->status == 429 || is_rate_limit(r, an))
        fail(a, MOON_ENETWORK, what, hint); /* it is away, as if it could not be reached */
    else
        fail(a, rejected ? MOON_EAUTH : MOON_EHTTP, what, hint);
}

static void on_answer(void *ud) {
    struct moon_auth *a = ud;
    struct moon_http_result *r = moon_http_take(a->call);
    struct answer an = {.expires_in = 0};
    int rc = r->code == 0 ? read_answer(&an, &r->body) : 0;
    moon_http_call_free(a->call);
    a->call = NULL;
    if (r->code)
        fail(a, r->code, r->message.len ? r->message.data : moon_code_name(r->code), r->hint.len ? r->hint.data : "");
    else if (r->status != 200)
        refused(a, r, &an);
    else if (rc != 0 || an.token_len == 0)
        fail(a, MOON_EPROTOCOL, "its answer holds no access_token: is this the login host?", "");
    else
        accept(a, &an);
    if (an.token)
        moon_wipe(an.token, an.token_len);
    free(an.token);
    if (r->body.data)
        moon_wipe(r->body.data, r->body.cap);
    moon_http_result_free(r);
}

static int start_call(struct moon_auth *a, struct moon_err *err) {
    int rc = moon_http_call_new(&a->call, a->login, err);
    if (rc != 0)
        return rc;
    struct moon_http_request *rq = moon_http_call_request(a->call);
    rq->method = "POST";
    rq->has_body = true;
    rq->idempotent = true; /* a token too many does no harm */
    rq->family = "login";  /* on an origin of both, a gateway that fails says nothing of the login, nor the reverse */
    rq->secret = true;
    rq->content_type = "Content-Type: application/x-www-form-urlencoded";
    rq->deadline_ns = a->give_up_ns - moon_loop_now_ns(a->loop);
    if (moon_buf_puts(&rq->url, "/oauth/token") != 0 || moon_buf_puts(&rq->body, a->form) != 0)
        rc = moon_err_set(err, MOON_ENOMEM, "out of memory");
    if (rc == 0)
        rc = moon_http_header(a->call, "Authorization", 13, a->basic, strlen(a->basic), err);
    if (rc == 0)
        rc = moon_http_header(a->call, "Accept", 6, "application/json", 16, err);
    if (rc == 0)
        rc = moon_http_start(a->call, on_answer, a, err);
    if (rc != 0) {
        moon_http_call_free(a->call);
        a->call = NULL;
    }
    return rc;
}

static void try_mint(void *ud) {
    struct moon_auth *a = ud;
    struct moon_err err;
    a->tries++;
    if (start_call(a, &err) != 0)
        fail(a, err.code, err.message, "");
}

/* It ends a little before the call that asks for it, so that it can be told why there is no token. */
void moon_auth_mint(struct moon_auth *a, int64_t due_ns) {
    int64_t now = moon_loop_now_ns(a->loop), left = (due_ns - now) / 10 * 9;
    a->failure.code = 0;
    a->tries = 0;
    a->give_up_ns = now + (left > 0 && left < MINT_DEADLINE_NS ? left : MINT_DEADLINE_NS);
    try_mint(a);
}

void moon_auth_mint_stop(struct moon_auth *a) {
    if (!a->loop)
        return;
    moon_timer_stop(a->loop, &a->again);
    moon_loop_undefer(a->loop, &a->ended);
    moon_http_call_free(a->call);
    a->call = NULL;
}
