-- httpd as a script sees it: requests, answers, faults, errors, the end of a server.
local httpd = require "moongate.httpd"
local http = require "moongate.http"
local plain_client = require "plain_client"
local t = require "moongate.test"
local task = require "moongate.task"

-- A server with that handler, and a call(method, path, opts) to it.
local function serve(handler, opts)
  local o = { handler = handler }
  for name, value in pairs(opts or {}) do o[name] = value end
  local server = assert(httpd.serve(o))
  return server, plain_client.new(server.url)
end

t.test("a request has what was sent", function()
  local seen
  local server <close>, call = serve(function(req)
    seen = req
    return { status = 201, headers = { ["X-A"] = "1", ["X-N"] = 2 }, json = { ok = true } }
  end)
  t.eq(server.url, "http://127.0.0.1:" .. server.port)
  local target = "/a%2Fb?x=1%202&y=&x=3&z=a%26b"
  local res = assert(call("PUT", target, { json = { n = 1 }, headers = { ["X-Mixed"] = "v" } }))
  t.eq(res.status, 201)
  t.eq(res.headers["x-a"], "1")
  t.eq(res.headers["X-N"], "2")
  t.eq(res.headers["content-type"], "application/json")
  t.eq(res:json(), { ok = true })
  t.eq(seen.method, "PUT")
  t.eq(seen.path, "/a%2Fb")
  t.eq(seen.target, target)
  t.eq(seen.query, { x = "3", y = "", z = "a&b" })
  t.eq(seen.headers["x-mixed"], "v")
  t.eq(seen.headers["X-MIXED"], "v")
  t.eq(seen.headers["X-None"], nil)
  t.eq(seen.remote, "127.0.0.1")
  t.eq(math.type(seen.remote_port), "integer")
  t.eq(seen.body, '{"n":1}')
  t.eq(seen:json(), { n = 1 })
end)

t.test("a body that is no JSON is an error of req:json", function()
  local err
  local server <close>, call = serve(function(req)
    local _
    _, err = req:json()
  end)
  t.eq(assert(call("POST", "/", { body = "{" })).status, 204)
  t.eq(err.code, "parse")
  t.ok(server)
end)

t.test("answers take three forms", function()
  local server <close>, call = serve(function(req)
    if req.path == "/text" then return "hello" end
    if req.path == "/nil" then return nil end
    return { body = "<p>", headers = { ["content-type"] = "text/html" } }
  end)
  local res = assert(call("GET", "/text"))
  t.eq(res.status, 200)
  t.eq(res.body, "hello")
  t.eq(res.headers["content-type"], "text/plain; charset=utf-8")
  t.eq(assert(call("GET", "/nil")).status, 204)
  t.eq(assert(call("GET", "/html")).headers["content-type"], "text/html")
  t.ok(server)
end)

t.test("every byte of a body comes through, both ways", function()
  local server <close>, call = serve(function(req) return { body = req.body } end)
  local bytes = {}
  for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
  local body = table.concat(bytes):rep(4096)
  local res = assert(call("POST", "/", { body = body }))
  t.ok(res.body == body)
  t.eq(assert(call("POST", "/", { body = "" })).body, "")
  t.ok(server)
end)

t.test("handlers wait side by side", function()
  local running, most = 0, 0
  local server <close>, call = serve(function()
    running = running + 1
    most = math.max(most, running)
    task.sleep(0.02)
    running = running - 1
    return "done"
  end)
  local list = {}
  for i = 1, 20 do list[i] = i end
  local results = assert(task.map(list, 20, function() return assert(call("GET", "/")).body end))
  t.eq(#results, 20)
  t.ok(most > 10, "at most " .. most .. " at once")
  t.ok(server)
end)

t.test("an error in a handler is a 500, and the server goes on", function()
  local server <close>, call = serve(function(req)
    if req.path == "/raise" then error "with a secret inside" end
    if req.path == "/object" then error { code = 1 } end
    if req.path == "/type" then return 7 end
    if req.path == "/name" then return { stauts = 200 } end
    if req.path == "/status" then return { status = 700 } end
    if req.path == "/split" then return { headers = { ["X-A"] = "1\r\nX-B: 2" } } end
    if req.path == "/header" then return { headers = { ["X A"] = "1" } } end
    if req.path == "/both" then return { json = 1, body = "x" } end
    if req.path == "/json" then return { json = { f = print } } end
    if req.path == "/drip" then return { body = "x", drip = { bytes = 0, interval = 1 } } end
    task.yield()
    return "fine"
  end)
  for _, path in ipairs { "raise", "object", "type", "name", "status", "split", "header", "both", "json", "drip" } do
    local res = assert(call("GET", "/" .. path))
    t.eq(res.status, 500, path)
    t.eq(res:json(), { code = "internal.server.error", message = "the handler failed", status = 500 })
    t.eq(res.headers["X-B"], nil)
  end
  t.eq(assert(call("GET", "/")).body, "fine")
  t.ok(server)
end)

t.test("accept decides before the body is read", function()
  local handled = 0
  local server <close>, call = serve(function(req)
    handled = handled + 1
    return req.note .. req.body
  end, {
    accept = function(req)
      t.eq(req.body, nil)
      if req.path == "/close" then return "close" end
      if req.path == "/no" then return { status = 403 } end
      if req.path == "/bad" then return "what" end
      req.note = "noted "
      task.yield()
    end,
  })
  t.eq(assert(call("POST", "/", { body = "b" })).body, "noted b")
  t.eq(assert(call("GET", "/")).body, "noted ")
  t.eq(assert(call("POST", "/no", { body = "b" })).status, 403)
  t.eq(assert(call("POST", "/bad", { body = "b" })).status, 500)
  t.fails("unknown_outcome", call("POST", "/close", { body = "b" }))
  t.eq(handled, 2)
  t.ok(server)
end)

t.test("faults: no answer, half an answer, a slow one", function()
  local server <close>, call = serve(function(req)
    if req.path == "/close" then return { close = true } end
    if req.path == "/half" then return { body = "0123456789", truncate = 5 } end
    return { body = "0123456789", drip = { bytes = 4, interval = 0.01 } }
  end)
  t.fails("unknown_outcome", call("POST", "/close", { body = "x" }))
  t.fails("unknown_outcome", call("POST", "/half", { body = "x" }))
  t.eq(assert(call("GET", "/drip")).body, "0123456789")
  t.ok(server)
end)

t.test("a body beyond max_body is refused", function()
  local server <close>, call = serve(function() return "ok" end, { max_body = 10 })
  t.eq(assert(call("POST", "/", { body = ("x"):rep(10) })).status, 200)
  t.eq(assert(call("POST", "/", { body = ("x"):rep(11) })).status, 413)
  t.ok(server)
end)

t.test("stop lets answers out and refuses new requests", function()
  local server, call = serve(function()
    task.sleep(0.05)
    return "late"
  end)
  local caller = task.spawn(function() return assert(call("GET", "/")).body end)
  while server.live == 0 do task.sleep(0.001) end
  server:stop()
  t.eq(caller:join(), "late")
  t.fails("connect", call("GET", "/"))
  server:stop()
  server:join()
  server:close()
  t.eq(server.live, 0)
  t.ok(tostring(server):find "closed")
end)

t.test("stop waits no longer than it is told", function()
  local ended = false
  local server, call = serve(function()
    local _ <close> = setmetatable({}, { __close = function() ended = true end })
    task.sleep(1000)
  end)
  local caller = task.spawn(function() return call("GET", "/") end)
  while server.live == 0 do task.sleep(0.001) end
  server:stop(0.01)
  t.fails("network", caller:join())
  t.ok(ended, "the handler's task was closed")
end)

t.test("a client that leaves does not end the handler", function()
  local done = false
  local server <close>, call = serve(function()
    task.sleep(0.05)
    done = true
    return "nobody hears it"
  end)
  t.fails("timeout", call("GET", "/", { deadline = 0.02 }))
  for _ = 1, 100 do
    if done and server.live == 0 then break end
    task.sleep(0.005)
  end
  t.ok(done)
  t.eq(server.live, 0)
end)

t.test("a server ends with the task that made it", function()
  local url
  local maker = task.spawn(function()
    local server = assert(httpd.serve { handler = function() return "x" end })
    url = server.url
    task.sleep(1000)
  end)
  while not url do task.yield() end
  local call = plain_client.new(url)
  t.eq(assert(call("GET", "/")).status, 200)
  maker:cancel()
  maker:join()
  t.fails("connect", call("GET", "/"))
end)

t.test("options are checked", function()
  local function handler() end
  t.raises(httpd.serve, "handler: a function", {})
  t.raises(httpd.serve, "unknown option 'prot'", { handler = handler, prot = 1 })
  t.raises(httpd.serve, "port: an integer in 0..65535", { handler = handler, port = 65536 })
  t.raises(httpd.serve, "port: an integer", { handler = handler, port = "x" })
  t.raises(httpd.serve, "tls: a table", { handler = handler, tls = "x" })
  t.raises(httpd.serve, "cert and key", { handler = handler, tls = { cert = "x" } })
  t.raises(httpd.serve, "accept: a function", { handler = handler, accept = 1 })
  t.fails("invalid", httpd.serve { handler = handler, host = "example.com" })
  t.fails("not_found", httpd.serve { handler = handler, tls = { cert = "/nonexistent/c", key = "/nonexistent/k" } })
  local pem = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
  t.fails("invalid", httpd.serve { handler = handler, tls = { cert = pem, key = pem } })
  local server <close> = assert(httpd.serve { handler = handler })
  t.ok(t.fails("connect", httpd.serve { handler = handler, port = server.port }).message:find "in use")
end)

t.test("the loopback of IPv6 works", function()
  local server <close> = assert(httpd.serve { host = "::1", handler = function(req) return req.remote end })
  t.eq(server.url, "http://[::1]:" .. server.port)
  t.eq(assert(http.get(server.url .. "/")).body, "::1")
end)

t.test("percent-encoding and forms are undone", function()
  t.eq(httpd.unescape "a%2Fb+c%00", "a/b+c\0")
  t.eq(httpd.unescape "%", nil)
  t.eq(httpd.unescape "%4", nil)
  t.eq(httpd.unescape "%zz", nil)
  t.eq(httpd.parse_query "a=b+c&d=%26&e&=x&f==", { a = "b c", d = "&", e = "", f = "=" })
  t.eq(httpd.parse_query "a=%zz", { a = "%zz" })
  t.eq(httpd.parse_query "", {})
end)
