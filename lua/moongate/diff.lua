-- diff.lua - what differs between two JSON values, as a list and as lines for people; and the three-way merge built
-- on it.
--
-- A change is {op = "add" | "remove" | "change", pointer = JSON Pointer, from = value | nil, to = value | nil}. The
-- order is fixed: members by name, items by place. An absent value is nil; json.null is a value like any other.

local json = require "moongate.json"
local plain = require "moongate.plain"

local M = {}

local SHOWN = 120 -- characters of a value that a line shows

local function is_array(v)
  return type(v) == "table" and json.is_array(v)
end

local function is_object(v)
  return type(v) == "table" and not json.is_array(v)
end

local function sorted_keys(...)
  local keys, seen = {}, {}
  for _, t in ipairs { ... } do
    for k in pairs(t) do
      if not seen[k] then
        seen[k] = true
        keys[#keys + 1] = k
      end
    end
  end
  table.sort(keys)
  return keys
end

local function escape(key)
  return (tostring(key):gsub("~", "~0"):gsub("/", "~1"))
end

local function unescape(token)
  return (token:gsub("~1", "/"):gsub("~0", "~"))
end

-- M.equal(a, b) -> boolean. As JSON sees it: 1 and 1.0 are one number, [] and {} are two values.
function M.equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if is_array(a) ~= is_array(b) then return false end
  if is_array(a) then
    if #a ~= #b then return false end
    for i = 1, #a do
      if not M.equal(a[i], b[i]) then return false end
    end
    return true
  end
  for k, v in pairs(a) do
    if not M.equal(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function note(changes, op, pointer, from, to)
  changes[#changes + 1] = { op = op, pointer = pointer, from = from, to = to }
end

local compare

local function compare_objects(changes, pointer, a, b)
  for _, key in ipairs(sorted_keys(a, b)) do
    compare(changes, pointer .. "/" .. escape(key), a[key], b[key])
  end
end

-- An item that came or went in one place is one change: the equal beginning and the equal end are set aside, what
-- lies between is compared place by place.
local function compare_arrays(changes, pointer, a, b)
  local head, atail, btail = 0, #a, #b
  while head < atail and head < btail and M.equal(a[head + 1], b[head + 1]) do head = head + 1 end
  while atail > head and btail > head and M.equal(a[atail], b[btail]) do
    atail, btail = atail - 1, btail - 1
  end
  for i = head + 1, math.max(atail, btail) do
    local from, to
    if i <= atail then from = a[i] end
    if i <= btail then to = b[i] end
    compare(changes, pointer .. "/" .. (i - 1), from, to)
  end
end

function compare(changes, pointer, a, b)
  if M.equal(a, b) then return end
  if a == nil then
    note(changes, "add", pointer, nil, b)
  elseif b == nil then
    note(changes, "remove", pointer, a, nil)
  elseif is_object(a) and is_object(b) then
    compare_objects(changes, pointer, a, b)
  elseif is_array(a) and is_array(b) then
    compare_arrays(changes, pointer, a, b)
  else
    note(changes, "change", pointer, a, b)
  end
end

-- M.compare(from, to) -> list of changes. nil stands for "nothing there": an object that comes or goes shows its
-- members one by one.
function M.compare(from, to)
  local changes = {}
  if from == nil and is_object(to) then from = {} end
  if to == nil and is_object(from) then to = {} end
  compare(changes, "", from, to)
  return changes
end

-- ---- text ----

-- "/safety_filters/0/threshold" -> "safety_filters[0].threshold"; the empty pointer is "(document)".
function M.path(pointer)
  local out = {}
  for token in pointer:gmatch("/([^/]*)") do
    token = unescape(token)
    if token:match("^%d+$") then
      out[#out + 1] = "[" .. token .. "]"
    elseif token:match("^[%a_][%w_-]*$") then
      out[#out + 1] = (#out > 0 and "." or "") .. token
    else
      out[#out + 1] = ("[%q]"):format(token)
    end
  end
  return #out > 0 and table.concat(out) or "(document)"
end

-- One value on one line, cut to `limit` characters.
function M.show(value, limit)
  if value == nil then return "(absent)" end
  local text = plain.write(value)
  limit = limit or SHOWN
  local length = utf8.len(text) or #text
  if length <= limit then return text end
  local cut = utf8.offset(text, limit + 1)
  return ("%s… (%d characters)"):format(text:sub(1, cut - 1), length)
end

local SIGN = { add = "+", remove = "-", change = "~" }

-- M.lines(changes [, indent]) -> list of lines: "+ a: 1", "- b: 2", "~ c: 1 -> 2".
function M.lines(changes, indent)
  local lines = {}
  for i, change in ipairs(changes) do
    local value
    if change.op == "change" then
      value = M.show(change.from) .. " -> " .. M.show(change.to)
    else
      local shown = change.to
      if change.op == "remove" then shown = change.from end
      value = M.show(shown)
    end
    lines[i] = ("%s%s %s: %s"):format(indent or "", SIGN[change.op], M.path(change.pointer), value)
  end
  return lines
end

-- The changes as they go into a JSON document: op, pointer, and from or to where there is one (an absent value is
-- left out).
function M.to_json(changes)
  local list = json.array {}
  for i, c in ipairs(changes) do
    list[i] = { op = c.op, pointer = c.pointer, from = c.from, to = c.to }
  end
  return list
end

-- ---- three-way ----

-- M.merge(base, theirs, ours) -> merged, conflicts. Member by member of the top level: what only one side changed is
-- taken from that side; what both changed to different values is a conflict {pointer, base, theirs, ours}. base nil:
-- both sides created. merged is nil when there are conflicts.
function M.merge(base, theirs, ours)
  base, theirs, ours = base or {}, theirs or {}, ours or {}
  if not (is_object(base) and is_object(theirs) and is_object(ours)) then
    if M.equal(ours, base) then return theirs, {} end
    if M.equal(theirs, base) or M.equal(theirs, ours) then return ours, {} end
    return nil, { { pointer = "", base = base, theirs = theirs, ours = ours } }
  end
  local merged, conflicts = {}, {}
  for _, key in ipairs(sorted_keys(base, theirs, ours)) do
    local b, t, o = base[key], theirs[key], ours[key]
    if M.equal(o, b) or M.equal(o, t) then
      merged[key] = t
    elseif M.equal(t, b) then
      merged[key] = o
    else
      conflicts[#conflicts + 1] = { pointer = "/" .. escape(key), base = b, theirs = t, ours = o }
    end
  end
  if #conflicts > 0 then return nil, conflicts end
  return merged, conflicts
end

-- What each of three states holds, as a table of lines; only members that are not the same in all three. Keys of a
-- conflict error's text.
function M.three_columns(base, theirs, ours)
  base, theirs, ours = base or {}, theirs or {}, ours or {}
  if not (is_object(base) and is_object(theirs) and is_object(ours)) then
    base, theirs, ours = { ["(document)"] = base }, { ["(document)"] = theirs }, { ["(document)"] = ours }
  end
  local rows = { { "field", "base", "theirs", "ours" } }
  for _, key in ipairs(sorted_keys(base, theirs, ours)) do
    local b, t, o = base[key], theirs[key], ours[key]
    if not (M.equal(b, t) and M.equal(b, o)) then
      rows[#rows + 1] = { tostring(key), M.show(b, 28), M.show(t, 28), M.show(o, 28) }
    end
  end
  local width = { 0, 0, 0, 0 }
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do width[i] = math.max(width[i], utf8.len(cell) or #cell) end
  end
  local lines = {}
  for n, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = i < 4 and cell .. (" "):rep(width[i] - (utf8.len(cell) or #cell)) or cell
    end
    lines[n] = table.concat(cells, "  ")
  end
  return lines
end

return M
