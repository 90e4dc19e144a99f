-- closing.lua - what is to be done when the command has ended, in whatever way it did: leases given back, state kept.
-- For trusted code only.

local log = require "moongate.log"

local M = {}

local waiting = {}

-- closing.add(name, fn): fn() when the command's task has ended, the newest first. It may wait, but not for long: the
-- user is looking at the prompt.
function M.add(name, fn)
  waiting[#waiting + 1] = { name = name, fn = fn }
end

-- ---- what was done of a job that was stopped ----

local Unfinished = {}
Unfinished.__index = Unfinished

local left = {}

function Unfinished:finish() self.finished = true end

function Unfinished:__close()
  if not self.finished then left[#left + 1] = self.tell end
end

-- closing.unfinished(tell) -> a value to be closed: unless :finish() was called before that, tell() -> line, data says
-- how far the job has come.
function M.unfinished(tell)
  return setmetatable({ tell = tell }, Unfinished)
end

-- closing.left() -> list of {message = line}, data of the last one.
function M.left()
  local lines, data = {}, nil
  for i, tell in ipairs(left) do
    local line
    line, data = tell()
    lines[i] = { message = line }
  end
  left = {}
  return lines, data
end

-- One that fails is logged: the command's result stands.
function M.run()
  while #waiting > 0 do
    local last = table.remove(waiting)
    local ok, err = pcall(last.fn)
    if not ok then log.warn("%s: %s", last.name, tostring(err)) end
  end
end

return M
