-- queue_stage.lua - the stage `queued` of a write: with --queue, what the gateway can't take now is kept in the store
-- and sent by `moongate queue flush`. And a write that does get through replaces what is queued for the same resource.
-- For write.lua and gateway.lua.

local errors = require "moongate.error"
local kinds = require "moongate.gateway.kinds"
local lease_stage = require "moongate.gateway.lease_stage"
local plain = require "moongate.plain"
local secret = require "moongate.secret"

local M = {}

local AWAY_CODES = {
  breaker_open = true, connect = true, network = true, timeout = true, retry_budget = true, unknown_outcome = true,
}
local AWAY_STATUS = { [429] = true, [502] = true, [503] = true, [504] = true }

-- Whether a failed call says that the gateway can't take anything now: it is away, or busy beyond the deadline.
function M.is_away(err)
  return AWAY_CODES[err.code] or AWAY_STATUS[err.status] or false
end

local function lease_name(w)
  return lease_stage.name_of(w.gw, w.kind, w.args, w.method, w.content)
end

-- What this resource is called in the queue.
local function resource_of(w)
  return lease_name(w) or ("resource %s at %s"):format(w.path, w.gw:_base_url() or "?")
end

local function store_of(gw)
  if gw.store then return gw.store end
  local db, err = require("moongate.store").session()
  if not db then error(err, 0) end
  return db
end

-- Whether what runs here may send to this gateway at all: what is queued is sent later, without the permissions of the
-- script that asked for it.
local function may_send(gw)
  local base = gw:_base_url()
  return base == nil or type(base) == "string" and require("moongate.outbox.target").may_keep { url = base }
end

-- ---- into the queue ----

-- Why a write can't wait in the queue, or nil. What was sent later must do no more than if it was sent now, and once.
local function refusal(w)
  if w.kind.job then return "what it begins has to be watched" end
  if w.method == "POST" and not w.idempotent and not w.idempotency_key and not w.readable then
    return "a POST that is not idempotent can't be sent again when its answer is lost"
  end
  for name, value in pairs(w.given.headers or {}) do
    if secret.is(value) then return ("the secret in its header %s is not kept"):format(name) end
  end
  if not may_send(w.gw) then return "this script may not send to " .. tostring(w.gw:_base_url()) end
  return nil
end

-- Whether what it builds on could not be read.
local function is_unread(w)
  local path = w.kind.item and kinds.item_path(w.kind, w.args) or w.path
  return w.gw:_is_unread(path)
end

-- What was known of the resource: nil when nothing was.
local function base_of(w)
  if is_unread(w) then return nil end
  if not w.base then return { absent = true } end
  return { etag = w.base.etag, text = w.gw:_text_of(w.base) or plain.write(w.base_content) }
end

-- Options that the write is sent with later, as plain data.
local function options_of(w)
  local given = w.given
  local details = given.details
  if type(details) == "function" then details = details(w.content) end
  return {
    template = w.kind.name == "gateway" and w.kind.path or nil, method = given.method, action = given.action,
    details = details, on_conflict = w.on_conflict, headers = given.headers, query = given.query,
    unconditional = given.unconditional, idempotent = given.idempotent,
  }
end

local function enqueue(w, reason)
  local why = refusal(w)
  if why then
    reason.hint = ("it can't be queued: %s"):format(why)
    error(reason, 0)
  end
  local entry = require("moongate.queue.kinds.write").add(store_of(w.gw), {
    gateway = w.gw:_base_url(), resource = resource_of(w), kind = w.kind.name, args = w.args or {},
    method = w.method, content = w.content, base = base_of(w), options = options_of(w),
    idempotency_key = w.idempotency_key, after = w.after and w.after.queue_id or nil,
  })
  w.gw.queued = (w.gw.queued or 0) + 1
  local seq, fault = w.gw.audit.event {
    action = "write_queued", queue_id = entry.id, kind = w.kind.name, method = w.method, path = w.path,
    payload_hash = w.payload_hash, base_etag = w.base and w.base.etag or nil, error_code = reason.code,
    superseded = entry.superseded[1] and table.concat(entry.superseded, " ") or nil,
  }
  if not seq then w.gw.log.error("%s: that it is queued could not be audited: %s", w.path, fault.message) end
  w.gw.log.warn("%s: %s; queued as %d, to be sent by `moongate queue flush`", w.path, reason.message, entry.id)
  w.audit_seq = seq
  return { status = "queued", queue_id = entry.id, superseded = entry.superseded, etag = w.base and w.base.etag }
end

-- Why the write need not be tried, as an error; or nil. What it builds on could not be read just now, or what it has to
-- follow is queued.
local function known_away(w)
  local why
  if w.after and w.after.status == "queued" then
    why = ("it has to follow %d, which is queued"):format(w.after.queue_id)
  elseif w.base and w.base.stale or is_unread(w) then
    why = "the gateway could not be read"
  elseif w.gw:breaker(w.kind.family) == "open" then
    why = "the gateway fails too often just now"
  end
  return why and errors.new {
    code = "breaker_open", method = w.method, path = w.path, outcome = "not_sent", message = why,
  }
end

-- ---- past the queue ----

-- M.replace(w): what is queued for the resource was wanted before this write: it must not be sent after it.
function M.replace(w)
  if w.gw.leases == false and not w.gw.store or w.dry_run then return end
  if w.method ~= "PUT" and w.method ~= "DELETE" or not may_send(w.gw) then return end
  local ids = require("moongate.queue.kinds.write").supersede(store_of(w.gw), resource_of(w), w.from_queue)
  if #ids > 0 then
    w.gw.log.warn("%s: replaces what was queued for it (%s)", w.path, table.concat(ids, ", "))
  end
end

-- Whether a write that failed may wait in the queue: it has not taken effect; or the gateway answered that it can't
-- take it, and it says all that the resource is to be: it is compared with what is there before it is sent again.
local function may_wait(w, err)
  if not errors.is(err) or not M.is_away(err) then return false end
  return err.outcome == "not_sent" or err.outcome == "refused" or err.not_applied
    or err.status ~= nil and (w.method == "PUT" or w.method == "DELETE")
end

function M.queued(w, next)
  if w.round > 1 or not w.queue then return next(w) end
  local reason = known_away(w)
  if reason then return enqueue(w, reason) end
  local ok, result = pcall(next, w)
  if not ok then
    if not may_wait(w, result) then error(result, 0) end
    return enqueue(w, result)
  end
  return result
end

return M
