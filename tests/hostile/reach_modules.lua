-- Modules that trusted code is made of, a copy of a public one changed in its depth, and a run in a run whose store is
-- the script's own.
-- status: 0
-- says: looked
for _, name in ipairs { "store", "journal", "lease", "lease.rows", "outbox", "outbox.rows", "shared", "runs", "sealed",
  "scope", "child", "host", "queue", "queue.kinds.write", "workflow.hold", "workflow.session", "gateway.write", "test",
  "gateway.queue_stage", "router.checkpoint", "webhooks.state", "sim.service", "dialects.genesys", "trace" } do
  if pcall(require, "moongate." .. name) then print("LEAK " .. name) end
  if require "moongate"[name] then print("LEAK field " .. name) end
end
local workflow = require "moongate.workflow"
if workflow.execute or workflow.open then print "LEAK execute" end
require("moongate.metrics").SECONDS[1] = "mine"
require("moongate.router").SAFETY[1] = "mine"
print "looked"
