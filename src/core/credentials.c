/* credentials.c - finds every field in the order flag, environment, project file, gc profile. Owns copies of all values
 * and wipes them. */
#include "moongate/credentials.h"

#include "moongate/file.h"
#include "moongate/gc_profile.h"
#include "moongate/redact.h"
#include "moongate/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PROFILE_MAX_BYTES (1024 * 1024)
#define SHORT_ID          8 /* a client id below it is a word; hiding it would blank ordinary text */

static const struct {
    const char *name, *flag;
    bool secret;
    const char *env[5]; /* the first that is set wins */
} fields[MOON_CRED_COUNT] = {
    [MOON_CRED_REGION] = {"region",
                          "--region",
                          false,
                          {"GENESYSCLOUD_REGION", "GENESYS_CLOUD_REGION", "GENESYS_CLOUD_HOST"}},
    [MOON_CRED_LOGIN_URL] = {"login_url", "--login-url", false, {"MOONGATE_LOGIN_URL"}},
    [MOON_CRED_CLIENT_ID] = {"client_id",
                             "--client-id",
                             false,
                             {"GENESYSCLOUD_OAUTHCLIENT_ID", "GENESYS_CLOUD_CLIENT_ID", "GENESYS_CLIENT_ID",
                              "GENESYS_OAUTH_CLIENT_ID"}},
    [MOON_CRED_CLIENT_SECRET] = {"client_secret",
                                 "--client-secret",
                                 true,
                                 {"GENESYSCLOUD_OAUTHCLIENT_SECRET", "GENESYS_CLOUD_CLIENT_SECRET",
                                  "GENESYS_CLIENT_SECRET", "GENESYS_OAUTH_CLIENT_SECRET"}},
    [MOON_CRED_ACCESS_TOKEN] = {"access_token", "--access-token", true, {"GENESYSCLOUD_ACCESS_TOKEN"}},
    [MOON_CRED_EXTERNAL_TOKEN] = {"external_token", "--external-token", true, {"EXTERNAL_AI_TOKEN"}},
};

const char *moon_cred_field_name(enum moon_cred_field f) {
    return fields[f].name;
}

const char *moon_cred_source_name(enum moon_cred_source s) {
    static const char *const names[] = {"none", "flag", "environment", "project", "profile", "default"};
    return names[s];
}

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

static const char *env_get(const struct moon_cred_input *in, const char *name) {
    const char *v = in->getenv ? in->getenv(in->ud, name) : NULL;
    return v && *v ? v : NULL;
}

static bool is_set(const struct moon_credentials *c, enum moon_cred_field f) {
    return c->field[f].data != NULL;
}

/* Where the next warning goes; the last one gives its place to what comes after it. */
static char *next_warning(struct moon_credentials *c) {
    if (c->nwarnings < MOON_CRED_WARNINGS)
        c->nwarnings++;
    return c->warnings[c->nwarnings - 1];
}

static int set(struct moon_credentials *c, const struct moon_cred_input *in, enum moon_cred_field f, const char *value,
               enum moon_cred_source source, const char *origin, struct moon_err *err) {
    struct moon_cred_value *v = &c->field[f];
    size_t len = strlen(value);
    v->data = malloc(len + 1);
    if (!v->data)
        return no_memory(err);
    memcpy(v->data, value, len + 1);
    v->len = len;
    v->source = source;
    snprintf(v->origin, sizeof v->origin, "%s", origin);
    bool hide = fields[f].secret || (f == MOON_CRED_CLIENT_ID && len >= SHORT_ID && !in->show_id);
    if (hide && in->redact && moon_redact_add(in->redact, value, len) != 0)
        return no_memory(err);
    const char *weak = fields[f].secret ? moon_redact_news(in->redact, value, len) : NULL;
    if (weak)
        snprintf(next_warning(c), sizeof c->warnings[0], "%s (from %.120s) %s: it is not blanked in output and logs",
                 fields[f].name, origin, weak);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)value[i] < ' ' || value[i] == 127)
            return moon_err_set(err, MOON_EINVAL, "%s (from %s) contains a line break or another control character",
                                fields[f].name, v->origin);
    return 0;
}

/* ---- flag, environment, project ---- */

static int from_flag_env_project(struct moon_credentials *c, const struct moon_cred_input *in, enum moon_cred_field f,
                                 struct moon_err *err) {
    if (in->flag[f] && *in->flag[f])
        return set(c, in, f, in->flag[f], MOON_CRED_FLAG, fields[f].flag, err);
    for (size_t i = 0; i < sizeof fields[f].env / sizeof fields[f].env[0] && fields[f].env[i]; i++) {
        const char *v = env_get(in, fields[f].env[i]);
        if (v)
            return set(c, in, f, v, MOON_CRED_ENV, fields[f].env[i], err);
    }
    if (in->project[f] && *in->project[f])
        return set(c, in, f, in->project[f], MOON_CRED_PROJECT, in->project_path ? in->project_path : "moongate.lua",
                   err);
    return 0;
}

/* ---- the gc profile ---- */

static int profile_path(const struct moon_cred_input *in, struct moon_buf *path, struct moon_err *err) {
    const char *home = env_get(in, "HOME");
    if (in->profile_path ? moon_buf_puts(path, in->profile_path)
                         : moon_buf_printf(path, "%s%s", home ? home : "", home ? "/.gc/config.toml" : ""))
        return no_memory(err);
    return 0;
}

/* A profile that is used fills what nothing of higher precedence has set. */
static int use_profile(struct moon_credentials *c, const struct moon_cred_input *in, const struct moon_gc_profile *p,
                       const char *origin, struct moon_err *err) {
    const struct {
        enum moon_cred_field field;
        const struct moon_buf *value;
    } map[] = {{MOON_CRED_REGION, &p->environment},
               {MOON_CRED_CLIENT_ID, &p->client_id},
               {MOON_CRED_CLIENT_SECRET, &p->client_secret},
               {MOON_CRED_ACCESS_TOKEN, &p->access_token}};
    const struct moon_cred_value *id = &c->field[MOON_CRED_CLIENT_ID];
    bool other_id = id->data && p->client_id.len > 0 && strcmp(id->data, p->client_id.data) != 0;
    if (other_id && !is_set(c, MOON_CRED_CLIENT_SECRET) && p->client_secret.len > 0)
        snprintf(next_warning(c), sizeof c->warnings[0],
                 "the client id comes from %.90s, its secret from %.90s, which is another client's", id->origin,
                 origin);
    int rc = 0;
    for (size_t i = 0; i < sizeof map / sizeof map[0] && rc == 0; i++)
        if (!is_set(c, map[i].field) && map[i].value->len > 0)
            rc = set(c, in, map[i].field, map[i].value->data, MOON_CRED_PROFILE, origin, err);
    return rc;
}

static int parse_profile(struct moon_credentials *c, const struct moon_cred_input *in, const char *path,
                         const struct moon_buf *text, struct moon_err *err) {
    const char *section = in->profile ? in->profile : "DEFAULT";
    struct moon_gc_profile p;
    struct moon_err why;
    int rc = moon_gc_profile_parse(&p, text->data ? text->data : "", text->len, section, &why);
    if (rc != 0)
        return moon_err_set(err, rc, "%s: %s", path, why.message);
    char origin[160];
    snprintf(origin, sizeof origin, "%.120s [%.30s]", path, section);
    if (p.found)
        rc = use_profile(c, in, &p, origin, err);
    else if (in->profile)
        rc = moon_err_set(err, MOON_ENOENT, "%s has no profile '%s'; there is %.200s", path, section,
                          p.sections.len > 0 ? p.sections.data : "none");
    moon_gc_profile_release(&p);
    return rc;
}

static int from_profile(struct moon_credentials *c, const struct moon_cred_input *in, struct moon_err *err) {
    struct moon_buf path = MOON_BUF_INIT, text = MOON_BUF_INIT;
    struct moon_err why;
    bool complete = is_set(c, MOON_CRED_REGION) && moon_credentials_auth(c) != MOON_AUTH_NONE;
    if (complete && !in->profile)
        return 0;
    int rc = profile_path(in, &path, err);
    if (rc != 0 || path.len == 0)
        goto out;
    rc = moon_file_read(path.data, PROFILE_MAX_BYTES, NULL, &text, &why);
    if (rc == MOON_ENOENT && !in->profile) {
        rc = 0; /* most people have none */
        goto out;
    }
    if (rc != 0) {
        rc = moon_err_set(err, rc, "gc profile: %s", why.message);
        goto out;
    }
    const char *foreign = text.data ? moon_text_foreign(text.data, text.len) : NULL;
    if (foreign) {
        rc = moon_err_set(err, MOON_EINVAL, "%s is in %s: save it as UTF-8", path.data, foreign);
        goto out;
    }
    struct stat st;
    if (stat(path.data, &st) == 0 && (st.st_mode & (S_IRGRP | S_IROTH)))
        snprintf(next_warning(c), sizeof c->warnings[0], "%s can be read by others: chmod 600 %s", path.data,
                 path.data);
    rc = parse_profile(c, in, path.data, &text, err);
out:
    moon_wipe(text.data, text.cap);
    moon_buf_release(&text);
    moon_buf_release(&path);
    return rc;
}

/* ---- all of it ---- */

static int locate(struct moon_credentials *c, const struct moon_cred_input *in, struct moon_err *err) {
    struct moon_err why;
    int rc = 0;
    if (!is_set(c, MOON_CRED_REGION))
        rc = set(c, in, MOON_CRED_REGION, MOON_REGION_DEFAULT, MOON_CRED_DEFAULT, "default", err);
    if (rc != 0)
        return rc;
    const struct moon_cred_value *region = &c->field[MOON_CRED_REGION];
    rc = moon_region_resolve(region->data, &c->endpoints, &why);
    if (rc != 0)
        return moon_err_set(err, rc, "%s (from %s)", why.message, region->origin);
    const struct moon_cred_value *login = &c->field[MOON_CRED_LOGIN_URL];
    if (!login->data)
        return 0;
    rc = moon_url_check(login->data, "login URL", c->endpoints.login, &why);
    return rc != 0 ? moon_err_set(err, rc, "%s (from %s)", why.message, login->origin) : 0;
}

int moon_credentials_resolve(struct moon_credentials *c, const struct moon_cred_input *in, struct moon_err *err) {
    int rc = 0;
    for (int f = 0; f < MOON_CRED_COUNT && rc == 0; f++)
        rc = from_flag_env_project(c, in, (enum moon_cred_field)f, err);
    if (rc == 0)
        rc = from_profile(c, in, err);
    return rc != 0 ? rc : locate(c, in, err);
}

void moon_credentials_release(struct moon_credentials *c) {
    for (int f = 0; f < MOON_CRED_COUNT; f++) {
        if (c->field[f].data)
            moon_wipe(c->field[f].data, c->field[f].len);
        free(c->field[f].data);
    }
    memset(c, 0, sizeof *c);
}

enum moon_cred_auth moon_credentials_auth(const struct moon_credentials *c) {
    const struct moon_cred_value *token = &c->field[MOON_CRED_ACCESS_TOKEN];
    const struct moon_cred_value *id = &c->field[MOON_CRED_CLIENT_ID], *secret = &c->field[MOON_CRED_CLIENT_SECRET];
    bool client = id->data && secret->data;
    if (!token->data)
        return client ? MOON_AUTH_CLIENT : MOON_AUTH_NONE;
    return client && id->source < token->source ? MOON_AUTH_CLIENT : MOON_AUTH_TOKEN;
}

int moon_credentials_require(const struct moon_credentials *c, struct moon_err *err) {
    if (moon_credentials_auth(c) != MOON_AUTH_NONE)
        return 0;
    const struct moon_cred_value *id = &c->field[MOON_CRED_CLIENT_ID], *secret = &c->field[MOON_CRED_CLIENT_SECRET];
    if (id->data)
        return moon_err_set(err, MOON_EAUTH, "no client secret: the client id comes from %s; set %s as well",
                            id->origin, fields[MOON_CRED_CLIENT_SECRET].env[0]);
    if (secret->data)
        return moon_err_set(err, MOON_EAUTH, "no client id: the client secret comes from %s; set %s as well",
                            secret->origin, fields[MOON_CRED_CLIENT_ID].env[0]);
    return moon_err_set(
        err, MOON_EAUTH,
        "no credentials: set %s and %s, or %s, or add a profile to ~/.gc/config.toml; `--sim` needs none",
        fields[MOON_CRED_CLIENT_ID].env[0], fields[MOON_CRED_CLIENT_SECRET].env[0],
        fields[MOON_CRED_ACCESS_TOKEN].env[0]);
}

void moon_credentials_mask(const struct moon_credentials *c, enum moon_cred_field f, char out[MOON_CRED_MASK_SIZE]) {
    const struct moon_cred_value *v = &c->field[f];
    if (!v->data)
        snprintf(out, MOON_CRED_MASK_SIZE, "-");
    else if (fields[f].secret || v->len < 2 * SHORT_ID)
        snprintf(out, MOON_CRED_MASK_SIZE, "***");
    else
        snprintf(out, MOON_CRED_MASK_SIZE, "%.4s\xE2\x80\xA6", v->data);
}
