-- show.lua - values as text that is the same on every run, and what differs between two of them. For expect and
-- snapshots; values of any kind, tables that hold themselves too.
local errors = require "moongate.error"
local json = require "moongate.json"
local text_diff = require "moongate.template.text_diff"

local M = {}

local DEPTH, WIDTH, LINE, MOST = 20, 100, 400, 40

-- Numbers before texts before the rest; each in its own order.
local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta == tb and (ta == "number" or ta == "string") then return a < b end
  if ta ~= tb then return ta < tb end
  return tostring(a) < tostring(b)
end

local function keys_of(...)
  local keys, seen = {}, {}
  for _, t in ipairs { ... } do
    for k in next, t do
      if not seen[k] then keys[#keys + 1], seen[k] = k, true end
    end
  end
  table.sort(keys, before)
  return keys
end
M.keys_of = keys_of

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
    while]]):gmatch "%a+" do
  KEYWORDS[word] = true
end

local function name_of(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" and not KEYWORDS[key] then return key end
  return "[" .. M.value(key, 1) .. "]"
end

local ESCAPES = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ["\\"] = "\\\\", ['"'] = '\\"' }

local function quoted(s)
  local text = '"' .. s:gsub('[%c\127\\"]', function(c) return ESCAPES[c] or ("\\x%02x"):format(c:byte()) end) .. '"'
  if utf8.len(text) then return text end
  return (text:gsub("[\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

local function is_list(t)
  local n = 0
  for k in next, t do
    if math.type(k) ~= "integer" or k < 1 then return false end
    n = n + 1
  end
  return n == #t
end

-- A value without fields of its own to look at, or nil.
local function plain(v)
  if v == json.null then return "json.null" end
  if type(v) == "string" then return quoted(v) end
  if errors.is(v) then return ("error(%s: %s)"):format(tostring(v.code), tostring(v.message)) end
  if type(v) ~= "table" then
    return (type(v) == "function" or type(v) == "thread" or type(v) == "userdata")
      and tostring(v):gsub(": 0x%x+$", "") or tostring(v)
  end
end

local function put(v, depth, indent, above)
  local text = plain(v)
  if text then return text end
  if above[v] then return "(itself)" end
  if depth == 0 then return "{…}" end
  if next(v) == nil then return json.is_array(v) and "[]" or "{}" end
  above[v] = true
  local parts, list = {}, is_list(v)
  for i, key in ipairs(keys_of(v)) do
    parts[i] = (list and "" or name_of(key) .. " = ") .. put(rawget(v, key), depth - 1, indent .. "  ", above)
  end
  above[v] = nil
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  if #line + #indent <= WIDTH and not line:find "\n" then return line end
  return "{\n" .. indent .. "  " .. table.concat(parts, ",\n" .. indent .. "  ") .. "\n" .. indent .. "}"
end

-- M.value(v [, depth]) -> text; on one line when it fits.
function M.value(v, depth)
  return put(v, depth or DEPTH, "", {})
end

-- The same on one line of a message, cut.
function M.brief(v)
  local text = M.value(v, 6):gsub("\n%s*", " ")
  if #text <= LINE then return text end
  return text:sub(1, (utf8.offset(text, 0, LINE + 1) or LINE + 1) - 1) .. "…"
end

-- ---- comparing ----

-- M.same(a, b) -> boolean: equal by content; 1 is 1.0, and NaN is itself. Metatables don't count, but an error object
-- is no plain table.
function M.same(a, b, above)
  if a == b or (a ~= a and b ~= b) then return true end
  if type(a) ~= "table" or type(b) ~= "table" or errors.is(a) ~= errors.is(b) then return false end
  above = above or {}
  if above[a] == b then return true end
  local outer = above[a]
  above[a] = b
  local equal = true
  for k, v in next, a do
    equal = equal and M.same(v, rawget(b, k), above)
  end
  for k in next, b do
    equal = equal and rawget(a, k) ~= nil
  end
  above[a] = outer
  return equal
end

local function path_of(path, key)
  if math.type(key) == "integer" then return ("%s[%d]"):format(path, key) end
  local name = name_of(key)
  return name:sub(1, 1) == "[" and path .. name or path == "" and name or path .. "." .. name
end

local function note(lines, sign, path, text)
  lines[#lines + 1] = ("%s %s%s"):format(sign, path == "" and "" or path .. ": ", text)
end

-- Two texts of several lines are told apart line by line.
local function compare_text(lines, path, got, expected)
  note(lines, "~", path, "(- expected, + got)")
  for _, line in ipairs(text_diff.lines(expected, got)) do lines[#lines + 1] = "    " .. line end
end

local function compare(lines, path, got, expected, above)
  if M.same(got, expected) then return end
  if type(got) == "string" and type(expected) == "string" and (got .. expected):find "\n" then
    return compare_text(lines, path, got, expected)
  end
  local tables = type(got) == "table" and type(expected) == "table" and not plain(got) and not plain(expected)
  if not tables or above[got] then
    return note(lines, "~", path, ("%s, expected %s"):format(M.brief(got), M.brief(expected)))
  end
  above[got] = true
  for _, key in ipairs(keys_of(got, expected)) do
    local a, b, at = rawget(got, key), rawget(expected, key), path_of(path, key)
    if a == nil then
      note(lines, "-", at, M.brief(b) .. " is missing")
    elseif b == nil then
      note(lines, "+", at, M.brief(a) .. " is not expected")
    else
      compare(lines, at, a, b, above)
    end
  end
  above[got] = nil
end

-- M.diff(got, expected) -> list of lines: "~ path: 1, expected 2", "+ path: 3 is not expected", "- path: 4 is missing".
function M.diff(got, expected)
  local lines = {}
  compare(lines, "", got, expected, {})
  if #lines > MOST then
    local more = #lines - MOST
    lines = table.move(lines, 1, MOST, 1, {})
    lines[MOST + 1] = ("… and %d more"):format(more)
  end
  return lines
end

-- What of `got` a partial `expected` asks for and does not find: lists item by item and of one length, other tables
-- field by field.
local function partial(lines, path, got, expected)
  if type(expected) ~= "table" or plain(expected) or type(got) ~= "table" then
    return compare(lines, path, got, expected, {})
  end
  if is_list(expected) and #expected ~= #got then
    note(lines, "~", path, ("%d items, expected %d"):format(#got, #expected))
  end
  for _, key in ipairs(keys_of(expected)) do
    local at = path_of(path, key)
    if got[key] == nil then
      note(lines, "-", at, M.brief(expected[key]) .. " is missing")
    else
      partial(lines, at, got[key], expected[key])
    end
  end
end

function M.partial_diff(got, expected)
  local lines = {}
  partial(lines, "", got, expected)
  return lines
end

return M
