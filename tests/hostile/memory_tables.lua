-- Tables in tables.
-- flags: --max-memory 64M --max-time 10s
-- status: 1
-- says: not enough memory|memory limit|too large|too much memory|more than
local t = {}
while true do t = { t, {}, {} } end
