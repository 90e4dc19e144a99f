-- meta.lua - lua/meta, the one source of what our modules offer, as data: for help, the reference, the checks of
-- scripts and the prompt. The form of what is given: meta/parser.lua. Private to trusted code.
local host = require "moongate.host"
local parser = require "moongate.meta.parser"
local types = require "moongate.meta.types"

local M = {}

local parsed, names, classes = {}, nil, nil

local function file_of(name) return "meta/" .. (name:gsub("^moongate%.", "")) .. ".lua" end

-- meta.modules() -> sorted names as `require` takes them: "moongate.http", "cjson".
function M.modules()
  if names then return names end
  names = {}
  for _, file in ipairs(host.embedded_list "meta/") do
    local text = host.embedded(file)
    local name = text:match "^%-%-%-@meta%s+([%w_.]+)"
    names[#names + 1] = name or "moongate." .. file:match "^meta/(.+)%.lua$"
  end
  table.sort(names)
  return names
end

-- meta.module(name) -> the module, or nil when lua/meta has none. "http" is "moongate.http".
function M.module(name)
  local file = file_of(name)
  if parsed[file] == nil then
    local text = host.embedded(file)
    if not text then return nil end
    local full = text:match "^%-%-%-@meta%s+([%w_.]+)" or "moongate." .. name
    parsed[file] = parser.parse(text, full, "lua/" .. file)
  end
  return parsed[file]
end

-- meta.class(name) -> the class, whichever file declares it, or nil.
function M.class(name)
  if not classes then
    classes = {}
    for _, module in ipairs(M.modules()) do
      for _, class in ipairs(M.module(module).classes) do classes[class.name] = class end
    end
  end
  return classes[name]
end

-- meta.fn(module, name) -> its function of that name | nil
function M.fn(module, name)
  for _, fn in ipairs(module.functions) do
    if fn.name == name then return fn end
  end
end

-- meta.method(class name, name) -> the method, of the class or of what it is made from | nil
function M.method(class_name, name)
  local class = M.class(class_name)
  if not class then return nil end
  for _, fn in ipairs(class.methods) do
    if fn.name == name then return fn end
  end
  for _, parent in ipairs(class.parents) do
    local fn = M.method(parent, name)
    if fn then return fn end
  end
end

-- Fields and methods of a class and its parents into `out`; whether any name goes.
local function collect(class, out, seen)
  local open = false
  seen[class.name] = true
  for _, field in ipairs(class.fields) do
    if field.name:find "^%[" then open = true else out[#out + 1] = field end
  end
  for _, parent in ipairs(class.parents) do
    local above = not seen[parent] and M.class(parent)
    if above then open = collect(above, out, seen) or open end
    if not above and not seen[parent] then open = true end
  end
  return open
end

-- meta.fields(type) -> list of the fields that a table of this type may have; nil when any goes (table, any, a list, a
-- class that nobody declares). Of a union, the fields of all its tables.
function M.fields(kind)
  local out, found = {}, false
  for _, part in ipairs((types.parts(kind))) do
    local class, literal = M.class(part), types.literal(part)
    if class then
      if collect(class, out, {}) then return nil end
    elseif literal then
      table.move(literal, 1, #literal, #out + 1, out)
    elseif part == "any" or part:find "^table" or part:find "%[%]$" or part:find "^[%w_]+%.[%w_.]+$"
      or part:find "^{" then
      return nil
    end
    found = found or class ~= nil or literal ~= nil
  end
  return found and out or nil
end

-- meta.find("http.request" | "moongate.http.request" | "http.client:get" | "http") -> what it is ("module",
-- "function", "method", "class", "field"), and it; nil when there is none.
function M.find(path)
  local module = M.module(path)
  if module then return "module", module end
  local class = M.class(path) or M.class("moongate." .. path)
  if class then return "class", class end
  local owner, sep, name = path:match "^(.+)([.:])([%w_]+)$"
  if not owner then return nil end
  module = M.module(owner)
  local fn = module and M.fn(module, name)
  if fn then return "function", fn end
  for _, field in ipairs(module and module.fields or {}) do
    if field.name == name then return "field", field end
  end
  local class_name = M.class(owner) and owner or "moongate." .. owner
  fn = M.method(class_name, name)
  if fn then return "method", fn end
  if sep == ":" then return nil end
  for _, field in ipairs(M.class(class_name) and M.class(class_name).fields or {}) do
    if field.name == name then return "field", field end
  end
end

return M
