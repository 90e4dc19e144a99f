-- types.lua - the types of LuaLS annotations, as lua/meta uses them: where one ends in a line, what it is made of, and
-- which fields a table of it may have. Knows nothing of files.
local M = {}

local OPEN = { ["("] = true, ["{"] = true, ["["] = true, ["<"] = true }
local CLOSE = { [")"] = true, ["}"] = true, ["]"] = true, [">"] = true }

local function string_end(text, at)
  return (text:find(text:sub(at, at), at + 1, true) or #text) + 1
end

-- The place behind the part of a type that begins at `at`: up to a space or `|` outside of all brackets and quotes.
local function part_end(text, at)
  local depth = 0
  while at <= #text do
    local c = text:sub(at, at)
    if c == '"' or c == "'" or c == "`" then
      at = string_end(text, at)
    else
      if depth == 0 and (c:find "[|,:%s]") then return at end
      if OPEN[c] then depth = depth + 1 elseif CLOSE[c] then depth = depth - 1 end
      if depth < 0 then return at end
      at = at + 1
    end
  end
  return at
end

-- Behind what a `fun(…)` gives back, ": R" or ": R, E".
local function results_end(text, at)
  local colon = text:match("^%s*:%s*()", at)
  if not colon then return at end
  at = part_end(text, colon)
  while text:find("^%s*,%s*%S", at) do at = part_end(text, text:match("^%s*,%s*()", at)) end
  return at
end

-- M.take(text) -> the type that text begins with, and the rest. Unions may have spaces around their bars.
function M.take(text)
  local at = text:match("^%s*()")
  local first = at
  while true do
    local before = at
    at = part_end(text, at)
    if text:find("^fun%(", before) then at = results_end(text, at) end
    local bar = text:match("^%s*|%s*()", at)
    if not bar then break end
    at = bar
  end
  return text:sub(first, at - 1), text:match("^%s*(.*)$", at)
end

-- M.parts("a|{b: c|d}?") -> {"a", "{b: c|d}"}, optional. "T?" and "nil" among them: it may be absent.
function M.parts(text)
  local parts, optional, at = {}, false, 1
  while at <= #text do
    local stop = part_end(text, at)
    if text:find("^fun%(", at) then stop = results_end(text, stop) end
    local part = text:sub(at, stop - 1)
    if part:find "%?$" then part, optional = part:sub(1, -2), true end
    local inner = part:match "^(%b())$"
    if part == "nil" then
      optional = true
    elseif inner then
      local more, absent = M.parts(inner:sub(2, -2))
      table.move(more, 1, #more, #parts + 1, parts)
      optional = optional or absent
    elseif part ~= "" then
      parts[#parts + 1] = part
    end
    at = text:match("^[%s|,]*()", stop)
    if at == stop then at = stop + 1 end
  end
  return parts, optional
end

-- M.literal("{a?: T, b: U}") -> list of {name, type, optional}; nil when it is no such type, or has fields by type
-- ("[string]: T").
function M.literal(text)
  local inner = text:match "^{(.*)}$"
  if not inner then return nil end
  local fields = {}
  while inner:find "%S" do
    local name, mark, rest = inner:match "^%s*([%a_][%w_]*)(%??)%s*:%s*(.*)$"
    if not name then return nil end
    local kind
    kind, rest = M.take(rest)
    fields[#fields + 1] = { name = name, type = kind, optional = mark == "?" or kind:find "%?$" ~= nil, doc = "" }
    inner = rest:match "^[,;]?(.*)$"
  end
  return fields
end

return M
