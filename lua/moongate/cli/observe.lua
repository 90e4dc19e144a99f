-- observe.lua - a run seen from outside: its trace, and its metrics at the end (--metrics, --metrics-file), also of one
-- that failed or was stopped. A file that can't be written costs the run its good exit status, not its result.
local exit_status = require "moongate.exit_status"
local host = require "moongate.host"
local raised = require "moongate.raised"
local report = require "moongate.cli.report"
local stopping = require "moongate.cli.stopping"
local time = require "moongate.time"
local trace = require "moongate.trace"

local M = {}

local function note_end(registry, name, seconds, status)
  registry:gauge("moongate_build_info", "The program's version; always 1.", { "version" })
    :set(1, host.version().moongate)
  local labels = { "workflow" }
  registry:gauge("moongate_run_duration_seconds", "Time the last run took.", labels):set(seconds, name)
  registry:gauge("moongate_run_exit_status", "Exit status of the last run; 0: it did its job.", labels)
    :set(status, name)
  registry:gauge("moongate_run_end_timestamp_seconds", "When the last run ended, in seconds since 1970.", labels)
    :set(time.now(), name)
end

-- M.write(file, registry, name) -> true | nil, err. The file's name says which job it is of; a pipe's or device's, or
-- none, says nothing.
function M.write(file, registry, name)
  local info = host.fs.stat(file)
  local base = (not info or info.type == "file") and file:match "([^/]+)%.prom$"
  return host.fs.write(file, registry:prometheus(base or name))
end

-- -> exit status
local function tell(ctx, registry, status, name)
  if ctx.opts.metrics then
    if ctx.json then
      ctx.metrics = registry:data()
    else
      ctx:tell(table.concat(registry:lines(), "\n"))
    end
  end
  local file = ctx.opts.metrics_file
  if not file then return status end
  local ok, err = M.write(file, registry, name)
  if ok then return status end
  err.message = ("the metrics could not be written to %s: %s"):format(file, err.message)
  report.tell(ctx, err)
  return status == exit_status.DONE and exit_status.FAILED or status
end

-- Whether the environment asks for a trace, or for one to be passed on. Looked at here, so that nothing is loaded for
-- those who ask for none.
local function wants_trace()
  for _, name in ipairs { "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "TRACEPARENT" } do
    if (host.getenv(name) or "") ~= "" then return true end
  end
  return false
end

-- Commands that run nothing.
local WITHOUT = {
  sim = true, check = true, help = true, version = true, types = true, completion = true, list = true, show = true,
  test = true, new = true, webhook = true,
}

-- M.traced(ctx, name of the command, fn, …) -> what fn(…) returns; the run's trace around it.
function M.traced(ctx, name, fn, ...)
  if WITHOUT[name:match "^%S+"] or ctx.opts.help or not wants_trace() then return stopping.call(fn, ...) end
  local args = table.pack(...)
  return trace.run("moongate " .. name, function() return stopping.call(fn, table.unpack(args, 1, args.n)) end, {
    getenv = host.getenv, log = require "moongate.log", content = ctx.opts.trace_content,
    version = host.version().moongate,
  })
end

-- M.run(ctx, name, fn) -> fn(registry)'s outcome, {exit_status = , …}; what it raises goes on. registry: nil when
-- nobody asked for metrics.
function M.run(ctx, name, fn)
  trace.describe("run " .. name, {
    ["moongate.workflow"] = name, ["moongate.dry_run"] = ctx.opts.dry_run, ["moongate.simulated"] = ctx.opts.sim,
  })
  local wanted = ctx.opts.metrics or ctx.opts.metrics_file
  local registry, started = wanted and require("moongate.metrics").new() or nil, time.monotonic()
  local ok, outcome = pcall(stopping.call, fn, registry)
  local status = ok and outcome.exit_status or exit_status.of(raised.normal(outcome))
  if wanted then
    note_end(registry, name, time.monotonic() - started, status)
    status = tell(ctx, registry, status, name)
  end
  trace.describe(nil, { ["moongate.exit_status"] = status })
  if not ok then error(outcome, 0) end
  if status ~= exit_status.DONE and status ~= exit_status.QUEUED then trace.fail("exit_" .. status) end
  outcome.exit_status = status
  return outcome
end

return M
