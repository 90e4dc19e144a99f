-- answer.lua - what the parts of the gateway module share: the body of an answer, and the check of options' names.

local errors = require "moongate.error"

local M = {}

-- M.decoded(response, method, path) -> the body; nil when there is none. Raises "protocol" when it is not JSON.
function M.decoded(response, method, path)
  if response.body == "" then return nil end
  local body, err = response:json()
  if body == nil then
    error(errors.new {
      code = "protocol", method = method, path = path, status = response.status,
      correlation_id = response.correlation_id,
      message = ("the answer is not JSON: %s"):format(err and err.message or "empty"),
    }, 0)
  end
  return body
end

-- M.redirected(response) -> the message for an answer of 3xx, which is not followed. The query of its Location is left
-- out: a token may be in it.
function M.redirected(response)
  local location = response.headers and response.headers["location"]
  local to = location and " to " .. location:gsub("[?#].*$", "?…") or ""
  return ("answered %d: redirects are not followed%s"):format(response.status, to)
end

-- M.reason(err) -> its message and what its details say, on one bounded line: for the audit log.
function M.reason(err)
  local parts, size = {}, 0
  for _, detail in ipairs(type(err.details) == "table" and err.details or {}) do
    local text = type(detail) == "table" and tostring(detail.message or detail.code or "?") or tostring(detail)
    local field = type(detail) == "table" and (detail.field or detail.pointer)
    parts[#parts + 1] = field and field ~= "" and ("%s: %s"):format(field, text) or text
    size = size + #parts[#parts]
    if size > 2000 then break end
  end
  local message = tostring(err.message or err.code)
  return #parts > 0 and ("%s (%s)"):format(message, table.concat(parts, "; ")) or message
end

-- M.check_options(what, opts, known) -> opts, or {}. An unknown name is the caller's caller's mistake.
function M.check_options(what, opts, known)
  for key in pairs(opts or {}) do
    if not known[key] then error(("%s: unknown option '%s'"):format(what, tostring(key)), 3) end
  end
  return opts or {}
end

return M
