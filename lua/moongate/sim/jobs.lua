-- jobs: work that outlives the request that caused it (webhook deliveries). One task hands jobs out, each to a task
-- of its own.
local log = require "moongate.log"
local task = require "moongate.task"

local M = {}
M.__index = M

-- The bell is a semaphore of one permit, which is there while it has been rung and nobody has come.
function M.new()
  return setmetatable({ queue = {}, pending = 0, bell = task.semaphore(1), rung = true }, M)
end

-- fn runs later, in a task of its own. What it raises is logged.
function M:add(fn)
  self.queue[#self.queue + 1] = fn
  self.pending = self.pending + 1
  if not self.rung then
    self.rung = true
    self.bell:release()
  end
end

local function run(self, fn)
  local ok, err = pcall(fn)
  self.pending = self.pending - 1
  if not ok then log.error("sim: %s", tostring(err)) end
end

function M:start()
  self.task = task.spawn(function()
    while true do
      self.bell:acquire()
      self.rung = false
      local queue = self.queue
      self.queue = {}
      for _, fn in ipairs(queue) do task.spawn(run, self, fn) end
    end
  end)
end

-- Waits until nothing is left to do, at most so many seconds -> whether nothing is left.
function M:settle(seconds)
  local step, waited = 0.005, 0
  while self.pending > 0 and waited < seconds do
    task.sleep(step)
    waited = waited + step
  end
  return self.pending == 0
end

function M:stop()
  if self.task then self.task:cancel() end
  self.task, self.queue, self.pending = nil, {}, 0
end

return M
