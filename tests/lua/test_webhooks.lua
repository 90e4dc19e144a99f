-- Deliveries to a server of the test's own: signed, 2xx only, no redirect, and never a reason to fail.
local attempts = require "moongate.webhooks.attempts"
local errors = require "moongate.error"
local fake = require "fake_gateway"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local profile = require "moongate.webhooks.profile"
local secret = require "moongate.secret"
local state = require "moongate.webhooks.state"
local task = require "moongate.task"
local time = require "moongate.time"
local t = require "moongate.test"
local webhook = require "moongate.webhook"
local webhooks = require "moongate.webhooks"
local workflow = require "moongate.workflow"

local KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

-- A receiver that keeps what it gets; answer(n, req) -> response.
local function receiver(answer)
  local got = {}
  local server = assert(httpd.serve { handler = function(req)
    got[#got + 1] = { headers = req.headers, body = req.body, path = req.path }
    return answer and answer(#got, req) or { status = 204 }
  end })
  return server, got
end

t.test("a delivery is signed, and anybody can verify it", function()
  local server, got = receiver()
  local key = secret.random(32)
  local sent = assert(webhooks.send {
    url = server.url .. "/hook", secret = key, event = "index_update", data = { a = 1 },
  })
  server:stop()
  t.eq(sent.status, 204)
  t.eq(sent.attempts, 1)
  t.eq(#got, 1)
  t.eq(got[1].headers["webhook-id"], sent.id)
  t.ok(webhook.verify { secret = key, headers = got[1].headers, body = got[1].body })
  local body = json.decode(got[1].body)
  t.eq(body.type, "index_update")
  t.eq(body.data, { a = 1 })
  t.ok(not webhook.verify { secret = secret.random(32), headers = got[1].headers, body = got[1].body })
end)

t.test("no credential of the gateway's goes along", function()
  local server, got = receiver()
  assert(webhooks.send { url = server.url, event = "e", data = {} })
  server:stop()
  t.ok(got[1].headers["authorization"] == nil)
  t.ok(got[1].headers["webhook-signature"] == nil, "unsigned without a secret")
end)

t.test("503 is tried again, with the same id", function()
  local server, got = receiver(function(n) if n == 1 then return { status = 503 } end end)
  local sent = assert(webhooks.send { url = server.url, secret = secret.random(32), event = "e", data = {} })
  server:stop()
  t.eq(sent.attempts, 2)
  t.eq(got[1].headers["webhook-id"], got[2].headers["webhook-id"])
  t.eq(got[1].body, got[2].body)
end)

t.test("a redirect and a refusal are not deliveries", function()
  local elsewhere, reached = receiver()
  local server = receiver(function() return { status = 302, headers = { location = elsewhere.url } } end)
  local err = t.fails("http", webhooks.send { url = server.url, event = "e", data = {} })
  t.eq(err.status, 302)
  t.eq(#reached, 0)
  server:stop()
  elsewhere:stop()
  server = receiver(function() return { status = 410 } end)
  t.eq(t.fails("http", webhooks.send { url = server.url, event = "e", data = {} }).status, 410)
  server:stop()
end)

t.test("unknown options and missing ones raise", function()
  t.raises(function() webhooks.send { url = "http://x", event = "e", data = {}, secrt = 1 } end, "secrt")
  t.raises(function() webhooks.send { url = "http://x", event = "e" } end, "data is missing")
end)

t.test("who wants an event", function()
  local all = {
    b = { url = "u" }, a = { url = "u", events = { "x", "index_update" } }, c = { url = "u", events = { "x" } },
  }
  local names = {}
  for i, hook in ipairs(webhooks.listening(all, "index_update")) do names[i] = hook.name end
  t.eq(table.concat(names, " "), "a b")
  t.eq(webhooks.listening(nil, "x"), {})
end)

-- ---- from a run ----

local function run_with(hooks, fn)
  local audit = fake.audit()
  local definition = workflow.define { name = "w", summary = "s", run = fn }
  local out = workflow.execute(definition, {}, { project = { webhooks = hooks }, audit = audit })
  return out.data, audit, out
end

t.test("tutorial fault 6: delivered says what happened, for each; undelivered is audited and fails nothing", function()
  local good, got = receiver()
  local bad = receiver(function() return { status = 400 } end)
  local data, audit = run_with({
    good = { url = good.url, secret = secret.random(32) }, bad = { url = bad.url },
    other = { url = bad.url, events = { "something" } },
  }, function(run) return { notes = run:webhook("index_update", { a = 1 }) } end)
  good:stop()
  bad:stop()
  t.eq(#data.notes, 2)
  t.eq({ data.notes[1].name, data.notes[1].delivered, data.notes[1].status }, { "bad", false, 400 })
  t.eq({ data.notes[2].name, data.notes[2].delivered, data.notes[2].status }, { "good", true, 204 })
  t.eq(#got, 1)
  t.eq(#audit.lines, 2)
  local seen = {}
  for _, line in ipairs(audit.lines) do seen[line.webhook] = line.status end
  t.eq(seen, { good = "delivered", bad = "undelivered" })
end)

t.test("nobody listens: nothing is sent", function()
  t.eq(run_with({ x = { url = "http://127.0.0.1:1", events = { "y" } } },
    function(run) return { n = #run:webhook("index_update", {}) } end), { n = 0 })
end)

-- ---- attempts: a client and a clock that live in tables ----

-- answers: list of what each request meets: a status, or a table {status, code, retry_after}. -> message, tools, log
local function bench(answers, opts)
  local seen, now = { waits = {} }, 1795165725.25
  local client = {}
  function client.request(_, request)
    seen[#seen + 1] = request
    now = now + (opts and opts.takes or 0)
    local a = answers[math.min(#seen, #answers)]
    if type(a) == "number" then a = { status = a } end
    if a.status and a.status < 400 then return { status = a.status } end
    return nil, errors.new {
      code = a.code or "http", status = a.status, retry_after = a.retry_after, outcome = "final",
      message = a.status and "answered " .. a.status or "lost",
    }
  end
  local clock = {
    now = function() return now end, monotonic = function() return now end, random = function() return 1 end,
    sleep = function(s)
      seen.waits[#seen.waits + 1] = s
      now = now + s
    end,
  }
  local message = {
    url = "https://hooks.example.com/T0/secret-path", body = "{}", id = "msg_1", profile = "standard", secret = KEY,
    deadline = opts and opts.deadline or 20,
  }
  return message, { client = client, clock = clock }, seen
end

t.test("every attempt has its own time and signature, under one id", function()
  local message, tools, seen = bench { 503, { code = "connect" }, 204 }
  local sent = assert(attempts.deliver(message, tools))
  t.eq({ sent.id, sent.status, sent.attempts }, { "msg_1", 204, 3 })
  local signatures = {}
  for i, request in ipairs(seen) do
    local stamp = tonumber(request.headers["webhook-timestamp"])
    t.eq(request.headers["webhook-id"], "msg_1")
    t.ok(webhook.verify { secret = KEY, headers = request.headers, body = "{}", now = stamp, tolerance = 0 }, i)
    signatures[i] = request.headers["webhook-signature"]
    t.eq(request.idempotent, nil, "the client does not try again by itself")
  end
  t.ok(signatures[1] ~= signatures[2] or signatures[2] ~= signatures[3])
  t.eq(seen[1].headers["webhook-timestamp"], "1795165725")
  t.eq(seen[3].headers["webhook-timestamp"], "1795165726")
end)

t.test("full jitter: the wait is random between nothing and a bound that doubles up to a cap", function()
  local message, tools, seen = bench({ 500 }, { deadline = 1000 })
  local err = t.fails("http", attempts.deliver(message, tools))
  t.eq(seen.waits, { 0.5, 1.0, 2.0, 4.0 })
  t.eq(err.attempts, 5)
  t.eq(#err.attempt_list, 5)
  t.ok(err.message:find "gave up after 5 attempts$", err.message)
  t.eq(err.message:find "secret%-path", nil, "a URL's path is not told: it may be a secret")
  tools.clock.random = function() return 0 end
  t.fails("http", attempts.deliver(message, tools))
  t.eq(seen.waits[5], 0)
end)

t.test("which answers are tried again", function()
  for _, status in ipairs { 408, 409, 425, 429, 500, 501, 502, 503, 504, 507, 599 } do
    local message, tools, seen = bench { status, 200 }
    t.eq(assert(attempts.deliver(message, tools)).attempts, 2, tostring(status))
    t.eq(#seen, 2)
  end
  for _, status in ipairs { 301, 302, 307, 308, 400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 451 } do
    local message, tools, seen = bench { status, 200 }
    t.eq(t.fails("http", attempts.deliver(message, tools)).status, status)
    t.eq(#seen, 1, tostring(status))
  end
  for _, code in ipairs { "connect", "network", "timeout", "unknown_outcome" } do
    local message, tools = bench { { code = code }, 200 }
    t.eq(assert(attempts.deliver(message, tools)).attempts, 2, code)
  end
  for _, code in ipairs { "tls", "denied", "invalid", "breaker_open" } do
    local message, tools, seen = bench { { code = code }, 200 }
    t.fails(code, attempts.deliver(message, tools))
    t.eq(#seen, 1, code)
  end
end)

t.test("Retry-After is a floor; one beyond the deadline ends it at once", function()
  local message, tools, seen = bench { { status = 503, retry_after = 7 }, { status = 500, retry_after = 0.1 }, 204 }
  assert(attempts.deliver(message, tools))
  t.eq(seen.waits, { 7, 1.0 })
  message, tools, seen = bench { { status = 429, retry_after = 120 } }
  local err = t.fails("http", attempts.deliver(message, tools))
  t.eq(seen.waits, {})
  t.ok(err.message:find "come back in 120 s, the deadline leaves 20 s", err.message)
end)

t.test("the deadline covers all attempts", function()
  local message, tools, seen = bench({ { code = "timeout" } }, { takes = 9 })
  local err = t.fails("timeout", attempts.deliver(message, tools))
  t.eq(#seen, 3)
  t.ok(seen[1].deadline == 10 and seen[3].deadline < 2, "what is left, at most 10 s")
  t.ok(err.message:find "deadline", err.message)
end)

t.test("Retry-After in both forms, for any status, from a server", function()
  local dated, counted = receiver(function(n)
    if n == 1 then return { status = 500, headers = { ["Retry-After"] = time.http_date(time.now() + 2) } } end
  end), receiver(function(n) if n == 1 then return { status = 429, headers = { ["Retry-After"] = "1" } } end end)
  local sent = assert(task.map({ dated, counted }, 2, function(server)
    return (assert(webhooks.send { url = server.url, secret = KEY, event = "e", data = {} }))
  end))
  dated:stop()
  counted:stop()
  for i = 1, 2 do
    t.eq(sent[i].attempts, 2)
    t.ok(sent[i].attempt_list[2].wait_ms >= 999, tostring(sent[i].attempt_list[2].wait_ms))
  end
end)

t.test("2xx is delivered, whatever comes with it", function()
  local server = receiver(function() return { status = 202, body = ("x"):rep(2 << 20) } end)
  t.eq(assert(webhooks.send { url = server.url, event = "e", data = {} }).status, 202)
  server:stop()
end)

t.test("a receiver that keeps failing is left alone for a while", function()
  local server, got = receiver(function() return { status = 500 } end)
  local message, tools = bench { 200 }
  tools.client, message.url = http.client { retry = false }, server.url .. "/broken"
  t.eq(t.fails("http", attempts.deliver(message, tools)).attempts, 5)
  t.eq(t.fails("http", attempts.deliver(message, tools)).attempts, 5)
  t.fails("breaker_open", attempts.deliver(message, tools))
  t.eq(#got, 10)
  message.url = server.url .. "/other"
  t.fails("http", attempts.deliver(message, tools))
  t.eq(#got, 15, "another webhook of the same host is another matter")
  server:stop()
end)

-- ---- profiles ----

t.test("MLflow's headers: a published key is its bytes, whatever it begins with", function()
  local headers = assert(profile.headers("mlflow", KEY, "0c4b7f4e-2c71-4a6a-9a51-6a1f0e3f3a11", 1614265330,
    '{"test": 2432232314}'))
  t.eq(headers, {
    ["X-MLflow-Delivery-Id"] = "0c4b7f4e-2c71-4a6a-9a51-6a1f0e3f3a11", ["X-MLflow-Timestamp"] = "1614265330",
    ["X-MLflow-Signature"] = "v1,rusCR5wKGvwlkPDdCD0T6O+DUOG1PKBa7aU744RFCR4=", -- made with Python's hmac
  })
  local function sign(key) return assert(profile.headers("mlflow", key, "i", 1, "b")) end
  t.eq(sign { KEY, "other" }, sign(KEY))
  t.eq(profile.headers("mlflow", nil, "i", 1, "b"), { ["X-MLflow-Delivery-Id"] = "i", ["X-MLflow-Timestamp"] = "1" })
end)

t.test("both profiles verify, and say why not", function()
  local now = 1614265330
  for _, name in ipairs(webhooks.profiles) do
    local id = profile.new_id(name)
    local headers = assert(profile.headers(name, KEY, id, now, "body"))
    local function verify(changes)
      local o = { secret = KEY, headers = headers, body = "body", now = now }
      for k, v in pairs(changes or {}) do o[k] = v end
      return webhooks.verify(o)
    end
    t.ok(verify())
    t.ok(verify { secret = { "another", KEY } })
    t.ok(verify { now = now + 300 })
    t.ok(t.fails("verify", verify { now = now + 301 }).message:find "301 s old")
    t.ok(t.fails("verify", verify { now = now - 301 }).message:find "future")
    t.ok(t.fails("verify", verify { body = "body " }).message:find "no signature matches")
    t.ok(t.fails("verify", verify { secret = "another" }).message:find "no signature matches")
    for header in pairs(headers) do
      local less, lower, broken = {}, {}, {}
      for k, v in pairs(headers) do
        lower[k:lower()], broken[k] = v, v
        if k ~= header then less[k] = v end
      end
      t.ok(t.fails("verify", verify { headers = less }).message:lower():find(header:lower(), 1, true), header)
      t.ok(verify { headers = lower })
      broken[header] = "x"
      t.fails("verify", verify { headers = broken })
    end
  end
  t.fails("verify", webhooks.verify { secret = KEY, headers = {}, body = "" })
end)

t.test("a delivery with MLflow's headers", function()
  local server, got = receiver()
  local sent = assert(webhooks.send { url = server.url, secret = KEY, event = "e", data = {}, profile = "mlflow" })
  server:stop()
  t.ok(sent.id:find "^%x+%-%x+%-4%x+%-%x+%-%x+$", sent.id)
  t.ok(webhooks.verify { secret = KEY, headers = got[1].headers, body = got[1].body })
  t.eq(got[1].headers["webhook-id"], nil)
  t.eq(got[1].headers["content-type"], "application/json")
end)

t.test("headers of one's own, secrets among them, but none that the profile sets", function()
  local server, got = receiver()
  assert(webhooks.send {
    url = server.url, event = "e", data = {},
    headers = { ["X-Audit-Source"] = "genesys-router", ["X-Key"] = secret.random(16), ["Content-Type"] = "text/json" },
  })
  server:stop()
  t.eq(got[1].headers["x-audit-source"], "genesys-router")
  t.ok(got[1].headers["x-key"]:find "^whsec_")
  t.eq(got[1].headers["content-type"], "text/json")
  for _, name in ipairs { "Webhook-Id", "x-mlflow-signature" } do
    t.raises(webhooks.send, "set by the profile", { url = "u", event = "e", data = {}, headers = { [name] = "x" } })
  end
  t.raises(webhooks.send, "unknown profile 'mlfow'", { url = server.url, event = "e", data = {}, profile = "mlfow" })
  t.raises(webhooks.send, "did you mean 'profile'", { url = server.url, event = "e", data = {}, profil = "mlflow" })
end)

t.test("what can't be sent is told, and nothing raises", function()
  local url = "http://127.0.0.1:1"
  local err = t.fails("invalid", webhooks.send { url = url, event = "e", data = {}, secret = "whsec_*" })
  t.ok(err.message:find "base64")
  t.fails("invalid", webhooks.send { url = url, event = "e", data = { print } })
  t.fails("invalid", webhooks.send { url = "nowhere", event = "e", data = {} })
  t.fails("invalid", webhooks.send { url = url, event = "e", data = {}, headers = { ["a b"] = "x" } })
end)

-- ---- a run: disabled, kept, on the result ----

t.test("410 disables a webhook for the rest of the run, and says so", function()
  local server, got = receiver(function() return { status = 410 } end)
  local data, audit, out = run_with({ gone = { url = server.url } }, function(run)
    local first, second = run:webhook("a", {})[1], run:webhook("b", {})[1]
    return { first = first, second = second }
  end)
  server:stop()
  t.eq(#got, 1)
  t.eq({ data.first.status, data.first.disabled, data.first.attempts }, { 410, true, 1 })
  t.eq({ data.second.delivered, data.second.disabled, data.second.attempts }, { false, true, 0 })
  t.ok(data.second.error:find "410 Gone earlier")
  t.eq(#audit.lines, 2)
  t.eq({ audit.lines[2].event, audit.lines[2].disabled, audit.lines[2].error_code }, { "b", true, "webhook_disabled" })
  t.eq(data.undelivered_webhooks.total, 2)
  t.eq(data.undelivered_webhooks.first[1].webhook, "gone")
  t.ok(out.lines[#out.lines]:find "webhook gone: b was NOT delivered", out.lines[#out.lines])
end)

t.test("a webhook with a new URL is another one", function()
  local memory = state.memory()
  memory:disable { name = "a", url = "u" }
  t.ok(memory:disabled { name = "a", url = "u" })
  t.eq(memory:disabled { name = "a", url = "v" }, nil)
  t.eq(memory:disabled { name = "b", url = "u" }, nil)
end)

t.test("what is remembered in memory does not grow", function()
  local memory = state.memory()
  for i = 1, 1000 do memory:missed { webhook = "a", event = "e", id = tostring(i), error = "x" } end
  local counts, first = memory:undelivered()
  t.eq({ counts.total, counts.kept, #first, first[1].id }, { 1000, 0, 100, "1" })
end)

t.test("more webhooks and headers for one event; metrics count", function()
  local server, got = receiver()
  local data = run_with({ a = { url = server.url, headers = { ["X-Team"] = "ml" } } }, function(run)
    local notes = run:webhook("e", {}, {
      headers = { ["X-Audit-Source"] = "genesys-router" }, also = { callback = { url = server.url .. "/callback" } },
    })
    local by = {}
    local name = "moongate_webhook_deliveries_total"
    local deliveries = run.metrics:counter(name, "", { "webhook", "event", "status" })
    for _, s in ipairs(deliveries:series()) do by[table.concat(s.labels, " ")] = s.value end
    return { notes = notes, counts = by }
  end)
  server:stop()
  t.eq({ data.notes[1].name, data.notes[2].name }, { "a", "callback" })
  table.sort(got, function(x, y) return x.path < y.path end)
  t.eq({ got[1].headers["x-team"], got[1].headers["x-audit-source"] }, { "ml", "genesys-router" })
  t.eq({ got[2].headers["x-team"], got[2].headers["x-audit-source"] }, { nil, "genesys-router" })
  t.eq(data.counts, { ["a e delivered"] = 1, ["callback e delivered"] = 1 })
  t.raises(run_with, "unknown option 'header'", {}, function(run) run:webhook("e", {}, { header = {} }) end)
end)

t.test("a delivery that can't be audited is told, and fails nothing", function()
  local server = receiver()
  local definition = workflow.define { name = "w", summary = "s", run = function(run)
    return { note = run:webhook("e", {})[1] }
  end }
  local full = { event = function() return nil, errors.new { code = "io", message = "the disk is full" } end }
  local out = workflow.execute(definition, {}, { project = { webhooks = { x = { url = server.url } } }, audit = full })
  server:stop()
  t.eq({ out.data.note.delivered, out.data.note.audit_error }, { true, "the disk is full" })
end)
