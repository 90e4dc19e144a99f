/* auth.c - credentials: each bound to one origin, its token, and the calls that wait for one. Secrets are wiped here.
 */
#include "auth_internal.h"

#include "http_internal.h"

#include "moongate/digest.h"
#include "moongate/redact.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

static void free_secret(char *s) {
    if (s)
        moon_wipe(s, strlen(s));
    free(s);
}

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
    moon_auth_mint_stop(a);
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
        moon_auth_mint(a, due_ns);
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
        moon_loop_defer(a->loop, &a->ended, moon_auth_mint_ended, a);
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
void moon_auth_mint_ended(void *auth) {
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
