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
  },
}
