-- sealed.lua - what scripts get of an object of ours: a handle, a table that shows chosen fields and the methods, and
-- nothing of what the object works with (its store, its journal, its leases). Trusted code that is given a handle opens
-- it. Private: whoever can require this module can open everything.

local host = require "moongate.host"
local suggest = require "moongate.suggest"

local M = {}

local objects = setmetatable({}, { __mode = "k" }) -- handle -> object
local handles = setmetatable({}, { __mode = "k" }) -- object -> handle

-- sealed.open(handle) -> its object; anything else is itself.
function M.open(v)
  return objects[v] or v
end

-- Methods that take a handle where the object's own take the object.
local function from_outside(name, methods, mine)
  local out = {}
  for key, method in pairs(methods) do
    out[key] = function(handle, ...)
      local object = mine[handle]
      if not object then error(("bad argument #1 to '%s' (%s expected)"):format(key, name), 2) end
      return method(object, ...)
    end
  end
  return out
end

-- A name that a handle does not have: nil, as of any table, unless it is a misspelt one.
local function unknown(class, key, methods, fields)
  if type(key) ~= "string" or key:find "^_" then return nil end
  local names = {}
  for name in pairs(methods) do names[#names + 1] = name end
  for name in pairs(fields) do names[#names + 1] = name end
  local near = suggest.near(key, names)
  if not near then return nil end
  error(("%s has no '%s' (did you mean '%s'?)"):format(class:match "[^.]+%.([^.]+)" or class, key, near), 3)
end

-- sealed.class(name, methods, fields [, close]) -> seal(object) -> its handle, always the same. fields: name -> true
-- for a plain value, which is read anew each time; or function(object) -> value, which is asked once. What a script
-- sets in a handle, only it sees.
function M.class(name, methods, fields, close)
  local mine = setmetatable({}, { __mode = "k" })
  local outside = from_outside(name, methods, mine)
  local mt = { __name = name, __metatable = name, __tostring = function() return name end }
  function mt.__index(handle, key)
    local method = outside[key]
    if method then return method end
    local field = fields[key]
    if field == nil then return unknown(name, key, outside, fields) end
    if field == true then return mine[handle][key] end
    local value = field(mine[handle])
    rawset(handle, key, value)
    return value
  end
  if close then mt.__close = function(handle, err) return close(mine[handle], err) end end
  return function(object)
    local handle = handles[object]
    if not handle then
      handle = host.raw_setmetatable({}, mt)
      handles[object], objects[handle], mine[handle] = handle, object, object
    end
    return handle
  end
end

-- sealed.copy(value) -> the same with tables of its own, however deep. Objects, which have methods, are not copied.
function M.copy(value, done)
  if type(value) ~= "table" then return value end
  done = done or {}
  if done[value] then return done[value] end
  local mt = host.raw_getmetatable(value)
  if mt and rawget(mt, "__index") ~= nil then return value end
  local out = {}
  done[value] = out
  for k, v in next, value do out[k] = M.copy(v, done) end
  return mt and host.raw_setmetatable(out, mt) or out
end

return M
