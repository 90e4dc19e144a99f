-- outbox.lua - webhooks that outlive the process: a message is a row of the queue `messages`, written in the
-- transaction of the state that it announces, and delivered at least once under one id. What the run's own attempts
-- don't deliver is tried again on a schedule, by later runs or by `moongate queue flush --kind message`. For
-- workflow.lua, the journal and the command line.
--
-- A run: outbox.rows(run, event, data, opts, step) gives the statements for the transaction and the messages' ids;
-- after the commit outbox.deliver(run, ids) tries them. A step that was done in an earlier life of the run:
-- outbox.replayed(run, step).
--
-- With a journal, for run:step: outbox.add(run, record, event, data, opts) while the step runs,
-- outbox.statements(record) for the batch that says it is done, outbox.committed(run, record) after that;
-- outbox.replayed(run, outbox.step(record)) when it was done already. outbox.tell is run:webhook.

local attempts = require "moongate.webhooks.attempts"
local cleaned = require "moongate.cleaned"
local clock = require "moongate.gateway.clock"
local delivery = require "moongate.outbox.delivery"
local errors = require "moongate.error"
local holder = require "moongate.holder"
local journal = require "moongate.journal"
local notify = require "moongate.webhooks.notify"
local profile = require "moongate.webhooks.profile"
local messages = require "moongate.queue.kinds.message"
local sender = require "moongate.outbox.sender"
local slots = require "moongate.slots"
local state = require "moongate.webhooks.state"
local target = require "moongate.outbox.target"
local task = require "moongate.task"
local time = require "moongate.time"
local webhooks = require "moongate.webhooks"

local M = {}

-- What runs work with; not in the run itself, which is in the script's hands.
local envs = setmetatable({}, { __mode = "k" })
local stores = setmetatable({}, { __mode = "k" })

-- outbox.use(run, store): where the messages of a run without a journal are kept: a store, or a function that opens it.
function M.use(run, store)
  stores[run] = store
end

-- outbox.state(run) -> what is remembered of its webhooks (moongate.webhooks.state); nil: nothing is kept
function M.state(run)
  return envs[run] and envs[run].state
end

-- outbox.env{db, audit, log, metrics, webhooks = the project file's, simulated} -> what deliveries work with
function M.env(parts)
  return {
    db = parts.db, audit = parts.audit, log = parts.log, metrics = parts.metrics, random = clock.random,
    state = state.stored(parts.db), place = { webhooks = parts.webhooks, simulated = parts.simulated },
    token = holder.token(), made = {}, taken = {}, lanes = {},
    lasting = not (parts.simulated and parts.db.url:find ":memory:" ~= nil), -- --sim without a store of its own
  }
end

-- A store is opened when there is something to keep.
local function open(run, opener)
  local db, err = opener()
  if not db then run.log.error("webhooks' messages can't be kept: %s", err.message) end
  return db
end

-- The run's; nil: it has no store, and its messages live as long as itself. made: id -> {hook, headers} of those that
-- this process made, whose secrets may be known to nobody else.
local function env_of(run)
  local env = envs[run]
  if env then return env end
  local db = run.journal and run.journal.db or stores[run]
  if type(db) == "function" then db = open(run, db) end
  if not db then return nil end
  if envs[run] then return envs[run] end -- another task was first, while this one waited
  env = M.env {
    db = db, audit = run.audit, log = run.log, metrics = run.metrics, webhooks = run.project.webhooks,
    simulated = run.simulated,
  }
  env.run_id = run.id
  envs[run] = env
  return env
end

-- One webhook's message: its id, and the statements that keep it. What can't be sent has none, and is reported now.
local function keep(env, hook, event, data, opts, step)
  local id, headers = profile.new_id(hook.profile or "standard"), opts.headers
  local message, err = webhooks.message {
    url = hook.url, profile = hook.profile, headers = target.merged(hook.headers, headers), event = event, data = data,
    id = id, format = hook.format, flat = opts.flat,
  }
  if not message then
    env.made[id] = { note = notify.try(env, hook, event, nil, id, err) }
    return id
  end
  if not target.may_keep(hook) then
    env.made[id] = { hook = hook, message = message, event = event }
    return id
  end
  local url, ref, kept_headers = target.store(hook, headers)
  env.made[message.id] = { hook = hook, headers = headers }
  return message.id, messages.insert {
    id = message.id, webhook = hook.name, url = url, event = event,
    body = cleaned.json(message.body), profile = message.profile,
    headers_json = kept_headers, secret_ref = ref, run_id = env.run_id, step = step,
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
    local kept
    ids[i], kept = keep(env, hook, event, data, opts, step)
    table.move(kept or {}, 1, kept and #kept or 0, #statements + 1, statements)
  end
  return statements, ids
end

-- What is told of a message that is not this process's to deliver now.
local function note_of(row)
  local pending = messages.is_pending(row.state)
  local note = {
    name = row.webhook, id = row.id, delivered = row.state == "done", status = row.last_status,
    attempts = row.attempts, error = row.last_error, kept = pending or nil,
    dead = row.state == "dead" and row.last_error or nil,
  }
  if pending and not note.error then note.error = "it is being delivered elsewhere" end
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
  local made, mode = env.made[id], { first = true, taken = time.now() }
  env.made[id] = nil
  if made and made.note then return made.note end
  if made and made.message then return (notify.try(env, made.hook, made.event, made.message, id)) end
  local row = messages.claim(env.db, id, holder.token(), env.token)
  if not row then
    row = assert(messages.get(env.db, id))
    local note = note_of(row)
    missed(env, row, note)
    return note
  end
  mode.now = row.now
  if made then return (delivery.send(env, row, row.lease_holder, made.hook, made.headers, mode)) end
  local hook, headers = target.find(row, env.place)
  return (delivery.send(env, row, row.lease_holder, hook, headers, mode))
end

-- The state that a message announces is on the disk, and so is the message: a store that fails now fails nothing.
local function harmless(env, id, fn, ...)
  local ok, note = pcall(fn, env, id, ...)
  if ok then return note end
  if not (errors.is(note) and (note.code == "store" or note.code == "busy")) then error(note, 0) end
  env.log.error("webhook message %s: %s", id, note.message)
  return { id = id, delivered = false, kept = env.lasting or nil, error = note.message, attempts = 0 }
end

local LANES = 32 -- messages of a run on their way to one receiver; the others are taken after them

-- deliver, after those that were before it at its receiver: what they find out of it counts for the rest.
local function in_turn(env, id)
  local made = env.made[id]
  if not (made and made.hook) then return deliver(env, id) end
  local origin = attempts.origin(made.hook.url)
  env.lanes[origin] = env.lanes[origin] or task.semaphore(LANES)
  return env.lanes[origin]:with(deliver, env, id)
end

-- outbox.deliver(run, ids) -> notes, in the order of ids, as run:webhook gives them. After the commit.
function M.deliver(run, ids)
  if #ids == 0 then return {} end
  local env = env_of(run)
  return slots.aside(function()
    return assert(task.map(ids, #ids, function(id) return harmless(env, id, in_turn) end))
  end)
end

-- A message of an earlier life of the run -> note
local function again(env, id, row)
  if messages.is_pending(row.state) then
    local note = delivery.take(env, id, row.lease_holder, row.lease_holder ~= nil, { first = true })
    if note then return note end
    row = assert(messages.get(env.db, id))
  end
  local note = note_of(row)
  missed(env, row, note)
  return note
end

-- outbox.replayed(run, step) -> notes of what a step of an earlier life of the run announced: what is pending is tried.
function M.replayed(run, step)
  local env = env_of(run)
  if not env then return {} end
  local list = messages.of_step(env.db, env.run_id, step)
  if #list == 0 then return {} end
  return assert(task.map(list, #list, function(row) return harmless(env, row.id, again, row) end))
end

-- ---- with the journal ----

-- What the messages of a journal's record are found by, within its run.
function M.step(record)
  return ("%s %s%s"):format(record.kind, record.name, record.n > 1 and "#" .. record.n or "")
    .. (record.path ~= "" and (" [%s]"):format(record.path) or "")
end

-- outbox.add(run, record, event, data, opts): messages that go with the record's end -> notes: what is known of them so
-- far; committed puts into the same tables what became of them.
function M.add(run, record, event, data, opts)
  local statements, ids = M.rows(run, event, data, opts, M.step(record))
  if not statements then return {} end
  local held = record.outbox or { statements = {}, ids = {}, notes = {} }
  record.outbox = held
  table.move(statements, 1, #statements, #held.statements + 1, held.statements)
  local notes = {}
  for i, id in ipairs(ids) do
    local made = envs[run].made[id]
    notes[i] = made.note or { name = made.hook.name, id = id, delivered = false, attempts = 0 }
    held.ids[#held.ids + 1], held.notes[#held.notes + 1] = id, notes[i]
  end
  return notes
end

-- outbox.statements(record) -> list of {sql, parameters} for the transaction of its end; empty where nothing was added.
function M.statements(record)
  return record.outbox and record.outbox.statements or {}
end

-- outbox.committed(run, record) -> notes of all that was added, delivered or not.
function M.committed(run, record)
  local held = record.outbox
  if not held then return {} end
  record.outbox = nil
  for i, note in ipairs(M.deliver(run, held.ids)) do
    local told = held.notes[i]
    for k in pairs(told) do told[k] = note[k] end
    for k, v in pairs(note) do told[k] = v end
  end
  return held.notes
end

-- A run:webhook outside of any step: a record of its own; also where nobody wants the event, so that a change of the
-- project file does not change the run's shape.
local function record_of_its_own(run, j, event, data, opts)
  local rec = j:visit("webhook", event)
  if j.checking then return {} end
  if rec.state == "done" then return M.replayed(run, M.step(rec)) end
  M.add(run, rec, event, data, opts)
  local statements = M.statements(rec)
  if #statements > 0 then rec:done({ n = 0 }, statements) else rec:remember { n = 0 } end
  return M.committed(run, rec)
end

-- Outside of the journal: kept now, and tried now.
local function tell_now(run, event, data, opts)
  local statements, ids = M.rows(run, event, data, opts)
  if not statements then return nil end
  if #statements > 0 then
    local kept, err = envs[run].db:batch(statements)
    if not kept then
      run.log.error("webhooks' messages can't be kept: %s", err.message)
      return nil
    end
  end
  return M.deliver(run, ids)
end

-- outbox.tell(run, event, data, opts) -> notes, as run:webhook gives them: in a step they go with its end. nil: the run
-- has no store, or one that can't be used, which is logged.
function M.tell(run, event, data, opts)
  local j, rec = journal.current()
  if j and run.journal and not run.dry_run and not (opts and opts.per_prompt) then
    if rec then return M.add(run, rec, event, data, opts) end
    return record_of_its_own(run, j, event, data, opts)
  end
  return tell_now(run, event, data, opts)
end

-- outbox.leftovers(env, {limit, counts, apart_from = a run}): one go at what earlier runs left and is due, as far as it
-- can go out from here without more ado. counts is counted up.
function M.leftovers(env, opts)
  messages.prune(env.db)
  return sender.once(env, {
    due = true, limit = opts.limit, counts = opts.counts,
    known = function(row)
      return target.known(env.place, row) and (row.run_id == nil or row.run_id ~= opts.apart_from)
    end,
  })
end

-- outbox.measure(db, registry): how many messages lie there.
function M.measure(db, registry)
  local gauge = registry:gauge("moongate_outbox_messages", "Webhook messages that are kept: pending, dead.",
    { "state" })
  local counts, pending = messages.counts(db)
  gauge:set(pending, "pending")
  gauge:set(counts.dead, "dead")
end

return M
