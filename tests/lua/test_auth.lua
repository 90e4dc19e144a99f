-- What a script sees of auth. The token's life is tested in C.
local t = require "moongate.test"
local auth = require "moongate.auth"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local task = require "moongate.task"
local time = require "moongate.time"

-- A login host and API in one, which counts.
local function gateway(state)
  local server = assert(httpd.serve { handler = function(req)
    if req.path == "/oauth/token" then
      state.mints = (state.mints or 0) + 1
      state.basic, state.form = req.headers["authorization"], req.body
      task.sleep(0.01)
      if state.refuse then return { status = 400, json = { error = state.refuse } } end
      state.token = "token-" .. state.mints
      return { json = { access_token = state.token, token_type = "bearer", expires_in = 3600 } }
    end
    if req.headers["authorization"] ~= "Bearer " .. tostring(state.token) then
      state.rejected = (state.rejected or 0) + 1
      return { status = 401, json = { message = "no" } }
    end
    state.calls = (state.calls or 0) + 1
    return { json = {} }
  end })
  local handle = assert(auth.client_credentials {
    client_id = "id", client_secret = "canary", login_url = server.url, origin = server.url,
  })
  return server, handle, assert(http.client { base_url = server.url, auth = handle })
end

local function at_once(n, fn)
  local list = {}
  for i = 1, n do list[i] = fn end
  return assert(task.all(list))
end

t.test("two hundred tasks without a token: one token request", function()
  local state = {}
  local _, handle, client = gateway(state)
  at_once(200, function() return client:post("/x", { json = {} }) end)
  t.eq(state.mints, 1)
  t.eq(state.calls, 200)
  t.eq(state.rejected, nil)
  t.eq(state.form, "grant_type=client_credentials")
  t.eq(state.basic, "Basic aWQ6Y2FuYXJ5")
  local token = assert(auth.token(handle))
  t.eq(token.source, "client_credentials")
  t.ok(token.expires_at > time.now() + 3500)
  state.token = "revoked"
  at_once(200, function() return client:post("/x", { json = {} }) end)
  t.eq(state.mints, 2)
  t.eq(state.calls, 400)
  t.ok(state.rejected <= 200)
end)

t.test("auth.token mints, and says what went wrong", function()
  local state = { refuse = "invalid_client" }
  local _, handle, client = gateway(state)
  local _, err = auth.token(handle)
  t.eq(err.code, "unauthorized")
  t.ok(err.message:find "region")
  t.ok(not tostring(err):find "canary")
  _, err = client:get("/x")
  t.eq(err.code, "unauthorized")
  t.eq(err.outcome, "not_sent")
  t.eq(state.calls, nil)
  state.refuse = nil
  t.ok(auth.token(handle))
  t.eq(auth.token(assert(auth.bearer("x", "https://a.test"))).source, "given")
end)

t.test("a handle shows nothing", function()
  local handle = assert(auth.bearer("canary", "https://A.test:443/x"))
  t.eq(tostring(handle), "credential for https://a.test (***)")
  t.eq(getmetatable(handle), "moongate.auth")
  t.raises(function() return handle.token end, "index")
  t.fails("invalid", auth.bearer("a\nb", "https://a.test"))
  t.fails("invalid", auth.bearer("ab", "a.test"))
  t.raises(function() auth.bearer({}, "https://a.test") end, "secret")
  t.raises(function() auth.client_credentials { client_id = "x" } end, "login_url")
  t.raises(function() auth.client_credentials { bogus = 1 } end, "bogus")
end)

t.test("a task that ends while it waits for a token", function()
  local _, handle = gateway({})
  local waiting = task.spawn(function() return auth.token(handle) end)
  task.sleep(0.002)
  waiting:cancel()
  t.ok(auth.token(handle))
end)

t.test("info", function()
  local info = auth.info()
  t.eq(type(info.source), "table")
  t.eq(type(info.api_url), "string")
end)
