-- Models: every bad registration file tells all its faults at once; the body that is sent; the synthetic test against
-- endpoints of every kind.
local endpoint = require "moongate.model.endpoint"
local errors = require "moongate.error"
local fs = require "moongate.fs"
local hash = require "moongate.hash"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local model = require "moongate.model"
local sim = require "moongate.sim"
local t = require "moongate.test"
local task = require "moongate.task"

local FIXTURES = "tests/lua/fixtures/bad_model/"

-- What a loader raises, as "pointer" -> fault; a fault of the whole file has the key "file".
local function faults_of(fn, ...)
  local ok, err = pcall(fn, ...)
  t.ok(not ok, "nothing was raised")
  t.ok(errors.is(err) and err.code == "invalid", tostring(err))
  local found, count = {}, 0
  for _, d in ipairs(err.details) do
    found[d.pointer or "file"], count = d, count + 1
  end
  return found, count, err
end

local REQUIRED = {
  ["/name"] = "missing", ["/endpoint_url"] = "missing", ["/auth_credential_id"] = "missing",
  ["/model_architecture"] = "missing", ["/max_requests_per_minute"] = "missing",
  ["/max_tokens_per_minute"] = "missing",
}

-- file -> what is expected: pointer -> pattern of the message.
local BAD = {
  empty_object = REQUIRED,
  document_list = { [""] = "object" },
  name_short = { ["/name"] = "at least 3" },
  name_long = { ["/name"] = "at most 64" },
  name_number = { ["/name"] = "string" },
  name_control = { ["/name"] = "control" },
  name_padded = { ["/name"] = "space" },
  name_missing = { ["/name"] = "missing" },
  endpoint_plain_http = { ["/endpoint_url"] = "must be https" },
  endpoint_relative = { ["/endpoint_url"] = "absolute" },
  endpoint_loopback_lookalike = { ["/endpoint_url"] = "must be https" },
  endpoint_user_info = { ["/endpoint_url"] = "user name" },
  endpoint_query = { ["/endpoint_url"] = "query" },
  endpoint_whole_path = { ["/endpoint_url"] = "must end before" },
  endpoint_ftp = { ["/endpoint_url"] = "not ftp" },
  endpoint_null = { ["/endpoint_url"] = "string" },
  endpoint_port = { ["/endpoint_url"] = "port" }, endpoint_host = { ["/endpoint_url"] = "invalid host" },
  credential_empty = { ["/auth_credential_id"] = "empty" },
  credential_missing = { ["/auth_credential_id"] = "missing" },
  architecture_unknown = { ["/model_architecture"] = "one of" },
  architecture_upper_case = { ["/model_architecture"] = 'did you mean "openai"' },
  requests_zero = { ["/max_requests_per_minute"] = "at least 1" },
  requests_10001 = { ["/max_requests_per_minute"] = "at most 10000" },
  requests_text = { ["/max_requests_per_minute"] = "integer" },
  tokens_5000001 = { ["/max_tokens_per_minute"] = "at most 5000000" },
  tokens_fraction = { ["/max_tokens_per_minute"] = "integer" },
  parameters_unknown = { ["/parameters/temprature"] = "did you mean", ["/parameters/logit_bias"] = "not a field" },
  parameters_types = {
    ["/parameters/temperature"] = "number", ["/parameters/top_p"] = "number", ["/parameters/max_tokens"] = "at least",
    ["/parameters/stop_sequences/1"] = "string", ["/parameters/frequency_penalty"] = "number",
  },
  parameters_list = { ["/parameters"] = "object" },
  callback_plain_http = { ["/webhook_callback_url"] = "must be https" },
  callback_number = { ["/webhook_callback_url"] = "string" },
  camel_case = {
    ["/endpoint_url"] = "missing", ["/auth_credential_id"] = "missing", ["/model_architecture"] = "missing",
    ["/max_requests_per_minute"] = "missing", ["/max_tokens_per_minute"] = "missing",
    ["/endpointUrl"] = "endpoint_url", ["/authCredentialId"] = "auth_credential_id",
    ["/modelArchitecture"] = "model_architecture", ["/rateLimits"] = "not a field",
  },
  many = {
    ["/name"] = ".", ["/endpoint_url"] = ".", ["/auth_credential_id"] = ".", ["/model_architecture"] = ".",
    ["/max_requests_per_minute"] = ".", ["/max_tokens_per_minute"] = ".", ["/parameters/seed"] = ".",
    ["/webhook_callback_url"] = "no host", ["/retries"] = ".",
  },
  not_json = { file = "not valid JSON" },
  duplicate_member = { file = "twice" },
}

for _, file in ipairs(assert(fs.list(FIXTURES))) do
  local name = file:gsub("%.json$", "")
  t.test("bad model: " .. name, function()
    t.ok(BAD[name], "no expectation for " .. file)
    local found, count = faults_of(model.load_all, { FIXTURES .. file })
    local expected = 0
    for pointer, pattern in pairs(BAD[name]) do
      expected = expected + 1
      t.ok(found[pointer], ("no fault at %s; there is %s"):format(pointer, (next(found))))
      t.ok(found[pointer].message:find(pattern), found[pointer].message)
      t.eq(found[pointer].file, FIXTURES .. file)
    end
    t.eq(count, expected)
  end)
end

t.test("all bad files together; the lines are those of the text", function()
  local _, count, err = faults_of(model.load_all, { FIXTURES })
  t.ok(count > 60, count)
  t.ok(err.message:find("^%d+ files: %d+ errors; nothing was sent"), err.message)
  err = select(3, faults_of(model.load, FIXTURES .. "many.json"))
  local lines = {}
  for i, d in ipairs(err.details) do lines[i] = d.line end
  t.eq(lines, { 2, 3, 4, 5, 6, 7, 9, 11, 12 })
  t.eq(select(2, faults_of(model.load, "scripts/examples/bad_model.json")), 8)
end)

-- ---- what is good ----

local GOOD = {
  name = "support-assistant", endpoint_url = "https://models.example.com", auth_credential_id = "cred-1",
  model_architecture = "openai", max_requests_per_minute = 600, max_tokens_per_minute = 200000,
}

local function with(changes)
  local c = {}
  for k, v in pairs(GOOD) do c[k] = v end
  for k, v in pairs(changes) do c[k] = v end
  return c
end

t.test("the body that is sent: camelCase, limits as one object, test_model not in it", function()
  local body, test_model = model.check(with {
    parameters = { temperature = 0.5, stop_sequences = json.array { "#" } }, test_model = "gpt-x",
    webhook_callback_url = "https://hooks.example.com/x",
  })
  t.eq(json.encode(body), '{"authCredentialId":"cred-1","endpointUrl":"https://models.example.com",'
    .. '"modelArchitecture":"openai","name":"support-assistant",'
    .. '"parameters":{"stop_sequences":["#"],"temperature":0.5},'
    .. '"rateLimits":{"maxRequestsPerMinute":600,"maxTokensPerMinute":200000},'
    .. '"webhookCallbackUrl":"https://hooks.example.com/x"}')
  t.eq(test_model, "gpt-x")
  body, test_model = model.check(GOOD)
  t.eq(test_model, "support-assistant")
  t.ok(json.encode(body):find('"parameters":{}', 1, true))
  t.eq(body.webhookCallbackUrl, nil)
end)

t.test("tutorial faults 7 and 11: a hash of 64 hex digits of the body sent; lengths in characters", function()
  local body = model.check(with { name = ("ä"):rep(64) })
  t.eq(hash.payload(body), hash.sha256(json.encode(body)))
  t.eq(#hash.payload(body), 64)
  t.ok(not model.check(with { name = ("ä"):rep(65) }))
end)

t.test("limits are a project's to set, and an endpoint on this machine may be http", function()
  t.ok(model.check(with { max_requests_per_minute = 20000 }, { limits = { requests_per_minute = 20000 } }))
  t.ok(not model.check(with { max_tokens_per_minute = 11 }, { limits = { tokens_per_minute = 10 } }))
  for _, url in ipairs { "http://127.0.0.1:8080", "http://localhost/base/", "http://[::1]:1", "https://h:443/base" } do
    t.ok(model.check(with { endpoint_url = url }), url)
  end
end)

t.test("a name that two files share, and the examples", function()
  local list = model.load_all { "scripts/examples/model.json", "scripts/examples/models" }
  t.ok(#list >= 3)
  local found = faults_of(model.load_all, { "scripts/examples/model.json", "scripts/examples/model.json" })
  t.ok(found["/name"].message:find("is the name of", 1, true))
end)

t.test("origins", function()
  for url, origin in pairs {
    ["https://a.example/v1"] = "https://a.example", ["HTTPS://A.Example:443"] = "https://a.example",
    ["http://127.0.0.1:80/"] = "http://127.0.0.1", ["http://[::1]:8080/x"] = "http://[::1]:8080",
  } do t.eq(model.origin(url), origin) end
  t.eq(model.origin("nowhere"), nil)
end)

t.test("an origin that gets the token and is no endpoint's is told of", function()
  local warned = {}
  local run = { log = { warn = function(fmt, ...) warned[#warned + 1] = fmt:format(...) end } }
  endpoint.tokens(run, { "https://a.example/x", "https://b.example" }, { "https://a.example:443", "https://B.example" })
  t.eq(#warned, 0)
  endpoint.tokens(run, { "https://a.example/x" }, { "https://a.exmaple" })
  t.eq(warned, { "--token-origin https://a.exmaple is the origin of no endpoint in the files" })
end)

-- ---- the synthetic test ----

local function test_of(server, name, more)
  local opts = { endpoint = server.url, model = name or "a-model", deadline = 5 }
  for k, v in pairs(more or {}) do opts[k] = v end
  return assert(model.test(opts))
end

t.test("an endpoint that does as it is told passes", function()
  local server <close> = assert(sim.start())
  local r = test_of(server)
  t.eq({ r.result, r.response_code, r.samples, r.passed, #r.reasons }, { "PASS", 200, 1, 1, 0 })
  t.ok(r.payload_size_bytes > 100 and r.latency_ms >= 0)
  t.eq(r.latency.p50, r.latency_ms)
  local sent = server:stats().last[1]
  t.eq(json.decode(sent.body), json.decode('{"model":"a-model","temperature":0,"max_tokens":10,"messages":'
    .. '[{"role":"user","content":"Respond with exactly: VALIDATION_SUCCESS"}]}'))
  t.eq(test_of(server, nil, { endpoint = server.url .. "//" }).result, "PASS")
  t.eq(test_of(server, nil, { expect = "a.b+" }).result, "PASS")
end)

t.test("one that answers otherwise, or not, fails and says why", function()
  local server <close> = assert(sim.start { model_tokens = { "sk-1" } })
  local function fails(name, pattern, code, more)
    local opts = { token = "sk-1" }
    for k, v in pairs(more or {}) do opts[k] = v end
    local r = test_of(server, name, opts)
    t.eq(r.result, "FAIL", name)
    t.ok(r.reasons[1]:find(pattern), r.reasons[1])
    t.eq(r.response_code, code)
    t.ok(r.latency_ms >= 0 and r.payload_size_bytes >= 0 and r.latency.p99)
  end
  fails("a-wrong", 'the reply "I would rather not." does not contain VALIDATION_SUCCESS', 200)
  fails("a-mute", 'the reply "" does not contain', 200)
  fails("a-broken", "not JSON", 200)
  fails("a-down", "503", 503)
  fails("a-busy", "429", 429, { deadline = 0.5 })
  fails("a", "answered 401: Incorrect API key provided%. %(its token is", 401, { token = "sk-2" })
  fails("a", "answered 404.*without /v1", 404, { endpoint = server.url .. "/v1" })
  fails("a", "connect", nil, { endpoint = "http://127.0.0.1:1" })
end)

t.test("samples are spread, and a latency can be a gate", function()
  local waits, n = { 0.03, 0, 0, 0.06 }, 0
  local server <close> = assert(httpd.serve { handler = function()
    n = n + 1
    task.sleep(waits[n] or 0)
    return { json = { choices = json.array { { message = { content = "well: OK!" } } } } }
  end })
  local each = 0
  local r = test_of(server, nil, { samples = 4, expect = "OK", each = function() each = each + 1 end })
  t.eq({ r.result, r.samples, r.passed, each }, { "PASS", 4, 4, 4 })
  t.ok(r.latency.p50 < 30 and r.latency.p95 >= 60 and r.latency.p99 == r.latency.max and r.latency.min < 30)
  t.ok(r.latency.avg > r.latency.min and r.latency.avg < r.latency.max)
  n = 3
  r = test_of(server, nil, { expect = "OK", max_latency = 0.05 })
  t.eq({ r.result, r.passed }, { "FAIL", 1 })
  t.ok(r.reasons[1]:find("latency of .* is above 50 ms"), r.reasons[1])
  t.eq(test_of(server, nil, { expect = "OK", max_latency = 2 }).result, "PASS")
  server:stop()
  r = test_of(server, nil, { samples = 50 })
  t.eq({ r.result, r.samples }, { "FAIL", 1 }) -- no answer: that is enough
end)

t.test("the token goes to its origin only, and no redirect is followed", function()
  local seen = {}
  local other <close> = assert(httpd.serve { handler = function(req)
    seen[#seen + 1] = req.headers.authorization or "none"
    return { json = {} }
  end })
  local server <close> = assert(httpd.serve { handler = function(req)
    seen[#seen + 1] = req.headers.authorization or "none"
    return { status = 307, headers = { Location = other.url .. req.path } }
  end })
  local r = test_of(server, nil, { token = "sk-1" })
  t.eq({ r.result, r.response_code }, { "FAIL", 307 })
  t.ok(r.reasons[1]:find("redirects are not followed", 1, true))
  t.eq(seen, { "Bearer sk-1" })
end)

t.test("wrong options of model.test are the caller's mistake", function()
  t.raises(function() model.test { endpoint = "http://127.0.0.1:1" } end, "model is missing")
  t.raises(function() model.test { endpoint = "http://127.0.0.1:1", model = "x", sample = 3 } end, "unknown option")
  t.raises(function() model.test { endpoint = "http://127.0.0.1:1", model = 3 } end, "expected a string")
end)
