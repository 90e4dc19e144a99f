-- The simulated gateway's models: registry, registration jobs, health checks, and its chat-completions endpoint.
local f = require "sim_fixture"
local json = require "moongate.json"
local http = require "moongate.http"
local t = require "moongate.test"
local task = require "moongate.task"

local MODELS, REGISTRY = "/api/v2/ai/models", "/api/v2/ai/llm-gateway/models"
local SMALL = "5a3e1a00-0000-4000-8000-000000000001"

local function registration(changes)
  local r = {
    name = "my-model", endpointUrl = "https://models.example.com", authCredentialId = "cred-1",
    modelArchitecture = "openai", parameters = { temperature = 0.2 },
    rateLimits = { maxRequestsPerMinute = 60, maxTokensPerMinute = 1000 },
  }
  for k, v in pairs(changes or {}) do r[k] = v end
  return r
end

-- Registers and polls until the job has ended -> the job, the states seen
local function register(api, changes)
  local res = assert(api("POST", REGISTRY, { json = registration(changes) }))
  t.eq(res.status, 202)
  local id, seen = res:json().jobId, {}
  for _ = 1, 1000 do
    local job = assert(api("GET", "/api/v2/ai/jobs/" .. id)):json()
    if seen[#seen] ~= job.status then seen[#seen + 1] = job.status end
    if job.status == "COMPLETED" or job.status == "FAILED" then return job, seen end
    task.sleep(0.005)
  end
  error "the job does not end"
end

t.test("three models are there from the start, paged", function()
  local server <close>, api = f.start()
  local page = api("GET", MODELS .. "?pageSize=2"):json()
  t.eq({ page.total, #page.entities, page.entities[1].id, page.entities[1].name }, { 3, 2, SMALL, "sim-small" })
  local strict = api("GET", page.nextUri):json().entities[1]
  t.eq(strict.name, "sim-strict")
  t.eq(strict.capabilities, {
    max_context_window = 8192, restricted_safety_filters = json.array { "political", "self_harm" },
  })
  local small = api("GET", MODELS .. "/" .. SMALL):json()
  t.eq(json.encode(small.capabilities.restricted_safety_filters), "[]")
  t.eq(api("GET", MODELS .. "/none").status, 404)
  t.ok(server:state().models[SMALL])
end)

t.test("a registration is a job, and a model when that has ended", function()
  local server <close>, api = f.start { job = 0.05, rate_limit = 0 }
  local job, seen = register(api)
  t.eq(seen[#seen], "COMPLETED")
  t.eq(seen[1], "QUEUED")
  local model = api("GET", MODELS .. "/" .. job.result.id):json()
  t.eq({ model.name, model.modelArchitecture, model.status }, { "my-model", "openai", "active" })
  t.eq(model.payloadHash, require("moongate.hash").payload(registration()))
  local health = api("POST", REGISTRY .. "/" .. model.id .. "/health-checks")
  t.eq({ health.status, health:json().status }, { 200, "HEALTHY" })
  t.eq(server:state().model_jobs[job.id].status, "COMPLETED")
  t.eq(api("GET", "/api/v2/ai/jobs/none").status, 404)
  t.eq(api("POST", REGISTRY .. "/none/health-checks").status, 404)
end)

t.test("a name may ask for a failure, or an unknown state", function()
  local server <close>, api = f.start { job = 0.05, rate_limit = 0 }
  local job = register(api, { name = "fail-this" })
  t.eq(job.status, "FAILED")
  t.eq(#job.errors, 2)
  t.ok(job.result == nil)
  local _, seen = register(api, { name = "odd-one" })
  t.eq(seen, { "QUEUED", "PROVISIONING", "COMPLETED" })
  job = register(api, { name = "sick-one" })
  t.eq(api("POST", REGISTRY .. "/" .. job.result.id .. "/health-checks"):json().status, "UNHEALTHY")
  t.eq(api("GET", MODELS):json().total, 5)
  t.ok(server)
end)

t.test("a registration with faults is a 422 that names them all", function()
  local server <close>, api = f.start()
  local res = api("POST", REGISTRY, { json = registration { name = "x", modelArchitecture = "lua", more = 1 } })
  t.eq(res.status, 422)
  t.eq(#res:json().details, 3)
  t.eq(next(server:state().model_jobs), nil)
end)

-- ---- chat completions ----

local function chat(call, model, text, more)
  local body = { model = model, messages = json.array { { role = "user", content = text } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return assert(call("POST", "/v1/chat/completions", { json = body }))
end

t.test("chat completions say what they are told to, without a token", function()
  local server <close>, _, call = f.start()
  local res = chat(call, "sim-small", "Respond with exactly: VALIDATION_SUCCESS", { temperature = 0 })
  t.eq(res.status, 200)
  local body = res:json()
  t.eq({ body.object, body.model, body.choices[1].message.content, body.choices[1].finish_reason },
    { "chat.completion", "sim-small", "VALIDATION_SUCCESS", "stop" })
  t.ok(body.usage.total_tokens == body.usage.prompt_tokens + body.usage.completion_tokens)
  t.eq(chat(call, "x", "äöü"):json().choices[1].message.content, "3 characters were received.")
  local stream = chat(call, "x", "Respond with exactly: a b", { stream = true })
  t.eq(stream.headers["content-type"], "text/event-stream")
  t.ok(stream.body:find('"content":" b"', 1, true) and stream.body:find("data: [DONE]\n\n", 1, true))
  t.eq(call("GET", "/v1/models"):json().data[3].id, "sim-strict")
  t.eq(server:state().chat.by_model, { ["sim-small"] = 1, x = 2 })
end)

t.test("chat completions: faults by the model's name, bad requests, and tokens of their own", function()
  local server <close>, _, call = f.start { model_tokens = { "sk-1" }, any_model = false }
  t.eq(chat(call, "x", "hi").status, 401)
  t.eq(chat(call, "x", "hi"):json().error.code, "invalid_api_key")
  local with = f.with_token(call, "sk-1")
  t.eq(chat(with, "sim-small", "hi").status, 200)
  local unknown = chat(with, "gpt-77", "hi")
  local said = unknown:json().error
  t.eq({ unknown.status, said.type, said.param, said.code },
    { 404, "invalid_request_error", "model", "model_not_found" })
  t.ok(said.message:find("'gpt-77'", 1, true), said.message)
  t.eq(chat(with, "a-down", "hi").status, 503)
  t.eq(chat(with, "a-busy", "hi").headers["retry-after"], "1")
  t.eq(chat(with, "a-mute", "hi"):json().choices[1].message.content, "")
  t.ok(chat(with, "a-broken", "hi"):json() == nil)
  local res = with("POST", "/v1/chat/completions", { json = { model = "x", messages = json.array {} } })
  t.eq({ res.status, res:json().error.param }, { 400, "messages" })
  t.ok(server)
end)

t.test("chat completions honour their limits, say what a stream used; one model is shown", function()
  local server <close> = f.start {}
  local client = http.client { base_url = server.url, retry = false }
  local function limited(more)
    local body = { model = "sim-small", messages = json.array { { role = "user", content = "Respond with exactly: "
      .. ("é"):rep(40) } } }
    for k, v in pairs(more) do body[k] = v end
    return client:request { method = "POST", path = "/v1/chat/completions", json = body }
  end
  local said = assert(limited { max_tokens = 3 }):json()
  t.eq({ said.choices[1].message.content, said.choices[1].finish_reason }, { ("é"):rep(12), "length" })
  local stream = assert(limited { stream = true, stream_options = { include_usage = true } }).body
  t.ok(stream:find('"usage":{"completion_tokens":10', 1, true))
  t.eq(assert(limited { stream = true }).body:find('"usage"', 1, true), nil)
  t.eq(select(2, limited { n = 2 }).status, 400)
  local two = assert(limited { n = json.null, max_completion_tokens = json.null, max_tokens = 2 }):json()
  t.eq(two.usage.completion_tokens, 2)
  t.eq(assert(client:request { method = "GET", path = "/v1/models/sim-small" }):json().id, "sim-small")
  t.eq(select(2, client:request { method = "GET", path = "/v1/models/none" }).status, 404)
end)

t.test("unless it is told otherwise, chat completions answer for every name", function()
  local server <close>, _, call = f.start {}
  t.eq(chat(call, "gpt-77", "hi").status, 200)
  t.ok(server)
end)
