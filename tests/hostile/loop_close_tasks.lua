-- Many tasks whose closing takes its time.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
local task = require "moongate.task"
for _ = 1, 200 do
  task.spawn(function()
    local x <close> = setmetatable({}, { __close = function() for _ = 1, 1e9 do end end })
    task.sleep(60)
  end)
end
task.sleep(60)
