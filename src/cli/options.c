/* options.c - sorts the global flags out of argv by one table. The rest, unknown flags too, is left for Lua to judge.
 */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MEMORY_MIN  ((uint64_t)16 << 20) /* the program itself needs some */
#define RETRIES_MAX 999
#define AT(field)   offsetof(struct moon_options, field)

const struct moon_option moon_options_table[] = {
    {"sim", 0, MOON_OPTION_BOOL, AT(sim), "MOONGATE_SIM"},
    {"sim-fault", 0, MOON_OPTION_LIST, AT(sim_fault), "MOONGATE_SIM_FAULT"},
    {"json", 0, MOON_OPTION_BOOL, AT(json), "MOONGATE_JSON"},
    {"dry-run", 0, MOON_OPTION_BOOL, AT(dry_run), "MOONGATE_DRY_RUN"},
    {"run-id", 0, MOON_OPTION_STRING, AT(run_id), "MOONGATE_RUN_ID"},
    {"queue", 0, MOON_OPTION_BOOL, AT(queue), "MOONGATE_QUEUE"},
    {"wait", 0, MOON_OPTION_DURATION, AT(wait), "MOONGATE_WAIT"},
    {"verbose", 'v', MOON_OPTION_COUNT, AT(verbose), "MOONGATE_VERBOSE"},
    {"quiet", 'q', MOON_OPTION_BOOL, AT(quiet), "MOONGATE_QUIET"},
    {"log-level", 0, MOON_OPTION_STRING, AT(log_level), "MOONGATE_LOG_LEVEL"},
    {"region", 0, MOON_OPTION_STRING, AT(region), "MOONGATE_REGION"},
    {"client-id", 0, MOON_OPTION_STRING, AT(client_id), "MOONGATE_CLIENT_ID"},
    {"login-url", 0, MOON_OPTION_STRING, AT(login_url), "MOONGATE_LOGIN_URL"},
    {"profile", 0, MOON_OPTION_STRING, AT(profile), "MOONGATE_PROFILE"},
    {"config", 0, MOON_OPTION_STRING, AT(config), "MOONGATE_CONFIG"},
    {"state", 0, MOON_OPTION_STRING, AT(state), "MOONGATE_STATE"},
    {"audit-log", 0, MOON_OPTION_STRING, AT(audit_log), "MOONGATE_AUDIT_LOG"},
    {"http2", 0, MOON_OPTION_STRING, AT(http2), "MOONGATE_HTTP2"},
    {"cacert", 0, MOON_OPTION_STRING, AT(cacert), "MOONGATE_CACERT"},
    {"cert", 0, MOON_OPTION_STRING, AT(cert), "MOONGATE_CERT"},
    {"key", 0, MOON_OPTION_STRING, AT(key), "MOONGATE_KEY"},
    {"key-passphrase-file", 0, MOON_OPTION_STRING, AT(key_passphrase_file), "MOONGATE_KEY_PASSPHRASE_FILE"},
    {"lua-dir", 0, MOON_OPTION_STRING, AT(lua_dir), "MOONGATE_LUA_DIR"},
    {"deadline", 0, MOON_OPTION_DURATION, AT(deadline), "MOONGATE_DEADLINE"},
    {"retries", 0, MOON_OPTION_UINT, AT(retries), "MOONGATE_RETRIES"},
    {"seed", 0, MOON_OPTION_UINT, AT(seed), "MOONGATE_SEED"},
    {"metrics", 0, MOON_OPTION_BOOL, AT(metrics), "MOONGATE_METRICS"},
    {"metrics-file", 0, MOON_OPTION_STRING, AT(metrics_file), "MOONGATE_METRICS_FILE"},
    {"trace-content", 0, MOON_OPTION_BOOL, AT(trace_content), "MOONGATE_TRACE_CONTENT"},
    {"allow-net", 0, MOON_OPTION_LIST, AT(allow_net), "MOONGATE_ALLOW_NET"},
    {"allow-read", 0, MOON_OPTION_LIST, AT(allow_read), "MOONGATE_ALLOW_READ"},
    {"allow-write", 0, MOON_OPTION_LIST, AT(allow_write), "MOONGATE_ALLOW_WRITE"},
    {"allow-env", 0, MOON_OPTION_LIST, AT(allow_env), "MOONGATE_ALLOW_ENV"},
    {"allow-http", 0, MOON_OPTION_LIST, AT(allow_http), "MOONGATE_ALLOW_HTTP"},
    {"allow-all", 0, MOON_OPTION_BOOL, AT(allow_all), "MOONGATE_ALLOW_ALL"},
    {"trust", 0, MOON_OPTION_LIST, AT(trust), "MOONGATE_TRUST"},
    {"permission-log", 0, MOON_OPTION_STRING, AT(permission_log), "MOONGATE_PERMISSION_LOG"},
    {"max-time", 0, MOON_OPTION_DURATION, AT(max_time), "MOONGATE_MAX_TIME"},
    {"max-memory", 0, MOON_OPTION_SIZE, AT(max_memory), "MOONGATE_MAX_MEMORY"},
    {"color", 0, MOON_OPTION_STRING, AT(color), "MOONGATE_COLOR"},
    {"help", 'h', MOON_OPTION_BOOL, AT(help), NULL},
    {"version", 'V', MOON_OPTION_BOOL, AT(version), NULL},
    {"client-secret", 0, MOON_OPTION_REFUSED, 0, NULL},
    {"access-token", 0, MOON_OPTION_REFUSED, 0, NULL},
    {"token", 0, MOON_OPTION_REFUSED, 0, NULL},
    {"secret", 0, MOON_OPTION_REFUSED, 0, NULL},
    {"password", 0, MOON_OPTION_REFUSED, 0, NULL},
    {NULL, 0, MOON_OPTION_BOOL, 0, NULL},
};

int moon_duration_parse(const char *text, double *seconds) {
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {{"", 1}, {"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    double n = strtod(text, &end);
    if (!isfinite(n) || memchr(text, 'x', (size_t)(end - text)) || memchr(text, 'X', (size_t)(end - text)))
        return -1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].suffix) == 0) {
            *seconds = n * units[i].factor;
            return 0;
        }
    return -1;
}

int moon_size_parse(const char *text, uint64_t *bytes) {
    static const char *const units[] = {"", "K", "M", "G"};
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    double n = strtod(text, &end);
    if (!isfinite(n) || memchr(text, 'x', (size_t)(end - text)) || memchr(text, 'X', (size_t)(end - text)))
        return -1;
    for (int i = 0; i < 4; i++) {
        size_t len = strlen(units[i]);
        if (strncmp(end, units[i], len) == 0 && (end[len] == '\0' || (len && strcmp(end + len, "iB") == 0)) &&
            (len || *end == '\0')) {
            *bytes = n < 1e18 ? (uint64_t)n : 0;
            return *bytes ? 0 : -1;
        }
        n *= 1024;
    }
    return -1;
}

static bool takes_value(const struct moon_option *opt) {
    return opt->kind != MOON_OPTION_BOOL && opt->kind != MOON_OPTION_COUNT;
}

/* The first fault counts. The value itself is never repeated: it may be a misplaced secret. */
static void fault(struct moon_options *o, const char *from, const char *what) {
    if (o->error[0] == '\0')
        snprintf(o->error, sizeof o->error, "%s %s", from, what);
}

static int parse_uint(const char *text, uint64_t *out) {
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 ? 0 : -1;
}

/* `from` names the flag or the variable in a message. */
static void set(struct moon_options *o, const struct moon_option *opt, const char *from, const char *value) {
    void *field = (char *)o + opt->offset;
    struct moon_options_list *list = field;
    o->given |= UINT64_C(1) << (opt - moon_options_table);
    switch (opt->kind) {
    case MOON_OPTION_BOOL:
        *(bool *)field = true;
        break;
    case MOON_OPTION_COUNT:
        ++*(int *)field;
        break;
    case MOON_OPTION_STRING:
        *(const char **)field = value;
        if (*value == '\0')
            fault(o, from, "needs a value that is not empty");
        break;
    case MOON_OPTION_LIST:
        if (list->len < MOON_OPTIONS_LIST)
            list->items[list->len++] = value;
        else
            fault(o, from, "is given too often");
        break;
    case MOON_OPTION_DURATION:
        if (moon_duration_parse(value, field) != 0 || *(double *)field <= 0)
            fault(o, from, "needs a duration such as 800ms, 2s, 1.5m or 1h");
        break;
    case MOON_OPTION_UINT:
        if (parse_uint(value, field) != 0)
            fault(o, from, "needs a whole number from 0 on");
        else if (field == &o->retries && o->retries > RETRIES_MAX)
            fault(o, from, "needs a whole number from 0 to 999");
        o->has_seed |= field == &o->seed;
        o->has_retries |= field == &o->retries;
        break;
    case MOON_OPTION_SIZE:
        if (moon_size_parse(value, field) != 0 || *(uint64_t *)field < MEMORY_MIN)
            fault(o, from, "needs a size of at least 16M, such as 256M or 2GiB");
        break;
    case MOON_OPTION_REFUSED:
        fault(o, from,
              "is refused: every user of this machine can read a command line. Put the secret into the environment "
              "(GENESYSCLOUD_OAUTHCLIENT_SECRET) or into ~/.gc/config.toml");
        break;
    }
}

/* The option `arg` names, *value set when it came as --name=value; or NULL. */
static const struct moon_option *find_long(const char *arg, const char **value) {
    const char *name = arg + 2, *eq = strchr(name, '=');
    size_t len = eq ? (size_t)(eq - name) : strlen(name);
    *value = eq ? eq + 1 : NULL;
    for (const struct moon_option *opt = moon_options_table; opt->name; opt++)
        if (strlen(opt->name) == len && memcmp(opt->name, name, len) == 0)
            return opt;
    return NULL;
}

/* "-v", "-vv", "-qv": true when every letter is a known flag. */
static bool set_letters(struct moon_options *o, const char *letters) {
    for (int pass = 0; pass < 2; pass++) /* first look, then set: all or none */
        for (const char *c = letters; *c; c++) {
            const struct moon_option *opt = moon_options_table;
            while (opt->name && opt->letter != *c)
                opt++;
            if (!opt->name)
                return false;
            if (pass == 1)
                set(o, opt, opt->name, "");
        }
    return *letters != '\0';
}

/* Takes the long flag at argv[*i], and its value, off the line. False: none of ours. */
static bool take_long(struct moon_options *o, int argc, char **argv, int *i) {
    const char *value;
    char from[40];
    const struct moon_option *opt = find_long(argv[*i], &value);
    if (!opt)
        return false;
    snprintf(from, sizeof from, "--%s", opt->name);
    if (!takes_value(opt)) {
        if (value)
            fault(o, from, "takes no value");
    } else if (!value && opt->kind != MOON_OPTION_REFUSED) {
        if (*i + 1 >= argc) {
            fault(o, from, "needs a value");
            return true;
        }
        value = argv[++*i];
    }
    set(o, opt, from, value);
    return true;
}

static bool is_one_of(const char *value, const char *const *words) {
    while (*words && strcasecmp(value, *words) != 0)
        words++;
    return *words != NULL;
}

static bool is_yes(const char *value) {
    return is_one_of(value, (const char *const[]){"1", "true", "yes", "on", NULL});
}

static bool is_no(const char *value) {
    return is_one_of(value, (const char *const[]){"0", "false", "no", "off", NULL});
}

/* A flag without a value. A stray word is neither: MOONGATE_DRY_RUN=nope must not be a guess, either way. */
static void set_sign(struct moon_options *o, const struct moon_option *opt, const char *value) {
    bool count = opt->kind == MOON_OPTION_COUNT, digit = *value >= '2' && *value <= '9' && !value[1];
    if (is_no(value))
        return;
    if (is_yes(value) || (count && digit))
        set(o, opt, opt->env, value);
    else
        fault(o, opt->env,
              count ? "needs 1, true or yes, a number up to 9, or 0, false, no or nothing"
                    : "needs 1, true or yes, or 0, false, no or nothing");
    if (count && digit) /* MOONGATE_VERBOSE=2 is -vv */
        *(int *)(void *)((char *)o + opt->offset) = *value - '0';
}

static void read_environment(struct moon_options *o) {
    for (const struct moon_option *opt = moon_options_table; opt->name; opt++) {
        const char *value = opt->env ? getenv(opt->env) : NULL;
        if (!value || !*value || (o->given >> (opt - moon_options_table) & 1))
            continue;
        if (takes_value(opt))
            set(o, opt, opt->env, value);
        else
            set_sign(o, opt, value);
    }
}

bool moon_options_parse(struct moon_options *o, int argc, char **argv) {
    memset(o, 0, sizeof *o);
    o->argv = calloc((size_t)argc + 2, sizeof *o->argv);
    if (!o->argv)
        return false;
    if (argc > 0)
        o->argv[o->argc++] = argv[0];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (i < argc) /* "--" too: the command's own parser wants to see it */
                o->argv[o->argc++] = argv[i++];
            break;
        }
        if (strncmp(argv[i], "--", 2) == 0 ? take_long(o, argc, argv, &i)
                                           : argv[i][0] == '-' && set_letters(o, argv[i] + 1))
            continue;
        o->argv[o->argc++] = argv[i];
        if (strcmp(argv[i], "-e") == 0 && i + 1 < argc) /* a chunk may begin with "--" */
            o->argv[o->argc++] = argv[++i];
    }
    read_environment(o);
    return true;
}

void moon_options_release(struct moon_options *o) {
    free(o->argv);
    o->argv = NULL;
}
