-- What a script sees of http: options, answers, errors, ends of tasks. The retry loop itself is tested in C.
local t = require "moongate.test"
local auth = require "moongate.auth"
local errors = require "moongate.error"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local secret = require "moongate.secret"
local task = require "moongate.task"

-- A server for the test, and a client of it.
local function serve(handler, opts)
  local server = assert(httpd.serve { handler = handler })
  local all = { base_url = server.url }
  for k, v in pairs(opts or {}) do all[k] = v end
  return server, assert(http.client(all))
end

local function echo(req)
  return { headers = { ["X-Answer"] = "yes", ["inin-correlation-id"] = "c-1" }, json = {
    method = req.method, target = req.target, body = req.body, type = req.headers["content-type"] or json.null,
    key = req.headers["idempotency-key"] or json.null, one = req.headers["x-one"] or json.null,
    accept = req.headers["accept"] or json.null, agent = req.headers["user-agent"],
  } }
end

t.test("an answer", function()
  local _, client = serve(echo)
  local r = assert(client:get("/a"))
  t.eq(r.status, 200)
  t.eq(r.headers["x-answer"], "yes")
  t.eq(r.headers["X-ANSWER"], "yes")
  t.eq(r.headers["absent"], nil)
  t.eq(r.correlation_id, "c-1")
  t.eq(r.outcome, "final")
  t.ok(r.elapsed > 0)
  t.eq(#r.attempts, 1)
  t.eq(r.attempts[1].status, 200)
  t.eq(r.attempts[1].class, "none")
  t.eq(json.decode(r.body).target, "/a")
  t.eq(r:json().method, "GET")
  t.eq(r.nonsense, nil)
  t.eq(tostring(r), "http response (200)")
  t.ok(r:json().agent:find "^moongate/")
end)

t.test("an answer that is closed", function()
  local _, client = serve(echo)
  local r = assert(client:get "/a")
  r:close()
  r:close()
  t.eq({ r.status, r.body, r.tries }, {})
  t.raises(function() r:json() end, "the response is closed")
  t.eq(tostring(r), "http response (closed)")
  t.eq(assert(client:get "/b"):json().target, "/b")
end)

t.test("a URL whose host or port can't be is refused as such", function()
  for _, authority in ipairs {
    "localhost:0", "localhost:65536", "localhost:-2", "localhost:http", "localhost:99999999999999999999",
    "[::1", "[::1]x:3", "[]", "[12345::]", "::1:80", ":80", "a]b", "a%20b", "a,b", "*.localhost",
  } do
    local err = t.fails("invalid", http.get("http://" .. authority .. "/x"))
    t.ok(err.message:find("no usable host and port", 1, true), authority .. ": " .. err.message)
  end
end)

t.test("paths, parameters and queries are percent-encoded", function()
  local _, client = serve(echo)
  local function target(opts) return assert(client:request(opts)):json().target end
  t.eq(target { path = "/x/{a}/{b}", params = { a = "b/c d", b = 7 } }, "/x/b%2Fc%20d/7")
  t.eq(target { path = "/x", query = { q = "a&b=c", b = true, a = { 1, "ü" } } }, "/x?a=1&a=%C3%BC&b=true&q=a%26b%3Dc")
  t.eq(target { path = "/x?y=1", query = { z = 2 } }, "/x?y=1&z=2")
  t.eq(target { path = "/a/../b" }, "/a/../b")
  t.fails("invalid", client:get("/x/{a}", { params = { a = "" } }))
  t.fails("invalid", client:get("/x/{a}", { params = { a = ".." } }))
  t.fails("invalid", client:get("/x/{a}"))
  t.fails("invalid", client:get("/x y"))
  t.fails("invalid", client:get("/x\r\nHost: evil"))
  t.raises(function() client:get("/x/{a}", { params = { b = 1 } }) end, "parameter 'a'")
end)

t.test("bodies", function()
  local _, client = serve(echo)
  local got = assert(client:post("/", { json = { b = json.array {}, a = 1 } })):json()
  t.eq(got.body, '{"a":1,"b":[]}')
  t.eq(got.type, "application/json")
  got = assert(client:put("/", { body = "a\0b", headers = { ["Content-Type"] = "text/x" } })):json()
  t.eq(got.body, "a\0b")
  t.eq(got.type, "text/x")
  got = assert(client:post("/", { json = json.null })):json()
  t.eq(got.body, "null")
  t.eq(assert(client:delete("/")):json().method, "DELETE")
  t.eq(assert(client:patch("/", { body = "" })):json().method, "PATCH")
  t.fails("range", client:post("/", { json = { 2 ^ 53 | 0 } }))
  t.fails("invalid", client:post("/", { json = { f = print } }))
  t.raises(function() client:post("/", { json = 1, body = "x" }) end, "exclude")
end)

t.test("headers", function()
  local _, client = serve(echo, { headers = { ["X-One"] = "constant", Accept = "text/plain" } })
  local got = assert(client:get("/")):json()
  t.eq(got.one, "constant")
  t.eq(got.accept, "text/plain")
  t.eq(assert(client:post("/", { body = "", idempotency_key = "k" })):json().key, "k")
  t.fails("invalid", client:get("/", { headers = { ["X-One"] = "a\r\nEvil: 1" } }))
  t.fails("invalid", client:get("/", { headers = { ["X One"] = "a" } }))
  t.fails("invalid", client:get("/", { headers = { ["X-One"] = "a\0b" } }))
  t.fails("invalid", client:get("/", { headers = { ["Content-Length"] = "1" } }))
  t.raises(function() client:get("/", { headers = { ["X-One"] = true } }) end, "X%-One")
  t.raises(function() http.client { headers = { "x" } } end, "headers")
end)

t.test("a caller's mistake raises", function()
  local _, client = serve(echo)
  t.raises(function() client:get("/", { bogus = 1 }) end, "unknown option 'bogus'")
  t.raises(function() client:get("/", { [1] = 1 }) end, "unknown option")
  t.raises(function() client:get(7) end, "string expected")
  t.raises(function() client:get("/", 7) end, "table expected")
  t.raises(function() client:request { path = "/", method = "FETCH" } end, "method")
  t.raises(function() client:request { path = "/", url = "http://x/" } end, "twice")
  t.raises(function() client:request { path = "/", deadline = 0 } end, "deadline")
  t.raises(function() client:request { path = "/", deadline = 0 / 0 } end, "deadline")
  t.raises(function() http.client { base = "x" } end, "unknown option 'base'")
  t.raises(function() http.client { retry = { max = 1001 } } end, "retry.max")
  t.raises(function() http.client { auth = "token" } end, "auth")
  t.fails("invalid", http.client { base_url = "ftp://x" })
  t.fails("invalid", http.client { base_url = "http://u:p@x" })
  client:close()
  t.raises(function() client:get("/") end, "closed")
end)

t.test("a status from 400 on is an error, unless it was expected", function()
  local _, client = serve(function(req)
    if req.path == "/plain" then return { status = 404, body = "<html>" } end
    return { status = 422, headers = { ["inin-correlation-id"] = "c-9" }, json = {
      message = "Not valid", code = "bad.request", status = 422, contextId = "c-9",
      details = { { errorCode = "out.of.range", fieldName = "dimensions" } },
    } }
  end)
  local r, err = client:put("/i?token=x", { json = {} })
  t.eq(r, nil)
  t.ok(errors.is(err))
  t.eq(err.code, "http")
  t.eq(err.status, 422)
  t.eq(err.message, "Not valid")
  t.eq(err.gateway_code, "bad.request")
  t.eq(err.details[1].field, "dimensions")
  t.eq(err.details[1].code, "out.of.range")
  t.eq(err.correlation_id, "c-9")
  t.eq(err.method, "PUT")
  t.eq(err.path, "/i")
  t.eq(err.attempts, 1)
  t.eq(err.outcome, "final")
  t.ok(err.hint)
  t.eq(assert(client:get("/", { ok_status = { 404, 422 } })).status, 422)
  r, err = client:get("/plain")
  t.eq(r, nil)
  t.eq(err.message, "answered 404 not found")
  t.ok(tostring(err):find("GET /plain", 1, true))
end)

t.test("a redirect is an answer", function()
  local _, client = serve(function() return { status = 302, headers = { Location = "http://127.0.0.1:1/" } } end)
  local r = assert(client:get("/"))
  t.eq(r.status, 302)
  t.eq(r.headers.location, "http://127.0.0.1:1/")
end)

t.test("an answer that is no JSON", function()
  local _, client = serve(function(req) return { body = req.path == "/empty" and "" or "{nope" } end)
  t.fails("parse", assert(client:get("/")):json())
  t.fails("parse", assert(client:get("/empty")):json())
end)

t.test("a lost POST is unknown, a lost PUT is sent again", function()
  local seen = { POST = 0, PUT = 0 }
  local _, client = serve(function(req)
    seen[req.method] = seen[req.method] + 1
    if seen[req.method] == 1 then return { close = true } end
    return { status = 412 }
  end, { retry = { base_ms = 1, cap_ms = 1 } })
  local r, err = client:post("/", { json = {} })
  t.eq(r, nil)
  t.eq(err.code, "unknown_outcome")
  t.eq(err.outcome, "unknown")
  t.eq(seen.POST, 1)
  r, err = client:put("/", { json = {}, headers = { ["If-Match"] = '"1"' } })
  t.eq(r, nil)
  t.eq(err.status, 412)
  t.eq(err.attempts, 2)
  t.ok(err.after_ambiguous)
  t.eq(err.attempt_list[1].class, "ambiguous")
  t.eq(seen.PUT, 2)
end)

t.test("nobody there", function()
  local client = assert(http.client { base_url = "http://127.0.0.1:1", retry = false })
  local _, err = client:post("/x", { json = {} })
  t.eq(err.code, "connect")
  t.eq(err.outcome, "not_sent")
  t.ok(err.message:find("127.0.0.1:1", 1, true))
  for _ = 1, 40 do client:get("/") end
  t.eq(http.breaker("http://127.0.0.1:1/any").state, "open")
  _, err = client:get("/")
  t.eq(err.code, "breaker_open")
  t.eq(err.attempts, 0)
end)

t.test("deadline", function()
  local _, client = serve(function() task.sleep(5) end)
  local _, err = client:get("/", { deadline = 0.1 })
  t.eq(err.code, "timeout")
end)

t.test("truncated, dripped and large answers", function()
  local _, client = serve(function(req)
    if req.path == "/cut" then return { body = ("x"):rep(1000), truncate = 10 } end
    if req.path == "/drip" then return { body = "slow", drip = { bytes = 1, interval = 0.005 } } end
    return { body = ("x"):rep(300000) }
  end, { retry = false })
  t.fails("network", client:get("/cut"))
  t.eq(assert(client:get("/drip")).body, "slow")
  t.eq(#assert(client:get("/large")).body, 300000)
  t.fails("too_large", client:get("/large", { max_body = 299999 }))
end)

t.test("the credential goes to its origin and nowhere else", function()
  local server = serve(function(req) return { json = { got = req.headers["authorization"] or "nothing" } } end)
  local handle = assert(auth.bearer("canary-token", server.url))
  t.eq(tostring(handle), "credential for " .. server.url .. " (***)")
  local client = assert(http.client { base_url = server.url, auth = handle })
  t.eq(assert(client:get("/")):json().got, "Bearer canary-token")
  t.eq(assert(client:request { url = "http://localhost:" .. server.port .. "/" }):json().got, "nothing")
  t.eq(assert(http.get(server.url .. "/")):json().got, "nothing")
  t.fails("invalid", client:get("/", { headers = { Authorization = "Bearer mine" } }))
  local key = assert(secret.random(32))
  t.ok(assert(http.get(server.url, { headers = { Authorization = key } })):json().got:find "^whsec_")
end)

t.test("a task that ends takes its call with it", function()
  local server, client = serve(function() task.sleep(60) end)
  local before = http.stats().live_calls
  local waiting = task.spawn(function() return client:get("/") end)
  task.sleep(0.02)
  t.eq(http.stats().live_calls, before + 1)
  waiting:cancel()
  task.sleep(0.01)
  t.eq(http.stats().live_calls, before)
  local r, err = task.timeout(0.02, function() return client:get("/") end)
  t.eq(r, nil)
  t.eq(err.code, "timeout")
  t.eq(http.stats().live_calls, before)
  server:stop()
end)

t.test("many at once, and few at once", function()
  local now, most = 0, 0
  local _, client = serve(function(req)
    now = now + 1
    most = math.max(most, now)
    task.yield()
    now = now - 1
    return { json = { n = req:json().n } }
  end, { concurrency = 5 })
  local list = {}
  for i = 1, 300 do list[i] = i end
  local got = assert(task.map(list, 100, function(n)
    return assert(client:post("/", { json = { n = n } })):json().n
  end))
  for i = 1, 300 do t.eq(got[i], i) end
  t.ok(most <= 5)
  collectgarbage()
end)

t.test("answers outlive their client, and are collected", function()
  local _, client = serve(function() return { body = ("y"):rep(100000) } end)
  local kept = {}
  for i = 1, 50 do kept[i] = assert(client:get("/")) end
  client:close()
  client = nil -- luacheck: ignore 311
  collectgarbage()
  for i = 1, 50 do t.eq(#kept[i].body, 100000) end
end)

t.test("a client's own headers take secrets, as a request's do", function()
  local seen
  local _, client = serve(function(req) seen = req.headers["x-api-key"] return {} end,
    { headers = { ["X-Api-Key"] = assert(secret.of "a-key-of-some-length") } })
  assert(client:get "/")
  t.eq(seen, "a-key-of-some-length")
  t.raises(function() http.client { headers = { ["X-Api-Key"] = {} } } end, "values strings or secrets")
end)
