/* auth.c - credentials: each bound to one origin, its token, the requests for one (OAuth 2.0 client credentials, RFC
 * 6749, 4.4) and the calls that wait for it. Secrets are wiped here.
 *
 * The HTTP client below retries what it retries everywhere. On top of that, the gateway's login host says "slow down"
 * with a 400, invalid_request, "rate limit exceeded"; those are tried again here, with back-off. */
#include "http_internal.h"

#include "moongate/auth.h"
#include "moongate/digest.h"
#include "moongate/http.h"
#include "moongate/json.h"
#include "moongate/loop.h"
#include "moongate/reason.h"
#include "moongate/redact.h"
#include "moongate/retry.h"
#include "moongate/token_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCOPE_SIZE       2048
#define MINT_DEADLINE_NS (30 * MOON_NS_PER_S)
#define MINT_TRIES       6

struct moon_auth {
    unsigned refs;
    char origin[MOON_HTTP_ORIGIN_SIZE];
    struct moon_redact *redact;
    struct moon_token token;
    struct moon_auth_line *line;              /* of token; NULL: not made yet */
    struct moon_auth_wait *waiting, *leaving; /* leaving: being told; see on_mint_ended */

    /* client credentials only */
    struct moon_loop *loop;
    struct moon_rng *rng;
    struct moon_http_client *login;
    char login_origin[MOON_HTTP_ORIGIN_SIZE];
    char *basic; /* the header's value, "Basic ..."; wiped */
    char *form;
    struct moon_http_call *call; /* the mint under way */
    struct moon_timer again;
    struct moon_defer ended;
    int tries;
    int64_t give_up_ns;
    int64_t expires_at_ns; /* wall clock */
    char scope[SCOPE_SIZE];
    struct moon_err failure;
    char hint[320];               /* of failure: what to do; may be empty */
    struct moon_err last_failure; /* of the last mint that failed */
};

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

static void free_secret(char *s) {
    if (s)
        moon_wipe(s, strlen(s));
    free(s);
}

/* ---- a token request ---- */

static void on_mint_ended(void *auth);
static void try_mint(void *ud);

static void ended(struct moon_auth *a) {
    if (a->failure.code)
        moon_token_mint_failed(&a->token);
    moon_loop_defer(a->loop, &a->ended, on_mint_ended, a);
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
    char error[64], description[160], scope[SCOPE_SIZE];
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

static void accept_token(struct moon_auth *a, const struct answer *an) {
    int64_t now = moon_loop_now_ns(a->loop);
    if (a->redact && moon_redact_add(a->redact, an->token, an->token_len) != 0) {
        fail(a, MOON_ENOMEM, "out of memory", "");
        return;
    }
    int rc = moon_token_minted(&a->token, an->token, an->token_len, an->expires_in, now);
    if (rc != 0) { /* the mint has failed in there */
        moon_err_set(&a->failure, rc == MOON_ENOMEM ? rc : MOON_EPROTOCOL, "no token from %s: %s", a->login_origin,
                     rc == MOON_ENOMEM ? "out of memory" : "what it sent is not usable as one");
        moon_loop_defer(a->loop, &a->ended, on_mint_ended, a);
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
        fail(a, MOON_EPROTOCOL, "its response has no access_token: is this the login host?", "");
    else
        accept_token(a, &an);
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
static void mint(struct moon_auth *a, int64_t due_ns) {
    int64_t now = moon_loop_now_ns(a->loop), left = (due_ns - now) / 10 * 9;
    a->failure.code = 0;
    a->tries = 0;
    a->give_up_ns = now + (left > 0 && left < MINT_DEADLINE_NS ? left : MINT_DEADLINE_NS);
    try_mint(a);
}

static void stop_minting(struct moon_auth *a) {
    if (!a->loop)
        return;
    moon_timer_stop(a->loop, &a->again);
    moon_loop_undefer(a->loop, &a->ended);
    moon_http_call_free(a->call);
    a->call = NULL;
}

/* ---- a credential ---- */

static struct moon_auth *auth_new(const char *origin_url, struct moon_redact *redact, struct moon_err *err) {
    struct moon_auth *a = calloc(1, sizeof *a);
    if (!a) {
        no_memory(err);
        return NULL;
    }
    a->refs = 1;
    a->redact = redact;
    moon_token_init(&a->token);
    if (moon_http_origin(origin_url, strlen(origin_url), a->origin, err) != 0) {
        moon_auth_unref(a);
        return NULL;
    }
    return a;
}

static int64_t now_ns(const struct moon_auth *a) {
    return a->loop ? moon_loop_now_ns(a->loop) : 0; /* a given token has no time */
}

static struct moon_auth_line *line_new(const struct moon_token *t) {
    static const char name[] = "Authorization: Bearer ";
    struct moon_auth_line *line = malloc(sizeof *line + sizeof name + t->len);
    if (!line)
        return NULL;
    line->refs = 1;
    line->generation = t->generation;
    memcpy(line->text, name, sizeof name - 1);
    memcpy(line->text + sizeof name - 1, t->value, t->len + 1);
    return line;
}

static int hide(struct moon_auth *a, const char *secret, size_t len, struct moon_err *err) {
    return a->redact && moon_redact_add(a->redact, secret, len) != 0 ? no_memory(err) : 0;
}

int moon_auth_bearer(struct moon_auth **out, const char *origin_url, const char *token, size_t len,
                     struct moon_redact *redact, struct moon_err *err) {
    struct moon_auth *a = auth_new(origin_url, redact, err);
    if (!a)
        return err ? err->code : MOON_EINVAL;
    int rc = hide(a, token, len, err);
    if (rc == 0 && (rc = moon_token_give(&a->token, token, len)) != 0)
        moon_err_set(err, rc,
                     rc == MOON_ENOMEM ? "out of memory" : "the token is empty, or has a character that no token has");
    if (rc == 0 && !(a->line = line_new(&a->token)))
        rc = no_memory(err);
    if (rc != 0) {
        moon_auth_unref(a);
        return rc;
    }
    *out = a;
    return 0;
}

/* "Basic base64(id:secret)". RFC 6749 2.3.1 wants both form-encoded first; the gateway, as most, takes them as they
 * are, and for letters, digits, '-', '.', '_' and '~' that is the same. */
static int make_basic(struct moon_auth *a, const struct moon_auth_client *client, struct moon_err *err) {
    struct moon_buf pair = MOON_BUF_INIT, basic = MOON_BUF_INIT;
    int rc = 0;
    if (moon_buf_puts(&pair, client->client_id) != 0 || moon_buf_putc(&pair, ':') != 0 ||
        moon_buf_append(&pair, client->client_secret, client->client_secret_len) != 0 ||
        moon_buf_puts(&basic, "Basic ") != 0 || moon_base64_encode(&basic, pair.data, pair.len) != 0 ||
        !(a->basic = strdup(basic.data)))
        rc = no_memory(err);
    else
        rc = hide(a, a->basic + 6, strlen(a->basic + 6), err);
    moon_wipe(pair.data, pair.len);
    moon_wipe(basic.data, basic.len);
    moon_buf_release(&pair);
    moon_buf_release(&basic);
    return rc;
}

static int make_form(struct moon_auth *a, const char *scopes, struct moon_err *err) {
    struct moon_buf form = MOON_BUF_INIT;
    if (moon_buf_puts(&form, "grant_type=client_credentials") != 0 ||
        (scopes && *scopes &&
         (moon_buf_puts(&form, "&scope=") != 0 || moon_http_escape(&form, scopes, strlen(scopes)) != 0))) {
        moon_buf_release(&form);
        return no_memory(err);
    }
    a->form = form.data;
    return 0;
}

static int set_up_client(struct moon_auth *a, struct moon_http *http, const struct moon_auth_client *client,
                         struct moon_err *err) {
    struct moon_http_client_opts o = {.base_url = client->login_url, .max_body = 1 << 20, .no_pacer = true};
    if (!*client->client_id || client->client_secret_len == 0)
        return moon_err_set(err, MOON_EINVAL, "an empty client %s", *client->client_id ? "secret" : "id");
    a->loop = http->loop;
    a->rng = http->rng;
    int rc = hide(a, client->client_secret, client->client_secret_len, err);
    if (rc == 0)
        rc = moon_http_origin(client->login_url, strlen(client->login_url), a->login_origin, err);
    if (rc == 0)
        rc = make_basic(a, client, err);
    if (rc == 0)
        rc = make_form(a, client->scopes, err);
    return rc == 0 ? moon_http_client_new(&a->login, http, &o, err) : rc;
}

int moon_auth_client_credentials(struct moon_auth **out, struct moon_http *http, const struct moon_auth_client *client,
                                 struct moon_redact *redact, struct moon_err *err) {
    struct moon_auth *a = auth_new(client->origin, redact, err);
    if (!a)
        return err ? err->code : MOON_EINVAL;
    int rc = set_up_client(a, http, client, err);
    if (rc != 0) {
        moon_auth_unref(a);
        return rc;
    }
    *out = a;
    return 0;
}

struct moon_auth *moon_auth_ref(struct moon_auth *a) {
    a->refs++;
    return a;
}

void moon_auth_unref(struct moon_auth *a) {
    if (!a || --a->refs)
        return;
    stop_minting(a);
    moon_http_client_free(a->login);
    moon_auth_line_unref(a->line);
    moon_token_release(&a->token);
    free_secret(a->basic);
    free(a->form);
    free(a);
}

const char *moon_auth_origin(const struct moon_auth *a) {
    return a->origin;
}

/* ---- the token ---- */

void moon_auth_line_unref(struct moon_auth_line *line) {
    if (!line || --line->refs)
        return;
    moon_wipe(line->text, strlen(line->text));
    free(line);
}

struct moon_auth_line *moon_auth_acquire(struct moon_auth *a, int64_t due_ns) {
    switch (moon_token_want(&a->token, now_ns(a))) {
    case MOON_TOKEN_MINT:
        mint(a, due_ns);
        return NULL;
    case MOON_TOKEN_WAIT:
        return NULL;
    default:
        break;
    }
    if (a->line && a->line->generation != a->token.generation) {
        moon_auth_line_unref(a->line);
        a->line = NULL;
    }
    if (!a->line && !(a->line = line_new(&a->token)))
        return NULL;
    a->line->refs++;
    return a->line;
}

bool moon_auth_rejected(struct moon_auth *a, const struct moon_auth_line *line) {
    return moon_token_rejected(&a->token, line->generation, now_ns(a));
}

void moon_auth_accepted(struct moon_auth *a, const struct moon_auth_line *line) {
    moon_token_accepted(&a->token, line->generation);
}

void moon_auth_info(const struct moon_auth *a, struct moon_auth_info *out) {
    out->source = a->login ? "client_credentials" : "given";
    out->has_token = a->token.value != NULL;
    out->expires_at_ns = a->expires_at_ns;
    out->scope = a->scope;
    out->mints = a->token.mints;
}

const struct moon_err *moon_auth_last_failure(const struct moon_auth *a) {
    return &a->last_failure;
}

/* ---- who waits ---- */

static void push(struct moon_auth_wait **list, struct moon_auth_wait *w) {
    struct moon_auth_wait **p = list;
    w->next = *p;
    w->prev = p;
    if (w->next)
        w->next->prev = &w->next;
    *p = w;
}

void moon_auth_wait(struct moon_auth *a, struct moon_auth_wait *w, void (*fn)(void *ud, const struct moon_err *err),
                    void *ud) {
    w->fn = fn;
    w->ud = ud;
    push(&a->waiting, w);
    if (!a->token.minting && a->loop) /* what there was to wait for is over already */
        moon_loop_defer(a->loop, &a->ended, on_mint_ended, a);
}

const char *moon_auth_hint(const struct moon_auth *a) {
    return a->hint;
}

void moon_auth_leave(struct moon_auth *a, struct moon_auth_wait *w) {
    (void)a;
    if (!w->prev)
        return;
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->next = NULL;
    w->prev = NULL;
}

/* Tells all who wait now. One of them may end others, start a new mint or wait again: those are told next time. */
static void on_mint_ended(void *auth) {
    struct moon_auth *a = moon_auth_ref(auth);
    struct moon_err failure = a->failure;
    struct moon_auth_wait *w;
    if (failure.code && !(failure.code == MOON_EBREAKER && a->last_failure.code)) /* the reason it opened says more */
        a->last_failure = failure;
    a->failure.code = 0;
    while ((w = a->waiting)) {
        moon_auth_leave(a, w);
        push(&a->leaving, w); /* turns the order round: the first to come is told first */
    }
    while ((w = a->leaving)) {
        moon_auth_leave(a, w);
        w->fn(w->ud, failure.code ? &failure : NULL);
    }
    moon_auth_unref(a);
}
