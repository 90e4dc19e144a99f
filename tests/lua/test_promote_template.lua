-- promote-template from end to end, against a simulated gateway that misbehaves on demand.
local bundled = require "moongate.bundled"
local exit_status = require "moongate.exit_status"
local fake = require "fake_gateway"
local fs = require "moongate.fs"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local secret = require "moongate.secret"
local session = require "sim_session"
local t = require "moongate.test"
local template = require "moongate.template"
local webhook = require "moongate.webhook"

local FOLDER = "build/tmp/test_promote_template"
local promote_template = bundled.load("promote-template")

local function document(version, changes)
  local d = {
    templateId = "greeting", version = version or "1.0.0", content = "Hello {{name}}, {{name}}!",
    variables = { name = "string" }, rollbackDirective = false,
  }
  for k, v in pairs(changes or {}) do d[k] = v end
  return d
end

local function files(list)
  assert(fs.mkdir(FOLDER))
  local paths = {}
  for i, d in ipairs(list) do
    paths[i] = d
    if type(d) == "table" then
      paths[i] = ("%s/%02d.json"):format(FOLDER, i)
      assert(fs.write(paths[i], json.encode(d)))
    end
  end
  return paths
end

-- promote(server, {documents or paths}, options of session.execute and values) -> first entry, data, outcome, audit
-- log, reported
local function promote(server, what, opts)
  opts = opts or {}
  local values = { concurrency = 4, template = files(what) }
  for k, v in pairs(opts.values or {}) do values[k] = v end
  local all = {}
  for k, v in pairs(opts) do all[k] = v end
  all.values = values
  local out, audit, reported = session.execute(server, promote_template, all)
  return out.data.results[1], out.data, out, audit, reported
end

local function held(server, id)
  return server:state().templates[id or "greeting"]
end

local function status_of(server, version)
  for _, v in ipairs(held(server).versions) do
    if v.version == version then return v.status end
  end
end

-- The audit log's VERSION_PROMOTION lines.
local function promotions(audit)
  local list = {}
  for _, line in ipairs(audit.lines) do
    if line.action == "VERSION_PROMOTION" then list[#list + 1] = line end
  end
  return list
end

local function text_of(out) return table.concat(out.lines, "\n") end

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

test("a version is promoted, and the next one compared with it", function(server)
  local entry, data, out, audit = promote(server, { document() })
  t.eq(out.exit_status, 0)
  t.eq({ entry.template_id, entry.version, entry.status, entry.gateway_status }, { "greeting", "1.0.0", "promoted",
    "LIVE" })
  t.eq({ entry.estimated_tokens, entry.characters, entry.threshold }, { 7, 25, 3800 })
  t.eq(entry.generation_success_rate, json.null)
  t.eq(entry.webhook_synced, false)
  t.ok(entry.correlation_id and entry.latency_ms and entry.audit_seq)
  t.eq(#entry.payload_hash, 64)
  t.eq(data.summary.promoted, 1)
  t.eq(held(server).live, "1.0.0")
  t.ok(json.encode(data))

  t.eq({ audit.lines[1].action, audit.lines[1].phase, audit.lines[2].phase, audit.lines[2].status },
    { "template_promotion", "intent", "outcome", "created" })

  entry, data, out = promote(server, { document("1.1.0", {
    content = "Hello {{name}},\nyour order {{order}}.", variables = { name = "string", order = "integer" },
  }) })
  t.eq(entry.live_version, "1.0.0")
  t.eq(entry.diff.placeholders, { added = { "order" }, removed = json.array {} })
  t.eq(data.summary, {
    total = 1, promoted = 1, rolled_back = 0, reconciled = 0, rollback_ended = 0, unchanged = 0, planned = 0,
    rendered = 0, failed = 0,
  })
  local text = text_of(out)
  for _, part in ipairs { "greeting 1.1.0  (live: 1.0.0", "+ placeholder {{order}}", '+ variables.order: "integer"',
    "- Hello {{name}}, {{name}}!", "+ Hello {{name}},", "greeting 1.1.0: promoted  LIVE  10 tokens estimated" } do
    t.ok(text:find(part, 1, true), part .. "\n" .. text)
  end
  t.eq(status_of(server, "1.0.0"), "RETIRED")
end)

test("what is sent is the document, and nothing of the file besides", function(server)
  promote(server, { "scripts/examples/support_answer.txt" })
  local sent
  for _, request in ipairs(server:stats().last) do
    if request.method == "POST" and request.path:find("versions") then sent = json.decode(request.body) end
  end
  t.eq(sent, template.load("scripts/examples/support_answer.txt").document)
end)

test("--dry-run shows every change and sends no write", function(server)
  local entry, _, out, audit = promote(server, { document() }, { dry_run = true })
  t.eq(entry.status, "planned")
  t.eq(out.exit_status, 0)
  t.ok(text_of(out):find("+ placeholder {{name}}", 1, true))
  t.eq(session.count(server, "POST"), 0)
  t.eq(#audit.lines, 0)
  t.eq(entry.audit_id, nil)
end)

test("bad files: exit 3, all faults at once, nothing is sent", function(server)
  local folder = "tests/lua/fixtures/bad_template"
  local n = 0
  for _, name in ipairs(assert(fs.list(folder))) do
    if not name:find("%.meta%.json$") then
      n = n + 1
      local ok, err = pcall(promote, server, { folder .. "/" .. name })
      t.ok(not ok, name)
      t.eq(exit_status.of(err), 3, name)
    end
  end
  t.ok(n >= 20, n)
  local ok, err = pcall(promote, server, { document(), folder, "scripts/examples/template.json" })
  t.ok(not ok)
  t.ok(#err.details > 60)
  t.eq(server:stats().requests, 0)
end)

test("one bad file among good ones: nothing is sent", function(server)
  local ok, err = pcall(promote, server, { document(), document("2.0", { templateId = "other" }) })
  t.ok(not ok)
  t.eq(#err.details, 1)
  t.eq(server:stats().requests, 0)
end)

test("a missing scope is exit 4 and names the scope", { scopes = { "ai:prompt-template:read" } }, function(server)
  local entry, _, out, audit = promote(server, { document() })
  t.eq(out.exit_status, 4)
  t.ok(entry.error.hint:find("ai:prompt-template:write", 1, true))
  t.eq(promotions(audit)[1].status, "FAILED")
end)

test("many at once, and one that fails stops no other; the exit status is its", function(server)
  local list = {}
  for i = 1, 12 do list[i] = document("1.0.0", { templateId = ("t%02d"):format(i) }) end
  server:fault { status = 422, method = "POST", path = "/t05/versions" }
  local _, data, out, audit, reported = promote(server, list, { values = { concurrency = 3 } })
  t.eq({ data.summary.promoted, data.summary.failed, out.exit_status, #reported }, { 11, 1, 3, 1 })
  t.eq(data.results[5].status, "failed")
  t.eq(#promotions(audit), 12)
  t.ok(text_of(out):find("12 templates: 11 promoted, 1 failed", 1, true))
end)

-- ---- what exists already ----

test("a version that is there is refused at the look: exit 5, nothing sent", function(server)
  promote(server, { document() })
  local posts = session.count(server, "POST")
  local entry, _, out, audit = promote(server, { document() })
  t.eq(out.exit_status, 5)
  t.eq(entry.error.code, "conflict")
  t.eq(entry.error.outcome, "not_sent")
  t.ok(entry.error.message:find("with the same content", 1, true))
  t.ok(entry.error.hint:find("--rollback", 1, true))
  t.eq(session.count(server, "POST"), posts)
  entry = promote(server, { document(nil, { content = "{{name}}" }) })
  t.ok(not entry.error.message:find("same content", 1, true))
  t.eq(promotions(audit)[1].status, "FAILED")
  t.eq(promotions(audit)[1].error_code, "conflict")
end)

test("a version that somebody promotes between look and POST: the gateway's 409, exit 5", function(server)
  local other, done = session.gateway(server), false
  local client = session.watched(session.client(server), function(request)
    if request.method ~= "POST" or done then return end
    done = true
    local item = { document = document(nil, { content = "theirs {{name}}" }) }
    template.promote(other, item, template.look(other, "greeting", "1.0.0"))
  end)
  local entry, _, out, audit = promote(server, { document() }, { client = client })
  t.eq(out.exit_status, 5)
  t.eq({ entry.error.code, entry.error.status, entry.error.gateway_code }, { "conflict", 409, "version.exists" })
  t.ok(entry.error.hint)
  t.eq(held(server).versions[1].content, "theirs {{name}}")
  t.eq(promotions(audit)[1].status, "FAILED")
end)

test("the same, with the very same content: still refused, since it was not ours", function(server)
  local other, done = session.gateway(server), false
  local client = session.watched(session.client(server), function(request)
    if request.method ~= "POST" or done then return end
    done = true
    template.promote(other, { document = document() }, template.look(other, "greeting", "1.0.0"))
  end)
  local _, _, out = promote(server, { document() }, { client = client })
  t.eq(out.exit_status, 5)
end)

-- ---- A/B ----

test("--split and --variant: header and body agree, and the live version stays", function(server)
  promote(server, { document() })
  local entry, _, out = promote(server, { document("1.1.0") }, { values = { split = "20%", variant = "new.one" } })
  t.eq(entry.status, "promoted")
  t.eq(entry.gateway_status, "TESTING")
  t.eq(entry.ab_test, { variant = "new.one", traffic_percent = 20 })
  t.eq(held(server).versions[2].abTestingTrigger, { enabled = true, trafficPercent = 0.2, variantId = "new.one" })
  t.eq(held(server).live, "1.0.0")
  t.ok(text_of(out):find("variant new.one with 20 %", 1, true))
end)

test("the trigger in the file: every whole percentage makes a header that the gateway takes", function(server)
  local list = {}
  for percent = 0, 100 do
    list[percent + 1] = document("1.0.0", {
      templateId = "t" .. percent,
      abTestingTrigger = { enabled = true, trafficPercent = percent / 100, variantId = "b" },
    })
  end
  local _, data = promote(server, list, { values = { concurrency = 16 } })
  t.eq(data.summary.promoted, 101)
end)

test("a trigger that is off sends no header", function(server)
  local entry = promote(server, { "scripts/examples/template.json" })
  t.eq(entry.status, "promoted")
  t.eq(entry.ab_test, nil)
end)

test("mistakes of use: exit 2, nothing sent", function(server)
  for _, case in ipairs {
    { values = { split = "20" } }, { values = { split = "0.2" } }, { values = { split = "101%" } },
    { values = { split = "12.5%" } }, { values = { rollback = "1.0.0", split = "20%" } },
    { values = { rollback = "1.0.0", end_rollback = true } }, { values = { id = "x" } },
    { values = { render = "x", rollback = "1.0.0" } }, { values = { render = "x", variant = "b" } },
    { {}, values = {} },
  } do
    local ok, err = pcall(promote, server, case[1] or { document() }, { values = case.values })
    t.ok(not ok)
    t.eq(err.code, "usage", tostring(err))
  end
  local ok, err = pcall(promote, server, { document() }, { values = { split = "20%" } })
  t.ok(not ok)
  t.eq({ err.details[1].pointer, #err.details }, { "/abTestingTrigger/variantId", 1 })
  t.ok(err.details[1].message:find("--split needs --variant", 1, true), err.details[1].message)
  ok, err = pcall(promote, server, { document() }, { values = { variant = "b" } })
  t.ok(not ok)
  t.eq({ err.details[1].pointer, #err.details }, { "/abTestingTrigger/trafficPercent", 1 })
  t.ok(err.details[1].message:find("--variant needs --split", 1, true), err.details[1].message)
  t.eq(server:stats().requests, 0)
end)

-- ---- rollback ----

test("--rollback makes an older version live, blocks promotions until --end-rollback", function(server)
  promote(server, { document() })
  promote(server, { document("1.1.0", { content = "Hi {{name}}" }) })
  local entry, _, out, audit = promote(server, {}, { values = { id = "greeting", rollback = "1.0.0" } })
  t.eq(out.exit_status, 0)
  t.eq({ entry.status, entry.version, entry.live_version }, { "rolled_back", "1.0.0", "1.1.0" })
  t.eq({ held(server).live, held(server).rollback }, { "1.0.0", "1.0.0" })
  t.eq({ status_of(server, "1.1.0"), status_of(server, "1.0.0") }, { "ROLLED_BACK", "LIVE" })
  local line = promotions(audit)[1]
  t.eq({ line.status, line.version, line.rollbackDirective }, { "PROMOTED", "1.0.0", true })
  t.ok(text_of(out):find("- Hi {{name}}", 1, true))

  local posts = session.count(server, "POST")
  entry, _, out = promote(server, { document("1.2.0") })
  t.eq(out.exit_status, 5)
  t.ok(entry.error.message:find("rolled back to 1.0.0", 1, true))
  t.ok(entry.error.hint:find("--end-rollback", 1, true))
  t.eq(session.count(server, "POST"), posts)

  entry = promote(server, { document("1.1.0") }, { values = { rollback = "1.0.0" } })
  t.eq(entry.status, "unchanged")
  entry, _, out = promote(server, {}, { values = { id = "greeting", rollback = "1.1.0" } })
  t.eq(out.exit_status, 5)
  t.eq(entry.error.code, "conflict")

  entry, _, out, audit = promote(server, {}, { values = { id = "greeting", end_rollback = true } })
  t.eq({ entry.status, out.exit_status }, { "rollback_ended", 0 })
  t.eq(audit.lines[2].action or audit.lines[1].action, "template_rollback_end")
  t.eq(held(server).rollback, nil)
  entry = promote(server, {}, { values = { id = "greeting", end_rollback = true } })
  t.eq(entry.status, "unchanged")
  t.eq(promote(server, { document("1.2.0") }).status, "promoted")
end)

test("a rollback that begins between look and POST: the gateway's 409 and its hint", function(server)
  promote(server, { document() })
  local other, done = session.gateway(server), false
  local client = session.watched(session.client(server), function(request)
    if request.method ~= "POST" or done then return end
    done = true
    local seen = template.look(other, "greeting", "1.0.0")
    template.rollback(other, template.rollback_document("greeting", "1.0.0", seen), seen)
  end)
  local entry, _, out = promote(server, { document("1.1.0") }, { client = client })
  t.eq(out.exit_status, 5)
  t.eq(entry.error.gateway_code, "rollback.active")
  t.ok(entry.error.hint:find("--end-rollback", 1, true))
end)

test("a rollback to a version that is not there: exit 3, and what there is is named", function(server)
  promote(server, { document() })
  local entry, _, out = promote(server, {}, { values = { id = "greeting", rollback = "9.9.9" } })
  t.eq(out.exit_status, 3)
  t.eq(entry.error.hint, "it has 1.0.0")
  t.eq(session.count(server, "POST"), 1)
end)

test("rollbackDirective in the file is a rollback to the file's version", function(server)
  promote(server, { document() })
  promote(server, { document("1.1.0") })
  local entry = promote(server, { document("1.0.0", { rollbackDirective = true }) })
  t.eq(entry.status, "rolled_back")
end)

test("--dry-run --rollback sends nothing", function(server)
  promote(server, { document() })
  local entry = promote(server, {}, { values = { id = "greeting", rollback = "1.0.0" }, dry_run = true })
  t.eq(entry.status, "planned")
  entry = promote(server, {}, { values = { id = "greeting", end_rollback = true }, dry_run = true })
  t.eq(entry.status, "planned")
  t.eq({ session.count(server, "POST"), session.count(server, "DELETE") }, { 1, 0 })
end)

test("a template that nobody knows has no rollback to end", function(server)
  local entry, _, out = promote(server, {}, { values = { id = "nobody", end_rollback = true } })
  t.eq({ entry.status, out.exit_status }, { "unchanged", 0 })
end)

-- ---- rendering ----

test("--render fills the template and sends nothing", function(server)
  local path = FOLDER .. "/vars.json"
  assert(fs.write(path, '{"name": "Ada"}'))
  local entry, data, out = promote(server, { document() }, { values = { render = path } })
  t.eq({ entry.status, entry.rendered }, { "rendered", "Hello Ada, Ada!" })
  t.eq(out.lines, { "Hello Ada, Ada!" })
  t.eq(data.summary.rendered, 1)
  assert(fs.write(path, '{"nam": 7}'))
  entry, data, out = promote(server, { document() }, { values = { render = path } })
  t.eq({ data.summary.failed, out.exit_status }, { 1, 3 })
  t.eq(#entry.error.details, 2)
  for _, bad in ipairs { "[]", "{", "7" } do
    assert(fs.write(path, bad))
    local ok, err = pcall(promote, server, { document() }, { values = { render = path } })
    t.ok(not ok)
    t.eq(exit_status.of(err), 3)
  end
  t.eq(server:stats().requests, 0)
end)

-- ---- faults on the way ----

test("429 is tried again; 503 may have taken effect: looked up, and not sent again", function(server)
  server:fault { status = 429, method = "POST", path = "/versions", times = 2 }
  local entry = promote(server, { document() })
  t.eq({ entry.status, entry.attempts }, { "promoted", 3 })
  server:fault { status = 503, method = "POST", path = "/versions", times = 1 }
  local _, out
  entry, _, out = promote(server, { document "9.9.9" })
  t.eq({ entry.status, entry.error.outcome, entry.error.status, out.exit_status }, { "failed", "unknown", 503, 6 })
  t.ok(entry.error.message:find("has not taken effect so far", 1, true), entry.error.message)
end)

test("an answer lost once: one effect, reconciled", function(server)
  server:fault { kind = "close_after", method = "POST", path = "/versions", nth = 1 }
  local entry, _, out, audit = promote(server, { document() })
  t.eq({ entry.status, out.exit_status }, { "reconciled", 0 })
  t.eq(#held(server).versions, 1)
  t.eq(promotions(audit)[1].status, "PROMOTED")
end)

test("answers lost every time: looked up at the version's own path, reconciled", function(server)
  server:fault { kind = "close_after", method = "POST", path = "/versions" }
  local entry = promote(server, { document() }, { gateway = { deadline = 3 } })
  t.eq(entry.status, "reconciled")
  t.eq(#held(server).versions, 1)
end)

test("half an answer to a rollback: one effect, reconciled", function(server)
  promote(server, { document() })
  promote(server, { document("1.1.0") })
  server:fault { kind = "half", method = "POST", path = "/versions" }
  local entry = promote(server, {}, { values = { id = "greeting", rollback = "1.0.0" }, gateway = { deadline = 3 } })
  t.eq(entry.status, "reconciled")
  t.eq(held(server).rollback, "1.0.0")
end)

test("a rollback that was never applied: exit 6, no conflict", function(server)
  promote(server, { document() })
  server:fault { kind = "close_before", method = "POST", path = "/versions" }
  local entry, _, out = promote(server, {}, {
    values = { id = "greeting", rollback = "1.0.0" }, gateway = { deadline = 1 },
  })
  t.eq({ entry.error.outcome, out.exit_status }, { "unknown", 6 })
  t.ok(entry.error.message:find("has not taken effect", 1, true))
  t.eq(held(server).rollback, nil)
end)

test("never applied: exit 6, and nothing is there", function(server)
  server:fault { kind = "close_before", method = "POST", path = "/versions" }
  local entry, _, out, audit = promote(server, { document() }, { gateway = { deadline = 1 } })
  t.eq({ entry.status, out.exit_status }, { "failed", 6 })
  t.eq(held(server), nil)
  t.eq(promotions(audit)[1].status, "FAILED")
end)

test("an answer lost, and somebody else's version in its place: a conflict", function(server)
  server:fault { kind = "close_before", method = "POST", path = "/versions", nth = 1 }
  local other, n = session.gateway(server), 0
  local client = session.watched(session.client(server, { retry = false }), function() end, function(request, _, err)
    if request.method ~= "POST" or n > 0 or not err then return end
    n = 1
    local item = { document = document(nil, { content = "theirs {{name}}" }) }
    template.promote(other, item, template.look(other, "greeting", "1.0.0"))
  end)
  local entry, _, out = promote(server, { document() }, { client = client })
  t.eq(out.exit_status, 5)
  t.eq(entry.error.code, "conflict")
end)

test("the end of a rollback whose answer was lost", function(server)
  promote(server, { document() })
  promote(server, {}, { values = { id = "greeting", rollback = "1.0.0" } })
  server:fault { kind = "close_after", method = "DELETE", nth = 1 }
  local entry, _, out = promote(server, {}, { values = { id = "greeting", end_rollback = true } })
  t.eq({ entry.status, out.exit_status }, { "reconciled", 0 })
  t.eq(held(server).rollback, nil)
end)

test("422 gives the gateway's details, exit 3", function(server)
  local limits = { content_characters = 5000 }
  local entry, _, out = promote(server, { document(nil, { content = ("x"):rep(4500) .. "{{name}}" }) }, {
    project = { limits = limits }, gateway = { limits = limits },
  })
  t.eq(out.exit_status, 3)
  t.eq(entry.error.details[1].field, "content")
end)

-- ---- audit and webhooks ----

local function receiver_of(status)
  local got = {}
  local server = assert(httpd.serve { handler = function(req)
    got[#got + 1] = { headers = req.headers, body = req.body }
    return { status = status or 204 }
  end })
  return server, got
end

test("the audit event has the contract's fields, on success", function(server)
  local entry, _, _, audit = promote(server, { document() })
  local line = promotions(audit)[1]
  t.ok(line.timestamp:find("^%d+%-%d+%-%d+T.*Z$"))
  t.eq({ line.templateId, line.version, line.status, line.rollbackDirective, line.estimatedContextTokens,
    line.generationSuccessRate, line.webhookSynced, line.auditId }, { "greeting", "1.0.0", "PROMOTED", false, 7,
    json.null, false, entry.audit_id })
  t.ok(line.latencyMs > 0)
  t.eq(audit.lines[1].auditId, line.auditId)
end)

test("tutorial fault 8: the event has its latency on failure, too", function(server)
  server:fault { status = 500, method = "POST", path = "/versions" }
  server:fault { latency = 20, method = "POST", path = "/versions" }
  local _, _, out, audit = promote(server, { document() })
  t.ok(out.exit_status ~= 0)
  local line = promotions(audit)[1]
  t.eq({ line.status, line.webhookSynced }, { "FAILED", false })
  t.ok(line.latencyMs >= 20, line.latencyMs)
  t.eq(line.generationSuccessRate, json.null)
end)

test("tutorial fault 6: webhookSynced is true after delivery, and only then", function(server)
  local key = secret.random(32)
  local good, got = receiver_of(204)
  local entry, _, _, audit = promote(server, { document() }, { project = { webhooks = {
    registry = { url = good.url, secret = key, events = { "template_promoted" } },
    other = { url = "http://127.0.0.1:1/", events = { "index_update" } },
  } } })
  t.eq({ entry.webhook_synced, promotions(audit)[1].webhookSynced, #got }, { true, true, 1 })
  t.ok(webhook.verify { secret = key, headers = got[1].headers, body = got[1].body })
  local told = json.decode(got[1].body)
  t.eq({ told.type, told.data.templateId, told.data.version, told.data.auditId, told.data.status },
    { "template_promoted", "greeting", "1.0.0", entry.audit_id, "PROMOTED" })
  t.eq(told.data.content, nil)
  good:stop()

  local bad = receiver_of(400)
  local out
  entry, _, out, audit = promote(server, { document("1.1.0") }, { project = { webhooks = {
    registry = { url = bad.url, secret = key },
  } } })
  t.eq({ entry.status, out.exit_status }, { "promoted", 0 })
  t.eq({ entry.webhook_synced, promotions(audit)[1].webhookSynced }, { false, false })
  bad:stop()
end)

test("the registry is told of rollbacks and their ends, too", function(server)
  local receiver, got = receiver_of()
  local project = { webhooks = { x = { url = receiver.url } } }
  promote(server, { document() })
  local by_id = { id = "greeting", rollback = "1.0.0" }
  promote(server, {}, { values = by_id, project = project })
  promote(server, {}, { values = { id = "greeting", end_rollback = true }, project = project })
  receiver:stop()
  local told = { json.decode(got[1].body), json.decode(got[2].body) }
  t.eq({ told[1].type, told[1].data.rollbackDirective }, { "template_rolled_back", true })
  t.eq({ told[2].type, told[2].data.status }, { "template_rollback_ended", "ROLLBACK_ENDED" })
end)

test("nobody is told of a failure, nor in a dry run", function(server)
  local receiver, got = receiver_of()
  local project = { webhooks = { x = { url = receiver.url } } }
  promote(server, { document() }, { project = project, dry_run = true })
  server:fault { status = 422, method = "POST", path = "/versions" }
  promote(server, { document() }, { project = project })
  t.eq(#got, 0)
  receiver:stop()
end)

test("what can't be audited is not sent", function(server)
  local entry, _, out = promote(server, { document() }, { audit = fake.audit { refuse_intent = true } })
  t.eq({ entry.status, entry.error.outcome, out.exit_status }, { "failed", "not_sent", 1 })
  t.eq(session.count(server, "POST"), 0)
end)

test("a promotion whose event can't be written is a failure that says it took effect", function(server)
  local audit = fake.audit()
  local event = audit.event
  function audit.event(fields)
    if fields.action == "VERSION_PROMOTION" then
      return nil, require("moongate.error").new { code = "io", message = "disk full" }
    end
    return event(fields)
  end
  local entry, _, out = promote(server, { document() }, { audit = audit })
  t.eq({ entry.status, entry.written, out.exit_status }, { "failed", "promoted", 1 })
end)

t.test("the gateway's generation success rate is passed on where it gives one, never invented", function()
  local body = { templateId = "greeting", version = "1.0.0", status = "LIVE" }
  body.metrics = { generationSuccessRate = 0.97 }
  local server = assert(httpd.serve { handler = function(req)
    if req.path == "/oauth/token" then
      return { json = { access_token = "a-token", token_type = "bearer", expires_in = 3600 } }
    end
    if req.method == "GET" then return { status = 404, json = { code = "not.found", message = "none" } } end
    return { status = 201, json = body }
  end })
  local as_sim = { url = server.url, client_id = "id", client_secret = "secret" }
  local entry, _, _, audit = promote(as_sim, { document() })
  t.eq({ entry.generation_success_rate, promotions(audit)[1].generationSuccessRate }, { 0.97, 0.97 })
  for _, odd in ipairs { "high", 97, -1 } do
    body.metrics.generationSuccessRate = odd
    t.eq(promote(as_sim, { document() }).generation_success_rate, json.null)
  end
  server:stop()
end)
