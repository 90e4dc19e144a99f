-- notify.lua - tells webhooks of an event: one delivery of one message, audited, counted, and remembered when it did
-- not arrive; and the telling of a run, side by side. It never fails because of a receiver. For workflow.lua, the
-- outbox and the command line.

local argument = require "moongate.argument"
local errors = require "moongate.error"
local profile = require "moongate.webhooks.profile"
local state = require "moongate.webhooks.state"
local target = require "moongate.outbox.target"
local task = require "moongate.task"
local time = require "moongate.time"
local webhooks = require "moongate.webhooks"

local M = {}

local GONE = 410

-- An event about a message: its delivery, a dead letter, a drop, a retry. env: audit, log, run_id.
function M.record(env, action, fields)
  fields.action, fields.run = action, env.run_id
  local seq, fault = env.audit.event(fields)
  if seq then return end
  env.log.error("webhook %s: this could not be audited: %s", fields.webhook, fault.message)
  return fault.message
end

local function record(env, hook, event, note, err)
  note.audit_error = M.record(env, "webhook_delivery", {
    webhook = hook.name, event = event, status = note.delivered and "delivered" or "undelivered",
    http_status = note.status, attempts = note.attempts, message_id = note.id, profile = hook.profile or "standard",
    signed = hook.secret ~= nil, disabled = note.disabled, kept = note.kept, next_try = note.next_try,
    error_code = err and err.code or nil, error_message = note.error,
  })
  if not note.dead then return end
  note.audit_error = M.record(env, "webhook_dead_letter", {
    webhook = hook.name, event = event, message_id = note.id, tries = note.tries, reason = note.dead,
    error_message = note.error,
  }) or note.audit_error
end

local function count(metrics, hook, event, note, seconds)
  metrics:counter("moongate_webhook_deliveries_total", "Webhook messages by what became of them.",
    { "webhook", "event", "status" }):add(1, hook.name, event, note.delivered and "delivered" or "undelivered")
  metrics:counter("moongate_webhook_attempts_total", "Requests made to deliver webhook messages.", { "webhook" })
    :add(note.attempts, hook.name)
  metrics:histogram("moongate_webhook_delivery_seconds", "Time until a webhook message was delivered or dead.",
    { "webhook" }):observe(seconds, hook.name)
end

-- What becomes of a message that was not delivered.
local function give_up(env, hook, event, note, err)
  local first = err.status == GONE
  if first then env.state:disable(hook) end
  note.error = err.message
  note.disabled = (first or err.code == "webhook_disabled") or nil
  if env.judge then env.judge(note, err) end
  env.state:missed {
    webhook = hook.name, event = event, id = note.id, error = err.message, kept = note.kept, dead = note.dead,
  }
  local after = first and "; it gets no more messages" or ""
  if note.dead and not first then
    after = "; it is a dead letter" .. (note.dead ~= err.message and ": " .. note.dead or "")
  end
  env.log.warn("webhook %s: %s was not delivered: %s%s%s", hook.name, event, err.message, after,
    note.kept and "; it is queued and retried" or "")
end

local function attempt(env, hook, message)
  local why = env.state:disabled(hook)
  if not why then return webhooks.deliver(message) end
  return nil, errors.new { code = "webhook_disabled", message = why, attempts = 0, outcome = "not_sent" }
end

-- Delivers one message, or says why there is none. hook: {name, url, secret, profile, headers}. env: audit, log, state,
-- metrics (may be nil), judge(note, err): decides what becomes of one that did not arrive (may be nil).
-- -> {name, delivered, id, status, attempts, error, disabled, kept, dead, next_try, audit_error}, and the error of an
-- undelivered one
function M.try(env, hook, event, message, id, err)
  local started, sent = time.monotonic(), nil
  if message then sent, err = attempt(env, hook, message) end
  local note = {
    name = hook.name, delivered = sent ~= nil, id = id, status = (sent or err).status,
    attempts = (sent or err).attempts or 0,
  }
  if not sent then give_up(env, hook, event, note, err) end
  record(env, hook, event, note, not sent and err or nil)
  if env.metrics then count(env.metrics, hook, event, note, time.monotonic() - started) end
  return note, not sent and err or nil
end

-- A message that is not kept. env, hook: see try; and for this message alone env.headers, id, deadline.
function M.one(env, hook, event, data)
  local id = env.id or profile.new_id(hook.profile or "standard")
  local message, err = webhooks.message {
    url = hook.url, secret = hook.secret, profile = hook.profile, headers = target.merged(hook.headers, env.headers),
    event = event, data = data, id = id, deadline = env.deadline, format = hook.format, flat = env.flat,
  }
  return M.try(env, hook, event, message, id, err)
end

local OPTIONS = { headers = true, also = true, flat = true, per_prompt = true }

-- The webhooks of a run that want the event, by name: those of the project file, then opts.also.
function M.hooks(run, event, opts)
  argument.options("run:webhook", opts, OPTIONS, 3)
  local hooks = {}
  for _, hook in ipairs(webhooks.listening(run.project.webhooks, event)) do
    hook.configured = true
    if opts.per_prompt == nil or opts.per_prompt == (hook.per_prompt or false) then hooks[#hooks + 1] = hook end
  end
  for _, hook in ipairs(webhooks.listening(opts.also, event)) do
    hook.configured, hook.stored_url = nil, nil -- that is not for a script to say
    hooks[#hooks + 1] = hook
  end
  for _, hook in ipairs(hooks) do
    target.hide_path(hook.url)
    if run.simulated then target.simulated(hook) end
  end
  return hooks
end

local memory = setmetatable({}, { __mode = "k" }) -- of runs without a store

-- run:webhook without a store, see workflow/run.lua.
function M.all(run, event, data, opts)
  opts = opts or {}
  local hooks = M.hooks(run, event, opts)
  if #hooks == 0 or run.dry_run then return {} end
  memory[run] = memory[run] or state.memory()
  local env = {
    audit = run.audit, log = run.log, state = require("moongate.outbox").state(run) or memory[run],
    headers = opts.headers, flat = opts.flat, metrics = run.metrics,
  }
  return assert(task.map(hooks, #hooks, function(hook) return (M.one(env, hook, event, data)) end))
end

local SHOWN_LINES = 5

-- What the run's result says of what was not delivered: a list for --json, lines for people. Nothing: nil.
function M.undelivered(run)
  local known = require("moongate.outbox").state(run) or memory[run]
  if not known then return nil end
  local counts, first = known:undelivered()
  if counts.total == 0 then return nil end
  local lines = {}
  for i = 1, math.min(#first, SHOWN_LINES) do
    lines[i] = ("webhook %s: %s was NOT delivered: %s"):format(first[i].webhook, first[i].event, first[i].error)
  end
  if counts.total > #lines then
    lines[#lines + 1] = ("and %d more messages were not delivered"):format(counts.total - #lines)
  end
  local look = (counts.kept > 0 or counts.dead > 0) and "moongate queue list" or nil
  if counts.kept > 0 then
    lines[#lines + 1] = ("%s kept and tried again: %s"):format(counts.kept == 1 and "one is" or counts.kept .. " are",
      look)
  end
  return {
    total = counts.total, kept = look and counts.kept, look = look, first = require("moongate.json").array(first),
  }, lines
end

return M
