-- promotion.lua - a template's versions on the gateway: looked at, promoted, rolled back. For template.lua.

local answer = require "moongate.gateway.answer"
local check = require "moongate.template.check"
local diff = require "moongate.diff"
local errors = require "moongate.error"
local json = require "moongate.json"
local queue_stage = require "moongate.gateway.queue_stage"

local M = {}

local function place_of(template_id, version)
  return { templateId = template_id, version = version }
end

-- Statuses of a listing that is not there or not served; also of a template that has no version yet.
local NOT_SERVED = { [404] = true, [405] = true, [501] = true }

-- template.versions(gateway, template id) -> what the gateway tells of each version, in its order, empty when there is
-- no such template; and whether the listing answered.
function M.versions(gateway, template_id)
  local versions = json.array {}
  local ok, err = pcall(function()
    for page in gateway:list("template_version", { templateId = template_id }, { page_size = 100 }) do
      local entities = answer.entities(page)
      table.move(entities, 1, #entities, #versions + 1, versions)
    end
  end)
  if not ok and not (errors.is(err) and NOT_SERVED[err.status]) then error(err, 0) end
  return versions, ok
end

-- The version as a resource: as the listing has it when that holds its content, else as its own path says.
local function version_of(gateway, template_id, state)
  local place = place_of(template_id, state.version)
  if type(state.content) == "string" then return gateway:from_listing("template_version", place, state) end
  return gateway:get("template_version", place)
end

-- template.look(gateway, template id, version | nil) -> {versions, live = resource | nil, rollback = whether a rollback
-- is active, version = resource | nil}: what the gateway holds of a template.
function M.look(gateway, template_id, version)
  local ok, versions, listed = pcall(M.versions, gateway, template_id)
  if not ok then -- what is queued is compared when it is sent
    if not (gateway.queue and errors.is(versions) and queue_stage.is_away(versions)) then error(versions, 0) end
    versions, listed = json.array {}, false
  end
  local seen, there = { versions = versions, rollback = false }, nil
  for _, state in ipairs(versions) do
    local status = type(state.status) == "string" and state.status:upper()
    if status == "LIVE" and type(state.version) == "string" then
      seen.live = version_of(gateway, template_id, state)
      seen.rollback = state.rollbackDirective == true
    end
    if version and state.version == version then there = state end
  end
  if there then
    seen.version = version_of(gateway, template_id, there)
      or gateway:from_listing("template_version", place_of(template_id, version), there)
  elseif version and not listed then
    seen.version = gateway:get("template_version", place_of(template_id, version), { for_write = true })
  end
  return seen
end

local function conflict(message, hint)
  errors.raise { code = "conflict", outcome = "not_sent", message = message, hint = hint }
end

local function rolled_back(template_id)
  return ("End the rollback first: moongate promote-template --id %s --end-rollback"):format(template_id)
end

-- The version that is live, nil where the gateway's answer does not say.
local function live_version(seen)
  local content = seen.live and seen.live.content
  return content and content.version
end

-- Raises when what is there now forbids what is wanted.
local function refuse_promotion(seen, document)
  local there = seen.version
  if there then
    local content = there.content or {} -- an odd answer holds none
    local same = diff.equal(content.content, document.content) and diff.equal(content.variables, document.variables)
    conflict(("version %s of %s already exists%s%s"):format(document.version, document.templateId,
      there.status and (" (%s)"):format(there.status) or "", same and ", with the same content" or ""),
      "a version is never changed: give the file a new one, or --rollback to make that one live again")
  end
  if seen.rollback then
    conflict(("%s is rolled back to %s: promotions are blocked"):format(document.templateId,
      tostring(live_version(seen) or "an earlier version")), rolled_back(document.templateId))
  end
end

-- How many of the generations with the version succeeded, where the gateway says so; else null.
local function success_rate(body)
  for _, place in ipairs { body, type(body) == "table" and body.metrics or nil } do
    local rate = type(place) == "table" and place.generationSuccessRate
    if type(rate) == "number" and rate >= 0 and rate <= 1 then return rate end
  end
  return json.null
end

local function write(gateway, document, opts)
  local ok, result = pcall(gateway.write, gateway, "template_version",
    place_of(document.templateId, document.version), {
      base = opts.base, content = document, method = "POST", headers = opts.headers, action = "template_promotion",
      stamp = opts.stamp,
      details = {
        auditId = opts.audit_id, templateId = document.templateId, version = document.version,
        rollbackDirective = document.rollbackDirective, estimatedContextTokens = check.estimate(document.content),
      },
    })
  if not ok then
    if errors.is(result) and result.status == 409 and result.code == "conflict" then
      local said = (tostring(result.gateway_code) .. " " .. tostring(result.message)):lower()
      result.hint = said:find "rollback" and rolled_back(document.templateId)
        or "Compare with --dry-run; an existing version is never changed."
    end
    error(result, 0)
  end
  result.generation_success_rate = success_rate(result.body)
  return result
end

-- template.ab_header(document) -> the value of X-Genesys-AB-Test, or nil when its trigger is off.
function M.ab_header(document)
  local trigger = document.abTestingTrigger
  if not (trigger and trigger.enabled) then return nil end
  return ("variant=%s,traffic=%d"):format(trigger.variantId, check.whole_percent(trigger.trafficPercent))
end

-- template.promote(gateway, template, seen [, {audit_id, stamp}]) -> the result of gateway:write, with
-- generation_success_rate. seen: what look gave for its version. Raises "conflict" when the version is there already or
-- a rollback is active.
function M.promote(gateway, template, seen, opts)
  local document = template.document
  refuse_promotion(seen, document)
  local header = M.ab_header(document)
  return write(gateway, document, {
    audit_id = opts and opts.audit_id, stamp = opts and opts.stamp,
    headers = header and { ["X-Genesys-AB-Test"] = header } or nil,
  })
end

-- template.announcement(document, {audit_id, generation_success_rate, latency_ms, correlation_id, payload_hash,
-- previous_version}) -> the data of the webhook template_promoted.
function M.announcement(document, facts)
  return {
    action = "VERSION_PROMOTION", templateId = document.templateId, version = document.version,
    auditId = facts.audit_id, generationSuccessRate = facts.generation_success_rate or json.null, status = "PROMOTED",
    latencyMs = facts.latency_ms, correlationId = facts.correlation_id, payloadHash = facts.payload_hash,
    rollbackDirective = document.rollbackDirective, previousVersion = facts.previous_version,
    abTestingTrigger = document.abTestingTrigger, estimatedContextTokens = check.estimate(document.content),
  }
end

local function versions_of(seen)
  local names = {}
  for i, state in ipairs(seen.versions) do names[i] = tostring(state.version) end
  return #names > 0 and "it has " .. table.concat(names, ", ") or "it has none"
end

-- template.rollback_document(template id, version, seen [, a template's document of that version]) -> what is posted to
-- make the version live again: what the gateway holds of it, else the document.
function M.rollback_document(template_id, version, seen, own)
  local there = seen.version
  if not there then
    errors.raise {
      code = "invalid", outcome = "not_sent",
      message = ("version %s of %s to roll back to not found"):format(version, template_id), hint = versions_of(seen),
    }
  end
  local from = there.content
  if type(from.content) ~= "string" then
    if not (own and own.version == version) then
      errors.raise {
        code = "invalid", outcome = "not_sent",
        message = ("the gateway does not report the content of version %s of %s"):format(version, template_id),
        hint = "give the template file of that version",
      }
    end
    from = own
  end
  return {
    templateId = template_id, version = version, content = from.content, variables = from.variables or {},
    metadata = from.metadata, rollbackDirective = true,
  }
end

-- template.rollback(gateway, document, seen [, {audit_id}]) -> as promote. {status = "unchanged"} when it is rolled
-- back to that version already; raises "conflict" when to another one.
function M.rollback(gateway, document, seen, opts)
  if seen.rollback and live_version(seen) == document.version then
    return { status = "unchanged", attempts = 0 }
  elseif seen.rollback then
    conflict(("%s is rolled back to %s already"):format(document.templateId, tostring(live_version(seen))),
      rolled_back(document.templateId))
  end
  return write(gateway, document, { audit_id = opts and opts.audit_id, base = seen.version })
end

-- template.end_rollback(gateway, template id) -> the result of gateway:write; {status = "unchanged"} when no rollback
-- was active.
function M.end_rollback(gateway, template_id)
  local ok, result = pcall(gateway.remove, gateway, "template_rollback", place_of(template_id), {
    unconditional = true, action = "template_rollback_end", details = { templateId = template_id },
  })
  if ok then return result end
  if not (errors.is(result) and result.status == 404 and tostring(result.gateway_code):find("rollback")) then
    error(result, 0)
  end
  return {
    status = result.after_ambiguous and "reconciled" or "unchanged", attempts = result.attempts,
    correlation_id = result.correlation_id, latency_ms = result.latency_ms, audit_seq = result.audit_seq,
  }
end

return M
