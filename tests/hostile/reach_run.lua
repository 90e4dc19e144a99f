-- The store, the journal and the leases behind a run and its gateway.
-- flags: --sim
-- status: 0
-- says: looked
local workflow = require "moongate.workflow"
return workflow.define {
  name = "reach-run", summary = "looks behind its run", args = { { "word", "of the test", repeated = true } },
  run = function(run)
    local sql = "INSERT INTO queue_items (queue, seq, request_id, payload_json, state) VALUES ('messages', 9, 'x', 'x', 'queued')"
    for _, object in ipairs { run, run.gateway, run.metrics } do
      for _, name in ipairs { "journal", "_journal", "store", "db", "_session", "_client", "_cache", "leases",
        "__index" } do
        for _, value in ipairs { object[name] or false, rawget(object, name) or false } do
          if value then print("LEAK " .. name) end
          pcall(function() print("LEAK", value.db:exec(sql)) end)
        end
      end
      if type(getmetatable(object)) == "table" then print "LEAK metatable" end
    end
    run.gateway.write = nil
    run.audit.intent = nil
    return { text = "looked" }
  end,
}
