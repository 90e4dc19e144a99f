-- raised.lua - anything that was raised, as a table with code and message: what reports, exit statuses and tests read.
local sandbox = require "moongate.sandbox"

local M = {}

-- An error inside of a module of ours: with a script of the user's it is taken for a wrong argument.
local function inside(err, module)
  if not sandbox.user_code then
    err.code, err.hint = "bug", "This is a bug in moongate: please report it with the output of -v."
    return
  end
  if module and sandbox.for_scripts("moongate." .. module) then
    err.hint = err.hint or ("`moongate help %s` shows its functions and their arguments"):format(module)
  end
end

-- Anything that was raised -> a table with code and message. A plain string is a script's error; one whose place is
-- inside a module of ours is a bug, unless a script of the user's called it.
function M.normal(err)
  if type(err) ~= "table" or not err.code then
    local message = type(err) == "string" and err or ("raised a %s value"):format(type(err))
    local where, rest = message:match("^([^\n:]+:%d+): (.*)$")
    err = { code = "script", message = rest or message, where = where }
  end
  local ours = err.code == "script" and tostring(err.where):find("^moongate/")
  if ours and tostring(err.message):find "^workflow%.define: " then
    err.where = nil -- of `return workflow.define {…}`, a tail call, Lua keeps no line
  elseif ours or err.raised_at then
    inside(err, tostring(err.raised_at or err.where):match "^moongate/([%w_]+)")
    if err.code == "script" and ours then err.where = nil end
  end
  return err
end

return M
