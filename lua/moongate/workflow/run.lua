-- run.lua - the run: what a workflow's function works with. For workflow.lua, which makes runs and tells what came of
-- them.
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

local checked = require("moongate.outcome").checked
local diff = require "moongate.diff"
local gen_ai = require "moongate.trace.gen_ai"
local script_audit = require "moongate.script_audit"
local sealed = require "moongate.sealed"
local trace = require "moongate.trace"

local M = {}

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
  local function work(...) return checked(fn(...)) end
  return trace.span("step " .. name:match "^%S*", { ["moongate.step.name"] = name, ["moongate.step.number"] = n },
    function() return self._session.step(self, name, n, work, opts) end)
end

-- run:read(name, fn) -> what fn returns, plain data: a look at what is there, for what is told of it later. A run that
-- is taken up again behind it sees what it saw then. It costs no disk sync.
function Run:read(name, fn)
  check(type(name) == "string", 1, "read", "string", name)
  check(type(fn) == "function", 2, "read", "function", fn)
  local function look() return checked(fn()) end
  if not self.journal then return look() end
  return require("moongate.journal.steps").read(self, name, look)
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

-- run:progress(total [, noun]) -> {advance(n | nil, what), pause(why), expect(total), done()}: on a terminal a bar,
-- elsewhere lines.
function Run:progress(total, noun)
  local bar = self._session.progress(total, noun)
  return {
    advance = function(n, what) bar:advance(n, what) end,
    pause = function(what) if bar.pause then bar:pause(what) end end,
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

-- run:confirm(question) -> whether the person at the terminal said yes; in a dry run true, since nothing is written. A
-- run that is resumed behind it is not asked again. Without a terminal it is a usage error that names --yes, which the
-- workflow has to declare.
function Run:confirm(question)
  if self.dry_run then return true end
  return self:read("confirmed: " .. question, function() return self._session.confirm(self.name, question) end)
end

-- run:stream() -> write(text) -> true | nil, err: for results that are too many to be returned, written as they come.
-- Without --json the text goes to standard output as it is; with it, it is the inside of an array, the member `results`
-- of the document that ends with what the workflow returns. Waits while the reader of it is slow.
function Run:stream()
  return self._session.stream
end

-- run:webhook(event, data [, {headers, also, flat, per_prompt}]) -> list of {name, delivered, id, status, attempts,
-- error}. Tells the project file's webhooks that want the event, side by side. headers: more of them. also: {name =
-- {url, secret, profile, ...}}, more webhooks, as the project file has them. flat: members that the form "flat" has
-- otherwise. per_prompt: true: only webhooks that want each prompt, outside of the journal; false: only the others. One
-- that can't be told is in the list, in the run's result, in the audit log and on stderr; it never fails the run. In a
-- dry run nobody is told.
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
  "note", "confirm", "stream", "webhook",
} do METHODS[name] = Run[name] end

local function copy_of(key) return function(run) return sealed.copy(run[key]) end end

-- M.seal(run) -> the handle that a script gets.
M.seal = sealed.class("moongate.workflow.run", METHODS, {
  name = true, id = true, dry_run = true, queue = true, json = true, deadline = true, simulated = true,
  args = copy_of "args", flags = copy_of "flags", project = copy_of "project", limits = copy_of "limits",
  audit = function(run) return script_audit.given(run.audit) end, log = copy_of "log",
  gateway = function(run) return run.gateway end,
  metrics = function(run) return run.metrics end,
})

-- M.new(fields) -> run: the object behind the handle.
function M.new(fields)
  return setmetatable(fields, Run)
end

return M
