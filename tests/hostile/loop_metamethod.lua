-- A metamethod that does not end.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
local t = setmetatable({}, { __index = function() while true do pcall(error) end end })
while true do pcall(function() return t.x end) end
