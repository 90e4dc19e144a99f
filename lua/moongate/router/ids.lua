-- ids.lua - the request ids of a run's prompts: the same in every life of the run, and for whoever sends them, so that
-- the gateway sees one effect of a prompt however often it is sent. For router/stream.lua and router/enqueue.lua.
--
-- Version 5 UUIDs: of "run <its id>" in the namespace below, in that of the line's number, and for the ith model of a
-- prompt's chain from the second on (send.lua) in that of i.

local uuid = require "moongate.uuid"

local M = {}

M.NAMESPACE = "9b1d6bd2-5f0e-5b0a-8a53-0c3f5b7e3d10"

-- M.space(run id | nil: one that nobody will know again) -> the namespace of the run's lines
function M.space(run_id)
  return run_id and uuid.v5(M.NAMESPACE, "run " .. run_id) or uuid.v4()
end

-- M.of_line(space, number of the line) -> request id
M.of_line = uuid.v5

return M
