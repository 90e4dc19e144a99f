-- plain.lua - data that is kept or sent on: strict JSON where it is that, and what gateways answer all the same (64-bit
-- integers, bytes that are not UTF-8). A value that is no data (a function, a handle, NaN) is refused: a script's
-- mistake. For the journal, the outbox and the queues.

local json = require "moongate.json"

local M = {}

local LENIENT = { lenient = true }

local function is_data(v, above)
  local kind = type(v)
  if kind == "string" or kind == "boolean" or v == json.null then return true end
  if kind == "number" then return v == v and v ~= math.huge and v ~= -math.huge end
  if kind ~= "table" or above[v] then return false end
  above[v] = true
  local array = json.is_array(v)
  for key, item in pairs(v) do
    if not (array or type(key) == "string") or not is_data(item, above) then return false end
  end
  above[v] = nil
  return true
end

-- plain.encode(value) -> text | nil, err
function M.encode(value)
  local text, err = json.encode(value)
  if text then return text end
  if is_data(value, {}) then return json.encode(value, LENIENT) end
  return nil, err
end

-- plain.write(value) -> text, of any value at all: for what must not fail any more.
function M.write(value)
  return json.encode(value) or assert(json.encode(value, LENIENT))
end

-- plain.decode(text) -> value | nil, err, of what encode and write made, and of what a gateway answered
function M.decode(text)
  return json.decode(text, LENIENT)
end

return M
