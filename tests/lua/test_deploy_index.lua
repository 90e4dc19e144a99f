-- deploy-index from end to end, against a simulated gateway that misbehaves on demand.
local bundled = require "moongate.bundled"
local errors = require "moongate.error"
local fake = require "fake_gateway"
local fs = require "moongate.fs"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local secret = require "moongate.secret"
local session = require "sim_session"
local t = require "moongate.test"
local task = require "moongate.task"
local time = require "moongate.time"
local webhook = require "moongate.webhook"

local FOLDER = "build/tmp/test_deploy_index"
local deploy_index = bundled.load("deploy-index")

local function config(id, changes)
  local c = { indexId = id or "orders", dimensions = 768, similarityMetric = "cosine", embeddingFormat = "float32" }
  for k, v in pairs(changes or {}) do c[k] = v end
  return c
end

-- Writes configurations to files of their own -> paths
local function files(...)
  assert(fs.mkdir(FOLDER))
  local paths = {}
  for i, c in ipairs { ... } do
    paths[i] = ("%s/%02d-%s.json"):format(FOLDER, i, c.indexId)
    assert(fs.write(paths[i], json.encode(c)))
  end
  return paths
end

-- deploy(server, {configurations} | paths, options of session.execute and values) -> data, outcome, audit, reported
local function deploy(server, what, opts)
  opts = opts or {}
  local values = { vector_store = session.STORE, on_conflict = "fail", concurrency = 4 }
  for k, v in pairs(opts.values or {}) do values[k] = v end
  values.config = type(what[1]) == "string" and what or files(table.unpack(what))
  local all = {}
  for k, v in pairs(opts) do all[k] = v end
  all.values = values
  local out, audit, reported = session.execute(server, deploy_index, all)
  return out.data, out, audit, reported
end

local function held(server, id)
  local store = server:state().indexes[session.STORE]
  return store and store[id or "orders"]
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

-- ---- the plain ways ----

test("an index is created, changed, and left alone when nothing differs", function(server)
  local data, out, audit, _ = deploy(server, { config() })
  local made = data.results[1]
  t.eq(made.status, "created")
  t.eq(out.exit_status, 0)
  t.eq(made.confirmed, true)
  t.eq(made.retrieval_precision, 0.98)
  t.eq(made.vector_store_id, session.STORE)
  t.ok(made.last_update and made.correlation_id and made.etag and made.latency_ms)
  t.eq(#made.payload_hash, 64)
  t.eq(held(server).configuration, config())

  local outcome = audit.lines[2]
  t.eq(audit.lines[1].action, "index_update")
  t.eq({ outcome.indexId, outcome.vector_store_id, outcome.dimensions, outcome.similarity_metric,
    outcome.retrieval_precision, outcome.status, outcome.correlationId },
    { "orders", "vs", 768, "cosine", 0.98, "created", made.correlation_id })
  t.ok(outcome.latency_ms > 0)
  t.eq(audit.lines[3].action, "index_confirm")

  data, out = deploy(server, { config(nil, { dimensions = 1536 }) })
  t.eq(out.exit_status, 0)
  t.eq(data.results[1].status, "updated")
  t.eq(data.results[1].changes, json.array { { op = "change", pointer = "/dimensions", from = 768, to = 1536 } })
  t.ok(table.concat(out.lines, "\n"):find("~ dimensions: 768 -> 1536", 1, true))
  t.ok(out.lines[#out.lines]:find("^orders: updated  active  precision 0.98  etag "), out.lines[#out.lines])

  local puts = session.count(server, "PUT")
  data, _, audit = deploy(server, { config(nil, { dimensions = 1536 }) })
  t.eq(data.results[1].status, "unchanged")
  t.eq(#audit.lines, 0)
  t.eq(session.count(server, "PUT"), puts)
  t.eq(data.summary.unchanged, 1)
  t.ok(json.encode(data))
end)

test("--dry-run shows every change and sends no write", function(server)
  local data, out, audit = deploy(server, { config(), config("b") }, { dry_run = true })
  t.eq(data.results[1].status, "planned")
  t.eq(data.summary.planned, 2)
  t.eq(out.exit_status, 0)
  t.ok(table.concat(out.lines, "\n"):find("+ dimensions: 768", 1, true))
  t.eq(session.count(server, "PUT"), 0)
  t.eq(#audit.lines, 0)
end)

test("precision is a limit here and not sent", function(server)
  deploy(server, { config(nil, { precision = "high" }) })
  t.eq(held(server).configuration, config())
  local ok, err = pcall(deploy, server, { config(nil, { dimensions = 4096 }) }, { values = { precision = "high" } })
  t.ok(not ok)
  t.eq(err.details[1].pointer, "/dimensions")
end)

test("bad files: all faults of all files at once, exit 3, and nothing is sent", function(server)
  local bad = { "tests/lua/fixtures/bad_index", "scripts/examples/index.json" }
  local ok, err = pcall(deploy, server, bad)
  t.ok(not ok)
  t.eq(err.code, "invalid")
  t.ok(#err.details > 80, #err.details)
  t.eq(require("moongate.exit_status").of(err), 3)
  t.eq(server:stats().requests, 0)
end)

test("each bad file by itself: exit 3, and nothing is sent", function(server)
  local names = assert(fs.list("tests/lua/fixtures/bad_index"))
  for _, name in ipairs(names) do
    local ok, err = pcall(deploy, server, { "tests/lua/fixtures/bad_index/" .. name })
    t.ok(not ok, name)
    t.eq(require("moongate.exit_status").of(err), 3, name)
    for _, detail in ipairs(err.details) do
      t.ok(detail.pointer or detail.message:find "not valid JSON" or detail.message:find "UTF%-16", name)
    end
  end
  t.ok(#names >= 25)
  t.eq(server:stats().requests, 0)
end)

test("without a vector store it is a mistake of use, but under --sim", function(server)
  local ok, err = pcall(deploy, server, { config() }, { values = { vector_store = false } })
  t.ok(not ok)
  t.eq(err.code, "usage")
  t.eq(server:stats().requests, 0)
end)

test("a missing scope is exit 4 and names the scope", { scopes = { "ai:vectorstore:read" } }, function(server)
  local data, out, audit = deploy(server, { config() })
  t.eq(out.exit_status, 4)
  t.eq(data.results[1].error.status, 403)
  t.ok(data.results[1].error.hint:find("ai:vectorstore:write", 1, true))
  t.eq(audit.lines[2].status, "failed")
end)

-- ---- many ----

test("many at once, never more than --concurrency, and one that fails stops no other", function(server)
  local configs, under_way, most = {}, 0, 0
  for i = 1, 12 do configs[i] = config(("index-%02d"):format(i)) end
  server:fault { latency = 20 }
  server:fault { status = 422, method = "PUT", path = "/indexes/index-05" }
  local client = session.watched(session.client(server), function()
    under_way = under_way + 1
    most = math.max(most, under_way)
  end, function() under_way = under_way - 1 end)
  local data, out, _, reported = deploy(server, configs, { client = client, values = { concurrency = 3 } })
  t.eq(most, 3)
  t.eq(data.summary.created, 11)
  t.eq(data.summary.failed, 1)
  t.eq(data.results[5].status, "failed")
  t.eq(data.results[5].error.status, 422)
  t.eq(data.results[12].index_id, "index-12")
  t.eq(out.exit_status, 3)
  t.eq(#reported, 1)
  t.eq(out.lines[#out.lines], "12 indexes: 11 created, 1 failed")
end)

test("the exit status is that of the first failed index, in the order given", function(server)
  server:fault { status = 422, method = "PUT", path = "/indexes/b" }
  server:fault { status = 403, method = "GET", path = "/indexes/c", latency = 0 }
  local _, out = deploy(server, { config "a", config "b", config "c" })
  t.eq(out.exit_status, 3)
end)

test("--rate paces the requests", function(server)
  local configs = {}
  for i = 1, 4 do configs[i] = config("i" .. i) end
  local started = time.monotonic()
  deploy(server, configs, { values = { rate = 20, concurrency = 4 } })
  -- 12 requests, 20 of them at once allowed: then again, with a bucket of one
  local free = time.monotonic() - started
  for i = 1, 4 do configs[i] = config("i" .. i, { dimensions = 5 }) end
  started = time.monotonic()
  deploy(server, configs, { values = { rate = 20, concurrency = 4 }, client = function()
    return session.client(server, { rate = { per_second = 20, burst = 1 } })
  end })
  local paced = time.monotonic() - started
  t.ok(paced >= 11 / 20 - 0.05, ("%g s, %g s without"):format(paced, free))
end)

-- ---- faults on the way ----

test("429 with Retry-After is waited for", function(server)
  server:fault { status = 429, retry_after = 1, method = "PUT", nth = 1 }
  local started = time.monotonic()
  local data = deploy(server, { config() })
  t.eq(data.results[1].status, "created")
  t.eq(data.results[1].attempts, 2)
  t.ok(time.monotonic() - started >= 1)
end)

test("tutorial faults 3 and 4: 503 is tried more than once again, each time with the whole body", function(server)
  server:fault { status = 503, method = "PUT", times = 3 }
  local data = deploy(server, { config() })
  t.eq(data.results[1].status, "created")
  t.eq(data.results[1].attempts, 4)
  local bodies = 0
  for _, request in ipairs(server:stats().last) do
    if request.method == "PUT" then
      bodies = bodies + 1
      t.eq(request.body, json.encode(config()))
    end
  end
  t.eq(bodies, 4)
end)

test("an answer lost once: one effect, reconciled", function(server)
  server:fault { kind = "close_after", method = "PUT", nth = 1 }
  local data, out, audit = deploy(server, { config() })
  t.eq(data.results[1].status, "reconciled")
  t.eq(data.results[1].confirmed, true)
  t.eq(out.exit_status, 0)
  t.eq(held(server).version, 1)
  t.eq(audit.lines[2].status, "reconciled")
end)

test("answers lost every time: one effect, reconciled", function(server)
  server:fault { kind = "close_after", method = "PUT" }
  local data = deploy(server, { config() }, { gateway = { deadline = 3 } })
  t.eq(data.results[1].status, "reconciled")
  t.eq(held(server).version, 1)
end)

test("half an answer: one effect, reconciled", function(server)
  deploy(server, { config() })
  server:fault { kind = "half", method = "PUT" }
  local data = deploy(server, { config(nil, { dimensions = 2 }) }, { gateway = { deadline = 3 } })
  t.eq(data.results[1].status, "reconciled")
  t.eq(held(server).version, 2)
end)

test("never applied: unknown, exit 6, and what was read back is said", function(server)
  server:fault { kind = "close_before", method = "PUT" }
  local data, out = deploy(server, { config() }, { gateway = { deadline = 1 } })
  t.eq(data.results[1].status, "failed")
  t.eq(out.exit_status, 6)
  t.ok(held(server) == nil)
end)

test("422 gives the gateway's details, exit 3", function(server)
  -- The limits here are wider than the gateway's.
  local data, out = deploy(server, { config(nil, { dimensions = 5000 }) }, {
    project = { limits = { dimensions = 8192 } }, gateway = { limits = { dimensions = 8192 } },
  })
  t.eq(out.exit_status, 3)
  local err = data.results[1].error
  t.eq(err.status, 422)
  t.eq(err.details[1].field, "dimensions")
end)

test("a busy index is waited for", { busy = 0.4 }, function(server)
  deploy(server, { config() })
  local data, _, audit = deploy(server, { config(nil, { dimensions = 3 }) })
  t.eq(data.results[1].status, "updated")
  t.eq(#audit.lines, 3)
end)

test("busy for too long: exit 5", { busy = 30 }, function(server)
  deploy(server, { config() })
  local data, out = deploy(server, { config(nil, { dimensions = 3 }) }, { gateway = { deadline = 0.3 } })
  t.eq(data.results[1].error.code, "conflict")
  t.eq(out.exit_status, 5)
end)

t.test("tutorial fault 1: the token request has its form body", function()
  local seen
  local server = assert(httpd.serve { handler = function(req)
    if req.path ~= "/oauth/token" then return { status = 404, json = { code = "not.found", message = "none" } } end
    seen = { body = req.body, type = req.headers["content-type"], authorization = req.headers["authorization"] }
    return { json = { access_token = "a-token", token_type = "bearer", expires_in = 3600 } }
  end })
  local gw = session.gateway { url = server.url, client_id = "an-id", client_secret = "a-secret" }
  t.ok(gw:get("index", { vectorStoreId = "vs", indexId = "x" }) == nil)
  server:stop()
  t.eq(seen.body, "grant_type=client_credentials")
  t.ok(seen.type:find("application/x-www-form-urlencoded", 1, true))
  t.eq(seen.authorization, "Basic " .. require("moongate.hash").base64("an-id:a-secret"))
end)

test("tutorial fault 9: a token that expired is minted anew, and the call goes through", function(server)
  server:fault { kind = "expire_tokens", method = "PUT", nth = 1 }
  local data = deploy(server, { config() })
  t.eq(data.results[1].status, "created")
  t.eq(server:state().oauth.minted, 2)
end)

test("a gateway that is down: exit 6, and the audit log says so", function(server)
  deploy(server, { config() })
  server:fault { status = 503, method = "PUT" }
  local data, out, audit = deploy(server, { config(nil, { dimensions = 3 }) }, { gateway = { deadline = 1 } })
  t.eq(out.exit_status, 6)
  t.eq(data.results[1].error.status, 503)
  t.ok(audit.lines[2].latency_ms > 0)
  t.eq(audit.lines[2].http_status, 503)
end)

-- ---- somebody else ----

-- Between our read and our write, somebody writes `theirs`.
local function raced(server, theirs)
  local other, done = session.gateway(server), false
  return session.watched(session.client(server), function(request)
    if request.method ~= "PUT" or done then return end
    done = true
    local place = { vectorStoreId = session.STORE, indexId = "orders" }
    other:write("index", place, { base = other:get("index", place), content = config(nil, theirs) })
  end)
end

test("on-conflict=fail: exit 5, base, theirs and ours are shown", function(server)
  deploy(server, { config() })
  local data, out, _, reported = deploy(server, { config(nil, { dimensions = 3 }) }, {
    client = raced(server, { dimensions = 2 }),
  })
  t.eq(out.exit_status, 5)
  local detail = data.results[1].error.details[1]
  t.eq({ detail.pointer, detail.base, detail.theirs, detail.ours }, { "/dimensions", 768, 2, 3 })
  t.ok(table.concat(reported[1].lines, "\n"):find("dimensions%s+768%s+2%s+3"))
  t.eq(held(server).configuration.dimensions, 2)
end)

test("on-conflict=rebase: both changes stand", function(server)
  deploy(server, { config() })
  local data = deploy(server, { config(nil, { dimensions = 3 }) }, {
    client = raced(server, { embeddingFormat = "int8" }), values = { on_conflict = "rebase" },
  })
  t.eq(data.results[1].status, "updated")
  t.eq(data.results[1].rebased, true)
  t.eq(held(server).configuration, config(nil, { dimensions = 3, embeddingFormat = "int8" }))
end)

test("on-conflict=rebase where both changed one field: exit 5", function(server)
  deploy(server, { config() })
  local _, out = deploy(server, { config(nil, { dimensions = 3 }) }, {
    client = raced(server, { dimensions = 2 }), values = { on_conflict = "rebase" },
  })
  t.eq(out.exit_status, 5)
end)

test("on-conflict=overwrite: ours stands", function(server)
  deploy(server, { config() })
  local data = deploy(server, { config(nil, { dimensions = 3 }) }, {
    client = raced(server, { dimensions = 2, embeddingFormat = "int8" }), values = { on_conflict = "overwrite" },
  })
  t.eq(data.results[1].status, "updated")
  t.eq(held(server).configuration, config(nil, { dimensions = 3 }))
end)

test("a look at what was written that is refused is exit 8: the input was accepted", function(server)
  server:fault { status = 400, method = "GET", path = "/indexes/orders", nth = 2 }
  local data, out, audit = deploy(server, { config() })
  t.eq({ out.exit_status, data.results[1].status, data.results[1].written }, { 8, "failed", "created" })
  t.eq(audit.lines[2].status, "created")
end)

test("what reads back otherwise is exit 8", function(server)
  local other = session.gateway(server)
  local client = session.watched(session.client(server), nil, function(request)
    if request.method ~= "PUT" then return end
    local place = { vectorStoreId = session.STORE, indexId = "orders" }
    other:write("index", place, { base = other:get("index", place), content = config(nil, { dimensions = 99 }) })
  end)
  local data, out, audit = deploy(server, { config() }, { client = client })
  t.eq(out.exit_status, 8)
  local entry = data.results[1]
  t.eq(entry.status, "failed")
  t.eq(entry.written, "created")
  t.eq(entry.error.details[1].pointer, "/dimensions")
  t.eq(audit.lines[3].status, "mismatch")
end)

-- ---- while the gateway is gone ----

test("while the breaker is open a read is stale, and no write rests on it", function(server)
  local gw = session.gateway(server, { client = session.client(server, { deadline = 2, retry = false }) })
  local place = { vectorStoreId = session.STORE, indexId = "orders" }
  gw:write("index", place, { content = config() })
  t.eq(gw:get("index", place).stale, false)
  server:fault { status = 503 }
  local stale
  for _ = 1, 50 do
    local ok, live = pcall(gw.get, gw, "index", place)
    if ok and live.stale then
      stale = live
      break
    end
  end
  t.ok(stale, "the breaker never opened")
  t.eq(stale.content, config())
  local puts = session.count(server, "PUT")
  local ok, err = pcall(gw.write, gw, "index", place, { base = stale, content = config(nil, { dimensions = 1 }) })
  t.ok(not ok)
  t.eq(err.code, "breaker_open")
  t.eq(require("moongate.exit_status").of(err), 6)
  t.eq(session.count(server, "PUT"), puts)
end)

-- ---- telling others ----

test("webhooks are told, signed; one that can't be told fails nothing", function(server)
  local got = {}
  local receiver = assert(httpd.serve { handler = function(req)
    got[#got + 1] = { headers = req.headers, body = req.body }
    return { status = 200 }
  end })
  local key = secret.random(32)
  local data, out, audit = deploy(server, { config() }, { project = { webhooks = {
    good = { url = receiver.url .. "/x", secret = key, events = { "index_update" } },
    dead = { url = "http://127.0.0.1:1/", secret = key },
  } } })
  receiver:stop()
  t.eq(out.exit_status, 0)
  t.eq(#got, 1)
  t.ok(webhook.verify { secret = key, headers = got[1].headers, body = got[1].body })
  local told = json.decode(got[1].body)
  t.eq(told.type, "index_update")
  t.eq(told.data.indexId, "orders")
  t.eq(told.data.status, "created")
  local entry = data.results[1]
  t.eq({ entry.webhooks[1].name, entry.webhooks[1].delivered }, { "dead", false })
  t.eq({ entry.webhooks[2].name, entry.webhooks[2].delivered }, { "good", true })
  t.ok(out.lines[#out.lines]:find("webhook dead: index_update was NOT delivered", 1, true))
  local deliveries = 0
  for _, line in ipairs(audit.lines) do deliveries = deliveries + (line.action == "webhook_delivery" and 1 or 0) end
  t.eq(deliveries, 2)
end)

test("nothing changed, nobody is told; nor in a dry run", function(server)
  local n = 0
  local receiver = assert(httpd.serve { handler = function()
    n = n + 1
    return { status = 200 }
  end })
  local project = { webhooks = { x = { url = receiver.url } } }
  deploy(server, { config() }, { project = project, dry_run = true })
  t.eq(n, 0)
  deploy(server, { config() }, { project = project })
  t.eq(n, 1)
  deploy(server, { config() }, { project = project })
  t.eq(n, 1)
  receiver:stop()
end)

test("tutorial fault 12: what can't be audited is not sent", function(server)
  local data, out = deploy(server, { config() }, { audit = fake.audit { refuse_intent = true } })
  t.eq(data.results[1].status, "failed")
  t.eq(data.results[1].error.outcome, "not_sent")
  t.eq(out.exit_status, 1)
  t.eq(session.count(server, "PUT"), 0)
end)

-- ---- others' documents ----

t.test("tutorial fault 10: [], 16 digits and 0.1 go from GET to PUT byte for byte", function()
  local text = '{"a":[],"big":9007199254740991,"n":1,"nested":{"empty":[],"none":{}},"small":0.1,"text":"é\\u0001"}'
  local put
  local server = assert(httpd.serve { handler = function(req)
    if req.method == "PUT" then
      put = req.body
      return { status = 200, body = "" }
    end
    return { status = 200, body = text, headers = { ETag = '"1"', ["Content-Type"] = "application/json" } }
  end })
  local http = require "moongate.http"
  local gw = fake.open(assert(http.client { base_url = server.url }))
  local thing = gw:get_path("/things/1")
  thing.content.n = 2
  gw:put_path("/things/1", thing.content, { base = thing })
  server:stop()
  t.eq(put, (text:gsub('"n":1', '"n":2')))
end)

t.test("the definition is a workflow that help can print", function()
  t.eq(deploy_index.name, "deploy-index")
  t.ok(errors and task)
end)
