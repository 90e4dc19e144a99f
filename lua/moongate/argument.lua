-- argument.lua - a wrong argument of a script's is reported as the native modules do it: which one, of which function.

local M = {}

-- argument.check(n, fn, value, type, level): raises unless value is of the type ("table", "string"; "table?": or nil).
-- level: as for error(), from the function that calls this.
function M.check(n, fn, value, want, level)
  local plain = want:gsub("%?$", "")
  if type(value) == plain or (value == nil and plain ~= want) then return value end
  error(("bad argument #%d to '%s' (%s expected, got %s)"):format(n, fn, plain,
    value == nil and "no value" or type(value)), (level or 1) + 2)
end

return M
