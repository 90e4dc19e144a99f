-- ids.lua - the request ids of a run's prompts: the same in every life of the run, and for whoever sends them, so that
-- the gateway sees one effect of a prompt however often it is sent. For router/stream.lua and router/enqueue.lua.
--
-- Version 8 UUIDs (RFC 9562, 5.8): the first 80 bits are those of the version 5 UUID of "run <its id>" in the namespace
-- below, the last 48 the number of the prompt's line: a hash for each would cost more than all else that is done for
-- the id. For the ith model of a prompt's chain from the second on (send.lua) they are version 5 UUIDs, of i in the
-- prompt's own.

local uuid = require "moongate.uuid"

local M = {}

M.NAMESPACE = "9b1d6bd2-5f0e-5b0a-8a53-0c3f5b7e3d10"

-- What the ids of the run's lines begin with. Without a run nobody will know them again.
local function space_of(run_id)
  local id = run_id and uuid.v5(M.NAMESPACE, "run " .. run_id) or uuid.v4()
  return id:sub(1, 14) .. "8" .. id:sub(16, 24)
end

local BYTES = {}
for i = 0, 255 do BYTES[i] = ("%02x"):format(i) end

-- M.of_lines(run id | nil) -> function(number of the line) -> request id
function M.of_lines(run_id)
  local space = space_of(run_id)
  local high, prefix
  return function(number)
    if number >> 8 ~= high then
      high = number >> 8
      prefix = ("%s%010x"):format(space, high)
    end
    return prefix .. BYTES[number & 255]
  end
end

return M
