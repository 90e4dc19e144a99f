-- flags.lua - the argument parser of commands and workflows: a declaration and words in, values or every fault out.
--
-- An argument: {name, summary, optional=, repeated=, choices=}; only the last can be repeated.
-- A flag: {name, summary} and
--   type     "string" (default), "boolean", "integer", "number", "duration" ("800ms", "2s", "1.5m"; seconds come out)
--   letter   "p": -p is the same      value    what help calls the value       nargs    2: two words, a list comes out
--   env      a variable that gives it when the flag is not there                 default  a value, or its text
--   required, choices = {…}, min, max, repeated (a list comes out)
-- A declaration's `literal` says of a word that begins with "-" whether it is an argument all the same.
-- A value's key is the name with "_" for "-". A boolean has --no-NAME. "--" ends the flags.
local host = require "moongate.host"
local suggest = require "moongate.suggest"

local M = {}

-- "800ms" -> 0.8, or nil.
M.duration = host.duration

function M.key(name) return (name:gsub("-", "_")) end

local function decimal(text)
  return text:find("^[+-]?%d") and not text:find("[xX]") and tonumber(text) or nil
end

local READ = {
  string = function(text) return text end,
  boolean = function(text)
    local known = { ["true"] = true, yes = true, on = true, ["1"] = true, ["false"] = false, no = false, off = false,
      ["0"] = false }
    local v = known[text:lower()]
    if v == nil then return nil, "needs true or false, not '%s'" end
    return v
  end,
  integer = function(text)
    local v = decimal(text)
    if math.type(v) ~= "integer" then return nil, "needs a whole number, not '%s'" end
    return v
  end,
  number = function(text)
    local v = decimal(text)
    if not v then return nil, "needs a number, not '%s'" end
    return v
  end,
  duration = function(text)
    local v = M.duration(text)
    if not v then return nil, "needs a duration such as 800ms, 2s, 1.5m or 1h, not '%s'" end
    return v
  end,
}

-- True when v is one of the flag's choices, if it has any and v is not nil; else false and what is wrong with it.
function M.choose(flag, v)
  if v == nil or not flag.choices then return true end
  for _, choice in ipairs(flag.choices) do
    if choice == v then return true end
  end
  return false, ("needs one of %s, not '%s'%s"):format(table.concat(flag.choices, ", "), v,
    suggest.hint(tostring(v), flag.choices))
end

-- A text as the flag's type -> value, or nil and what is wrong with it.
local function read(flag, text)
  local v, fault = READ[flag.type or "string"](text)
  if v == nil then return nil, fault:format(text) end
  local chosen, wrong = M.choose(flag, v)
  if not chosen then return nil, wrong end
  if flag.min and v < flag.min then return nil, ("needs at least %s, not %s"):format(flag.min, text) end
  if flag.max and v > flag.max then return nil, ("needs at most %s, not %s"):format(flag.max, text) end
  return v
end

-- A parser under way: spec, words, values, faults and the place in words.
local Parser = {}
Parser.__index = Parser

function Parser:fault(format, ...)
  self.faults[#self.faults + 1] = format:format(...)
end

function Parser:set(flag, shown, text)
  local v, fault = read(flag, text)
  if fault then return self:fault("%s %s", shown, fault) end
  self:store(flag, shown, v)
end

function Parser:store(flag, shown, v)
  local key = M.key(flag[1])
  if flag.repeated then
    local list = self.values[key] or {}
    list[#list + 1] = v
    self.values[key] = list
  elseif self.values[key] ~= nil and flag.type ~= "boolean" then
    self:fault("%s is given twice", shown)
  else
    self.values[key] = v
  end
end

-- The words that follow a flag that takes several.
function Parser:take_words(flag, shown)
  local list = {}
  for n = 1, flag.nargs do
    list[n] = self.words[self.at]
    if not list[n] then return self:fault("%s needs %s", shown, flag.value or flag.nargs .. " values") end
    self.at = self.at + 1
  end
  self:store(flag, shown, list)
end

function Parser:find(name)
  for _, flag in ipairs(self.spec.flags or {}) do
    if flag[1] == name then return flag end
  end
end

function Parser:unknown(name)
  local names = { "help" }
  for _, list in ipairs { self.spec.flags or {}, self.globals } do
    for _, flag in ipairs(list) do names[#names + 1] = flag[1] end
  end
  self:fault("unknown flag --%s%s", name, suggest.hint(name, names, "--"))
end

function Parser:long(word)
  local name, text = word:match("^%-%-([^=]+)=(.*)$")
  name = name or word:sub(3)
  local shown, flag = "--" .. name, self:find(name)
  if not flag then
    local positive = self:find(name:match("^no%-(.+)$"))
    if positive and positive.type == "boolean" and not text then
      return self:store(positive, shown, false)
    end
    return self:unknown(name)
  end
  self:value_of(flag, shown, text)
end

-- text: what came behind "=", or nil.
function Parser:value_of(flag, shown, text)
  self.given[M.key(flag[1])] = true
  if flag.nargs then
    if text then return self:fault("%s needs %s as words of their own", shown, flag.value or "its values") end
    return self:take_words(flag, shown)
  end
  if flag.type == "boolean" then
    if text then return self:set(flag, shown, text) end
    return self:store(flag, shown, true)
  end
  if not text then
    text = self.words[self.at]
    if text == nil or text:sub(1, 2) == "--" then
      return self:fault("%s needs a value", shown)
    end
    self.at = self.at + 1
  end
  self:set(flag, shown, text)
end

function Parser:short(word)
  local letter = word:sub(2, 2)
  for _, flag in ipairs(self.spec.flags or {}) do
    if flag.letter == letter then
      local rest = word:sub(3)
      return self:value_of(flag, "-" .. letter, rest ~= "" and rest or nil)
    end
  end
  self:fault("unknown flag -%s", letter)
end

function Parser:flags_and_words()
  local words, plain = self.words, {}
  local only_plain = false
  while self.at <= #words do
    local word = words[self.at]
    self.at = self.at + 1
    local literal = self.spec.literal
    if only_plain or word == "-" or word:sub(1, 1) ~= "-" or word:find("^%-%.?%d") or literal and literal(word) then
      plain[#plain + 1] = word
      only_plain = only_plain or #plain == self.spec.passthrough
    elseif word == "--" then
      only_plain = true
    elseif word:sub(1, 2) == "--" then
      self:long(word)
    else
      self:short(word)
    end
  end
  return plain
end

function Parser:arguments(plain)
  local at = 1
  for _, arg in ipairs(self.spec.args or {}) do
    local key = M.key(arg[1])
    if arg.repeated then
      self.values[key] = table.move(plain, at, #plain, 1, {})
      if at > #plain and not arg.optional then self:fault("missing argument %s: %s", arg[1]:upper(), arg[2] or "") end
      at = math.max(at, #plain + 1)
    elseif plain[at] then
      local chosen, wrong = M.choose(arg, plain[at])
      if not chosen then self:fault("%s %s", arg[1]:upper(), wrong) end
      self.values[key] = plain[at]
      at = at + 1
    elseif not arg.optional then
      self:fault("missing argument %s: %s", arg[1]:upper(), arg[2] or "")
    end
  end
  if plain[at] then
    local extra = #plain - at + 1
    self:fault("%s too many, from '%s' on", extra == 1 and "one argument" or extra .. " arguments", plain[at])
  end
end

-- What was not given: from the environment, else the default, else required.
function Parser:fill(getenv)
  for _, flag in ipairs(self.spec.flags or {}) do
    local key = M.key(flag[1])
    local text = self.values[key] == nil and flag.env and getenv(flag.env)
    if text and text ~= "" and not self.given[key] then
      local v, fault = read(flag, text)
      if fault then
        self:fault("%s (for --%s) %s", flag.env, flag[1], fault)
      else
        self.values[key] = flag.repeated and { v } or v
      end
    elseif self.values[key] == nil then
      local default = flag.default
      if type(default) == "string" then default = assert(read(flag, default)) end
      if default == nil and flag.repeated then default = {} end
      self.values[key] = default
      if flag.required and default == nil and not self.given[key] then
        self:fault("--%s is required%s", flag[1], flag.env and (" (or set %s)"):format(flag.env) or "")
      end
    end
  end
end

-- words from `first` on -> values, or nil and a list of every fault. opts: getenv (a function), globals (flags that
-- exist elsewhere, for suggestions), first.
function M.parse(spec, words, opts)
  opts = opts or {}
  local p = setmetatable({
    spec = spec, words = words, at = opts.first or 1, values = {}, faults = {}, given = {},
    globals = opts.globals or {},
  }, Parser)
  p:arguments(p:flags_and_words())
  p:fill(opts.getenv or function() end)
  if #p.faults > 0 then return nil, p.faults end
  return p.values
end

-- Raises unless a workflow's declaration makes sense: a mistake of its author, found before anything runs.
local FLAG_KEYS = { [1] = true, [2] = true, name = true, summary = true, type = true, letter = true, value = true,
  nargs = true, env = true, default = true, required = true, choices = true, min = true, max = true, repeated = true }
local ARG_KEYS = { [1] = true, [2] = true, name = true, summary = true, optional = true, repeated = true,
  choices = true }

local function check_entry(what, entry, keys, seen)
  if type(entry) ~= "table" then error(what .. " is not a table", 0) end
  entry[1], entry[2] = entry[1] or entry.name, entry[2] or entry.summary
  local name = entry[1]
  if type(name) ~= "string" or not name:find("^%a[%w_-]*$") then error(what .. " has no proper name", 0) end
  if seen[M.key(name)] then error(("'%s' is declared twice"):format(name), 0) end
  seen[M.key(name)] = true
  for key in pairs(entry) do
    if not keys[key] then
      local names = {}
      for k in pairs(keys) do if type(k) == "string" then names[#names + 1] = k end end
      error(("'%s' has an unknown field '%s'%s"):format(name, tostring(key), suggest.hint(tostring(key), names)), 0)
    end
  end
end

function M.check(spec, globals)
  local seen, taken = {}, {}
  for _, flag in ipairs(globals or {}) do taken[flag[1]] = true end
  for i, arg in ipairs(spec.args or {}) do
    check_entry("argument " .. i, arg, ARG_KEYS, seen)
    if arg.repeated and spec.args[i + 1] then error(("'%s' is repeated, but not the last"):format(arg[1]), 0) end
  end
  for i, flag in ipairs(spec.flags or {}) do
    check_entry("flag " .. i, flag, FLAG_KEYS, seen)
    if taken[flag[1]] then error(("--%s is one of moongate's own flags"):format(flag[1]), 0) end
    if flag.type and not READ[flag.type] then
      error(("--%s has an unknown type '%s'"):format(flag[1], tostring(flag.type)), 0)
    end
  end
  return spec
end

-- "deploy-index [flags] CONFIG [ARGS...]"
function M.synopsis(name, spec)
  local parts = { name }
  if spec.flags and #spec.flags > 0 then parts[#parts + 1] = "[flags]" end
  for _, arg in ipairs(spec.args or {}) do
    local word = arg[1]:upper() .. (arg.repeated and "..." or "")
    parts[#parts + 1] = arg.optional and "[" .. word .. "]" or word
  end
  return table.concat(parts, " ")
end

return M
