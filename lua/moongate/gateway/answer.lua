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

-- M.check_options(what, opts, known) -> opts, or {}. An unknown name is the caller's caller's mistake.
function M.check_options(what, opts, known)
  for key in pairs(opts or {}) do
    if not known[key] then error(("%s: unknown option '%s'"):format(what, tostring(key)), 3) end
  end
  return opts or {}
end

return M
