-- safe_json: JSON of what strangers sent. A path, a header or a body may hold bytes that are not UTF-8, which no JSON
-- string can; they are shown as \xff, so that one odd byte does not take the whole answer with it.
local json = require "moongate.json"

local M = {}

-- s, with each byte that is not part of a UTF-8 character as "\xff".
function M.text(s)
  if utf8.len(s) then return s end
  local parts, at = {}, 1
  while at <= #s do
    local _, wrong = utf8.len(s, at)
    parts[#parts + 1] = s:sub(at, (wrong or #s + 1) - 1)
    if not wrong then break end
    parts[#parts + 1] = ("\\x%02x"):format(s:byte(wrong))
    at = wrong + 1
  end
  return table.concat(parts)
end

-- The first max bytes of s and no part of a character, as M.text.
function M.cut(s, max)
  if #s <= max then return M.text(s) end
  local last = max
  while last > max - 4 and last > 0 and s:byte(last + 1) & 0xc0 == 0x80 do last = last - 1 end
  return M.text(s:sub(1, last))
end

local DEPTH = 60 -- deeper values of clients would not fit the encoder's limit once they are nested in an answer

local function copy(value, depth)
  if type(value) == "string" then return M.text(value) end
  if math.type(value) == "float" and (value ~= value or value == math.huge or value == -math.huge) then
    return tostring(value)
  end
  if type(value) ~= "table" or value == json.null then return value end
  if depth == DEPTH then return "(nested too deep to show)" end
  local out = json.is_array(value) and json.array {} or {}
  for k, v in pairs(value) do out[type(k) == "string" and M.text(k) or k] = copy(v, depth + 1) end
  return out
end

-- A value of strings, numbers, booleans and tables -> a copy that has a JSON form.
function M.value(value) return copy(value, 1) end

-- A response whose json can't be encoded as it is -> the same with what can.
function M.response(response)
  local value = response.json
  if value == nil then return response end
  local body, err = json.encode(value)
  if not body then body = assert(json.encode(M.value(value)), err) end
  response.body, response.json = body, nil
  response.headers = response.headers or {}
  response.headers["Content-Type"] = response.headers["Content-Type"] or "application/json"
  return response
end

return M
