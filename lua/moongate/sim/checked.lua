-- checked: a request's body against a schema: every fault of it in one 422. For the simulator's resources.
local errors = require "moongate.sim.errors"
local host = require "moongate.host"
local validate = require "moongate.validate"

local M = {}

-- A schema of moongate/schemas, compiled.
function M.schema(name)
  return assert(validate.compile(host.embedded("moongate/schemas/" .. name .. ".json"), { formats = true }))
end

-- "/dimensions" -> "dimensions"; a missing member is named after itself.
function M.field_of(fault)
  local name = fault.pointer:sub(2):gsub("/", "."):gsub("~1", "/"):gsub("~0", "~")
  local missing = fault.keyword == "required" and fault.message:match "['\"]([^'\"]+)['\"]"
  if missing and name:match "[^.]*$" ~= missing then name = name == "" and missing or name .. "." .. missing end
  return name
end

-- Every fault of the call's body, and the details given besides -> nil | response. noun: what the body is
function M.body(call, schema, noun, more)
  local details = {}
  local _, faults = schema:check(call.body)
  for _, fault in ipairs(faults or {}) do
    details[#details + 1] = errors.field(M.field_of(fault), fault.keyword, fault.message)
  end
  for _, detail in ipairs(more or {}) do details[#details + 1] = detail end
  if #details == 0 then return nil end
  return errors.response(call, 422, "validation.failed", ("The %s has %d error%s."):format(noun, #details,
    #details == 1 and "" or "s"), details)
end

return M
