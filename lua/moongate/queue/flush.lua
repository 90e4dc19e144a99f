-- flush.lua - sends what is queued, through gateway:write like everything else: read afresh, compared, shown, written
-- with the ETag that it has now. What cannot be sent stays where it is, and what comes after it waits with it.

local diff = require "moongate.diff"
local errors = require "moongate.error"
local kinds = require "moongate.gateway.kinds"
local queue_stage = require "moongate.gateway.queue_stage"
local writes = require "moongate.queue.kinds.write"
local sealed = require "moongate.sealed"

local M = {}

-- What became of a row since it was read, or nil: it still waits.
local function settled(row)
  if not row then return "dropped" end
  if row.superseded then return "superseded" end
  return row.state == "done" and "unchanged" or row.state == "dropped" and "dropped" or nil
end

local DONE = { created = true, updated = true, deleted = true, unchanged = true, reconciled = true }

-- ---- what it builds on ----

local function same(kind, a, b)
  return diff.equal(kinds.normal(kind, a), kinds.normal(kind, b))
end

-- The resource that the write is made against. What is there now, unless somebody has changed it since the write was
-- queued: then what was there, and the write path tells a conflict and deals with it as it was asked to.
local function base_of(gw, kind, row)
  local live = gw:get(kind, row.args, { fresh = true })
  local known = row.base
  if not known then return live end
  if known.absent then
    return live and row.content ~= nil and same(kind, live.content, row.content) and live or nil
  end
  local then_ = gw:_resource(kind, row.args, { text = known.text, etag = known.etag, at = 0 }, false)
  if not live then return then_ end
  if same(kind, live.content, then_.content) then return live end
  if row.content ~= nil and same(kind, live.content, row.content) then return live end
  return then_
end

local function options_of(row, base, opts)
  local given = row.options
  return {
    base = base, content = row.content, method = given.method, action = given.action, details = given.details,
    on_conflict = opts.on_conflict or given.on_conflict, headers = given.headers, query = given.query,
    unconditional = given.unconditional, idempotent = given.idempotent, idempotency_key = row.idempotency_key,
    queue = false, from_queue = row.id,
  }
end

local function is_readable(kind, row)
  return kind.readable ~= false and not row.options.query and (row.method ~= "POST" or kind.item ~= nil)
end

local function write(gw, row, opts)
  local kind = row.options.template and kinds.anonymous(row.options.template) or gw:kind(row.kind)
  local base = is_readable(kind, row) and not (row.options.unconditional and row.method ~= "DELETE")
    and base_of(gw, kind, row) or nil
  if row.method == "DELETE" and not base and is_readable(kind, row) then
    return { status = "unchanged", changes = {} }
  end
  local creates = row.method == "POST" and kind.item and (not row.base or row.base.absent)
  if creates and base and row.content ~= nil and same(kind, base.content, row.content) then
    return { status = "unchanged", changes = {}, etag = base.etag } -- what was sent before it was queued took effect
  end
  return gw:write(kind, row.args, options_of(row, base, opts))
end

-- ---- one after the other ----

-- The next that waits for nobody, by age; or nil. state: id -> what became of it in this flush
local function next_of(rows, state)
  for _, row in ipairs(rows) do
    local before = row.depends_on
    if not state[row.id] and (not before or state[before] == "sent" or state[before] == "settled") then return row end
  end
end

local function audit(gw, row, entry)
  local seq, fault = gw.audit.event {
    action = "write_flushed", queue_id = row.id, kind = row.kind, resource = row.resource, status = entry.status,
    etag = entry.etag, correlationId = entry.correlation_id, error_code = entry.failure and entry.failure.code or nil,
    error_message = entry.failure and entry.failure.message or nil,
  }
  if not seq then gw.log.error("%s: that it was sent could not be audited: %s", row.resource, fault.message) end
end

local function entry_of(row)
  return {
    id = row.id, resource = row.resource, kind = row.kind, method = row.method, created_at = row.created_at,
    changes = {},
  }
end

-- -> the entry, and "sent", "kept" or "settled": it was by others
local function send(gw, db, row, opts)
  local entry, now = entry_of(row), writes.get(db, row.id)
  entry.status = settled(now)
  if entry.status then return entry, "settled" end
  local ok, result = pcall(write, gw, row, opts)
  if not ok and not errors.is(result) then error(result, 0) end
  if not ok then
    entry.status, entry.failure = "failed", result
    if not opts.dry_run then
      writes.mark(db, row.id, "queued", { code = result.code, message = result.message, status = result.status })
    end
    return entry, "kept"
  end
  for _, field in ipairs { "status", "changes", "etag", "latency_ms", "attempts", "correlation_id", "audit_seq" } do
    entry[field] = result[field]
  end
  if DONE[result.status] and not opts.dry_run then writes.mark(db, row.id, "done") end
  return entry, "sent"
end

-- flush.run(gw, db, rows, {on_conflict, dry_run, each = function(entry)}) -> entries: {id, resource, kind, method,
-- status, changes, failure, …}. rows: as writes.list gives them. status: as of gateway:write, "failed",
-- "waiting": what it comes after was not sent, or the gateway is away; "superseded", "dropped": meanwhile, by others.
function M.run(gw, db, rows, opts)
  gw = sealed.open(gw)
  local entries, state, away, here = {}, {}, nil, {}
  for _, row in ipairs(rows) do here[row.id] = true end
  for _, row in ipairs(rows) do
    if row.depends_on and not here[row.depends_on] then -- it was sent or dropped before
      local before = writes.get(db, row.depends_on)
      if not before or before.state ~= "queued" then row.depends_on = nil end
    end
  end
  while not away do
    local row = next_of(rows, state)
    if not row then break end
    local entry
    entry, state[row.id] = send(gw, db, row, opts)
    if entry.failure and queue_stage.is_away(entry.failure) then away = entry.failure end
    local tried = state[row.id] ~= "settled" and not (away and away.outcome ~= "unknown")
    if tried and not opts.dry_run then audit(gw, row, entry) end
    entries[#entries + 1] = entry
    if opts.each then opts.each(entry) end
  end
  for _, row in ipairs(rows) do
    if not state[row.id] then
      local entry = entry_of(row)
      entry.status, entry.after = "waiting", not away and row.depends_on or nil
      entries[#entries + 1] = entry
    end
  end
  return entries
end

return M
