-- batch.lua - a workflow over many things: worked on side by side, each with an entry of the result, whatever happens
-- to it. One that fails does not stop the others; the exit status is that of the first failed one, in the order given.
-- For workflows.

local answer = require "moongate.gateway.answer"
local closing = require "moongate.closing"
local diff = require "moongate.diff"
local errors = require "moongate.error"
local host = require "moongate.host"
local json = require "moongate.json"
local sealed = require "moongate.sealed"
local slots = require "moongate.slots"
local task = require "moongate.task"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

local M = {}

local INPUT, VERIFY = workflow.exit_status { code = "invalid" }, workflow.exit_status { code = "verify" }
local FROM_ERROR = { "audit_seq", "latency_ms", "correlation_id", "attempts" }

local function measure(run, status, seconds)
  run.metrics:counter("moongate_job_items_total", "What a job was to work on, by what became of it.",
    { "workflow", "status" }):add(1, run.name, status)
  run.metrics:histogram("moongate_job_item_duration_seconds",
    "Time for one of the things a job works on: reading, writing, reading back, telling.", { "workflow", "status" })
    :observe(seconds, run.name, status)
end

-- One thing's entry. What the work raises makes it "failed"; `written` keeps the status it had when that was one of
-- `changed`: it took effect, and what came after failed.
local function one(run, item, opts, progress)
  local entry, started = opts.entry(item), time.monotonic()
  local name = opts.name(entry)
  local function say(what) progress.advance(0, ("%s: %s"):format(name, what)) end
  local ok, err = pcall(opts.work, item, entry, say)
  if not ok then
    if not errors.is(err) then error(err, 0) end
    entry.written = opts.changed[entry.status] and entry.status or nil
    if entry.written and workflow.exit_status(err) == INPUT then -- a look at it was refused, not the input
      err.exit_status = VERIFY
    end
    entry.status, entry.failure = "failed", err
    for _, field in ipairs(FROM_ERROR) do entry[field] = entry[field] or err[field] end
    run:report(err, name)
  end
  measure(run, entry.status, time.monotonic() - started)
  progress.advance(1, ("%s: %s"):format(name, entry.status))
  return entry
end

-- What a batch that was stopped has done, by status: `ended` of the `begun` things.
local function so_far(total, begun, ended, noun)
  local summary, parts, under_way = { total = total, not_started = total - begun }, {}, begun
  for status, n in pairs(ended) do
    summary[status], under_way = n, under_way - n
  end
  summary.unfinished = under_way
  for status, n in pairs(summary) do
    if status ~= "total" and n > 0 then parts[#parts + 1] = ("%d %s"):format(n, (status:gsub("_", " "))) end
  end
  table.sort(parts)
  return ("%d %s: %s"):format(total, noun, table.concat(parts, ", ")), summary
end

local ASIDE = 1000 -- things that may wait for webhooks' receivers, beside those that are worked on

local LOOK = 0.5 -- seconds between two looks at whether the gateway is waited for

-- All of a batch pause together while the gateway is away or its rate limit is used up: the progress line says so.
local function watch(run, progress)
  while true do
    task.sleep(LOOK)
    local open, waiting = pcall(function()
      local gateway = rawget(sealed.open(run), "gateway")
      return gateway and sealed.open(gateway):_waiting()
    end)
    if open and waiting then progress.pause(waiting) end
  end
end

-- batch.map(run, items, {noun = "indexes", concurrency = n, entry = function(item) -> entry, name = function(entry) ->
-- what messages call it, work = function(item, entry, say), changed = set of the statuses that mean "took effect"}) ->
-- entries, in the order of items. say(what): what is being done to it just now, for the progress.
function M.map(run, items, opts)
  local progress = run:progress(#items, opts.noun)
  local begun, ended = 0, {}
  local unfinished <close> = closing.unfinished(function() return so_far(#items, begun, ended, opts.noun) end)
  local watcher, working = task.spawn(watch, run, progress), slots.new(opts.concurrency)
  local function work(item)
    begun = begun + 1
    local entry = one(run, item, opts, progress)
    ended[entry.status] = (ended[entry.status] or 0) + 1
    return entry
  end
  local entries = assert(task.map(items, opts.concurrency + ASIDE, function(item) return working:with(work, item) end))
  watcher:cancel()
  progress.done()
  unfinished:finish()
  return entries
end

-- ---- one thing's write, when it goes through gateway:write ----

-- The statuses of a write that took effect.
M.CHANGED = { created = true, updated = true, reconciled = true }

local FROM_RESULT = {
  "status", "etag", "latency_ms", "attempts", "correlation_id", "payload_hash", "audit_seq", "rebased", "overwrote",
  "queue_id",
}

-- batch.note(entry, result of gateway:write): what every write has to say of itself.
function M.note(entry, result)
  for _, field in ipairs(FROM_RESULT) do entry[field] = result[field] end
  entry.changes = diff.to_json(result.changes)
end

-- batch.confirm(run, entry, {action, fields of the audit event, read = function() -> the resource as read back}) ->
-- that resource. Whether it is confirmed goes into the audit log and the entry; raises what read raises.
function M.confirm(run, entry, opts)
  local ok, now = pcall(opts.read)
  if not ok and not errors.is(now) then error(now, 0) end
  local err = not ok and now or nil
  local event = {
    action = opts.action,
    status = not err and (now.unread and "unread" or "confirmed") or err.code == "verify" and "mismatch" or "failed",
    error_code = err and err.code or nil, error_message = err and answer.reason(err) or nil,
  }
  for name, value in pairs(opts.fields) do event[name] = value end
  assert(run.audit.event(event))
  if err then error(err, 0) end
  entry.confirmed, entry.etag = not now.unread, now.etag or entry.etag
  return now
end

-- batch.told(entry) -> the option `told` of run:step: what became of the webhooks' messages goes into the entry.
function M.told(entry)
  return function(notes)
    if #notes > 0 then entry.webhooks = json.array(notes) end
  end
end

-- ---- the result ----

local function count(entries, order)
  local summary = { total = #entries }
  for _, status in ipairs(order) do summary[status] = 0 end
  for _, entry in ipairs(entries) do summary[entry.status] = (summary[entry.status] or 0) + 1 end
  return summary
end

-- "queued" is a status of every write, with --queue only.
local function summary_line(summary, order, noun)
  local parts = {}
  for _, status in ipairs { "queued", table.unpack(order) } do
    local n = summary[status] or 0
    if n > 0 then parts[#parts + 1] = ("%d %s"):format(n, (status:gsub("_", " "))) end
  end
  return ("%d %s: %s"):format(summary.total, noun, table.concat(parts, ", "))
end

-- What a gateway says of a thing may be of any type.
local function told(value)
  if type(value) == "table" or type(value) == "userdata" then return diff.show(value) end
  return type(value) == "boolean" and tostring(value) or value
end

-- batch.line(entry, name) -> add, done: a line of the result for people. add(format, value) adds a part where value is
-- something; done() is the line. A failed entry's begins with what failed.
function M.line(entry, name)
  local parts = { ("%s: %s"):format(name, (entry.status:gsub("_", " "))) }
  local function add(fmt, value)
    if value ~= nil and value ~= json.null then parts[#parts + 1] = fmt:format(told(value)) end
  end
  if entry.failure then
    parts[1] = parts[1] .. ": " .. entry.failure.message
    add("status %s", entry.failure.status)
    add("(it was %s before that)", entry.written)
  end
  return add, function() return host.visible(table.concat(parts, "  "), true) end -- a line is one line
end

-- M.changes(entry, name) -> the lines of what changes, below a title; none where nothing does.
function M.changes(entry, name)
  if #entry.changes == 0 then return {} end
  local lines = diff.lines(entry.changes, "  ")
  table.insert(lines, 1, ("%s  (%s)"):format(name, entry.file))
  return lines
end

-- batch.result(entries, {noun, order = every status, in the order of the sum, detail = function(entry) -> lines,
-- line = function(entry) -> text}) -> what the workflow returns. The details of all entries come first, then a line
-- for each, then, with several, the sum.
function M.result(entries, opts)
  local lines, summary, status = {}, count(entries, opts.order), 0
  for _, entry in ipairs(entries) do
    local detail = opts.detail(entry)
    table.move(detail, 1, #detail, #lines + 1, lines)
  end
  for _, entry in ipairs(entries) do lines[#lines + 1] = opts.line(entry) end
  if #entries > 1 then lines[#lines + 1] = summary_line(summary, opts.order, opts.noun) end
  for _, entry in ipairs(entries) do
    if entry.failure then
      if status == 0 then status = workflow.exit_status(entry.failure) end
      entry.error, entry.failure = workflow.error_data(entry.failure), nil
    end
  end
  return { results = json.array(entries), summary = summary, text = lines, exit_status = status }
end

return M
