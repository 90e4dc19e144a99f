-- A string that is doubled without end.
-- flags: --max-memory 64M --max-time 10s
-- status: 1
-- says: not enough memory|memory limit|too large|too much memory|more than
local s = "x"
while true do s = s .. s end
