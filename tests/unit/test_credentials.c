/* test_credentials.c - the gc profile's parser, and where each field comes from. */
#include "unit.h"

#include "moongate/credentials.h"
#include "moongate/file.h"
#include "moongate/gc_profile.h"
#include "moongate/redact.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char gc_file[] = "# written by gc\n"
                              "[DEFAULT]\n"
                              "  environment = \"mypurecloud.de\"  # Frankfurt\n"
                              "  client_credentials = 'profile-client-id'\n"
                              "  client_secret = \"s\\u00e9cret \\\"x\\\"\"\n"
                              "  oauth_token_data = { token = \"]\", n = [1,\n 2] }\n"
                              "  auto_pagination_enabled = false\n"
                              "\n"
                              "[Prod]\r\n"
                              "Environment = \"us-west-2\"\r\n"
                              "ACCESS_TOKEN = \"prod-token-value\"\r\n"
                              "[\"we.ird\"]\n"
                              "environment = '''\n"
                              "eu_west_1'''\n"
                              "[prod.proxy_configuration]\n"
                              "client_secret = 12\n";

static void a_profile_is_read(void **state) {
    (void)state;
    struct moon_gc_profile p;
    struct moon_err err;
    assert_int_equal(moon_gc_profile_parse(&p, gc_file, sizeof gc_file - 1, "default", &err), 0);
    assert_true(p.found);
    assert_string_equal(p.environment.data, "mypurecloud.de");
    assert_string_equal(p.client_id.data, "profile-client-id");
    assert_string_equal(p.client_secret.data, "s\xC3\xA9"
                                              "cret \"x\"");
    assert_null(p.access_token.data);
    assert_string_equal(p.sections.data, "DEFAULT, Prod, we.ird, prod.proxy_configuration");
    moon_gc_profile_release(&p);
    assert_int_equal(moon_gc_profile_parse(&p, gc_file, sizeof gc_file - 1, "PROD", &err), 0);
    assert_string_equal(p.environment.data, "us-west-2");
    assert_string_equal(p.access_token.data, "prod-token-value");
    assert_null(p.client_secret.data);
    moon_gc_profile_release(&p);
    assert_int_equal(moon_gc_profile_parse(&p, gc_file, sizeof gc_file - 1, "we.ird", &err), 0);
    assert_string_equal(p.environment.data, "eu_west_1");
    moon_gc_profile_release(&p);
    assert_int_equal(moon_gc_profile_parse(&p, "", 0, "x", &err), 0);
    assert_false(p.found);
    moon_gc_profile_release(&p);
}

static void faults_name_their_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[DEFAULT]\nenvironment = mypurecloud.de\n", "line 2: the value of environment must be in quotes"},
        {"[DEFAULT]\n\nclient_secret = \"abc\n", "line 3: the string has no end"},
        {"[DEFAULT\n", "line 1: expected ']'"},
        {"[DEFAULT]\nclient_secret\n", "line 2: expected '='"},
        {"[DEFAULT]\nclient_secret = \"a\" b\n", "line 2: there is more"},
        {"[DEFAULT]\nenvironment=\"a\"\nEnvironment=\"b\"\n", "line 3: Environment is set twice"},
        {"[DEFAULT]\n[x]\n[default]\n", "line 3: the section comes twice"},
        {"[DEFAULT]\nclient_secret = \"\\q\"\n", "line 2: unknown escape"},
        {"[DEFAULT]\nclient_secret = \"\\ud800\"\n", "line 2: bad \\u escape"},
        {"[a]\nx = [1, 2\n", "line 3: a bracket that is not closed"},
        {"[a]\nx = ]\n", "line 2: a bracket that was not opened"},
        {"[a]\nx =\n", "line 2: the key has no value"},
        {"x = '''a\nb\n\n", "line 4: the string has no end"},
        {"= 1\n", "line 1: expected a name"},
        {"[[a]\n", "line 1: expected ']]'"},
    };
    struct moon_gc_profile p;
    struct moon_err err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(moon_gc_profile_parse(&p, bad[i].text, strlen(bad[i].text), "DEFAULT", &err), MOON_EPARSE);
        if (strncmp(err.message, bad[i].says, strlen(bad[i].says)) != 0)
            fail_msg("%zu: %s", i, err.message);
    }
    for (size_t cut = 0; cut < sizeof gc_file; cut++) /* no prefix of a file makes trouble */
        if (moon_gc_profile_parse(&p, gc_file, cut, "DEFAULT", &err) == 0)
            moon_gc_profile_release(&p);
}

struct setup {
    char dir[64], path[96];
    const char *env[24]; /* name, value, ... NULL */
    struct moon_redact *redact;
    struct moon_cred_input in;
    struct moon_credentials c;
    struct moon_err err;
};

static const char *fake_getenv(void *ud, const char *name) {
    struct setup *s = ud;
    for (size_t i = 0; s->env[i]; i += 2)
        if (strcmp(s->env[i], name) == 0)
            return s->env[i + 1];
    return NULL;
}

static int setup(void **state) {
    struct setup *s = calloc(1, sizeof *s);
    if (!s)
        return -1;
    snprintf(s->dir, sizeof s->dir, "/tmp/moongate-cred-XXXXXX");
    if (!mkdtemp(s->dir) || moon_redact_new(&s->redact) != 0)
        return -1;
    snprintf(s->path, sizeof s->path, "%s/config.toml", s->dir);
    s->in.getenv = fake_getenv;
    s->in.ud = s;
    s->in.redact = s->redact;
    s->in.profile_path = s->path;
    *state = s;
    return 0;
}

static int teardown(void **state) {
    struct setup *s = *state;
    moon_credentials_release(&s->c);
    moon_redact_free(s->redact);
    unlink(s->path);
    rmdir(s->dir);
    free(s);
    return 0;
}

static void resolve(struct setup *s) {
    moon_credentials_release(&s->c);
    if (moon_credentials_resolve(&s->c, &s->in, &s->err) != 0)
        fail_msg("%s", s->err.message);
}

static void put_profile(struct setup *s, const char *text, unsigned mode) {
    assert_int_equal(moon_file_replace(s->path, text, strlen(text), mode, &s->err), 0);
}

#define FIELD(s, f) ((s)->c.field[MOON_CRED_##f])

static void nothing_set_is_the_default_region_and_no_way_in(void **state) {
    struct setup *s = *state;
    resolve(s);
    assert_string_equal(s->c.endpoints.api, "https://api.mypurecloud.com");
    assert_string_equal(FIELD(s, REGION).origin, "default");
    assert_int_equal(moon_credentials_auth(&s->c), MOON_AUTH_NONE);
    assert_int_equal(moon_credentials_require(&s->c, &s->err), MOON_EAUTH);
    assert_non_null(strstr(s->err.message, "GENESYSCLOUD_OAUTHCLIENT_ID"));
    assert_int_equal(s->c.nwarnings, 0);
}

static void each_field_comes_from_the_first_that_has_it(void **state) {
    struct setup *s = *state;
    put_profile(s, gc_file, 0600);
    resolve(s);
    assert_int_equal(FIELD(s, REGION).source, MOON_CRED_PROFILE);
    assert_non_null(strstr(FIELD(s, REGION).origin, "config.toml [DEFAULT]"));
    assert_string_equal(FIELD(s, CLIENT_ID).data, "profile-client-id");
    assert_int_equal(moon_credentials_auth(&s->c), MOON_AUTH_CLIENT);

    s->in.project[MOON_CRED_REGION] = "eu-west-1";
    resolve(s);
    assert_int_equal(FIELD(s, REGION).source, MOON_CRED_PROJECT);
    assert_string_equal(FIELD(s, REGION).origin, "moongate.lua");
    assert_string_equal(s->c.endpoints.login, "https://login.mypurecloud.ie");

    s->env[0] = "GENESYS_CLOUD_HOST", s->env[1] = "https://api.mypurecloud.jp";
    resolve(s);
    assert_string_equal(FIELD(s, REGION).origin, "GENESYS_CLOUD_HOST");
    assert_string_equal(s->c.endpoints.login, "https://login.mypurecloud.jp");
    s->env[2] = "GENESYS_CLOUD_REGION", s->env[3] = "usw2.pure.cloud";
    resolve(s);
    assert_string_equal(FIELD(s, REGION).origin, "GENESYS_CLOUD_REGION");
    s->env[4] = "GENESYSCLOUD_REGION", s->env[5] = "";
    resolve(s);
    assert_string_equal(FIELD(s, REGION).origin, "GENESYS_CLOUD_REGION"); /* empty is not set */
    s->env[5] = "us_east_1";
    resolve(s);
    assert_string_equal(FIELD(s, REGION).origin, "GENESYSCLOUD_REGION");

    s->in.flag[MOON_CRED_REGION] = "sa-east-1";
    resolve(s);
    assert_string_equal(FIELD(s, REGION).origin, "--region");
    assert_string_equal(s->c.endpoints.api, "https://api.sae1.pure.cloud");
    s->in.flag[MOON_CRED_LOGIN_URL] = "http://127.0.0.1:9/";
    resolve(s);
    assert_string_equal(s->c.endpoints.login, "http://127.0.0.1:9");
}

static void every_name_of_the_environment_is_known(void **state) {
    struct setup *s = *state;
    static const struct {
        const char *name;
        enum moon_cred_field field;
    } names[] = {
        {"GENESYS_OAUTH_CLIENT_ID", MOON_CRED_CLIENT_ID},
        {"GENESYS_CLIENT_ID", MOON_CRED_CLIENT_ID},
        {"GENESYS_CLOUD_CLIENT_ID", MOON_CRED_CLIENT_ID},
        {"GENESYSCLOUD_OAUTHCLIENT_ID", MOON_CRED_CLIENT_ID},
        {"GENESYS_OAUTH_CLIENT_SECRET", MOON_CRED_CLIENT_SECRET},
        {"GENESYS_CLIENT_SECRET", MOON_CRED_CLIENT_SECRET},
        {"GENESYS_CLOUD_CLIENT_SECRET", MOON_CRED_CLIENT_SECRET},
        {"GENESYSCLOUD_OAUTHCLIENT_SECRET", MOON_CRED_CLIENT_SECRET},
        {"GENESYSCLOUD_ACCESS_TOKEN", MOON_CRED_ACCESS_TOKEN},
        {"EXTERNAL_AI_TOKEN", MOON_CRED_EXTERNAL_TOKEN},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        s->env[2 * i] = names[i].name;
        s->env[2 * i + 1] = names[i].name;
        resolve(s);
        assert_string_equal(s->c.field[names[i].field].data, names[i].name);
        assert_string_equal(s->c.field[names[i].field].origin, names[i].name);
        assert_int_equal(s->c.field[names[i].field].source, MOON_CRED_ENV);
    }
}

static void the_nearer_way_in_wins(void **state) {
    struct setup *s = *state;
    put_profile(s, gc_file, 0600);
    s->in.profile = "prod";
    resolve(s);
    assert_int_equal(moon_credentials_auth(&s->c), MOON_AUTH_TOKEN);
    s->env[0] = "GENESYSCLOUD_OAUTHCLIENT_ID", s->env[1] = "id";
    resolve(s);
    assert_int_equal(moon_credentials_auth(&s->c), MOON_AUTH_TOKEN); /* an id alone is no way in */
    s->env[2] = "GENESYSCLOUD_OAUTHCLIENT_SECRET", s->env[3] = "secret-of-id";
    resolve(s);
    assert_int_equal(moon_credentials_auth(&s->c), MOON_AUTH_CLIENT);
    s->env[4] = "GENESYSCLOUD_ACCESS_TOKEN", s->env[5] = "token-value";
    resolve(s);
    assert_int_equal(moon_credentials_auth(&s->c), MOON_AUTH_TOKEN);
}

static void half_a_client_is_explained(void **state) {
    struct setup *s = *state;
    s->env[0] = "GENESYS_CLIENT_ID", s->env[1] = "id";
    resolve(s);
    assert_int_equal(moon_credentials_require(&s->c, &s->err), MOON_EAUTH);
    assert_non_null(strstr(s->err.message, "no client secret"));
    s->env[0] = "GENESYS_CLIENT_SECRET";
    resolve(s);
    assert_int_equal(moon_credentials_require(&s->c, &s->err), MOON_EAUTH);
    assert_non_null(strstr(s->err.message, "no client id"));
}

static void profiles_that_are_not_there(void **state) {
    struct setup *s = *state;
    s->in.profile = "prod";
    assert_int_equal(moon_credentials_resolve(&s->c, &s->in, &s->err), MOON_ENOENT);
    put_profile(s, "[DEFAULT]\n[stage]\n", 0600);
    moon_credentials_release(&s->c);
    assert_int_equal(moon_credentials_resolve(&s->c, &s->in, &s->err), MOON_ENOENT);
    assert_non_null(strstr(s->err.message, "'prod'; there is DEFAULT, stage"));
    put_profile(s, "[prod]\nclient_secret = oops-a-secret\n", 0600);
    moon_credentials_release(&s->c);
    assert_int_equal(moon_credentials_resolve(&s->c, &s->in, &s->err), MOON_EPARSE);
    assert_non_null(strstr(s->err.message, "config.toml: line 2: "));
    assert_null(strstr(s->err.message, "oops"));
}

static void warnings_for_what_is_risky(void **state) {
    struct setup *s = *state;
    put_profile(s, gc_file, 0644);
    s->env[0] = "GENESYSCLOUD_OAUTHCLIENT_ID", s->env[1] = "another-client";
    resolve(s);
    assert_int_equal(s->c.nwarnings, 2);
    assert_non_null(strstr(s->c.warnings[0], "can be read by others"));
    assert_non_null(strstr(s->c.warnings[1], "another client's"));
    s->env[2] = "GENESYSCLOUD_OAUTHCLIENT_SECRET", s->env[3] = "its-own-secret";
    s->env[4] = "GENESYSCLOUD_REGION", s->env[5] = "us-east-1";
    put_profile(s, "not toml at all", 0644); /* everything is known: the file is not even looked at */
    resolve(s);
    assert_int_equal(s->c.nwarnings, 0);
}

static void secrets_are_hidden(void **state) {
    struct setup *s = *state;
    s->env[0] = "GENESYSCLOUD_OAUTHCLIENT_ID", s->env[1] = "canary-0001-client";
    s->env[2] = "GENESYSCLOUD_OAUTHCLIENT_SECRET", s->env[3] = "canary-0002-secret";
    s->env[4] = "GENESYSCLOUD_ACCESS_TOKEN", s->env[5] = "canary-0003-token";
    s->env[6] = "EXTERNAL_AI_TOKEN", s->env[7] = "canary-0004-token";
    resolve(s);
    for (int f = 0; f < MOON_CRED_COUNT; f++) {
        char shown[MOON_CRED_MASK_SIZE];
        struct moon_buf b = MOON_BUF_INIT;
        moon_credentials_mask(&s->c, (enum moon_cred_field)f, shown);
        assert_null(strstr(shown, "ary-"));
        if (!s->c.field[f].data || f == MOON_CRED_REGION)
            continue;
        assert_int_equal(moon_redact_append(s->redact, &b, s->c.field[f].data, s->c.field[f].len), 0);
        assert_null(strstr(b.data, "canary"));
        moon_buf_release(&b);
    }
}

static void bad_values_name_where_they_came_from(void **state) {
    struct setup *s = *state;
    s->env[0] = "GENESYS_CLOUD_REGION", s->env[1] = "us-eats-1";
    assert_int_equal(moon_credentials_resolve(&s->c, &s->in, &s->err), MOON_EINVAL);
    assert_string_equal(s->err.message,
                        "unknown region 'us-eats-1': did you mean us-east-1? (from GENESYS_CLOUD_REGION)");
    s->env[0] = "GENESYSCLOUD_OAUTHCLIENT_SECRET", s->env[1] = "a\nb";
    moon_credentials_release(&s->c);
    assert_int_equal(moon_credentials_resolve(&s->c, &s->in, &s->err), MOON_EINVAL);
    assert_non_null(strstr(s->err.message, "client_secret (from GENESYSCLOUD_OAUTHCLIENT_SECRET)"));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_profile_is_read),
        cmocka_unit_test(faults_name_their_line),
        WITH(nothing_set_is_the_default_region_and_no_way_in),
        WITH(each_field_comes_from_the_first_that_has_it),
        WITH(every_name_of_the_environment_is_known),
        WITH(the_nearer_way_in_wins),
        WITH(half_a_client_is_explained),
        WITH(profiles_that_are_not_there),
        WITH(warnings_for_what_is_risky),
        WITH(secrets_are_hidden),
        WITH(bad_values_name_where_they_came_from),
    };
    return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}
