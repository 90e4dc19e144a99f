-- checkpoints.lua - when the audit log's checkpoints are made and where they go, by the project file's field `audit`:
-- at the end of a run that wrote events, after every so many events, and by hand; and its rotation by size.
local audit = require "moongate.audit"
local checkpoint = require "moongate.checkpoint"
local closing = require "moongate.closing"
local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local host = require "moongate.host"
local log = require "moongate.log"
local merged = require "moongate.merged"
local note = require "moongate.note"
local raised = require "moongate.raised"
local report = require "moongate.cli.report"
local task = require "moongate.task"

local M = {}

local UNITS = { K = 1 << 10, M = 1 << 20, G = 1 << 30 }

-- "64MB" -> bytes
local function bytes(v)
  if type(v) ~= "string" then return v end
  local n, unit = v:match "^(%d+)(%u)"
  return math.tointeger(tonumber(n)) * UNITS[unit]
end

-- The field `audit`, without loading what a project without it does not need.
local function configured()
  local project = host.project()
  return project.data and not project.error and #project.faults == 0 and project.data.audit or nil
end

local function below_project(path)
  return path:sub(1, 1) == "/" and path or ("%s/%s"):format(host.project().dir or ".", path)
end

-- M.raised(value | nil, err) -> value
function M.raised(value, err)
  if value == nil then error(err, 0) end
  return value
end

-- M.key(settings) -> the key that signs the log's checkpoints, as a handle. Raises.
function M.key(settings)
  local function refuse(message, hint)
    errors.raise { code = "invalid", message = message, hint = hint }
  end
  if not settings or not settings.origin or not (settings.key or settings.key_file) then
    refuse("checkpoints need a name and a key: the project file's audit.origin and audit.key or audit.key_file",
      "moongate key new example.com/moongate/prod --out audit.key")
  end
  if settings.key and settings.key_file then refuse "audit.key and audit.key_file: give one of them" end
  local secret = settings.key
  if type(secret) == "table" and secret.unset then
    refuse(("audit.key: %s is not set in the environment"):format(secret.unset))
  end
  if settings.key_file then secret = M.raised(host.secret_file(below_project(settings.key_file))) end
  return M.raised(note.key(settings.origin, secret))
end

-- ---- where it goes ----

-- A file that nobody replaces: another content there means that two logs, or two histories of one, were signed.
local function put(folder, c)
  local path = ("%s/%d.checkpoint"):format(folder, c.size)
  local made, err = host.fs.write(path, c.note, { new = true })
  if made then return end
  if err.code ~= "exists" then
    errors.raise { code = "io", message = err.message, hint = "Check the folder, audit.to in moongate.lua." }
  end
  local there = assert(host.fs.read(path, 1 << 20))
  if there == c.note then return end
  errors.raise {
    code = "verify", where = path,
    message = ("%s has different content: it was signed for another audit log"):format(path),
    hint = "Keep both files and a copy of the log; find out which of the logs is the real one.",
  }
end

local function tell(ctx, settings, name, c)
  local hook = (settings.webhooks or {})[name]
  if not hook then
    errors.raise {
      code = "invalid", message = ("audit.to: the project file has no webhook %s"):format(name),
    }
  end
  local one = merged(hook)
  one.events = nil -- it is named
  local outbox = require "moongate.outbox"
  local run = { project = { webhooks = { [name] = one } }, audit = audit, log = log, simulated = ctx.opts.sim }
  outbox.use(run, assert(require("moongate.store").session()))
  if not outbox.tell(run, "audit_checkpoint", { origin = c.origin, size = c.size, root = c.root, checkpoint = c.note })
  then
    errors.raise { code = "store", message = "the checkpoint for webhook " .. name .. " could not be kept" }
  end
end

-- M.make(ctx [, file]) -> the checkpoint. Makes one, sends it where the project file says, and to the file. Raises.
function M.make(ctx, file)
  local project = require("moongate.cli.settings").project()
  local settings = project.audit or {}
  local c = checkpoint.make { path = host.state().audit, origin = settings.origin, key = M.key(settings) }
  local places, first = {}, nil
  for _, to in ipairs(settings.to or {}) do
    places[#places + 1] = {
      to = to, send = function()
        local name = to:match "^webhook:(.*)$"
        if name then tell(ctx, { webhooks = project.webhooks }, name, c) else put(below_project(to), c) end
      end,
    }
  end
  if file then
    places[#places + 1] = { to = file, send = function() assert(host.fs.write(file, c.note)) end }
  end
  for _, place in ipairs(places) do
    local ok, err = pcall(place.send)
    if ok and not c.old then
      ok, err = audit.event { action = "checkpoint_sent", size = c.size, root = c.root, to = place.to }
    end
    if not ok then
      if not errors.is(err) then error(err, 0) end
      if first then report.tell(ctx, err) end
      first = first or err
    end
  end
  if first then error(first, 0) end
  return c
end

-- ---- when ----

local function wanted(ctx)
  return not ctx.opts.sim and not ctx.opts.dry_run and configured() or nil
end

local function signs(settings) return settings.origin or settings.key or settings.key_file or settings.to end

local last_made, watching = 0, false

-- M.watch(ctx): from here on a checkpoint is made after every so many events of this process.
function M.watch(ctx)
  local settings = not watching and wanted(ctx)
  if not settings or not settings.every then return end
  watching = true
  local job = host.background(function()
    while true do
      task.sleep(1)
      if host.audit_written() - last_made >= settings.every then
        last_made = host.audit_written()
        local ok, err = pcall(M.make, ctx) -- what is wrong is reported at the end, too
        if not ok then log.error("audit checkpoint: %s", errors.is(err) and err.message or tostring(err)) end
      end
    end
  end)
  closing.add("audit checkpoints", function()
    job:cancel()
    job:join()
  end)
end

local function rotate(settings)
  local limit = bytes(settings.rotate)
  local info = limit and host.fs.stat(host.state().audit)
  if not info or info.size < limit then return end
  local ok, err = host.rotate_audit(false)
  if ok then return end
  if err.code ~= "busy" then error(err, 0) end
  log.info("the audit log is not rotated: %s", err.message)
end

-- M.at_end(ctx) -> exit status of what went wrong, or nil. The command has ended, and what it wrote is in the log.
function M.at_end(ctx)
  local settings = not M.by_hand and host.audit_written() > 0 and wanted(ctx)
  if not settings then return nil end
  local status
  for _, step in ipairs { rotate, function() if signs(settings) then M.make(ctx) end end } do
    local ok, err = pcall(step, settings)
    if not ok then
      err = raised.normal(err)
      report.tell(ctx, err)
      status = status or exit_status.of(err)
    end
  end
  return status
end

return M
