-- models.lua - the models that prompts go to: which there are (read once), what was counted for each, and the chains of
-- a model and its fallbacks. For router.lua only.

local answer = require "moongate.gateway.answer"
local errors = require "moongate.error"
local json = require "moongate.json"
local rounded = require "moongate.rounded"
local sealed = require "moongate.sealed"
local suggest = require "moongate.suggest"
local task = require "moongate.task"

local M = {}

local CHAINS_MAX = 1000 -- chains that are kept; prompts may each name their own

local Models = {}
local ModelsMeta = { __index = Models }

-- metrics: the registry that counts
function M.new(gateway, metrics)
  local self = setmetatable({
    gateway = gateway, lock = task.semaphore(1), used = {}, chains = {}, chain_count = 0,
    seconds = metrics:histogram("moongate_route_duration_seconds",
      "Time from sending a prompt to a model to its answer, tries again included.", { "model" }),
  }, ModelsMeta)
  metrics:on_collect(function(registry) self:_publish(registry) end)
  return self
end

-- ---- which there are ----

local function by_name(list)
  local ids, names = {}, {}
  for _, model in ipairs(list) do
    ids[model.id] = model
    if type(model.name) == "string" then
      names[model.name] = names[model.name] == nil and model or false -- false: more than one has it
    end
  end
  return ids, names
end

-- Answers of a gateway that does not let its models be listed.
local UNLISTED = { [403] = true, [404] = true, [405] = true, [501] = true }

local function list_all(gateway)
  local list = {}
  for page in gateway:list("model", nil, { page_size = 100 }) do
    for _, entity in ipairs(answer.entities(page)) do
      local id = answer.id(entity.id or entity.modelId)
      if id then list[#list + 1] = { id = id, name = answer.id(entity.name) } end
    end
  end
  return list
end

-- models:load(): asks the gateway, once. Where the models can't be listed, every name is taken for an id. Raises.
function Models:load()
  if self.ids then return end
  self.lock:with(function()
    if self.ids then return end
    local ok, list = pcall(list_all, self.gateway)
    if not ok then
      if not (errors.is(list) and UNLISTED[list.status]) then error(list, 0) end
      self.gateway.log.warn("the models can't be listed (%s): names of models are sent as ids", tostring(list.message))
      self.unlisted, list = true, {}
    end
    self.ids, self.names = by_name(list)
  end)
end

-- models:find(name or id) -> model | nil, what is wrong
function Models:find(name)
  local model = self.ids[name] or self.names[name]
  if model then return model end
  if self.unlisted then
    model = { id = name }
    self.ids[name] = model
    return model
  end
  if model == false then return nil, ("%q is the name of more than one model: give the id"):format(name) end
  local known = {}
  for other in pairs(self.names) do known[#known + 1] = other end
  table.sort(known)
  return nil, ("model %q not found%s"):format(name, suggest.hint(name, known))
end

-- The model as one that is counted.
function Models:_use(model)
  if model.requests then return model end
  model.label = model.name and self.names[model.name] == model and model.name or model.id
  model.family = "prompt/" .. model.id:sub(1, 48)
  model.requests, model.hits, model.violations, model.failures, model.fallbacks = 0, 0, 0, 0, 0
  model.input_tokens, model.output_tokens = 0, 0
  model.seconds = self.seconds:with(model.label)
  self.used[#self.used + 1] = model
  return model
end

-- ---- chains ----

-- What is wrong with a list of names before anybody is asked: a model that is there twice.
-- report(index, message); index 0: the model itself
function M.check_names(model, fallback, report)
  local seen = {}
  if model then seen[model] = 0 end
  for i, name in ipairs(fallback) do
    if seen[name] == 0 then
      report(i, ("%q is the model itself"):format(name))
    elseif seen[name] then
      report(i, ("%q is in the list already"):format(name))
    end
    seen[name] = seen[name] or i
  end
end

-- models:chain(model, fallback) -> {models in order, rest = for each the ids behind it}; or nil, list of {index,
-- message}. Two names of one model are that model twice.
function Models:chain(model, fallback)
  local key = model .. "\0" .. table.concat(fallback, "\0")
  local chain = self.chains[key]
  if chain then return chain end
  local faults, ids = {}, {}
  chain = { rest = {} }
  local function fault(index, message) faults[#faults + 1] = { index = index, message = message } end
  M.check_names(model, fallback, fault)
  for i = 0, #fallback do
    local name = i == 0 and model or fallback[i]
    local found, why = self:find(name)
    if not found then
      fault(i, why)
    else
      if ids[found.id] and #faults == 0 then fault(i, ("%q is the same model as %q"):format(name, ids[found.id])) end
      ids[found.id] = name
      chain[#chain + 1] = found
    end
  end
  if #faults > 0 then return nil, faults end
  for i in ipairs(chain) do
    chain[i] = self:_use(chain[i])
    chain.rest[i] = json.array {}
    for k = i + 1, #chain do chain.rest[i][k - i] = chain[k].id end
  end
  if self.chain_count < CHAINS_MAX then
    self.chains[key], self.chain_count = chain, self.chain_count + 1
  end
  return chain
end

-- ---- what was counted ----

local function rows_of(self)
  local list = table.move(self.used, 1, #self.used, 1, {})
  table.sort(list, function(a, b)
    if a.requests ~= b.requests then return a.requests > b.requests end
    return a.label < b.label
  end)
  return list
end

local function ms(seconds) return seconds and rounded.milliseconds(seconds) or json.null end

-- models:data() -> list of {model, name, requests, hits, hit_rate, violations, failures, fallbacks, latency_ms, tokens}
function Models:data()
  local out = json.array {}
  for i, m in ipairs(rows_of(self)) do
    local s = m.seconds:summary()
    out[i] = {
      model = m.id, name = m.name, requests = m.requests, hits = m.hits, violations = m.violations,
      hit_rate = m.requests > 0 and m.hits / m.requests or json.null, failures = m.failures, fallbacks = m.fallbacks,
      latency_ms = { count = s.count, avg = ms(s.avg), p50 = ms(s.p50), p95 = ms(s.p95), p99 = ms(s.p99) },
      tokens = { input = m.input_tokens, output = m.output_tokens },
    }
  end
  return out
end

-- models:lines() -> the same as a table for people
function Models:lines()
  local report = require "moongate.metrics.report"
  local rows = { { "model", "requests", "hits", "hit rate", "refused", "failed", "fallbacks", "p50", "p95", "p99" } }
  for _, m in ipairs(rows_of(self)) do
    local s = m.seconds:summary()
    rows[#rows + 1] = {
      (m.label:gsub("%c", "?")), ("%d"):format(m.requests), ("%d"):format(m.hits),
      m.requests > 0 and ("%.1f %%"):format(m.hits / m.requests * 100) or "", ("%d"):format(m.violations),
      ("%d"):format(m.failures), ("%d"):format(m.fallbacks), report.seconds(s.p50), report.seconds(s.p95),
      report.seconds(s.p99),
    }
  end
  return report.grid(rows)
end

-- The counts as metrics: they are kept as plain numbers, and told when somebody asks.
function Models:_publish(registry)
  local requests = registry:counter("moongate_route_requests_total",
    "Prompts sent to a model, each once however often it was tried, by what came of it.", { "model", "result" })
  local fallbacks = registry:counter("moongate_route_fallbacks_total",
    "Prompts that went on to another model.", { "model" })
  local tokens = registry:counter("moongate_route_tokens_total", "Tokens that the gateway says were used.",
    { "model", "type" })
  local function bring(metric, n, ...)
    metric:add(n - metric:value(...), ...)
  end
  for _, m in ipairs(self.used) do
    bring(requests, m.hits, m.label, "hit")
    bring(requests, m.violations, m.label, "policy_violation")
    bring(requests, m.failures, m.label, "failed")
    bring(fallbacks, m.fallbacks, m.label)
    bring(tokens, m.input_tokens, m.label, "input")
    bring(tokens, m.output_tokens, m.label, "output")
  end
end

-- Faults of the chain of a whole router as one error: they are wrong for every prompt.
function M.refuse(faults)
  local details = {}
  for i, fault in ipairs(faults) do
    details[i] = { field = fault.index == 0 and "model" or ("fallback[%d]"):format(fault.index - 1),
      message = fault.message }
  end
  errors.raise {
    code = "invalid", details = details, outcome = "not_sent",
    message = #details == 1 and ("%s: %s"):format(details[1].field, details[1].message)
      or ("%d errors in the models to route to"):format(#details),
    hint = "Run `moongate get models` to list the models.",
  }
end

-- What a script sees of them.
M.seal = sealed.class("moongate.router.models", { data = Models.data, lines = Models.lines }, {})

return M
