-- A time limit of its own does not help it.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
local task = require "moongate.task"
while true do pcall(task.timeout, 0.1, function() while true do pcall(task.sleep, 1) end end) end
