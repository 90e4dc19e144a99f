-- slots.lua - how many things of a batch are worked on in parallel. A thing that only waits for others, as for a
-- webhook's receiver, gives its slot to the next one until it continues. For batch.lua and outbox.lua.

local task = require "moongate.task"

local M = {}

local Slots = {}
Slots.__index = Slots

local slots_of = setmetatable({}, { __mode = "k" }) -- coroutine -> the slots that it has one of

-- slots.new(n) -> slots
function M.new(n)
  return setmetatable({ free = task.semaphore(n), door = task.semaphore(1) }, Slots)
end

-- slots:with(fn, …) -> what fn returns. Only one new thing at a time waits for a slot: things that continue are first.
function Slots:with(fn, ...)
  self.door:with(self.free.acquire, self.free)
  local co = coroutine.running()
  slots_of[co] = self
  local results = table.pack(pcall(fn, ...))
  slots_of[co] = nil
  self.free:release()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- slots.aside(fn, …) -> what fn returns. The slot of this task, if it has one, is another's until fn returns.
function M.aside(fn, ...)
  local slots = slots_of[coroutine.running()]
  if not slots then return fn(...) end
  slots.free:release()
  local results = table.pack(pcall(fn, ...))
  slots.free:acquire()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

return M
