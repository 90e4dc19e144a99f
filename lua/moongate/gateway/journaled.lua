-- journaled.lua - the stages `replayed` and `journaled` of a write: in a run, what is about to be sent stands in the
-- run's journal before it is, and what came of it after. A write that was done in an earlier life of the run gives the
-- result it gave then; one that was begun, and nobody knows, is looked up before anything is sent. For write.lua only.
--
-- What a run's write returns is plain data, with no response object: the same whether it was done now or before.

local answer = require "moongate.gateway.answer"
local audit_fields = require "moongate.gateway.audit_fields"
local conflict = require "moongate.gateway.conflict"
local errors = require "moongate.error"
local hash = require "moongate.hash"
local intents = require "moongate.journal.intents"
local job = require "moongate.gateway.job"
local journal = require "moongate.journal"
local plain = require "moongate.plain"
local readback = require "moongate.gateway.readback"

local M = {}

-- ---- the audit's intent that an earlier life of the run has left open ----

-- Gives it its outcome. result: of the write; or status: a word.
local function settle_intents(w, rec, result, status)
  for _, entry in ipairs(intents.open_of(rec, w.gw.audit)) do
    local fields
    if result then
      fields = audit_fields.outcome(w, true, result)
    else
      fields = { status = status, path = w.path, run = rec.journal.id }
    end
    fields.recovered = true
    local written, err = entry:outcome(fields)
    if not written then error(err, 0) end
  end
end

-- ---- what became of a write that was begun ----

local function reconciled(w, rec, fields)
  w.gw.log.info("%s: it was sent before the run was interrupted, and took effect", w.path)
  local intent = rec:intent()
  w.changes, w.content = intent.changes, intent.content
  w.payload_hash = intent.payload_hash
  fields.status = "reconciled"
  settle_intents(w, rec, fields)
  return fields
end

-- What was on the gateway may hold numbers that no payload hash can be made of.
local function print_of(content)
  if content == nil then return "none" end
  return hash.payload(content) or hash.sha256(plain.write(content))
end

-- As the journal keeps it: a header's bytes need not be UTF-8.
local function etag_of(resource)
  return resource and resource.etag and plain.decode(plain.write(resource.etag))
end

local function still_base(theirs, intent)
  if intent.base_etag then
    return theirs ~= nil and readback.strong(etag_of(theirs)) == readback.strong(intent.base_etag)
  end
  if intent.base_hash then return theirs ~= nil and print_of(theirs.content) == intent.base_hash end
  return theirs == nil
end

local function take_up_readable(w, next, rec, intent)
  local theirs = readback.read(w)
  if readback.holds(w, theirs, intent.content) then
    return reconciled(w, rec, {
      etag = theirs and theirs.etag, body = theirs and theirs.body, correlation_id = theirs and theirs.correlation_id,
    })
  end
  if not (w.unconditional or w.on_conflict == "overwrite" or still_base(theirs, intent)) then
    settle_intents(w, rec, nil, "conflict")
    error(conflict.error(w, theirs, { method = w.method, path = w.path }), 0)
  end
  settle_intents(w, rec, nil, "not_applied")
  return next(w)
end

local function unknown(w, rec, listed)
  local err = errors.new {
    code = "unknown_outcome", outcome = "unknown", method = w.method, path = w.path,
    message = ("it was started before the interruption; its outcome is unknown: a %s can't be sent twice, %s")
      :format(w.method, listed and "and the listing does not show its result" or "nor looked up"),
    hint = ("Check the resource at the gateway; then `moongate runs resume %s --redo '%s'` if it had no effect, "
      .. "--skip '%s' if it had."):format(rec.journal.id, w.step and w.step.name or rec.name, rec.name),
  }
  rec.journal.unknown[#rec.journal.unknown + 1] = { step = rec.name, error = err }
  return err
end

-- The same request again does no more than the first.
local function repeatable(w, intent)
  return intent.idempotency_key ~= nil or w.idempotent or w.method == "PUT" or w.method == "DELETE"
end

local function take_up_unreadable(w, next, rec, intent)
  local listed = w.method == "POST" and w.kind.same and w.kind.list
  if listed then
    if intent.before then job.note_before(w, intent.before) end
    local resource = job.search(w, { content = intent.content, raise = true, once = repeatable(w, intent) })
    if resource then return reconciled(w, rec, { id = answer.id(resource.id), body = resource }) end
  end
  if not repeatable(w, intent) then error(unknown(w, rec, listed), 0) end
  w.content, w.payload_hash = intent.content, intent.payload_hash -- what was begun is finished
  w.idempotency_key = intent.idempotency_key
  settle_intents(w, rec, nil, "sent_again")
  return next(w)
end

local function take_up(w, next, rec)
  local intent, j = rec:intent(), rec.journal
  if intent.redacted then intent.content = w.content end
  w.taken_up = true
  if j.redo and (j.redo[rec.name] or w.step and j.redo[w.step.name]) then return next(w) end
  if intent.answer then -- the gateway's job goes on: it is waited for
    w.changes, w.content, w.payload_hash = intent.changes, intent.content, intent.payload_hash
    w.answer, w.open_intent = intent.answer, intents.open_of(rec, w.gw.audit)[1]
    return w.from_recorded(w)
  end
  if j.skip and j.skip[rec.name] then return reconciled(w, rec, {}) end
  if w.readable then return take_up_readable(w, next, rec, intent) end
  return take_up_unreadable(w, next, rec, intent)
end

-- ---- replayed ----

local function done_before(w, rec)
  w.replayed = true
  local result = rec:results()
  if rec:intent().redacted then result.content = w.content end
  if rec.journal.checking then return result end
  w.content, w.changes, w.payload_hash, w.latency_ms = result.content, result.changes, result.payload_hash,
    result.latency_ms
  settle_intents(w, rec, result)
  return result
end

local function perform(w, next, rec)
  if rec.state ~= nil then rec.journal:anew(rec) end
  return rec:inside({ guarded = false, open = true }, function()
    local ok, result
    if rec.state == "started" then
      ok, result = pcall(take_up, w, next, rec)
    else
      if rec.state == "failed" then settle_intents(w, rec, nil, "failed") end -- where the audit log itself had failed
      ok, result = pcall(next, w)
    end
    if not ok then
      if errors.is(result) and result.code == "failed" then rec.unsure = 0 end -- its job says that it made nothing
      if rec.begun or rec.state ~= "started" then rec:fail(result) end -- else it is as unknown as before
      error(result, 0)
    end
    w.complete(w, result)
    result.response = nil
    if rec.state == "started" then rec:done(table.pack(result)) else rec:remember(table.pack(result)) end
    return rec:results()
  end)
end

function M.replayed(w, next)
  local j, outer = journal.current()
  if not j or w.dry_run or w.round > 1 or (outer and outer.kind == "write") then return next(w) end
  local rec = j:visit("write", w.method .. " " .. w.path)
  w.record, w.step = rec, outer and outer.kind == "step" and outer or nil
  local result
  if rec.state == "done" then
    result = done_before(w, rec)
  elseif rec:failed_for_good() then
    rec:raise()
  elseif j.checking then
    j:needs(("%s was started and has no outcome"):format(rec.name))
  else
    result = perform(w, next, rec)
  end
  result.complete = true
  return result
end

-- ---- journaled ----

local function key_of(w, rec, tries)
  if w.idempotency_key or not (w.kind.keyed and w.method == "POST") then return w.idempotency_key end
  return rec:key() .. (w.round > 1 and "-" .. w.round or "") .. (tries > 1 and "." .. tries or "")
end

function M.journaled(w, next)
  local rec = w.record
  if not rec then return next(w) end
  local before = rec:intent()
  local tries = (before.tries or 0) + (rec.state == "failed" and 1 or 0)
  w.idempotency_key = key_of(w, rec, tries)
  journal.shield() -- from here on it is finished before a stop is heeded
  rec:start {
    kind = w.kind.name, method = w.method, path = w.path, payload_hash = w.payload_hash, content = w.content,
    changes = w.changes, idempotency_key = w.idempotency_key, base_etag = w.base and w.base.etag or nil,
    base_hash = w.base and not w.base.etag and print_of(w.base_content) or nil,
    before = w.before_ids and job.before(w) or nil,
    tries = tries > 0 and tries or nil,
  }
  return next(w)
end

-- M.answered(w, result): a job was begun by it: from here on it is only waited for.
function M.answered(w, result)
  local rec = w.record
  if not rec or w.answer then return end
  local intent = rec:intent()
  intent.answer = {
    status = result.status, etag = result.etag, body = result.body, http_status = result.http_status,
    attempts = result.attempts, correlation_id = result.correlation_id,
  }
  rec:note(intent)
end

return M
