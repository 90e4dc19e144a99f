-- holder.lua - who has a row of the outbox: a process, and which of its deliveries. Another process of the same machine
-- can tell from the text that it is gone; elsewhere a lease runs out. For outbox.lua and what it stands on.

local host = require "moongate.host"
local json = require "moongate.json"
local uuid = require "moongate.uuid"

local M = {}

-- A new token: no two deliveries share one.
function M.token()
  local process = host.process()
  process.delivery = uuid.v4()
  return assert(json.encode(process))
end

-- Whether the process that made a token is certainly gone.
function M.gone(token)
  local process = json.decode(token)
  return type(process) == "table" and host.process_life(process) == "gone"
end

return M
