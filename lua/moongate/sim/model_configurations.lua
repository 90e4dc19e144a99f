-- model_configurations: what a model is configured as. Writes are conditional, see conditional.lua, and must agree with
-- the model's capabilities (models.lua).
--
-- Own, for lack of a source: two of the models that are there from the start have a configuration from the start, every
-- other has none until the first PUT; with the option busy a configuration refuses writes for a while after one.
local checked = require "moongate.sim.checked"
local conditional = require "moongate.sim.conditional"
local errors = require "moongate.sim.errors"
local json = require "moongate.json"
local models = require "moongate.sim.models"
local time = require "moongate.time"

local M = { name = "model_configurations" }

local path = "/api/v2/ai/models/{modelId}/configuration"
local schema = checked.schema "model_configuration"

-- What the first two models are configured as.
local function from_the_start(id)
  return {
    model_id = id, temperature_matrix = { default = 0.7, creative = 1, precise = 0.2 },
    safety_filters = json.array { { filter_type = "profanity", action = "flag", threshold = 50 } },
    max_tokens = 1024, compliance_mode = "standard",
  }
end

-- Keeps a configuration -> what is held of it
local function keep(self, id, configuration, busy)
  local held = self[id] or { version = 0 }
  held.version = held.version + 1
  held.configuration = configuration
  held.etag = conditional.etag(held.version, configuration)
  held.busy_until = time.monotonic() + busy
  self[id] = held
  return held
end

function M.new()
  local self = {}
  for i = 1, 2 do
    local id = models.PRELOADED[i].id
    keep(self, id, from_the_start(id), 0)
  end
  return self
end

function M.count(self)
  local n = 0
  for _ in pairs(self) do n = n + 1 end
  return n
end

function M.show(self)
  local out = {}
  for id, held in pairs(self) do
    out[id] = { configuration = held.configuration, etag = held.etag, version = held.version }
  end
  return out
end

-- ---- what the capabilities say ----

local function restricted(model)
  local set = {}
  for _, name in ipairs(model.capabilities.restricted_safety_filters) do set[name] = true end
  return set
end

-- Faults of the body that the schema can't see, as details.
local function rules(model, config)
  local details, window, may_not_block = {}, model.capabilities.max_context_window, restricted(model)
  if type(config.model_id) == "string" and config.model_id:lower() ~= model.id then
    details[1] = errors.field("model_id", "mismatch", ("is %s in the body and %s in the path"):format(config.model_id,
      model.id))
  end
  if math.type(config.max_tokens) and config.max_tokens > window then
    details[#details + 1] = errors.field("max_tokens", "context.window",
      ("is above the model's context window of %d"):format(window))
  end
  for i, filter in ipairs(json.is_array(config.safety_filters) and config.safety_filters or {}) do
    if type(filter) == "table" and filter.action == "block" and may_not_block[filter.filter_type] then
      details[#details + 1] = errors.field(("safety_filters.%d.action"):format(i - 1), "filter.restricted",
        ("the filter %s can't block on this model"):format(filter.filter_type))
    end
  end
  return details
end

-- ---- routes ----

local function answer(held)
  return { headers = { ETag = held.etag }, json = held.configuration }
end

local function get(gw, call)
  local model, refused = models.of_call(gw, call)
  if refused then return refused end
  local held = gw.model_configurations[model.id]
  if held then return answer(held) end
  return errors.response(call, 404, "not.found", ("The model %s has no configuration yet."):format(model.id))
end

local function put(gw, call)
  local model, refused = models.of_call(gw, call)
  if refused then return refused end
  local config, held = call.body, gw.model_configurations[model.id]
  refused = checked.body(call, schema, "model configuration", rules(model, config))
    or conditional.check(call, held and held.etag, "The configuration")
  if refused then return refused end
  if held and held.busy_until > time.monotonic() then
    return errors.response(call, 409, "model.busy", "The configuration is still being applied.", nil,
      { ["Retry-After"] = "1" })
  end
  config.compliance_mode = config.compliance_mode or "standard"
  return answer(keep(gw.model_configurations, model.id, config, gw.options.busy))
end

M.routes = {
  { "GET", path, scope = "ai:models:read", handler = get },
  { "PUT", path, scope = "ai:llm:manage", body = "json", handler = put },
}

return M
