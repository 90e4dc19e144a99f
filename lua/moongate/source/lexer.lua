-- lexer.lua - Lua 5.4 source into tokens, with line and column. Only for text that load() has accepted, so that it
-- reports nothing.
local M = {}

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
    while]]):gmatch("%a+") do
  KEYWORDS[word] = true
end

-- Longest first.
local OPERATORS = { "...", "::", "..", "==", "~=", "<=", ">=", "//", "<<", ">>" }

-- The place behind the number at `at`; as lua's own read_numeral, which takes any mix of digits, dots and exponents.
local function number_end(text, at)
  local exponent = text:find("^0[xX]", at) and "[pP]" or "[eE]"
  if exponent == "[pP]" then at = at + 2 end
  while true do
    if text:find("^" .. exponent .. "[+-]", at) then
      at = at + 2
    elseif text:find("^[%w_.]", at) then
      at = at + 1
    else
      return at
    end
  end
end

-- The place behind the quoted string at `at`.
local function string_end(text, at)
  local quote = text:sub(at, at)
  at = at + 1
  while true do
    local stop = text:find("[\\" .. quote .. "]", at)
    if not stop then return #text + 1 end
    if text:sub(stop, stop) == quote then return stop + 1 end
    at = stop + 2
  end
end

-- The place behind the long bracket at `at`, or nil when there is none.
local function long_end(text, at)
  local level = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, stop = text:find("]" .. level .. "]", at, true)
  return (stop or #text) + 1
end

-- Behind white space and comments.
local function skip(text, at)
  while true do
    at = text:find("%S", at) or #text + 1
    if text:sub(at, at + 1) ~= "--" then return at end
    at = long_end(text, at + 2) or text:find("\n", at, true) or #text + 1
  end
end

local function token_at(text, at)
  local name = text:match("^[%a_][%w_]*", at)
  if name then return KEYWORDS[name] and "keyword" or "name", at + #name end
  if text:find("^%.?%d", at) then return "number", number_end(text, at) end
  if text:find("^[\"']", at) then return "string", string_end(text, at) end
  local stop = long_end(text, at)
  if stop then return "string", stop end
  for _, operator in ipairs(OPERATORS) do
    if text:sub(at, at + #operator - 1) == operator then return "operator", at + #operator end
  end
  return "operator", at + 1
end

-- Line and column (in characters) of offset `at`; offsets must be asked for in rising order.
local function locator(text)
  local line, line_start = 1, 1
  return function(at)
    local newline = text:find("\n", line_start, true)
    while newline and newline < at do
      line, line_start = line + 1, newline + 1
      newline = text:find("\n", line_start, true)
    end
    return line, (utf8.len(text, line_start, at) or at - line_start + 1)
  end
end

-- text -> array of {kind, text, line, column, at = the byte it begins at}; kind: name, keyword, string, number,
-- operator, and one "end" at the end.
function M.tokens(text)
  local tokens, where = {}, locator(text)
  local at = text:find("^#") and (text:find("\n", 1, true) or #text + 1) or 1
  while true do
    at = skip(text, at)
    local line, column = where(math.min(at, #text))
    if at > #text then
      tokens[#tokens + 1] = { kind = "end", text = "", line = line, column = column, at = at }
      return tokens
    end
    local kind, stop = token_at(text, at)
    tokens[#tokens + 1] = { kind = kind, text = text:sub(at, stop - 1), line = line, column = column, at = at }
    at = stop
  end
end

return M
