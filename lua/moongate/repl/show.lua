-- show.lua - a value as it is shown at the prompt: as Lua would write it, in one line where it fits, cut where it is
-- long or deep. What has the name of a secret is not shown; its value is taken out of all output anyway.
local host = require "moongate.host"
local json = require "moongate.json"
local secrets = require "moongate.repl.secrets"

local M = {}

local DEPTH, ITEMS, TEXT, WIDTH, TOTAL = 5, 40, 1000, 100, 20000

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
    while]]):gmatch "%a+" do
  KEYWORDS[word] = true
end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

-- Text between quotes; bytes that are no text as numbers.
function M.quote(s)
  local cut = #s > TEXT and s:sub(1, (utf8.offset(s, 0, TEXT) or TEXT) - 1)
  local text = (cut or s):gsub('[%c"\\\127]', function(c) return ESCAPES[c] or ("\\x%02x"):format(c:byte()) end)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end) end
  return '"' .. text .. '"' .. (cut and (" .. (%d bytes)"):format(#s) or "")
end

local function key_text(key)
  if type(key) == "string" then
    if key:find "^[%a_][%w_]*$" and not KEYWORDS[key] then return key end
    return "[" .. M.quote(key) .. "]"
  end
  return "[" .. tostring(key) .. "]"
end

local RANK = { number = 1, string = 2 }

local function before(a, b)
  local ra, rb = RANK[type(a)] or 3, RANK[type(b)] or 3
  if ra ~= rb then return ra < rb end
  if ra < 3 then return a < b end
  return tostring(a) < tostring(b)
end

local Shower = {}
Shower.__index = Shower

function Shower:leaf(v)
  local kind = type(v)
  if kind == "string" then return M.quote(v) end
  if v == json.null then return "json.null" end
  if kind == "function" then
    local name = self.name_of and self.name_of(v)
    return name and "function " .. name or tostring(v)
  end
  local ok, text = pcall(tostring, v)
  return ok and text or kind
end

-- Keys and values that are shown of a table, and how many are not.
local function entries(t, is_object)
  local keys, list = {}, {}
  local length = rawlen(t)
  for i = 1, math.min(length, ITEMS) do list[i] = rawget(t, i) end
  for key in next, t do
    local hidden = is_object and type(key) == "string" and key:sub(1, 1) == "_"
    if not hidden and not (math.type(key) == "integer" and key >= 1 and key <= length) then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  local left = math.max(0, #keys - ITEMS) + math.max(0, length - ITEMS)
  for i = #keys, ITEMS + 1, -1 do keys[i] = nil end
  return list, keys, left
end

-- What a metatable says of a table: its text, or the name it goes by; and whether it is an object with methods.
local function described(t)
  local mt = host.raw_getmetatable(t)
  if not mt then return nil end
  if json.is_array(t) and next(t) == nil then return "json.array {}" end
  local to_text = rawget(mt, "__tostring")
  if to_text then
    local ok, text = pcall(to_text, t)
    return ok and type(text) == "string" and text or "table"
  end
  return nil, rawget(mt, "__index") ~= nil and not json.is_array(t)
end

function Shower:table(t, depth, indent)
  local text, is_object = described(t)
  if text then return text end
  if self.open[t] then return "{ (itself) }" end
  if next(t) == nil then return "{}" end
  if depth >= DEPTH then return "{ ... }" end
  self.open[t] = true
  local list, keys, left = entries(t, is_object)
  local parts, inner = {}, indent + 2
  for _, v in ipairs(list) do parts[#parts + 1] = self:value(v, depth + 1, inner) end
  for _, key in ipairs(keys) do
    local v = rawget(t, key)
    local shown = secrets.is_name(key) and type(v) == "string" and "***" or self:value(v, depth + 1, inner)
    parts[#parts + 1] = key_text(key) .. " = " .. shown
  end
  if left > 0 then parts[#parts + 1] = ("... %d more"):format(left) end
  self.open[t] = nil
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  if #parts == 0 then return is_object and "(object)" or "{}" end
  if #line + indent <= WIDTH and not line:find("\n", 1, true) then return line end
  local pad = (" "):rep(inner)
  return "{\n" .. pad .. table.concat(parts, ",\n" .. pad) .. "\n" .. (" "):rep(indent) .. "}"
end

function Shower:value(v, depth, indent)
  local known = self.known and self.known[v]
  if known then return known end
  local text = type(v) == "table" and self:table(v, depth, indent) or nil
  return text or self:leaf(v)
end

-- M.value(v [, name_of [, known]]) -> text. name_of(function) -> the name it is known by, or nil. known: value -> text,
-- for what is better not looked into.
function M.value(v, name_of, known)
  local text = setmetatable({ open = {}, name_of = name_of, known = known }, Shower):value(v, 0, 0)
  if #text <= TOTAL then return text end
  return text:sub(1, (utf8.offset(text, 0, TOTAL) or TOTAL) - 1) .. ("\n... (%d bytes in all)"):format(#text)
end

-- The results of a line: short ones side by side, others below each other.
function M.values(values, name_of, known)
  local parts, long = {}, false
  for i = 1, values.n do
    parts[i] = M.value(values[i], name_of, known)
    long = long or #parts[i] > WIDTH // 2 or parts[i]:find("\n", 1, true)
  end
  return table.concat(parts, long and "\n" or "  ")
end

return M
