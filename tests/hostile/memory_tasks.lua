-- Tasks without end.
-- flags: --max-memory 64M --max-time 10s
-- status: 1
-- says: not enough memory|memory limit|too large|too much memory|more than
local task = require "moongate.task"
while true do task.spawn(function() task.sleep(60) end) end
