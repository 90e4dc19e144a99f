-- The simulated gateway's faults in action, its control paths, counts, webhooks and end.
local f = require "sim_fixture"
local fs = require "moongate.fs"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local sim = require "moongate.sim"
local t = require "moongate.test"
local task = require "moongate.task"
local time = require "moongate.time"
local webhook = require "moongate.webhook"

t.test("a status fault has no effect, and says when to come back", function()
  local server <close>, api = f.start()
  t.ok(server:fault "status=503,retry_after=7,method=PUT,times=1")
  local res = f.put(api, "a")
  t.eq(res.status, 503)
  t.eq(res.headers["retry-after"], "7")
  t.eq(res:json().code, "service.unavailable")
  t.eq(assert(api("GET", f.indexes .. "/a")).status, 404)
  t.eq(f.put(api, "a").status, 201)
  t.ok(server:fault "status=502,body=html,retry_at=3,times=1")
  res = assert(api("GET", f.indexes))
  t.eq(res.status, 502)
  t.eq(res.headers["content-type"], "text/html")
  t.ok(res.headers["retry-after"]:match "^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$")
  t.ok(server:fault "status=504,body=empty,times=1")
  t.eq(assert(api("GET", f.indexes)).body, "")
end)

t.test("close_before has no effect, close_after, half and drip have", function()
  local server <close>, api = f.start()
  for kind, effect in pairs { close_before = false, close_after = true, half = true } do
    t.ok(server:fault(kind .. ",method=PUT,times=1"))
    t.fails("unknown_outcome", api("PUT", f.indexes .. "/" .. kind, { json = f.config(kind) }))
    t.eq(assert(api("GET", f.indexes .. "/" .. kind)).status, effect and 200 or 404, kind)
  end
  t.ok(server:fault "drip,bytes=20,ms=1")
  local began = time.monotonic()
  t.eq(f.put(api, "drip").status, 201)
  t.ok(time.monotonic() - began > 0.004)
end)

t.test("latency comes before the effect, late after it", function()
  local server <close>, api = f.start()
  t.ok(server:fault "latency=60,path=/slow")
  local began = time.monotonic()
  local put = task.spawn(f.put, api, "slow")
  task.sleep(0.02)
  t.eq(server:state().indexes.store, nil)
  t.eq(put:join().status, 201)
  t.ok(time.monotonic() - began >= 0.06)
  t.ok(server:fault "late=60,path=/late")
  put = task.spawn(f.put, api, "late")
  task.sleep(0.03)
  t.ok(server:state().indexes.store.late)
  t.eq(put:join().status, 201)
end)

t.test("expire_tokens befalls the request itself", function()
  local server <close>, api = f.start { faults = { "expire_tokens,nth=3" } }
  t.eq(assert(api("GET", f.indexes)).status, 200) -- the token request was the first
  t.eq(assert(api("GET", f.indexes)).status, 401)
  t.ok(server)
end)

t.test("a rate is kept, and repeats with the seed", function()
  local function run()
    local server <close>, api = f.start { seed = 3, faults = { "status=503,rate=0.3,path=/indexes" }, rate_limit = 0 }
    local text = {}
    for i = 1, 100 do text[i] = assert(api("GET", f.indexes)).status == 503 and "x" or "." end
    t.eq(server:faults()[1].matched, 100)
    return table.concat(text)
  end
  local first = run()
  local _, count = first:gsub("x", "")
  t.ok(count > 15 and count < 45, "0.3 of 100 is " .. count)
  t.eq(run(), first)
end)

t.test("faults are set and removed over the control path", function()
  local server <close>, api, call = f.start()
  local function post(body) return assert(call("POST", "/__sim/faults", { body = body })) end
  t.eq(post("status=503,times=1"):json(), { ids = { 1 } })
  t.eq(post('[{"kind":"half"},"latency=1"]'):json(), { ids = { 2, 3 } })
  t.eq(post('{"rules":[{"latency":1}]}').status, 201)
  local bad = post "status=503,rat=1"
  t.eq(bad.status, 400)
  t.ok(bad:json().message:find "unknown key 'rat'")
  t.eq(assert(api("GET", f.indexes)).status, 503)
  local rules = assert(call("GET", "/__sim/faults")):json().rules
  t.eq(#rules, 4)
  t.eq(rules[1].fired, 1)
  t.eq(assert(call("DELETE", "/__sim/faults?id=2")):json(), { removed = 1 })
  t.eq(assert(call("DELETE", "/__sim/faults")):json(), { removed = 3 })
  t.eq(assert(api("GET", f.indexes)).status, 200)
  t.eq(assert(call("GET", "/__sim/nothing")).status, 404)
  t.eq(assert(call("PUT", "/__sim/state")).status, 405)
  t.ok(server)
end)

t.test("faults come from a file too", function()
  local path = "build/test_sim_faults.json"
  t.ok(fs.write(path, '{"rules":["status=503,times=1,method=PUT"]}'))
  local server <close>, api = f.start { faults = assert(sim.read_faults(path)) }
  t.ok(fs.remove(path))
  t.eq(f.put(api, "a").status, 503)
  t.eq(f.put(api, "a").status, 201)
  t.ok(server)
  t.fails("not_found", sim.read_faults "/nonexistent/faults.json")
end)

t.test("it shows what it holds and counts what it got", function()
  local server <close>, api, call = f.start()
  local id = { ["X-Genesys-Request-Id"] = "r1" }
  t.eq(f.put(api, "a", id).status, 201)
  t.eq(f.put(api, "a", id).status, 409)
  t.eq(f.put(api, "b").status, 201)
  local state = assert(call("GET", "/__sim/state")):json()
  t.eq(state.indexes.store.a.configuration, f.config "a")
  t.eq(state.oauth.minted, 1)
  t.eq(state.seed, 1)
  t.eq(state, json.decode(json.encode(server:state())))
  local stats = assert(call("GET", "/__sim/stats")):json()
  t.eq(stats.requests, 4)
  t.eq(stats.duplicates, { by_id = 1, by_body = 1 })
  t.eq(stats.routes["PUT /api/v2/ai/vectorstores/{vectorStoreId}/indexes/{indexId}"],
    { count = 3, statuses = { ["201"] = 2, ["409"] = 1 } })
  t.eq(stats.statuses, { ["200"] = 1, ["201"] = 2, ["409"] = 1 })
  t.eq(#stats.last, 4)
  t.eq(stats.last[1].body, nil, "the token request's body is nobody's business")
  t.eq(json.decode(stats.last[2].body), f.config "a")
  t.eq(stats.last[3].duplicate_id, true)
  t.ok(not json.encode(stats):find "Bearer")

  t.eq(assert(call("POST", "/__sim/reset")).status, 204)
  t.eq(server:stats().requests, 0)
  t.eq(server:state().indexes, {})
  t.eq(assert(api("GET", f.indexes)).status, 401, "tokens are gone too")
  f.mint(server, call)
  t.eq(assert(call("POST", "/__sim/expire-tokens")).status, 204)
  t.eq(server:state().oauth.live, 0)
end)

t.test("the last requests are kept, not all", function()
  local server <close>, api = f.start { rate_limit = 0 }
  for i = 1, 1010 do assert(api("GET", f.indexes .. "?pageNumber=" .. i)) end
  local stats = server:stats()
  t.eq(stats.requests, 1011)
  t.eq(#stats.last, 1000)
  t.eq(stats.last[1000].path, f.indexes .. "?pageNumber=1010")
  t.eq(stats.last[1].path, f.indexes .. "?pageNumber=11")
end)

-- A receiver of webhooks that answers with the statuses given, then 204.
local function receiver(statuses)
  local got = {}
  local server = assert(httpd.serve { handler = function(req)
    got[#got + 1] = req
    return { status = statuses[#got] or 204 }
  end })
  return server, got
end

t.test("a write sends its event, signed", function()
  local hook <close>, got = receiver {}
  local server <close>, api = f.start()
  local res = f.put(api, "a", nil, { webhookSyncUrl = hook.url .. "/sync?x=1" })
  t.ok(server:settle())
  t.eq(#got, 1)
  t.eq(got[1].target, "/sync?x=1")
  t.ok(webhook.verify { secret = server.webhook_secret, headers = got[1].headers, body = got[1].body })
  t.fails("verify", webhook.verify {
    secret = server.webhook_secret, headers = got[1].headers, body = got[1].body .. " ",
  })
  local event = got[1]:json()
  t.eq(event.type, "index.synced")
  t.eq(event.data, { indexId = "a", vectorStoreId = "store", status = "active", syncEventId = res:json().syncEventId })
  local delivery = server:state().webhooks[1]
  t.eq(delivery.status, "delivered")
  t.eq(delivery.attempts, 1)
  t.eq(f.put(api, "b", { ["If-Match"] = '"x"' }, { webhookSyncUrl = hook.url }).status, 412)
  t.ok(server:settle())
  t.eq(#got, 1, "a refused write sends nothing")
end)

t.test("a delivery is tried again, with the same id", function()
  local hook <close>, got = receiver { 500 }
  local server <close>, api = f.start { webhook_secret = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=" }
  f.put(api, "a", nil, { webhookSyncUrl = hook.url })
  t.ok(server:settle())
  t.eq(#got, 2)
  t.eq(got[1].headers["webhook-id"], got[2].headers["webhook-id"])
  t.eq(server:state().webhooks[1].attempts, 2)
  t.ok(webhook.verify {
    secret = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=", headers = got[2].headers, body = got[2].body,
  })
end)

t.test("it does not call out", function()
  local server <close>, api = f.start()
  for i, url in ipairs {
    "https://example.com/hook", "http://127.0.0.1.example.com/", "http://localhost.example.com/", "http://10.0.0.1/",
    "http://127.0.0.1@example.com/", "http://[::2]/",
  } do
    t.eq(f.put(api, "i" .. i, nil, { webhookSyncUrl = url }).status, 201)
    t.eq(server:state().webhooks[i].status, "not delivered: not loopback", url)
  end
  t.ok(server:settle(0))
end)

t.test("ingestion starts where it is asked for", function()
  local server <close>, api = f.start { ingest = 0.05 }
  f.put(api, "a", nil, { autoIngestTrigger = true })
  f.put(api, "b", nil, { autoIngestTrigger = false })
  t.eq(server:state().indexes.store.a.ingestion, { trigger = "autoIngestTrigger", status = "running" })
  t.eq(server:state().indexes.store.b.ingestion, nil)
  task.sleep(0.06)
  t.eq(server:state().indexes.store.a.ingestion.status, "completed")
end)

t.test("stop ends everything, once and again", function()
  local server, api = f.start { faults = { "latency=30,method=PUT" } }
  local put = task.spawn(f.put, api, "a")
  task.sleep(0.01)
  server:stop()
  t.eq(put:join().status, 201)
  server:stop()
  server:join()
  t.fails("connect", api("GET", f.indexes))
end)

t.test("/metrics counts requests, faults, webhooks and what is held", function()
  local server <close>, api = f.start()
  t.ok(server:fault "status=503,method=GET,times=1")
  t.eq(assert(api("GET", f.indexes)).status, 503)
  t.eq(f.put(api, "a").status, 201)
  local res = assert(http.get(server.url .. "/metrics"))
  t.eq(res.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
  for _, line in ipairs {
    'moongate_sim_requests_total{method="GET",route="/api/v2/ai/vectorstores/{vectorStoreId}/indexes",status="503"} 1',
    'moongate_sim_requests_total{method="POST",route="/oauth/token",status="200"} 1',
    'moongate_sim_faults_total{kind="status"} 1', 'moongate_sim_resources{kind="indexes"} 1',
    "moongate_sim_tokens_minted_total 1",
  } do
    t.ok(res.body:find(line .. "\n", 1, true), line .. " is not in\n" .. res.body)
  end
  t.eq(server:stats().requests, 3) -- a scrape is not one of them
end)
