-- Deliveries to a server of the test's own: signed, 2xx only, no redirect, and never a reason to fail.
local fake = require "fake_gateway"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local secret = require "moongate.secret"
local t = require "moongate.test"
local webhook = require "moongate.webhook"
local webhooks = require "moongate.webhooks"
local workflow = require "moongate.workflow"

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
  return out.data, audit
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
