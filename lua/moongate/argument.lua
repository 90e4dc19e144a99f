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

-- argument.options(fn, options | nil, known, level) -> options, or {}. known: {name = type}, where "any" or true is any
-- type. Raises for a name that is not known and for a value of another type. level: as for check.
function M.options(fn, opts, known, level)
  for name, value in pairs(opts or {}) do
    local want = known[name]
    if not want then
      local names = {}
      for one in pairs(known) do names[#names + 1] = one end
      table.sort(names)
      local hint = require("moongate.suggest").hint(tostring(name), names)
      error(("%s: unknown option '%s'%s"):format(fn, tostring(name), hint), (level or 1) + 2)
    end
    if type(want) == "string" and want ~= "any" and type(value) ~= want then
      error(("%s: %s is a %s, expected a %s"):format(fn, name, type(value), want), (level or 1) + 2)
    end
  end
  return opts or {}
end

return M
