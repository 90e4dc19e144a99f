-- left.lua - what a test's function has begun and not brought to an end: tasks that its file spawned, servers and
-- readers that its file opened. What the product starts by itself, and what hooks start, is not looked at here.
--
-- For suite.lua, which says when a test's function begins and has ended, and for sandbox.lua: a file of tests has
-- copies of the modules, and in these the functions that begin something are watched.
local errors = require "moongate.error"
local expect = require "moongate.test.expect"
local task = require "moongate.task"

local M = {}

local TURNS = 50 -- that a task which was cancelled has to be closed, and its children
local FRAMES = 8 -- between the file and what is watched: pcall, assert, ...

local noted          -- list of {is_left = , what = , where = }, while a test's function runs
local with_handles   -- whether what else than tasks is looked at

local function task_lives(t)
  local status = t:status()
  return status == "ready" or status == "running" or status == "waiting"
end

local function is_open(handle) return not tostring(handle):find "closed%)$" end

-- module -> function -> what it gives, how it was begun, whether that is still there
local WATCHED = {
  ["moongate.task"] = { spawn = { "task", "spawned", task_lives } },
  ["moongate.httpd"] = { serve = { "server", "started", is_open, handle = true } },
  ["moongate.fs"] = { lines = { "reader of lines", "opened", is_open, handle = true } },
}

-- Where the file called what is watched.
local function place()
  for level = 3, FRAMES do
    local where = expect.where(level)
    if where and not where:find "^moongate/" then return where end
  end
end

-- A mistake in a call is told at the caller's place, as without us.
local function given(ok, ...)
  if ok then return ... end
  local err = ...
  if type(err) ~= "string" then error(err, 0) end
  error((err:gsub("^[^\n:]*test/left%.lua:%d+: ", "")), 3)
end

local function watch(fn, kind)
  return function(...)
    local made, err = given(pcall(fn, ...))
    if made and noted and (with_handles or not kind.handle) then
      noted[#noted + 1] = { value = made, kind = kind, where = place() }
    end
    return made, err
  end
end

-- M.watch(name, module): the file's own copy of that module, which it will get.
function M.watch(name, module)
  for field, kind in pairs(WATCHED[name] or {}) do
    if module[field] then module[field] = watch(module[field], kind) end
  end
end

-- M.begin(handles): a test's function begins. handles: whether servers and readers count, too.
function M.begin(handles)
  noted, with_handles = {}, handles
end

function M.stop() noted = nil end

local function first_left(list)
  for _, note in ipairs(list) do
    if note.kind[3](note.value) then return note end
  end
end

-- M.check(): raises when something is left; in the task that has run the function, before it ends.
function M.check()
  local list = noted or {}
  noted = nil
  local note = first_left(list)
  for _ = 1, TURNS do
    if not note or note.kind.handle then break end
    task.yield()
    note = first_left(list)
  end
  if not note then return end
  errors.raise {
    code = "script", assertion = true, where = note.where,
    message = ("left a %s behind%s"):format(note.kind[1], note.where and
      (", %s at %s"):format(note.kind[2], note.where) or ""),
  }
end

return M
