-- audit_fields.lua - what a write's two audit lines hold, besides what a workflow adds. For write.lua and
-- journaled.lua only.

local answer = require "moongate.gateway.answer"
local errors = require "moongate.error"

local M = {}

-- Facts that only this file states, also where there is nothing to state: details can't have them.
local FACTS = {
  "action", "kind", "method", "path", "payload_hash", "if_match", "idempotency_key", "on_conflict", "run", "record",
  "latency_ms", "status", "etag", "http_status", "attempts", "correlationId", "error_code", "error_message", "source",
  "stage", "recovered",
}

-- facts, and of the tables before them what is none.
local function with_facts(facts, ...)
  local out = {}
  for _, t in ipairs { ... } do
    for k, v in pairs(t) do out[k] = v end
  end
  for _, name in ipairs(FACTS) do out[name] = facts[name] end
  return out
end

-- What the workflow adds: a table, or a function of the content, which a conflict may change on the way.
local function details_of(w)
  if type(w.details) == "function" then return w.details(w.content) end
  return w.details
end

-- The same for an outcome: what the workflow says of it must not keep the line from being written.
local function added(fn, ...)
  local ok, fields = pcall(fn, ...)
  if ok and (fields == nil or type(fields) == "table") then return fields or {} end
  return { details_error = ok and "no table" or tostring(fields) }
end

local function run_of(w)
  return w.record and w.record.journal.id or nil
end

-- Before it is sent: what, where, on which base, and the hash of the bytes.
function M.intent(w)
  return with_facts({
    action = w.action, kind = w.kind.name, method = w.method, path = w.path, payload_hash = w.payload_hash,
    if_match = w.base and w.base.etag or nil, idempotency_key = w.idempotency_key,
    on_conflict = w.round > 1 and w.on_conflict or nil, run = run_of(w), record = w.record and w.record.seq or nil,
  }, details_of(w), w.given.stamp or {})
end

-- After it: how it ended and how long it took, on success and on failure alike.
function M.outcome(w, ok, result)
  local extra = w.outcome_details and added(w.outcome_details, ok and result or nil, not ok and result or nil) or {}
  local fields = { latency_ms = w.latency_ms, payload_hash = w.payload_hash, path = w.path, run = run_of(w) }
  if ok then
    fields.status = result.status
    fields.etag, fields.http_status = result.etag, result.http_status
    fields.attempts, fields.correlationId = result.attempts, result.correlation_id
    return with_facts(fields, added(details_of, w), w.given.stamp or {}, extra)
  end
  local err = errors.is(result) and result or { code = "bug", outcome = "unknown", message = tostring(result) }
  fields.status = err.outcome == "unknown" and "unknown" or err.code == "conflict" and "conflict" or "failed"
  fields.error_code, fields.error_message = err.code, answer.reason(err)
  fields.http_status, fields.attempts, fields.correlationId = err.status, err.attempts, err.correlation_id
  return with_facts(fields, added(details_of, w), w.given.stamp or {}, extra)
end

return M
