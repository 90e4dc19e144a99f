-- locate.lua - the line on which a JSON Pointer's value stands in a text that json.decode has accepted. For messages.

local json = require "moongate.json"

local M = {}

local function skip_space(text, at)
  return text:match("^[ \t\r\n]*()", at)
end

-- The place behind the string that begins at `at`.
local function skip_string(text, at)
  at = at + 1
  while true do
    local place, char = text:match('()(["\\])', at)
    if char == '"' then return place + 1 end
    at = place + 2
  end
end

-- The place behind the value that begins at `at`: brackets are counted, strings passed over.
local function skip_value(text, at)
  local depth = 0
  while true do
    at = text:match("^[%s,:]*()", at)
    local char = text:sub(at, at)
    if char == '"' then
      at = skip_string(text, at)
    elseif char == "{" or char == "[" then
      depth, at = depth + 1, at + 1
    elseif char == "}" or char == "]" then
      depth, at = depth - 1, at + 1
    else
      at = text:match("^[^,%]}%s]+()", at)
    end
    if depth == 0 then return at end
  end
end

-- The place of the key `name` in the object at `at`, and of its value; or nil.
local function member(text, at, name)
  at = skip_space(text, at + 1)
  while text:sub(at, at) == '"' do
    local key_at, stop = at, skip_string(text, at)
    local value_at = skip_space(text, text:match("^%s*:()", stop))
    if json.decode(text:sub(at, stop - 1)) == name then return key_at, value_at end
    at = skip_space(text, text:match("^%s*,?()", skip_value(text, value_at)))
  end
end

local function item(text, at, index)
  at = skip_space(text, at + 1)
  for _ = 1, index do
    if text:sub(at, at) == "]" then return nil end
    at = skip_space(text, text:match("^%s*,?()", skip_value(text, at)))
  end
  return text:sub(at, at) ~= "]" and at or nil
end

-- M.line(text, pointer) -> line number, from 1, of the value's key or item, or of the nearest thing around it that is
-- there.
function M.line(text, pointer)
  local at = skip_space(text, 1)
  local shown = at
  for token in pointer:gmatch("/([^/]*)") do
    token = token:gsub("~1", "/"):gsub("~0", "~")
    local char, place = text:sub(at, at), nil
    if char == "{" then
      place, at = member(text, at, token)
    elseif char == "[" and token:find("^%d+$") then
      at = item(text, at, math.tointeger(token) or 0)
      place = at
    end
    if not place then break end
    shown = place
  end
  return select(2, text:sub(1, shown):gsub("\n", "\n")) + 1
end

return M
