-- genesys.lua - what the LLM gateway holds and where: a table of kinds. Data only.
--
-- The /api/v2/ai/ paths are not in the public Genesys Cloud API; they are what the gateway of this dialect speaks. A
-- project file can override every field of a kind and add kinds (gateway = { kinds = { index = { path = "…" } } });
-- kinds.lua says what the fields mean.

return {
  name = "genesys",
  kinds = {
    index = {
      title = "index",
      path = "/api/v2/ai/vectorstores/{vectorStoreId}/indexes/{indexId}",
      list = "/api/v2/ai/vectorstores/{vectorStoreId}/indexes",
      content = "configuration", -- GET answers {id, status, …, configuration: what PUT takes}
      schema = "index",
      limits = { dimensions = "/properties/dimensions/maximum" },
      lock = "etag",
      scopes = { read = "ai:vectorstore:read", write = "ai:vectorstore:write" },
      family = "index",
    },
    model = { -- registered by a job; what is registered is read as /api/v2/ai/models says
      title = "model",
      path = "/api/v2/ai/llm-gateway/models",
      list = "/api/v2/ai/models",
      create = "POST",
      same = { "name" },
      hash = "payloadHash",
      schema = "model_registration",
      limits = {
        requests_per_minute = "/properties/rateLimits/properties/maxRequestsPerMinute/maximum",
        tokens_per_minute = "/properties/rateLimits/properties/maxTokensPerMinute/maximum",
      },
      lock = "none",
      scopes = { read = "ai:models:read", write = "ai:llm-gateway:write" },
      family = "model",
      job = {
        path = "/api/v2/ai/jobs/{jobId}", field = "status", running = { "QUEUED", "RUNNING" },
        done = { "COMPLETED" }, failed = { "FAILED" }, scope = "ai:jobs:read", deadline = 120,
        max_interval = 3,
      },
    },
    model_health = { -- a check that the gateway makes; nothing is written
      title = "model health",
      path = "/api/v2/ai/llm-gateway/models/{modelId}/health-checks",
      healthy = { "healthy", "ok", "up", "pass", "passed", "green", "success", "succeeded", "available", "ready" },
      unhealthy = {
        "unhealthy", "failed", "fail", "error", "down", "critical", "red", "degraded", "unavailable", "timeout",
      },
      lock = "none",
      scopes = { read = "ai:llm-gateway:write" },
      family = "model",
    },
    template_version = {
      title = "template version",
      path = "/api/v2/ai/prompt-templates/{templateId}/versions",
      item = "/api/v2/ai/prompt-templates/{templateId}/versions/{version}",
      list = "/api/v2/ai/prompt-templates/{templateId}/versions",
      listed_by = { version = "version" },
      content = "*", -- GET answers what POST takes, and status, createdAt, …
      schema = "template",
      limits = { content_characters = "/properties/content/maxLength" },
      lock = "none",
      create = "POST",
      holds = "/api/v2/ai/prompt-templates/{templateId}", -- one at a time changes what is live
      same = { "version" },
      scopes = {
        read = "ai:prompt-template:read", write = "ai:prompt-template:write, ai:llm-gateway:manage",
      },
      hints = {
        { status = 409, pattern = "rollback",
          hint = "End the rollback: moongate promote-template --id TEMPLATE --end-rollback" },
      },
      family = "template",
    },
    template_rollback = {
      title = "rollback",
      path = "/api/v2/ai/prompt-templates/{templateId}/rollback",
      readable = false,
      holds = "/api/v2/ai/prompt-templates/{templateId}",
      lock = "none",
      scopes = { write = "ai:llm-gateway:manage" },
      family = "template",
    },
    registered_model = { -- what the gateway tells of a model, its capabilities among it
      title = "model",
      path = "/api/v2/ai/models/{modelId}",
      list = "/api/v2/ai/models",
      listed_by = { id = "modelId" },
      lock = "none",
      scopes = { read = "ai:models:read" },
      family = "model",
    },
    model_configuration = {
      title = "model configuration",
      path = "/api/v2/ai/models/{modelId}/configuration",
      schema = "model_configuration",
      lock = "etag",
      scopes = { read = "ai:models:read", write = "ai:llm:manage" },
      family = "model",
    },
    prompt = { -- sent by router.lua; nothing is kept of it
      title = "prompt",
      path = "/api/v2/ai/gateway/prompts",
      create = "POST",
      readable = false,
      lock = "none",
      idempotent = true, -- known by its X-Genesys-Request-Id
      scopes = { write = "ai:gateway:write, ai:prompt:execute" },
      refused = { -- goes on to the next model
        { status = 422, code = "policy.violation" },
        { status = { 400, 422, 451 }, pattern = "policy" },
        { status = { 400, 403, 422, 451 }, pattern = "policy.*violat" },
        { status = { 400, 403, 422, 451 }, pattern = "violat.*policy" },
        { status = { 400, 403, 422, 451 }, pattern = "content[%W_]*policy" },
        { status = { 400, 403, 422, 451 }, pattern = "content[%W_]*filter" },
        { status = { 400, 403, 422, 451 }, pattern = "content[%W_]*management" },
        { status = { 400, 403, 422, 451 }, pattern = "safety system" },
        { status = { 400, 403, 422, 451 }, pattern = "safety reason" },
        { status = { 400, 403, 422, 451 }, pattern = "moderation" },
        { status = { 400, 403, 422, 451 }, pattern = "guardrail" },
        { status = { 400, 403, 422, 451 }, pattern = "blocked by" },
      },
      too_long = { -- so does this
        { status = 413 },
        { status = { 400, 422 }, pattern = "context[%W_]*length" },
        { status = { 400, 422 }, pattern = "context[%W_]*window" },
        { status = { 400, 422 }, pattern = "context[%W_]*size" },
        { status = { 400, 422 }, pattern = "exceed.*token" },
        { status = { 400, 422 }, pattern = "token.*exceed" },
        { status = { 400, 422 }, pattern = "too many.*token" },
        { status = { 400, 422 }, pattern = "token[%W_]*limit" },
        { status = { 400, 422 }, pattern = "prompt.*too[%W_]*l[ao]" }, -- long, large
        { status = { 400, 422 }, pattern = "input.*too[%W_]*l[ao]" },
        { status = { 400, 422 }, pattern = "string_above_max_length" },
      },
      family = "prompt",
    },
  },
}
