-- index.lua - vector-store indexes: configuration files read and checked, one index put, read back and compared.

local answer = require "moongate.gateway.answer"
local argument = require "moongate.argument"
local diff = require "moongate.diff"
local documents = require "moongate.documents"
local merged = require "moongate.merged"

local M = {}

-- Limits, and what a project file may set instead (limits = { dimensions = 8192 }).
M.LIMITS = {
  dimensions = 4096,                -- of any index
  high_precision_dimensions = 2048, -- of a cosine index with precision "high"
  index_file_bytes = 1 << 20,
}

local PRECISIONS = { standard = true, high = true }

local function limits_of(opts)
  local out = {}
  for name, value in pairs(M.LIMITS) do out[name] = opts.limits and opts.limits[name] or value end
  return out
end

-- ---- the rules that no schema can say ----

local function rules(config, precision, limits, report)
  local fault = type(config.indexId) == "string" and documents.id_fault(config.indexId)
  if fault then report("/indexId", fault) end
  local n = config.dimensions
  if math.type(n) and precision == "high" and config.similarityMetric == "cosine"
    and n > limits.high_precision_dimensions and n <= limits.dimensions then
    report("/dimensions", ("must be at most %d for cosine on a high-precision index, not %s"):format(
      limits.high_precision_dimensions, diff.show(n)))
  end
  fault = type(config.webhookSyncUrl) == "string" and documents.url_fault(config.webhookSyncUrl)
  if fault then report("/webhookSyncUrl", fault) end
end

-- ---- one document ----

-- The document without `precision`, which is not sent, and what precision holds: the caller's, else the document's,
-- else "standard".
local function split(document, wanted)
  if not documents.is_object(document) then return document, wanted or "standard" end
  local config = merged(document)
  config.precision = nil
  return config, wanted or document.precision or "standard"
end

-- M.check(document [, {precision, limits, text, file}]) -> config as it is sent, precision; or nil, faults. text is
-- the document's source, for line numbers.
function M.check(document, opts)
  opts = opts or {}
  local limits = limits_of(opts)
  local config, precision = split(document, opts.precision)
  local valid, faults = documents.check(config, {
    schema = "index", what = "an index configuration", pointers = { dimensions = "/properties/dimensions/maximum" },
    limits = limits, text = opts.text, file = opts.file,
    rules = function(_, report)
      local stated = document.precision
      if stated ~= nil and not PRECISIONS[stated] then
        report("/precision", ('must be "standard" or "high", not %s'):format(diff.show(stated)))
      end
      rules(config, precision, limits, report)
    end,
  })
  if not valid then return nil, faults end
  return config, precision
end

-- ---- files ----

-- -> {file, config, precision} or nil, and the indexId where one could be read.
local function load_one(path, opts, faults)
  local text = documents.read(path, {
    what = "an index configuration", max_bytes = limits_of(opts).index_file_bytes,
  }, faults)
  local document = text and documents.decode(path, text, faults)
  if document == nil then return nil end
  local config, more = M.check(document, { precision = opts.precision, limits = opts.limits, text = text, file = path })
  if not config then
    table.move(more, 1, #more, #faults + 1, faults)
    return nil, documents.is_object(document) and document.indexId or nil
  end
  return { file = path, config = config, precision = more }, config.indexId
end

local OPTIONS = { precision = true, limits = true }

local function check_options(what, opts)
  argument.check(2, what, opts, "table?", 2)
  opts = argument.options(what, opts, OPTIONS, 2)
  if opts.precision ~= nil and not PRECISIONS[opts.precision] then
    error(('%s: precision must be "standard" or "high", not %q'):format(what, tostring(opts.precision)), 3)
  end
  return opts or {}
end

-- M.load_all(paths [, {precision, limits}]) -> list of {file, config, precision} in the order given; a folder stands
-- for the *.json files in it, by name. Raises one error, "invalid", whose details are all faults of all files; an
-- indexId that two files share is one.
function M.load_all(paths, opts)
  opts = check_options("index.load_all", opts)
  return documents.load_all(paths, {
    id = "/indexId", load = function(path, faults) return load_one(path, opts, faults) end,
  })
end

-- M.load(path [, {precision, limits}]) -> config as it is sent, precision. Raises as load_all does.
function M.load(path, opts)
  opts = check_options("index.load", opts)
  local faults = {}
  local item = load_one(path, opts, faults)
  if not item then documents.raise(faults) end
  return item.config, item.precision
end

-- ---- on the gateway ----

-- M.place(args, config) -> where an index lies: args may be a workflow's own (vector_store, and the config's indexId).
function M.place(args, config)
  return {
    vectorStoreId = args.vectorStoreId or args.vector_store,
    indexId = args.indexId or (config and config.indexId),
  }
end

-- What the audit event `index_update` adds once the gateway has answered.
local function audit_outcome(result)
  local body = answer.object(result and result.body)
  return { retrieval_precision = body.retrievalPrecision, index_status = body.status, syncEventId = body.syncEventId }
end

-- M.get(gateway, args, config [, opts]) -> resource or nil, as gateway:get.
function M.get(gateway, args, config, opts)
  return gateway:get("index", M.place(args, config), opts)
end

-- M.put(gateway, args, config, live [, opts of gateway:write]) -> the result of gateway:write, and in it what the
-- gateway says of the index: id, index_status, updatedAt, syncEventId, retrievalPrecision. live: what get gave, nil
-- to create.
function M.put(gateway, args, config, live, opts)
  local place = M.place(args, config)
  local request = {
    base = live, content = config, action = "index_update", outcome_details = audit_outcome,
    details = {
      indexId = config.indexId, vector_store_id = place.vectorStoreId, dimensions = config.dimensions,
      similarity_metric = config.similarityMetric,
    },
  }
  for k, v in pairs(opts or {}) do request[k] = v end
  local result = gateway:write("index", place, request)
  local body = answer.object(type(result.body) == "table" and result.body or live and live.body)
  result.id = body.id or config.indexId
  result.index_status, result.updatedAt = body.status, body.updatedAt
  result.syncEventId, result.retrievalPrecision = body.syncEventId, body.retrievalPrecision
  return result
end

-- M.announcement(place, config, {status, retrieval_precision, updated_at, latency_ms, correlation_id}) -> the data of
-- the webhook index_update.
function M.announcement(place, config, facts)
  return {
    indexId = place.indexId, vectorStoreId = place.vectorStoreId, status = facts.status,
    dimensions = config.dimensions, similarityMetric = config.similarityMetric,
    retrievalPrecision = facts.retrieval_precision, updatedAt = facts.updated_at, latencyMs = facts.latency_ms,
    correlationId = facts.correlation_id,
  }
end

-- M.confirm(gateway, args, config, result) -> the index as it is read back; raises as gateway:confirm.
function M.confirm(gateway, args, config, result)
  return gateway:confirm("index", M.place(args, config), config, result, "index " .. config.indexId)
end

return M
