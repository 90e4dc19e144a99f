-- write.lua - `moongate queue … --kind write`: writes that wait for the gateway.
local batch = require "moongate.batch"
local diff = require "moongate.diff"
local fail = require "moongate.fail"
local json = require "moongate.json"
local plain = require "moongate.plain"
local writes = require "moongate.queue.kinds.write"
local words = require "moongate.lease.words"

local M = {}

local function session_store()
  local db, err = require("moongate.store").session()
  if not db then error(err, 0) end
  return db
end

local function ids_of(texts)
  local ids, seen = {}, {}
  for _, text in ipairs(texts or {}) do
    local id = math.tointeger(tonumber(text))
    if not id then fail.usage("'%s' is not the number of a queued write", text) end
    if not seen[id] then ids[#ids + 1] = id end
    seen[id] = true
  end
  return ids
end

-- A resource without the words that all of them share.
local function name_of(resource)
  return (resource:gsub("^resource ", ""):gsub(" at %S+$", ""))
end

-- ---- list, show ----

local function data(row)
  local out = {}
  for _, key in ipairs { "id", "gateway", "kind", "method", "run_id", "depends_on", "state", "superseded", "error" } do
    out[key] = row[key]
  end
  out.resource, out.queued_at = name_of(row.resource), words.clock(row.created_at)
  return out
end

local function line(row)
  local parts = { ("%d  %s  %s %s  queued %s"):format(row.id, row.state, row.method, name_of(row.resource),
    words.clock(row.created_at)) }
  if row.depends_on and row.state == "queued" then parts[#parts + 1] = "after " .. row.depends_on end
  if row.superseded then parts[#parts + 1] = "replaced by a newer one" end
  if row.error then parts[#parts + 1] = "last try: " .. tostring(row.error.message) end
  return table.concat(parts, "  ")
end

local function wanted_rows(args)
  if not args.status then return writes.list(session_store(), { all = args.all }) end
  local out = {}
  for _, row in ipairs(writes.list(session_store(), { all = true })) do
    if args.status == "all" or row.state == args.status then out[#out + 1] = row end
  end
  return out
end

-- -> data, lines
function M.listed(_, args)
  local out, lines, rows = json.array {}, {}, wanted_rows(args)
  local several = false
  for _, row in ipairs(rows) do several = several or row.gateway ~= rows[1].gateway end
  for i, row in ipairs(rows) do
    out[i], lines[i] = data(row), line(row) .. (several and "  at " .. tostring(row.gateway) or "")
  end
  return { writes = out }, lines
end

-- What a write was to change, as it was seen when it was queued. The text is the whole answer that was read; what the
-- gateway adds to what was written is not told.
local function changes_of(row)
  if not row.base or row.base.absent then return diff.compare(nil, row.content) end
  local body = row.base.text and row.base.text ~= "" and plain.decode(row.base.text) or nil
  local held = type(body) == "table" and type(body.configuration) == "table" and body.configuration or body
  local out = {}
  for _, change in ipairs(diff.compare(held, row.content)) do
    if change.op ~= "remove" or row.method == "DELETE" then out[#out + 1] = change end
  end
  return out
end

function M.show(ctx, args)
  local id = ids_of({ args.id })[1]
  local row = writes.get(session_store(), id)
  if not row then
    error(require("moongate.error").new { code = "not_found", message = ("queued write %d not found"):format(id),
      hint = "Run `moongate queue list --all`." }, 0)
  end
  local out, lines = data(row), { line(row) }
  local changes = changes_of(row)
  out.content, out.changes = row.content, diff.to_json(changes)
  lines[#lines + 1] = row.base and "  what it was to change:" or "  what was there could not be read; it is to become:"
  table.move(diff.lines(changes, "  "), 1, #changes, 3, lines)
  ctx:result(out, table.concat(lines, "\n"))
end

-- ---- drop ----

function M.drop(ctx, args)
  local db, ids = session_store(), ids_of(args.id)
  local out, lines = json.array {}, {}
  if ctx.opts.dry_run then
    for _, id in ipairs(ids) do lines[#lines + 1] = ("%d would be dropped"):format(id) end
    return ctx:result({ writes = out, dry_run = true }, table.concat(lines, "\n"))
  end
  for i, row in ipairs(writes.drop(db, ids)) do
    row.state = "dropped"
    out[i], lines[i] = data(row), line(row)
    assert(require("moongate.audit").event {
      action = "write_dropped", queue_id = row.id, kind = row.kind, resource = row.resource,
    })
  end
  ctx:result({ writes = out }, table.concat(lines, "\n"))
end

-- ---- flush ----

-- The rows to send, of this gateway; a number that does not wait here is a mistake.
local function wanted(db, base_url, ids)
  local rows = writes.list(db, { gateway = base_url })
  if #ids == 0 then return rows end
  local by_id, out = {}, {}
  for _, row in ipairs(rows) do by_id[row.id] = row end
  for _, id in ipairs(ids) do
    if not by_id[id] then fail.usage("%d does not wait for this gateway", id) end
  end
  for _, row in ipairs(rows) do
    for _, id in ipairs(ids) do if row.id == id then out[#out + 1] = row end end
  end
  return out
end

local ORDER = {
  "created", "updated", "deleted", "reconciled", "unchanged", "planned", "superseded", "dropped", "waiting", "failed",
}

local function shown(entry)
  return ("%d  %s %s"):format(entry.id, entry.method, name_of(entry.resource))
end

local function final_line(entry)
  local add, done = batch.line(entry, shown(entry))
  add("after %d", entry.after)
  add("etag %s", entry.etag)
  add("correlation %s", entry.correlation_id)
  add("audit %d", entry.audit_seq)
  return done()
end

local function detail(entry)
  if #entry.changes == 0 or entry.status == "unchanged" then return {} end
  local lines = diff.lines(entry.changes, "  ")
  table.insert(lines, 1, shown(entry))
  return lines
end

-- One process at a time sends what waits.
local function hold_queue(run)
  if run.dry_run then return end
  local scope, err = require("moongate.workflow.hold").scope(run)
  local ok = scope ~= nil
  if scope then ok, err = scope:take("queue of " .. (run.gateway.base_url or "?")) end
  if not ok then error(err, 0) end
end

local TOLD = { created = true, updated = true, deleted = true, reconciled = true }

-- The workflow that queued it has told nobody.
local function tell(run, entry)
  if not TOLD[entry.status] then return end
  local notes = run:webhook("write_flushed", {
    queueId = entry.id, resource = name_of(entry.resource), kind = entry.kind, method = entry.method,
    status = entry.status, etag = entry.etag, correlationId = entry.correlation_id,
  })
  if #notes > 0 then entry.webhooks = json.array(notes) end
end

local TRIES = 4 -- what can't be sent now stays where it is

local function flush(run, args, retries)
  local db = session_store()
  if not retries then run:client { retry = { max = TRIES } } end
  hold_queue(run)
  local rows = wanted(db, run.gateway.base_url, ids_of(args.id))
  local progress = run:progress(#rows, "queued writes")
  local entries = require("moongate.queue.flush").run(run.gateway, db, rows, {
    on_conflict = args.on_conflict, dry_run = run.dry_run,
    each = function(entry)
      tell(run, entry)
      progress.advance(1, shown(entry) .. ": " .. entry.status)
      if entry.failure then run:report(entry.failure, shown(entry)) end
    end,
  })
  progress.done()
  if #entries == 0 then return { results = json.array {}, text = "nothing is queued for this gateway" } end
  local out = batch.result(entries, { noun = "queued writes", order = ORDER, detail = detail, line = final_line })
  for _, entry in ipairs(entries) do
    entry.resource, entry.queued_at, entry.created_at = name_of(entry.resource), words.clock(entry.created_at), nil
    entry.changes = diff.to_json(entry.changes)
  end
  if out.exit_status == 0 and out.summary.waiting > 0 then
    out.exit_status = require("moongate.exit_status").QUEUED
  end
  return out
end

function M.flush(ctx, args)
  local workflow = require "moongate.workflow"
  local definition = workflow.define { name = "queue-flush", summary = "send what waits", run = function(run)
    return flush(run, args, ctx.opts.retries)
  end }
  require("moongate.cli.settings").check_credentials(ctx)
  local outcome = require("moongate.cli.observe").run(ctx, "queue-flush", function(registry)
    return workflow.execute(definition, {}, require("moongate.cli.run").session(ctx, registry))
  end)
  ctx:result(outcome.data, ctx:lines(outcome.lines))
  return outcome.exit_status
end

return M
