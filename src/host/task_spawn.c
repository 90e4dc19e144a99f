/* task_spawn.c - the birth of a task: slots with coroutines that are used again, and a place in the tree of tasks. */
#include "host_private.h"

#include <stdlib.h>
#include <string.h>

#define NO_SLOT UINT32_MAX

void host_scheduler_init(struct moon_host *host) {
    host->free_slot = NO_SLOT;
    host->ready_tail = &host->ready;
}

int host_scheduler_setup(lua_State *L) {
    struct moon_host *host = moon_host_of(L);
    lua_newtable(L);
    host->threads_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    host->handles_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (luaL_newmetatable(L, MOON_TASK_MT)) {
        lua_pushliteral(L, MOON_TASK_MT);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    return 0;
}

static bool slot_add(struct moon_host *host) {
    if (host->n_slots == host->cap_slots) {
        uint32_t cap = host->cap_slots ? host->cap_slots * 2 : 16;
        struct host_slot *slots = cap <= NO_SLOT / 2 ? realloc(host->slots, cap * sizeof *slots) : NULL;
        if (!slots)
            return false;
        host->slots = slots;
        host->cap_slots = cap;
    }
    host->slots[host->n_slots] = (struct host_slot){.generation = 1, .next_free = NO_SLOT};
    host->free_slot = host->n_slots++;
    return true;
}

/* A free slot with a coroutine, not yet taken. */
static uint32_t slot_find(lua_State *L, struct moon_host *host) {
    struct host_slot *s;
    if (host->free_slot == NO_SLOT && !slot_add(host))
        luaL_error(L, "not enough memory");
    s = &host->slots[host->free_slot];
    if (!s->co) {
        lua_State *co;
        lua_rawgeti(L, LUA_REGISTRYINDEX, host->threads_ref);
        co = lua_newthread(L);
        lua_sethook(co, NULL, 0, 0);
        *(char **)lua_getextraspace(co) = (char *)host + 1;
        lua_rawseti(L, -2, (lua_Integer)host->free_slot + 1);
        lua_pop(L, 1);
        s->co = co;
        host->n_idle++;
    }
    return host->free_slot;
}

void host_slot_release(lua_State *L, struct moon_host *host, uint32_t slot) {
    struct host_slot *s = &host->slots[slot];
    lua_rawgeti(L, LUA_REGISTRYINDEX, host->handles_ref);
    lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)slot + 1);
    lua_pop(L, 1);
    if (host->n_idle >= HOST_POOL) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, host->threads_ref);
        lua_pushnil(L);
        lua_rawseti(L, -2, (lua_Integer)slot + 1);
        lua_pop(L, 1);
        s->co = NULL;
    } else {
        host->n_idle++;
    }
    s->task = NULL;
    s->generation++;
    s->next_free = host->free_slot;
    host->free_slot = slot;
}

/* ---- birth ---- */

/* The child's handle is at the top. Does not raise. */
static void inherit_context(lua_State *L, struct moon_task *t, struct moon_task *parent) {
    t->ordinal = ++parent->spawned;
    t->guard = parent->guard;
    if (!parent->has_context)
        return;
    t->has_context = true;
    t->depth = parent->depth + 1;
    moon_task_push(L, parent);
    lua_getiuservalue(L, -1, 3);
    lua_setiuservalue(L, -3, 3);
    lua_pop(L, 1);
}

static struct moon_task *spawn(lua_State *L, int nargs, struct moon_task *parent) {
    struct moon_host *host = moon_host_of(L);
    struct moon_task *t;
    struct host_slot *s;
    uint32_t slot;
    luaL_checkstack(L, 6, NULL);
    t = lua_newuserdatauv(L, sizeof *t, 3);
    memset(t, 0, sizeof *t);
    t->host = host;
    t->state = t->outcome = MOON_TASK_CANCELLED; /* nothing to do until the end of this function */
    luaL_setmetatable(L, MOON_TASK_MT);
    slot = slot_find(L, host);
    s = &host->slots[slot];
    if (!lua_checkstack(s->co, nargs + 1 + LUA_MINSTACK))
        luaL_error(L, "too many arguments");
    lua_rawgeti(L, LUA_REGISTRYINDEX, host->handles_ref);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)slot + 1);
    lua_pop(L, 1);
    /* Nothing raises from here on. */
    lua_insert(L, -(nargs + 2));
    lua_xmove(L, s->co, nargs + 1);
    host->free_slot = s->next_free;
    host->n_idle--;
    host->live++;
    s->task = t;
    t->co = s->co;
    t->slot = slot;
    t->nargs = nargs;
    t->outcome = MOON_TASK_DONE;
    t->parent = parent;
    if (parent) {
        t->span = parent->span;
        t->background = parent->background;
        host->background += t->background;
        inherit_context(L, t, parent);
        t->next_sibling = parent->children;
        t->prev_sibling = &parent->children;
        if (t->next_sibling)
            t->next_sibling->prev_sibling = &t->next_sibling;
        parent->children = t;
    }
    host_make_ready(t);
    return t;
}

struct moon_task *moon_task_spawn(lua_State *L, int nargs) {
    struct moon_task *parent = moon_host_of(L)->current;
    if (!parent)
        luaL_error(L, "task.spawn: only inside a task");
    return spawn(L, nargs, parent);
}

struct moon_task *moon_task_spawn_background(lua_State *L, int nargs) {
    struct moon_task *root = moon_host_of(L)->current, *t;
    if (!root)
        luaL_error(L, "background: only inside a task");
    while (root->parent)
        root = root->parent;
    if (root->state >= MOON_TASK_ENDING)
        luaL_error(L, "background: the program is about to end");
    t = spawn(L, nargs, root);
    t->span = 0;
    t->joined = true;
    t->background = true;
    t->host->background++;
    return t;
}

struct moon_task *host_spawn_root(lua_State *L, int nargs) {
    struct moon_task *t = spawn(L, nargs, NULL);
    t->is_root = true;
    return t;
}
