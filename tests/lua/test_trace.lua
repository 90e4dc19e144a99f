-- Traces: what a collector is sent, in OTLP's published JSON form, and what goes out on requests.
local errors = require "moongate.error"
local environment = require "moongate.trace.environment"
local gen_ai = require "moongate.trace.gen_ai"
local host = require "moongate.host"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local native = require "moongate.span"
local secret = require "moongate.secret"
local t = require "moongate.test"
local task = require "moongate.task"
local time = require "moongate.time"
local trace = require "moongate.trace"

local PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

-- ---- a collector ----

-- collector{status =, hang = seconds, answer = table} -> server with .posts, what it was sent, and .env for it
local function collector(opts)
  opts = opts or {}
  local posts = {}
  local server = assert(httpd.serve { handler = function(req)
    posts[#posts + 1] = { path = req.path, headers = req.headers, body = req.body }
    if opts.hang then task.sleep(opts.hang) end
    return { status = opts.status or 200, json = opts.answer or json.decode "{}" }
  end })
  return { server = server, posts = posts, env = { OTEL_EXPORTER_OTLP_ENDPOINT = server.url } }
end

local function logger()
  local lines = {}
  return { lines = lines, warn = function(fmt, ...) lines[#lines + 1] = fmt:format(...) end }
end

-- A run under these variables -> what fn returned first, warnings
local function run(env, fn, content)
  local log = logger()
  local result = trace.run("moongate test", fn, {
    getenv = function(name) return env[name] end, log = log, content = content, version = "1.2.3",
  })
  return result, log.lines
end

local VALUES = { stringValue = "string", boolValue = "boolean", intValue = "string", doubleValue = "number",
  arrayValue = "table" }
local SPAN = { traceId = true, spanId = true, parentSpanId = true, traceState = true, name = true, kind = true,
  startTimeUnixNano = true, endTimeUnixNano = true, attributes = true, status = true }

local function check_attributes(list)
  t.ok(json.is_array(list))
  local out = {}
  for _, attribute in ipairs(list) do
    local kind, value = next(attribute.value)
    t.eq(type(value), VALUES[kind], attribute.key)
    t.eq(next(attribute.value, kind), nil)
    if kind == "intValue" then t.ok(value:find "^%-?%d+$", value) end
    t.eq(out[attribute.key], nil, "twice: " .. attribute.key)
    out[attribute.key] = value
  end
  return out
end

local function check_span(span)
  for key in pairs(span) do t.ok(SPAN[key], "a span has no " .. key) end
  t.ok(span.traceId:find("^" .. ("[0-9a-f]"):rep(32) .. "$"), span.traceId)
  t.ok(span.spanId:find("^" .. ("[0-9a-f]"):rep(16) .. "$"), span.spanId)
  if span.parentSpanId then t.ok(span.parentSpanId:find("^" .. ("[0-9a-f]"):rep(16) .. "$")) end
  t.ok(math.type(span.kind) == "integer" and span.kind >= 1 and span.kind <= 5)
  t.ok(span.startTimeUnixNano:find "^%d+$" and span.endTimeUnixNano:find "^%d+$")
  t.ok(math.tointeger(span.endTimeUnixNano) >= math.tointeger(span.startTimeUnixNano))
  t.ok(span.status.code == nil or math.type(span.status.code) == "integer")
  span.attributes = check_attributes(span.attributes)
end

-- All spans a collector was sent, by name, each checked against the form.
local function received(c)
  local by_name, all = {}, {}
  for _, post in ipairs(c.posts) do
    t.eq(post.headers["content-type"], "application/json")
    local document = assert(json.decode(post.body))
    for _, resource in ipairs(document.resourceSpans) do
      t.eq(resource.schemaUrl, "https://opentelemetry.io/schemas/1.37.0")
      c.resource = check_attributes(resource.resource.attributes)
      for _, scope in ipairs(resource.scopeSpans) do
        t.eq(scope.scope.name, "moongate")
        for _, span in ipairs(scope.spans) do
          check_span(span)
          by_name[span.name], all[#all + 1] = span, span
        end
      end
    end
  end
  c.server:stop()
  return by_name, all
end

-- ---- the environment ----

t.test("traceparent: what is one, and what is not", function()
  t.eq(environment.parse(PARENT), {
    trace_id = "0af7651916cd43dd8448eb211c80319c", parent = 0xb7ad6b7169203331, sampled = true,
  })
  t.eq(environment.parse(PARENT:gsub("01$", "00")).sampled, false)
  t.ok(environment.parse(PARENT:gsub("^00", "cc") .. "-more"))
  for _, text in ipairs {
    "", "x", PARENT .. "-more", PARENT:upper(), (PARENT:gsub("^00", "ff")),
    (PARENT:gsub("%-b7.*%-", "-0000000000000000-")),
    (PARENT:gsub("0af7.*%-b7", ("0"):rep(32) .. "-b7")), (PARENT:gsub("0af7", "0af")), PARENT:sub(1, -2),
  } do
    t.eq(environment.parse(text), nil, text)
  end
end)

t.test("the environment's variables, as OpenTelemetry names them", function()
  local function read(env)
    return environment.read(function(name) return env[name] end, logger())
  end
  t.eq(read {}, nil)
  t.eq(read { OTEL_EXPORTER_OTLP_ENDPOINT = "" }, nil)
  t.eq(read { OTEL_EXPORTER_OTLP_ENDPOINT = "http://c:4318/" }.endpoint, "http://c:4318/v1/traces")
  t.eq(read { OTEL_EXPORTER_OTLP_ENDPOINT = "http://c", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = "http://t/x" }.endpoint,
    "http://t/x")
  t.eq(read { OTEL_EXPORTER_OTLP_ENDPOINT = "http://c", OTEL_SDK_DISABLED = "true" }, nil)
  t.eq(read { OTEL_EXPORTER_OTLP_ENDPOINT = "http://c", OTEL_TRACES_EXPORTER = "none" }, nil)
  local all = read {
    OTEL_EXPORTER_OTLP_ENDPOINT = "http://c", OTEL_EXPORTER_OTLP_TIMEOUT = "500", OTEL_SERVICE_NAME = "svc",
    OTEL_RESOURCE_ATTRIBUTES = "service.name=other, team=a%2Cb", OTEL_BSP_MAX_QUEUE_SIZE = "9",
    OTEL_EXPORTER_OTLP_HEADERS = "a=b", TRACESTATE = "x=y",
  }
  t.eq(all.timeout, 0.5)
  t.eq(all.resource, { ["service.name"] = "svc", team = "a,b" })
  t.eq({ all.queue, all.batch, all.headers, all.parent, all.sampled, all.record },
    { 9, 9, "OTEL_EXPORTER_OTLP_HEADERS", 0, true, true })
  t.eq(all.tracestate, nil) -- belongs to a TRACEPARENT
  t.eq(read { OTEL_EXPORTER_OTLP_ENDPOINT = "http://c", TRACEPARENT = PARENT:gsub("01$", "00") }.record, false)
end)

-- ---- spans ----

t.test("OTEL_TRACES_SAMPLER: the standard samplers, with and without a parent", function()
  local unsampled = PARENT:gsub("01$", "00")
  local function sampled(sampler, arg, parent)
    local warned = logger()
    local env = { OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:1", OTEL_TRACES_SAMPLER = sampler,
      OTEL_TRACES_SAMPLER_ARG = arg, TRACEPARENT = parent }
    local settings = environment.read(function(name) return env[name] end, warned)
    return settings.record
  end
  for _, case in ipairs {
    { nil, nil, nil, true }, { nil, nil, unsampled, false }, { "always_on", nil, unsampled, true },
    { "always_off", nil, nil, false }, { "always_off", nil, PARENT, false }, { "ALWAYS_OFF", nil, PARENT, false },
    { "parentbased_always_off", nil, nil, false }, { "parentbased_always_off", nil, PARENT, true },
    { "parentbased_always_on", nil, unsampled, false }, { "traceidratio", "0", PARENT, false },
    { "traceidratio", "1", unsampled, true }, { "traceidratio", nil, nil, true }, { "traceidratio", "no", nil, true },
    { "parentbased_traceidratio", "0", nil, false }, { "parentbased_traceidratio", "0.0", PARENT, true },
    { "xray", nil, unsampled, false }, { "xray", nil, nil, true },
  } do
    t.eq(sampled(case[1], case[2], case[3]), case[4], ("%s %s %s"):format(case[1], case[2], case[3]))
  end
  local low = "00-" .. ("a"):rep(16) .. "3fffffffffffffff-00f067aa0ba902b7-00"
  local high = "00-" .. ("a"):rep(16) .. "c000000000000000-00f067aa0ba902b7-01"
  t.eq({ sampled("traceidratio", "0.5", low), sampled("traceidratio", "0.5", high) }, { true, false })
end)

t.test("spans inside spans, across tasks; attributes of every type", function()
  local c = collector()
  local results = run(c.env, function()
    local attributes = { text = "x", whole = 1 << 60, part = 0.5, yes = true, list = { "a", "b" } }
    return table.pack(trace.span("outer", attributes, function(s)
      s:set("late", "z")
      task.all { function() trace.span("inner", nil, function() end) end }
      return "first", nil
    end))
  end)
  t.eq(results, { "first", n = 2 })
  local spans = received(c)
  t.eq(c.posts[1].path, "/v1/traces")
  t.eq(c.resource["service.name"], "moongate")
  t.eq(c.resource["service.version"], "1.2.3")
  t.eq(spans.outer.parentSpanId, spans["moongate test"].spanId)
  t.eq(spans.inner.parentSpanId, spans.outer.spanId)
  t.eq(spans["moongate test"].parentSpanId, nil)
  t.eq(spans.inner.traceId, spans.outer.traceId)
  t.eq(spans.outer.attributes, {
    text = "x", whole = tostring(1 << 60), part = 0.5, yes = true, late = "z",
    list = { values = json.array { { stringValue = "a" }, { stringValue = "b" } } },
  })
  t.eq(native.current(), 0)
end)

t.test("a failure passes through, and its span says what, not in which words", function()
  local c = collector()
  local ok, err = pcall(run, c.env, function()
    trace.span("bad", nil, function() errors.raise { code = "conflict", message = "the prompt was xyzzy" } end)
  end)
  t.ok(not ok and errors.is(err) and err.code == "conflict")
  local spans = received(c)
  t.eq(spans.bad.status.code, 2)
  t.eq(spans.bad.attributes["error.type"], "conflict")
  t.eq(spans["moongate test"].status.code, 2)
  t.ok(not c.posts[1].body:find("xyzzy", 1, true))
end)

t.test("the span of a task that is cancelled ends, too", function()
  local c = collector()
  run(c.env, function()
    local sleeper = task.spawn(function() trace.span("asleep", nil, function() task.sleep(60) end) end)
    task.yield()
    sleeper:cancel()
    sleeper:join()
  end)
  t.eq(received(c).asleep.attributes["error.type"], "cancelled")
end)

-- ---- requests ----

local function gateway(fn)
  local seen = {}
  local server = assert(httpd.serve { handler = function(req)
    seen[#seen + 1] = req.headers
    return fn and fn(#seen) or { status = 204 }
  end })
  return server, seen
end

t.test("every attempt is a span of its own, whose id went out as traceparent", function()
  local c = collector()
  local server, seen = gateway(function(n) return { status = n == 1 and 503 or 204 } end)
  c.env.TRACEPARENT, c.env.TRACESTATE = PARENT, "vendor=1"
  run(c.env, function()
    local client = assert(http.client { base_url = server.url, retry = { base_ms = 1 } })
    trace.span("part", nil, function() assert(client:get("/a/b?token=xyzzy")) end)
    assert(client:get("/plain"))
    assert(http.client { base_url = server.url, trace = false }):get("/untraced")
  end)
  server:stop()
  local spans, all = received(c)
  local attempts = {}
  for _, span in ipairs(all) do
    if span.kind == 3 then attempts[#attempts + 1] = span end
  end
  t.eq(#attempts, 3)
  for i, span in ipairs(attempts) do
    t.eq(seen[i].traceparent, ("00-%s-%s-01"):format(span.traceId, span.spanId))
    t.eq(seen[i].tracestate, "vendor=1")
  end
  t.eq(seen[4].traceparent, nil)
  t.eq(attempts[1].traceId, "0af7651916cd43dd8448eb211c80319c")
  t.eq(attempts[1].parentSpanId, spans.part.spanId)
  t.eq(attempts[3].parentSpanId, spans["moongate test"].spanId)
  t.eq(spans["moongate test"].parentSpanId, "b7ad6b7169203331")
  t.eq(attempts[1].status.code, 2)
  t.eq(attempts[1].attributes["error.type"], "503")
  t.eq(attempts[2].name, "GET")
  t.eq(attempts[2].attributes["http.request.resend_count"], "1")
  t.eq(attempts[2].attributes["http.response.status_code"], "204")
  t.eq(attempts[2].attributes["server.port"], tostring(server.port))
  t.eq(attempts[2].attributes["url.full"], server.url .. "/a/b") -- a query may hold what is secret
end)

t.test("an attempt that got no answer has its reason", function()
  local c = collector()
  run(c.env, function() http.client { base_url = "http://127.0.0.1:1", retry = false }:get("/") end)
  t.eq(received(c).GET.attributes["error.type"], "connect")
end)

t.test("TRACEPARENT alone is passed on as it is; nothing is off by itself", function()
  local server, seen = gateway()
  run({ TRACEPARENT = PARENT, TRACESTATE = "a=b" }, function() assert(http.get(server.url .. "/")) end)
  run({}, function() assert(http.get(server.url .. "/")) end)
  run({ TRACEPARENT = "nonsense" }, function() assert(http.get(server.url .. "/")) end)
  server:stop()
  t.eq({ seen[1].traceparent, seen[1].tracestate }, { PARENT, "a=b" })
  t.eq(seen[2].traceparent, nil)
  t.eq(seen[3].traceparent, nil)
end)

t.test("a traceparent that a request brings itself stays", function()
  local server, seen = gateway()
  run({ TRACEPARENT = PARENT }, function()
    assert(http.get(server.url .. "/", { headers = { traceparent = "mine" } }))
  end)
  server:stop()
  t.eq(seen[1].traceparent, "mine")
end)

-- ---- a collector that does not do its part ----

t.test("a collector that is down costs a warning", function()
  local result, warned = run({ OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:1" }, function() return 42 end)
  t.eq(result, 42)
  t.eq(#warned, 1)
  t.ok(warned[1]:find("1 spans could not be sent to http://127.0.0.1:1/v1/traces", 1, true), warned[1])
end)

t.test("what several batches lost to it is summed up at the end", function()
  local c = collector { status = 400 }
  c.env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE = "10"
  local _, warned = run(c.env, function()
    for _ = 1, 10 do trace.span("one", nil, function() end) end
    while #c.posts == 0 do task.sleep(0.01) end
    task.sleep(0.05)
    return 1
  end)
  c.server:stop()
  t.eq(#warned, 2)
  t.ok(warned[1]:find("10 spans could not be sent", 1, true), warned[1])
  t.ok(warned[2]:find("11 spans in all could not be sent", 1, true), warned[2])
end)

t.test("one that hangs costs the timeout and no more", function()
  local c = collector { hang = 1.5 }
  c.env.OTEL_EXPORTER_OTLP_TIMEOUT = "200"
  local started = time.monotonic()
  local result, warned = run(c.env, function() return 42 end)
  t.eq(result, 42)
  t.ok(time.monotonic() - started < 1, time.monotonic() - started)
  t.eq(#warned, 1)
  c.server:stop()
end)

t.test("one that refuses, wholly or in part, costs a warning", function()
  local c = collector { status = 400 }
  local _, warned = run(c.env, function() return 1 end)
  t.ok(warned[1]:find("could not be sent", 1, true))
  c.server:stop()
  c = collector { answer = { partialSuccess = { rejectedSpans = "1", errorMessage = "no" } } }
  _, warned = run(c.env, function() return 1 end)
  t.eq(warned, { "traces: the collector rejected 1 span: no" })
  c.server:stop()
end)

t.test("many spans go in batches; what does not fit is counted, and memory stays bounded", function()
  local c = collector()
  local _, warned = run(c.env, function()
    for i = 1, 3000 do
      trace.span("one", nil, function() end)
      if i % 100 == 0 then task.sleep(0.005) end
    end
    return 1
  end)
  local _, all = received(c)
  t.ok(#c.posts >= 6)
  t.eq({ #all, #warned }, { 3001, 0 })
  c = collector()
  c.env.OTEL_BSP_MAX_QUEUE_SIZE = "100"
  _, warned = run(c.env, function()
    for _ = 1, 1000 do trace.span("one", nil, function() end) end -- never lets the exporter run
    return 1
  end)
  _, all = received(c)
  t.eq(#all, 100)
  t.ok(warned[1]:find("901 spans were lost", 1, true), warned[1])
end)

-- ---- what must not be in them ----

t.test("a secret that the program knows is blanked, wherever it stands", function()
  local c = collector()
  local word = host.getenv "PATH" -- there is one everywhere
  t.ok(secret.env "PATH")
  run(c.env, function() trace.span("part", { note = "key " .. word }, function() end) end)
  t.eq(received(c).part.attributes.note, "key ***")
end)

t.test("content only when asked for", function()
  for _, wanted in ipairs { false, true } do
    local c = collector()
    run(c.env, function()
      gen_ai.call({ model = "m", provider = "openai", max_tokens = 10, temperature = 0 }, function(call)
        call:prompt "xyzzy?"
        call:completion "plugh!"
        call:answered { id = "r1", model = "m-1", input_tokens = 3, output_tokens = 4, finish_reasons = { "stop" } }
      end)
    end, wanted)
    local span = received(c)["chat m"]
    t.eq(span.kind, 3)
    t.eq(span.attributes["gen_ai.operation.name"], "chat")
    t.eq(span.attributes["gen_ai.request.model"], "m")
    t.eq(span.attributes["gen_ai.response.model"], "m-1")
    t.eq(span.attributes["gen_ai.usage.input_tokens"], "3")
    t.eq(c.posts[1].body:find("xyzzy", 1, true) ~= nil, wanted)
    t.eq(c.posts[1].body:find("plugh", 1, true) ~= nil, wanted)
    if wanted then
      t.eq(json.decode(span.attributes["gen_ai.input.messages"])[1].parts[1].content, "xyzzy?")
    end
  end
end)

t.test("nobody traces: a span is a call", function()
  t.eq(trace.on(), false)
  t.eq({ trace.span("x", nil, function(span)
    span:set("a", 1)
    span:content("b", error)
    return 1, 2
  end) }, { 1, 2 })
  t.eq(gen_ai.call({ model = "m" }, function(call)
    call:prompt "p"
    return "out"
  end), "out")
end)

t.test("attempts that nobody takes are bounded, too, and told in order", function()
  local server = gateway()
  assert(native.start { trace_id = ("ab"):rep(16), root = 7, sampled = true, record = true, queue = 3 })
  local client = assert(http.client { base_url = server.url })
  for i = 1, 5 do assert(client:get("/" .. i)) end
  t.eq(native.waiting(), 3)
  local first, lost = native.attempts(2)
  t.eq({ #first, lost, first[1].url, first[2].url }, { 2, 2, server.url .. "/1", server.url .. "/2" })
  t.eq({ first[1].parent, first[1].method, first[1].status, first[1].n }, { 7, "GET", 204, 1 })
  for i = 6, 7 do assert(client:get("/" .. i .. ("x"):rep(600))) end
  local rest = native.attempts()
  t.eq({ #rest, rest[1].url, #rest[3].url }, { 3, server.url .. "/3", 511 })
  native.stop()
  t.eq(native.waiting(), 0)
  server:stop()
end)
