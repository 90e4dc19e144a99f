-- trace.lua - spans: named parts of a run, one inside the other.

local M = {}

local NO_SPAN = { set = function() end }

-- trace.span(name, attributes, fn) -> what fn(span) returns.
function M.span(_, _, fn)
  return fn(NO_SPAN)
end

return M
