-- schemas.lua - the JSON Schemas that ship with the program (moongate/schemas/*.json), compiled with a project's
-- limits in place.

local argument = require "moongate.argument"
local errors = require "moongate.error"
local host = require "moongate.host"
local json = require "moongate.json"
local validate = require "moongate.validate"

local M = {}

local loaded = {}

-- M.table(schema) -> the schema as a fresh table. schema: a shipped name, or a table (returned as it is).
function M.table(schema)
  if type(schema) == "table" then return schema end
  argument.check(1, "schemas.table", schema, "string")
  local text = loaded[schema]
  if not text then
    text = host.embedded("moongate/schemas/" .. schema .. ".json")
    if not text then
      errors.raise { code = "not_found", message = ("unknown schema %q"):format(schema) }
    end
    loaded[schema] = text
  end
  return assert(json.decode(text))
end

local function set(schema, pointer, value)
  local at, last = schema, nil
  for token in pointer:gmatch("/([^/]+)") do
    if last then at = at[last] end
    last = token
    if type(at) ~= "table" then
      errors.raise { code = "invalid", message = "no such place in the schema: " .. pointer }
    end
  end
  at[last] = value
end

-- M.compile(schema [, {pointers = limit name -> JSON Pointer, limits = limit name -> number}]) -> compiled schema.
-- Raises.
function M.compile(schema, opts)
  local source = M.table(schema)
  for name, pointer in pairs(opts and opts.pointers or {}) do
    local value = opts.limits and opts.limits[name]
    if value ~= nil then set(source, pointer, value) end
  end
  return assert(validate.compile(source, { formats = true }))
end

-- M.properties(schema) -> the set of the members the schema names, or nil.
function M.properties(schema)
  return M.table(schema).properties
end

-- M.defaults(schema) -> member -> default value, for the members that have one.
function M.defaults(schema)
  local out = {}
  for name, property in pairs(M.properties(schema) or {}) do
    if type(property) == "table" then out[name] = property.default end
  end
  return out
end

return M
