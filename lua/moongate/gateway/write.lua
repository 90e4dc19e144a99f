-- write.lua - the one write path. Every change of every kind passes these stages, from the outside in; each is a
-- function (write, next) that may act before and after the rest, end early with a result, or raise:
--
--   measured   counted and timed, and a span of the run's trace
--   replayed   in a run that was taken up again: what was done is not done again, see journaled.lua
--   checked    the content follows the kind's schema: every fault at once
--   compared   what would change; nothing: "unchanged", and nothing is sent
--   planned    a dry run ends here
--   queued     with --queue, what the gateway can't take now is kept for later
--   leased     no other process writes it meanwhile
--   resolved   somebody else wrote: fail, rebase or overwrite, then again from the top
--   journaled  in a run: what is about to be sent is in its journal before it is
--   recorded   the audit's intent before, its outcome after, whatever happens
--   awaited    where the gateway has begun a job: its end is waited for
--   settled    a busy resource is waited for; a write whose answer was lost is looked up
--   sent       the request itself, with its precondition
--
-- What a write knows is listed in new_write, with the stage that sets it. Another stage is a line in STAGES, and serves
-- every kind.

local answer = require "moongate.gateway.answer"
local argument = require "moongate.argument"
local audit_fields = require "moongate.gateway.audit_fields"
local backoff = require "moongate.backoff"
local conflict = require "moongate.gateway.conflict"
local diff = require "moongate.diff"
local errors = require "moongate.error"
local find = require "moongate.gateway.find"
local hash = require "moongate.hash"
local job = require "moongate.gateway.job"
local journal = require "moongate.journal"
local journaled = require "moongate.gateway.journaled"
local kinds = require "moongate.gateway.kinds"
local lease_stage = require "moongate.gateway.lease_stage"
local merged = require "moongate.merged"
local queue_stage = require "moongate.gateway.queue_stage"
local readback = require "moongate.gateway.readback"
local rounded = require "moongate.rounded"
local trace = require "moongate.trace"

local M = {}

local BUSY = { base = 0.5, cap = 20, low = 0, high = 1 } -- as the client's back-off
local MAX_ROUNDS = 5                -- of conflicts with other writers, before it is given up

-- ---- measured ----

-- Once a write, however many rounds a conflict makes of it.
local function measured(w, next)
  if w.round > 1 then return next(w) end
  return trace.span("write " .. w.kind.name, { ["moongate.kind"] = w.kind.name, ["moongate.path"] = w.path },
    function(span)
      local ok, result = pcall(next, w)
      local status = ok and result.status or "failed"
      span:set("moongate.write.status", status)
      if w.gw.measure then w.gw.measure(w.kind.name, status, w.seconds) end
      if not ok then error(result, 0) end
      return result
    end)
end

-- ---- checked ----

local function checked(w, next)
  if w.kind.checker and w.content ~= nil then
    local valid, faults = w.kind.checker:check(w.content)
    if not valid then
      local details = {}
      for i, f in ipairs(faults) do
        details[i] = { pointer = f.pointer, field = diff.path(f.pointer), message = f.message }
      end
      errors.raise {
        code = "invalid", details = details,
        message = ("%s %s: %d error%s in the content to be written"):format(w.kind.title, w.path, #details,
          #details == 1 and "" or "s"),
      }
    end
  end
  return next(w)
end

-- ---- compared ----

local function compared(w, next)
  local stale = w.base and w.base.stale
  if stale and not w.dry_run and not w.queue then
    errors.raise {
      code = "breaker_open", path = w.path, outcome = "not_sent",
      message = w.path .. " was read from the cache while the gateway was unavailable; it is not a base for a write",
      hint = "Retry when the gateway is available, or queue the write with --queue.",
    }
  end
  if w.base and w.content ~= nil then -- a member that is absent is as good as one at its default
    w.changes = diff.compare(kinds.comparable(w.kind, w.base_content, w.content),
      kinds.comparable(w.kind, w.content, w.base_content))
  else
    w.changes = diff.compare(w.base_content, w.content)
  end
  if #w.changes == 0 and w.base and w.method ~= "POST" and not (stale and w.queue) then
    return { status = "unchanged", etag = w.base.etag }
  end
  return next(w)
end

-- ---- planned ----

local function planned(w, next)
  if w.dry_run then return { status = "planned", etag = w.base and w.base.etag } end
  return next(w)
end

-- ---- resolved ----

-- SHA-256 of the canonical JSON, which is what is sent.
local function payload_hash(content)
  if content == nil then return nil end
  local hex, err = hash.payload(content)
  if not hex then
    errors.raise { code = "invalid", message = "the content to be written is not JSON: " .. err.message }
  end
  return hex
end

-- What goes out: the content, and what the gateway fills itself as it was read.
local function sendable(w)
  return kinds.sendable(w.kind, w.content, w.base_content)
end

local run_stages

local function resolved(w, next)
  local ok, result = pcall(next, w)
  if ok then return result end
  local err = result
  if not (errors.is(err) and err.code == "conflict" and w.theirs_known) then error(err, 0) end
  if w.on_conflict == "fail" or w.round >= MAX_ROUNDS then error(err, 0) end
  conflict.resolve(w, err) -- sets base and content anew, or raises
  w.payload_hash = payload_hash(sendable(w))
  w.round = w.round + 1
  return run_stages(w)
end

-- ---- recorded ----

-- What would say that an input was rejected, of a write that may have taken effect.
local NO_INPUT = { invalid = true, range = true, too_large = true, not_found = true, parse = true }

local function recorded(w, next)
  local entry, why = w.open_intent, nil
  if not entry then entry, why = w.gw.audit.intent(audit_fields.intent(w)) end
  if not entry then
    errors.raise {
      code = why and why.code ~= "not_found" and why.code or "io", -- it is no input that was not found
      outcome = "not_sent", method = w.method, path = w.path,
      message = ("not sent, because it can't be audited: %s"):format(why and why.message or "the audit log failed"),
      hint = "Check the audit log (moongate doctor), then run this again.",
    }
  end
  w.audit_seq = entry.seq
  local started = w.gw.clock.monotonic()
  local ok, result = pcall(next, w)
  w.seconds = w.gw.clock.monotonic() - started
  w.latency_ms = rounded.milliseconds(w.seconds)
  local written, fault = entry:outcome(audit_fields.outcome(w, ok, result))
  if not written then
    errors.raise {
      code = fault and not NO_INPUT[fault.code] and fault.code or "io", method = w.method, path = w.path,
      outcome = ok and "final" or (errors.is(result) and result.outcome) or "unknown", took_effect = ok or nil,
      message = ("%s, but its outcome could not be written to the audit log: %s"):format(
        ok and "the write took effect" or "the write failed (" .. tostring(result) .. ")",
        fault and fault.message or "?"),
    }
  end
  if not ok then
    if errors.is(result) then result.audit_seq, result.latency_ms = w.audit_seq, w.latency_ms end
    error(result, 0)
  end
  return result
end

-- ---- awaited ----

local function awaited(w, next)
  local result = next(w)
  if w.kind.job and w.method == w.kind.create and result.status == "created" then
    journaled.answered(w, result)
    job.await(w, result)
  end
  return result
end

-- ---- settled ----

-- A 409 that says "busy", or one after which the resource is still the version we know.
local function is_busy(w, err, theirs)
  if err.status ~= 409 then return false end
  local code = err.gateway_code
  if type(code) == "string" and code:lower():find(w.kind.busy) then return true end
  if w.method == "POST" then return false end
  return theirs ~= conflict.UNKNOWN and readback.same_version(theirs or nil, w.base)
end

-- It holds what we sent. Ours, if a try of ours may have arrived; else somebody else wrote the very same.
local function found(w, theirs, err)
  local ours = err.outcome == "unknown" or err.after_ambiguous or w.taken_up
  w.gw.log.warn(ours and "%s: the response was lost; the resource reads back as it was sent"
    or "%s: another client has written the same content", w.path)
  return {
    status = ours and "reconciled" or "unchanged", etag = theirs and theirs.etag, body = theirs and theirs.body,
    http_status = err.status,
    attempts = err.attempts, correlation_id = err.correlation_id or (theirs and theirs.correlation_id),
  }
end

-- What became of a write whose answer did not come, or came as a 409 or 412: a result; or nil and what is there now.
local function look_up(w, err)
  local read, theirs = pcall(readback.read, w)
  if not read then
    err.hint = ("it could not be read back either (%s): read %s before writing again"):format(
      errors.is(theirs) and theirs.message or tostring(theirs), w.path)
    return nil, conflict.UNKNOWN
  end
  if readback.holds(w, theirs, w.content) then return found(w, theirs, err) end
  return nil, theirs
end

local function pause_before_retry(w, n, err)
  local wait = backoff.wait(BUSY, n + 1, {
    floor = err.retry_after, left = w.deadline - w.gw.clock.monotonic(), random = w.gw.clock.random,
  })
  if not wait then
    err.code, err.message = "conflict", ("%s; %s was busy until the deadline"):format(err.message, w.path)
    err.hint = "Run it again when the gateway has finished its own change, or raise --deadline."
    error(err, 0)
  end
  w.gw.log.info("%s is busy; trying again in %.1f s", w.path, wait)
  journal.pause(w.gw.clock.sleep, wait)
end

-- A 409 or 412, though nobody has written: the gateway does not know the ETag again that it was read with. If-Match
-- can't compare a weak one: then the content is compared.
local function refused_etag(w, err, theirs)
  local weak = w.base.etag:find "^W/" ~= nil
  if weak and not w.by_content then
    w.gw.log.warn("%s: If-Match was refused, since its ETag %s is weak; the content is compared instead", w.path,
      w.base.etag)
    w.by_content = true
    return true
  end
  if is_busy(w, err, theirs) then return false end
  w.theirs, w.theirs_known, w.untouched = theirs, true, true -- rebase and overwrite try again
  err.code, err.outcome = "conflict", "refused"
  err.message = ("%s has not changed since it was read, but the gateway refuses its%s ETag %s: %s"):format(w.path,
    weak and " weak" or " own", w.base.etag, err.message)
  err.hint = ("a proxy may change ETags on their way; to compare the content instead, write in moongate.lua: "
    .. 'gateway = { kinds = { %s = { lock = "none" } } }'):format(w.kind.name)
  error(err, 0)
end

-- One go. -> result; or raises; or nil, err when the resource is busy.
local function attempt(w, next)
  local ok, result = pcall(next, w)
  if ok then return result end
  local err = result
  if not errors.is(err) then error(err, 0) end
  if w.taken_up then err.after_ambiguous = true end
  if not w.readable then return job.look_up(w, err) end
  local clash = err.status == 412 or err.status == 409
  if err.outcome ~= "unknown" and not clash then error(err, 0) end
  if err.outcome ~= "unknown" and is_busy(w, err, conflict.UNKNOWN) then return nil, err end
  if w.method == "POST" and err.outcome ~= "unknown" and not err.after_ambiguous then
    err.code = "conflict" -- no try of ours stands in the way
    error(err, 0)
  end
  local result_found, theirs = look_up(w, err)
  if result_found then return result_found end
  if theirs == conflict.UNKNOWN then
    if clash and err.after_ambiguous then -- it may well be our own earlier try that stands in the way
      err.code, err.outcome = "unknown_outcome", "unknown"
      err.message = err.message .. "; the answer to an earlier try was lost, and that one may have taken effect"
    elseif clash then
      err.code = "conflict"
    end
    error(err, 0)
  end
  if clash and w.base and w.base.etag and readback.untouched(w, theirs) then
    if refused_etag(w, err, theirs) then return attempt(w, next) end
  end
  if is_busy(w, err, theirs) then return nil, err end
  if not clash and (readback.same_version(theirs, w.base) or readback.same_content(w, theirs)) then
    err.message, err.not_applied = err.message .. "; read back: it has not taken effect so far", true
    err.hint = "Run it again: it is not applied twice."
    error(err, 0)
  end
  error(conflict.error(w, theirs, err), 0)
end

local function settled(w, next)
  local n = 0
  while true do
    local result, busy = attempt(w, next)
    if result then return result end
    pause_before_retry(w, n, busy)
    n = n + 1
  end
end

-- ---- sent ----

-- If-Match on what was read, If-None-Match for what must not be there yet.
local function precondition(w, headers)
  if w.unconditional or w.kind.lock ~= "etag" then return end
  if w.base and w.base.etag then
    if not w.by_content then headers["If-Match"] = readback.strong(w.base.etag) end
  elseif not w.base and w.method == "PUT" then
    headers["If-None-Match"] = "*"
  end
end

-- Where no ETag guards the write, the resource is read once more and must be as it was. -> a result when it holds
-- already what was to be written
local function guard_by_content(w)
  if w.unconditional or w.method == "POST" then return end
  if w.kind.lock == "etag" and (not w.base or w.base.etag) and not w.by_content then return end
  local theirs = readback.read(w)
  if not theirs and not w.base then return end
  if theirs and w.base and diff.equal(theirs.content, w.base_content) then return end
  if readback.holds(w, theirs, w.content) then return found(w, theirs, {}) end
  error(conflict.error(w, theirs, { method = w.method, path = w.path }), 0)
end

-- What a POST created, where the gateway makes its id -> id, args: w.args and the parameters that `made` takes from
-- the answer.
local function made_of(w, body)
  if w.method ~= "POST" or w.kind.job or not w.kind.item or kinds.item_path(w.kind, w.args) then return nil end
  local members, args = answer.object(body), {}
  for name, value in pairs(w.args or {}) do args[name] = value end
  for name, member in pairs(w.kind.made or {}) do args[name] = answer.id(members[member]) end
  return answer.id(members.id), args
end

local function sent(w)
  if w.answer then return w.answer end
  local there = guard_by_content(w)
  if there then return there end
  lease_stage.check(w)
  local headers = merged(w.headers)
  precondition(w, headers)
  local left = w.deadline - w.gw.clock.monotonic()
  local response = w.gw:_send({
    method = w.method, path = w.template, params = w.params, query = w.query, headers = headers, json = sendable(w),
    family = w.kind.family, idempotency_key = w.idempotency_key, idempotent = w.idempotent,
    deadline = math.max(left, 0.001),
  }, w.kind, "write")
  local body, unread
  if response.body ~= "" then body, unread = response:json() end
  if unread then w.gw.log.warn("%s: it was accepted (%d), but %s", w.path, response.status, unread.message) end
  local status = "updated"
  if w.method == "DELETE" then
    status = "deleted"
  elseif response.status == 201 or (not w.base and not w.unconditional) then
    status = "created"
  end
  local id, args = made_of(w, body)
  return {
    status = status, etag = response.headers["etag"], response = response, body = body, http_status = response.status,
    attempts = #response.attempts, correlation_id = response.correlation_id, id = id, args = args,
  }
end

-- ---- the path ----

local STAGES = {
  measured, journaled.replayed, checked, compared, planned, queue_stage.queued, lease_stage.leased, resolved,
  journaled.journaled, recorded, awaited, settled,
  sent,
}

local function stage(n)
  local this = STAGES[n]
  local rest = n < #STAGES and stage(n + 1) or nil
  return function(w) return this(w, rest) end
end

-- The stages from that one on.
local function from(first)
  for n, this in ipairs(STAGES) do
    if this == first then return stage(n) end
  end
end

run_stages = from(measured)

-- What a result says of the write, beside what has come of it.
local function complete(w, result)
  result.changes, result.content, result.payload_hash = w.changes, w.content, w.payload_hash
  result.latency_ms, result.audit_seq, result.attempts = w.latency_ms or 0, w.audit_seq, result.attempts or 0
  result.based = w.base ~= nil or nil
  result.rebased, result.overwrote, result.stale = w.rebased, w.overwrote, w.base and w.base.stale or nil
  return result
end

-- Notes in the state after the stages: the write has its result already, and a state that fails must not make it look
-- rejected.
local function note(w, fn, ...)
  local ok, err = pcall(fn, ...)
  if not ok then w.gw.log.error("%s: the write has its result, but the state could not be updated: %s", w.path, err) end
end

local OPTIONS = {
  base = true, content = true, method = true, action = true, details = true, outcome_details = true, on_conflict = true,
  dry_run = true, deadline = true, unconditional = true, idempotent = true, idempotency_key = true, headers = true,
  query = true, job = true, queue = true, after = true, from_queue = true, stamp = true,
}

local function method_of(kind, opts)
  if opts.method then return opts.method end
  return opts.base and kind.update or kind.create
end

-- The fields of a write that may be nil: {the stage that sets it, what it is}. Another name raises: it is misspelt.
local LATER = {
  base = { "resolved", "the resource that it builds on: at first the one it was asked with; nil: it creates one" },
  base_content = { "resolved", "the content of that, as it was read" },
  content = { "resolved", "what it is to become; nil: nothing (DELETE, a verb without a body)" },
  params = { "new_write", "of the template" },
  headers = { "new_write", "asked for" },
  query = { "new_write", "asked for" },
  outcome_details = { "new_write", "asked for" },
  unconditional = { "new_write", "asked for: no precondition" },
  idempotent = { "new_write", "asked for, or the kind is: sent again, it does no more" },
  idempotency_key = { "journaled", "asked for, or of the run's record" },
  after = { "new_write", "the result of the write that this one has to follow" },
  from_queue = { "new_write", "the id in the queue of what is sent now" },
  args = { "new_write", "of the kind's path" },
  before_ids = { "new_write", "ids that the listing held before a create" },
  changes = { "compared", "from the base's content; journaled.lua: of the record" },
  leased = { "leased", "the name of the lease, while it is held" },
  held = { "leased", "the scope that holds it" },
  payload_hash = { "resolved", "SHA-256 of what is sent" },
  theirs = { "settled", "what is there after a conflict; nil: nothing" },
  theirs_known = { "settled", "whether that could be read" },
  untouched = { "settled", "nobody has written, though the gateway refused the ETag" },
  by_content = { "settled", "If-Match can't be used: the content is compared before it is sent" },
  rebased = { "resolved", "its changes were applied on top of theirs" },
  overwrote = { "resolved", "the ETag of what was overwritten" },
  record = { "replayed", "in the run's journal" },
  step = { "replayed", "the record of the step around it" },
  replayed = { "replayed", "it was done in an earlier life of the run" },
  taken_up = { "replayed", "it was started in an earlier life of the run" },
  answer = { "replayed", "of an earlier life: a job that is only waited for" },
  open_intent = { "replayed", "the audit's intent that an earlier life has left open" },
  audit_seq = { "recorded", "of the audit's intent; queued: of its event" },
  seconds = { "recorded", "from the intent to the outcome" },
  latency_ms = { "recorded", "the same in milliseconds" },
}

local Write = {
  __index = function(_, name)
    if not LATER[name] then error(("a write has no field '%s'"):format(tostring(name)), 2) end
  end,
  __newindex = function(w, name, value)
    if not LATER[name] then error(("a write has no field '%s'"):format(tostring(name)), 2) end
    rawset(w, name, value)
  end,
}

local function or_default(value, default)
  if value == nil then return default end
  return value
end

-- A write before its first stage: what was asked for, and what follows from it.
local function new_write(gw, kind, args, opts)
  local method = method_of(kind, opts)
  local template = method == "POST" and kind.path or kinds.readable(kind)
  local place = kinds.locate(kind, template, args)
  local base, content = opts.base, opts.content
  if base and content == nil and method ~= "DELETE" then content = base.content end
  local w = setmetatable({
    gw = gw, kind = kind, args = args, template = template, params = place.params, path = place.path,
    method = method, base = base, content = content, base_content = base and gw:_original(base),
    given = opts, -- the options, as they came
    action = opts.action or kind.name .. "_write", details = opts.details or {},
    outcome_details = opts.outcome_details, headers = opts.headers, query = opts.query,
    on_conflict = opts.on_conflict or gw.on_conflict, unconditional = opts.unconditional,
    idempotent = or_default(opts.idempotent, kind.idempotent), idempotency_key = opts.idempotency_key,
    dry_run = opts.dry_run or gw:_is_dry(), deadline = gw.clock.monotonic() + (opts.deadline or gw.deadline),
    queue = or_default(opts.queue, gw.queue), after = opts.after, from_queue = opts.from_queue, job = opts.job or {},
    readable = kind.readable ~= false and method ~= "PATCH" and not opts.query
      and (method ~= "POST" or kind.item ~= nil and kinds.item_path(kind, args) ~= nil), -- its path shows what it made
    round = 1, -- one more for each conflict
    complete = complete, from_recorded = from(recorded), -- for journaled.lua
  }, Write)
  w.payload_hash = payload_hash(sendable(w))
  if kind.same and w.job.before and type(content) == "table" then
    job.note_before(w, find.ids((find.matches(gw, kind, args, content, w.job.before))))
  end
  return w
end

-- M.run(gw, kind, args, opts) -> result; raises. opts:
--   base             the resource as it was read; nil: there is none, the write creates it
--   content          what it is to become; nil with a base: base.content, changed in place
--   action, details  the audit event's name ("<kind>_write" by default) and its fields; these may be a
--                    function(content)
--   stamp            more fields of both audit lines
--   outcome_details  function(result | nil, err | nil) -> more fields for the outcome's line
--   on_conflict, dry_run, deadline    instead of the gateway's own
--   queue            keep it for later when the gateway can't take it now; instead of the gateway's own
--   after            the result of an earlier write; when that is queued, this one is, too, behind it
--   job              {deadline = seconds, watch = function(state), before = resources that were listed before}: where a
--                    create begins a job. before: what is new in the listing may be what was created
--   method, unconditional, idempotent, idempotency_key, headers, query    for the generic verbs
-- result: {status = "created|updated|deleted|unchanged|planned|reconciled|queued", changes, etag, body, response,
-- http_status, latency_ms,
--   correlation_id, attempts, payload_hash, audit_seq, rebased = true | nil, overwrote = etag | nil;
--   of one that is queued: queue_id, superseded = ids of older ones that it replaces;
--   of a create whose id the gateway makes: id, args = args and the parameters that the kind's `made` names;
--   and of a create that began a job: id, job = {id, status, duration_ms}}
function M.run(gw, kind, args, opts)
  local w = new_write(gw, kind, args, argument.options("gateway:write", opts, OPTIONS, 2))
  local result = run_stages(w)
  if kind.same and not w.replayed and (result.status == "created" or result.status == "reconciled") then
    note(w, find.remember, gw, kind, result.id, w.payload_hash)
  end
  if result.status ~= "queued" and not w.replayed then note(w, queue_stage.replace, w) end
  if not result.complete then complete(w, result) end
  result.complete = nil
  if result.status ~= "unchanged" and result.status ~= "planned" and result.status ~= "queued" then
    local path = kind.item and (kinds.item_path(kind, args) or kinds.item_path(kind, result.args))
      or not kind.item and w.path
    if path then note(w, gw._forget, gw, path) end
  end
  return result
end

return M
