-- outbox.lua - webhooks that outlive the process: a message is a row in the store, written in the transaction of the
-- state that it announces, and delivered at least once under one id. What the run's own attempts don't bring out is
-- tried again on a schedule, by later runs or by `moongate outbox flush`. For workflow.lua, the journal and the command
-- line.
--
-- A run: outbox.rows(run, event, data, opts, step) gives the statements for the transaction and the messages' ids;
-- after the commit outbox.deliver(run, ids) tries them. A step that was done in an earlier life of the run:
-- outbox.replayed(run, step).
--
-- Who calls: journal/steps.lua and journal/webhooks.lua; workflow.lua's tell where a run has no journal.

local clock = require "moongate.gateway.clock"
local delivery = require "moongate.outbox.delivery"
local holder = require "moongate.outbox.holder"
local notify = require "moongate.webhooks.notify"
local profile = require "moongate.webhooks.profile"
local rows = require "moongate.outbox.rows"
local sender = require "moongate.outbox.sender"
local state = require "moongate.webhooks.state"
local target = require "moongate.outbox.target"
local task = require "moongate.task"
local webhooks = require "moongate.webhooks"

local M = {}

-- outbox.env{db, audit, log, metrics, webhooks = the project file's, simulated} -> what deliveries work with
function M.env(parts)
  return {
    db = parts.db, audit = parts.audit, log = parts.log, metrics = parts.metrics, random = clock.random,
    state = state.stored(parts.db), place = { webhooks = parts.webhooks, simulated = parts.simulated },
    token = holder.token(), made = {},
    lasting = not (parts.simulated and parts.db.url:find ":memory:" ~= nil), -- --sim without a store of its own
  }
end

-- The run's; nil: it has no store, and its messages live as long as itself. made: id -> {hook, headers} of those that
-- this process made, whose secrets may be known to nobody else.
local function env_of(run)
  local env = run._outbox
  if env then return env end
  local db = run.journal and run.journal.db or run._session.store
  if type(db) == "function" then db = db() end -- opened when there is something to keep
  if not db then return nil end
  if run._outbox then return run._outbox end -- another task was first, while this one waited
  env = M.env {
    db = db, audit = run.audit, log = run.log, metrics = run.metrics, webhooks = run.project.webhooks,
    simulated = run.simulated,
  }
  env.run_id = run.id
  run._outbox, run._webhooks = env, env.state
  return env
end

-- One webhook's message: its id, and the statement that keeps it. What can't be sent has none, and is told of at once.
local function keep(env, hook, event, data, headers, step)
  local id = profile.new_id(hook.profile or "standard")
  local message, err = webhooks.message {
    url = hook.url, profile = hook.profile, headers = target.merged(hook.headers, headers), event = event, data = data,
    id = id,
  }
  if not message then
    env.made[id] = { note = notify.try(env, hook, event, nil, id, err) }
    return id
  end
  local url, ref, kept_headers = target.store(hook, headers)
  env.made[message.id] = { hook = hook, headers = headers }
  return message.id, rows.insert {
    id = message.id, webhook = hook.name, url = url, event = event, body = message.body, profile = message.profile,
    headers_json = kept_headers, secret_ref = ref, run_id = env.run_id, step = step, state = "pending",
    lease_holder = env.token,
  }
end

-- outbox.rows(run, event, data [, {headers, also} [, step]]) -> list of {sql, parameters} for the transaction of what
-- the event tells of, and the ids of the messages, one a webhook; both empty when nobody listens, and in a dry run.
-- nil: the run has no store. The rows are leased to this process for a minute. step: what replayed finds them by.
function M.rows(run, event, data, opts, step)
  opts = opts or {}
  local hooks = notify.hooks(run, event, opts)
  if #hooks == 0 or run.dry_run then return {}, {} end
  local env = env_of(run)
  if not env then return nil end
  local statements, ids = {}, {}
  for i, hook in ipairs(hooks) do
    ids[i], statements[#statements + 1] = keep(env, hook, event, data, opts.headers, step)
  end
  return statements, ids
end

-- What is told of a message that is not this process's to deliver now.
local function note_of(row)
  local note = {
    name = row.webhook, id = row.id, delivered = row.state == "delivered", status = row.last_status,
    attempts = row.attempts, error = row.last_error, kept = row.state == "pending" or nil,
    dead = row.state == "dead" and row.last_error or nil,
  }
  if row.state == "pending" and not note.error then note.error = "it is being delivered elsewhere" end
  return note
end

local function missed(env, row, note)
  if note.delivered or row.state == "dropped" then return end
  env.state:missed {
    webhook = row.webhook, event = row.event, id = row.id, error = note.error, kept = note.kept, dead = note.dead,
  }
end

-- One message of the run -> note
local function deliver(env, id)
  local made, mode = env.made[id], { first = true }
  env.made[id] = nil
  if made and made.note then return made.note end
  local row = rows.claim(env.db, id, holder.token(), env.token)
  if not row then
    row = assert(rows.get(env.db, id))
    local note = note_of(row)
    missed(env, row, note)
    return note
  end
  mode.now = env.db:now()
  if made then return (delivery.send(env, row, row.lease_holder, made.hook, made.headers, mode)) end
  local hook, headers = target.find(row, env.place)
  return (delivery.send(env, row, row.lease_holder, hook, headers, mode))
end

-- outbox.deliver(run, ids) -> notes, in the order of ids, as run:webhook gives them. After the commit.
function M.deliver(run, ids)
  if #ids == 0 then return {} end
  local env = env_of(run)
  return assert(task.map(ids, #ids, function(id) return deliver(env, id) end))
end

-- outbox.replayed(run, step) -> notes of what a step of an earlier life of the run announced: what is pending is tried.
function M.replayed(run, step)
  local env = env_of(run)
  if not env then return {} end
  local list = rows.of_step(env.db, env.run_id, step)
  if #list == 0 then return {} end
  return assert(task.map(list, #list, function(row)
    if row.state == "pending" then
      local note = delivery.take(env, row.id, row.lease_holder, row.lease_holder ~= nil, { first = true })
      if note then return note end
      row = assert(rows.get(env.db, row.id))
    end
    local note = note_of(row)
    missed(env, row, note)
    return note
  end))
end

-- outbox.tell(run, event, data, opts) -> notes, as run:webhook gives them; nil: the run has no store. For a run without
-- a journal: the messages have a transaction of their own.
function M.tell(run, event, data, opts)
  local statements, ids = M.rows(run, event, data, opts)
  if not statements then return nil end
  if #statements > 0 then assert(run._outbox.db:batch(statements)) end
  return M.deliver(run, ids)
end

-- outbox.leftovers(db, parts of env, {limit, counts, apart_from = a run}): one go at what earlier runs left and is due,
-- as far as it can go out from here without more ado. counts is counted up.
function M.leftovers(db, parts, opts)
  parts.db = db
  local env = M.env(parts)
  rows.prune(db)
  return sender.once(env, {
    due = true, limit = opts.limit, counts = opts.counts,
    known = function(first)
      local condition, params = target.known(env.place, first)
      if not opts.apart_from then return condition, params end
      params[#params + 1] = opts.apart_from
      return ("%s AND (run_id IS NULL OR run_id <> $%d)"):format(condition, first + #params - 1), params
    end,
  })
end

-- outbox.measure(db, registry): how many messages lie there.
function M.measure(db, registry)
  local gauge = registry:gauge("moongate_outbox_messages", "Webhook messages that are kept: to be delivered, given up.",
    { "state" })
  local counts = rows.counts(db)
  for _, name in ipairs { "pending", "dead" } do gauge:set(counts[name], name) end
end

return M
