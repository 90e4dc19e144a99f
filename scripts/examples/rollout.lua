-- rollout.lua: a workflow of three steps that may be killed at any moment and resumed. docs/runs.md walks
-- through it.
--
--   moongate --sim run scripts/examples/rollout.lua orders --vector-store demo
--   moongate --run-id build-17 run scripts/examples/rollout.lua orders --vector-store vs-1

local uuid = require "moongate.uuid"
local workflow = require "moongate.workflow"

return workflow.define {
  name = "rollout",
  summary = "write an index, ask a model, notify the team",
  args = { { "index", "the index's id" } },
  flags = {
    { "vector-store", "the vector store", env = "GENESYS_CLOUD_VECTOR_STORE_ID", required = true },
    { "model", "the model's id", default = "5a3e1a00-0000-4000-8000-000000000001" },
    { "settle", "time to wait between the two", type = "duration", default = "0s" },
  },
  run = function(run, args)
    -- What is read outside of steps is read again when the run is resumed.
    local place = { vectorStoreId = args.vector_store, indexId = args.index }
    local live = run.gateway:get("index", place)
    local config = {
      indexId = args.index, dimensions = 768, similarityMetric = "cosine", embeddingFormat = "float32",
    }

    -- 1. A write of the gateway finds out whether it took effect.
    local put = run:step("put the index", function()
      return run.gateway:write("index", place, { base = live, content = config })
    end)

    run:sleep(args.settle) -- the journal keeps the end time

    -- 2. Any other request that must take effect once needs an id, created outside of the step: a resumed run gets the
    -- same id. The gateway recognises the prompt by it.
    local request = uuid.v4()
    local answer = run:step("ask the model", function()
      local sent = run.gateway:post_path("/api/v2/ai/gateway/prompts", {
        modelId = args.model, prompt = "Are you there?", parameters = { temperature = 0 },
      }, {
        headers = { ["X-Genesys-Request-Id"] = request, ["X-Correlation-Id"] = "route-" .. request },
        idempotent = true,
      })
      return sent.body.output
    end)

    -- 3. A step that only notifies: the message is stored together with the end of the step and is never lost.
    run:step("notify the team", function()
      return { index = args.index, etag = put.etag, answer = answer }
    end, { webhook = function(told) return "rollout_done", told end })

    return { index = args.index, status = put.status, etag = put.etag, answer = answer }
  end,
}
