-- prompts: routing of a prompt to a model. A request is known by its X-Genesys-Request-Id: the same one again is
-- answered as it was the first time and has no second effect.
--
-- How a model behaves is an option, prompts = { [name, id or "*"] = { busy =, failure =, policy =, cut = (rates from 0
-- to 1: 429, 503, 422, a connection that ends behind the effect), latency = seconds } }, or a flag's text,
-- "model=sim-small,failure=0.03". Draws come from the seed, a stream a model.
--
-- Own: the gateway itself does not fall back; what the prompt says may ask for something: "[violate]" is a violation,
-- "[flag]" an answer whose safety check did not pass.
local checked = require "moongate.sim.checked"
local errors = require "moongate.sim.errors"
local hash = require "moongate.hash"
local json = require "moongate.json"
local models = require "moongate.sim.models"
local rng = require "moongate.sim.rng"
local task = require "moongate.task"
local time = require "moongate.time"
local uuid = require "moongate.uuid"

local M = { name = "prompts" }

local KEPT = 5000 -- request ids at least; the oldest go first

local schema = checked.schema "sim_prompt"
local RATES = { busy = true, failure = true, policy = true, cut = true }

-- ---- how models behave ----

local function check(what, profile)
  local out = {}
  for name, value in pairs(profile) do
    local v = tonumber(value)
    if not (RATES[name] or name == "latency") then return nil, ("%s: unknown key '%s'"):format(what, tostring(name)) end
    if not v or v < 0 or (RATES[name] and v > 1) then
      return nil, ("%s: %s: a %s is wanted"):format(what, name,
        RATES[name] and "number from 0 to 1" or "time in seconds")
    end
    out[name] = v
  end
  return out
end

-- "model=sim-small,failure=0.03,latency=0.02" -> name, profile | nil, what is wrong
function M.parse(spec)
  local profile, model = {}, "*"
  for part in spec:gmatch "[^,]+" do
    local name, value = part:match "^%s*(%a+)%s*=%s*(%S+)%s*$"
    if not name then return nil, ("'%s' is not key=value"):format(part) end
    if name == "model" then model = value else profile[name] = value end
  end
  local good, why = check(("'%s'"):format(spec), profile)
  if not good then return nil, why end
  return model, good
end

-- The option -> the same, checked; a mistake raises
function M.profiles(option)
  local out = {}
  for model, profile in pairs(option) do
    local good, why = check("prompts: " .. tostring(model), profile)
    if not good then error(why, 0) end
    out[model] = good
  end
  return out
end

-- ---- what is counted ----

local function new_counts()
  return {
    requests = 0,   -- ids that named this model, each once
    attempts = 0,   -- requests that came, tries again included
    duplicates = 0, -- ids that came again after they had taken effect
    hits = 0, violations = 0, busy = 0, failures = 0, cuts = 0,
  }
end

local function counts_of(self, model)
  local counts = self.models[model]
  if not counts then
    counts = new_counts()
    self.models[model] = counts
  end
  return counts
end

-- How many are answered at once, and how many came in any one second.
local function came(self, now)
  local flow, times = self.flow, self.times
  flow.now = flow.now + 1
  flow.most_at_once = math.max(flow.most_at_once, flow.now)
  times[#times + 1] = now
  while now - times[self.oldest] >= 1 do self.oldest = self.oldest + 1 end
  flow.most_in_a_second = math.max(flow.most_in_a_second, #times - self.oldest + 1)
  if self.oldest > 1000 then
    self.times, self.oldest = table.move(times, self.oldest, #times, 1, {}), 1
  end
end

function M.show(self)
  local out = {}
  for id, counts in pairs(self.models) do
    out[id] = {}
    for name, n in pairs(counts) do out[id][name] = n end
  end
  return {
    models = out, without_id = self.without_id, most_at_once = self.flow.most_at_once,
    most_in_a_second = self.flow.most_in_a_second,
  }
end

function M.new(gw)
  local self = {
    models = {}, without_id = 0, ids = {}, order = {}, first = 1, streams = {},
    profiles = M.profiles(gw.options.prompts),
    flow = { now = 0, most_at_once = 0, most_in_a_second = 0 }, times = {}, oldest = 1,
  }
  gw.stats.parts.prompts = function() return M.show(self) end
  return self
end

local function remember(self, id, entry)
  self.ids[id] = entry
  self.order[#self.order + 1] = id
  if #self.order <= KEPT * 2 then return end
  for i = 1, KEPT do self.ids[self.order[i]] = nil end
  self.order = table.move(self.order, KEPT + 1, #self.order, 1, {})
end

-- Every request for this route has come here before faults strike it, so that what is counted is what was sent.
local function arrived(gw, call)
  local self = gw.prompts
  local body = call.req:json()
  local model = type(body) == "table" and type(body.modelId) == "string" and body.modelId or "(none)"
  local id = call.req.headers["x-genesys-request-id"]
  local counts = counts_of(self, model)
  counts.attempts = counts.attempts + 1
  if not id then
    self.without_id = self.without_id + 1
    return
  end
  local print = hash.sha256(call.req.body)
  local entry = self.ids[id]
  if entry then
    call.reused = entry.print ~= print
  else
    entry = { print = print }
    remember(self, id, entry)
    counts.requests = counts.requests + 1
  end
  call.entry_of_id = entry
end

-- ---- the answer ----

local function bad_headers(call)
  local headers, details = call.req.headers, {}
  local id, correlation = headers["x-genesys-request-id"], headers["x-correlation-id"]
  if not (id and uuid.is(id)) then
    details[1] = errors.field("X-Genesys-Request-Id", "format", "must be a UUID")
  end
  if not (correlation and correlation:find "^route%-" and uuid.is(correlation:sub(7))) then
    details[#details + 1] = errors.field("X-Correlation-Id", "format", "must be route-<UUID>")
  end
  if #details > 0 then return errors.response(call, 400, "bad.request", "The headers are not right.", details) end
end

local function draw(gw, model)
  local self = gw.prompts
  local profile = self.profiles[model.id] or self.profiles[model.name] or self.profiles["*"]
  if not profile then return nil end
  local stream = self.streams[model.id] or rng.new(gw.options.seed, "prompts " .. model.id)
  self.streams[model.id] = stream
  return profile, function(rate) return rate ~= nil and rate > 0 and stream:double() < rate end
end

local function violation(call)
  return errors.response(call, 422, "policy.violation", "The prompt violates a policy.",
    { errors.field("prompt", "policy.violation", "was refused by a safety filter") })
end

local function tokens(text)
  return math.max(1, ((utf8.len(text) or #text) + 3) // 4)
end

local function said(call, model)
  local body = call.body
  local flagged = body.prompt:find("[flag]", 1, true) ~= nil
  local output = ("%s heard %d characters."):format(model.name, utf8.len(body.prompt) or #body.prompt)
  return { json = {
    requestId = call.req.headers["x-genesys-request-id"], modelId = model.id, output = output, finishReason = "stop",
    usage = { inputTokens = tokens(body.prompt), outputTokens = tokens(output) },
    safety = {
      passed = not flagged, triggered = json.array(flagged and { body.safetyFilters and body.safetyFilters[1] or "pii" }
        or {}),
    },
  } }
end

local function again(call, counts, entry)
  counts.duplicates = counts.duplicates + 1
  if entry.violated then return violation(call) end
  return { headers = { ["X-Genesys-Replayed"] = "true" }, json = entry.answer }
end

local function answer(gw, call)
  local refused = bad_headers(call) or checked.body(call, schema, "prompt")
  if refused then return refused end
  local body = call.body
  local model = models.find(gw, body.modelId)
  if not model then
    return errors.response(call, 404, "model.not.found", ("Model %s not found."):format(body.modelId),
      { errors.field("modelId", "not.found", "is not registered") })
  end
  local entry, counts = call.entry_of_id, counts_of(gw.prompts, model.id)
  if call.reused then
    return errors.response(call, 422, "request.id.reused", "This request id was used for another request.")
  end
  if entry.answer or entry.violated then return again(call, counts, entry) end
  local profile, strikes = draw(gw, model)
  if profile then
    if (profile.latency or 0) > 0 then task.sleep(profile.latency) end
    if strikes(profile.busy) then
      counts.busy = counts.busy + 1
      return errors.response(call, 429, "too.many.requests", "The model is busy.")
    elseif strikes(profile.failure) then
      counts.failures = counts.failures + 1
      return errors.response(call, 503, "service.unavailable", "The model did not answer.")
    end
  end
  if entry.answer or entry.violated then return again(call, counts, entry) end -- while we slept
  if body.prompt:find("[violate]", 1, true) or profile and strikes(profile.policy) then
    counts.violations = counts.violations + 1
    entry.violated = true
    return violation(call)
  end
  local response = said(call, model)
  counts.hits = counts.hits + 1
  entry.answer = response.json
  if profile and strikes(profile.cut) then
    counts.cuts = counts.cuts + 1
    return { close = true }
  end
  return response
end

local function route(gw, call)
  local flow = gw.prompts.flow
  came(gw.prompts, time.monotonic())
  local _ <close> = setmetatable({}, { __close = function() flow.now = flow.now - 1 end })
  return answer(gw, call)
end

M.routes = {
  { "POST", "/api/v2/ai/gateway/prompts", scope = "ai:gateway:write", body = "json", arrived = arrived,
    handler = route },
}

return M
