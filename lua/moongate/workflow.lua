-- workflow.lua - what a workflow is: a declaration that help, the argument parser and the runner read, and a function
-- that does the job.
--
-- A script returns workflow.define{…}; the command line parses what the user typed by it and calls workflow.execute.
-- The function gets a run (see below) and its arguments; what it returns is the result:
--
--   a table   one JSON document under --json. Three fields are not part of it: text (a line, or a list of lines) is
--             what is printed without --json; exit_status is the program's; and nothing else. Without text, the
--             fields are listed.
--   nothing   the job was done and there is nothing to say
--
-- A failure is raised: an error object, see docs/scripting.md.

local diff = require "moongate.diff"
local errors = require "moongate.error"
local exit_status = require "moongate.cli.exit_status"
local flags = require "moongate.cli.flags"
local json = require "moongate.json"
local gen_ai = require "moongate.trace.gen_ai"
local sealed = require "moongate.sealed"
local suggest = require "moongate.suggest"
local trace = require "moongate.trace"

local M = {}

-- ---- declaring ----

local FIELDS = {
  name = "string", summary = "string", description = "any", author = "string", categories = "table", args = "table",
  flags = "table", examples = "table", run = "function", offline = "function", permissions = "table",
}

local PERMISSIONS = { net = true, read = true, write = true, env = true }

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

local definitions = setmetatable({}, { __mode = "k" })

-- A mistake in a definition is told with the script's file and line.
local function mistake(level, fmt, ...)
  error("workflow.define: " .. fmt:format(...), level + 1)
end

local function check_fields(spec, level)
  for key, value in pairs(spec) do
    local want = FIELDS[key]
    if not want then mistake(level + 1, "unknown field '%s'", tostring(key)) end
    if want ~= "any" and type(value) ~= want then
      mistake(level + 1, "%s must be a %s, not a %s", key, want, type(value))
    end
  end
  for _, key in ipairs { "name", "summary", "run" } do
    if spec[key] == nil then mistake(level + 1, "%s is missing", key) end
  end
  if not spec.name:find("^%l[%l%d-]*$") then
    mistake(level + 1, "name '%s' must be lower-case words joined by '-'", spec.name)
  end
end

-- What a workflow does to a gateway has one word each; other categories are subjects, of its author's choice.
local EFFECTS = { "read", "write", "destructive" }

local function check_categories(list, level)
  local seen = {}
  for i, word in pairs(list) do
    if math.type(i) ~= "integer" or type(word) ~= "string" or not word:find "^%l[%l%d-]*$" then
      mistake(level + 1, "categories must be a list of lower-case words")
    end
    local near = suggest.near(word, EFFECTS)
    if seen[word] then mistake(level + 1, "category '%s' is there twice", word) end
    if near and near ~= word then mistake(level + 1, "unknown category '%s' (did you mean '%s'?)", word, near) end
    seen[word] = true
  end
  if seen.read and (seen.write or seen.destructive) then
    mistake(level + 1, "categories: 'read' is for a workflow that changes nothing")
  end
end

local function check_permissions(declared, level)
  for kind, list in pairs(declared) do
    if not PERMISSIONS[kind] then
      mistake(level + 1, "permissions: unknown field '%s'%s", tostring(kind),
        suggest.hint(tostring(kind), { "net", "read", "write", "env" }))
    end
    if type(list) ~= "table" then mistake(level + 1, "permissions.%s must be a list, not a %s", kind, type(list)) end
    for i, what in pairs(list) do
      if math.type(i) ~= "integer" or type(what) ~= "string" or what == "" then
        mistake(level + 1, "permissions.%s must be a list of strings", kind)
      end
    end
  end
end

-- workflow.define{name, summary, description, categories, args, flags, examples, run} -> definition. args and flags
-- as moongate/cli/flags.lua says: {{"config", "what it is", repeated = true}}, {{"vector-store", "what it is", env =
-- "NAME", required = true}}.
-- permissions{net = {…}, read = {…}, write = {…}, env = {…}}: what it needs besides what every script may do. That
-- allows nothing; it says which flags the user has to give.
-- offline(values) -> whether these arguments need no gateway, and so no credentials.
function M.define(spec)
  if type(spec) ~= "table" then mistake(2, "expected a table, not a %s", type(spec)) end
  check_fields(spec, 2)
  spec.args, spec.flags = spec.args or {}, spec.flags or {}
  check_permissions(spec.permissions or {}, 2)
  check_categories(spec.categories or {}, 2)
  local ok, fault = pcall(flags.check, spec)
  if not ok then mistake(2, "%s", tostring(fault)) end
  definitions[spec] = true
  return spec
end

-- workflow.is(v) -> true for what define returned.
function M.is(v)
  return definitions[v] == true
end

-- ---- the run: what a workflow's function works with ----
--
--   run.args, run.flags    what the user gave, "-" in names written as "_"
--   run.dry_run, run.json, run.simulated  (--sim) as given
--   run.gateway            the gateway (moongate.gateway), opened at first use
--   run.audit, run.log     the modules of these names
--   run.metrics            the run's registry (moongate.metrics)
--   run.limits, run.project  of the project file; empty tables without one
--   run.id                 what `moongate runs` knows it by; nil in a dry run, or where nothing is kept of it
--
-- It gets a handle (moongate.sealed): the session, the journal and the store are not in a script's reach.

local Run = {}

local LAZY = {
  gateway = function(run) return run._session.gateway(run._client_options, run) end,
  audit = function(run) return run._session.audit or require "moongate.audit" end,
  log = function() return require "moongate.log" end,
  metrics = function(run) return run._session.metrics or require("moongate.metrics").new() end,
}

function Run.__index(run, key)
  local method = Run[key]
  if method ~= nil then return method end
  local make = LAZY[key]
  if not make then return nil end
  local value = make(run)
  rawset(run, key, value)
  return value
end

-- run:client{rate = {per_second, burst}, concurrency =, deadline =, …}: options of the gateway's HTTP client; before
-- run.gateway is first used.
function Run:client(options)
  if rawget(self, "gateway") then error("run:client: the gateway is open already", 2) end
  for k, v in pairs(options) do self._client_options[k] = v end
end

-- run:say(format, …): one more line of what is printed (not under --json).
function Run:say(fmt, ...)
  self._lines[#self._lines + 1] = select("#", ...) > 0 and fmt:format(...) or fmt
end

-- run:diff(from, to [, title]) -> list of changes, which become lines of the result, and its `changes`. nil: nothing
-- there.
function Run:diff(from, to, title)
  local changes = diff.compare(from, to)
  if title then self:say("%s", title) end
  for _, line in ipairs(diff.lines(changes, title and "  " or "")) do self:say("%s", line) end
  if #changes == 0 then self:say("%sno changes", title and "  " or "") end
  table.move(changes, 1, #changes, #self._changes + 1, self._changes)
  return changes
end

local TEN_YEARS = 3650 * 86400 -- seconds

-- A mistake in a script is told at the script's place.
local function check(right, n, method, want, got)
  if right then return end
  error(("bad argument #%d to 'run:%s' (%s expected, got %s)"):format(n, method, want,
    type(got) == "number" and tostring(got) or type(got)), 3)
end

local function is_span(seconds) return type(seconds) == "number" and seconds <= TEN_YEARS end -- NaN is not

-- run:step(name, fn [, {reconcile, idempotent, intent, webhook}]) -> what fn returns. A part of the job that has a
-- name, and is done once: a run that is taken up again gets what it returned, plain data, from the journal. One that
-- was cut off in the middle is gone through again, but sends nothing that must not be sent twice; unless
--   reconcile   function(intent) -> what it returned, found out by looking; nil: it did not happen. intent: plain data
--               that was kept when it was begun
--   idempotent  true: doing it twice does no harm
-- webhook: function(what fn returned) -> event, data [, options of run:webhook]; nil: nobody is told. The messages are
-- kept in the transaction that says that the step is done, and then delivered. told: function(notes), what became of
-- them, as run:webhook gives it; also when the run is taken up behind the step.
function Run:step(name, fn, opts)
  check(type(name) == "string", 1, "step", "string", name)
  check(type(fn) == "function", 2, "step", "function", fn)
  local n = (self._steps[name] or 0) + 1
  self._steps[name] = n
  return trace.span("step " .. name:match "^%S*", { ["moongate.step.name"] = name, ["moongate.step.number"] = n },
    function() return self._session.step(self, name, n, fn, opts) end)
end

-- run:read(name, fn) -> what fn returns, plain data: a look at what is there, for what is told of it later. A run that
-- is taken up again behind it sees what it saw then. It costs no disk sync.
function Run:read(name, fn)
  check(type(name) == "string", 1, "read", "string", name)
  check(type(fn) == "function", 2, "read", "function", fn)
  if not self.journal then return fn() end
  return require("moongate.journal.steps").read(self, name, fn)
end

-- run:sleep(seconds): until a time that is kept: a run that is taken up again sleeps what is left of it.
function Run:sleep(seconds)
  check(is_span(seconds), 1, "sleep", "seconds", seconds)
  if not self.journal then return require("moongate.task").sleep(seconds) end
  return require("moongate.journal.steps").sleep(self, seconds)
end

-- run:timeout(seconds, fn) -> what fn returns; raises "timeout" when it has not by then. The deadline is kept: being
-- cut off does not move it.
function Run:timeout(seconds, fn)
  check(is_span(seconds), 1, "timeout", "seconds", seconds)
  check(type(fn) == "function", 2, "timeout", "function", fn)
  if self.journal then return require("moongate.journal.steps").timeout(self, seconds, fn) end
  local results
  local ok, err = require("moongate.task").timeout(seconds, function()
    results = table.pack(fn())
    return true
  end)
  if not ok then error(err, 0) end
  return table.unpack(results, 1, results.n)
end

-- run:hold{{kind, args [, content = what makes its name]}, …}: no other process writes these resources until the run
-- ends; all of them or none. Raises "conflict" when another one holds one of them, after --wait. A write holds what it
-- writes anyway: this is for what belongs together, before the first write. In a dry run nothing is held.
function Run:hold(list)
  return require("moongate.workflow.hold").take(self, list)
end

-- run:span(name, attributes, fn) -> what fn(span) returns. A part of the run that has a place in its trace, below the
-- span it is called in; span:set(name, value) adds an attribute. Costs next to nothing when nobody traces.
function Run.span(_, name, attributes, fn)
  return trace.span(name, attributes, fn)
end

-- run:model_call({model, provider, operation = "chat", temperature, top_p, max_tokens}, fn) -> what fn(call) returns. A
-- span that OpenTelemetry's generative AI conventions describe: call:answered{id, model, input_tokens, output_tokens,
-- finish_reasons}, call:prompt(text) and call:completion(text) (kept under --trace-content only).
function Run.model_call(_, what, fn)
  return gen_ai.call(what, fn)
end

-- run:progress(total [, noun]) -> {advance(n | nil, what), expect(total), done()}: told on a terminal as a bar,
-- elsewhere as lines.
function Run:progress(total, noun)
  local bar = self._session.progress(total, noun)
  return {
    advance = function(n, what) bar:advance(n, what) end,
    expect = function(n) bar.total = n end,
    done = function() bar:done() end,
  }
end

-- run:report(err [, what]): tells of a failure that does not end the run. what: the thing it befell.
function Run:report(err, what)
  return self._session.report(err, what)
end

-- run:note(line): for people, on standard error, now.
function Run:note(line)
  return self._session.note(line)
end

-- run:stream() -> write(text) -> true | nil, err: for results that are too many to be returned, written as they come.
-- Without --json the text goes to standard output as it is; with it, it is the inside of an array, the member `results`
-- of the document that ends with what the workflow returns. Waits while the reader of it is slow.
function Run:stream()
  return self._session.stream
end

-- run:webhook(event, data [, {headers, also}]) -> list of {name, delivered, id, status, attempts, error}. Tells the
-- project file's webhooks that want the event, side by side. headers: more of them. also: {name = {url, secret,
-- profile, ...}}, more webhooks, as the project file has them. One that can't be told is in the list, in the run's
-- result, in the audit log and on stderr; it never fails the run. In a dry run nobody is told.
function Run:webhook(event, data, opts)
  return trace.span("webhook", { ["moongate.webhook.event"] = event }, function()
    return require("moongate.journal").quietly(require("moongate.outbox").tell, self, event, data, opts)
      or require("moongate.webhooks.notify").all(self, event, data, opts)
  end)
end

-- ---- what is seen of it from outside ----

local METHODS = {}
for _, name in ipairs {
  "client", "say", "diff", "step", "read", "sleep", "timeout", "hold", "span", "model_call", "progress", "report",
  "note", "stream", "webhook",
} do METHODS[name] = Run[name] end

local function copy_of(key) return function(run) return sealed.copy(run[key]) end end

local seal = sealed.class("moongate.workflow.run", METHODS, {
  name = true, id = true, dry_run = true, queue = true, json = true, deadline = true, simulated = true,
  args = copy_of "args", flags = copy_of "flags", project = copy_of "project", limits = copy_of "limits",
  audit = copy_of "audit", log = copy_of "log",
  gateway = function(run) return run.gateway end,
  metrics = function(run) return run.metrics end,
})

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
    note = function(line) require("moongate.host").write_err(line .. "\n") end,
    stream = function(text) return require("moongate.host").write_out(text) end,
    report = function(err, what)
      require("moongate.log").error("%s%s", what and what .. ": " or "", tostring(err))
    end,
  }
end

local SESSION = {
  dry_run = true, queue = true, json = true, project = true, deadline = true, simulated = true, gateway = true,
  step = true,
  progress = true, report = true, note = true, stream = true, audit = true, metrics = true, store = true,
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

local function new_run(definition, values, session)
  for key in pairs(session) do
    if not SESSION[key] then error(("workflow.execute: unknown session field '%s'"):format(tostring(key)), 3) end
  end
  local run
  local hooks = default_session(function() return run end)
  for key in pairs(hooks) do hooks[key] = session[key] or hooks[key] end
  hooks.audit, hooks.metrics = session.audit, session.metrics
  local project = session.project or {}
  run = setmetatable({
    name = definition.name, args = pick(definition.args, values), flags = pick(definition.flags, values),
    dry_run = session.dry_run or false, queue = session.queue or false, json = session.json or false,
    deadline = session.deadline, simulated = session.simulated or false, project = project,
    limits = project.limits or {},
    journal = session.journal, id = session.journal and session.journal.id,
    _session = hooks, _client_options = {}, _lines = {}, _changes = {}, _steps = {},
  }, Run)
  if session.store then require("moongate.outbox").use(run, session.store) end
  return run
end

-- workflow.open(session) -> a run that no workflow has: what a prompt works with. session: as for workflow.execute.
function M.open(session)
  return seal(new_run({ name = "repl", args = {}, flags = {} }, {}, session))
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
  error(errors.new {
    code = "script", where = definition.name, -- no line of the script is at fault, and none of ours
    message = ("workflow %s: the result's exit_status must be a whole number from 0 to %d, not %s")
      :format(definition.name, STATUS_MAX, got),
    hint = "what the workflow has done is done; `moongate help` lists the exit statuses",
  }, 0)
end

-- The parts of what the function returned: data for --json, lines for people, exit status.
local function outcome_of(run, definition, returned)
  local text, status, data = nil, nil, returned
  if type(returned) == "table" then
    data = {}
    for k, v in pairs(returned) do data[k] = v end
    text, status = data.text, data.exit_status
    data.text, data.exit_status = nil, nil
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
  return { data = add_undelivered(run, data, lines), lines = lines, exit_status = status }
end

-- workflow.execute(definition, values, session) -> {data, lines, exit_status}: data is what --json prints (nil:
-- nothing), lines what is printed otherwise. Raises what the workflow raises. values: as moongate.cli.flags parses
-- them. session, every field optional:
--   dry_run, json, simulated      booleans
--   project                       the project file's table
--   deadline                      seconds for one call of the gateway
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
  local ok, returned = pcall(definition.run, seal(run), given)
  if run._scope then require("moongate.workflow.hold").release(run) end
  if not ok then error(returned, 0) end
  local outcome = outcome_of(run, definition, returned)
  local queued = rawget(run, "gateway") and run.gateway.queued
  if queued and outcome.exit_status == 0 then outcome.exit_status = exit_status.QUEUED end
  return outcome
end

return M
