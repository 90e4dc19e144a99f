-- models: the registry. Three models are there from the start, with ids that never change; more come by registration
-- (model_jobs.lua). Other resources find a model here: find(gw, id), named(gw, name).
--
-- Own, for lack of a source: status, modelArchitecture, endpointUrl, payloadHash and createdAt of a model; a name that
-- is taken is taken again; what a health check answers (a name that begins with "sick-" is UNHEALTHY).
local errors = require "moongate.sim.errors"
local json = require "moongate.json"
local page = require "moongate.sim.page"
local time = require "moongate.time"

local M = { name = "models" }

local collection = "/api/v2/ai/models"
local registry = "/api/v2/ai/llm-gateway/models"

-- What a registered model can do, and those that are there from the start.
local DEFAULT = { max_context_window = 32768, restricted_safety_filters = {} }

M.PRELOADED = {
  {
    id = "5a3e1a00-0000-4000-8000-000000000001", name = "sim-small",
    capabilities = { max_context_window = 4096, restricted_safety_filters = {} },
  },
  {
    id = "5a3e1a00-0000-4000-8000-000000000002", name = "sim-large",
    capabilities = { max_context_window = 131072, restricted_safety_filters = {} },
  },
  {
    id = "5a3e1a00-0000-4000-8000-000000000003", name = "sim-strict", -- these filters may not block
    capabilities = { max_context_window = 8192, restricted_safety_filters = { "political", "self_harm" } },
  },
}

-- ---- the registry ----

-- model: {id, name, capabilities, …}. Keeps it, in the order of arrival.
local function add(self, model)
  model.created_at = model.created_at or time.iso()
  self.list[#self.list + 1] = model
  self.by_id[model.id] = model
  return model
end

function M.new()
  local self = { list = {}, by_id = {} }
  for _, model in ipairs(M.PRELOADED) do
    add(self, { id = model.id, name = model.name, capabilities = model.capabilities, architecture = "custom" })
  end
  return self
end

-- registration: a body as it was sent; payload_hash: of that body -> the model
function M.register(gw, registration, payload_hash)
  return add(gw.models, {
    id = gw.rng:uuid(), name = registration.name, architecture = registration.modelArchitecture,
    endpoint_url = registration.endpointUrl, registration = registration, payload_hash = payload_hash,
    capabilities = DEFAULT,
  })
end

-- -> the model {id, name, capabilities = {max_context_window, restricted_safety_filters}, …} | nil
function M.find(gw, id)
  return gw.models.by_id[id]
end

-- -> the model that was registered last under that name | nil
function M.named(gw, name)
  for i = #gw.models.list, 1, -1 do
    if gw.models.list[i].name == name then return gw.models.list[i] end
  end
end

-- ---- what is told of a model ----

local function shown(model)
  return {
    id = model.id, name = model.name, status = "active", createdAt = model.created_at,
    modelArchitecture = model.architecture, endpointUrl = model.endpoint_url, payloadHash = model.payload_hash,
    capabilities = {
      max_context_window = model.capabilities.max_context_window,
      restricted_safety_filters = json.array(table.move(model.capabilities.restricted_safety_filters, 1,
        #model.capabilities.restricted_safety_filters, 1, {})),
    },
  }
end

function M.show(self)
  local out = {}
  for _, model in ipairs(self.list) do
    local entry = shown(model)
    entry.registration = model.registration
    out[model.id] = entry
  end
  return out
end

function M.count(self)
  return #self.list
end

-- ---- routes ----

-- The model that the path names -> model | nil, response
function M.of_call(gw, call)
  local model = M.find(gw, call.params.modelId)
  if model then return model end
  return nil, errors.response(call, 404, "not.found", ("Model %s not found."):format(call.params.modelId))
end

local function list(gw, call)
  local entities = {}
  for i, model in ipairs(gw.models.list) do entities[i] = shown(model) end
  return page.response(call, entities)
end

local function get(gw, call)
  local model, refused = M.of_call(gw, call)
  return refused or { json = shown(model) }
end

local function check_health(gw, call)
  local model, refused = M.of_call(gw, call)
  if refused then return refused end
  return { json = {
    id = gw.rng:uuid(), modelId = model.id, status = model.name:find "^sick%-" and "UNHEALTHY" or "HEALTHY",
    checkedAt = time.iso(),
  } }
end

M.routes = {
  { "GET", collection, scope = "ai:models:read", handler = list },
  { "GET", collection .. "/{modelId}", scope = "ai:models:read", handler = get },
  { "POST", registry .. "/{modelId}/health-checks", scope = "ai:llm-gateway:write", handler = check_health },
}

return M
