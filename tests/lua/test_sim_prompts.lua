-- The simulated gateway's routing of prompts: effects by request id, behaviour by model, counts.
local f = require "sim_fixture"
local json = require "moongate.json"
local prompts = require "moongate.sim.prompts"
local t = require "moongate.test"
local uuid = require "moongate.uuid"

local PATH = "/api/v2/ai/gateway/prompts"
local SMALL, LARGE = "5a3e1a00-0000-4000-8000-000000000001", "5a3e1a00-0000-4000-8000-000000000002"

local function send(api, id, changes, headers)
  local body = { modelId = SMALL, prompt = "Hello", parameters = { temperature = 0.5 } }
  for k, v in pairs(changes or {}) do body[k] = v end
  local all = { ["X-Genesys-Request-Id"] = id, ["X-Correlation-Id"] = "route-" .. id }
  for k, v in pairs(headers or {}) do all[k] = v end
  return api("POST", PATH, { json = body, headers = all })
end

t.test("a prompt is answered; the same id again is one effect; another body under it is refused", function()
  local server <close>, api = f.start()
  local id = uuid.v4()
  local first = assert(send(api, id)):json()
  t.eq({ first.requestId, first.modelId, first.finishReason, first.safety.passed, first.safety.triggered },
    { id, SMALL, "stop", true, json.array {} })
  t.ok(first.usage.inputTokens > 0 and #first.output > 0)
  t.eq(send(api, id):json(), first)
  t.eq(send(api, id, { prompt = "Other" }).status, 422)
  local stats = server:stats().prompts.models[SMALL]
  t.eq({ stats.requests, stats.attempts, stats.duplicates, stats.hits }, { 1, 3, 1, 1 })
end)

t.test("headers, body and model are checked", function()
  local server <close>, api = f.start()
  t.eq(send(api, "no-uuid").status, 400)
  local res = send(api, uuid.v4(), nil, { ["X-Correlation-Id"] = "x" })
  t.eq({ res.status, res:json().details[1].fieldName }, { 400, "X-Correlation-Id" })
  t.eq(send(api, uuid.v4(), { prompt = ("x"):rep(8001) }).status, 422)
  t.eq(send(api, uuid.v4(), { prompt = ("ü"):rep(8000) }).status, 200)
  t.eq(send(api, uuid.v4(), { modelId = "none" }).status, 404)
  t.eq(server:stats().prompts.without_id, 0)
end)

t.test("a prompt can ask for a violation or a flag", function()
  local server <close>, api = f.start()
  local res = send(api, uuid.v4(), { prompt = "[violate]" })
  t.eq({ res.status, res:json().code }, { 422, "policy.violation" })
  local safety = send(api, uuid.v4(), { prompt = "[flag]", safetyFilters = json.array { "pii" } }):json().safety
  t.eq(safety, { passed = false, triggered = json.array { "pii" } })
  t.eq(server:stats().prompts.models[SMALL].violations, 1)
end)

t.test("models behave as the options say, drawn from the seed, and everything is counted", function()
  local option = {
    ["sim-small"] = { busy = 0.1, failure = 0.2, policy = 0.1, cut = 0.1 }, [LARGE] = { latency = 0.001 },
  }
  local function run()
    local server <close>, api = f.start { rate_limit = 0, seed = 5, prompts = option }
    local seen = {}
    for _ = 1, 200 do
      local res = send(api, uuid.v4())
      local status = res and res.status or "cut"
      seen[status] = (seen[status] or 0) + 1
    end
    t.eq(send(api, uuid.v4(), { modelId = LARGE }).status, 200)
    return seen, server:stats().prompts.models
  end
  local seen, counts = run()
  local small = counts[SMALL]
  t.eq({ small.requests, small.busy, small.failures, small.violations, small.cuts, small.hits },
    { 200, seen[429], seen[503], seen[422], seen.cut, seen[200] + seen.cut })
  t.ok(small.failures > 20 and small.failures < 60)
  t.eq(counts[LARGE].hits, 1)
  t.eq((run()), seen)
end)

t.test("what was cut has taken effect: the same id again is a duplicate", function()
  local server <close>, api = f.start { prompts = { ["*"] = { cut = 1 } } }
  local id = uuid.v4()
  t.eq(send(api, id), nil)
  t.eq(send(api, id).status, 200)
  local counts = server:stats().prompts.models[SMALL]
  t.eq({ counts.requests, counts.hits, counts.duplicates, counts.cuts }, { 1, 1, 1, 1 })
end)

t.test("a behaviour is read from a flag's text", function()
  local model, profile = prompts.parse "model=sim-small,failure=0.03,latency=0.02"
  t.eq({ model, profile.failure, profile.latency }, { "sim-small", 0.03, 0.02 })
  t.eq((prompts.parse "busy=1"), "*")
  for _, bad in ipairs { "busy=2", "what=1", "busy", "busy=x", "latency=-1" } do
    local none, why = prompts.parse(bad)
    t.eq(none, nil)
    t.ok(#why > 0)
  end
end)
