-- values.lua - what an expression of a chunk is, as far as can be told without running it: a text, one of our modules,
-- a function of theirs, a value of a class that lua/meta describes. Follows locals that are written once, `require`,
-- `assert`, fields, calls and the parameters of functions that are handed to ours.
--
-- A value: {text = }, {global = name}, {module = name}, {fn = lua/meta's function, owner = what it is of} or
-- {class = name} or {fields = list}; nil: anything.
local host = require "moongate.host"
local meta = require "moongate.meta"
local sandbox = require "moongate.sandbox"
local types = require "moongate.meta.types"
local walk = require "moongate.source.walk"

local M = {}

local DEPTH = 40 -- of what rests on what

local Values = {}
Values.__index = Values

-- ---- our modules ----

-- Whether a name that `require` is given is ours, and whether there is such a module.
function M.is_ours(name) return name == "moongate" or name == "cjson" or name:find "^moongate%." ~= nil end

-- Whether any script may require it.
M.is_public = sandbox.public

function M.exists(name)
  if name == "moongate" or meta.module(name) then return true end
  local base = name:gsub("%.", "/")
  return host.embedded(base .. ".lua") ~= nil or host.embedded(base .. "/init.lua") ~= nil
end

-- ---- types to values ----

local function typed(kind)
  local parts = types.parts(kind or "any")
  if #parts ~= 1 then return nil end
  if meta.class(parts[1]) then
    local module = parts[1]:match "^moongate%.%w+$" and meta.module(parts[1])
    return module and module.class == parts[1] and { module = parts[1] } or { class = parts[1] }
  end
  local fields = types.literal(parts[1])
  if fields then return { fields = fields } end
  if parts[1]:find "^fun%(" then return { signature = parts[1] } end
end

-- "fun(a: T, b?: U): R" -> {"T", "U"}
local function parameter_types(signature)
  local list, inner = {}, signature:match "^fun(%b())"
  inner = inner and inner:sub(2, -2) or ""
  while inner:find "%S" do
    local rest = inner:match "^%s*[%w_.]+%??%s*:%s*(.*)$"
    if not rest then return list end
    list[#list + 1], rest = types.take(rest)
    inner = rest:match "^,?(.*)$"
  end
  return list
end

-- A function that is given where one of that signature is asked for: its parameters are of those types.
function Values:bind(node, signature)
  local decl = node and node.tag == "Name" and node.decl
  if decl and not decl.assigned then node = decl.value end
  if not node or node.tag ~= "Function" or self.bound[node] then return end
  self.bound[node] = parameter_types(signature)
end

-- ---- expressions ----

local function field_of(object, name)
  if object.module == "moongate" then
    local full = "moongate." .. name
    return M.exists(full) and { module = full } or nil
  elseif object.module then
    local module = meta.module(object.module)
    local fn = module and meta.fn(module, name)
    if fn then return { fn = fn, owner = object.module } end
    for _, field in ipairs(module and module.fields or {}) do
      if field.name == name then return typed(field.type) end
    end
  elseif object.class then
    local fn = meta.method(object.class, name)
    if fn then return { fn = fn, owner = object.class } end
  end
  local fields = object.fields or object.class and meta.fields(object.class)
  for _, field in ipairs(fields or {}) do
    if field.name == name then return typed(field.type) end
  end
end

-- What the nth result of a call is.
function Values:result(node, n, depth)
  local callee
  if node.tag == "Method" then
    local object = self:infer(node.object, 1, depth)
    callee = object and field_of(object, node.name)
  else
    callee = self:infer(node.fn, 1, depth)
  end
  if not callee then return nil end
  local first = node.args[1]
  if callee.global == "require" and n == 1 then
    local name = first and self:infer(first, 1, depth)
    return name and name.text and M.is_ours(name.text) and { module = name.text } or nil
  elseif callee.global == "assert" and first then
    return self:infer(first, n, depth)
  elseif callee.fn and callee.fn.returns[n] then
    return typed(callee.fn.returns[n].type)
  end
end

local kinds = {}

function kinds.String(_, node) return { text = node.value } end
function kinds.Paren(values, node, _, depth) return values:infer(node.value, 1, depth) end
function kinds.Call(values, node, n, depth) return values:result(node, n, depth) end
function kinds.Method(values, node, n, depth) return values:result(node, n, depth) end

function kinds.Index(values, node, _, depth)
  local object = node.name and values:infer(node.object, 1, depth)
  return object and field_of(object, node.name)
end

function kinds.Name(values, node, _, depth)
  local decl = node.decl
  if not decl then return not node.unknown and { global = node.name } or nil end
  if decl.assigned then return nil end
  if decl.param then
    local bound = values.bound[decl.fn]
    return bound and bound[decl.param] and typed(bound[decl.param]) or nil
  end
  return decl.value and values:infer(decl.value, decl.index, depth)
end

-- values:infer(node [, n]) -> the value of an expression, the nth of those that it gives.
function Values:infer(node, n, depth)
  n, depth = n or 1, (depth or 0) + 1
  local kind = kinds[node.tag]
  if not kind or depth > DEPTH or (n > 1 and node.tag ~= "Call" and node.tag ~= "Method") then return nil end
  return kind(self, node, n, depth)
end

-- ---- calls of ours ----

-- values:call(node) -> lua/meta's function that is called, what it is of, its arguments in the parameters' order.
function Values:call(node)
  local callee
  if node.tag == "Method" then
    local object = self:infer(node.object)
    callee = object and field_of(object, node.name)
  else
    callee = self:infer(node.fn)
  end
  if not callee or not callee.fn then return nil end
  local args = node.args
  if callee.fn.method and node.tag == "Call" then args = table.move(args, 2, #args, 1, {}) end
  if not callee.fn.method and node.tag == "Method" then return nil end
  return callee.fn, callee.owner, args
end

-- The functions in a table of options get their parameters' types.
function Values:bind_fields(tree, kind)
  for _, field in ipairs(meta.fields(kind) or {}) do
    local value = typed(field.type)
    for _, item in ipairs(value and value.signature and tree.items or {}) do
      if item.name == field.name then self:bind(item.value, value.signature) end
    end
  end
end

function Values:bind_calls(tree)
  walk(tree, function(node)
    if node.tag ~= "Call" and node.tag ~= "Method" then return end
    local fn, _, args = self:call(node)
    for i, param in ipairs(fn and fn.params or {}) do
      local arg = args[i]
      if arg and arg.tag == "Table" then
        self:bind_fields(arg, param.type)
      elseif arg then
        local value = typed(param.type)
        if value and value.signature then self:bind(arg, value.signature) end
      end
    end
  end)
end

-- M.of(tree) -> values
function M.of(tree)
  local values = setmetatable({ bound = {} }, Values)
  values:bind_calls(tree)
  return values
end

return M
