-- The simulated gateway's prompt templates as a client meets them.
local f = require "sim_fixture"
local json = require "moongate.json"
local t = require "moongate.test"

local VERSIONS = "/api/v2/ai/prompt-templates/greeting/versions"
local ROLLBACK = "/api/v2/ai/prompt-templates/greeting/rollback"

local function version(number, changes)
  local v = {
    templateId = "greeting", version = number, content = "Hello {{name}} {{name}}", variables = { name = "string" },
    rollbackDirective = false,
  }
  for name, value in pairs(changes or {}) do v[name] = value end
  return v
end

local function post(api, number, changes, header)
  return assert(api("POST", VERSIONS, {
    json = version(number, changes), headers = header and { ["X-Genesys-AB-Test"] = header } or nil,
  }))
end

local function refused(res, status, code)
  t.eq({ res.status, res:json().code }, { status, code })
  return res:json().details
end

local function split(share, id)
  return { abTestingTrigger = { enabled = true, trafficPercent = share, variantId = id } }
end

local function statuses(api)
  local list = {}
  for i, v in ipairs(api("GET", VERSIONS):json().entities) do list[i] = v.version .. " " .. v.status end
  return list
end

t.test("versions are posted once, listed and read", function()
  local server <close>, api = f.start()
  refused(api("GET", VERSIONS), 404, "not.found")
  refused(api("GET", VERSIONS .. "/1.0.0"), 404, "not.found")
  local res = post(api, "1.0.0")
  t.eq({ res.status, res:json().status, res:json().rollbackDirective }, { 201, "LIVE", false })
  refused(post(api, "1.0.0"), 409, "version.exists")
  t.eq(post(api, "1.1.0", { content = "Hi {{name}}" }).status, 201)
  t.eq(statuses(api), { "1.0.0 RETIRED", "1.1.0 LIVE" })
  local got = api("GET", VERSIONS .. "/1.1.0"):json()
  t.ok(got.createdAt)
  got.createdAt, got.status = nil, nil
  t.eq(got, version("1.1.0", { content = "Hi {{name}}" }))
  t.eq(api("GET", VERSIONS .. "?pageSize=1"):json().pageCount, 2)
  t.eq(server:state().templates.greeting.live, "1.1.0")
end)

t.test("a split is a test beside the live version; the header says what the body says", function()
  local server <close>, api = f.start()
  t.eq(server:state().templates, {})
  post(api, "1.0.0")
  for _, header in ipairs { false, "variant=b,traffic=21", "variant=c,traffic=20", "variant=b,traffic=0.2" } do
    local details = refused(post(api, "1.1.0", split(0.2, "b"), header or nil), 422, "validation.failed")
    t.eq(details[1].fieldName, "X-Genesys-AB-Test")
  end
  refused(post(api, "1.1.0", nil, "variant=b,traffic=20"), 422, "validation.failed")
  t.eq(post(api, "1.1.0", split(0.2, "b"), "variant=b,traffic=20"):json().status, "TESTING")
  post(api, "1.2.0", split(0.29, "b"), "variant=b,traffic=29")
  post(api, "1.3.0", split(1, "c"), "variant=c,traffic=100")
  t.eq(statuses(api), { "1.0.0 LIVE", "1.1.0 RETIRED", "1.2.0 TESTING", "1.3.0 TESTING" })
end)

t.test("422 names every fault", function()
  local server <close>, api = f.start()
  local details = refused(post(api, "1.0", {
    templateId = "other", content = ("x"):rep(4097), variables = { a = json.array {} }, extra = 1,
  }), 422, "validation.failed")
  local fields = {}
  for _, d in ipairs(details) do fields[d.fieldName] = true end
  for _, name in ipairs { "templateId", "version", "content", "variables.a", "extra" } do t.ok(fields[name], name) end
  details = refused(post(api, "1.0.0", { content = "{{a}} {{b c}}" }), 422, "validation.failed")
  t.eq(#details, 3)
  t.eq(server:state().templates.greeting, nil)
end)

t.test("a promotion to all ends the test it came from, a rollback ends all of them", function()
  local _ <close>, api = f.start()
  local function tested(number, id, changes)
    local body = split(0.05, id)
    for k, v in pairs(changes or {}) do body[k] = v end
    t.eq(post(api, number, body, ("variant=%s,traffic=5"):format(id)).status, 201)
  end
  post(api, "1.0.0", { content = "One {{name}}" })
  tested("1.1.0-ramp.1", "a", { content = "Two {{name}}" })
  tested("1.2.0-ramp.1", "b", { content = "Three {{name}}" })
  tested("1.3.0-ramp.1", "c", { content = "Four {{name}}" })
  post(api, "1.1.0", { content = "Two {{name}}" })
  post(api, "1.2.0", { content = "Three, revised {{name}}", metadata = { rampOf = "1.2.0-ramp.1" } })
  t.eq(statuses(api), { "1.0.0 RETIRED", "1.1.0-ramp.1 RETIRED", "1.2.0-ramp.1 RETIRED", "1.3.0-ramp.1 TESTING",
    "1.1.0 RETIRED", "1.2.0 LIVE" })
  tested("1.4.0-ramp.1", "d", { content = "Five {{name}}" })
  post(api, "1.1.0", { content = "Two {{name}}", rollbackDirective = true })
  t.eq(statuses(api), { "1.0.0 RETIRED", "1.1.0-ramp.1 RETIRED", "1.2.0-ramp.1 RETIRED", "1.3.0-ramp.1 RETIRED",
    "1.1.0 LIVE", "1.2.0 ROLLED_BACK", "1.4.0-ramp.1 RETIRED" })
end)

t.test("a rollback makes a version live again and blocks promotions until it is deleted", function()
  local server <close>, api = f.start()
  refused(api("DELETE", ROLLBACK), 404, "rollback.not.active")
  post(api, "1.0.0")
  post(api, "1.1.0")
  local back = { rollbackDirective = true }
  refused(post(api, "9.0.0", back), 404, "not.found")
  refused(post(api, "1.0.0", { rollbackDirective = true, content = "Hi {{name}}" }), 422, "validation.failed")
  local res = post(api, "1.0.0", back)
  t.eq({ res.status, res:json().status, res:json().rollbackDirective }, { 201, "LIVE", true })
  t.eq(statuses(api), { "1.0.0 LIVE", "1.1.0 ROLLED_BACK" })
  refused(post(api, "1.2.0"), 409, "rollback.active")
  refused(post(api, "1.1.0", back), 409, "rollback.active")
  t.eq(api("DELETE", ROLLBACK).status, 204)
  t.eq(api("GET", VERSIONS .. "/1.0.0"):json().rollbackDirective, false)
  t.eq(post(api, "1.2.0").status, 201)
  server:reset()
end)

t.test("each call has its scope", function()
  local server <close>, _, call = f.start()
  local function status(method, path, scope, body)
    local api = f.with_token(call, f.mint(server, call, scope):json().access_token)
    return assert(api(method, path, { json = body })).status
  end
  t.eq(status("POST", VERSIONS, "ai:prompt-template:read", version "1.0.0"), 403)
  t.eq(status("POST", VERSIONS, "ai:prompt-template:write", version "1.0.0"), 201)
  t.eq(status("GET", VERSIONS, "ai:prompt-template:write"), 403)
  t.eq(status("GET", VERSIONS .. "/1.0.0", "ai:prompt-template:read"), 200)
  t.eq(status("DELETE", ROLLBACK, "ai:prompt-template:write"), 403)
  t.eq(status("DELETE", ROLLBACK, "ai:llm-gateway:manage"), 404)
end)
