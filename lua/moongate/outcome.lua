-- outcome.lua - what a function of the user returned: the native modules' nil and an error is a failure there too, or
-- `return http.get(url)` at the end of a script would succeed whatever came of it.

local errors = require "moongate.error"

local M = {}

-- outcome.checked(...) -> the same; raises the second value where the first is nil (or false, with an error object).
function M.checked(...)
  local first, err = ...
  if (first == nil and err ~= nil) or (first == false and errors.is(err)) then error(err, 0) end
  return ...
end

return M
