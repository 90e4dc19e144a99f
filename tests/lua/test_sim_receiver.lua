-- The simulator's receiver of webhooks: what it keeps, verifies and refuses.
local f = require "sim_fixture"
local http = require "moongate.http"
local t = require "moongate.test"
local time = require "moongate.time"
local webhooks = require "moongate.webhooks"
local attempts = require "moongate.webhooks.attempts"

local KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

local function send(server, name, opts)
  local o = { url = server.url .. "/__sim/webhooks/" .. name, event = "index_update", data = { n = 1 } }
  for k, v in pairs(opts or {}) do o[k] = v end
  return webhooks.send(o)
end

t.test("a webhook is kept and verified, without a token", function()
  local server <close> = f.start { receiver_secrets = { governance = KEY } }
  local sent = assert(send(server, "governance", { secret = KEY, headers = { ["X-Audit-Source"] = "genesys-router" } }))
  local box = server:state().receiver.governance
  t.eq({ box.received, box.repeated, box.refused }, { 1, 0, 0 })
  local d = box.deliveries[1]
  t.eq({ d.id, d.type, d.verified, d.signed, d.profile, d.source },
    { sent.id, "index_update", true, true, "standard", "genesys-router" })
  assert(send(server, "governance", { secret = KEY, id = sent.id }))
  box = server:state().receiver.governance
  t.eq({ box.received, box.repeated, box.deliveries[2].repeated }, { 2, 1, true })
  assert(send(server, "governance", { secret = KEY, profile = "mlflow" }))
  t.eq(server:state().receiver.governance.deliveries[3].profile, "mlflow")
end)

t.test("what does not verify with a secret that is known is refused", function()
  local server <close> = f.start { receiver_secrets = { governance = KEY } }
  t.eq(t.fails("http", send(server, "governance")).status, 401)
  t.eq(t.fails("http", send(server, "governance", { secret = "another" })).status, 401)
  local box = server:state().receiver.governance
  t.eq({ box.received, box.refused, #box.deliveries }, { 0, 2, 2 })
  t.ok(box.deliveries[2].reason:find "no signature matches")
end)

t.test("where none is known, the simulator's own is tried", function()
  local server <close> = f.start()
  assert(send(server, "a"))
  assert(send(server, "a", { secret = server.webhook_secret }))
  assert(send(server, "a", { secret = KEY }))
  local seen = {}
  for i, d in ipairs(server:state().receiver.a.deliveries) do seen[i] = { d.signed, d.verified } end
  t.eq(seen, { { false, false }, { true, true }, { true, false } })
end)

t.test("faults: 410, 429 with Retry-After, 500, a lost answer", function()
  local server <close> = f.start()
  t.ok(server:fault "status=410,path=/__sim/webhooks/gone")
  t.eq(t.fails("http", send(server, "gone")).status, 410)
  t.eq(server:state().receiver.gone, nil, "a spoiled answer has no effect")
  t.ok(server:fault "status=429,retry_after=0,path=/__sim/webhooks/busy,nth=1")
  t.ok(server:fault "status=500,path=/__sim/webhooks/busy,nth=2")
  t.eq(assert(send(server, "busy")).attempts, 3)
  t.eq(server:state().receiver.busy.received, 1)
  t.ok(server:fault "close_after,path=/__sim/webhooks/lost,nth=1")
  t.eq(assert(send(server, "lost")).attempts, 2)
  local box = server:state().receiver.lost
  t.eq({ box.received, box.repeated }, { 2, 1 }, "the same message twice, and it can be told by its id")
end)

t.test("attempts are minutes apart: each is fresh when it arrives", function()
  local server <close> = f.start { receiver_secrets = { slow = KEY } }
  t.ok(server:fault "status=503,path=/__sim/webhooks/slow,times=2")
  local past = -900 -- the first attempts were made a quarter of an hour ago
  local clock = {
    now = function() return time.now() + past end, monotonic = time.monotonic, random = function() return 0 end,
    sleep = function() past = past + 450 end,
  }
  local message = assert(webhooks.message {
    url = server.url .. "/__sim/webhooks/slow", event = "e", data = {}, secret = KEY,
  })
  local tools = { client = http.client { retry = false }, clock = clock }
  t.eq(assert(attempts.deliver(message, tools)).attempts, 3)
  t.ok(server:state().receiver.slow.deliveries[1].verified)
end)

t.test("other methods and paths are not there, and a reset forgets", function()
  local server <close>, _, call = f.start()
  t.eq(assert(call("GET", "/__sim/webhooks/a")).status, 405)
  t.eq(assert(call("POST", "/__sim/webhooks/", { body = "{}" })).status, 404)
  t.eq(assert(call("POST", "/__sim/webhooks/a", { body = "not JSON" })).status, 204)
  t.eq(server:state().receiver.a.deliveries[1].body, "not JSON")
  server:reset()
  t.eq(next(server:state().receiver), nil)
end)
