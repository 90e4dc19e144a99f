-- A write for a gateway that it may not talk to, left for a later flush to send.
-- flags: --sim
-- status: 6
-- says: may not send to
local gateway = require "moongate.gateway"
local client = { base_url = "https://gateway.example.com", request = function() end }
local gw = gateway.open { client = client, queue = true }
local result = gw:write("index", { vectorStoreId = "vs", indexId = "i" }, {
  base = { stale = true, content = {} },
  content = { indexId = "i", dimensions = 8, similarityMetric = "cosine", embeddingFormat = "float32" },
})
print("LEAK " .. tostring(result.status))
