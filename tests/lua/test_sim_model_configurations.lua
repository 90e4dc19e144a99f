-- The simulated gateway's model configurations: ETags, preconditions, and what the capabilities allow.
local f = require "sim_fixture"
local json = require "moongate.json"
local t = require "moongate.test"
local task = require "moongate.task"

local SMALL = "5a3e1a00-0000-4000-8000-000000000001"
local STRICT = "5a3e1a00-0000-4000-8000-000000000003"

local function path(id) return "/api/v2/ai/models/" .. id .. "/configuration" end

local function configuration(id, changes)
  local c = {
    model_id = id, temperature_matrix = { default = 0.5, creative = 1.2, precise = 0.1 }, max_tokens = 2048,
    safety_filters = json.array { { filter_type = "pii", action = "redact", threshold = 80 } },
  }
  for k, v in pairs(changes or {}) do c[k] = v end
  return c
end

local function put(api, id, headers, changes)
  return assert(api("PUT", path(id), { headers = headers, json = configuration(id, changes) }))
end

t.test("a configuration is read, replaced with its ETag, and read as applied", function()
  local server <close>, api = f.start()
  local read = api("GET", path(SMALL))
  t.eq({ read.status, read:json().max_tokens }, { 200, 1024 })
  local res = put(api, SMALL, { ["If-Match"] = read.headers.etag })
  t.eq(res.status, 200)
  t.eq(res:json(), configuration(SMALL, { compliance_mode = "standard" }))
  t.ok(res.headers.etag ~= read.headers.etag)
  t.eq(api("GET", path(SMALL)).headers.etag, res.headers.etag)
  t.eq(server:state().model_configurations[SMALL].version, 2)
end)

t.test("preconditions: 412 stale, 409 missing, 412 where one exists; a first one needs none", function()
  local server <close>, api = f.start()
  t.eq(put(api, SMALL, { ["If-Match"] = '"0-old"' }).status, 412)
  t.eq(put(api, SMALL).status, 409)
  t.eq(put(api, SMALL, { ["If-None-Match"] = "*" }).status, 412)
  t.eq(api("GET", path(STRICT)).status, 404)
  t.eq(put(api, STRICT, { ["If-Match"] = "*" }).status, 412)
  t.eq(put(api, STRICT, { ["If-None-Match"] = "*" }).status, 200)
  t.eq(api("GET", path(STRICT)).status, 200)
  t.eq(api("GET", path "none").status, 404)
  t.eq(put(api, "none").status, 404)
  t.ok(server)
end)

t.test("422 names every fault, those against the capabilities too", function()
  local server <close>, api = f.start()
  local res = put(api, STRICT, nil, {
    max_tokens = 9000, compliance_mode = "loose", more = 1,
    safety_filters = json.array {
      { filter_type = "pii", action = "block", threshold = 1 },
      { filter_type = "political", action = "block", threshold = 1 },
    },
  })
  t.eq(res.status, 422)
  local fields = {}
  for _, detail in ipairs(res:json().details) do fields[detail.fieldName .. " " .. detail.errorCode] = true end
  t.eq(fields, {
    ["max_tokens maximum"] = true, ["max_tokens context.window"] = true, ["compliance_mode enum"] = true,
    ["more additionalProperties"] = true, ["safety_filters.1.action filter.restricted"] = true,
  })
  res = assert(api("PUT", path(SMALL), { json = configuration(STRICT) }))
  t.eq(res:json().details[1].fieldName, "model_id")
  res = put(api, SMALL, nil, { max_tokens = 4097 })
  t.eq(res:json().details[1].errorCode, "context.window")
  t.eq(server:state().model_configurations[STRICT], nil)
end)

t.test("busy for a while after a write", function()
  local server <close>, api = f.start { busy = 0.1 }
  local etag = put(api, SMALL, { ["If-Match"] = api("GET", path(SMALL)).headers.etag }).headers.etag
  local res = put(api, SMALL, { ["If-Match"] = etag })
  t.eq({ res.status, res:json().code, res.headers["retry-after"] }, { 409, "model.busy", "1" })
  task.sleep(0.12)
  t.eq(put(api, SMALL, { ["If-Match"] = etag }).status, 200)
  t.ok(server)
end)
