/* session.c - builds what a run needs from the global flags, the environment and the project file. What is wrong with
 * one of these is kept, not told: Lua tells it, in the form the user asked for, and only to a command that needs it. */
#include "session.h"

#include "paths.h"
#include "permissions.h"
#include "trust.h"

#include "moongate/file.h"
#include "moongate/json.h"
#include "moongate/modules.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSPHRASE_MAX  4096
#define VIRTUAL_START_S INT64_C(1767225600) /* 2026-01-01T00:00:00Z */

/* ---- pieces ---- */

static enum moon_log_level log_level(const struct moon_options *o) {
    enum moon_log_level level;
    if (o->log_level && moon_log_level_parse(o->log_level, &level) == 0)
        return level;
    if (o->quiet)
        return MOON_LOG_ERROR;
    return o->verbose > 1 ? MOON_LOG_DEBUG : o->verbose ? MOON_LOG_INFO : MOON_LOG_WARN;
}

/* The log takes the progress line away before it writes. */
static int clear_line(void *ud) {
    struct moon_session *s = ud;
    static const char clear[] = "\r\033[K";
    if (!s->line_shown)
        return 0;
    s->line_shown = false;
    return write(STDERR_FILENO, clear, sizeof clear - 1) < 0;
}

static int open_log(struct moon_session *s, struct moon_err *err) {
    if (moon_redact_new(&s->redact) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    moon_log_init(&s->log, STDERR_FILENO, log_level(s->options));
    s->log.redact = s->redact;
    s->log.clock = s->options->verbose > 1 ? &s->clock : NULL;
    s->log.before_line = clear_line;
    s->log.ud = s;
    s->log.screen = &s->screen;
    return 0;
}

/* A project file that was found, not named: another user's is not used unless the user has allowed it. */
static void judge_project(struct moon_session *s, const char *path) {
    struct moon_err err;
    if (!s->project)
        return;
    s->project_allowed = moon_trust_allowed(s->options, moon_project_dir(s->project), moon_project_hash(s->project),
                                            &s->project_changed);
    if (s->project_allowed || moon_trust_own(path, &err) == 0)
        return;
    moon_err_set(&s->project_err, MOON_EDENIED, "%.300s is not used: %.700s; if you trust it: moongate allow %.300s",
                 path, err.message, moon_project_dir(s->project));
    moon_project_free(s->project);
    s->project = NULL;
}

static void open_project(struct moon_session *s) {
    struct moon_buf path = MOON_BUF_INIT;
    s->project_allowed = s->options->config != NULL; /* the user has named it */
    if (s->options->config)
        moon_project_open(&s->project, strcmp(s->options->config, "-") == 0 ? "/dev/stdin" : s->options->config,
                          &s->project_err);
    else if (moon_project_find(".", &path)) {
        moon_project_open(&s->project, path.data, &s->project_err);
        judge_project(s, path.data);
    }
    moon_buf_release(&path);
}

/* A state's password is kept out of what is shown, and refused where others can read it. */
static int guard_passwords(struct moon_session *s) {
    const char *option = s->options->state;
    bool private = option && option == getenv("MOONGATE_STATE"); /* options.c keeps the environment's own string */
    struct moon_buf passwords = MOON_BUF_INIT;
    int rc = moon_store_url_show(s->store_url.data, NULL, &passwords);
    for (size_t at = 0; rc == 0 && at < passwords.len; at += strlen(passwords.data + at) + 1)
        rc = moon_redact_add(s->redact, passwords.data + at, strlen(passwords.data + at));
    if (rc == 0 && passwords.len > 0 && !private)
        rc = moon_err_set(&s->state_err, MOON_EINVAL,
                          "state: a password in %s can be read by others: put it into ~/.pgpass or PGPASSWORD, or the "
                          "whole URL into MOONGATE_STATE",
                          option ? "--state" : "the project file");
    if (passwords.data)
        moon_wipe(passwords.data, passwords.cap);
    moon_buf_release(&passwords);
    return rc;
}

/* ---- what is simulated is kept apart ---- */

#define SIMULATED ".sim"

/* Under --sim the state is another: a folder "sim" in the folder, FILE.sim beside the file, and memory where nobody has
 * named one, or named a server. */
static int simulated_state(struct moon_session *s, bool named) {
    struct moon_buf *url = &s->store_url;
    size_t folder = s->state.len;
    int rc = moon_buf_puts(&s->state, "/sim");
    bool in_folder = url->len > 7 + folder && strncmp(url->data + 7, s->state.data, folder) == 0 &&
                     strcmp(url->data + 7 + folder, "/state.db") == 0;
    bool file = named && url->len > 7 && strncmp(url->data, "sqlite:", 7) == 0 && !moon_store_in_memory(url->data);
    if (rc != 0 || !file) {
        if (url->data)
            moon_wipe(url->data, url->len);
        moon_buf_clear(url);
        return rc == 0 ? moon_buf_puts(url, "sqlite::memory:") : rc;
    }
    if (!in_folder)
        return moon_buf_puts(url, SIMULATED);
    moon_buf_clear(url);
    return moon_buf_printf(url, "sqlite:%s/state.db", s->state.data);
}

enum log_kind { LOG_NEW, LOG_REAL, LOG_SIMULATED };

/* By its first line: a log is of one kind from its start. */
static enum log_kind log_kind(const char *path) {
    static const char mark[] = "\"simulated\":true";
    char *line = NULL;
    size_t size = 0;
    struct stat st;
    /* what can't be an audit log is not read: a FIFO or a device might never end; opening the log refuses it */
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
    ssize_t n = f ? getline(&line, &size, f) : -1;
    /* a first line that a crash cut short says nothing, and is set aside by the next event */
    enum log_kind kind = n <= 0 || line[n - 1] != '\n' ? LOG_NEW : strstr(line, mark) ? LOG_SIMULATED : LOG_REAL;
    free(line);
    if (f)
        fclose(f);
    return kind;
}

/* A log that the command line names beside --sim is taken if it has no real event; else the simulated ones go to
 * FILE.sim, which nothing real is ever written to. */
static int find_audit_log(struct moon_session *s) {
    const char *named = s->options->audit_log;
    bool on_line = named && named != getenv("MOONGATE_AUDIT_LOG"); /* options.c keeps the environment's own string */
    int rc = named ? moon_buf_puts(&s->audit_path, named)
                   : moon_buf_printf(&s->audit_path, "%s/audit.jsonl", s->state.data ? s->state.data : ".");
    if (rc == 0 && s->options->sim && named && !(on_line && log_kind(named) != LOG_REAL))
        rc = moon_buf_puts(&s->audit_path, SIMULATED);
    return rc;
}

static int open_audit(struct moon_session *s, struct moon_err *err) {
    int rc = moon_audit_queue_new(&s->audit, s->loop, s->redact, s->audit_path.data, NULL, err);
    enum log_kind kind = rc == 0 ? log_kind(s->audit_path.data) : LOG_NEW;
    double wait = s->options->wait < 86400 ? s->options->wait : 86400;
    if (rc == 0)
        moon_audit_queue_wait(s->audit, wait > MOON_AUDIT_LOCK_S ? (int)wait : 0, &s->log);
    if (kind == (s->options->sim ? LOG_REAL : LOG_SIMULATED))
        moon_audit_queue_refuse(s->audit, MOON_EINVAL,
                                s->options->sim
                                    ? "has real events, and simulated ones must not be among them"
                                    : "has events of a simulated gateway (--sim), and real ones must not be "
                                      "among them; name another one with --audit-log");
    return rc;
}

static int open_state(struct moon_session *s, struct moon_err *err) {
    const char *from_project = s->project ? moon_project_string(s->project, NULL, "state") : NULL;
    int rc = moon_paths_state(&s->state, &s->store_url, s->options->state, from_project,
                              s->project ? moon_project_dir(s->project) : NULL, &s->state_err);
    if (rc == 0)
        rc = guard_passwords(s);
    if (rc == 0 && s->options->sim)
        rc = simulated_state(s, s->options->state || from_project);
    if (rc == MOON_ENOMEM)
        return moon_err_set(err, rc, "out of memory");
    rc = find_audit_log(s);
    return rc == 0 ? 0 : moon_err_set(err, rc, "out of memory");
}

static int open_store(struct moon_session *s, struct moon_err *err) {
    return s->state_err.code ? 0 : moon_store_queue_new(&s->store, s->loop, s->store_url.data, err);
}

static const char *environment(void *ud, const char *name) {
    (void)ud;
    return getenv(name);
}

/* Of the simulated gateway's: nothing of the user's may go there. */
static const char *no_environment(void *ud, const char *name) {
    (void)ud;
    (void)name;
    return NULL;
}

static void from_project(struct moon_session *s, struct moon_cred_input *in) {
    static const struct {
        enum moon_cred_field field;
        const char *key;
    } secrets[] = {{MOON_CRED_CLIENT_SECRET, "client_secret"}, {MOON_CRED_ACCESS_TOKEN, "access_token"}};
    struct moon_project_secret secret;
    if (!s->project)
        return;
    in->project[MOON_CRED_REGION] = moon_project_string(s->project, "gateway", "region");
    in->project[MOON_CRED_LOGIN_URL] = moon_project_string(s->project, "gateway", "login_url");
    in->project[MOON_CRED_CLIENT_ID] = moon_project_string(s->project, "gateway", "client_id");
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (moon_project_secret(s->project, "gateway", secrets[i].key, &secret))
            in->project[secrets[i].field] = secret.value;
    in->project_path = moon_project_path(s->project);
    if (!in->profile)
        in->profile = moon_project_string(s->project, "gateway", "profile");
}

/* The secret and the token are never sent in the clear by mistake: one "s" is easily left out. */
static void refuse_plain_http(struct moon_session *s) {
    const struct moon_credentials *c = &s->credentials;
    const char *urls[] = {c->endpoints.api, c->endpoints.login};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        enum moon_cred_field f = i == 1 && c->field[MOON_CRED_LOGIN_URL].data ? MOON_CRED_LOGIN_URL : MOON_CRED_REGION;
        const char *host = strstr(urls[i], "://");
        if (!moon_session_plain_http(s, urls[i]))
            continue;
        host = host ? host + 3 : urls[i];
        moon_err_set(&s->credentials_err, MOON_EDENIED,
                     "%.150s (from %.100s): plain HTTP would show the client secret and the token to the network; use "
                     "https://, or --allow-http=%.*s for a network that you trust",
                     urls[i], c->field[f].origin, (int)strcspn(host, "/"), host);
        moon_credentials_release(&s->credentials); /* nor by a script that asks nobody */
        return;
    }
}

void moon_session_credentials(struct moon_session *s, const char *gateway_url, const char *client_id,
                              const char *client_secret) {
    const struct moon_options *o = s->options;
    const char *command = o->argc > 1 ? o->argv[1] : "";
    bool says_who = strcmp(command, "audit") == 0 || strcmp(command, "doctor") == 0; /* which client it was, or is */
    struct moon_cred_input in = {.getenv = environment, .redact = s->redact, .show_id = says_who};
    s->simulated = o->sim || gateway_url;
    moon_credentials_release(&s->credentials);
    s->credentials_err.code = 0;
    if (s->simulated) {
        in.getenv = no_environment;
        in.profile_path = "";
        in.flag[MOON_CRED_REGION] = gateway_url ? gateway_url : "http://127.0.0.1:1"; /* replaced before it is used */
        in.flag[MOON_CRED_CLIENT_ID] = client_id;
        in.flag[MOON_CRED_CLIENT_SECRET] = client_secret;
    } else {
        in.flag[MOON_CRED_REGION] = o->region;
        in.flag[MOON_CRED_LOGIN_URL] = o->login_url;
        in.flag[MOON_CRED_CLIENT_ID] = o->client_id;
        in.profile = o->profile;
        from_project(s, &in);
    }
    if (moon_credentials_resolve(&s->credentials, &in, &s->credentials_err) == 0 && !s->simulated)
        refuse_plain_http(s);
}

/* ---- who writes the audit log ---- */

static int put_member(struct moon_buf *out, const char *before, const char *name, const char *value) {
    int rc = moon_buf_printf(out, "%s\"%s\":", before, name);
    return rc == 0 ? moon_json_put_string(out, value, strlen(value)) : rc;
}

static void put_user(char out[64]) {
    struct passwd entry, *found = NULL;
    char text[1024];
    if (getpwuid_r(geteuid(), &entry, text, sizeof text, &found) == 0 && found)
        snprintf(out, 64, "%s", found->pw_name);
    else
        snprintf(out, 64, "uid %ld", (long)geteuid());
}

/* Names in canonical order. */
int moon_session_identify(struct moon_session *s, const char *run, struct moon_err *err) {
    const struct moon_cred_value *id = &s->credentials.field[MOON_CRED_CLIENT_ID];
    const char *gateway = strstr(s->credentials.endpoints.api, "://");
    bool minted = moon_credentials_auth(&s->credentials) == MOON_AUTH_CLIENT;
    char host[256] = "?", user[64], where[MOON_URL_SIZE];
    struct moon_buf out = MOON_BUF_INIT;
    if (run != s->run)
        snprintf(s->run, sizeof s->run, "%s", run ? run : "");
    if (gethostname(host, sizeof host) != 0 || !*host)
        snprintf(host, sizeof host, "?");
    host[sizeof host - 1] = '\0';
    put_user(user);
    gateway = gateway ? gateway + 3 : "";
    snprintf(where, sizeof where, "%.*s", (int)strcspn(gateway, "/"), gateway);
    int rc = minted ? put_member(&out, "{", "client_id", id->data) : moon_buf_putc(&out, '{');
    if (rc == 0 && *where)
        rc = put_member(&out, out.len > 1 ? "," : "", "gateway", where);
    if (rc == 0)
        rc = put_member(&out, out.len > 1 ? "," : "", "host", host);
    if (rc == 0 && *s->run)
        rc = put_member(&out, ",", "run", s->run);
    if (rc == 0 && s->simulated)
        rc = moon_buf_puts(&out, ",\"simulated\":true");
    if (rc == 0)
        rc = put_member(&out, ",", "user", user);
    if (rc == 0)
        rc = moon_buf_putc(&out, '}');
    rc = rc == 0 ? moon_audit_queue_identify(s->audit, out.data, err) : moon_err_set(err, rc, "out of memory");
    moon_buf_release(&out);
    return rc;
}

/* The address that a URL's host has led to. */
static int may_connect(void *ud, const char *url, const struct sockaddr *address, struct moon_err *err) {
    struct moon_session *s = ud;
    char origin[MOON_HTTP_ORIGIN_SIZE];
    int rc = moon_http_origin(url, strlen(url), origin, err);
    if (rc == 0 && (rc = moon_permit_address(s->permit, origin, address, err)) != 0)
        moon_permit_note(s->permit, MOON_PERMIT_NET, strstr(origin, "://") + 3, false);
    return rc;
}

static const char *set_variable(const char *name) {
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* Of the client certificate's key: the file's first line, or the variable. Empty: none was given. */
static int read_passphrase(struct moon_session *s, struct moon_buf *out, struct moon_err *err) {
    const char *file = s->options->key_passphrase_file, *value = set_variable("MOONGATE_KEY_PASSPHRASE");
    struct moon_err why;
    int rc = file ? moon_file_read(file, PASSPHRASE_MAX, NULL, out, &why) : value ? moon_buf_puts(out, value) : 0;
    if (rc != 0)
        return file ? moon_err_set(err, rc, "--key-passphrase-file: %s", why.message)
                    : moon_err_set(err, rc, "out of memory");
    out->len = out->len ? strcspn(out->data, "\r\n") : 0;
    if (out->len)
        out->data[out->len] = '\0';
    if (file && out->len == 0)
        return moon_err_set(err, MOON_EINVAL, "--key-passphrase-file: %s is empty", file);
    rc = out->len ? moon_redact_add(s->redact, out->data, out->len) : 0;
    return rc == 0 ? 0 : moon_err_set(err, rc, "out of memory");
}

/* The flag or its variable; else the project file, where anything else is an error by itself. */
static int read_http2(struct moon_session *s, enum moon_http2 *out, struct moon_err *err) {
    const char *text = s->options->http2;
    if (!text && s->project)
        text = moon_project_string(s->project, "http", "http2");
    *out = MOON_HTTP2_AUTO;
    if (text && strcmp(text, "always") == 0)
        *out = MOON_HTTP2_ALWAYS;
    else if (text && strcmp(text, "never") == 0)
        *out = MOON_HTTP2_NEVER;
    else if (s->options->http2 && strcmp(text, "auto") != 0)
        return moon_err_set(err, MOON_EINVAL, "--http2 must be auto, always or never (is '%.40s')", text);
    return 0;
}

static int open_http(struct moon_session *s, struct moon_err *err) {
    struct moon_http_opts opts = {
        .may_connect = may_connect,
        .may_connect_ud = s,
        .loop = s->loop,
        .rng = &s->rng,
        .log = &s->log,
        .cacert = s->options->cacert,
        .cert_file = set_variable("SSL_CERT_FILE"),
        .cert_dir = set_variable("SSL_CERT_DIR"),
        .cert = s->options->cert,
        .key = s->options->key,
        .cert_urls = {s->credentials.endpoints.api, s->credentials.endpoints.login},
        .proxies = &s->proxies,
    };
    struct moon_buf passphrase = MOON_BUF_INIT;
    int rc = read_http2(s, &opts.http2, err);
    if (rc == 0)
        rc = read_passphrase(s, &passphrase, err);
    opts.passphrase = passphrase.len ? passphrase.data : NULL;
    if (rc == 0)
        rc = moon_http_new(&s->http, &opts, err);
    if (passphrase.data)
        moon_wipe(passphrase.data, passphrase.cap);
    moon_buf_release(&passphrase);
    return rc;
}

static int open_host(struct moon_session *s, struct moon_err *err) {
    struct moon_host_opts opts = {
        .services = {.loop = s->loop,
                     .log = &s->log,
                     .rng = &s->rng,
                     .redact = s->redact,
                     .http = s->http,
                     .audit = s->audit,
                     .permit = s->permit,
                     .store = s->store,
                     .store_err = &s->state_err,
                     .credentials = &s->credentials,
                     .screen = &s->screen},
        .modules = moon_modules,
        .memory_limit = (size_t)s->options->max_memory,
        .lua_dir = s->options->lua_dir,
        .verbose = s->options->verbose > 0,
    };
    int rc = moon_host_new(&s->host, &opts, err);
    if (rc != 0)
        return rc;
    lua_State *L = moon_host_state(s->host);
    lua_pushcfunction(L, moon_session_extend);
    lua_pushlightuserdata(L, s);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return 0;
    const char *message = lua_tostring(L, -1);
    moon_err_set(err, MOON_EBUG, "%s", message ? message : "the session can't be set up");
    lua_pop(L, 1);
    return MOON_EBUG;
}

/* `moongate test --worker --clock virtual ...`: a file of tests on a clock that only waiting moves. */
static bool is_worker(const struct moon_options *o, bool *wants_virtual) {
    bool worker = false;
    *wants_virtual = false;
    if (o->argc < 2 || strcmp(o->argv[1], "test") != 0)
        return false;
    for (int i = 2; i < o->argc && strcmp(o->argv[i], "--") != 0; i++) {
        worker = worker || strcmp(o->argv[i], "--worker") == 0;
        *wants_virtual =
            *wants_virtual || (strcmp(o->argv[i - 1], "--clock") == 0 && strcmp(o->argv[i], "virtual") == 0);
    }
    return worker;
}

static void open_clock(struct moon_session *s) {
    bool wants_virtual, worker = is_worker(s->options, &wants_virtual);
    s->clock = moon_clock_system();
    moon_vclock_init(&s->vclock, moon_wall_ns(&s->clock));
    if (worker && wants_virtual) { /* from the same moment each time, so that what is written down is the same */
        moon_vclock_init(&s->vclock, VIRTUAL_START_S * MOON_NS_PER_S);
        s->clock = moon_clock_virtual(&s->vclock);
    }
    /* A seed makes the run against the simulated gateway repeatable. Against a real one it must not: an idempotency
     * key that comes twice would hide the second write. */
    if (s->options->has_seed && (s->options->sim || (worker && wants_virtual)))
        moon_rng_init_seed(&s->rng, s->options->seed);
    else
        moon_rng_init_system(&s->rng);
}

/* ---- the whole ---- */

int moon_session_open(struct moon_session *s, const struct moon_options *o, struct moon_err *err) {
    int rc;
    s->options = o;
    open_clock(s);
    if ((rc = open_log(s, err)) != 0)
        return rc;
    open_project(s);
    if ((rc = open_state(s, err)) != 0)
        return rc;
    moon_session_credentials(s, NULL, NULL, NULL);
    if ((rc = moon_proxies_read(&s->proxies, environment, s, s->redact, err)) != 0)
        return rc;
    if ((rc = moon_loop_new(&s->loop, &s->clock, s->clock.is_virtual ? &s->vclock : NULL, err)) != 0 ||
        (rc = open_http(s, err)) != 0 || (rc = open_audit(s, err)) != 0 ||
        (rc = moon_session_identify(s, NULL, err)) != 0 || (rc = moon_session_check_plain_http(s, err)) != 0 ||
        (rc = moon_permissions_open(s, err)) != 0 || (rc = open_store(s, err)) != 0)
        return rc;
    return open_host(s, err);
}

static int status_of(const struct moon_err *err) {
    return err->code == MOON_EINTERRUPT ? 130 : err->code == MOON_EBUG ? 70 : 1;
}

static void write_out(int fd, const struct moon_redact *redact, const struct moon_buf *text) {
    struct moon_buf clean = MOON_BUF_INIT;
    if (moon_redact_values(redact, &clean, text->data, text->len) == 0 && write(fd, clean.data, clean.len) < 0) {
        /* nowhere left to say so */
    }
    moon_buf_release(&clean);
}

int moon_session_fail(const struct moon_session *s, const struct moon_err *err) {
    struct moon_buf text = MOON_BUF_INIT;
    int status = status_of(err);
    if (moon_buf_printf(&text, "moongate: %s\n", err->message) == 0)
        write_out(STDERR_FILENO, s->redact, &text);
    moon_buf_clear(&text);
    if (s->options->json &&
        moon_buf_printf(&text, "{\"error\":{\"code\":\"%s\",\"exit_status\":%d,\"message\":", moon_code_name(err->code),
                        status) == 0 &&
        moon_json_put_string(&text, err->message, strlen(err->message)) == 0 && moon_buf_puts(&text, "}}\n") == 0)
        write_out(STDOUT_FILENO, s->redact, &text);
    moon_buf_release(&text);
    return status;
}

int moon_session_run(struct moon_session *s) {
    struct moon_err err = {0};
    int status = 1;
    if (s->options->max_time > 0 &&
        moon_watchdog_start(&s->watchdog, s->host, s->options->max_time, s->options->json, &err) != 0)
        return moon_session_fail(s, &err);
    int rc = moon_host_main(s->host, "moongate.cli", s->options->argc, s->options->argv, &status, &err);
    clear_line(s);
    if (rc == MOON_ETIMEOUT)
        moon_err_set(&err, rc, "the run took longer than --max-time %.6gs, and was ended", s->options->max_time);
    if (rc == 0 || (rc == MOON_EINTERRUPT && s->may_interrupt))
        return rc == 0 ? status : 0;
    return moon_session_fail(s, &err);
}

void moon_session_close(struct moon_session *s) {
    moon_watchdog_stop(s->watchdog);
    moon_host_free(s->host);
    moon_store_queue_free(s->store, NULL, NULL);
    if (s->audit && moon_audit_queue_stats(s->audit).replaced > 0)
        moon_log_write(&s->log, MOON_LOG_ERROR,
                       "the audit log %s was gone or empty: a new one begins with the event log_replaced",
                       s->audit_path.data);
    if (s->audit)
        moon_audit_queue_free(s->audit);
    if (s->http) {
        moon_http_free(s->http);
        moon_loop_turn(s->loop, false); /* libuv closes the sockets' handles */
    }
    moon_permit_free(s->permit);
    moon_loop_free(s->loop);
    moon_credentials_release(&s->credentials);
    moon_proxies_release(&s->proxies);
    moon_project_free(s->project);
    moon_buf_release(&s->state);
    if (s->store_url.data)
        moon_wipe(s->store_url.data, s->store_url.cap);
    moon_buf_release(&s->store_url);
    moon_buf_release(&s->audit_path);
    moon_redact_free(s->redact);
}
