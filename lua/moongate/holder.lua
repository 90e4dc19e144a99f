-- holder.lua - who has a message, a prompt or a lease: a process, and which of its parts. Another process of the same
-- machine can tell from the text that it is gone; elsewhere what it has runs out. For the queues and lease.lua.

local host = require "moongate.host"
local json = require "moongate.json"
local uuid = require "moongate.uuid"

local M = {}

-- A new token: no two deliveries or workers share one.
function M.token()
  local process = host.process()
  process.delivery = uuid.v4()
  return assert(json.encode(process))
end

-- The process itself: all that it holds under this name is shared by its tasks. process: as host.process gives it.
function M.name(process)
  return ("%s %d %d %s %s"):format(process.host, process.pid, process.started, process.boot:sub(1, 8), process.space)
end

-- Whether the process that made a token is certainly gone.
function M.gone(token)
  local process = json.decode(token)
  return type(process) == "table" and host.process_life(process) == "gone"
end

return M
