-- Error objects that do things when they are looked at.
-- status: 1|7
-- says: .
local function act()
  local value = require("moongate.fs").read "../outside/canary"
  if value then print("LEAK " .. value) end
  return "told"
end
error(setmetatable({ code = "denied", exit_status = 0 }, {
  __tostring = act, __index = function(_, k) act() return k == "message" and act or nil end, __pairs = act, __name = "moongate.error",
}))
