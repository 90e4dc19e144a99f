-- placeholders.lua - what stands between {{ and }} in a template's content. For template.lua.
--
-- {{name}} is a placeholder; name is [A-Za-z_][A-Za-z0-9_]*. Anything else that begins with {{ is malformed. A }} that
-- nothing has opened is text: it ends many a JSON example.

local M = {}

local NAME = "[A-Za-z_][A-Za-z0-9_]*"

-- M.position(text, at) -> line, column (in characters) of a byte offset, both from 1.
function M.position(text, at)
  local line, first = 1, 1
  for newline in text:sub(1, at - 1):gmatch("()\n") do line, first = line + 1, newline + 1 end
  return line, utf8.len(text, first, at - 1) + 1
end

local function shown(text)
  if utf8.len(text) <= 40 then return text end
  return text:sub(1, utf8.offset(text, 41) - 1) .. "…"
end

-- What is wrong with `{{inner}}`.
local function misnamed(inner)
  local whole = ("{{%s}}"):format(shown(inner))
  if inner == "" then return "{{}} names no variable" end
  local trimmed = inner:match("^%s*(.-)%s*$")
  if trimmed:find("^" .. NAME .. "$") then
    return ("%s has white space inside: write {{%s}}"):format(whole, trimmed), trimmed
  end
  if trimmed == "" then return whole .. " names no variable" end
  if trimmed:find("^%d") then return whole .. " is not a placeholder: a name begins with a letter or _" end
  return whole .. " is not a placeholder: a name has letters, digits and _ only"
end

local WINDOW = 200 -- bytes behind {{ in which a malformed one may end

-- The rest of the line behind a place, whole characters, not more than the window.
local function rest_of_line(text, at)
  local rest = text:sub(at, at + WINDOW - 1)
  if #rest == WINDOW then rest = rest:gsub("[\xC0-\xFF][\x80-\xBF]*$", "") end
  return rest:match("^[^\n]*")
end

-- A malformed placeholder at byte `at` -> message, byte to go on from, the name it may have meant.
local function malformed(text, at)
  local braces = text:match("^{+", at)
  if #braces > 2 then
    local meant, stop = text:match("^(" .. NAME .. ")}}+()", at + #braces)
    return ("%s: %d braces in a row are not a placeholder; put a space between"):format(braces:sub(1, 8), #braces),
      stop or at + #braces, meant
  end
  local line = rest_of_line(text, at + 2)
  local inner = line:match("^(.-)}}")
  if not inner or inner:find("{{", 1, true) then
    local rest = line:match("^(.-){{") or line
    return ("{{%s is not closed"):format(shown(rest:match("^%s*%S*"))), at + 2, rest:match("^%s*(" .. NAME .. ")")
  end
  local message, meant = misnamed(inner)
  return message, at + 2 + #inner + 2, meant
end

-- M.scan(text) -> placeholders {name, at}, faults {message, at, meant = a name or nil}, in order; at is a byte's place.
-- text is UTF-8.
function M.scan(text)
  local found, faults, at = {}, {}, 1
  while true do
    at = text:find("{{", at, true)
    if not at then return found, faults end
    local name, stop = text:match("^{{(" .. NAME .. ")}}()", at)
    if name then
      found[#found + 1] = { name = name, at = at }
    else
      local fault = { at = at }
      fault.message, stop, fault.meant = malformed(text, at)
      faults[#faults + 1] = fault
    end
    at = stop
  end
end

-- M.fill(text, values) -> text with each {{name}} replaced by values[name], a string; what they hold is not looked at
-- again.
function M.fill(text, values)
  return (text:gsub("{{(" .. NAME .. ")}}", values))
end

-- M.is_name(text) -> whether it is a variable's name.
function M.is_name(text)
  return text:find("^" .. NAME .. "$") ~= nil
end

return M
