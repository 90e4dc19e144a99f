-- confirm.lua - a question on a terminal before something that can't be undone.

local fail = require "moongate.fail"
local host = require "moongate.host"

local M = {}

-- M.ask(ctx, what, question) -> whether the person said yes. Without a terminal it is a usage error that names --yes:
-- nobody is there to ask. what: the command.
function M.ask(ctx, what, question)
  if not host.isatty(0) then fail.usage("%s asks on a terminal; elsewhere it needs --yes", what) end
  ctx:tell(question .. " [y/N]")
  local lines <close> = host.fs.lines "-"
  local read = lines:read(1)
  return read ~= nil and read[1] ~= nil and read[1]:lower():find "^%s*y" ~= nil
end

return M
