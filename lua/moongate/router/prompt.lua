-- prompt.lua - a prompt as it is given, checked and made ready to be sent: every fault at once. For router.lua and
-- router/stream.lua only.

local documents = require "moongate.documents"
local json = require "moongate.json"
local schemas = require "moongate.schemas"
local suggest = require "moongate.suggest"

local M = {}

M.NAMES = { "default", "low", "high" } -- of temperatures
M.TEMPERATURES = { default = 0.7, low = 0.2, high = 1.0 }
M.SAFETY = { "pii", "profanity", "self_harm", "political" }

local POINTERS = { prompt_characters = "/properties/prompt/maxLength" }
local LENIENT = { lenient = true }

-- M.schema(limits) -> the compiled schema of a prompt
function M.schema(limits)
  return schemas.compile("prompt", { pointers = POINTERS, limits = limits })
end

-- M.temperature(value, matrix) -> number | nil, what is wrong
function M.temperature(value, matrix)
  local number = type(value) == "number" and value or matrix[value]
  if not number then
    return nil, ("must be a number from 0 to 2, or one of %s, not %q%s"):format(table.concat(M.NAMES, ", "),
      tostring(value), suggest.hint(tostring(value), M.NAMES))
  end
  if number < 0 or number > 2 then return nil, "must be from 0 to 2" end
  return number
end

-- A prompt's fallbacks: its own list, or everybody's without the model that the prompt names.
local function fallback_of(router, document)
  if document.fallback ~= nil or type(document.model) ~= "string" then return document.fallback or router.fallback end
  local own = router.models:find(document.model)
  local list = {}
  for _, name in ipairs(router.fallback) do
    local other = router.models:find(name)
    if not (own and other and own.id == other.id) then list[#list + 1] = name end
  end
  return list
end

-- ---- faults, off the fast path ----

local function place_of(fault)
  if fault.index == 0 then return "/model" end
  return ("/fallback/%d"):format(fault.index - 1)
end

-- What the schema can't say.
local function rules(router)
  return function(document, report)
    if type(document.temperature) == "string" then
      local _, why = M.temperature(document.temperature, router.temperatures)
      if why then report("/temperature", why) end
    end
    local model = document.model or router.model
    if model == nil then report("/model", "is missing: name one here, or one for all") end
    local fallback = fallback_of(router, document)
    if type(model) ~= "string" or type(fallback) ~= "table" then return end
    for _, name in ipairs(fallback) do
      if type(name) ~= "string" then return end
    end
    local _, faults = router.models:chain(model, fallback)
    for _, fault in ipairs(faults or {}) do report(place_of(fault), fault.message) end
  end
end

local function faults_of(router, document, text)
  if not documents.is_object(document) then
    return { { pointer = "", message = "must be an object with a prompt, or a string" } }
  end
  local _, faults = documents.check(document, {
    schema = "prompt", what = "a prompt", rules = rules(router), limits = router.limits, pointers = POINTERS,
  })
  local out = {}
  for i, fault in ipairs(faults or {}) do out[i] = { pointer = fault.pointer, field = fault.field,
    message = fault.message } end
  if #out == 0 then out[1] = { pointer = "", message = "can't be routed: " .. tostring(text) } end
  return out
end

-- ---- ready to be sent ----

local function parameters_of(router, document)
  local given = router.parameters
  if document.temperature == nil and document.max_tokens == nil and document.top_p == nil then return given end
  local temperature = given.temperature
  if document.temperature ~= nil then
    temperature = M.temperature(document.temperature, router.temperatures)
    if not temperature then return nil end
  end
  return {
    temperature = temperature, maxTokens = document.max_tokens or given.maxTokens, topP = document.top_p or given.topP,
  }
end

local function metadata_of(router, document)
  if document.metadata == nil then return router.metadata end
  local out = {}
  for _, part in ipairs { document.metadata, router.metadata } do
    for name, value in pairs(part) do out[name] = value end
  end
  return out
end

-- M.ready(router, document [, into]) -> {id, prompt, chain, parameters, filters, labels}, without request_id
-- and line; or nil, faults. document: a table or a string; into: the table of an earlier prompt, to be used again. The
-- models must be loaded.
function M.ready(router, document, into)
  if type(document) == "string" then document = { prompt = document } end
  if type(document) ~= "table" or not router.schema:check(document) then
    return nil, faults_of(router, document)
  end
  local chain = router.chain
  if not chain or document.model or document.fallback then
    local model = document.model or router.model
    chain = model and router.models:chain(model, fallback_of(router, document))
  end
  local parameters = parameters_of(router, document)
  if not (chain and parameters) then return nil, faults_of(router, document) end
  local item = into or {}
  item.id, item.prompt, item.chain, item.parameters = document.id, document.prompt, chain, parameters
  item.filters, item.labels = document.safety or router.safety, metadata_of(router, document)
  item.request_id, item.line = nil, nil
  return item
end

-- M.decode(line) -> value; or nil, faults. line: JSON text
function M.decode(line)
  local document, err = json.decode(line)
  if document == nil and err.code == "range" then
    document = json.decode(line, LENIENT) -- an id beyond 64 bits: its digits as a string
  end
  if document ~= nil then return document end
  return nil, { { pointer = "", message = "is not valid JSON: " .. err.message:gsub("^line 1, ", "") } }
end

return M
