/* l_secret.c - Lua module "secret": opaque handles. C code uses their bytes; a script can only pass them on.  Types:
 * lua/meta/secret.lua */
#include "l_secret.h"

#include "l_fs.h"
#include "moongate/digest.h"
#include "moongate/log.h"
#include "moongate/redact.h"
#include "moongate/rng.h"

#include <stdlib.h>
#include <string.h>

#define RANDOM_MIN 16
#define RANDOM_MAX 64 /* bytes; Standard Webhooks asks for 24 to 64 */

/* of_script: what a script calls secret blanks nothing of our own words. */
static int push(lua_State *L, const char *data, size_t len, bool of_script) {
    struct l_secret *s = lua_newuserdatauv(L, sizeof *s, 1); /* its value: the variable's name */
    struct moon_err err;
    s->data = NULL;
    s->len = 0;
    luaL_setmetatable(L, L_SECRET);
    s->data = malloc(len + 1);
    struct moon_redact *redact = moon_host_services(moon_host_of(L))->redact;
    if (!s->data || (of_script ? moon_redact_add_script : moon_redact_add)(redact, data, len) != 0) {
        moon_err_set(&err, MOON_ENOMEM, "out of memory");
        return moon_fail(L, &err);
    }
    memcpy(s->data, data, len);
    s->data[len] = '\0';
    s->len = len;
    return 1;
}

int l_secret_push(lua_State *L, const char *data, size_t len) {
    return push(L, data, len, moon_host_asks(L));
}

static int l_gc(lua_State *L) {
    struct l_secret *s = luaL_checkudata(L, 1, L_SECRET);
    if (s->data)
        moon_wipe(s->data, s->len);
    free(s->data);
    s->data = NULL;
    s->len = 0;
    return 0;
}

static int l_tostring(lua_State *L) {
    lua_pushliteral(L, "***");
    return 1;
}

static int l_concat(lua_State *L) {
    return luaL_error(L, "a secret can't be joined to text; pass the handle itself");
}

void l_secret_warn(lua_State *L, const char *from, const char *value, size_t len) {
    const struct moon_services *services = moon_host_services(moon_host_of(L));
    const char *why = moon_redact_news(services->redact, value, len);
    if (why)
        moon_log_write(services->log, MOON_LOG_WARN, "secret %s %s: it is not blanked in output and logs", from, why);
}

/* secret.env(name) -> handle | nil, err */
static int l_env(lua_State *L) {
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len), *value;
    struct moon_err err;
    luaL_argcheck(L, len && strlen(name) == len && !strchr(name, '='), 1, "not a variable's name");
    bool of_project = lua_touserdata(L, 2) == moon_host_of(L); /* which no script can give */
    if (!of_project && moon_host_permit(L, "env", name, &err) != 0)
        return moon_fail(L, &err);
    value = getenv(name);
    if (!value || !*value) {
        moon_err_set(&err, MOON_ENOENT, "environment variable %s is %s", name, value ? "empty" : "not set");
        return moon_fail(L, &err);
    }
    int n = push(L, value, strlen(value), !of_project && moon_host_asks(L));
    if (n == 1) {
        l_secret_warn(L, name, value, strlen(value));
        lua_pushvalue(L, 1);
        lua_setiuservalue(L, -2, 1);
    }
    return n;
}

/* secret.variable(handle) -> the name of the environment variable that it came from | nil */
static int l_variable(lua_State *L) {
    luaL_checkudata(L, 1, L_SECRET);
    lua_getiuservalue(L, 1, 1);
    return 1;
}

/* secret.random([bytes = 32]) -> handle of "whsec_" and base64 | nil, err. Never from a seeded generator. */
static int l_random(lua_State *L) {
    lua_Integer n = luaL_optinteger(L, 1, 32);
    unsigned char raw[RANDOM_MAX];
    struct moon_buf text = MOON_BUF_INIT;
    struct moon_rng rng;
    char copy[128]; /* text must not be held over a push that may raise */
    size_t len = 0;
    luaL_argcheck(L, n >= RANDOM_MIN && n <= RANDOM_MAX, 1, "16 to 64 bytes");
    moon_rng_init_system(&rng);
    moon_rng_bytes(&rng, raw, (size_t)n);
    moon_wipe(&rng, sizeof rng);
    if (moon_buf_puts(&text, "whsec_") == 0 && moon_base64_encode(&text, raw, (size_t)n) == 0 &&
        text.len < sizeof copy) {
        len = text.len;
        memcpy(copy, text.data, len);
    }
    moon_wipe(raw, sizeof raw);
    if (text.data)
        moon_wipe(text.data, text.cap);
    moon_buf_release(&text);
    if (!len)
        return luaL_error(L, "not enough memory");
    n = l_secret_push(L, copy, len);
    moon_wipe(copy, sizeof copy);
    return (int)n;
}

/* secret.of(text) -> handle | nil, err. Of what Lua has in plain: its value is redacted from now on. */
static int l_of(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len > 0, 1, "empty");
    return l_secret_push(L, text, len);
}

/* secret.is(v) -> boolean */
static int l_is(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, luaL_testudata(L, 1, L_SECRET) != NULL);
    return 1;
}

static const luaL_Reg meta[] = {{"__gc", l_gc}, {"__tostring", l_tostring}, {"__concat", l_concat}, {NULL, NULL}};
static const luaL_Reg funcs[] = {{"env", l_env}, {"file", l_secret_file},  {"random", l_random}, {"of", l_of},
                                 {"is", l_is},   {"variable", l_variable}, {NULL, NULL}};

int luaopen_moongate_secret(lua_State *L);
int luaopen_moongate_secret(lua_State *L) {
    if (luaL_newmetatable(L, L_SECRET)) {
        luaL_setfuncs(L, meta, 0);
        lua_pushliteral(L, L_SECRET);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    l_fs_setup(L);
    luaL_newlib(L, funcs);
    return 1;
}
