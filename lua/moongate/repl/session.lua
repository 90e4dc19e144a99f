-- session.lua - what the lines of a prompt share: their globals, the run with its gateway, what the lines were. A line
-- runs in a task of its own; tasks that it has spawned live on when it is done.
local chunk = require "moongate.repl.chunk"
local host = require "moongate.host"
local sandbox = require "moongate.sandbox"
local sealed = require "moongate.sealed"
local task = require "moongate.task"

local M = {}

local Session = {}
Session.__index = Session

-- The public modules, each a global that is loaded when it is first named: {http = "moongate.http", …}.
local function module_names()
  local names = {}
  for _, name in ipairs(require("moongate.meta").modules()) do names[name:match "^moongate%.([%w_]+)$" or ""] = name end
  for _, file in ipairs(host.embedded_list "moongate/") do
    local name = file:match "^moongate/([%w_]+)%.lua$" or file:match "^moongate/([%w_]+)/init%.lua$"
    if name then names[name] = "moongate." .. name end
  end
  names[""], names.init = nil, nil
  for short, name in pairs(names) do
    if not sandbox.for_scripts(name) then names[short] = nil end
  end
  return names
end

-- Tasks that a line spawns are not awaited by anybody: their failures are told.
local function watch_spawns(self, tasks)
  local spawn = tasks.spawn
  function tasks.spawn(...)
    local handle = spawn(...)
    if task.current() == self.line then self.spawned[#self.spawned + 1] = handle end
    return handle
  end
  self.renamed[tasks.spawn] = "task.spawn"
end

-- M.new{run = a run (workflow.open), report = function(err, what), topic = function(name) -> text | nil} -> session
function M.new(opts)
  local self = setmetatable({
    run = opts.run, report = opts.report, modules = module_names(), spawned = {}, renamed = {}, entries = {},
    interruptible = opts.interruptible, topic = opts.topic or function() end,
  }, Session)
  sandbox.user_code = true
  host.restrict() -- a line is a script, and so is what :load and -i take
  local env = sandbox.new(".", opts.globals)
  self.env = env
  for short in pairs(self.modules) do
    if env[short] ~= nil then self.modules[short] = nil end -- error, the function
  end
  env.run = self.run
  host.raw_setmetatable(env, {
    __index = function(_, name)
      local value
      if self.modules[name] then
        value = env.require(self.modules[name])
        if name == "task" then watch_spawns(self, value) end
      elseif name == "gw" then
        value = self.run.gateway
      elseif name == "moongate" then
        value = env.require "moongate"
      end
      if value ~= nil then rawset(env, name, value) end
      return value
    end,
  })
  local _ = env.task -- before a line gets at it by `require`
  return self
end

-- ---- running a line ----

-- Waits for the line's function, not for what it has left running. -> packed results | nil, outcome of the task
local function run_line(self, fn)
  local results
  local finished = task.semaphore(1)
  finished:acquire()
  local line = task.spawn(function()
    do
      local _ <close> = setmetatable({}, { __close = function() finished:release() end })
      results = table.pack(fn())
    end
    if host.has_children() then -- what the line has started goes on for as long as the session does
      local forever = task.semaphore(1)
      forever:acquire()
      forever:acquire()
    end
  end)
  self.line = line
  if self.interruptible then host.foreground(line) end
  finished:acquire()
  if self.interruptible then host.foreground(nil) end
  self.line = nil
  return results, line
end

-- Tells of the failures of tasks that a line has left behind.
local function watch(self)
  for _, handle in ipairs(self.spawned) do
    local status = handle:status()
    if status ~= "done" and status ~= "cancelled" then
      task.spawn(function()
        local results = table.pack(handle:join())
        if handle:status() == "failed" then self.report(results[2], "a task in the background") end
      end)
    end
  end
  self.spawned = {}
end

-- session:call(fn) -> "ok", packed results | "failed", error | "cancelled"
function Session:call(fn)
  local results, line = run_line(self, fn)
  if results then
    watch(self)
    return "ok", results
  end
  self.spawned = {}
  local _, err = line:join()
  if line:status() == "cancelled" then return "cancelled" end
  return "failed", err
end

-- session:eval(text) -> as call | "incomplete" | "empty". `_` is the first result, unless that is nil.
function Session:eval(text)
  local fn, kind = chunk.compile(text, self.env)
  if not fn then
    if kind == "incomplete" then return "incomplete" end
    if kind == nil then return "empty" end
    return "failed", kind
  end
  local status, results = self:call(fn)
  if status == "ok" then
    if results[1] ~= nil then rawset(self.env, "_", results[1]) end
    self.entries[#self.entries + 1] = { text = text, kind = kind, shown = results.n > 0, dry = self.run.dry_run }
  end
  return status, results
end

-- session:load(path) -> as call. A file, in the session's globals, its outer locals its own.
function Session:load(path)
  local text, err = host.fs.read(path, 16 << 20)
  if not text then return "failed", err end
  local fn
  fn, err = host.load_chunk(text, "@" .. path, self.env)
  if not fn then return "failed", err end
  local status, results = self:call(fn)
  if status == "ok" then
    if results[1] ~= nil then rawset(self.env, "_", results[1]) end
    self.entries[#self.entries + 1] = { text = text, kind = "file", path = path, dry = self.run.dry_run }
  end
  return status, results
end

-- From here on writes are only shown, or sent again.
function Session:set_dry(on)
  local run = sealed.open(self.run)
  run.dry_run = on
  local gateway = rawget(run, "gateway")
  if gateway then sealed.open(gateway).dry_run = on end
  local _ = require "moongate.gateway" -- gives what follows
  require("moongate.trusted").gateway.set_dry(on)
end

-- Names of the functions of native modules, whether a line has named the module or not.
local function native_names(self)
  local names = {}
  for short, name in pairs(self.modules) do
    if not host.embedded(name:gsub("%.", "/") .. ".lua") then
      for key, value in next, require(name) do
        if type(value) == "function" then names[value] = short .. "." .. key end
      end
    end
  end
  return names
end

-- session:name_of(function) -> "http.request", or nil.
function Session:name_of(fn)
  if self.renamed[fn] then return self.renamed[fn] end
  self.native_names = self.native_names or native_names(self)
  if self.native_names[fn] then return self.native_names[fn] end
  for short in pairs(self.modules) do
    local module = rawget(self.env, short)
    if type(module) == "table" then
      for name, value in next, module do
        if value == fn then return short .. "." .. tostring(name) end
      end
    end
  end
  for object, mt in pairs(host.metatables()) do
    if type(mt.__index) == "table" then
      for name, value in next, mt.__index do
        if value == fn then return object:gsub("^moongate%.", "") .. ":" .. name end
      end
    end
  end
end

return M
