-- fields.lua - names that our modules and their values do not have: modules, fields, methods, options.
local meta = require "moongate.meta"
local suggest = require "moongate.suggest"
local values = require "moongate.cli.check.values"
local walk = require "moongate.source.walk"

local M = {}

local OPEN = { ["moongate.error"] = true } -- classes whose values may have any field

local function set_of(...)
  local set = {}
  for _, list in ipairs { ... } do
    for _, thing in ipairs(list) do set[thing.name] = true end
  end
  return set
end

local function sorted(set)
  local names = {}
  for name in pairs(set) do
    if type(name) == "string" and not name:find "^_" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- The names that a module has: those of lua/meta and those that are there. nil: any.
local function names_of_module(name)
  local module = meta.module(name)
  local set = module and set_of(module.functions, module.fields) or {}
  local ok, real = pcall(require, name)
  if not ok or type(real) ~= "table" then return module and set or nil end
  for key in pairs(real) do set[key] = true end
  return set
end

local function is_open(class, seen)
  if not class or OPEN[class.name] or seen[class.name] then return true end
  seen[class.name] = true
  for _, parent in ipairs(class.parents) do
    if is_open(meta.class(parent), seen) then return true end
  end
  return false
end

local function add_methods(set, class)
  for _, fn in ipairs(class.methods) do set[fn.name] = true end
  for _, parent in ipairs(class.parents) do
    if meta.class(parent) then add_methods(set, meta.class(parent)) end
  end
end

local function names_of_class(name)
  local class, fields = meta.class(name), meta.fields(name)
  if not fields or is_open(class, {}) then return nil end
  local set = set_of(fields)
  add_methods(set, class)
  return next(set) and set or nil
end

local Check = {}
Check.__index = Check

function Check:fault(node, fmt, ...)
  self.faults[#self.faults + 1] = { line = node.line, column = node.column, message = fmt:format(...) }
end

-- What a script adds to its copy of a module is there from then on.
function Check:note_written(node)
  for _, target in ipairs(node.targets) do
    self.written[target] = true
    if target.tag == "Index" and target.name then
      local object = self.values:infer(target.object)
      if object and object.module then self.added[object.module .. "." .. target.name] = true end
    end
  end
end

function Check:check_name(node, object, name)
  if object.module == "moongate" then
    if values.exists("moongate." .. name) then return end
    local list = {}
    for _, module in ipairs(meta.modules()) do list[#list + 1] = module:match "^moongate%.(.+)$" end
    return self:fault(node, "unknown module moongate.%s%s", name, suggest.hint(name, list))
  end
  local owner = object.module or object.class
  local set
  if object.module then set = names_of_module(owner) elseif object.class then set = names_of_class(owner) end
  if not set or set[name] or self.added[tostring(owner) .. "." .. name] then return end
  self:fault(node, "%s has no %s '%s'%s", owner, node.tag == "Method" and "method" or "field", name,
    suggest.hint(name, sorted(set)))
end

-- ---- options ----

function Check:options(tree, kind, what)
  local item_kind = kind:match "^(.-)%[%]%??$"
  if item_kind then
    for _, item in ipairs(tree.items) do
      if item.value.tag == "Table" and not item.name and not item.key then self:options(item.value, item_kind, what) end
    end
    return
  end
  local fields = meta.fields(kind)
  if not fields then return end
  local by_name, names = {}, {}
  for _, field in ipairs(fields) do by_name[field.name], names[#names + 1] = field, field.name end
  table.sort(names)
  for _, item in ipairs(tree.items) do
    local field = item.name and by_name[item.name]
    if item.name and not field then
      self:fault(item, "%s has no option '%s'%s", what, item.name, suggest.hint(item.name, names))
    elseif field and item.value.tag == "Table" then
      self:options(item.value, field.type, what .. ": " .. item.name)
    end
  end
end

-- ---- modules ----

function Check:module(node)
  local callee, first = self.values:infer(node.fn), node.args[1]
  if not callee or callee.global ~= "require" or not first then return end
  local name = self.values:infer(first)
  name = name and name.text
  if not name then return end
  if values.is_ours(name) then
    if values.exists(name) then
      if values.is_public(name) or self.trusted then return end
      return self:fault(first, "%s is moongate's own: a script can't require it", name)
    end
    return self:fault(first, "unknown module %s%s", name, suggest.hint(name, meta.modules()))
  end
  if self.has_file and not self.has_file(name) then
    self:fault(first, "unknown module %s: neither part of moongate nor a file beside this one", name)
  end
end

function Check:look(node)
  if node.tag == "Index" and node.name and not self.written[node] then
    local object = self.values:infer(node.object)
    if object then self:check_name(node, object, node.name) end
  elseif node.tag == "Method" then
    local object = self.values:infer(node.object)
    if object then self:check_name(node, object, node.name) end
  end
  if node.tag == "Call" then self:module(node) end
  if node.tag ~= "Call" and node.tag ~= "Method" then return end
  local fn, owner, args = self.values:call(node)
  for i, param in ipairs(fn and fn.params or {}) do
    if args[i] and args[i].tag == "Table" then
      self:options(args[i], param.type, owner .. (fn.method and ":" or ".") .. fn.name)
    end
  end
end

-- M.faults(tree, values, {has_file, trusted}) -> list of {line, column, message}. has_file(name): whether a module of
-- the script's own is there; nil: can't be told. trusted: modules that scripts can't have are within its reach.
function M.faults(tree, known, opts)
  local check = setmetatable({
    values = known, faults = {}, written = {}, added = {}, has_file = opts.has_file, trusted = opts.trusted,
  }, Check)
  walk(tree, function(node)
    if node.tag == "Assign" then check:note_written(node) end
  end)
  walk(tree, function(node) check:look(node) end)
  return check.faults
end

return M
