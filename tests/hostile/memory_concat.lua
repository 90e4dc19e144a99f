-- Many references to one string, joined.
-- flags: --max-memory 64M --max-time 10s
-- status: 1
-- says: not enough memory|memory limit|too large|too much memory|more than
local t, s = {}, ("x"):rep(1 << 20)
for i = 1, 1000 do t[i] = s end
return #table.concat(t)
