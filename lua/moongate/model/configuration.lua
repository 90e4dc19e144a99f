-- configuration.lua - what a model is configured as: files read and checked, the model's capabilities, one
-- configuration put, read back and compared. Reached through moongate.model (model.configuration).

local answer = require "moongate.gateway.answer"
local argument = require "moongate.argument"
local documents = require "moongate.documents"
local errors = require "moongate.error"
local files = require "moongate.model.configuration_files"
local hash = require "moongate.hash"
local json = require "moongate.json"
local queue_stage = require "moongate.gateway.queue_stage"
local time = require "moongate.time"
local uuid = require "moongate.uuid"

local M = {}

-- ---- files ----

-- M.check(document [, {text, file}]) -> config as it is sent; or nil, faults.
function M.check(document, opts)
  return files.check(document, opts or {})
end

-- M.load_all(paths [, {only = {names}}]) -> list of {name, file, config} in the order given; a folder stands for the
-- *.json files in it, by name; a file may hold a set. Raises all faults of all files as one error, "invalid"; "usage"
-- for a name in `only` that there is not.
function M.load_all(paths, opts)
  return files.load_all(paths, argument.options("model.configuration.load_all", opts, { only = true }).only)
end

-- ---- what a model can do ----

local function list_of(value)
  return type(value) == "table" and (json.is_array(value) or #value > 0) and value or nil
end

-- What a document says of a model: in its member capabilities, or at its top level.
local function capabilities_of(body)
  body = documents.is_object(body) and body or {}
  local told = documents.is_object(body.capabilities) and body.capabilities or {}
  local function get(name, other) return told[name] or told[other] or body[name] or body[other] end
  local window = get("max_context_window", "maxContextWindow")
  return {
    name = type(body.name) == "string" and body.name or nil,
    max_context_window = math.type(window) and math.tointeger(window) or nil,
    restricted_safety_filters = list_of(get("restricted_safety_filters", "restrictedSafetyFilters")),
  }
end

-- Statuses of a path that the gateway does not serve.
local NOT_SERVED = { [405] = true, [501] = true }

-- M.capabilities(gateway, model_id) -> {name, max_context_window, restricted_safety_filters}, a field that the gateway
-- does not tell being nil; nil when it does not know the model; nil, true when it tells nothing of models. Read from
-- the model's own path, else from the listing.
function M.capabilities(gateway, model_id)
  local ok, found, unserved = pcall(gateway.get, gateway, "registered_model", { modelId = model_id },
    { fresh = not gateway.queue })
  if not ok then
    local listing = errors.is(found) and found.path == gateway:kind("registered_model").list
    if errors.is(found) and (NOT_SERVED[found.status] or found.status == 403 and listing) then return nil, true end
    if gateway.queue and errors.is(found) and queue_stage.is_away(found) then
      gateway.log.warn("model %s: its capabilities can't be read now, and are not checked", model_id)
      return nil, true
    end
    error(found, 0)
  end
  if not found then return nil, unserved end
  return capabilities_of(found.body)
end

local function is_capabilities(value)
  if not documents.is_object(value) then return false end
  local c = capabilities_of(value)
  return c.max_context_window ~= nil or c.restricted_safety_filters ~= nil
end

-- M.load_capabilities(path or JSON text) -> function(model_id) -> capabilities | nil. One object for all models, an
-- object of one for each id, or a list of models with their ids. Raises "invalid".
function M.load_capabilities(source)
  local faults = {}
  local inline = source:find "^%s*[{%[]"
  local text = inline and source or documents.read(source, { what = "capabilities", max_bytes = 1 << 20 }, faults)
  local shown = inline and "--capabilities" or source
  local document = text and documents.decode(shown, text, faults)
  if document == nil then documents.raise(faults) end
  if is_capabilities(document) and not document.id then
    local all = capabilities_of(document)
    return function() return all end
  end
  local by_id = {}
  local models = list_of(document) or documents.is_object(document) and list_of(document.entities)
    or documents.is_object(document) and document.id and { document }
  for key, value in pairs(models or documents.is_object(document) and document or {}) do
    local id = models and documents.is_object(value) and value.id or key
    if is_capabilities(value) then by_id[tostring(id):lower()] = capabilities_of(value) end
  end
  if next(by_id) == nil then
    documents.add(faults, shown, nil, "contains no max_context_window or restricted_safety_filters, by id or for all")
    documents.raise(faults)
  end
  return function(model_id) return by_id[model_id:lower()] end
end

-- M.cross_faults(config, capabilities | nil) -> list of {pointer, message}: what of config the model can't do.
function M.cross_faults(config, capabilities)
  if not capabilities then
    return { { pointer = "/model_id", message = ("the gateway has no model %s"):format(config.model_id) } }
  end
  local faults, restricted = {}, {}
  local window = capabilities.max_context_window
  if window and config.max_tokens > window then
    faults[1] = {
      pointer = "/max_tokens",
      message = ("must be at most %d, the model's context window, not %d"):format(window, config.max_tokens),
    }
  end
  for _, name in ipairs(capabilities.restricted_safety_filters or {}) do restricted[name] = true end
  for i, filter in ipairs(config.safety_filters) do
    if filter.action == "block" and restricted[filter.filter_type] then
      faults[#faults + 1] = {
        pointer = ("/safety_filters/%d/action"):format(i - 1),
        message = ("can't be \"block\" for %s, which the model restricts: \"redact\" or \"flag\""):format(
          filter.filter_type),
      }
    end
  end
  return faults
end

-- M.check_capabilities(items of load_all, each with `capabilities`: as above, false for a model that there is not, nil
-- where they could not be read). Raises all faults of all items, each at its place in its file.
function M.check_capabilities(items)
  local faults = {}
  for _, item in ipairs(items) do
    for _, fault in ipairs(item.capabilities ~= nil and M.cross_faults(item.config, item.capabilities) or {}) do
      files.fault(faults, item, fault.pointer, fault.message)
    end
  end
  if #faults > 0 then documents.raise(faults) end
end

-- ---- what is kept and told of an update ----

-- M.audit_record{audit_id, config, status, latency_ms [, timestamp, error]} -> the fields of the audit event
-- configuration_update.
function M.audit_record(update)
  local config, err = update.config, update.error
  return {
    audit_id = update.audit_id, timestamp = update.timestamp or time.iso(), model_id = config.model_id,
    status = update.status, latency_ms = update.latency_ms, payload_hash = hash.payload(config),
    compliance_mode = config.compliance_mode, error_code = err and err.code,
    error_message = err and answer.reason(err),
  }
end

-- M.snapshot(config) -> what the governance webhook is told of a configuration.
function M.snapshot(config)
  return {
    model_id = config.model_id, temperature_matrix = config.temperature_matrix,
    safety_filters_count = #config.safety_filters, compliance_mode = config.compliance_mode,
  }
end

-- ---- on the gateway ----

function M.place(config)
  return { modelId = config.model_id }
end

-- M.get(gateway, config) -> the live configuration as a resource, or nil when the model has none; nil, and the error
-- when the gateway does not serve it for reading (405, 501).
function M.get(gateway, config)
  local ok, live = pcall(gateway.get, gateway, "model_configuration", M.place(config),
    { fresh = not gateway.queue, for_write = true })
  if ok then return live end
  if errors.is(live) and NOT_SERVED[live.status] then return nil, live end
  if errors.is(live) and live.status == 403 then
    live.hint = (live.hint and live.hint .. " " or "") .. "Or write without reading: --no-read."
  end
  error(live, 0)
end

-- M.put(gateway, config, live [, opts of gateway:write, and audit_id]) -> the result of gateway:write, with audit_id
-- and audit_log: what the audit log says of it. live: what get gave.
function M.put(gateway, config, live, opts)
  local audit_id, at = opts and opts.audit_id or uuid.v4(), nil
  local request = {
    base = live, content = config, action = "configuration_update",
    details = function(content)
      at = time.iso()
      return {
        audit_id = audit_id, timestamp = at, model_id = content.model_id, compliance_mode = content.compliance_mode,
      }
    end,
  }
  for k, v in pairs(opts or {}) do request[k] = v end
  request.audit_id = nil
  local result = gateway:write("model_configuration", M.place(config), request)
  result.audit_id = audit_id
  result.audit_log = M.audit_record {
    audit_id = audit_id, timestamp = at or time.iso(), config = result.content, status = result.status,
    latency_ms = result.latency_ms,
  }
  return result
end

-- M.confirm(gateway, config, result) -> the configuration as it is read back; raises as gateway:confirm.
function M.confirm(gateway, config, result)
  return gateway:confirm("model_configuration", M.place(config), config, result,
    "the configuration of model " .. config.model_id)
end

return M
