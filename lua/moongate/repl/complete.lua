-- complete.lua - what Tab offers: globals, fields and methods, modules in require, files in other strings, commands.
-- Looks at values without running anything of a script's.
local fs = require("moongate.host").fs -- what the user names at the prompt, not a script
local host = require "moongate.host"
local lexer = require "moongate.source.lexer"
local cut = require("moongate.text").cut

local M = {}

local MOST = 200 -- listed

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
    while]]):gmatch "%a+" do
  KEYWORDS[#KEYWORDS + 1] = word
end

-- ---- values ----

local function sorted(names, prefix, keep)
  local list = {}
  for name, value in pairs(names) do
    if name:sub(1, #prefix) == prefix and (not keep or keep(value)) then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- The table that a value takes its fields and methods from, besides itself.
local function above(v)
  local mt = host.raw_getmetatable(v)
  if not mt then return nil end
  local index = rawget(mt, "__index")
  if type(index) == "table" then return index end
  return index ~= nil and mt or nil -- methods beside a function that makes the rest
end

-- Names of v's fields: {name = value}; those of what is above it too.
local function names_in(session, v)
  local out = {}
  local function add(t)
    for key, value in next, t do
      if type(key) == "string" and key:find "^[%a][%w_]*$" and out[key] == nil then out[key] = value end
    end
  end
  local depth = 0
  if type(v) == "table" then add(v) end
  local next_one = above(v)
  while next_one and depth < 5 do
    add(next_one)
    next_one, depth = above(next_one), depth + 1
  end
  local kind = require("moongate.repl.kind").of(session, v)
  local class = type(kind) == "string" and kind:find "^[%w_.]+$" and require("moongate.meta").class("moongate." .. kind)
  for _, field in ipairs(class and class.fields or {}) do
    if out[field.name] == nil then out[field.name] = false end
  end
  for _, fn in ipairs(class and class.methods or {}) do
    if out[fn.name] == nil then out[fn.name] = sorted end -- any function: of an object whose methods can't be seen
  end
  return out
end

-- The value of a.b.c; nothing is called but what loads our own modules.
local function value_of(session, path)
  local v = session.env
  for i, name in ipairs(path) do
    if type(v) == "string" then v = string end
    if type(v) ~= "table" and type(v) ~= "userdata" then return nil end
    if i == 1 then
      v = rawget(v, name)
      local lazy = session.modules[name] or name == "gw" or name == "moongate"
      if v == nil and lazy then
        local ok, loaded = pcall(function() return session.env[name] end)
        v = ok and loaded or nil
      end
    else
      local found = names_in(session, v)[name]
      if found == false and v == session.run and name ~= "gateway" then
        local ok, made = pcall(function() return v[name] end)
        found = ok and made or nil
      end
      v = found
    end
    if v == nil then return nil end
  end
  return v
end

-- ---- the place of the cursor ----

-- The path before the word that is being typed: {"gw"}, ":" for `gw:g`; nil when it is no plain path.
local function path_before(tokens, last)
  local path, at, first_sep = {}, last, nil
  while tokens[at] and (tokens[at].text == "." or tokens[at].text == ":") do
    first_sep = first_sep or tokens[at].text
    local owner = tokens[at - 1]
    if not owner or owner.kind ~= "name" then return nil, first_sep end
    table.insert(path, 1, owner.text)
    at = at - 2
  end
  return path, first_sep
end

local function names_of_scope(session)
  local out = {}
  for key, value in next, session.env do
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then out[key] = value end
  end
  for name in pairs(session.modules) do
    if out[name] == nil then out[name] = false end
  end
  out.gw, out.moongate = out.gw or false, out.moongate or false
  for _, word in ipairs(KEYWORDS) do out[word] = false end
  return out
end

local function set(list)
  local names = {}
  for _, name in ipairs(list) do names[name] = true end
  return names
end

-- What there is help for.
local function helped() return set(require("moongate.meta.pages").names()) end

local function files(prefix)
  local folder, base = prefix:match "^(.*/)([^/]*)$"
  folder, base = folder or "", base or prefix
  local list = {}
  for _, name in ipairs(fs.list(folder == "" and "." or folder) or {}) do
    if name:sub(1, #base) == base and (base ~= "" or name:sub(1, 1) ~= ".") then
      local stat = fs.stat(folder .. name)
      list[#list + 1] = folder .. name .. (stat and stat.type == "directory" and "/" or "")
    end
  end
  return list
end

local function modules(session, prefix)
  local names = {}
  for _, name in pairs(session.modules) do names[name] = true end
  names.moongate = true
  local list = sorted(names, prefix)
  for _, file in ipairs(fs.list "." or {}) do
    local name = file:match "^([%w_]+)%.lua$"
    if name and name:sub(1, #prefix) == prefix then list[#list + 1] = name end
  end
  return list
end

local function commands(text)
  local command, word = text:match "^%s*:(%l+!?)%s+(.*)$"
  if command == "load" or command == "save" or command == "save!" then return word, files(word) end
  if command == "help" then return word, sorted(helped(), word) end
  if command == "dry" or command == "trace" then return word, sorted({ on = true, off = true }, word) end
  if command then return nil end
  local names = set(require("moongate.repl.commands").names())
  word = text:match "^%s*:(%l*)$"
  return word or "", word and sorted(names, word) or {}
end

-- M.candidates(session, text up to the cursor) -> the word that is typed, what it can become (sorted)
function M.candidates(session, text)
  if text:find "^%s*:" then
    local word, list = commands(text)
    if word then return word, list end
    text = text:gsub("^%s*:%l+%s*", "")
  end
  local tokens = lexer.tokens(text)
  local last = #tokens - 1 -- the one before "end"
  local token = tokens[last]
  if token and token.kind == "string" and not load("return " .. token.text, "=", "t") then
    local word = token.text:sub(2)
    local before = tokens[last - 1] or {}
    if before.text == "(" then before = tokens[last - 2] or {} end
    if before.text == "require" then return word, modules(session, word) end
    if before.text == "help" then return word, sorted(helped(), word) end
    return word, files(word)
  end
  local word = token and (token.kind == "name" or token.kind == "keyword") and text:find "[%w_]$" and token.text or ""
  local path, sep = path_before(tokens, word ~= "" and last - 1 or last)
  if not path then return word, {} end
  if #path == 0 then return word, (sep or word == "") and {} or sorted(names_of_scope(session), word) end
  local v = value_of(session, path)
  if v == nil then return word, {} end
  local methods = sep == ":" and function(value) return type(value) == "function" end or nil
  return word, sorted(names_in(session, type(v) == "string" and string or v), word, methods)
end

-- ---- what is done about it ----

local function common(list)
  local prefix = list[1]
  for i = 2, #list do
    local n = 0
    while n < #prefix and prefix:byte(n + 1) == list[i]:byte(n + 1) do n = n + 1 end
    prefix = prefix:sub(1, n)
  end
  return prefix
end

-- Names in columns, as ls has them; of paths, their last part.
local function columns(list, width)
  local names, widest = {}, 1
  for i = 1, math.min(#list, MOST) do
    names[i] = cut(list[i]:match "[^/]+/?$" or list[i], 40)
    widest = math.max(widest, utf8.len(names[i]) or #names[i])
  end
  local across = math.max(1, width // (widest + 2))
  local down = (#names + across - 1) // across
  local lines = {}
  for row = 1, down do
    local cells = {}
    for column = 0, across - 1 do
      local name = names[column * down + row]
      if name then cells[#cells + 1] = name .. (" "):rep(widest - (utf8.len(name) or #name)) end
    end
    lines[row] = table.concat(cells, "  "):gsub("%s+$", "")
  end
  if #list > MOST then lines[#lines + 1] = ("... and %d more"):format(#list - MOST) end
  return table.concat(lines, "\n") .. "\n"
end

-- M.offer(session, text, cursor in bytes, columns) -> characters to take away, what to put there, a list to show
function M.offer(session, text, cursor, width)
  local word, list = M.candidates(session, text:sub(1, cursor))
  if #list == 0 then return 0, "", "" end
  local prefix = common(list)
  local more = prefix:sub(#word + 1)
  if more ~= "" or #list == 1 then return 0, more, "" end
  return 0, "", columns(list, width)
end

return M
