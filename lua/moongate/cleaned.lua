-- cleaned.lua - what may be kept: text and JSON without the secrets that are known, whoever has put them there. A
-- receiver or an endpoint may repeat what it was sent.

local clean = require("moongate.span").clean
local plain = require "moongate.plain"

local M = {}

-- cleaned.text(text | nil) -> text | nil
function M.text(text)
  return text and clean(text)
end

-- Names that this program gives members itself stay, or what was kept could not be read again.
local function key_of(key)
  if type(key) ~= "string" or key:find "^[%a_][%w_]*$" then return key end
  return clean(key)
end

local function walk(value)
  if type(value) == "string" then return clean(value) end
  if type(value) == "number" then
    local text = tostring(value)
    return clean(text) == text and value or "***"
  end
  if type(value) ~= "table" then return value end
  local renamed
  for key, item in pairs(value) do
    value[key] = walk(item)
    local name = key_of(key)
    if name ~= key and value[name] == nil then
      renamed = renamed or {}
      renamed[key] = name
    end
  end
  for key, name in pairs(renamed or {}) do value[name], value[key] = value[key], nil end
  return value
end

-- cleaned.json(text of JSON) -> text, changed. Strings are looked at one by one, so that it stays JSON.
function M.json(text)
  if clean(text) == text then return text, false end
  local value = plain.decode(text)
  if value == nil then return clean(text), true end
  return plain.write(walk(value)), true
end

return M
