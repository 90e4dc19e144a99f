/* options.c - sorts the global flags out of argv, by the table that is made of lua/moongate/global_flags.lua. The rest,
 * unknown flags too, is left for Lua to judge. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MEMORY_MIN  ((uint64_t)16 << 20) /* the program itself needs some */
#define RETRIES_MAX 999

/* Names of secrets that people try: known, so that they can be refused. */
static const struct moon_option refused = {"", 0, MOON_OPTION_REFUSED, 0, NULL};
static const char *const secrets[] = {"client-secret", "access-token", "token", "secret", "password"};

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
    if (opt != &refused)
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
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (strlen(secrets[i]) == len && memcmp(secrets[i], name, len) == 0)
            return &refused;
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
    snprintf(from, sizeof from, "%.*s", (int)strcspn(argv[*i], "="), argv[*i]);
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
