-- Waiting for ever.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
while true do pcall(require("moongate.task").sleep, 3600) end
