-- A result that does things when it is shown.
-- status: 0|1|7
-- says: .
local fs = require "moongate.fs"
local function act()
  local value = fs.read "../outside/canary"
  if value then print("LEAK " .. value) end
  return "shown"
end
return setmetatable({ a = 1 }, { __tostring = act, __index = act, __pairs = function(t) act() return next, t end, __len = act })
