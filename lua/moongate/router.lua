-- router.lua - sends prompts to models: one after the other of a chain when one fails or refuses, each once, and counts
-- what came of it.
--
--   local r = router.open { gateway = run.gateway, model = "gpt", fallback = { "claude" }, metrics = run.metrics }
--   local answer = r:route "Say hello"         raises when no model of the chain answers
--   print(answer.output, answer.model)
--
-- A prompt goes to a model under a request id of its own, so that a try again (429, 503, a lost connection) can't be
-- counted twice by the gateway. A model that is busy (429) or fails (5xx), that refuses the prompt or can't take one of
-- its length, hands it to the next at once; one that hangs, after its share of the time. The last one is tried again.

local argument = require "moongate.argument"
local errors = require "moongate.error"
local json = require "moongate.json"
local merged = require "moongate.merged"
local models = require "moongate.router.models"
local prompt = require "moongate.router.prompt"
local sealed = require "moongate.sealed"
local send = require "moongate.router.send"
local suggest = require "moongate.suggest"
local task = require "moongate.task"
local text = require "moongate.text"
local trusted = require "moongate.trusted"
local time = require "moongate.time"

local monotonic = time.monotonic

local M = { SAFETY = prompt.SAFETY, TEMPERATURES = prompt.TEMPERATURES, TEMPERATURE_NAMES = prompt.NAMES }

local OWN_METADATA = { routingVersion = "1", dispatchSource = "moongate" }

local Router = {}
local RouterMeta = { __index = Router }

-- ---- opening ----

local seal -- a router's handle, made below

local OPTIONS = {
  gateway = true, model = true, fallback = true, temperature = true, temperatures = true, max_tokens = true,
  top_p = true, safety = true, metadata = true, concurrency = true, deadline = true, metrics = true, audit = true,
  limits = true, each = true,
}

local function check_options(opts)
  argument.options("router.open", opts, OPTIONS, 2)
  if not opts.gateway then error("router.open: gateway is missing", 3) end
end

local function matrix(given)
  local out = merged(M.TEMPERATURES, given)
  return out
end

-- What is wrong with the settings for all prompts, all of it.
local function check_settings(self, opts)
  local faults = {}
  local function fault(field, message) faults[#faults + 1] = { field = field, message = message } end
  for name, value in pairs(self.temperatures) do
    local known = M.TEMPERATURES[name] ~= nil
    if not known then
      fault("temperatures." .. tostring(name), "is not one of " .. table.concat(M.TEMPERATURE_NAMES, ", "))
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
      fault("safety",
        ("%q is not one of %s%s"):format(name, table.concat(M.SAFETY, ", "), suggest.hint(name, M.SAFETY)))
    end
  end
  models.check_names(self.model, self.fallback, function(index, message)
    fault(("fallback[%d]"):format(index - 1), message)
  end)
  if #faults == 0 then return end
  table.sort(faults, function(a, b) return a.field < b.field end)
  errors.raise {
    code = "invalid", details = faults, outcome = "not_sent",
    message = #faults == 1 and ("%s: %s"):format(faults[1].field, faults[1].message)
      or ("%d errors in the settings of the router"):format(#faults),
  }
end

-- router.open{gateway, model = name or id, fallback = {names}, temperature = number or "low", temperatures = {low =,
-- default =, high =}, max_tokens = 2048, top_p = 0.95, safety = {filters}, metadata = {}, concurrency = 5, deadline =
-- 30 (seconds a prompt may take, waiting and fallbacks included), metrics = registry, audit, limits} -> router.
-- Raises "invalid" with every fault that can be seen without asking the gateway.
function trusted.router.open(opts)
  if opts.audit ~= nil then error("router.open: option 'audit' is for tests (moongate test)", 2) end
  return M.open(opts)
end

function M.open(opts)
  check_options(opts)
  local gateway = opts.gateway
  local kind = gateway:kind "prompt"
  local self = setmetatable({
    gateway = gateway, kind = kind, path = kind.path, model = opts.model, fallback = opts.fallback or {},
    temperatures = matrix(opts.temperatures), safety = json.array(opts.safety or {}), limits = opts.limits,
    metadata = {}, deadline = opts.deadline or 30, concurrency = opts.concurrency or 5,
    audit = opts.audit or sealed.open(gateway).audit,
    schema = prompt.schema(opts.limits), _client = sealed.open(gateway)._client,
    _send_by = sealed.open(gateway)._send_by,
    _scope = kind.scopes and kind.scopes.write, _answer = kind.answer,
    _each = opts.each,
  }, RouterMeta)
  for _, part in ipairs { OWN_METADATA, opts.metadata or {} } do
    for name, value in pairs(part) do self.metadata[name] = value end
  end
  self._places = task.semaphore(self.concurrency)
  self.begin_lock = task.semaphore(1)
  check_settings(self, opts)
  self.models = models.new(gateway, opts.metrics or require("moongate.metrics").new())
  return seal(self)
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

-- ---- for scripts ----

local function refuse(faults)
  local details = {}
  for i, f in ipairs(faults) do details[i] = f end
  errors.raise {
    code = "invalid", details = details, outcome = "not_sent",
    message = ("the prompt has %s; nothing was sent"):format(text.count(#faults, "error")),
  }
end

local function too_late(self)
  errors.raise {
    code = "timeout", outcome = "not_sent",
    message = ("none of the %d slots became free in %g s"):format(self.concurrency, self.deadline),
  }
end

-- router:route(prompt [, request id]) -> {status = "ok", model, output, finish_reason, usage, safety, latency_ms,
-- attempts, fallbacks, request_id, correlation_id}. prompt: text, or {prompt, id, model, fallback, temperature,
-- max_tokens, top_p, safety, metadata}. Raises "invalid" for a bad prompt, "timeout" when no place came free in time,
-- and the last model's failure, with the result in err.result.
function Router:route(given, request_id)
  local began = monotonic()
  self._warned = true -- the caller has it in the result
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
  if sealed.open(self.gateway):_is_dry() then
    return { status = "planned", model = item.chain[1].id, attempts = 0, latency_ms = 0 }
  end
  item.request_id = request_id
  local ending = began + self.deadline
  if not self._places:acquire(math.max(ending - monotonic(), 0)) then too_late(self) end
  local _ <close> = setmetatable({}, { __close = function() self._places:release() end })
  local left = ending - monotonic()
  if left <= 0 then too_late(self) end
  local w = send.worker(self)
  local result, fault = send.route(self, item, w, left)
  if self._each then self._each(send.entry(w)) end
  if fault then
    fault.result = result
    error(fault, 0)
  end
  if result.error then
    local err = result.error
    err.result = result
    error(err, 0)
  end
  return result
end

seal = sealed.class("moongate.router.handle", Router, {
  model = true, concurrency = true, deadline = true,
  models = function(self) return models.seal(self.models) end,
  parameters = function(self) return sealed.copy(self.parameters) end,
  chain = function(self) return self.chain and sealed.copy(self.chain) end,
})

return M
