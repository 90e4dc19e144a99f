-- router.lua - sends prompts to models: one after the other of a chain when one fails or refuses, each once, and counts
-- what came of it.
--
--   local r = router.open { gateway = run.gateway, model = "gpt", fallback = { "claude" }, metrics = run.metrics }
--   local answer = r:route "Say hello"         raises when no model of the chain answers
--   print(answer.output, answer.model)
--
-- A prompt goes to a model under a request id of its own, so that a try again (429, 503, a lost connection) can't be
-- counted twice by the gateway. A 5xx goes to the next model at once where there is one; the last one is tried again.

local errors = require "moongate.error"
local gen_ai = require "moongate.trace.gen_ai"
local http = require "moongate.http"
local json = require "moongate.json"
local models = require "moongate.router.models"
local prompt = require "moongate.router.prompt"
local suggest = require "moongate.suggest"
local task = require "moongate.task"
local time = require "moongate.time"
local trace = require "moongate.trace"
local uuid = require "moongate.uuid"

local monotonic, new_id, iso = time.monotonic, uuid.v4, time.iso
local floor = math.floor

local M = { SAFETY = prompt.SAFETY, TEMPERATURES = prompt.TEMPERATURES, TEMPERATURE_NAMES = prompt.NAMES }

local POLICY = "policy.violation"
local OWN_METADATA = { routingVersion = "1", dispatchSource = "moongate" }

local Router = {}
Router.__index = Router

-- ---- opening ----

local OPTIONS = {
  gateway = true, model = true, fallback = true, temperature = true, temperatures = true, max_tokens = true,
  top_p = true, safety = true, metadata = true, concurrency = true, deadline = true, metrics = true, audit = true,
  limits = true,
}

local function check_options(opts)
  local names = {}
  for name in pairs(OPTIONS) do names[#names + 1] = name end
  table.sort(names)
  for key in pairs(opts) do
    if not OPTIONS[key] then
      error(("router.open: unknown option '%s'%s"):format(tostring(key), suggest.hint(tostring(key), names)), 3)
    end
  end
  if not opts.gateway then error("router.open: gateway is missing", 3) end
end

local function matrix(given)
  local out = {}
  for name, value in pairs(M.TEMPERATURES) do out[name] = value end
  for name, value in pairs(given or {}) do out[name] = value end
  return out
end

-- What is wrong with the settings for all prompts, all of it.
local function check_settings(self, opts)
  local faults = {}
  local function fault(field, message) faults[#faults + 1] = { field = field, message = message } end
  for name, value in pairs(self.temperatures) do
    local known = M.TEMPERATURES[name] ~= nil
    if not known then
      fault("temperatures." .. tostring(name), "is none of " .. table.concat(M.TEMPERATURE_NAMES, ", "))
    elseif type(value) ~= "number" or not (value >= 0 and value <= 2) then
      fault("temperatures." .. name, "must be a number from 0 to 2")
    end
  end
  local temperature, why = prompt.temperature(opts.temperature or "default", self.temperatures)
  if not temperature and #faults == 0 then fault("temperature", why) end
  self.parameters = { temperature = temperature, maxTokens = opts.max_tokens or 2048, topP = opts.top_p or 0.95 }
  local known = {}
  for _, name in ipairs(M.SAFETY) do known[name] = true end
  for _, name in ipairs(self.safety) do
    if not known[name] then
      fault("safety", ("%q is none of %s%s"):format(name, table.concat(M.SAFETY, ", "), suggest.hint(name, M.SAFETY)))
    end
  end
  models.check_names(self.model, self.fallback, function(index, message)
    fault(("fallback[%d]"):format(index - 1), message)
  end)
  if #faults == 0 then return end
  table.sort(faults, function(a, b) return a.field < b.field end)
  error(errors.new {
    code = "invalid", details = faults, outcome = "not_sent",
    message = #faults == 1 and ("%s: %s"):format(faults[1].field, faults[1].message)
      or ("%d faults in the settings of the router"):format(#faults),
  }, 0)
end

-- router.open{gateway, model = name or id, fallback = {names}, temperature = number or "low", temperatures = {low =,
-- default =, high =}, max_tokens = 2048, top_p = 0.95, safety = {filters}, metadata = {}, concurrency = 5, deadline =
-- 30 (seconds a prompt may take, waiting and fallbacks included), metrics = registry, audit, limits} -> router.
-- Raises "invalid" with every fault that can be seen without asking the gateway.
function M.open(opts)
  check_options(opts)
  local gateway = opts.gateway
  local kind = gateway:kind "prompt"
  local self = setmetatable({
    gateway = gateway, path = kind.path, model = opts.model, fallback = opts.fallback or {},
    temperatures = matrix(opts.temperatures), safety = json.array(opts.safety or {}), limits = opts.limits,
    metadata = {}, deadline = opts.deadline or 30, concurrency = opts.concurrency or 5,
    audit = opts.audit or gateway.audit, schema = prompt.schema(opts.limits), _client = gateway._client,
    _scope = kind.scopes and kind.scopes.write,
  }, Router)
  for _, part in ipairs { OWN_METADATA, opts.metadata or {} } do
    for name, value in pairs(part) do self.metadata[name] = value end
  end
  self._places = task.semaphore(self.concurrency)
  check_settings(self, opts)
  self.models = models.new(gateway, opts.metrics or require("moongate.metrics").new())
  return self
end

-- router:prepare(): reads which models there are, once, and refuses a chain that names one that is not. Raises.
function Router:prepare()
  if self.prepared then return end
  self.models:load()
  if self.model then
    local chain, faults = self.models:chain(self.model, self.fallback)
    if not chain then models.refuse(faults) end
    self.chain = chain
  end
  self.prepared = true
end

-- ---- sending ----

-- What one task sends with, again and again: the tables of a request.
function Router:_worker()
  local headers, body = {}, {}
  return {
    headers = headers, body = body, event = { action = "prompt_route" },
    request = { method = "POST", path = self.path, headers = headers, json = body, idempotent = true },
  }
end

local function failure_of(response, message)
  return errors.new {
    code = "protocol", status = response.status, method = "POST", outcome = "final", attempts = response.tries,
    correlation_id = response.correlation_id, message = "the gateway's answer is of no use: " .. message,
  }
end

-- The answer -> it; or nil, err
local function read_answer(response)
  local answer, err = response:json()
  if answer == nil then return nil, failure_of(response, err.message) end
  if type(answer) ~= "table" or type(answer.output) ~= "string" then
    return nil, failure_of(response, "it has no output")
  end
  return answer
end

local function is_violation(err)
  return err.status == 422 and err.gateway_code == POLICY
end

local function goes_on(err)
  return (err.status ~= nil and err.status >= 500) or is_violation(err) or err.code == "breaker_open"
end

-- The breaker is open and there is no other model: waits for it -> whether there is time for another try.
local function wait_for_breaker(self, model, left)
  local wait = http.breaker(self._client.base_url, model.family).retry_in or 0
  wait = wait + 0.05 + 0.2 * math.random()
  if wait >= left then return false end
  task.sleep(wait)
  return true
end

local function note_failure(model, err)
  if err.attempts and err.attempts > 0 then model.requests = model.requests + 1 end
  if is_violation(err) then
    model.violations = model.violations + 1
  elseif err.attempts and err.attempts > 0 then
    model.failures = model.failures + 1
  end
end

local function note_hit(model, answer)
  model.requests, model.hits = model.requests + 1, model.hits + 1
  local usage = answer.usage
  if type(usage) ~= "table" then return end
  model.input_tokens = model.input_tokens + (tonumber(usage.inputTokens) or 0)
  model.output_tokens = model.output_tokens + (tonumber(usage.outputTokens) or 0)
end

-- One prompt to one model -> answer, tries | nil, err, tries
local function ask(self, w, model, left)
  local request = w.request
  request.family, request.deadline = model.family, left
  local started = monotonic()
  local response, err = self._client:request(request)
  local answer
  if response then
    answer, err = read_answer(response)
  end
  if response or err.attempts > 0 then model.seconds:observe(monotonic() - started) end
  if not answer then return nil, err, err.attempts or 0 end
  return answer, nil, response.tries or 1
end

-- The same with a span around it, where somebody traces.
local function ask_traced(self, w, model, left)
  local parameters = w.body.parameters
  return gen_ai.call({
    model = model.label, temperature = parameters.temperature, top_p = parameters.topP,
    max_tokens = parameters.maxTokens,
  }, function(call)
    call:prompt(w.body.prompt)
    local answer, err, tries = ask(self, w, model, left)
    if answer then
      local usage = type(answer.usage) == "table" and answer.usage or {}
      call:answered {
        id = answer.requestId, model = answer.modelId, input_tokens = usage.inputTokens,
        output_tokens = usage.outputTokens, finish_reasons = answer.finishReason and { answer.finishReason } or nil,
      }
      call:completion(answer.output, answer.finishReason)
    else
      call:failed(err.status or err.code)
    end
    return answer, err, tries
  end)
end

local function milliseconds(seconds)
  local ms = floor(seconds * 10000 + 0.5) / 10
  return ms // 1 == ms and floor(ms) or ms
end

local function write_audit(self, w, result, model)
  local event, safety = w.event, result.safety
  event.timestamp, event.modelId, event.requestId = iso(), result.model, result.request_id
  event.status, event.latencyMs, event.correlationId = result.status, result.latency_ms, result.correlation_id
  event.hitRate = model.requests > 0 and floor(model.hits / model.requests * 10000 + 0.5) / 10000 or 0
  event.safetyPassed = nil
  if type(safety) == "table" then event.safetyPassed = safety.passed end
  event.attempts, event.fallbacks = result.attempts, result.fallbacks and #result.fallbacks or 0
  local err = result.error
  event.error_code, event.http_status = err and err.code or nil, err and err.status or nil
  if err and is_violation(err) then event.safetyPassed = false end
  local seq, why = self.audit.event(event)
  if seq then return end
  error(errors.new {
    code = why and why.code or "io", outcome = result.status == "ok" and "final" or "unknown",
    message = ("a prompt was routed, but that could not be written to the audit log: %s"):format(
      why and why.message or "?"),
    hint = "see to the audit log (moongate doctor) before routing more",
  }, 0)
end

-- item: as prompt.ready gives it; w: of _worker; left: seconds -> result, its field error set when no model has
-- answered. Raises when it can't be audited.
function Router:_send(item, w, left)
  local chain, body, headers, request = item.chain, w.body, w.headers, w.request
  local asked = trace.on() and ask_traced or ask
  local began = monotonic()
  local ending = began + left
  local id = new_id()
  local correlation = "route-" .. id
  local i, tries, fallbacks = 1, 0, nil
  body.prompt, body.parameters, body.safetyFilters, body.metadata =
    item.prompt, item.parameters, item.filters, item.labels
  headers["X-Correlation-Id"] = correlation
  local model, answer, err
  while true do
    model = chain[i]
    body.modelId, body.fallbackModels, request.final_5xx = model.id, chain.rest[i], i < #chain
    headers["X-Genesys-Request-Id"] = id
    local n
    answer, err, n = asked(self, w, model, left)
    tries = tries + n
    if answer then break end
    note_failure(model, err)
    left = ending - monotonic()
    if i < #chain and goes_on(err) and left > 0 then
      model.fallbacks = model.fallbacks + 1
      fallbacks = fallbacks or json.array {}
      fallbacks[i] = { model = model.id, code = err.gateway_code or err.code, status = err.status, request_id = id }
      i, id = i + 1, new_id()
    elseif not (err.code == "breaker_open" and wait_for_breaker(self, model, left)) then
      break
    end
    left = math.max(ending - monotonic(), 0.001)
  end
  local result = {
    id = item.id, status = answer and "ok" or "failed", model = model.id, attempts = tries, fallbacks = fallbacks,
    latency_ms = milliseconds(monotonic() - began), request_id = id, correlation_id = correlation,
    output = answer and answer.output, finish_reason = answer and answer.finishReason,
    usage = answer and answer.usage, safety = answer and answer.safety, error = err, line = nil,
  }
  if answer then
    note_hit(model, answer)
    if type(answer.modelId) == "string" then result.model = answer.modelId end
  else
    if err.status == 403 and self._scope then err.hint = "the OAuth client needs the scopes " .. self._scope end
    if is_violation(err) then err.hint = "change the prompt, or name models to go on to (fallback)" end
  end
  write_audit(self, w, result, model)
  return result
end

-- ---- for scripts ----

local function refuse(faults)
  local details = {}
  for i, f in ipairs(faults) do details[i] = f end
  error(errors.new {
    code = "invalid", details = details, outcome = "not_sent",
    message = ("the prompt has %d fault%s; nothing was sent"):format(#faults, #faults == 1 and "" or "s"),
  }, 0)
end

local function too_late(self)
  error(errors.new {
    code = "timeout", outcome = "not_sent",
    message = ("no place among %d at once came free in %g s"):format(self.concurrency, self.deadline),
  }, 0)
end

-- router:route(prompt) -> {status = "ok", model, output, finish_reason, usage, safety, latency_ms, attempts,
-- fallbacks, request_id, correlation_id}. prompt: text, or {prompt, id, model, fallback, temperature, max_tokens,
-- top_p, safety, metadata}. Raises "invalid" for a bad prompt, "timeout" when no place came free in time, and the last
-- model's failure, with the result in err.result.
function Router:route(given)
  local began = monotonic()
  self:prepare()
  local document = given
  if type(given) == "table" then
    document = {}
    for k, v in pairs(given) do document[k] = v end
    for _, list in ipairs { "fallback", "safety" } do
      if type(document[list]) == "table" then json.array(document[list]) end
    end
  end
  local item, faults = prompt.ready(self, document)
  if not item then refuse(faults) end
  local ending = began + self.deadline
  if not self._places:acquire(math.max(ending - monotonic(), 0)) then too_late(self) end
  local _ <close> = setmetatable({}, { __close = function() self._places:release() end })
  local left = ending - monotonic()
  if left <= 0 then too_late(self) end
  local result = self:_send(item, self:_worker(), left)
  if result.error then
    local err = result.error
    err.result = result
    error(err, 0)
  end
  return result
end

return M
