-- writes.lua - what the gateway's write path counts. For gateway.lua only.

local M = {}

-- M.new(registry) -> function(kind, status, seconds | nil): one write has ended.
function M.new(registry)
  local writes = registry:counter("moongate_writes_total",
    "Writes by kind of resource and how they ended; unchanged and planned ones sent nothing.", { "kind", "status" })
  local seconds = registry:histogram("moongate_write_duration_seconds",
    "Time from the audit's intent to the outcome of a write that was sent, waits and retries included.",
    { "kind", "status" })
  return function(kind, status, took)
    writes:add(1, kind, status)
    if took then seconds:observe(took, kind, status) end
  end
end

return M
