-- A finalizer that does not end: scripts have none.
-- flags: --max-time 1s
-- status: 1
-- says: __gc is not available
local mt = {}
local t = setmetatable({}, mt)
mt.__gc = function() while true do end end -- too late to count
t = nil
collectgarbage()
setmetatable({}, { __gc = function() while true do end end })
