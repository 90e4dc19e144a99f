-- runs_check.lua - `moongate runs check SCRIPT RUN...`: a script against the journals of old runs, with no gateway.
-- The script runs from the beginning; its steps and writes give what was kept of them, its reads the answers that were
-- kept, and nothing goes out. For cli/runs.lua.
local bundled = require "moongate.bundled"
local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local gateway = require "moongate.gateway"
local host = require "moongate.host"
local journal = require "moongate.journal"
local json = require "moongate.json"
local plain = require "moongate.plain"
local plain_text = require "moongate.plain_text"
local runs = require "moongate.runs"
local scope = require "moongate.scope"
local task = require "moongate.task"
local text = require "moongate.text"
local workflow = require "moongate.workflow"

local M = {}

-- ---- what the script finds ----

local function silent() end

local AUDIT = {
  event = function() return 1 end,
  intent = function() return { seq = 1, outcome = function() return true end } end,
}

-- A client that answers from the journal.
local function client_of(j)
  return {
    request = function(_, request)
      local name = gateway.seen_as(request)
      local kept = j:seen(name)
      if not kept then j:needs(("the answer to %s"):format(name)) end
      if kept.error then return nil, errors.new(kept.error) end
      return {
        status = kept.status, body = kept.body, headers = { etag = kept.etag }, attempts = {},
        correlation_id = kept.correlation_id, json = function(self) return plain.decode(self.body) end,
      }
    end,
  }
end

local function session_of(j, project)
  local quiet = { advance = silent, done = silent }
  local run_gateway
  return {
    journal = j, audit = AUDIT, project = project, note = silent, report = silent,
    progress = function() return quiet end,
    stream = function() return true end,
    gateway = function()
      local declared = project.gateway or {}
      run_gateway = run_gateway or gateway.open {
        client = client_of(j), audit = AUDIT, journal = j, leases = false, dialect = declared.dialect,
        kinds = declared.kinds, limits = project.limits,
      }
      return run_gateway
    end,
  }
end

-- ---- one journal ----

-- M.one(definition, document of runs.export) -> {mismatches = errors, stopped_at = {{what, path, where}},
-- checked = n, records = n}
function M.one(definition, document)
  local cli_run = require "moongate.cli.run"
  local j, refused = journal.of_export(document), scope.refused()
  -- Words name files from where the run was begun, if that is here.
  local cwd = host.cwd()
  local there = document.run.options.cwd
  if there and there ~= cwd then host.chdir(there) end
  local _ <close> = setmetatable({}, { __close = function() host.chdir(cwd) end })
  local name = document.run.options.bundled and document.run.script or "script"
  local values = cli_run.values(definition, name, document.run.words,
    require("moongate.cli.journaled").environment(document.run))
  local project = require("moongate.cli.settings").project()
  local job = task.spawn(function()
    local before, state = scope.enter(nil, false, "offline")
    local ok, err = pcall(j.within, j, function()
      return workflow.execute(definition, values, session_of(j, project))
    end)
    scope.leave(before, state)
    if not ok then error(err, 0) end
  end)
  local _, err = job:join()
  local stopped = j.stopped_at or {}
  if errors.is(err) and err.guarded then
    stopped[#stopped + 1] = { what = err.message, path = "", where = err.where }
  end
  if job:status() ~= "done" and #stopped == 0 and #j.mismatches == 0 and document.run.status == "done" then
    j.mismatches[1] = err
  end
  local unvisited = j:unvisited()
  if #stopped == 0 and #j.mismatches == 0 and unvisited[1] and scope.refused() == refused then
    local first = unvisited[1]
    j:_mismatch(first.path, first.at, first.record, nil, nil)
  end
  return { mismatches = j.mismatches, stopped_at = stopped, records = j.kept, checked = j.kept - #unvisited }
end

-- ---- all of them ----

local function definition_of(script)
  if bundled.exists(script) then return bundled.load(script) end
  local chunk, err = require("moongate.sandbox").load_script(script, { arg = { [0] = script } })
  if not chunk then error(err, 0) end
  local definition = chunk()
  if workflow.is(definition) then return definition end
  errors.raise { code = "invalid", message = ("%s is not a workflow"):format(script) }
end

local function document_of(name, open)
  local content = plain_text.text(name)
  if not content then
    local db = open()
    return runs.export(db, runs.find(db, name))
  end
  local document, err = plain.decode(content)
  if type(document) == "table" and document.form == "moongate run 1" then return document end
  errors.raise {
    code = "invalid", where = name,
    message = ("%s is not a document of `moongate runs export`%s"):format(name, err and ": " .. err.message or ""),
  }
end

local function verdict_lines(id, verdict)
  local good = #verdict.mismatches == 0
  local lines = { ("%s: %s, %d of %s looked at"):format(id, good and "fits" or "does not fit", verdict.checked,
    text.count(verdict.records, "record")) }
  for _, err in ipairs(verdict.mismatches) do
    for _, line in ipairs(err.lines or { tostring(err) }) do lines[#lines + 1] = "  " .. line end
  end
  for _, stop in ipairs(verdict.stopped_at) do
    lines[#lines + 1] = ("  not looked at any further: %s%s"):format(stop.what, stop.where and "  " .. stop.where or "")
  end
  return lines
end

function M.run(ctx, args, open)
  local definition = definition_of(args.script)
  local lines, out, bad = {}, json.array {}, 0
  for _, name in ipairs(args.run) do
    local document = document_of(name, open)
    local verdict = M.one(definition, document)
    local fits = #verdict.mismatches == 0
    if not fits then bad = bad + 1 end
    local more = verdict_lines(document.run.id, verdict)
    table.move(more, 1, #more, #lines + 1, lines)
    local mismatches = json.array {}
    for i, err in ipairs(verdict.mismatches) do
      mismatches[i] = { message = tostring(err.message or err), lines = err.lines and json.array(err.lines) or nil }
    end
    out[#out + 1] = {
      run = document.run.id, fits = fits, records = verdict.records, checked = verdict.checked,
      mismatches = mismatches, stopped_at = json.array(verdict.stopped_at),
    }
  end
  ctx:result({ runs = out }, table.concat(lines, "\n"))
  return bad > 0 and exit_status.VERIFY or exit_status.DONE
end

return M
