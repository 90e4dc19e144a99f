-- declared_read.lua - a POST of a script that says it changes nothing. Nobody can know, so it stands in the audit log
-- as a write does: an intent before it is sent, an outcome after. For gateway.lua only.

local errors = require "moongate.error"
local journal = require "moongate.journal"

local M = {}

local function run_id()
  local j = journal.current()
  return j and j.id or nil
end

-- M.send(gw, request) -> response; raises.
function M.send(gw, request)
  local entry, why = gw.audit.intent {
    action = "declared_read", method = request.method, path = request.path, run = run_id(),
  }
  if not entry then
    errors.raise {
      code = why and why.code or "io", outcome = "not_sent", method = request.method, path = request.path,
      message = ("not sent, because it can't be audited: %s"):format(why and why.message or "the audit log failed"),
      hint = "Check the audit log (moongate doctor), then run this again.",
    }
  end
  local ok, result = pcall(gw._send, gw, request)
  local err = not ok and errors.is(result) and result or nil
  local written, fault = entry:outcome {
    path = request.path, run = run_id(),
    status = ok and "answered" or err and err.outcome == "unknown" and "unknown" or "failed",
    http_status = ok and result.status or err and err.status or nil, error_code = err and err.code or nil,
    error_message = err and err.message or nil,
  }
  if not ok then error(result, 0) end
  if not written then
    errors.raise {
      code = fault and fault.code or "io", method = request.method, path = request.path, outcome = "final",
      message = ("it was sent, but its outcome could not be written to the audit log: %s"):format(
        fault and fault.message or "?"),
    }
  end
  return result
end

return M
