-- configure-model from end to end, against a simulated gateway that misbehaves on demand.
local bundled = require "moongate.bundled"
local exit_status = require "moongate.exit_status"
local fake = require "fake_gateway"
local fs = require "moongate.fs"
local hash = require "moongate.hash"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local metrics = require "moongate.metrics"
local secret = require "moongate.secret"
local session = require "sim_session"
local sealed = require "moongate.sealed"
local sim_models = require "moongate.sim.models"
local t = require "moongate.test"
local webhook = require "moongate.webhook"

local FOLDER = "build/tmp/test_configure_model"
local BAD = "tests/lua/fixtures/bad_model_configuration"
local definition = bundled.load "configure-model"

-- Of the simulated models: two have a configuration from the start, the third has none and restricts filters.
local SMALL = "5a3e1a00-0000-4000-8000-000000000001"
local LARGE = "5a3e1a00-0000-4000-8000-000000000002"
local STRICT = "5a3e1a00-0000-4000-8000-000000000003"

local function config(id, changes)
  local c = {
    model_id = id or SMALL, temperature_matrix = { default = 0.5, creative = 1.2, precise = 0.1 },
    safety_filters = json.array { { filter_type = "pii", action = "redact", threshold = 70 } },
    max_tokens = 2048, compliance_mode = "standard",
  }
  for k, v in pairs(changes or {}) do c[k] = v end
  return c
end

-- A document in a file of its own -> path
local function file(name, document)
  assert(fs.mkdir(FOLDER))
  local path = ("%s/%s.json"):format(FOLDER, name)
  assert(fs.write(path, type(document) == "string" and document or json.encode(document)))
  return path
end

-- configure(server, document or paths, options of session.execute and values) -> data, outcome, audit, reported
local function configure(server, what, opts)
  opts = opts or {}
  local values = { on_conflict = "fail", concurrency = 4 }
  for k, v in pairs(opts.values or {}) do values[k] = v end
  values.config = type(what[1]) == "string" and what or { file("one", what) }
  local all = {}
  for k, v in pairs(opts) do all[k] = v end
  all.values = values
  local out, audit, reported = session.execute(server, definition, all)
  return out.data, out, audit, reported
end

local function held(server, id)
  return server:state().model_configurations[id or SMALL]
end

-- Each test gets a server, and it is stopped.
local function test(name, opts, fn)
  if not fn then opts, fn = nil, opts end
  t.test(name, function()
    local server = session.start(opts)
    local ok, err = pcall(fn, server)
    server:stop()
    if not ok then error(err, 0) end
  end)
end

local function joined(lines) return table.concat(lines, "\n") end

-- The names of the audit events' own fields; those of the log and of every write are left out.
local CONTRACT = { "audit_id", "timestamp", "model_id", "status", "latency_ms", "payload_hash", "compliance_mode" }

-- ---- the plain ways ----

test("a configuration is updated, and left alone when nothing differs", function(server)
  local data, out, audit = configure(server, config())
  local entry = data.results[1]
  t.eq({ entry.status, entry.name, entry.model, entry.model_id, entry.confirmed },
    { "updated", "one", "sim-small", SMALL, true })
  t.eq(out.exit_status, 0)
  t.eq(entry.payload_hash, hash.payload(config()))
  t.ok(entry.etag and entry.correlation_id and entry.audit_id and entry.latency_ms >= 0)
  t.eq(held(server).configuration, config())
  t.eq(held(server).etag, entry.etag)
  t.ok(joined(out.lines):find("~ max_tokens: 1024 -> 2048", 1, true))
  t.ok(out.lines[#out.lines]:find "^one: updated  model sim%-small  etag ", out.lines[#out.lines])

  local intent, outcome = audit.lines[1], audit.lines[2]
  t.eq({ intent.action, intent.phase, outcome.phase }, { "configuration_update", "intent", "outcome" })
  for _, name in ipairs(CONTRACT) do t.ok(outcome[name] ~= nil, name) end
  t.eq({ outcome.audit_id, outcome.model_id, outcome.status, outcome.payload_hash, outcome.compliance_mode },
    { entry.audit_id, SMALL, "updated", entry.payload_hash, "standard" })
  t.ok(outcome.error_code == nil and outcome.error_message == nil)
  t.eq({ audit.lines[3].action, audit.lines[3].status }, { "configuration_confirm", "confirmed" })

  local puts = session.count(server, "PUT")
  data, out, audit = configure(server, config())
  t.eq({ data.results[1].status, out.exit_status, #audit.lines }, { "unchanged", 0, 0 })
  t.eq(data.results[1].audit_id, nil)
  t.eq(session.count(server, "PUT"), puts)
  t.eq(data.metrics.updates, 0)
  t.eq(data.metrics.success_rate, json.null)
  t.ok(json.encode(data))
end)

test("capabilities come first, If-Match goes along, a first configuration is created", function(server)
  local seen = {}
  local client = session.watched(session.client(server), function(request)
    seen[#seen + 1] = request.method .. " " .. request.path:match "[^/]*$"
      .. (request.headers and (request.headers["If-Match"] or request.headers["If-None-Match"]) or "")
  end)
  local etag = held(server).etag
  configure(server, config(), { client = client })
  t.eq(seen, { "GET {modelId}", "GET configuration", "PUT configuration" .. etag, "GET configuration" })
  local data = configure(server, config(STRICT))
  t.eq(data.results[1].status, "created")
  t.eq(held(server, STRICT).version, 1)
end)

test("without a compliance mode it is standard, and said so", function(server)
  local document = config()
  document.compliance_mode = nil
  local data, _, audit = configure(server, document)
  t.eq(data.results[1].compliance_mode, "standard")
  t.eq(audit.lines[2].compliance_mode, "standard")
  t.eq(held(server).configuration.compliance_mode, "standard")
  configure(server, config(nil, { compliance_mode = "strict" }))
  data = configure(server, document) -- what the file leaves out is the default, not what is live
  t.eq(data.results[1].changes, json.array {
    { op = "change", pointer = "/compliance_mode", from = "strict", to = "standard" },
  })
end)

test("--dry-run shows every change and sends no write", function(server)
  local data, out, audit = configure(server, config(), { dry_run = true })
  t.eq({ data.results[1].status, out.exit_status, #audit.lines }, { "planned", 0, 0 })
  t.ok(joined(out.lines):find("~ max_tokens: 1024 -> 2048", 1, true))
  t.eq(session.count(server, "PUT"), 0)
end)

-- ---- --check ----

test("--check: exit 8 and the differences on drift, nothing sent, nobody told", function(server)
  local told = 0
  local receiver = assert(httpd.serve { handler = function()
    told = told + 1
    return { status = 200 }
  end })
  local project = { webhooks = { x = { url = receiver.url } } }
  local check = { values = { check = true }, project = project }
  local data, out, audit = configure(server, config(), check)
  t.eq({ data.results[1].status, out.exit_status }, { "drifted", 8 })
  t.ok(joined(out.lines):find("~ max_tokens: 1024 -> 2048", 1, true))
  t.eq(data.summary.drifted, 1)
  t.eq({ session.count(server, "PUT"), #audit.lines, told }, { 0, 0, 0 })
  data, out = configure(server, config(STRICT), check) -- one that there is not yet is a drift too
  t.eq({ data.results[1].status, out.exit_status }, { "drifted", 8 })
  configure(server, config())
  data, out = configure(server, config(), check)
  t.eq({ data.results[1].status, out.exit_status }, { "in_sync", 0 })
  receiver:stop()
end)

test("--check: what can't be read is a failure, and its status goes before drift", function(server)
  server:fault { status = 403, method = "GET", path = "/models/" .. LARGE }
  local path = file("set", { configurations = { a = config(), b = config(LARGE) } })
  local data, out, audit = configure(server, { path }, { values = { check = true } })
  t.eq({ data.summary.drifted, data.summary.failed, out.exit_status }, { 1, 1, 4 })
  t.eq(#audit.lines, 0)
end)

-- ---- what is refused ----

test("bad files: all faults of all files at once, exit 3, and nothing is sent", function(server)
  local ok, err = pcall(configure, server, { BAD })
  t.ok(not ok)
  t.eq(err.code, "invalid")
  t.ok(#err.details > 70, #err.details)
  t.eq(exit_status.of(err), 3)
  t.eq(server:stats().requests, 0)
end)

test("each bad file by itself: exit 3, each fault at its place, and nothing is sent", function(server)
  local names = assert(fs.list(BAD))
  for _, name in ipairs(names) do
    local ok, err = pcall(configure, server, { BAD .. "/" .. name })
    t.ok(not ok, name)
    t.eq(exit_status.of(err), 3, name)
    for _, detail in ipairs(err.details) do
      t.ok(detail.line and detail.where and (detail.pointer or detail.message:find("not valid JSON", 1, true)), name)
    end
  end
  t.ok(#names >= 50)
  t.eq(server:stats().requests, 0)
end)

test("all faults of one file, with line and pointer", function()
  local ok, err = pcall(require("moongate.model.configuration").load_all, { BAD .. "/many.json" })
  t.ok(not ok)
  local pointers = {}
  for i, detail in ipairs(err.details) do pointers[i] = ("%d %s"):format(detail.line, detail.pointer) end
  t.eq(pointers, {
    "2 /model_id", "3 /temperature_matrix/precise", "4 /temperature_matrix/default", "5 /temperature_matrix/creative",
    "10 /safety_filters/0/action", "11 /safety_filters/0/threshold", "14 /max_tokens", "15 /mode",
  })
end)

test("what a model can't do: all faults of all files at once, exit 3, nothing written", function(server)
  local filters = json.array {
    { filter_type = "pii", action = "block", threshold = 1 },
    { filter_type = "political", action = "block", threshold = 1 },
    { filter_type = "self_harm", action = "block", threshold = 1 },
  }
  local one = file("one", config(SMALL, { max_tokens = 4097 }))
  local set = file("set", json.encode {
    defaults = { safety_filters = filters, max_tokens = 8192 },
    configurations = {
      strict = { model_id = STRICT, temperature_matrix = config().temperature_matrix },
      ghost = config "5a3e1a00-0000-4000-8000-00000000ffff", good = config(LARGE),
    },
  })
  local ok, err = pcall(configure, server, { one, set })
  t.ok(not ok)
  t.eq({ err.code, exit_status.of(err) }, { "invalid", 3 })
  local faults = {}
  for _, detail in ipairs(err.details) do faults[detail.pointer] = detail.message end
  t.eq(faults["/max_tokens"], "must be at most 4096, the model's context window, not 4097")
  t.ok(faults["/defaults/safety_filters/1/action"]:find "political")
  t.ok(faults["/defaults/safety_filters/2/action"]:find "self_harm")
  t.ok(faults["/configurations/ghost/model_id"]:find "no model")
  t.eq(#err.details, 4)
  t.eq(session.count(server, "PUT"), 0)
end)

test("capabilities that can't be read are that model's failure, and in the audit", function(server)
  server:fault { status = 403, method = "GET", path = "/models/" .. SMALL }
  local path = file("set", { configurations = { a = config(SMALL), b = config(LARGE) } })
  local data, out, audit, reported = configure(server, { path })
  t.eq({ data.results[1].status, data.results[2].status, out.exit_status, #reported }, { "failed", "updated", 4, 1 })
  t.ok(data.results[1].error.hint:find("ai:models:read", 1, true))
  local line
  for _, l in ipairs(audit.lines) do line = l.model_id == SMALL and l or line end
  for _, name in ipairs(CONTRACT) do t.ok(line[name] ~= nil, name) end
  t.eq({ line.action, line.status, line.error_code, line.audit_id },
    { "configuration_update", "failed", "http", data.results[1].audit_id })
  t.ok(line.error_message and line.latency_ms >= 0)
  t.eq({ data.metrics.updates, data.metrics.successes, data.metrics.failures, data.metrics.success_rate },
    { 2, 1, 1, 0.5 })
end)

test("422 gives the gateway's details, exit 3, and the audit says why", function(server)
  local client = session.watched(session.client(server), function(request)
    if request.method == "PUT" then sim_models.find(sealed.open(server).gateway, SMALL).capabilities =
      { max_context_window = 100, restricted_safety_filters = {} } end
  end)
  local data, out, audit = configure(server, config(), { client = client })
  sim_models.find(sealed.open(server).gateway, SMALL).capabilities = sim_models.PRELOADED[1].capabilities
  local err = data.results[1].error
  t.eq({ err.status, err.details[1].field, out.exit_status }, { 422, "max_tokens", 3 })
  local outcome = audit.lines[2]
  for _, name in ipairs(CONTRACT) do t.ok(outcome[name] ~= nil, name) end
  t.eq({ outcome.status, outcome.http_status, outcome.audit_id }, { "failed", 422, data.results[1].audit_id })
  t.ok(outcome.error_code and outcome.error_message and outcome.latency_ms > 0)
  t.eq(#audit.lines, 2)
end)

test("403 names the missing scope", { scopes = { "ai:models:read" } }, function(server)
  local data, out = configure(server, config())
  t.eq(out.exit_status, 4)
  t.ok(data.results[1].error.hint:find("ai:llm:manage", 1, true))
end)

test("what can't be audited is not sent", function(server)
  local data, out = configure(server, config(), { audit = fake.audit { refuse_intent = true } })
  t.eq({ data.results[1].status, data.results[1].error.outcome, out.exit_status }, { "failed", "not_sent", 1 })
  t.eq(session.count(server, "PUT"), 0)
end)

-- ---- sets ----

local SET = [[{
  "defaults": {
    "temperature_matrix": {"default": 0.5, "creative": 1.2, "precise": 0.1},
    "safety_filters": [{"filter_type": "pii", "action": "redact", "threshold": 70}],
    "max_tokens": 2048
  },
  "configurations": {
    "zeta": {"model_id": "5a3e1a00-0000-4000-8000-000000000001"},
    "alpha": {"model_id": "5a3e1a00-0000-4000-8000-000000000002", "max_tokens": 8192, "compliance_mode": "strict"},
    "other-zeta": {"model_id": "5A3E1A00-0000-4000-8000-000000000001", "max_tokens": 10}
  }
}]]

test("a set: defaults, the file's order, --only; a model twice is refused unless one is picked", function(server)
  local path = file("set", SET)
  local ok, err = pcall(configure, server, { path })
  t.ok(not ok)
  t.eq({ err.code, #err.details, err.details[1].pointer, err.details[1].line },
    { "invalid", 1, "/configurations/other-zeta/model_id", 10 })
  t.eq(server:stats().requests, 0)
  local data, out = configure(server, { path }, { values = { only = { "alpha, zeta" } } })
  t.eq(out.exit_status, 0)
  t.eq({ data.results[1].name, data.results[2].name }, { "zeta", "alpha" })
  t.eq(held(server, SMALL).configuration, config())
  t.eq(held(server, LARGE).configuration, config(LARGE, { max_tokens = 8192, compliance_mode = "strict" }))
  t.ok(out.lines[#out.lines]:find "^2 updates: 2 succeeded, 0 failed %(100 %%%)", out.lines[#out.lines])
  t.eq(out.lines[#out.lines - 1], "2 configurations: 2 updated")
  data = configure(server, { path }, { values = { only = { "alpha" }, check = true } })
  t.eq({ #data.results, data.results[1].status }, { 1, "in_sync" })
end)

test("--only with a name that there is not is a mistake of use", function(server)
  local path = file("set", SET)
  local ok, err = pcall(configure, server, { path }, { values = { only = { "alpha,zetta" } } })
  t.ok(not ok)
  t.eq(exit_status.of(err), 2)
  t.ok(err.message:find("did you mean 'zeta'", 1, true), err.message)
  t.eq(server:stats().requests, 0)
end)

test("a file of one goes by the file's name, and a folder stands for its files", function(server)
  local paths = { file("one", config()), file("two", config(LARGE)) }
  local data = configure(server, paths, { values = { only = { "two" } } })
  t.eq({ #data.results, data.results[1].name }, { 1, "two" })
  assert(fs.mkdir(FOLDER .. "/folder"))
  file("folder/a", config())
  file("folder/b", { configurations = { c = config(LARGE) } })
  data = configure(server, { FOLDER .. "/folder" }, { dry_run = true })
  t.eq({ #data.results, data.results[1].name, data.results[2].name }, { 2, "a", "c" })
end)

test("many at once, never more than --concurrency, and one that fails stops no other", function(server)
  local configurations, under_way, most = {}, 0, 0
  for i = 1, 12 do
    local id = sim_models.register(sealed.open(server).gateway, { name = ("m-%02d"):format(i) }).id
    configurations[("c-%02d"):format(i)] = config(id)
    if i == 5 then server:fault { status = 422, method = "PUT", path = "/models/" .. id .. "/configuration" } end
  end
  server:fault { latency = 10 }
  local client = session.watched(session.client(server), function()
    under_way = under_way + 1
    most = math.max(most, under_way)
  end, function() under_way = under_way - 1 end)
  local data, out, _, reported = configure(server, { file("set", { configurations = configurations }) },
    { client = client, values = { concurrency = 3 } })
  t.eq(most, 3)
  t.eq({ data.summary.created, data.summary.failed, out.exit_status, #reported }, { 11, 1, 3, 1 })
  t.eq({ data.results[5].name, data.results[5].status, data.results[12].name }, { "c-05", "failed", "c-12" })
  t.eq({ data.metrics.updates, data.metrics.successes, data.metrics.failures }, { 12, 11, 1 })
end)

-- ---- metrics ----

test("updates are counted, by model and outcome, with their times", function(server)
  local registry = metrics.new()
  local data = configure(server, { file("set", { configurations = { a = config(), b = config(LARGE) } }) },
    { metrics = registry })
  local updates = registry:counter("moongate_model_configuration_updates_total",
    "Updates of model configurations by model and outcome; what was unchanged is none.", { "model_id", "outcome" })
  t.eq({ updates:value(SMALL, "success"), updates:value(LARGE, "success"), updates:value(LARGE, "failure") },
    { 1, 1, 0 })
  local m, sum = data.metrics, 0
  for _, entry in ipairs(data.results) do sum = sum + entry.latency_ms end
  t.eq({ m.updates, m.successes, m.failures, m.success_rate }, { 2, 2, 0, 1 })
  t.ok(math.abs(m.avg_latency_ms - sum / 2) < 0.11, m.avg_latency_ms)
end)

-- ---- faults on the way ----

test("503 is tried again with the whole body", function(server)
  server:fault { status = 503, method = "PUT", times = 3 }
  local data = configure(server, config())
  t.eq({ data.results[1].status, data.results[1].attempts }, { "updated", 4 })
  for _, request in ipairs(server:stats().last) do
    if request.method == "PUT" then t.eq(request.body, json.encode(config())) end
  end
end)

test("an answer lost once, or every time, or cut in half: one effect, reconciled", function(server)
  for i, fault in ipairs { { kind = "close_after", nth = 1 }, { kind = "close_after" }, { kind = "half" } } do
    fault.method = "PUT"
    local id = server:fault(fault)
    local version = held(server).version
    local data, out, audit = configure(server, config(nil, { max_tokens = i }), { gateway = { deadline = 3 } })
    server:clear_faults(id)
    t.eq({ data.results[1].status, data.results[1].confirmed, out.exit_status }, { "reconciled", true, 0 })
    t.eq(held(server).version, version + 1)
    t.eq(audit.lines[2].status, "reconciled")
    t.eq(data.metrics.successes, 1)
  end
end)

test("a gateway that is down: exit 6, and the audit log says so", function(server)
  server:fault { status = 503, method = "PUT" }
  local data, out, audit = configure(server, config(), { gateway = { deadline = 1 } })
  t.eq({ out.exit_status, data.results[1].error.status, audit.lines[2].http_status }, { 6, 503, 503 })
  t.ok(audit.lines[2].latency_ms > 0)
  t.eq(data.results[1].latency_ms, audit.lines[2].latency_ms)
end)

test("while the breaker is open nothing is written on what was seen before: exit 6, and in the audit", function(server)
  local client = session.client(server, { deadline = 2, retry = false })
  local gw = session.gateway(server, { client = client })
  local place = { modelId = SMALL }
  gw:get("registered_model", place)
  gw:get("model_configuration", place)
  server:fault { status = 503 }
  local open
  for _ = 1, 50 do
    local ok, live = pcall(gw.get, gw, "model_configuration", place)
    open = ok and live.stale
    if open then break end
  end
  t.ok(open, "the breaker never opened")
  server:clear_faults()
  local requests = server:stats().requests
  local data, out, audit = configure(server, config(), { client = client })
  t.eq({ data.results[1].error.code, out.exit_status }, { "breaker_open", 6 })
  t.eq({ audit.lines[1].action, audit.lines[1].error_code }, { "configuration_update", "breaker_open" })
  t.eq(server:stats().requests, requests)
end)

test("a busy configuration is waited for", { busy = 0.4 }, function(server)
  configure(server, config())
  local data, _, audit = configure(server, config(nil, { max_tokens = 3 }))
  t.eq({ data.results[1].status, #audit.lines }, { "updated", 3 })
end)

test("busy for too long: exit 5", { busy = 30 }, function(server)
  configure(server, config())
  local data, out = configure(server, config(nil, { max_tokens = 3 }), { gateway = { deadline = 0.3 } })
  t.eq({ data.results[1].error.code, out.exit_status }, { "conflict", 5 })
end)

-- ---- somebody else ----

-- Between our read and our write, or behind our write, somebody writes `theirs`.
local function raced(server, theirs, behind)
  local other, done = session.gateway(server), false
  local function write(request)
    if request.method ~= "PUT" or done then return end
    done = true
    local live = other:get("model_configuration", { modelId = SMALL })
    for k, v in pairs(theirs) do live.content[k] = v end
    other:write("model_configuration", { modelId = SMALL }, { base = live })
  end
  return session.watched(session.client(server), not behind and write or nil, behind and write or nil)
end

test("on-conflict=fail: exit 5; base, theirs and ours are shown", function(server)
  configure(server, config())
  local data, out, audit, reported = configure(server, config(nil, { max_tokens = 3 }), {
    client = raced(server, { max_tokens = 2 }),
  })
  t.eq(out.exit_status, 5)
  local detail = data.results[1].error.details[1]
  t.eq({ detail.pointer, detail.base, detail.theirs, detail.ours }, { "/max_tokens", 2048, 2, 3 })
  t.ok(joined(reported[1].lines):find "max_tokens%s+2048%s+2%s+3")
  t.eq(held(server).configuration.max_tokens, 2)
  t.eq({ audit.lines[2].status, audit.lines[2].error_code }, { "conflict", "conflict" })
end)

test("on-conflict=rebase: both changes stand, and the audit says what was written", function(server)
  configure(server, config())
  local data, _, audit = configure(server, config(nil, { max_tokens = 3 }), {
    client = raced(server, { compliance_mode = "strict" }), values = { on_conflict = "rebase" },
  })
  local entry = data.results[1]
  t.eq({ entry.status, entry.rebased, entry.compliance_mode }, { "updated", true, "strict" })
  t.eq(held(server).configuration, config(nil, { max_tokens = 3, compliance_mode = "strict" }))
  local outcome
  for _, line in ipairs(audit.lines) do outcome = line.phase == "outcome" and line or outcome end
  t.eq({ outcome.compliance_mode, outcome.payload_hash }, { "strict", hash.payload(held(server).configuration) })
end)

test("on-conflict=overwrite: ours stands", function(server)
  configure(server, config())
  local data = configure(server, config(nil, { max_tokens = 3 }), {
    client = raced(server, { max_tokens = 2, compliance_mode = "strict" }), values = { on_conflict = "overwrite" },
  })
  t.eq(data.results[1].status, "updated")
  t.ok(data.results[1].overwrote)
  t.eq(held(server).configuration, config(nil, { max_tokens = 3 }))
end)

-- ---- the governance webhook ----

local function receiver_of(status)
  local got = {}
  local server = assert(httpd.serve { handler = function(req)
    got[#got + 1] = { headers = req.headers, body = req.body, data = json.decode(req.body) }
    return { status = status or 204 }
  end })
  return server, got
end

test("governance is told of an update, signed: the audit log's record and a snapshot", function(server)
  local receiver, got = receiver_of()
  local key = secret.random(32)
  local data, _, audit = configure(server, config(nil, { compliance_mode = "strict" }), { project = { webhooks = {
    governance = { url = receiver.url, secret = key, events = { "llm_config_change" } },
    other = { url = receiver.url, events = { "index_update" } },
  } } })
  receiver:stop()
  t.eq(#got, 1)
  t.ok(webhook.verify { secret = key, headers = got[1].headers, body = got[1].body })
  local told, outcome = got[1].data, audit.lines[2]
  t.eq(told.type, "llm_config_change")
  t.eq(told.data.configuration_snapshot, {
    model_id = SMALL, temperature_matrix = config().temperature_matrix, safety_filters_count = 1,
    compliance_mode = "strict",
  })
  local record = {}
  for _, name in ipairs(CONTRACT) do record[name] = outcome[name] end
  t.eq(told.data.audit_log, record)
  t.eq(data.results[1].webhooks[1].delivered, true)
end)

test("a webhook that can't be told fails nothing, and is on the result and in the audit", function(server)
  local receiver, got = receiver_of(410)
  local data, out, audit, reported = configure(server, config(), {
    project = { webhooks = { governance = { url = receiver.url } } },
  })
  receiver:stop()
  t.eq({ #got, out.exit_status, #reported, data.results[1].status }, { 1, 0, 0, "updated" })
  t.eq({ data.results[1].webhooks[1].name, data.results[1].webhooks[1].delivered }, { "governance", false })
  t.eq(data.undelivered_webhooks.total, 1)
  t.ok(out.lines[#out.lines]:find("webhook governance: llm_config_change was NOT delivered", 1, true))
  local line = audit.lines[#audit.lines]
  t.eq({ line.action, line.status, line.event }, { "webhook_delivery", "undelivered", "llm_config_change" })
  t.eq(data.metrics.successes, 1)
end)

test("what reads back otherwise is exit 8, and governance is told all the same: it is in force", function(server)
  local receiver, got = receiver_of()
  local data, out, audit = configure(server, config(), {
    client = raced(server, { max_tokens = 99 }, true), project = { webhooks = { governance = { url = receiver.url } } },
  })
  receiver:stop()
  local entry = data.results[1]
  t.eq({ out.exit_status, entry.status, entry.written, entry.error.details[1].pointer, #got },
    { 8, "failed", "updated", "/max_tokens", 1 })
  t.eq({ audit.lines[3].action, audit.lines[3].status }, { "configuration_confirm", "mismatch" })
  t.eq(data.metrics.failures, 1)
end)

t.test("the examples configure the simulated models as they are", function()
  local server = session.start()
  local data, out = configure(server, { "scripts/examples/model_configuration.json" })
  t.eq({ out.exit_status, data.results[1].status }, { 0, "updated" })
  data, out = configure(server, { "scripts/examples/model_configurations.json" })
  t.eq({ out.exit_status, #data.results, data.summary.failed }, { 0, 3, 0 })
  server:stop()
end)
