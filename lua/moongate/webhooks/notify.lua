-- notify.lua - tells the webhooks of a run, side by side, of one event; audits each delivery and remembers what was not
-- delivered. It never fails because of a receiver. For workflow.lua and the command line.

local errors = require "moongate.error"
local profile = require "moongate.webhooks.profile"
local secret = require "moongate.secret"
local state = require "moongate.webhooks.state"
local task = require "moongate.task"
local time = require "moongate.time"
local webhooks = require "moongate.webhooks"

local M = {}

local GONE = 410

local function merged(a, b)
  if not (a and b) then return a or b end
  local out = {}
  for _, headers in ipairs { a, b } do
    for name, value in pairs(headers) do out[name] = value end
  end
  return out
end

local function record(env, hook, event, note, err)
  local seq, fault = env.audit.event {
    action = "webhook_delivery", webhook = hook.name, event = event,
    status = note.delivered and "delivered" or "undelivered", http_status = note.status, attempts = note.attempts,
    message_id = note.id, profile = hook.profile or "standard", signed = hook.secret ~= nil, disabled = note.disabled,
    kept = note.kept, error_code = err and err.code or nil, error_message = note.error,
  }
  if seq then return end
  note.audit_error = fault.message
  env.log.error("webhook %s: its delivery could not be audited: %s", hook.name, fault.message)
end

local function count(metrics, hook, event, note, seconds)
  metrics:counter("moongate_webhook_deliveries_total", "Webhook messages by what became of them.",
    { "webhook", "event", "status" }):add(1, hook.name, event, note.delivered and "delivered" or "undelivered")
  metrics:counter("moongate_webhook_attempts_total", "Requests made to deliver webhook messages.", { "webhook" })
    :add(note.attempts, hook.name)
  metrics:histogram("moongate_webhook_delivery_seconds", "Time until a webhook message was delivered or given up.",
    { "webhook" }):observe(seconds, hook.name)
end

-- -> what send gives, and the body that was to be sent.
local function attempt(env, hook, event, data, id)
  local message, err = webhooks.message {
    url = hook.url, secret = hook.secret, profile = hook.profile, headers = merged(hook.headers, env.headers),
    event = event, data = data, id = id, deadline = env.deadline,
  }
  if not message then return nil, err end
  local why = env.state:disabled(hook)
  local sent
  if why then
    err = errors.new { code = "webhook_disabled", message = why, attempts = 0, outcome = "not_sent" }
  else
    sent, err = webhooks.deliver(message)
  end
  return sent, err, message.body
end

-- What becomes of a message that was not delivered.
local function give_up(env, hook, event, note, err, body)
  local first = err.status == GONE
  if first then env.state:disable(hook, "it answered 410 Gone earlier in this run") end
  note.error = err.message
  note.disabled = (first or err.code == "webhook_disabled") or nil
  note.kept = env.state:keep {
    webhook = hook.name, url = hook.url, event = event, id = note.id, body = body, error = err.message,
  } or nil
  env.log.warn("webhook %s was not told of %s: %s%s", hook.name, event, err.message,
    first and "; it is told of nothing more in this run" or "")
end

-- hook: {name, url, secret, profile, headers}. env: audit, log, state, metrics (may be nil), and for this message alone
-- headers, id, deadline. -> {name, delivered, id, status, attempts, error, disabled, kept, audit_error}, and the error
-- of an undelivered one.
function M.one(env, hook, event, data)
  local started, id = time.monotonic(), env.id or profile.new_id(hook.profile or "standard")
  local sent, err, body = attempt(env, hook, event, data, id)
  local note = {
    name = hook.name, delivered = sent ~= nil, id = id, status = (sent or err).status,
    attempts = (sent or err).attempts or 0,
  }
  if err then give_up(env, hook, event, note, err, body) end
  record(env, hook, event, note, err)
  if env.metrics then count(env.metrics, hook, event, note, time.monotonic() - started) end
  return note, err
end

-- Under --sim nobody outside hears of what never happened: a webhook that is not on this machine is told at the
-- simulated gateway's receiver instead.
local function simulated(hook)
  if require("moongate.sim.webhooks").is_loopback(hook.url) then return hook end
  hook.url = require("moongate.auth").info().api_url .. "/__sim/webhooks/"
    .. hook.name:gsub("[^%w_-]", function(c) return ("%%%02X"):format(c:byte()) end)
  return hook
end

local SECRET_FROM = 16 -- bytes; a shorter path is a word such as /webhooks/llm

-- With some receivers a URL's path or query is the key: neither log nor trace shows it.
local function hide_path(url)
  local path, query = url:match "^%a+://[^/?#]*([^?#]*)%??([^#]*)"
  for _, part in ipairs { path or "", query or "" } do
    if #part >= SECRET_FROM then assert(secret.of(part)) end
  end
end

local OPTIONS = { headers = true, also = true }

local function hooks_of(run, event, opts)
  local hooks = webhooks.listening(run.project.webhooks, event)
  for _, hook in ipairs(webhooks.listening(opts.also, event)) do hooks[#hooks + 1] = hook end
  for _, hook in ipairs(hooks) do hide_path(hook.url) end
  if run.simulated then
    for _, hook in ipairs(hooks) do simulated(hook) end
  end
  return hooks
end

-- run:webhook, see workflow.lua.
function M.all(run, event, data, opts)
  opts = opts or {}
  for key in pairs(opts) do
    if not OPTIONS[key] then error(("run:webhook: unknown option '%s'"):format(tostring(key)), 3) end
  end
  local hooks = hooks_of(run, event, opts)
  if #hooks == 0 or run.dry_run then return {} end
  run._webhooks = run._webhooks or run._session.webhooks or state.memory()
  local env = { audit = run.audit, log = run.log, state = run._webhooks, headers = opts.headers,
    metrics = run.metrics }
  return assert(task.map(hooks, #hooks, function(hook) return (M.one(env, hook, event, data)) end))
end

-- What the run's result says of what was not delivered: a list for --json, lines for people. Nothing: nil.
function M.undelivered(run)
  local total, first = run._webhooks:undelivered()
  if total == 0 then return nil end
  local lines = {}
  for i, m in ipairs(first) do
    if i > 5 then break end
    lines[i] = ("webhook %s was NOT told of %s: %s"):format(m.webhook, m.event, m.error)
  end
  if total > #lines then lines[#lines + 1] = ("and %d more messages were not delivered"):format(total - #lines) end
  return { total = total, first = require("moongate.json").array(first) }, lines
end

return M
