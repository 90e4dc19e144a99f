-- stopping.lua - what a signal or the end of --max-time cancels, and the error that comes of it. What is around it goes
-- on: metrics are written, spans sent, leases given back, and the run's status kept, always in this order.

local closing = require "moongate.closing"
local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local host = require "moongate.host"
local scope = require "moongate.scope"
local task = require "moongate.task"

local M = {}

-- M.error() -> the error of what was stopped, with what was done of it until then. expected: it is the end that the
-- command has.
function M.error()
  local why = host.why_stopped()
  local err
  if why == "timeout" then
    err = errors.new {
      code = "timeout", message = ("the run took longer than --max-time %gs, and was ended"):format(
        host.options().max_time),
    }
    err.exit_status = exit_status.FAILED
  else
    err = errors.new { code = "interrupted", message = "interrupted" }
    err.expected = why == "expected" or nil
  end
  local lines, summary = closing.left()
  if #lines > 0 then err.details, err.summary = lines, summary end
  return err
end

-- M.call(fn, ...) -> what fn(...) returns, in a task that a stop cancels; raises what fn raises, and M.error().
function M.call(fn, ...)
  local args = table.pack(...)
  local job = task.spawn(function()
    scope.stoppable "command"
    return fn(table.unpack(args, 1, args.n))
  end)
  local results = table.pack(job:join())
  if job:status() == "cancelled" then error(M.error(), 0) end
  if job:status() ~= "done" then error(results[2], 0) end
  return table.unpack(results, 1, results.n)
end

return M
