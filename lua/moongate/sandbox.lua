-- sandbox.lua - the environment of a user's script: Lua's own library as copies, `load` for text, `require` for public
-- modules and the script's folder. Nothing in it leads to trusted globals, to the tables that trusted code uses, or to
-- finalizers.
local drawn = require "moongate.journal.drawn"
local host = require "moongate.host"
local script_audit = require "moongate.script_audit"
local sealed = require "moongate.sealed"
local trusted = require "moongate.trusted"

local M = {}

local plain = {
  "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawlen", "rawset", "select", "tonumber",
  "tostring", "type", "warn", "xpcall", "_VERSION",
}

-- How a script's files are loaded: (path, environment, whether the script asks) -> function | nil, err. A run of tests
-- that counts lines has its own.
M.load_file = host.load_file

local function copy(t)
  local c = {}
  for k, v in next, t do c[k] = v end
  return c
end

local described = {} -- name -> whether lua/meta has the module, and does not say that it is private

-- Whether a module is for scripts: whether it is among those that lua/meta describes, where help has them from, too.
function M.public(name)
  if name == "moongate" or name == "cjson" then return true end
  local short = name:match "^moongate%.([%w_]+)$"
  if not short then return false end
  if described[short] == nil then
    local text = host.embedded("meta/" .. short .. ".lua")
    described[short] = text ~= nil and not text:find "^%-%-%-@meta [%w_.]+\n%-%-%-@private\n"
  end
  return described[short]
end

-- Whether a script may require it. moongate.test works with the store and the environment: it is for tests, which may
-- do what their user may.
function M.for_scripts(name)
  return M.public(name) and name ~= "moongate.test"
end

-- Functions of public modules that take the place of the command line: what they are given instead of a store or a
-- journal is trusted. For tests, too.
local NOT_FOR_SCRIPTS = { ["moongate.workflow"] = { "execute", "open" } }

-- What a script has of a module instead of the module's own functions: copy -> nothing.
local FOR_SCRIPTS = {
  ["moongate.audit"] = function(m)
    for name, fn in pairs(script_audit.of(m)) do m[name] = fn end
  end,
  ["moongate.gateway"] = function(m)
    function m.open(opts) return trusted.gateway.open(opts) end
  end,
  ["moongate.router"] = function(m)
    function m.open(opts) return trusted.router.open(opts) end
  end,
}

-- The program's own scripts are made of the modules that they are the commands of.
local function for_own(name)
  return name:find "^moongate%." ~= nil or M.public(name)
end

-- A module itself, as trusted code has it: for the tests of this.
M.original = require

-- Where a script in that folder finds a module of its own: paths, the first that is there counts.
function M.files_of(folder, name)
  if name:find "^%." or name:find "%.$" or name:find "%.%." or name:find "[^%w_.-]" then return {} end
  local base = folder .. "/" .. name:gsub("%.", "/")
  return { base .. ".lua", base .. "/init.lua" }
end

-- Where print goes: stdout, or stderr where stdout is kept for one JSON document.
M.print = host.write

-- print for scripts: a full disk or a closed pipe is an error.
local function print_out(...)
  local n, parts = select("#", ...), { ... }
  for i = 1, n do parts[i] = tostring(parts[i]) end
  local ok, err = M.print(table.concat(parts, "\t", 1, n) .. "\n")
  if not ok then error(err, 0) end
end

local function collect(what)
  what = what or "collect"
  if what ~= "count" and what ~= "collect" and what ~= "step" then
    error("collectgarbage: only 'count', 'collect' and 'step'", 2)
  end
  return collectgarbage(what)
end

-- A script's own copy of a module: what it changes there, however deep, trusted code does not see.
local function copy_of(name)
  local m = require(name)
  if type(m) ~= "table" then return m end
  local c, done = {}, {}
  done[m] = c
  for k, v in next, m do c[k] = sealed.copy(v, done) end
  drawn.module(name, c)
  local mt = host.raw_getmetatable(m)
  return mt and host.raw_setmetatable(c, mt) or c
end

-- folder: where the script's own modules are, or nil for none. globals: more of them, such as arg. may(name): whether
-- it may require that module of ours; M.for_scripts by default.
function M.new(folder, globals, may)
  may = may or M.for_scripts
  local env, loaded, loading = {}, {}, {}
  local ours = setmetatable({}, { __mode = "k" }) -- metatables that the script has set itself

  for _, name in ipairs(plain) do env[name] = _G[name] end
  for _, name in ipairs { "coroutine", "table", "string", "math", "utf8" } do env[name] = copy(_G[name]) end
  for name, value in next, globals or {} do env[name] = value end
  env.math.random = drawn.random(math.random)
  env._G = env
  env.print = print_out
  env.collectgarbage = collect

  function env.load(chunk, name, mode, ...)
    if mode ~= nil and type(mode) ~= "string" then error("bad argument #3 to 'load' (string expected)", 2) end
    if type(name) == "string" and name:find "^@moongate/" then name = "@./" .. name:sub(2) end -- is the program's own
    if select("#", ...) == 0 then return load(chunk, name, "t", env) end
    return load(chunk, name, "t", (...))
  end

  function env.setmetatable(t, mt)
    if type(t) ~= "table" then
      error("bad argument #1 to 'setmetatable' (table expected, got " .. type(t) .. ")", 2)
    end
    if type(mt) == "table" then
      if rawget(mt, "__gc") ~= nil then error("setmetatable: __gc is not available in scripts; use __close", 2) end
      ours[mt] = true
    end
    return setmetatable(t, mt)
  end

  function env.getmetatable(v)
    local mt = host.raw_getmetatable(v)
    if mt == nil then return nil end
    local shown = rawget(mt, "__metatable")
    if shown ~= nil then return shown end
    return ours[mt] and mt or false
  end

  local function load_public(name)
    if name == "moongate" then
      return setmetatable({}, {
        __index = function(t, k)
          if type(k) ~= "string" or not may("moongate." .. k) then return nil end
          local ok, m = pcall(env.require, "moongate." .. k)
          if not ok then
            if tostring(m):find("module 'moongate." .. k .. "' not found", 1, true) then return nil end
            error(m, 0)
          end
          rawset(t, k, m)
          return m
        end,
      })
    end
    local m = copy_of(name)
    if may == M.for_scripts then
      local change = FOR_SCRIPTS[name]
      if change then change(m) end
      for _, field in ipairs(NOT_FOR_SCRIPTS[name] or {}) do m[field] = nil end
    end
    return m
  end

  local function load_local(name)
    for _, path in ipairs(folder and M.files_of(folder, name) or {}) do
      local fn, err = M.load_file(path, env, true)
      if fn then return fn end
      if err.code ~= "not_found" then error(err, 0) end
    end
  end

  function env.require(name)
    if type(name) ~= "string" then
      error("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")", 2)
    end
    if loaded[name] ~= nil then return loaded[name] end
    local value
    if may(name) then
      value = load_public(name)
    else
      if loading[name] then error("module '" .. name .. "' requires itself, or another task is loading it", 2) end
      local fn = load_local(name)
      if not fn then
        error("module '" .. name .. "' not found: neither a module of moongate nor a file beside the script", 2)
      end
      loading[name] = true
      local ok, result = pcall(fn, name)
      loading[name] = nil
      if not ok then error(result, 0) end
      value = result
      if value == nil then value = true end
    end
    loaded[name] = value
    return value
  end

  return env
end

local function folder_of(path)
  return path:match "^(.*)/[^/]*$" or "."
end

-- Whether code of the user's own runs in this process: what goes wrong may be its mistake.
M.user_code = false

-- path -> function in an environment of its own | nil, err. From here on the permissions hold, for all code.
function M.load_script(path, globals)
  M.user_code = true
  if path:find "^moongate/" then path = "./" .. path end -- a chunk called moongate/… is the program's own
  host.restrict(folder_of(path))
  return M.load_file(path, M.new(folder_of(path), globals))
end

-- text -> function | nil, err; name as for load(). folder: for its own modules, default none. lazy: name -> function
-- that makes the global when it is first used.
function M.load_chunk(text, name, folder, globals, lazy)
  M.user_code = true
  host.restrict(folder)
  local env = M.new(folder, globals)
  if lazy then
    host.raw_setmetatable(env, { __metatable = false, __index = function(_, key)
      local value = lazy[key] and lazy[key]()
      if value ~= nil then rawset(env, key, value) end
      return value
    end })
  end
  return host.load_chunk(text, name, env)
end

-- The same of a script that is the program's own: what it does is what the user has asked for.
function M.load_own(text, name)
  return host.load_chunk(text, name, M.new(nil, nil, for_own))
end

-- Tests are the user's own code, and may do what the user may. Those of moongate itself work with its private modules,
-- and these are no copies.
function M.load_test(path)
  local env = M.new(folder_of(path), nil, M.public)
  local public_require, seen = env.require, {}
  function env.require(name)
    if type(name) == "string" and name:find "^moongate%." and not M.public(name) then return require(name) end
    local module = public_require(name)
    if seen[name] == nil and type(module) == "table" and M.public(name) then
      require("moongate.test.left").watch(name, module)
    end
    if name ~= nil then seen[name] = true end
    return module
  end
  return M.load_file(path, env)
end

return M
