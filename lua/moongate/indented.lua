-- indented.lua - values as indented JSON for people: keys in order, and what has no JSON form as its text.

local json = require "moongate.json"
local plain = require "moongate.plain"

local M = {}

local DEPTH_SHOWN = 100 -- what lies deeper, or holds itself, is named only

-- The keys of a table in the order in which they are shown.
local function keys_of(value, is_array)
  local keys = {}
  if is_array then
    for i in ipairs(value) do keys[i] = i end
    return keys
  end
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function name_of(key)
  local name = tostring(key)
  return (json.encode(name) or ("%q"):format(name):gsub("[\128-\255]", function(c) return "\\" .. c:byte() end)) .. ": "
end

-- M.json(value) -> text of several lines, without the last line break.
function M.json(v)
  local lines = {}
  local function put(value, depth, prefix, suffix)
    local indent = ("  "):rep(depth)
    if type(value) ~= "table" or next(value) == nil or getmetatable(value) == "moongate.error" then
      lines[#lines + 1] = indent .. prefix .. (plain.encode(value) or tostring(value)) .. suffix
      return
    end
    if depth == DEPTH_SHOWN then
      lines[#lines + 1] = indent .. prefix .. "..." .. suffix
      return
    end
    local is_array = json.is_array(value)
    lines[#lines + 1] = indent .. prefix .. (is_array and "[" or "{")
    local keys = keys_of(value, is_array)
    for i, key in ipairs(keys) do
      put(value[key], depth + 1, is_array and "" or name_of(key), i < #keys and "," or "")
    end
    lines[#lines + 1] = indent .. (is_array and "]" or "}") .. suffix
  end
  put(v, 0, "", "")
  return table.concat(lines, "\n")
end

return M
