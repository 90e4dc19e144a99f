-- errors: the gateway's error body, {message, code, status, contextId, details, errors}, as a response.
local json = require "moongate.json"

local M = {}

-- details: list of { errorCode =, fieldName =, ... }; headers: more of them.
function M.response(call, status, code, message, details, headers)
  return {
    status = status,
    headers = headers,
    json = {
      message = message,
      code = code,
      status = status,
      contextId = call.correlation_id,
      details = json.array(details or {}),
      errors = json.array {},
    },
  }
end

-- A detail for one field of the request.
function M.field(name, code, message)
  return { errorCode = code, fieldName = name, message = message }
end

local codes = {
  [400] = "bad.request", [401] = "bad.credentials", [403] = "missing.any.permissions", [404] = "not.found",
  [405] = "method.not.allowed", [409] = "general.conflict", [412] = "precondition.failed",
  [415] = "unsupported.media.type", [422] = "validation.failed", [429] = "too.many.requests",
  [500] = "internal.server.error", [502] = "bad.gateway", [503] = "service.unavailable", [504] = "gateway.timeout",
}

-- The code that goes with a status.
function M.code(status)
  return codes[status] or (status >= 500 and "internal.server.error" or "bad.request")
end

return M
