-- rounded.lua - measured times as results, audit lines and tables hold them.
local floor = math.floor

local M = {}

-- One decimal; an integer where that is 0, so that canonical JSON has no ".0".
function M.tenths(number)
  local tenths = floor(number * 10 + 0.5) / 10
  return math.tointeger(tenths) or tenths
end

-- Seconds -> milliseconds of this form.
function M.milliseconds(seconds) return M.tenths(seconds * 1000) end

return M
