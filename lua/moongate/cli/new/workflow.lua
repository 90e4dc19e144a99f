-- your-workflow: bring a vector-store index to what a file says, and look whether it is so.
--
--   moongate --sim your-workflow sample.json     -- against a simulated gateway
--   moongate your-workflow sample.json --dry-run
--
-- A step is done once: a run that is cut off goes on behind the last one that was done. What a step returns is plain
-- data, and kept.

local index = require "moongate.index"
local workflow = require "moongate.workflow"

return workflow.define {
  name        = "your-workflow",
  summary     = "bring an index to what a file says",
  categories  = { "write" },
  args        = { { "config", "the index's configuration (JSON)" } },
  flags       = {
    { "vector-store", "the vector store", env = "GENESYS_CLOUD_VECTOR_STORE_ID", default = "sim-store" },
  },
  permissions = { env = { "GENESYS_CLOUD_VECTOR_STORE_ID" } },
  examples    = { { "moongate --sim your-workflow sample.json" } },
  run         = function(run, args)
    local config = index.load(args.config) -- raises with every fault of the file

    local before = run:step("look", function()
      local live = index.get(run.gateway, args, config)
      return { there = live ~= nil, etag = live and live.etag }
    end)

    local written = run:step("put", function()
      local live = before.there and index.get(run.gateway, args, config, { for_write = true }) or nil
      local result = index.put(run.gateway, args, config, live)
      return { status = result.status, changes = #result.changes }
    end)
    if run.dry_run or written.status == "unchanged" then return written end

    local now = run:step("confirm", function()
      local live = index.get(run.gateway, args, config)
      return { etag = live.etag, dimensions = live.content.dimensions }
    end)
    run:say("%s: %s, %d dimensions", config.indexId, written.status, now.dimensions)
    return { status = written.status, etag = now.etag, dimensions = now.dimensions }
  end,
}
