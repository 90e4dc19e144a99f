-- journaled.lua - a workflow's run with its journal: begun or taken up again, carried out in a task that a signal stops
-- at its next safe point, and ended in the store whatever comes of it. For cli/run.lua and cli/runs.lua.

local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local fail = require "moongate.fail"
local host = require "moongate.host"
local input = require "moongate.cli.input"
local lease = require "moongate.lease"
local log = require "moongate.log"
local raised = require "moongate.raised"
local report = require "moongate.cli.report"
local runs = require "moongate.runs"
local scope = require "moongate.scope"
local stopping = require "moongate.cli.stopping"
local store = require "moongate.store"
local task = require "moongate.task"

local M = {}

-- ---- what is kept of a command line ----

-- Text without the secrets that are known, and whether there was one in it.
local function clean(text)
  local cleaned = require("moongate.span").clean(text)
  return cleaned, cleaned ~= text
end

local function clean_words(words)
  local out, secret = {}, false
  for i, word in ipairs(words) do
    local dirty
    out[i], dirty = clean(word)
    secret = secret or dirty
  end
  return out, secret
end

-- A variable of such a name is taken from the environment again.
local function is_credential(name)
  return name:find "TOKEN" or name:find "SECRET" or name:find "PASSW" or name:find "CREDENTIAL" or name:find "KEY"
end

-- M.environment(run) -> function(name, ask) -> what the environment gave the run's flags when it was begun; ask(name):
-- what it gives now.
function M.environment(run)
  local env = run.options.env or {}
  return function(name, ask) return is_credential(name) and ask(name) or env[name] end
end

-- what: {definition, words, source = {script, hash, bundled}, env = variables that gave flags, gateway = URL,
-- run_id = id | nil}
local function record_of(ctx, what)
  local words, secret = clean_words(what.words)
  local env = {}
  for name, value in pairs(what.env) do
    local text, dirty = clean(value)
    if not dirty and not is_credential(name) then env[name] = text end
  end
  return {
    workflow = what.definition.name, script = what.source.script, script_hash = what.source.hash, words = words,
    gateway = what.gateway,
    options = {
      bundled = what.source.bundled or nil, cwd = host.cwd(), env = next(env) and env or nil, secret = secret or nil,
      deadline = ctx.opts.deadline, retries = ctx.opts.retries, queue = ctx.opts.queue or nil,
      input = input.prints(what.words),
    },
  }
end

local function same_words(a, b)
  if #a ~= #b then return false end
  for i, word in ipairs(a) do
    if word ~= b[i] then return false end
  end
  return true
end

-- ---- what people are told ----

local SHELL_SAFE = "^[%w_./:=@,+-]+$"

function M.quoted(word)
  if word:find(SHELL_SAFE) then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local SAME_FLAGS = { "region", "login-url", "client-id", "profile", "config", "state", "audit-log", "allow-all",
  "allow-net", "allow-read", "allow-write", "allow-env", "allow-http" }

-- A flag as it was given, once or more often; nothing: none.
local function add_flag(words, name, value)
  if type(value) == "table" then
    for _, item in ipairs(value) do add_flag(words, name, item) end
  elseif value == true then
    words[#words + 1] = "--" .. name
  elseif value then
    words[#words + 1] = ("--%s %s"):format(name, M.quoted(value))
  end
end

-- The command that takes the run up again.
function M.command(ctx, id)
  local words = { "moongate" }
  for _, name in ipairs(SAME_FLAGS) do
    local value = ctx.opts[name:gsub("-", "_")]
    if name == "state" and value and value:find "^postgres" then value = store.session().url end
    add_flag(words, name, value)
  end
  words[#words + 1] = "runs resume " .. M.quoted(id)
  return table.concat(words, " ")
end

-- Whether it outlives the process.
local function lasting(db)
  return not db.url:find ":memory:"
end

-- ---- the end ----

local function interrupted(ctx, db, j)
  local err = stopping.error()
  err.hint = lasting(db) and ("To resume: %s"):format(M.command(ctx, j.id)) or nil
  return err
end

local function finish(j, status, outcome)
  if j.broken and j.broken.code == "run_cancelled" then return end
  local ok, err = runs.finish(j, status, outcome)
  if not ok and err.code == "conflict" then
    log.warn("run %s was taken over by another process: its end here is not recorded", j.id)
  elseif not ok and not j.broken then
    log.error("the end of run %s could not be kept: %s", j.id, err.message)
  end
end

local function error_of(err)
  local document = report.document(err, exit_status.of(err)).error
  return document
end

local function status_of(j, outcome)
  if #j.unknown > 0 then return "stopped" end
  if outcome.finished then return "done" end
  local status = outcome.exit_status
  return (status == exit_status.DONE or status == exit_status.QUEUED) and "done" or "failed"
end

-- What a resume can't help: the same arguments are rejected again.
local HOPELESS = { [exit_status.USAGE] = true, [exit_status.INPUT] = true, [exit_status.DENIED] = true }

-- Whether a resume may: one of the things that failed did so for another reason.
local function may_help(outcome)
  local results = type(outcome.data) == "table" and outcome.data.results
  for _, entry in ipairs(type(results) == "table" and results or {}) do
    if type(entry) == "table" and entry.error and not HOPELESS[exit_status.of(entry.error)] then return true end
  end
  return not HOPELESS[outcome.exit_status]
end

local function done(ctx, db, j, outcome)
  for _, line in ipairs(j.resumed and j:left_over() or {}) do
    log.warn("run %s: the script did not come to what it had done before: %s", j.id, line)
  end
  local status = status_of(j, outcome)
  finish(j, status, {
    exit_status = outcome.exit_status,
    result = {
      data = outcome.data, lines = outcome.lines, exit_status = outcome.exit_status, finished = outcome.finished,
    },
  })
  if status ~= "done" and lasting(db) and j.next_seq > 1 and (status == "stopped" or may_help(outcome)) then
    ctx:note("To resume: %s", M.command(ctx, j.id))
  end
  return outcome
end

local function failed(ctx, db, j, failure)
  local err = raised.normal(j.broken or failure)
  finish(j, #j.unknown > 0 and "stopped" or "failed", { exit_status = exit_status.of(err), error = error_of(err) })
  if lasting(db) and j.next_seq > 1 and err.code ~= "run_cancelled" and not err.finished
    and not HOPELESS[exit_status.of(err)] then
    ctx:note("To resume: %s", M.command(ctx, j.id))
  end
  error(err, 0)
end

-- ---- one life ----

-- M.live(ctx, db, journal, execute(journal) -> outcome) -> outcome. Raises what it raises, and "interrupted".
function M.live(ctx, db, j, execute)
  assert(host.audit_run(j.id))
  local job = task.spawn(function()
    scope.stoppable "run"
    return j:within(function() return execute(j) end)
  end)
  local outcome, err = job:join()
  if job:status() == "cancelled" then
    err = interrupted(ctx, db, j)
    finish(j, "interrupted", { exit_status = exit_status.of(err), error = error_of(err) })
    error(err, 0)
  end
  if job:status() ~= "done" or j.broken then return failed(ctx, db, j, err) end
  return done(ctx, db, j, outcome)
end

-- The lease on the run itself: nobody else carries it out.
local function hold(ctx, db, id, name)
  if not lasting(db) then return nil end
  local held, err = lease.acquire(db, "run " .. id, {
    run_id = id, wait = ctx.opts.wait, info = { command = name }, note = function(line) ctx:note("%s", line) end,
  })
  if not held then error(err, 0) end
  return held
end

-- What a run that is done has left: its result, as if it had just been.
function M.recorded(ctx, run)
  local result = run.result or {}
  local at = require("moongate.time").iso((run.finished_at or run.updated_at) / 1000)
  ctx:note(result.finished and "Run %s already finished at %s; its results were printed then, and are not kept."
    or "Run %s already finished at %s; its result was:", run.id, at)
  return { data = result.data, lines = result.lines or {}, exit_status = result.exit_status or 0, recorded = true }
end

local function sorted_keys(...)
  local names, seen = {}, {}
  for _, t in ipairs { ... } do
    for name in pairs(t) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names)
  return names
end

-- Why a run can't be taken up by this command line, raised.
local function check_same(run, what, record)
  local function refuse(fmt, ...)
    errors.raise { code = "usage", message = fmt:format(...), hint = "Choose another --run-id." }
  end
  if run.workflow ~= record.workflow then
    refuse("run %s is one of %s, not of %s", run.id, run.workflow, record.workflow)
  elseif not same_words(run.words, record.words) then
    refuse("run %s was started with other arguments: %s", run.id, table.concat(run.words, " "))
  end
  for _, name in ipairs(sorted_keys(run.options.env or {}, record.options.env or {})) do
    local before, now = (run.options.env or {})[name], (record.options.env or {})[name]
    if before ~= now then
      refuse("run %s was started with %s=%s, not with %s", run.id, name, before or "(not set)", now or "(not set)")
    end
  end
  M.check_gateway(run, what.gateway)
  input.check(run)
  if run.script_hash ~= record.script_hash then log.warn("run %s: its script has changed since", run.id) end
end

-- A run's journal tells of one gateway; with another it would be lies.
function M.check_gateway(run, gateway)
  if run.gateway == gateway then return end
  errors.raise {
    code = "conflict", outcome = "not_sent",
    message = ("run %s was started against %s, not against %s"):format(run.id, run.gateway or "no gateway",
      gateway or "none"),
    hint = run.gateway == M.SIMULATED and "A private simulated gateway (--sim) ends with its run." or
      "Use the --region or --profile that the run was started with.",
  }
end

M.SIMULATED = "sim"

local function take_up(ctx, db, run, opts)
  if run.options.simulated or run.gateway == M.SIMULATED then M.check_gateway(run, nil) end
  if run.status == "cancelled" then
    errors.raise {
      code = "conflict", message = ("run %s was cancelled"):format(run.id), hint = "Start a new run, or fork this one.",
    }
  end
  local j = runs.take_up(db, run)
  j.redo, j.skip = opts and opts.redo, opts and opts.skip
  ctx:note("Resuming run %s (%d recorded steps reused).", run.id, j.kept)
  return j
end

-- M.begin(ctx, what, execute) -> outcome. Begins a run; with --run-id, takes up the one of that id, or gives the result
-- that it has left. what: see record_of.
function M.begin(ctx, what, execute)
  local db = assert(store.session())
  local given = ctx.opts.run_id or what.run_id
  local fault = given and runs.id_fault(given)
  if fault then fail.usage("--run-id %s", fault) end
  local record = record_of(ctx, what)
  record.id = given or runs.new_id()
  local held <close> = hold(ctx, db, record.id, record.workflow)
  local j, run = runs.begin(db, record)
  if not j and not given then error(("run %s already exists"):format(record.id), 0) end
  if not j then
    check_same(run, what, record)
    if run.status == "done" then return M.recorded(ctx, run) end
    j = take_up(ctx, db, run)
  end
  log.info("run %s", j.id)
  local outcome = M.live(ctx, db, j, execute)
  if held then held:release() end
  return outcome
end

-- M.resume(ctx, db, run, opts, execute) -> outcome. opts: {redo, skip = sets of steps' names}
function M.resume(ctx, db, run, opts, execute)
  local held <close> = hold(ctx, db, run.id, run.workflow)
  run = runs.find(db, run.id) -- somebody may have ended it while it was waited for
  if run.status == "done" then return M.recorded(ctx, run) end
  local outcome = M.live(ctx, db, take_up(ctx, db, run, opts), execute)
  if held then held:release() end
  return outcome
end

-- Whether a run of the definition with these values keeps a journal.
function M.wanted(ctx, definition, values)
  local keeps = definition.journal
  if type(keeps) == "function" then keeps = keeps(values) end
  return keeps ~= false and not ctx.opts.dry_run and not (definition.offline and definition.offline(values))
end

return M
