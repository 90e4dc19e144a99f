-- message.lua - `moongate queue … --kind message`: the webhook messages that are kept in the store.
local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local fail = require "moongate.fail"
local host = require "moongate.host"
local json = require "moongate.json"
local log = require "moongate.log"
local outbox = require "moongate.outbox"
local plain = require "moongate.plain"
local messages = require "moongate.queue.kinds.message"
local sender = require "moongate.outbox.sender"
local settings = require "moongate.cli.settings"
local target = require "moongate.outbox.target"
local text = require "moongate.text"
local time = require "moongate.time"

local M = {}

local function open()
  return assert(require("moongate.store").session())
end

-- What deliveries and their audit work with.
local function env_of(ctx, db, metrics)
  return outbox.env {
    db = db, audit = require "moongate.audit", log = log, metrics = metrics, webhooks = settings.project().webhooks,
    simulated = ctx.opts.sim,
  }
end

-- ---- list, show ----

-- A row as others see it: no URL's path, times as text.
local function shown(row)
  local out = {}
  for _, key in ipairs { "id", "webhook", "event", "state", "run_id", "step", "attempts", "tries", "last_status",
    "last_error", "profile" } do
    out[key] = row[key]
  end
  for _, key in ipairs { "created_at", "next_at", "finished_at" } do
    if row[key] then out[key] = time.iso(row[key] / 1000) end
  end
  if not messages.is_pending(row.state) then out.next_at = nil end
  out.url = target.shown_url(row.url)
  return out
end

local function line(m)
  local parts = { ("%s  %s  %s  %s"):format(m.id, m.state, m.webhook, m.event), m.created_at }
  if m.tries > 0 then parts[#parts + 1] = text.count(m.tries, "try", "tries") end
  if m.next_at then parts[#parts + 1] = "next " .. m.next_at end
  if m.last_error and m.state ~= "done" then parts[#parts + 1] = m.last_error end
  return table.concat(parts, "  ")
end

local function sum(counts)
  local parts = {}
  for _, state in ipairs(messages.STATES) do
    if counts[state] > 0 then parts[#parts + 1] = ("%d %s"):format(counts[state], state) end
  end
  return #parts > 0 and table.concat(parts, ", ") or "nothing was ever kept here"
end

-- --state is a global flag, and another thing: silence would open another store than was meant.
local function check_state(ctx)
  for _, state in ipairs(messages.STATES) do
    if ctx.opts.state == state then
      fail.usage("--state selects the store; to select messages by state: --status %s", state)
    end
  end
end

-- -> data, lines; those that are to be delivered and the dead letters, unless args.status or args.all says otherwise
function M.listed(ctx, args)
  check_state(ctx)
  local db, states = open(), { "queued", "waiting", "running", "dead" }
  if args.all or args.status == "all" then states = messages.STATES elseif args.status then states = { args.status } end
  local list, lines = json.array {}, {}
  for i, row in ipairs(messages.list(db, states, args.limit)) do
    list[i] = shown(row)
    lines[i] = line(list[i])
  end
  local counts = messages.counts(db)
  if #lines > 0 then lines[#lines + 1] = sum(counts) end
  return { messages = list, counts = counts }, lines
end

function M.list(ctx, args)
  local data, lines = M.listed(ctx, args)
  ctx:result(data, #lines > 0 and table.concat(lines, "\n") or sum(data.counts))
end

local function get(db, id)
  local row = messages.get(db, id)
  if row then return row end
  errors.raise {
    code = "not_found", message = ("message %s does not exist"):format(id),
    hint = "moongate queue list --kind message --all",
  }
end

function M.show(ctx, args)
  local row = get(open(), args.id)
  local m = shown(row)
  m.body = plain.decode(row.body)
  m.headers = row.headers_json and json.decode(row.headers_json) or nil
  local lines = {}
  for _, key in ipairs { "id", "state", "webhook", "url", "event", "profile", "run_id", "step", "created_at", "next_at",
    "finished_at", "tries", "attempts", "last_status", "last_error" } do
    if m[key] ~= nil then lines[#lines + 1] = ("%-12s %s"):format(key, tostring(m[key])) end
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = row.body
  ctx:result(m, table.concat(lines, "\n"))
end

-- ---- retry, drop ----

-- Does one of the messages after the other; one that can't be is an error at the end, and stops none.
local function each(ctx, db, ids, verb, act)
  local done, first = json.array {}, nil
  for _, id in ipairs(ids) do
    local ok, err = pcall(function() act(get(db, id)) end)
    if ok then
      done[#done + 1] = id
    else
      if not errors.is(err) then error(err, 0) end
      if first then log.error("%s", err.message) end
      first = first or err
    end
  end
  if first then error(first, 0) end
  ctx:result({ [verb] = done }, ("%s: %s"):format(verb, text.count(#done, "message")))
end

local function refuse(row, what)
  local why = "it is being delivered just now"
  if row.state == "done" or row.state == "dropped" then why = "it is " .. row.state end
  errors.raise {
    code = "conflict", outcome = "not_sent", message = ("message %s can't be %s: %s"):format(row.id, what, why),
  }
end

local function record(env, action, row)
  require("moongate.webhooks.notify").record({ audit = env.audit, log = env.log, run_id = row.run_id }, action, {
    webhook = row.webhook, event = row.event, message_id = row.id, was = row.state, tries = row.tries,
  })
end

-- Where a message is to go from now on: what the project file says of its webhook.
local function url_now(env, row)
  if row.secret_ref ~= "project" then return row.url end
  local hook = (env.place.webhooks or {})[row.webhook]
  if not hook then
    errors.raise {
      code = "not_found", message = ("message %s: the project file has no webhook %s"):format(row.id, row.webhook),
      hint = "Restore it, or discard the message: moongate queue drop " .. row.id,
    }
  end
  local copy = { name = row.webhook, url = hook.url }
  return target.url(env.place.simulated and target.simulated(copy) or copy)
end

function M.retry(ctx, args)
  if (args.all_dead or false) == (#args.id > 0) then fail.usage "queue retry needs ids or --all-dead" end
  local db, ids = open(), args.id
  local env = env_of(ctx, db)
  if args.all_dead then
    ids = {}
    for i, row in ipairs(messages.list(db, { "dead" }, math.maxinteger)) do ids[i] = row.id end
  end
  each(ctx, db, ids, "retried", function(row)
    local url = url_now(env, row)
    if not messages.retry(db, row.id, url) then refuse(row, "retried") end
    env.state:enable(row.webhook, url)
    record(env, "webhook_retry", row)
  end)
end

function M.drop(ctx, args)
  local db, holder = open(), require "moongate.holder"
  local env = env_of(ctx, db)
  each(ctx, db, args.id, "dropped", function(row)
    local over = row.lease_holder and holder.gone(row.lease_holder) and row.lease_holder or nil
    if not messages.drop(db, row.id, over) then refuse(row, "dropped") end
    record(env, "webhook_drop", row)
  end)
end

-- ---- flush ----

local function outcome_line(note, state)
  if note.delivered then return ("delivered: %s to %s, status %d"):format(note.id, note.name, note.status) end
  if state == "dead" then return ("dead: %s to %s: %s"):format(note.id, note.name, note.error) end
  return ("not delivered: %s to %s: %s%s"):format(note.id, note.name, note.error,
    note.next_try and "; next " .. note.next_try or "")
end

local function status_of(counts)
  if counts.dead > 0 then return exit_status.FAILED end
  if counts.pending > 0 or counts.busy > 0 then return exit_status.QUEUED end
  return exit_status.DONE
end

local function counted(counts)
  local line_of = ("%d delivered, %d kept for later, %d dead"):format(counts.delivered, counts.pending, counts.dead)
  return counts.busy > 0 and line_of .. (", %d in other processes' hands"):format(counts.busy) or line_of
end

-- The sum, once: at the end, or when Ctrl-C is the end.
local Sum = {}
Sum.__index = Sum
function Sum:__close()
  if self.told then return end
  self.told = true
  host.write((self.json and assert(json.encode(self.counts)) or counted(self.counts)) .. "\n")
end

-- A watch has no end at which its metrics could be written: the file is written anew after each look.
local function publisher(ctx, env)
  if not env.metrics then return nil end
  return function()
    outbox.measure(env.db, env.metrics)
    local file = ctx.opts.metrics_file
    local ok, err = true, nil
    if file then ok, err = require("moongate.cli.observe").write(file, env.metrics, "outbox-flush") end
    if not ok then log.error("the metrics could not be written to %s: %s", file, err.message) end
  end
end

local function watch(ctx, env)
  local total <close> = setmetatable({ json = ctx.json, counts = sender.empty() }, Sum)
  host.may_interrupt()
  host.write_err "watching the outbox (Ctrl-C ends it)\n"
  sender.watch(env, { counts = total.counts, passed = publisher(ctx, env) })
end

function M.flush(ctx, args)
  if ctx.opts.dry_run then fail.usage "messages have no --dry-run: moongate queue list shows what waits" end
  local db = open()
  local outcome = require("moongate.cli.observe").run(ctx, "outbox-flush", function(registry)
    local env = env_of(ctx, db, registry)
    env.log = { warn = function() end, error = log.error }
    env.tell = function(note, state) ctx:note("%s", outcome_line(note, state)) end
    if args.watch then return watch(ctx, env) end
    messages.prune(db)
    local counts = sender.once(env, {})
    if registry then outbox.measure(db, registry) end
    return { counts = counts, exit_status = status_of(counts) }
  end)
  ctx:result(outcome.counts, counted(outcome.counts))
  return outcome.exit_status
end

return M
