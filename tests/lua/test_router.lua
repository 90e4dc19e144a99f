-- The router as a module: chains, retries, deadlines, faults in what it is given.
local errors = require "moongate.error"
local fake = require "fake_gateway"
local gateway = require "moongate.gateway"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local metrics = require "moongate.metrics"
local router = require "moongate.router"
local session = require "sim_session"
local t = require "moongate.test"
local task = require "moongate.task"
local time = require "moongate.time"
local uuid = require "moongate.uuid"

local SMALL, LARGE = "5a3e1a00-0000-4000-8000-000000000001", "5a3e1a00-0000-4000-8000-000000000002"

-- Each test gets a server and open(options) -> router, audit.
local function test(name, sim_options, fn)
  t.test(name, function()
    local server <close> = session.start(sim_options)
    fn(server, function(opts)
      local gw, audit = session.gateway(server)
      local all = { gateway = gw, model = "sim-small" }
      for k, v in pairs(opts or {}) do all[k] = v end
      return router.open(all), audit
    end)
  end)
end

local function counts(server, id) return server:stats().prompts.models[id or SMALL] end

local function refused(fn, ...)
  local ok, err = pcall(fn, ...)
  t.ok(not ok)
  t.ok(errors.is(err), tostring(err))
  return err
end

test("one prompt: body and headers as the contract has them, the audit event, the answer", {}, function(server, open)
  local r, audit = open { fallback = { "sim-large" }, temperature = "low", safety = { "pii" } }
  local answer = r:route "Hello"
  t.eq({ answer.status, answer.model, answer.attempts, answer.safety.passed }, { "ok", SMALL, 1, true })
  t.ok(uuid.is(answer.request_id))
  t.eq(answer.correlation_id, "route-" .. answer.request_id)
  local last = server:stats().last
  t.eq(json.decode(last[#last].body), {
    modelId = SMALL, prompt = "Hello", fallbackModels = { LARGE }, safetyFilters = { "pii" },
    parameters = { temperature = 0.2, maxTokens = 2048, topP = 0.95 },
    metadata = { routingVersion = "1", dispatchSource = "moongate" },
  })
  t.eq({ audit.lines[1].action, audit.lines[1].status, audit.lines[1].models }, { "prompt_routing", "started",
    "sim-small, sim-large" })
  local event = audit.lines[2]
  t.eq({ event.action, event.modelId, event.requestId, event.status, event.hitRate, event.safetyPassed },
    { "prompt_route", SMALL, answer.request_id, "ok", 1, true })
  t.ok(event.timestamp and event.latencyMs)
  t.eq(#audit.lines, 2)
end)

test("5xx and violations go on to the next model, each once; others do not", {
  prompts = { ["sim-small"] = { failure = 1 }, ["sim-large"] = { policy = 1 } },
}, function(server, open)
  local r = open { fallback = { "sim-large", "sim-strict" } }
  local answer = r:route "Hello"
  t.eq(answer.model:sub(-1), "3")
  t.eq({ answer.fallbacks[1].model, answer.fallbacks[1].status, answer.fallbacks[2].code },
    { SMALL, 503, "policy.violation" })
  t.eq({ counts(server).attempts, counts(server, LARGE).attempts }, { 1, 1 })
  local rows = r.models:data()
  local by = {}
  for _, row in ipairs(rows) do by[row.name] = row end
  t.eq({ by["sim-small"].fallbacks, by["sim-small"].failures, by["sim-large"].violations, by["sim-strict"].hit_rate },
    { 1, 1, 1, 1 })
end)

test("the last model is tried again, under the same request id", { prompts = { ["*"] = { cut = 1 } } },
  function(server, open)
    local r = open()
    local answer = r:route "Hello"
    t.eq({ answer.status, answer.attempts }, { "ok", 2 })
    local c = counts(server)
    t.eq({ c.requests, c.hits, c.duplicates, c.attempts }, { 1, 1, 1, 2 })
  end)

test("a violation without another model is the prompt's failure, audited", {}, function(_, open)
  local r, audit = open()
  local err = refused(r.route, r, "[violate]")
  t.eq({ err.status, err.gateway_code, err.result.status }, { 422, "policy.violation", "failed" })
  t.eq({ audit.lines[2].status, audit.lines[2].safetyPassed, audit.lines[2].hitRate }, { "failed", false, 0 })
end)

test("faults of the settings are told at once, before anything is asked", {}, function(server, open)
  local err = refused(open, {
    fallback = { "sim-small", "a", "a" }, temperature = 3, safety = { "piii" }, temperatures = { low = 5 },
  })
  t.eq(err.code, "invalid")
  t.eq(#err.details, 4)
  t.eq(server:stats().requests, 0)
  t.raises(function() open { modle = "x" } end, "unknown option 'modle' %(did you mean 'model'")
end)

test("models that are not there are refused before anything is routed; the list is read once", {},
  function(server, open)
    local r = open { model = "sim-smal", fallback = { "none" } }
    local err = refused(r.prepare, r)
    t.eq({ err.code, #err.details }, { "invalid", 2 })
    t.ok(err.details[1].message:find("did you mean 'sim-small'", 1, true))
    r = open { fallback = { SMALL } } -- the same one, by its id
    t.eq(refused(r.prepare, r).code, "invalid")
    r = open()
    r:route "a"
    r:route "b"
    t.eq(server:stats().routes["GET /api/v2/ai/models"].count, 3)
  end)

test("a prompt has all its faults told; 8,000 characters are allowed, and are characters", {}, function(_, open)
  local r = open()
  local err = refused(r.route, r, {
    prompt = "", temperature = "hot", top_p = 2, colour = "red", fallback = { "none" },
  })
  t.eq({ err.code, #err.details }, { "invalid", 5 })
  t.eq(r:route(("ü"):rep(8000)).status, "ok")
  t.eq(refused(r.route, r, ("ü"):rep(8001)).code, "invalid")
  t.eq(refused(r.route, r, 5).code, "invalid")
end)

test("a prompt's own settings", {}, function(server, open)
  local r = open()
  r:route { prompt = "x", model = "sim-large", temperature = "high", max_tokens = 5, top_p = 0.5,
    metadata = { team = "a" }, safety = { "profanity" } }
  local last = server:stats().last
  local body = json.decode(last[#last].body)
  t.eq(body.modelId, LARGE)
  t.eq(body.parameters, { temperature = 1.0, maxTokens = 5, topP = 0.5 })
  t.eq({ body.metadata.team, body.metadata.dispatchSource, body.safetyFilters[1] }, { "a", "moongate", "profanity" })
end)

test("no more at once than the limit; one that waits leaves when its deadline passes", {
  prompts = { ["*"] = { latency = 0.3 } },
}, function(_, open)
  local r = open { concurrency = 2, deadline = 0.45 }
  local began, late, ok = time.monotonic(), {}, 0
  local tasks = {}
  for i = 1, 6 do
    tasks[i] = task.spawn(function()
      local good, err = pcall(r.route, r, "x")
      if good then ok = ok + 1 end
      if not good then late[#late + 1] = err.code end
    end)
  end
  for i = 1, 6 do tasks[i]:join() end
  t.eq(ok, 2)
  t.eq(late, { "timeout", "timeout", "timeout", "timeout" })
  t.ok(time.monotonic() - began < 0.9)
end)

test("an audit log that can't be written is found out before a prompt is sent", {}, function(server)
  local audit = fake.audit()
  audit.event = function() return nil, errors.new { code = "io", message = "the disk is full" } end
  local r = router.open { gateway = session.gateway(server, { audit = audit }), model = "sim-small" }
  local err = refused(r.route, r, "x")
  t.ok(err.message:find "no prompt was sent" and err.message:find "disk is full", err.message)
  t.eq({ err.outcome, next(server:stats().prompts.models) }, { "not_sent" })
end)

test("an audit log that fails later: the answer is there all the same", {}, function(server)
  local audit = fake.audit()
  local write, n = audit.event, 0
  audit.event = function(e)
    n = n + 1
    if n > 2 then return nil, errors.new { code = "io", message = "the disk is full" } end
    return write(e)
  end
  local r = router.open { gateway = session.gateway(server, { audit = audit }), model = "sim-small" }
  t.eq(r:route("x").status, "ok")
  local err = refused(r.route, r, "x")
  t.eq({ err.code, err.outcome, err.result.status }, { "io", "final", "ok" })
end)

-- A gateway whose models do what `answers` says: model id -> {status, body, headers} or a function(x).
local function gateway_of(answers)
  local asked = {}
  local server = assert(httpd.serve { handler = function(req)
    if req.path == "/api/v2/ai/models" then
      local list = {}
      for id in pairs(answers) do list[#list + 1] = { id = id, name = id } end
      return { json = { entities = list } }
    end
    local id = json.decode(req.body).modelId
    asked[#asked + 1] = id
    local answer = answers[id]
    if type(answer) == "function" then return answer() end
    return { status = answer[1], json = answer[2], headers = answer[3] }
  end })
  local gw = gateway.open {
    client = assert(http.client { base_url = server.url, deadline = 10 }), audit = fake.audit(), leases = false,
    log = { error = function() end, warn = function() end, info = function() end, debug = function() end },
  }
  return server, gw, asked
end

local FINE = { 200, { output = "from the other" } }

t.test("a busy model, one that is out of order, refuses or can't take the prompt hands it on", function()
  local rows = {
    { 429, { message = "slow down" }, { ["Retry-After"] = "3600", ["X-RateLimit-Remaining"] = "0" } },
    { 503, { message = "overloaded" } },
    { 529, { error = { type = "overloaded_error", message = "Overloaded" } } },
    { 400, { error = { message = "This model's maximum context length is 8192 tokens, your messages are 9000.",
      type = "invalid_request_error", code = "context_length_exceeded" } } },
    { 400, { type = "error", error = { type = "invalid_request_error",
      message = "prompt is too long: 208310 tokens > 200000 maximum" } } },
    { 400, { error = { message = "The input token count (1048577) exceeds the maximum number of tokens" } } },
    { 400, { code = "bad.request", message = "Input is too long for requested model." } },
    { 413, { message = "payload too large" } },
    { 422, { status = 422, message = "blocked by policy" } },
    { 400, { error = { code = "content_filter", message = "The response was filtered", innererror = {
      code = "ResponsibleAIPolicyViolation" } } } },
    { 422, { code = "policy.violation", message = "no" } },
  }
  for i, row in ipairs(rows) do
    local _ <close>, gw, asked = gateway_of { a = row, b = FINE }
    local r = router.open { gateway = gw, model = "a", fallback = { "b" }, deadline = 10 }
    local began = time.monotonic()
    local ok, answer = pcall(r.route, r, "x")
    t.ok(ok, ("row %d: %s"):format(i, tostring(answer)))
    t.eq({ answer.output, asked[1], asked[2], #asked }, { "from the other", "a", "b", 2 })
    t.ok(time.monotonic() - began < 3)
  end
  for _, row in ipairs {
    { 400, { message = "temperature must be at most 2" } }, { 404, { message = "no such path" } },
    { 403, { message = "missing scope ai:prompt:execute" } },
  } do
    local _ <close>, gw, asked = gateway_of { a = row, b = FINE }
    local r = router.open { gateway = gw, model = "a", fallback = { "b" }, deadline = 10 }
    t.ok(not pcall(r.route, r, "x"))
    t.eq(#asked, 1)
  end
end)

t.test("a model that hangs has its share of the deadline, and the next one answers", function()
  local function hang()
    task.sleep(5)
    return { status = 500 }
  end
  local _ <close>, gw, asked = gateway_of { a = hang, b = hang, c = FINE }
  local r = router.open { gateway = gw, model = "a", fallback = { "b", "c" }, deadline = 1.5 }
  local began = time.monotonic()
  t.eq(r:route("x").output, "from the other")
  t.eq(asked, { "a", "b", "c" })
  t.ok(time.monotonic() - began < 1.5)
end)

test("what was counted, as metrics and as a table", {}, function(_, open)
  local registry = metrics.new()
  local r = open { metrics = registry }
  for _ = 1, 3 do r:route "x" end
  pcall(r.route, r, "[violate]")
  for _ = 1, 2 do -- told twice, counted once
    local text = registry:prometheus()
    t.ok(text:find('moongate_route_requests_total{model="sim-small",result="hit"} 3', 1, true), text)
    t.ok(text:find('moongate_route_requests_total{model="sim-small",result="policy_violation"} 1', 1, true))
    t.ok(text:find('moongate_route_duration_seconds_count{model="sim-small"} 4', 1, true))
  end
  t.ok(r.models:lines()[2]:find("^sim%-small +4 +3 +75.0 %%"))
end)
