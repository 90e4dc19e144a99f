-- workflow.lua - what a workflow is: a declaration that help, the argument parser and the runner read, and a function
-- that does the job.
--
-- A script returns workflow.define{…}; the command line parses what the user typed by it and calls workflow.execute.
-- The function gets a run (workflow/run.lua) and its arguments; what it returns is the result:
--
--   a table   one JSON document under --json. Three fields are not part of it: text (a line, or a list of lines) is
--             what is printed without --json; exit_status is the program's; finished = true says that nothing is left
--             for a resume, whatever the exit status. Without text, the fields are listed.
--   nothing   the job was done and there is nothing to say
--
-- A failure is raised: an error object, see docs/scripting.md.

local checked = require("moongate.outcome").checked
local definition_of = require "moongate.workflow.definition"
local diff = require "moongate.diff"
local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local flags = require "moongate.flags"
local json = require "moongate.json"
local runs = require "moongate.workflow.run"

local M = { define = definition_of.define, is = definition_of.is }

local ERROR_FIELDS = {
  "code", "message", "status", "gateway_code", "method", "path", "correlation_id", "attempts", "outcome", "hint",
  "where",
}

-- workflow.error_data(err) -> an error object as plain data, for a result.
function M.error_data(err)
  local out = {}
  for _, key in ipairs(ERROR_FIELDS) do out[key] = err[key] end
  if err.details then
    out.details = json.array {}
    for i, detail in ipairs(err.details) do out.details[i] = detail end
  end
  return out
end

-- workflow.exit_status(err) -> the program's exit status for a failure, for a result that holds failures.
function M.exit_status(err)
  return exit_status.of(err)
end

-- ---- running ----

local function no_bar() return { advance = function() end, done = function() end } end

local function plain_step(run, name, n, fn, opts)
  local time = require "moongate.time"
  local started = time.monotonic()
  local results
  if run.journal then
    results = table.pack(pcall(require("moongate.journal.steps").step, run, name, fn, opts))
  else
    results = table.pack(pcall(fn))
  end
  run.log.info("step %s#%d %s in %.0f ms", name, n, results[1] and "done" or "failed",
    (time.monotonic() - started) * 1000)
  if not results[1] then error(results[2], 0) end
  if not run.journal and opts and opts.webhook then
    local event, data, more = opts.webhook(table.unpack(results, 2, results.n))
    local notes = event ~= nil and run:webhook(event, data, more) or {}
    if opts.told then opts.told(notes) end
  end
  return table.unpack(results, 2, results.n)
end

local function default_session(run_of)
  return {
    gateway = function(options) return require("moongate.workflow.session").gateway(run_of(), options) end,
    step = plain_step,
    progress = no_bar,
    note = function(line)
      local host = require "moongate.host"
      host.write_err(host.visible(line) .. "\n")
    end,
    confirm = function() return false end, -- there is nobody to ask
    stream = function(text) return require("moongate.host").write_out(text) end,
    report = function(err, what)
      require("moongate.log").error("%s%s", what and what .. ": " or "", tostring(err))
    end,
  }
end

local SESSION = {
  dry_run = true, queue = true, json = true, project = true, deadline = true, retries = true, simulated = true,
  gateway = true, step = true,
  progress = true, report = true, note = true, confirm = true, stream = true,
  audit = true, metrics = true, store = true,
  journal = true,
}

local function pick(list, values)
  local out = {}
  for _, entry in ipairs(list) do
    local key = flags.key(entry[1])
    out[key] = values[key]
  end
  return out
end

-- A duration of the project file: seconds, or a text such as "30s"; nil for none.
local function seconds(v)
  return type(v) == "string" and flags.duration(v) or v
end

local TRIES_BEFORE_QUEUE = 4 -- what can be queued need not be tried until the deadline

-- What the user says of the gateway's client; a workflow may say otherwise (run:client).
local function client_options(session, settings)
  local retries, retry = session.retries or settings.retries, nil
  if retries then retry = { max = retries + 1 } elseif session.queue then retry = { max = TRIES_BEFORE_QUEUE } end
  return { retry = retry, connect_timeout = seconds(settings.connect_timeout) }
end

local function new_run(definition, values, session)
  for key in pairs(session) do
    if not SESSION[key] then error(("workflow.execute: unknown session field '%s'"):format(tostring(key)), 3) end
  end
  local run
  local hooks = default_session(function() return run end)
  for key in pairs(hooks) do hooks[key] = session[key] or hooks[key] end
  hooks.audit, hooks.metrics = session.audit, session.metrics
  local project = session.project or {}
  local settings = project.http or {}
  run = runs.new {
    name = definition.name, args = pick(definition.args, values), flags = pick(definition.flags, values),
    dry_run = session.dry_run or false, queue = session.queue or false, json = session.json or false,
    deadline = session.deadline or seconds(settings.deadline),
    simulated = session.simulated or false, project = project,
    limits = project.limits or {},
    journal = session.journal, id = session.journal and session.journal.id,
    _session = hooks, _client_options = client_options(session, settings), _lines = {}, _changes = {}, _steps = {},
  }
  if session.store then require("moongate.outbox").use(run, session.store) end
  return run
end

-- workflow.open(session) -> a run that no workflow has: what a prompt works with. session: as for workflow.execute.
function M.open(session)
  return runs.seal(new_run({ name = "repl", args = {}, flags = {} }, {}, session))
end

local function lines_of(text)
  if type(text) ~= "table" then return { tostring(text) } end
  return text
end

-- "name: value" for each field, values as JSON.
local function listing(data)
  local lines, keys = {}, {}
  for k in pairs(data) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, k in ipairs(keys) do
    local v = data[k]
    lines[i] = ("%s: %s"):format(tostring(k), type(v) == "string" and v or diff.show(v, 400))
  end
  return lines
end

-- Webhooks that were not told belong to the result, whatever the workflow says of them itself.
local function add_undelivered(run, data, lines)
  local list, more = require("moongate.webhooks.notify").undelivered(run)
  if not list then return data end
  table.move(more, 1, #more, #lines + 1, lines)
  if data == nil then data = {} end
  if type(data) == "table" and not json.is_array(data) then data.undelivered_webhooks = list end
  return data
end

local STATUS_MAX = 255 -- a process has no more

-- The exit status that a result asks for. One that no process can end with is told, and not ended with another one.
local function checked_status(definition, status)
  if status == nil then return exit_status.DONE end
  if math.type(status) == "integer" and status >= 0 and status <= STATUS_MAX then return status end
  local got = type(status) == "string" and ("%q"):format(status) or type(status) == "number" and tostring(status)
    or "a " .. type(status)
  errors.raise {
    code = "script", where = definition.name, -- no line of the script is at fault, and none of ours
    message = ("workflow %s: the result's exit_status must be a whole number from 0 to %d, not %s")
      :format(definition.name, STATUS_MAX, got),
    hint = "The workflow has finished; see `moongate help exit`.",
  }
end

-- The parts of what the function returned: data for --json, lines for people, exit status.
local function outcome_of(run, definition, returned)
  local text, status, data, finished = nil, nil, returned, nil
  if type(returned) == "table" then
    data = {}
    for k, v in pairs(returned) do data[k] = v end
    text, status, finished = data.text, data.exit_status, data.finished == true or nil
    data.text, data.exit_status = nil, nil
    if finished then data.finished = nil end
    if json.is_array(returned) then data = returned end
    if #run._changes > 0 and data.changes == nil and not json.is_array(returned) then
      data.changes = diff.to_json(run._changes)
    end
  end
  status = checked_status(definition, status)
  local lines = run._lines
  local more = {}
  if text ~= nil then
    more = lines_of(text)
  elseif type(data) == "table" and #lines == 0 then
    more = listing(data)
  elseif data ~= nil and type(data) ~= "table" then
    more = { tostring(data) }
  end
  table.move(more, 1, #more, #lines + 1, lines)
  return { data = add_undelivered(run, data, lines), lines = lines, exit_status = status, finished = finished }
end

-- workflow.execute(definition, values, session) -> {data, lines, exit_status}: data is what --json prints (nil:
-- nothing), lines what is printed otherwise. Raises what the workflow raises. values: as moongate.flags parses
-- them. session, every field optional:
--   dry_run, json, simulated      booleans
--   project                       the project file's table
--   deadline                      seconds for one call of the gateway, retries included
--   retries                       of such a call; nil: until its deadline
--   progress(total, noun)         -> a bar, as moongate.cli.progress makes it
--   store                         where webhooks' messages are kept (moongate.store), or a function that gives it
--   journal                       of the run that the current task is (moongate.journal)
--   gateway(client_options, run), step(run, name, n, fn, opts), report(err, what), audit, metrics   where the
--   default will not do
function M.execute(definition, values, session)
  if not M.is(definition) then error("workflow.execute: not a workflow: workflow.define makes one", 2) end
  local run = new_run(definition, values or {}, session or {})
  local given = {}
  for _, part in ipairs { run.flags, run.args } do
    for k, v in pairs(part) do given[k] = v end
  end
  local ok, returned = pcall(function() return (checked(definition.run(runs.seal(run), given))) end)
  if run._scope then require("moongate.workflow.hold").release(run) end
  if not ok then error(returned, 0) end
  local outcome = outcome_of(run, definition, returned)
  local queued = rawget(run, "gateway") and run.gateway.queued
  if queued and outcome.exit_status == 0 then outcome.exit_status = exit_status.QUEUED end
  return outcome
end

return M
