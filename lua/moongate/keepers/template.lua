-- template.lua - the keeper of prompt templates, see keepers.lua. An address names the template: one version of it is
-- wanted.

local diff = require "moongate.diff"
local errors = require "moongate.error"
local generic = require "moongate.keepers.generic"
local hash = require "moongate.hash"
local resources = require "moongate.resources"
local template = require "moongate.template"
local uuid = require "moongate.uuid"

local M = setmetatable({}, { __index = generic })

function M.load(run, group)
  local items = {}
  for i, item in ipairs(template.load_all(group.paths, { limits = run.limits })) do
    local document = item.document
    items[i] = {
      address = "template_version/" .. resources.encoded(document.templateId),
      place = { templateId = document.templateId, version = document.version }, content = document, file = item.file,
    }
  end
  return items
end

-- The version that is live, and the wanted one if it is there.
function M.look(gateway, item)
  local seen = template.look(gateway, item.content.templateId, item.content.version)
  local live, version = seen.live and seen.live.content, seen.version and seen.version.content
  return {
    there = version ~= nil, content = live, version = version, rollback = seen.rollback,
    live_version = live and live.version, status = seen.version and seen.version.status,
  }
end

local function conflict(fmt, ...)
  errors.raise { code = "conflict", outcome = "not_sent", message = fmt:format(...) }
end

function M.want(_, item, seen)
  local document = item.content
  if seen.version then
    local theirs = seen.version
    if diff.equal(theirs.content, document.content) and diff.equal(theirs.variables, document.variables) then
      return nil
    end
    conflict("version %s of %s already exists with other content: a version is never changed", document.version,
      document.templateId)
  elseif seen.rollback then
    conflict("%s is rolled back to %s: promotions are blocked", document.templateId,
      tostring(seen.live_version or "an earlier version"))
  end
  return {
    actions = { "create" }, action = "promote", before = seen.content, after = document,
    after_hash = hash.payload(document), base = { live = seen.live_version, hash = seen.content and
      hash.payload(seen.content) or nil },
    guard = "live version", changes = diff.compare(seen.content, document),
    undo = { possible = false, why = "only by a rollback, which blocks promotions" },
  }
end

-- Between this look and the POST another program can promote: the gateway has nothing to guard that with.
function M.before(gateway, change)
  local document = change.change.after
  return M.look(gateway, { content = document })
end

function M.write(gateway, change, opts, now)
  local document = change.change.after
  if now.version and diff.equal(now.version.content, document.content) then
    return { status = "unchanged", attempts = 0, changes = {} }
  elseif now.live_version ~= change.base.live then
    conflict("%s has another live version than when the plan was made: %s instead of %s", document.templateId,
      tostring(now.live_version or "none"), tostring(change.base.live or "none"))
  end
  local seen = {
    version = now.version and { content = now.version, status = now.status } or nil, rollback = now.rollback,
    live = now.content and { content = now.content } or nil,
  }
  local audit_id = uuid.v7()
  local result = template.promote(gateway, { document = document }, seen, { audit_id = audit_id, stamp = opts.stamp })
  result.audit_id, result.previous_version = audit_id, change.base.live
  return result
end

function M.confirm() end

function M.announce(change, result)
  return "template_promoted", template.announcement(change.change.after, {
    audit_id = result.audit_id, generation_success_rate = result.generation_success_rate,
    latency_ms = result.latency_ms, correlation_id = result.correlation_id, payload_hash = result.payload_hash,
    previous_version = result.previous_version,
  })
end

function M.lines(change)
  local lines = {}
  for i, line in ipairs(template.diff(change.change.before, change.change.after).content or {}) do
    lines[i] = "  | " .. line
  end
  return lines
end

return M
