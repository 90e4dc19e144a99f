-- A result that does not end when it is shown.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time|no JSON form|cycle|.
local function endless() while true do pcall(error) end end
return setmetatable({}, { __tostring = endless, __pairs = endless, __index = endless, __len = endless, __name = "x" })
