/* l_audit.c - Lua module "audit" over moongate/audit_queue.h: events, intents and their outcomes.  Types:
 * lua/meta/audit.lua
 *
 * A submission is a closed userdata before it is one in the queue. A cancelled task lets go of it, and it is written
 * all the same. */
#include "l_audit.h"

#include "bind_udata.h"
#include "l_json.h"
#include "moongate/audit_queue.h"
#include "moongate/json.h"

#include <stdlib.h>
#include <string.h>

#define L_SUBMISSION "moongate.audit.submission"
#define L_ENTRY      "moongate.audit.entry"
#define FIELDS_SIZE  500                          /* most events have room in it */
#define FIELDS_MAX   (MOON_AUDIT_LINE_MAX - 4096) /* the log's own members have room beside them */

static const char submission_key = 0;

struct l_submission {
    struct moon_buf fields;
    struct moon_audit_ticket *ticket; /* NULL: not in the queue, or settled */
    struct moon_wake wake;
    uint64_t seq;
    struct moon_err *err; /* of a failure: large, and rarely there; NULL: no memory for it */
};

struct l_entry { /* uservalue 1: the action */
    uint64_t seq;
    bool settled; /* its outcome is written or on its way */
};

static int l_submission_close(lua_State *L) {
    struct l_submission *s = bind_udata(L, 1, L_SUBMISSION, &submission_key);
    if (s->ticket)
        moon_audit_forget(s->ticket);
    s->ticket = NULL;
    free(s->err);
    s->err = NULL;
    moon_buf_release(&s->fields);
    return 0;
}

static void on_done(void *ud, uint64_t seq, const struct moon_err *err) {
    struct l_submission *s = ud;
    s->ticket = NULL;
    s->seq = seq;
    if (err && (s->err = malloc(sizeof *err)))
        *s->err = *err;
    moon_task_wake(s->wake);
}

/* The event as JSON, whatever a peer has put into it: an effect is recorded even when what is said of it is odd. One
 * that is too long for a line has its strings and lists cut. */
static int encode_fields(lua_State *L, int idx, struct moon_buf *out) {
    static const struct {
        size_t max_string;
        int max_items;
    } cuts[] = {{0, 0}, {16384, 1000}, {1024, 100}, {256, 10}, {64, 4}};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        moon_buf_clear(out);
        int rc = moon_lua_json_encode_any(L, idx, out, cuts[i].max_string, cuts[i].max_items);
        if (rc != 0 || out->len <= FIELDS_MAX)
            return rc;
    }
    return 0;
}

/* The event's JSON; an outcome without an action has its intent's, which is at action_idx. */
static int encode(lua_State *L, int idx, int action_idx, struct moon_buf *out, struct moon_err *err) {
    size_t len;
    int rc = moon_buf_reserve(out, FIELDS_SIZE);
    if (rc != 0 || encode_fields(L, idx, out) != 0)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    lua_pushliteral(L, "action");
    bool has_action = lua_rawget(L, idx) != LUA_TNIL;
    lua_pop(L, 1);
    if (!action_idx || has_action || out->data[0] != '{')
        return 0;
    const char *action = lua_tolstring(L, action_idx, &len);
    bool empty = out->len == 2;
    out->data[--out->len] = '\0'; /* takes the last brace off */
    rc = moon_buf_puts(out, empty ? "\"action\":" : ",\"action\":");
    if (rc == 0)
        rc = moon_json_put_string(out, action, len);
    if (rc == 0)
        rc = moon_buf_putc(out, '}');
    return rc != 0 ? moon_err_set(err, rc, "out of memory") : 0;
}

struct submission {
    const char *what;
    enum moon_audit_phase phase;
    uint64_t intent;
    int fields_idx, action_idx; /* action_idx 0: none */
    bool sync;
    lua_KFunction then; /* its context: the index of the l_submission */
};

/* Puts the event of the table at fields_idx in the queue and waits for it. Returns what the C function returns. */
static int submit(lua_State *L, const struct submission *how) {
    struct moon_audit_queue *queue = moon_host_services(moon_host_of(L))->audit;
    struct moon_err err;
    luaL_checktype(L, how->fields_idx, LUA_TTABLE);
    moon_task_check(L, how->what);
    if (!queue) {
        moon_err_set(&err, MOON_ECLOSED, "%s: this session has no audit log", how->what);
        return moon_fail(L, &err);
    }
    struct l_submission *s = lua_newuserdatauv(L, sizeof *s, 0);
    memset(s, 0, sizeof *s);
    luaL_setmetatable(L, L_SUBMISSION);
    lua_toclose(L, -1);
    int at = lua_gettop(L);
    if (encode(L, how->fields_idx, how->action_idx, &s->fields, &err) != 0 ||
        moon_audit_submit(queue, how->phase, how->intent, s->fields.data, s->fields.len, how->sync, on_done, s,
                          &s->ticket, &err) != 0)
        return moon_fail(L, &err);
    s->wake = moon_task_park(L);
    return lua_yieldk(L, 0, (lua_KContext)at, how->then);
}

static struct l_submission *submission_at(lua_State *L, lua_KContext ctx) {
    return lua_touserdata(L, (int)ctx);
}

static int fail(lua_State *L, const struct l_submission *s) {
    struct moon_err err;
    if (s->err)
        return moon_fail(L, s->err);
    moon_err_set(&err, MOON_ENOMEM, "out of memory");
    return moon_fail(L, &err);
}

/* ---- events ---- */

static int event_k(lua_State *L, int status, lua_KContext ctx) {
    const struct l_submission *s = submission_at(L, ctx);
    (void)status;
    if (s->seq == 0)
        return fail(L, s);
    lua_pushinteger(L, (lua_Integer)s->seq);
    return 1;
}

/* audit.event{action=, ...} -> seq | nil, err */
static int l_event(lua_State *L) {
    const struct submission how = {"audit.event", MOON_AUDIT_EVENT, 0, 1, 0, false, event_k};
    lua_settop(L, 1);
    return submit(L, &how);
}

/* ---- intents ---- */

/* Pops the action and pushes the entry. */
static int push_entry(lua_State *L, uint64_t seq) {
    struct l_entry *e = lua_newuserdatauv(L, sizeof *e, 1);
    e->seq = seq;
    e->settled = false;
    luaL_setmetatable(L, L_ENTRY);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

static int intent_k(lua_State *L, int status, lua_KContext ctx) {
    const struct l_submission *s = submission_at(L, ctx);
    (void)status;
    if (s->seq == 0)
        return fail(L, s);
    lua_pushliteral(L, "action");
    lua_rawget(L, 1);
    return push_entry(L, s->seq);
}

/* scope.reopen_intent(seq, action) -> entry: no function of the module, since a script could give others' intents an
 * outcome with it */
int l_audit_reopen(lua_State *L) {
    lua_Integer seq = luaL_checkinteger(L, 1);
    luaL_argcheck(L, seq > 0, 1, "from 1");
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    return push_entry(L, (uint64_t)seq);
}

/* audit.intent{action=, ...} -> entry | nil, err */
static int l_intent(lua_State *L) {
    const struct submission how = {"audit.intent", MOON_AUDIT_INTENT, 0, 1, 0, true, intent_k};
    lua_settop(L, 1);
    return submit(L, &how);
}

static int outcome_k(lua_State *L, int status, lua_KContext ctx) {
    const struct l_submission *s = submission_at(L, ctx);
    struct l_entry *e = lua_touserdata(L, 1);
    (void)status;
    if (s->seq == 0) {
        e->settled = false;
        return fail(L, s);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* entry:outcome{...} -> true | nil, err */
static int l_outcome(lua_State *L) {
    struct l_entry *e = luaL_checkudata(L, 1, L_ENTRY);
    const struct submission how = {"entry:outcome", MOON_AUDIT_OUTCOME, e->seq, 2, 3, true, outcome_k};
    if (e->settled)
        return luaL_error(L, "entry:outcome: intent %d has its outcome already", (int)e->seq);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, 1);
    moon_task_check(L, how.what);
    e->settled = true;
    int n = submit(L, &how); /* comes back only when nothing was queued */
    e->settled = false;
    return n;
}

static int l_entry_index(lua_State *L) {
    struct l_entry *e = luaL_checkudata(L, 1, L_ENTRY);
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "seq") == 0)
        lua_pushinteger(L, (lua_Integer)e->seq);
    else if (strcmp(name, "outcome") == 0)
        lua_pushcfunction(L, l_outcome);
    else
        lua_pushnil(L);
    return 1;
}

static int l_entry_string(lua_State *L) {
    struct l_entry *e = luaL_checkudata(L, 1, L_ENTRY);
    lua_pushfstring(L, "audit intent %I", (LUAI_UACINT)e->seq);
    return 1;
}

/* audit.path() -> path | nil */
static int l_path(lua_State *L) {
    const struct moon_audit_queue *queue = moon_host_services(moon_host_of(L))->audit;
    if (queue)
        lua_pushstring(L, moon_audit_queue_path(queue));
    else
        lua_pushnil(L);
    return 1;
}

static const luaL_Reg submission_meta[] = {{"__gc", l_submission_close}, {"__close", l_submission_close}, {NULL, NULL}};
static const luaL_Reg entry_meta[] = {{"__index", l_entry_index}, {"__tostring", l_entry_string}, {NULL, NULL}};
static const luaL_Reg funcs[] = {
    {"event", l_event},     {"intent", l_intent},   {"path", l_path}, {"verify", l_audit_verify},
    {"read", l_audit_read}, {"tree", l_audit_tree}, {NULL, NULL}};

static void make_meta(lua_State *L, const char *name, const luaL_Reg *meta) {
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, meta, 0);
    lua_pushliteral(L, "protected");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

int luaopen_moongate_audit(lua_State *L);
int luaopen_moongate_audit(lua_State *L) {
    make_meta(L, L_SUBMISSION, submission_meta);
    bind_udata_setup(L, L_SUBMISSION, &submission_key);
    make_meta(L, L_ENTRY, entry_meta);
    l_audit_file_setup(L);
    luaL_newlib(L, funcs);
    return 1;
}
