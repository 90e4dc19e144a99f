-- A closing that does not end, of the task that is to be ended.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
local function endless() while true do pcall(error) end end
local a <close> = setmetatable({}, { __close = endless })
local b <close> = setmetatable({}, { __close = endless })
endless()
