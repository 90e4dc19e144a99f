-- runs.lua - `moongate runs list|show|resume|cancel|fork|export|check|prune`.
local bundled = require "moongate.bundled"
local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local host = require "moongate.host"
local journal = require "moongate.journal"
local grid = require "moongate.grid"
local json = require "moongate.json"
local log = require "moongate.log"
local plain = require "moongate.plain"
local runs = require "moongate.runs"
local store = require "moongate.store"
local text = require "moongate.text"
local time = require "moongate.time"

local M = {}

local function open()
  return assert(store.session())
end

-- ---- list, show ----

local FIELDS = { "id", "workflow", "script", "status", "exit_status", "gateway", "parent", "parent_step", "host",
  "records" }

local function data(run)
  local out = { words = json.array(run.words) }
  for _, name in ipairs(FIELDS) do out[name] = run[name] end
  for _, name in ipairs { "created_at", "updated_at", "finished_at" } do
    out[name] = run[name] and time.iso(run[name] / 1000) or nil
  end
  out.cwd, out.script_hash = run.options.cwd, run.script_hash
  return out
end

local COLORS = { done = "green", failed = "red", stopped = "red", interrupted = "bold", running = "bold",
  cancelled = "dim" }

-- The names of the leases that somebody has who may live.
local function held(db)
  local set = {}
  for _, row in ipairs(assert(require("moongate.lease.rows").list(db))) do
    set[row.name] = require("moongate.lease.words").state(row) == "held"
  end
  return set
end

-- A run that says it is under way, and nobody carries it out: its process was killed.
local function status_of(run, leases)
  return run.status == "running" and not leases["run " .. run.id] and "killed" or run.status
end

local function line(ctx, run, status)
  local words = table.concat(run.words, " ")
  return ("%s  %s  %s%s"):format(run.id, ctx:paint(1, COLORS[run.status] or "dim", ("%-11s"):format(status)),
    run.workflow or "?", words ~= "" and " " .. words or "")
end

function M.list(ctx, args)
  local db = open()
  local list, leases, out = runs.list(db, args), held(db), json.array {}
  local rows = { { "RUN", "STATUS", "STARTED", "COMMAND" } }
  for i, run in ipairs(list) do
    local status = status_of(run, leases)
    out[i] = data(run)
    out[i].killed = status == "killed" or nil
    local started = time.iso(run.created_at // 1000):gsub("T", " "):gsub("%.%d+Z$", "Z")
    rows[i + 1] = { run.id, status, started, table.concat({ run.workflow or "?", table.unpack(run.words) }, " ") }
  end
  local lines = grid.lines(rows, { paint = function(row, column, cell)
    return column == 2 and row > 1 and ctx:paint(1, COLORS[list[row - 1].status] or "dim", cell) or cell
  end })
  ctx:result({ runs = out }, #list > 0 and table.concat(lines, "\n") or "no runs are kept here")
end

local STATES = { started = "started, outcome unknown" }

local function record_line(rec)
  local place = rec.path ~= "" and ("[%s] "):format(rec.path) or ""
  local parts = { ("%4d  %s%s"):format(rec.seq, place, journal.shown(rec)), STATES[rec.state] or rec.state }
  if rec.finished_at and rec.started_at and rec.finished_at > rec.started_at then
    parts[#parts + 1] = ("%d ms"):format(rec.finished_at - rec.started_at)
  end
  local err = rec.state == "failed" and rec.error_json and plain.decode(rec.error_json)
  if err then parts[#parts + 1] = tostring(err.message) end
  return table.concat(parts, "  ")
end

local function record_data(rec)
  local out = {}
  for _, name in ipairs { "seq", "path", "name", "n", "kind", "state", "place" } do out[name] = rec[name] end
  for _, name in ipairs { "intent", "result", "error" } do
    out[name] = rec[name .. "_json"] and plain.decode(rec[name .. "_json"]) or nil
  end
  for _, name in ipairs { "started_at", "finished_at" } do
    out[name] = rec[name] and time.iso(rec[name] / 1000) or nil
  end
  return out
end

function M.show(ctx, args)
  local db = open()
  local run = runs.find(db, args.run)
  local records = runs.records(db, run.id)
  local status = status_of(run, held(db))
  local out, lines = data(run), { line(ctx, run, status) }
  out.killed = status == "killed" or nil
  local function add(fmt, value)
    if value ~= nil then lines[#lines + 1] = "  " .. fmt:format(value) end
  end
  add("script %s", run.script)
  add("against %s", run.gateway)
  add("in %s", run.options.cwd)
  add("started %s", out.created_at)
  add("ended %s", out.finished_at)
  add("by %s", run.host)
  if run.parent then add("forked from %s", ("%s before %s"):format(run.parent, run.parent_step or "?")) end
  add("exit status %d", run.exit_status)
  if run.error then add("error: %s", run.error.message) end
  out.steps, out.result, out.error = json.array {}, run.result and run.result.data, run.error
  for i, rec in ipairs(records) do
    out.steps[i] = record_data(rec)
    lines[#lines + 1] = record_line(rec)
  end
  ctx:result(out, table.concat(lines, "\n"))
end

function M.export(ctx, args)
  local db = open()
  local document = runs.export(db, runs.find(db, args.run))
  ctx:result(document, plain.write(document))
end

-- ---- resume, fork, cancel ----

-- The definition of a run's script as it is now, and what its source is.
local function script_of(run, path)
  local cli_run = require "moongate.cli.run"
  if run.options.bundled and not path then
    local definition = bundled.load(run.script)
    if definition then return definition, { hash = bundled.hash(run.script) } end
  end
  local file = path or run.script
  local chunk, err = require("moongate.sandbox").load_script(file, cli_run.globals(file, run.words))
  if not chunk then
    if err.code == "not_found" then err.hint = "Give its new path: --script FILE." end
    error(err, 0)
  end
  local definition = chunk(table.unpack(cli_run.plain_words(run.words)))
  if not require("moongate.workflow").is(definition) then
    errors.raise { code = "invalid", message = ("%s is no longer a workflow"):format(file) }
  end
  return definition, cli_run.source(file)
end

local function set_of(list)
  if not list then return nil end
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

-- Words name files from where the run was begun.
local function go_there(run)
  local cwd = run.options.cwd
  if not cwd or cwd == host.cwd() then return end
  if not host.chdir(cwd) then
    log.warn("run %s was started in %s, which is not here: its files are searched in %s", run.id, cwd, host.cwd())
  end
end

-- A changed script is compared with the journal first, as far as that can be done without the gateway.
local function check_changed(db, run, source, definition)
  if source.hash == run.script_hash then return end
  log.warn("run %s: its script has changed since", run.id)
  local verdict = require("moongate.cli.runs_check").one(definition, runs.export(db, run))
  if verdict.mismatches[1] then error(verdict.mismatches[1], 0) end
end

local function go_on(ctx, db, run, args)
  local cli_run, journaled = require "moongate.cli.run", require "moongate.cli.journaled"
  if run.status == "done" then
    go_there(run)
    require("moongate.cli.input").check(run)
    local outcome = journaled.recorded(ctx, run)
    ctx:result(outcome.data, ctx:lines(outcome.lines))
    return outcome.exit_status
  end
  if ctx.opts.dry_run then
    local kept = runs.records(db, run.id)
    return ctx:result({ id = run.id, status = run.status, records = #kept },
      ("run %s would resume with %s"):format(run.id, text.count(#kept, "record")))
  end
  if run.options.secret then
    errors.raise {
      code = "usage", message = ("run %s had a secret in its arguments, which is not stored"):format(run.id),
      hint = ("Give the complete command again, with --run-id %s."):format(run.id),
    }
  end
  go_there(run)
  local definition, source = script_of(run, args.script)
  require("moongate.cli.settings").check_credentials(ctx)
  journaled.check_gateway(run, cli_run.gateway(ctx))
  require("moongate.cli.input").check(run)
  check_changed(db, run, source, definition)
  ctx.opts.deadline = ctx.opts.deadline or run.options.deadline
  ctx.opts.retries = ctx.opts.retries or run.options.retries
  ctx.opts.queue = ctx.opts.queue or run.options.queue
  local name = run.options.bundled and run.script or source.script
  local values = cli_run.values(definition, name, run.words, journaled.environment(run))
  local opts = { redo = set_of(args.redo), skip = set_of(args.skip) }
  return cli_run.carry_out(ctx, definition, values, function(execute)
    return journaled.resume(ctx, db, run, opts, execute)
  end)
end

function M.resume(ctx, args)
  local db = open()
  return go_on(ctx, db, runs.find(db, args.run), args)
end

function M.fork(ctx, args)
  local db = open()
  local run = runs.find(db, args.run)
  if ctx.opts.dry_run then
    local kept = runs.before(db, run, args.from)
    return ctx:result({ parent = run.id, from = args.from, records = #kept },
      ("it would begin with %s of run %s"):format(text.count(#kept, "record"), run.id))
  end
  local fork = runs.fork(db, run, args.from)
  ctx:note("run %s is forked from %s before %s", fork.id, run.id, args.from)
  return go_on(ctx, db, fork, {})
end

function M.cancel(ctx, args)
  local db = open()
  local run = runs.find(db, args.run)
  runs.cancel(db, run)
  ctx:result({ id = run.id, status = "cancelled" }, ("run %s is cancelled"):format(run.id))
end

-- ---- check, prune ----

function M.check(ctx, args)
  return require("moongate.cli.runs_check").run(ctx, args, open)
end

function M.prune(ctx, args)
  local db = open()
  local which = { status = args.status, before = assert(db:now()) + 1 }
  if args.id then
    which.id = runs.find(db, args.id).id
  else
    which.before = which.before - math.floor(args.older_than * 1000)
  end
  local ids = ctx.opts.dry_run and runs.prunable(db, which) or runs.prune(db, which)
  ctx:result({ runs = ids }, ("%s %s"):format(text.count(#ids, "run"),
    ctx.opts.dry_run and "would be forgotten" or "forgotten"))
  return exit_status.DONE
end

return M
