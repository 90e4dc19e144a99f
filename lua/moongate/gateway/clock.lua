-- clock.lua - time and chance as the gateway module uses them; tests pass their own table of this form.
local task = require "moongate.task"
local time = require "moongate.time"

return {
  monotonic = time.monotonic,
  sleep = task.sleep,
  random = math.random, -- for the jitter of waits only
}
