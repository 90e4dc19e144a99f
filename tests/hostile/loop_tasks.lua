-- Tasks that are never tired.
-- flags: --max-time 1s --max-memory 128M
-- status: 1
-- says: took longer than --max-time
local task = require "moongate.task"
while true do
  task.spawn(function() while true do task.sleep(0) end end)
  task.sleep(0)
end
