-- indexes: vector-store indexes. A resource of the simulated gateway: new() makes its state, routes say what it
-- answers, show() what GET /__sim/state tells of it. To add a resource, copy this file and name the copy in
-- service.resources.
--
-- Writes are conditional: a PUT on an index that exists needs its current ETag in If-Match (412 when it is stale, 409
-- when it is missing), a PUT with If-None-Match: * creates only (412 when there is one). A vector store exists as
-- soon as it is named.
local checked = require "moongate.sim.checked"
local conditional = require "moongate.sim.conditional"
local errors = require "moongate.sim.errors"
local page = require "moongate.sim.page"
local time = require "moongate.time"

local M = { name = "indexes" }

local collection = "/api/v2/ai/vectorstores/{vectorStoreId}/indexes"
local item = collection .. "/{indexId}"
local schema = checked.schema "sim_index"
local precision = { float32 = 0.98, int8 = 0.95, binary = 0.9 }

function M.new()
  return { stores = {} }
end

-- ---- what is told of an index ----

local function status(index)
  return index.busy_until > time.monotonic() and "updating" or "active"
end

local function ingestion(index)
  if not index.ingest_until then return nil end
  return { trigger = "autoIngestTrigger", status = index.ingest_until > time.monotonic() and "running" or "completed" }
end

-- What a write answers.
local function update(index)
  return {
    id = index.id, status = status(index), updatedAt = index.updated_at, syncEventId = index.sync_event_id,
    retrievalPrecision = precision[index.configuration.embeddingFormat],
  }
end

-- What a read answers.
local function state(index)
  local s = update(index)
  s.configuration = index.configuration
  return s
end

function M.show(self)
  local stores = {}
  for store_id, store in pairs(self.stores) do
    stores[store_id] = {}
    for id, index in pairs(store) do
      local s = state(index)
      s.etag, s.version, s.ingestion = index.etag, index.version, ingestion(index)
      stores[store_id][id] = s
    end
  end
  return stores
end

function M.count(self)
  local n = 0
  for _, store in pairs(self.stores) do
    for _ in pairs(store) do n = n + 1 end
  end
  return n
end

-- ---- reading ----

local function find(gw, call)
  local store = gw.indexes.stores[call.params.vectorStoreId]
  return store and store[call.params.indexId]
end

local function list(gw, call)
  local store, entities = gw.indexes.stores[call.params.vectorStoreId] or {}, {}
  for _, index in pairs(store) do entities[#entities + 1] = state(index) end
  table.sort(entities, function(a, b) return a.id < b.id end)
  return page.response(call, entities)
end

local function get(gw, call)
  local index = find(gw, call)
  if not index then
    local p = call.params
    return errors.response(call, 404, "not.found",
      ("Index %s not found in vector store %s."):format(p.indexId, p.vectorStoreId))
  end
  return { headers = { ETag = index.etag }, json = state(index) }
end

-- ---- writing ----

-- Every fault of the body -> nil | response
local function check(call, config)
  local in_path, more = call.params.indexId, nil
  if type(config.indexId) == "string" and config.indexId ~= in_path then
    more = { errors.field("indexId", "mismatch", ("is %s in the body and %s in the path"):format(config.indexId,
      in_path)) }
  end
  return checked.body(call, schema, "index configuration", more)
end

-- The preconditions of a write -> nil | response
local function conflict(call, index)
  local refused = conditional.check(call, index and index.etag, "The index")
  if refused then return refused end
  if index and status(index) == "updating" then
    return errors.response(call, 409, "index.busy", "The index is still being updated.", nil, { ["Retry-After"] = "1" })
  end
end

local function put(gw, call)
  local config, now = call.body, time.monotonic()
  local index = find(gw, call)
  local refused = check(call, config) or conflict(call, index)
  if refused then return refused end

  local stores, store_id = gw.indexes.stores, call.params.vectorStoreId
  local created = not index
  index = index or { id = call.params.indexId, version = 0 }
  index.version = index.version + 1
  index.configuration = config
  index.etag = conditional.etag(index.version, config)
  index.updated_at = time.iso()
  index.sync_event_id = gw.rng:uuid()
  index.busy_until = now + gw.options.busy
  index.ingest_until = config.autoIngestTrigger and now + gw.options.ingest or nil
  stores[store_id] = stores[store_id] or {}
  stores[store_id][index.id] = index

  if config.webhookSyncUrl then
    gw.webhooks:send(config.webhookSyncUrl, {
      type = "index.synced",
      timestamp = index.updated_at,
      data = { syncEventId = index.sync_event_id, vectorStoreId = store_id, indexId = index.id, status = "active" },
    })
  end
  return { status = created and 201 or 200, headers = { ETag = index.etag }, json = update(index) }
end

M.routes = {
  { "GET", collection, scope = "ai:vectorstore:read", handler = list },
  { "GET", item, scope = "ai:vectorstore:read", handler = get },
  { "PUT", item, scope = "ai:vectorstore:write", body = "json", handler = put },
}

return M
