-- templates: prompt templates and their versions. A version is posted once and never changed. Its status is
--   LIVE         it gets the traffic that no test takes: the last one promoted without a test
--   TESTING      it gets its share of the traffic (abTestingTrigger)
--   RETIRED      it was live, or tested under the same variant, before
--   ROLLED_BACK  it was live when a rollback took its place
-- Posting an existing version with rollbackDirective makes it live again and blocks promotions until the rollback is
-- deleted.
local checked = require "moongate.sim.checked"
local errors = require "moongate.sim.errors"
local host = require "moongate.host"
local json = require "moongate.json"
local page = require "moongate.sim.page"
local time = require "moongate.time"
local validate = require "moongate.validate"

local M = { name = "templates" }

local collection = "/api/v2/ai/prompt-templates/{templateId}/versions"
local item = collection .. "/{version}"
local rollback = "/api/v2/ai/prompt-templates/{templateId}/rollback"
local schema = assert(validate.compile(host.embedded "moongate/schemas/sim_template.json", { formats = true }))

function M.new()
  return { templates = {} } -- id -> {order = versions, oldest first; by_version; live; rollback = version | nil}
end

-- ---- what is told of a version ----

local BODY = { "templateId", "version", "content", "variables", "abTestingTrigger", "metadata" }

local function state(template, version)
  local s = { status = version.status, createdAt = version.created_at, rollbackDirective = false }
  for _, name in ipairs(BODY) do s[name] = version.body[name] end
  if template.rollback == version.body.version then s.rollbackDirective = true end
  return s
end

local function states(template)
  local list = {}
  for i, version in ipairs(template and template.order or {}) do list[i] = state(template, version) end
  return list
end

function M.count(self)
  local n = 0
  for _ in pairs(self.templates) do n = n + 1 end
  return n
end

function M.show(self)
  local shown = {}
  for id, template in pairs(self.templates) do
    shown[id] = { live = template.live, rollback = template.rollback, versions = json.array(states(template)) }
  end
  return shown
end

-- ---- reading ----

local function list(gw, call)
  local template = gw.templates.templates[call.params.templateId]
  if not template then
    return errors.response(call, 404, "not.found", ("Template %s not found."):format(call.params.templateId))
  end
  return page.response(call, states(template))
end

local function get(gw, call)
  local p = call.params
  local template = gw.templates.templates[p.templateId]
  local version = template and template.by_version[p.version]
  if not version then
    return errors.response(call, 404, "not.found",
      ("Version %s of template %s not found."):format(p.version, p.templateId))
  end
  return { json = state(template, version) }
end

-- ---- writing ----

-- Every {{…}} is a declared variable's, and every variable has one.
local function check_placeholders(body, fault)
  local used = {}
  for inner in body.content:gmatch "{{(.-)}}" do
    if not inner:match "^[A-Za-z_][A-Za-z0-9_]*$" then
      fault("content", "placeholder", ("{{%s}} is not a placeholder"):format(inner))
    elseif body.variables[inner] == nil and not used[inner] then
      fault("content", "undeclared", ("{{%s}} is not declared"):format(inner))
    end
    used[inner] = true
  end
  for name in pairs(body.variables) do
    if not used[name] then fault("variables." .. name, "unused", "is not used") end
  end
end

-- The header says what the body says.
local function check_header(call, trigger, fault)
  local header = call.req.headers["x-genesys-ab-test"]
  local wanted
  if trigger and trigger.enabled then
    wanted = ("variant=%s,traffic=%d"):format(trigger.variantId, math.floor(trigger.trafficPercent * 100 + 0.5))
  end
  if header ~= wanted then
    fault("X-Genesys-AB-Test", "mismatch",
      ("must be %s, as the body says; is %s"):format(wanted or "absent", header or "absent"))
  end
end

-- Every fault of the request -> nil | response
local function check(call, body)
  local details = {}
  local function fault(...) details[#details + 1] = errors.field(...) end
  local _, faults = schema:check(body)
  for _, f in ipairs(faults or {}) do fault(checked.field_of(f), f.keyword, f.message) end
  if type(body.templateId) == "string" and body.templateId ~= call.params.templateId then
    fault("templateId", "mismatch",
      ("is %s in the body and %s in the path"):format(body.templateId, call.params.templateId))
  end
  if #details == 0 then
    check_placeholders(body, fault)
    check_header(call, body.abTestingTrigger, fault)
  end
  if #details == 0 then return nil end
  table.sort(details, function(a, b) return a.fieldName < b.fieldName end)
  return errors.response(call, 422, "validation.failed",
    ("The template version has %d error%s."):format(#details, #details == 1 and "" or "s"), details)
end

local function make_live(template, version, became)
  local before = template.by_version[template.live]
  if before then before.status = became end
  version.status, template.live = "LIVE", version.body.version
end

-- Ends the tests of the versions for which ends(version) is true.
local function retire_tests(template, ends)
  for _, version in ipairs(template.order) do
    if version.status == "TESTING" and ends(version) then version.status = "RETIRED" end
  end
end

local function any() return true end

local function roll_back(call, template, body)
  local version = template and template.by_version[body.version]
  if not version then
    return errors.response(call, 404, "not.found", ("Version %s to roll back to not found."):format(body.version))
  elseif template.rollback then
    return errors.response(call, 409, "rollback.active", ("A rollback to %s is active."):format(template.rollback))
  elseif version.body.content ~= body.content then
    return errors.response(call, 422, "validation.failed", "A rollback does not change a version.",
      { errors.field("content", "mismatch", "differs from the content of the version") })
  end
  make_live(template, version, "ROLLED_BACK")
  retire_tests(template, any)
  template.rollback = body.version
  return { status = 201, json = state(template, version) }
end

-- A promotion to all of the traffic ends the test that it was the result of: of the same content, or of the version
-- that metadata.rampOf names.
local function is_promoted_by(body)
  local of = type(body.metadata) == "table" and body.metadata.rampOf or nil
  return function(version) return version.body.content == body.content or version.body.version == of end
end

local function post(gw, call)
  local body, id = call.body, call.params.templateId
  local template = gw.templates.templates[id]
  local refused = check(call, body)
  if refused then return refused end
  if body.rollbackDirective then return roll_back(call, template, body) end
  if template and template.rollback then
    return errors.response(call, 409, "rollback.active",
      ("A rollback to %s is active: promotions are blocked until it is deleted."):format(template.rollback))
  elseif template and template.by_version[body.version] then
    return errors.response(call, 409, "version.exists", ("Version %s exists already."):format(body.version))
  end
  template = template or { order = {}, by_version = {} }
  gw.templates.templates[id] = template
  local version = { body = body, created_at = time.iso() }
  local trigger = body.abTestingTrigger
  if trigger and trigger.enabled then
    retire_tests(template, function(other) return other.body.abTestingTrigger.variantId == trigger.variantId end)
    version.status = "TESTING"
  else
    make_live(template, version, "RETIRED")
    retire_tests(template, is_promoted_by(body))
  end
  template.order[#template.order + 1] = version
  template.by_version[body.version] = version
  return { status = 201, json = state(template, version) }
end

local function end_rollback(gw, call)
  local template = gw.templates.templates[call.params.templateId]
  if not template or not template.rollback then
    return errors.response(call, 404, "rollback.not.active",
      ("No rollback of template %s is active."):format(call.params.templateId))
  end
  template.rollback = nil
  return { status = 204 }
end

M.routes = {
  { "GET", collection, scope = "ai:prompt-template:read", handler = list },
  { "GET", item, scope = "ai:prompt-template:read", handler = get },
  { "POST", collection, scope = "ai:prompt-template:write", body = "json", handler = post },
  { "DELETE", rollback, scope = "ai:llm-gateway:manage", handler = end_rollback },
}

return M
