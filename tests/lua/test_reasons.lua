-- The server's reason reaches whoever asks: scripts, the gateway module, a job's failure, the synthetic test, webhooks.
local t = require "moongate.test"
local fake = require "fake_gateway"
local gateway = require "moongate.gateway"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local model = require "moongate.model"
local webhooks = require "moongate.webhooks"

local function serve(answer)
  return assert(httpd.serve { handler = type(answer) == "function" and answer or function() return answer end })
end

local function open(server, opts)
  local all = {
    client = assert(http.client { base_url = server.url, retry = false }), audit = fake.audit(), leases = false,
  }
  for k, v in pairs(opts or {}) do all[k] = v end
  return gateway.open(all)
end

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  t.eq(ok, false)
  return err
end

t.test("an http error has message, details with their fields, code and body", function()
  local server <close> = serve { status = 422, json = { error = { code = "bad_size", details = json.array {
    { field = "size", description = "at most 9" }, { loc = json.array { "body", "name" }, msg = "is missing" } } } } }
  local _, err = http.post(server.url .. "/things/7", { body = "{}" })
  t.eq({ err.status, err.gateway_code, err.method, err.path }, { 422, "bad_size", "POST", "/things/7" })
  t.eq({ err.details[1].field, err.details[1].message }, { "size", "at most 9" })
  t.eq({ err.details[2].field, err.details[2].message }, { "body.name", "is missing" })
  t.ok(err.body:find("bad_size", 1, true))
  t.eq(err.hint, "Fix the fields listed above.")
end)

t.test("a body in no known form is shown as text, and no fields are spoken of", function()
  local plain = { ["Content-Type"] = "text/plain" }
  local server <close> = serve { status = 400, body = "no such \27[31mthing\255", headers = plain }
  local _, err = http.get(server.url)
  t.eq(err.message, "answered 400 bad request: no such \\x1b[31mthing\u{fffd}")
  t.eq(err.hint, nil)
end)

t.test("the body in an error is bounded", function()
  local server <close> = serve { status = 500, body = ("y"):rep(200000) }
  local _, err = http.post(server.url, { body = "x" })
  t.eq(#err.body, 64 << 10)
  t.ok(#err.message < 1000)
end)

t.test("a redirect names where it leads, without its query", function()
  local server <close> = serve { status = 307, headers = { Location = "https://sso.example.com/in?t=1" }, body = "" }
  local err = raised(function() open(server):get("registered_model", { modelId = "m/1" }) end)
  t.ok(err.message:find("redirects are not followed to https://sso.example.com/in?…", 1, true), err.message)
  t.eq({ err.method, err.path }, { "GET", "/api/v2/ai/models/m%2F1" })
  local _, why = webhooks.send { url = server.url, event = "e", data = {}, deadline = 1 }
  t.ok(why.message:find("to https://sso.example.com/in?…", 1, true), why.message)
end)

t.test("a receiver's reason is told, with its fields", function()
  local server <close> = serve { status = 400, json = { errors = { { field = "sig", message = "is old" } } } }
  local _, err = webhooks.send { url = server.url, event = "e", data = {}, deadline = 1 }
  t.ok(err.message:find("answered 400 bad request (sig: is old)", 1, true), err.message)
end)

t.test("the login host's reason is told, with its fields", function()
  local auth = require "moongate.auth"
  local server <close> = serve { status = 400, json = { errors = { { field = "grant", message = "is not allowed" } } } }
  local _, err = auth.token(auth.client_credentials {
    client_id = "id", client_secret = "not-a-real-secret", login_url = server.url, origin = server.url,
  })
  t.ok(err.message:find("status 400: grant: is not allowed", 1, true), err.message)
end)

t.test("a 403 that says something else is not told as a missing scope", function()
  local words
  local server <close> = serve(function() return { status = 403, json = { message = words } } end)
  local gw = open(server)
  for said, scope in pairs { ["Model is restricted to the EU"] = false, ["Forbidden"] = true, ["lacks scope x"] = true,
    ["You do not have permission"] = true, ["Quota of the tenant is used up"] = false } do
    words = said
    local err = raised(function() gw:get("registered_model", { modelId = "m" }) end)
    t.eq(err.hint:find("ai:models:read", 1, true) ~= nil, scope, said)
    t.eq(err.hint:lower():find "scope" ~= nil, scope, said)
  end
end)

t.test("the audit log keeps the reason", function()
  local server <close> = serve { status = 400, json = { errors = { metric = { "is unknown" } } } }
  local audit = fake.audit()
  local gw = open(server, { audit = audit })
  raised(gw.put_path, gw, "/x", { a = 1 })
  t.eq(audit.lines[2].error_message, "answered 400 bad request (metric: is unknown)")
end)

t.test("a job's reason, whatever member it is in", function()
  local server <close> = serve { json = { id = "j", status = "FAILED", statusReason = "the endpoint is unreachable",
    errors = { "dns" } } }
  local gw = open(server)
  local err = raised(gw.poll, gw, "/jobs/{j}", { params = { j = "j" }, done = { "DONE" }, failed = { "FAILED" } })
  t.ok(err.message:find("the endpoint is unreachable", 1, true), err.message)
  t.eq(err.details[1].message, "dns")
end)

t.test("the synthetic test says why, and adjusts what the endpoint refuses", function()
  local seen = {}
  local server <close> = serve(function(req)
    local body = json.decode(req.body)
    seen[#seen + 1] = body
    if body.max_tokens then
      return { status = 400, json = { detail = "Unsupported parameter: max_tokens" } }
    elseif body.temperature then
      return { status = 422, json = { detail = json.array { { loc = json.array { "temperature" }, msg = "only 1" } } } }
    end
    return { json = { content = json.array { { type = "text", text = "VALIDATION_SUCCESS" } } } }
  end)
  local r = assert(model.test { endpoint = server.url, model = "m", samples = 2 })
  t.eq({ r.result, #seen, r.samples }, { "PASS", 4, 2 })
  t.eq(r.adjusted, json.array { "max_completion_tokens", "no temperature" })
  t.eq({ seen[4].max_tokens, seen[4].max_completion_tokens, seen[4].temperature }, { nil, 2048, nil })
  local broken <close> = serve { status = 404, json = { message = "no deployment x" } }
  r = assert(model.test { endpoint = broken.url, model = "m" })
  t.ok(r.reasons[1]:find("answered 404: no deployment x", 1, true), r.reasons[1])
end)

t.test("a reply that was cut off while the model thought is asked for again", function()
  local server <close> = serve(function(req)
    local limit = json.decode(req.body).max_tokens
    local reply = limit and limit < 1000 and "" or "VALIDATION_SUCCESS"
    local reason = reply == "" and "length" or "stop"
    return { json = { choices = json.array { { message = { content = reply }, finish_reason = reason } } } }
  end)
  local r = assert(model.test { endpoint = server.url, model = "m" })
  t.eq({ r.result, r.adjusted }, { "PASS", json.array { "max_tokens" } })
end)
