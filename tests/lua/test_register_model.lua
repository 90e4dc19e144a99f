-- register-model from end to end, against a simulated gateway that misbehaves on demand and plays the endpoint, too.
local bundled = require "moongate.bundled"
local fake = require "fake_gateway"
local fs = require "moongate.fs"
local hash = require "moongate.hash"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local session = require "sim_session"
local t = require "moongate.test"

local FOLDER = "build/tmp/test_register_model"
local MODELS = "/api/v2/ai/llm-gateway/models"
local register_model = bundled.load("register-model")

local function file_of(server, name, changes)
  local m = {
    name = name or "assistant", endpoint_url = server.url, auth_credential_id = "cred-1", model_architecture = "openai",
    max_requests_per_minute = 60, max_tokens_per_minute = 1000, parameters = { temperature = 0.5 },
  }
  for k, v in pairs(changes or {}) do m[k] = v end
  return m
end

-- Writes registrations to files of their own -> paths
local function files(list)
  assert(fs.mkdir(FOLDER))
  local paths = {}
  for i, m in ipairs(list) do
    paths[i] = ("%s/%02d.json"):format(FOLDER, i)
    assert(fs.write(paths[i], json.encode(m)))
  end
  return paths
end

-- register(server, {registrations} | paths, options of session.execute and values) -> data, outcome, audit, reported
local function register(server, what, opts)
  opts = opts or {}
  local values = { synthetic = true, samples = 1, concurrency = 4, token_origin = {}, job_deadline = 10 }
  for k, v in pairs(opts.values or {}) do values[k] = v end
  values.model = type(what[1]) == "string" and what or files(what)
  local all = {}
  for k, v in pairs(opts) do all[k] = v end
  all.values = values
  local out, audit, reported = session.execute(server, register_model, all)
  return out.data, out, audit, reported
end

local function posts(server)
  local route = server:stats().routes["POST " .. MODELS]
  return route and route.count or 0
end

local function models(server)
  local n, named = 0, nil
  for _, m in pairs(server:state().models) do
    if not m.name:find("^sim%-") then n, named = n + 1, m end
  end
  return n, named
end

local function event(audit, action)
  for _, line in ipairs(audit.lines) do
    if line.action == action then return line end
  end
end

-- Each test gets a server, and it is stopped.
local function test(name, opts, fn)
  if not fn then opts, fn = {}, opts end
  opts.job = opts.job or 0
  t.test(name, function()
    local server = session.start(opts)
    local ok, err = pcall(fn, server)
    server:stop()
    if not ok then error(err, 0) end
  end)
end

-- A receiver of webhooks -> project file's table, what it was told, stop
local function listener()
  local told = {}
  local receiver = assert(httpd.serve { handler = function(req)
    told[#told + 1] = req:json()
    return { status = 200 }
  end })
  return { webhooks = { registry = { url = receiver.url } } }, told, function() receiver:stop() end
end

test("the registration's own webhook is told, flat, as the tutorials' receivers read it", function(server)
  local project, told, stop = listener()
  local url = project.webhooks.registry.url
  register(server, { file_of(server, nil, { webhook_callback_url = url .. "/back" }) })
  stop()
  local ours = {}
  for _, body in ipairs(told) do
    if body.event_type then ours[#ours + 1] = body end -- the gateway calls back, too
  end
  t.eq(#ours, 1)
  t.eq({ ours[1].event, ours[1].status, ours[1].data }, { "llm_model_registration_updated", "COMPLETED", nil })
  t.ok(ours[1].modelId and ours[1].metrics.jobDurationMs and ours[1].metrics.validationLatencyMs)
end)

-- ---- the plain way ----

test("submitted, waited for, tested, checked, told, audited", { job = 0.1 }, function(server)
  local project, told, stop = listener()
  local data, out, audit = register(server, { file_of(server) }, { project = project })
  stop()
  local r = data.results[1]
  t.eq({ r.status, r.name, out.exit_status, r.health.status, r.validation.result },
    { "created", "assistant", 0, "HEALTHY", "PASS" })
  local n, held = models(server)
  t.eq({ n, held.id, held.payloadHash }, { 1, r.model_id, r.payload_hash })
  t.eq(held.registration, {
    name = "assistant", endpointUrl = server.url, authCredentialId = "cred-1", modelArchitecture = "openai",
    rateLimits = { maxRequestsPerMinute = 60, maxTokensPerMinute = 1000 }, parameters = { temperature = 0.5 },
  })
  t.eq(r.payload_hash, hash.payload(held.registration))
  t.ok(r.job_id and r.job_duration_ms >= 90 and r.correlation_id and r.validation.response_code == 200)
  t.eq(server:state().chat.by_model, { assistant = 1 })

  t.eq({ audit.lines[1].phase, audit.lines[1].action, audit.lines[2].phase }, { "intent", "model_submit", "outcome" })
  local line = event(audit, "model_registration")
  t.eq({ line.modelId, line.payloadHash, line.jobDurationMs, line.validationStatus, line.compliance, line.status },
    { r.model_id, r.payload_hash, r.job_duration_ms, "PASS", "RECORD_STORED", "REGISTERED" })
  t.ok(line.timestamp:find("Z$") and line.latencyMs >= 0)

  t.eq({ #told, told[1].type, told[1].data.modelId, told[1].data.status }, { 1, "llm_model_registration_updated",
    r.model_id, "REGISTERED" })
  t.ok(told[1].data.timestamp and told[1].data.metrics.validationStatus == "PASS" and told[1].data.metrics.latencyMs)
  t.ok(out.lines[#out.lines]:find("^assistant: created  id %x+%-.*test PASS.*health HEALTHY"), out.lines[#out.lines])
  t.ok(json.encode(data))
end)

test("--dry-run shows body and hash; no write, no test", function(server)
  local data, out, audit = register(server, { file_of(server) }, { dry_run = true })
  local r = data.results[1]
  t.eq({ r.status, out.exit_status, r.registration.endpointUrl }, { "planned", 0, server.url })
  t.eq(r.payload_hash, hash.payload(r.registration))
  local text = table.concat(out.lines, "\n")
  t.ok(text:find("+ rateLimits:", 1, true) and text:find("sha256 " .. r.payload_hash, 1, true), text)
  t.eq({ session.count(server, "POST"), server:state().chat.completions, #audit.lines }, { 0, 0, 0 })
end)

test("--no-synthetic registers without a test", function(server)
  local data, out, audit = register(server, { file_of(server) }, { values = { synthetic = false } })
  t.eq({ data.results[1].status, out.exit_status, server:state().chat.completions }, { "created", 0, 0 })
  t.eq(event(audit, "model_registration").validationStatus, "SKIPPED")
  local ok, err = pcall(register, server, { file_of(server) }, { values = { synthetic = false, expect = "x" } })
  t.ok(not ok and err.code == "usage", tostring(err))
end)

-- ---- the same thing twice ----

test("the same name and content again: unchanged, not sent, but tested", function(server)
  local first = register(server, { file_of(server) }).results[1]
  local project, told, stop = listener()
  local data, out, audit = register(server, { file_of(server) }, { project = project })
  stop()
  local r = data.results[1]
  t.eq({ r.status, r.model_id, out.exit_status, posts(server) }, { "unchanged", first.model_id, 0, 1 })
  t.eq({ r.validation.result, r.health.status, #told }, { "PASS", "HEALTHY", 0 })
  t.ok(not event(audit, "model_submit") and event(audit, "model_registration"))
  out = select(2, register(server, { file_of(server) }, { values = { test_model = "x-wrong" } }))
  t.eq(out.exit_status, 8)
end)

test("the same name with other content: exit 5, unless it is allowed", function(server)
  register(server, { file_of(server) })
  local other = { file_of(server, nil, { endpoint_url = server.url .. "/" }) }
  local data, out = register(server, other)
  local err = data.results[1].error
  t.eq({ out.exit_status, err.code, err.outcome, posts(server) }, { 5, "conflict", "not_sent", 1 })
  t.ok(err.message:find("registered already (id ", 1, true) and err.message:find("other content", 1, true), err.message)
  t.ok(err.hint:find("--allow-duplicate-name", 1, true))
  t.eq({ err.details[1].field, err.details[1].ours }, { "endpointUrl", server.url .. "/" })
  data, out = register(server, other, { values = { allow_duplicate_name = true } })
  t.eq({ out.exit_status, data.results[1].status, (models(server)) }, { 0, "created", 2 })
end)

test("a gateway whose listing has no hashes: the name alone is a conflict", function(server)
  register(server, { file_of(server) })
  local kinds = { model = { hash = "noSuchMember" } }
  local data, out = register(server, { file_of(server) }, { gateway = { kinds = kinds } })
  t.eq({ out.exit_status, posts(server) }, { 5, 1 })
  t.ok(data.results[1].error.message:find("does not report whether", 1, true))
end)

-- ---- the job ----

test("a job that fails: exit 1 with all its errors; audited and told", function(server)
  local project, told, stop = listener()
  local data, out, audit, reported = register(server, { file_of(server, "fail-me") }, { project = project })
  stop()
  local r = data.results[1]
  t.eq({ out.exit_status, r.status, r.error.code, #r.error.details, #reported }, { 1, "failed", "failed", 2, 1 })
  t.eq(r.error.details[2].field, "authCredentialId")
  t.ok(r.job_id and r.job_duration_ms)
  local line = event(audit, "model_registration")
  t.eq({ line.status, line.validationStatus, line.error_code, line.modelId }, { "FAILED", "SKIPPED", "failed", nil })
  t.ok(line.jobDurationMs >= 0)
  t.eq({ told[1].data.status, told[1].data.modelId }, { "FAILED", json.null })
  t.eq(server:state().chat.completions, 0)
end)

test("a state nobody knows is still running", { job = 0.1 }, function(server)
  local data, out = register(server, { file_of(server, "odd-one") })
  t.eq({ out.exit_status, data.results[1].status }, { 0, "created" })
end)

test("a job that does not end: exit 6, and where to look is said", function(server)
  local data, out, audit = register(server, { file_of(server, "stuck-one") }, { values = { job_deadline = 0.6 } })
  local r = data.results[1]
  t.eq({ out.exit_status, r.error.code, r.error.outcome }, { 6, "timeout", "unknown" })
  t.ok(r.error.hint:find("/api/v2/ai/jobs/" .. r.job_id, 1, true), r.error.hint)
  t.eq(event(audit, "model_registration").status, "UNKNOWN")
end)

test("429 and 503 while polling are waited for", { job = 0.1 }, function(server)
  server:fault { status = 429, retry_after = 1, path = "/jobs/*", nth = 1 }
  server:fault { status = 503, path = "/jobs/*", nth = 2 }
  local data, out = register(server, { file_of(server) })
  t.eq({ out.exit_status, data.results[1].status }, { 0, "created" })
  t.ok(data.results[1].job_duration_ms >= 1000)
  t.eq(posts(server), 1)
end)

-- ---- faults of the submission ----

test("an answer that was lost: found by name and hash, sent once", { job = 0.2 }, function(server)
  server:fault { kind = "close_after", method = "POST", path = MODELS }
  local data, out, audit = register(server, { file_of(server) })
  local r = data.results[1]
  t.eq({ out.exit_status, r.status, posts(server), (models(server)) }, { 0, "reconciled", 1, 1 })
  t.eq(r.validation.result, "PASS")
  t.eq(audit.lines[2].status, "reconciled")
end)

test("a submission that never arrived: unknown, exit 6, sent once", function(server)
  server:fault { kind = "close_before", method = "POST", path = MODELS }
  local data, out, audit = register(server, { file_of(server) }, { values = { job_deadline = 0.5 } })
  t.eq({ out.exit_status, data.results[1].error.outcome, posts(server), (models(server)) }, { 6, "unknown", 1, 0 })
  t.eq(event(audit, "model_registration").status, "UNKNOWN")
end)

test("429 is tried again with the whole body; 422 gives the gateway's details", function(server)
  server:fault { status = 429, retry_after = 1, method = "POST", path = MODELS, nth = 1 }
  t.eq(register(server, { file_of(server) }).results[1].attempts, 2)
  local wide = { limits = { requests_per_minute = 20000 } }
  local data, out = register(server, { file_of(server, "wide", { max_requests_per_minute = 20000 }) },
    { project = wide, gateway = wide })
  t.eq({ out.exit_status, data.results[1].error.status, data.results[1].error.details[1].field },
    { 3, 422, "rateLimits.maxRequestsPerMinute" })
end)

test("what can't be audited is not sent", function(server)
  local data, out = register(server, { file_of(server) }, { audit = fake.audit { refuse_intent = true } })
  t.eq({ out.exit_status, data.results[1].error.outcome, posts(server) }, { 1, "not_sent", 0 })
end)

-- ---- scopes ----

local ALL = { "ai:llm-gateway:write", "ai:models:read", "ai:jobs:read" }

local function without(scope)
  local left = {}
  for _, s in ipairs(ALL) do left[#left + 1] = s ~= scope and s or nil end
  return { scopes = left }
end

test("without ai:llm-gateway:write: exit 4, audited, nobody told", without "ai:llm-gateway:write", function(server)
  local project, told, stop = listener()
  local data, out, audit = register(server, { file_of(server) }, { project = project })
  stop()
  t.eq({ out.exit_status, #told }, { 4, 0 })
  local line = event(audit, "model_registration")
  t.eq({ line.status, line.validationStatus, line.error_code }, { "FAILED", "SKIPPED", "http" })
  t.ok(data.results[1].error.hint:find("ai:llm-gateway:write", 1, true))
end)

test("without ai:jobs:read: exit 4, named, and the job is named", without "ai:jobs:read", function(server)
  local data, out = register(server, { file_of(server) })
  t.eq(out.exit_status, 4)
  t.ok(data.results[1].error.hint:find("ai:jobs:read", 1, true) and data.results[1].job_id)
end)

test("without ai:models:read duplicates are not looked for", without "ai:models:read", function(server)
  local _, out = register(server, { file_of(server) })
  t.eq({ out.exit_status, posts(server) }, { 0, 1 })
end)

-- ---- the endpoint, and health ----

test("a test that fails: exit 8; registered, health checked, told and audited all the same", function(server)
  local project, told, stop = listener()
  local data, out, audit = register(server, { file_of(server, "all-wrong") }, { project = project })
  stop()
  local r = data.results[1]
  t.eq({ out.exit_status, r.status, r.written, r.error.code }, { 8, "failed", "created", "verify" })
  t.eq(models(server), 1)
  t.ok(r.error.message:find("I would rather not", 1, true) and r.error.hint:find(r.model_id, 1, true))
  t.eq({ r.validation.result, r.health.status, told[1].data.status }, { "FAIL", "HEALTHY", "VALIDATION_FAILED" })
  local line = event(audit, "model_registration")
  t.eq({ line.validationStatus, line.status, line.modelId }, { "FAIL", "VALIDATION_FAILED", r.model_id })
end)

test("tutorial fault 8: a test without an answer has a latency, too", function(server)
  local down = file_of(server, nil, { endpoint_url = "http://127.0.0.1:1" })
  local data, out, audit = register(server, { down })
  t.eq({ out.exit_status, data.results[1].validation.result }, { 8, "FAIL" })
  t.ok(event(audit, "model_registration").latencyMs >= 0)
end)

test("--samples, --expect, --max-latency and --test-model", function(server)
  local data, out = register(server, { file_of(server) }, { values = { samples = 5, expect = "PONG" } })
  local v = data.results[1].validation
  t.eq({ out.exit_status, v.samples, v.passed, v.result }, { 0, 5, 5, "PASS" })
  t.ok(v.latency.p50 <= v.latency.p95 and v.latency.p95 <= v.latency.p99)
  t.ok(out.lines[#out.lines]:find("5/5 passed  p50 ", 1, true), out.lines[#out.lines])
  local late = { values = { max_latency = 0.2, test_model = "a-slow" } }
  out = select(2, register(server, { file_of(server, "lazy") }, late))
  t.eq(out.exit_status, 8)
  late.values = { max_latency = 5 }
  out = select(2, register(server, { file_of(server, "own-name", { test_model = "gpt-y" }) }, late))
  t.eq(out.exit_status, 0)
  t.eq(server:state().chat.by_model, { assistant = 5, ["a-slow"] = 1, ["gpt-y"] = 1 })
end)

test("a gateway that finds the model sick: exit 8; one that can't say: exit 6", function(server)
  local data, out, audit = register(server, { file_of(server, "sick-one") })
  t.eq({ out.exit_status, data.results[1].health.status, data.results[1].written }, { 8, "UNHEALTHY", "created" })
  t.eq(event(audit, "model_registration").status, "UNHEALTHY")
  server:fault { status = 500, path = "/health-checks" }
  data, out = register(server, { file_of(server, "other") })
  t.eq({ out.exit_status, data.results[1].health.status, data.results[1].validation.result }, { 6, "UNKNOWN", "PASS" })
end)

test("the gateway's credential does not go to the endpoint", function(server)
  local seen
  local endpoint = assert(httpd.serve { handler = function(req)
    seen = req.headers
    return { json = { choices = json.array { { message = { content = "VALIDATION_SUCCESS" } } } } }
  end })
  local _, out = register(server, { file_of(server, nil, { endpoint_url = endpoint.url }) })
  endpoint:stop()
  t.eq({ out.exit_status, seen.authorization }, { 0, nil })
end)

-- ---- many ----

test("many at once, never more than --concurrency; one that fails stops no other", { job = 0.05 }, function(server)
  local list = {}
  for i = 1, 12 do list[i] = file_of(server, ("model-%02d"):format(i)) end
  list[5].name = "fail-05"
  local data, out, _, reported = register(server, list, { values = { concurrency = 3 } })
  t.eq({ data.summary.created, data.summary.failed, out.exit_status, #reported }, { 11, 1, 1, 1 })
  t.eq({ data.results[5].status, data.results[12].name }, { "failed", "model-12" })
  t.eq(out.lines[#out.lines], "12 models: 11 created, 1 failed")
  local lists = server:stats().routes["GET /api/v2/ai/models"].count
  t.eq(lists, 1) -- once for all
end)

test("bad files: all faults of all files at once, exit 3, and nothing is sent", function(server)
  local ok, err = pcall(register, server, { "tests/lua/fixtures/bad_model", "scripts/examples/model.json" })
  t.ok(not ok and err.code == "invalid")
  t.ok(#err.details > 60, #err.details)
  local names = assert(fs.list("tests/lua/fixtures/bad_model"))
  for _, name in ipairs(names) do
    ok, err = pcall(register, server, { "tests/lua/fixtures/bad_model/" .. name })
    t.ok(not ok and require("moongate.exit_status").of(err) == 3, name)
  end
  t.ok(#names >= 30)
  t.eq(server:stats().requests, 0)
end)
