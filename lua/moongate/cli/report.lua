-- report.lua - a failure, for people and as JSON: what failed, where, why, and what to do next. No traceback unless
-- -v asks for it.
local exit_status = require "moongate.exit_status"
local host = require "moongate.host"
local raised = require "moongate.raised"

local M = {}

local FIELDS = {
  "code", "message", "status", "gateway_code", "method", "path", "correlation_id", "details", "attempts", "outcome",
  "hint", "where", "summary",
}

-- A gateway's words can't move the cursor or forge a prompt; and no line of them begins where one of ours does.
local function visible(s)
  return (host.visible(s):gsub("\n", "\n    "))
end

local function request_line(err)
  if not err.method and not err.path then return nil end
  local parts = { err.path and ("%s %s"):format(err.method or "GET", err.path) }
  if err.status then parts[#parts + 1] = "status " .. err.status end
  local attempts = type(err.attempts) == "table" and #err.attempts or err.attempts
  if attempts and attempts ~= 1 then parts[#parts + 1] = attempts .. " attempts" end
  if err.outcome and err.outcome ~= "final" then parts[#parts + 1] = "outcome " .. err.outcome:gsub("_", " ") end
  if err.correlation_id then parts[#parts + 1] = "correlation id " .. err.correlation_id end
  return #parts > 0 and table.concat(parts, ", ") or nil
end

local BODY_SHOWN = 4096

-- With -v: what the server answered, as it came.
local function add_body(lines, body)
  if type(body) ~= "string" then return end
  lines[#lines + 1] = "  body:"
  for line in (host.visible(body:sub(1, BODY_SHOWN)) .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = "    " .. line end
  if #body > BODY_SHOWN then lines[#lines + 1] = ("    … (%d bytes)"):format(#body) end
end

local function detail_line(detail)
  if type(detail) ~= "table" then return tostring(detail) end
  local line = tostring(detail.message or detail.code or "?")
  local place = detail.field or detail.pointer or ""
  if place ~= "" then line = place .. ": " .. line end
  return detail.where and detail.where .. ": " .. line or line
end

-- The place of the fault, unless it is one of ours: what a user did wrong is not to be found there.
function M.where(err)
  local where = err.where
  local file = tostring(where):match("^(.*):%d+$")
  if err.code ~= "bug" and file and host.embedded(file) then return nil end
  return where
end

-- The lines for people. A message of several lines keeps them.
function M.lines(ctx, err)
  local message = visible(tostring(err.message or err.code))
  local where = M.where(err)
  if where and not message:find(where, 1, true) then message = where .. ": " .. message end
  local label = err.warning and ctx:paint(2, "yellow", "warning: ") or ctx:paint(2, "red", "error: ")
  local lines = { ("moongate: %s%s"):format(label, message) }
  local request = request_line(err)
  if request then lines[#lines + 1] = "  " .. visible(request) end
  -- a table says the same as the details, and more
  for _, detail in ipairs(type(err.details) == "table" and not err.lines and err.details or {}) do
    lines[#lines + 1] = "  - " .. visible(detail_line(detail))
  end
  for _, line in ipairs(err.lines or {}) do lines[#lines + 1] = "    " .. line end -- a table, already laid out
  if err.hint then lines[#lines + 1] = "  hint: " .. visible(err.hint) end
  if (ctx.opts.verbose or 0) > 0 then add_body(lines, err.body) end
  if (ctx.opts.verbose or 0) > 0 and err.traceback then lines[#lines + 1] = err.traceback end
  return lines
end

-- Tells people of it.
function M.tell(ctx, err)
  return ctx:tell(table.concat(M.lines(ctx, err), "\n"))
end

-- The document of a failure.
function M.document(err, status)
  local json = require "moongate.json"
  local out = { exit_status = status }
  for _, field in ipairs(FIELDS) do
    local v = err[field]
    if type(v) == "table" and #v > 0 then v = json.array(v) end
    if field == "where" then v = M.where(err) end
    out[field] = v
  end
  return { error = out }
end

-- Tells the user and returns the exit status.
function M.failure(ctx, what)
  local err = raised.normal(what)
  local status = exit_status.of(err)
  M.tell(ctx, err)
  if ctx.json then
    local document = M.document(err, status)
    document.metrics = ctx.metrics
    ctx:document(require("moongate.plain").write(document))
  end
  return status
end

return M
