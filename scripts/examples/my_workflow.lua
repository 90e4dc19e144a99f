-- my_workflow.lua: a workflow of one's own. Lists a store's indexes and turns automatic ingestion on or off where it is
-- not so already.
--
--   moongate --sim run scripts/examples/my_workflow.lua --ingest --vector-store sim-store
--   moongate run scripts/examples/my_workflow.lua --no-ingest --vector-store vs-1 --dry-run

local task = require "moongate.task"
local workflow = require "moongate.workflow"

-- One index: read it, change the one field, write it. Nothing is sent when it is as wanted.
local function switch(run, id, ingest)
  local place = { vectorStoreId = run.flags.vector_store, indexId = id }
  local live = run.gateway:get("index", place)
  live.content.autoIngestTrigger = ingest
  local result = run.gateway:write("index", place, { base = live, action = "ingest_switch" })
  return { index_id = id, status = result.status }
end

return workflow.define {
  name = "switch-ingest",
  summary = "turn automatic ingestion on or off for every index of a store",
  flags = {
    { "vector-store", "the vector store", env = "GENESYS_CLOUD_VECTOR_STORE_ID", required = true },
    { "ingest", "on; --no-ingest: off", type = "boolean", required = true },
  },
  run = function(run, args)
    local ids = {}
    for page in run.gateway:list("index", { vectorStoreId = args.vector_store }) do
      for _, index in ipairs(page.entities) do ids[#ids + 1] = index.id end
    end
    local results = assert(task.map(ids, 4, function(id) return switch(run, id, args.ingest) end))
    for _, r in ipairs(results) do run:say("%s: %s", r.index_id, r.status) end
    run:say("%d indexes", #results)
    return { results = results }
  end,
}
