/* options.h - the global flags: what every command understands, wherever on the command line it stands before "--".
 *
 * C reads them because the session (log, credentials, host) is built from them before any Lua runs. They are
 * declared in lua/moongate/global_flags.lua; the build makes moon_options_table of it (src/tools/options.c). */
#ifndef MOONGATE_CLI_OPTIONS_H
#define MOONGATE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOON_OPTIONS_LIST 32 /* a repeated flag, at most */

struct moon_options_list {
    const char *items[MOON_OPTIONS_LIST];
    size_t len;
};

/* A field a flag, of its name. Strings are borrowed from argv and the environment. NULL, 0 and false: not given. */
struct moon_options {
    bool sim, json, dry_run, queue, quiet, help, version, metrics, trace_content, allow_all;
    int verbose; /* -v 1, -vv 2 */
    const char *log_level, *region, *client_id, *login_url, *profile, *config, *state, *audit_log, *run_id;
    const char *http2, *cacert, *cert, *key, *key_passphrase_file, *lua_dir, *color, *metrics_file, *permission_log;
    double deadline;     /* seconds a gateway call may take */
    double wait;         /* seconds to wait for what another process holds */
    double max_time;     /* seconds a script may run */
    uint64_t max_memory; /* bytes of Lua memory */
    uint64_t seed;
    uint64_t retries; /* of a gateway call */
    bool has_seed, has_retries;
    struct moon_options_list sim_fault, allow_net, allow_read, allow_write, allow_env, allow_http, trust;
    uint64_t given; /* a bit a row of the table */
    int argc;       /* what is left for Lua: argv[0], the command and its own arguments */
    char **argv;
    char error[256]; /* empty, or what is wrong with the command line; Lua reports it, in the form the user asked for */
};

enum moon_option_kind {
    MOON_OPTION_BOOL,
    MOON_OPTION_COUNT,
    MOON_OPTION_STRING,
    MOON_OPTION_LIST,
    MOON_OPTION_DURATION,
    MOON_OPTION_UINT,
    MOON_OPTION_SIZE,
    MOON_OPTION_REFUSED /* names a secret: never taken from a command line */
};

struct moon_option {
    const char *name; /* without "--" */
    char letter;      /* "-v", or 0 */
    enum moon_option_kind kind;
    size_t offset;   /* of the field in struct moon_options */
    const char *env; /* read when the flag is not given; or NULL */
};
extern const struct moon_option moon_options_table[]; /* ended by {NULL} */

/* Sorts argv into o. Always succeeds: see o->error. o->argv is allocated; false when there is no memory for it. */
bool moon_options_parse(struct moon_options *o, int argc, char **argv);
void moon_options_release(struct moon_options *o);

/* "64M", "1.5GiB", or bytes: K, M and G are powers of 1024. 0 and the bytes, or -1. */
int moon_size_parse(const char *text, uint64_t *bytes);
/* "800ms", "2s", "1.5m", "1h", or bare seconds. 0 and the seconds, or -1. */
int moon_duration_parse(const char *text, double *seconds);

#endif
